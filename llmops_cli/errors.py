"""What can go wrong, as one family of exceptions: raised deep, printed once in `app.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_cli.report import Problem

USAGE = 2
"""Exit code of a wrong command line or configuration."""
UNTRUSTED = 3
"""Exit code when no trustworthy answer was possible; under `--check` that of every error (Nagios UNKNOWN)."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""


class LlmopsError(Exception):
    """An error the reader can act on.

    `code` is stable and made for scripts, `message` says what and where in one line, `hint` how to mend it.
    `retryable` is true when the same command may succeed later; `request_id` is the cloud's, for support.
    """

    exit_code = UNTRUSTED

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        exit_code: int | None = None,
        retryable: bool = False,
        request_id: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retryable = retryable
        self.request_id = request_id
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        return self.message

    def problem(self) -> Problem:
        """Return the error as one line of the envelope's `errors`, without secrets that its text may carry."""
        # Not at the top: `llmops --help` needs this module, and must not pay for some fifty dataclasses.
        from llmops_cli.redact import redact  # noqa: PLC0415 - see above
        from llmops_cli.report import Problem  # noqa: PLC0415 - see above

        return Problem(self.code, redact(self.message), redact(self.hint), self.retryable, self.request_id)


class UsageError(LlmopsError):
    """A wrong command line or configuration: unknown option or key, reversed window, pattern. Exit code 2."""

    exit_code = USAGE


class SourceError(LlmopsError):
    """No trustworthy answer: file missing or unreadable, credentials, network, service. Exit code 3."""

    exit_code = UNTRUSTED
