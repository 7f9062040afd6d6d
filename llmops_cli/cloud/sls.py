"""Log Service through its SDK, with this package's own patience: one deadline, at most six sends, retry by code.

The SDK (0.9) repeats a request ten times, a second apart, and an incomplete query five times; both are left by raising
exceptions that it does not know (`_Client`). Signatures are version 4.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aliyun.log import LogClient, LogItem, PutLogsRequest
from aliyun.log import LogException as _LogException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from llmops_cli.cloud.credentials import Chain, Identity
from llmops_cli.cloud.inflight import Deadline, OverdueError
from llmops_cli.cloud.refusals import Place, Refusal, explained
from llmops_cli.errors import SourceError

MOST_SENDS = 6
"""Sends of one statement, the first included."""
MOST_ROWS = 1_000_000
"""The largest LIMIT of Log Service."""

Answer = TypeVar("Answer")
Log = tuple[int, list[tuple[str, str]]]
"""Epoch ms, and keys with their values."""

# The SDK describes a part of itself to type checkers; what is extended here it does not.
_LogClient: Any = LogClient
_LogItem: Any = LogItem
LogException: Any = _LogException


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query answered: every value is text, and `null` stands for none.

    `complete`: all data was looked at; otherwise `looked_at` logs of it were, as far as Log Service says.
    """

    rows: tuple[Mapping[str, str], ...]
    complete: bool = True
    looked_at: int | None = None


class _IncompleteError(Exception):
    """A query was answered from a part of the data."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = body


class _Client(_LogClient):  # type: ignore[misc]
    """The SDK's client without its own retries."""

    def _sendRequest(self, *args: Any, **options: Any) -> Any:  # noqa: N802 - the SDK's name
        try:
            return super()._sendRequest(*args, **options)
        except LogException as error:
            status = error.get_resp_status()
            status = 0 if error.get_error_code() == "LogRequestError" and status == 200 else status
            raise Refusal(
                error.get_error_code(), error.get_error_message(), status, error.get_request_id() or "",
                error.resp_header or {},
            ) from error  # fmt: skip

    @staticmethod
    def _loadJson(status: int, headers: Any, body: Any, requestId: str) -> Any:  # noqa: N802, N803 - the SDK's names
        try:
            loaded = _LogClient._loadJson(status, headers, body, requestId)  # noqa: SLF001
        except LogException as error:  # a proxy's page, or a body cut short
            status = status if status >= 400 else 502
            raise Refusal("BadAnswer", _garbled(body), status, requestId, dict(headers)) from error
        meta = loaded.get("meta") if isinstance(loaded, dict) else None
        if isinstance(meta, dict) and meta.get("progress", "Complete") != "Complete":
            raise _IncompleteError(loaded)
        return loaded


class LogService:
    """One endpoint of Log Service, asked with one identity. Safe to use from several threads."""

    def __init__(self, endpoint: str, region: str, credentials: Chain, *, timeout_s: float) -> None:
        self.endpoint = endpoint
        self._credentials = credentials
        address = endpoint if "://" in endpoint else f"https://{endpoint}"
        self.sdk = _Client(address, auth_version="v4", region=region, source="", credentials_provider=credentials)
        self.sdk.timeout = (min(5.0, timeout_s / 2), timeout_s / 2)  # so that one answer that never comes is not all
        host = urlsplit(address).hostname or ""
        if host == "localhost" or _is_ip(host):
            self.sdk._isRowIp = True  # noqa: SLF001 - the SDK looks for a bare address only; PROJECT.127.0.0.1 is no host

    def query(
        self,
        project: str,
        logstore: str,
        text: str,
        seconds: tuple[int, int],
        deadline: Deadline,
        *,
        line: int = 100,
        offset: int = 0,
        newest_first: bool = False,
    ) -> Rows:
        """Ask `search | select …`, or for a page of at most 100 logs, of `[from, to)` in unix seconds.

        Asks again while the answer is incomplete and there is time, then gives what there is. Raises `SourceError`.
        """

        def send() -> Any:
            return self.sdk.get_log(
                project, logstore, *seconds, query=text, size=line, offset=offset, reverse=newest_first
            ).get_body()

        try:
            body, complete = self.sent(send, project, logstore, deadline), True
        except _IncompleteError as error:
            body, complete = error.body, False
        rows, meta = (body.get("data"), body.get("meta") or {}) if isinstance(body, dict) else (body, {})
        return Rows(tuple(rows or ()), complete, meta.get("processedRows"))

    def write(self, project: str, logstore: str, logs: Sequence[Log], tags: Sequence[tuple[str, str]]) -> None:
        """Write a batch of logs, once: whether it was written when no answer came is for the caller to find out.

        Raises `Refusal`.
        """
        items = [_item(*log) for log in logs]
        request = PutLogsRequest(project, logstore, "", "llmops", items, logtags=list(tags))
        _answered(lambda: self.sdk.put_logs(request))

    def sent(self, send: Callable[[], Answer], project: str, logstore: str, deadline: Deadline) -> Answer:
        """Send a request until it succeeds, the deadline or `MOST_SENDS`. Raises `SourceError`, `_IncompleteError`."""

        def too_late(state: RetryCallState) -> bool:
            return state.upcoming_sleep >= deadline.left

        retrying = Retrying(
            retry=retry_if_exception(_passes),
            stop=stop_after_attempt(MOST_SENDS) | too_late,  # type: ignore[operator]
            wait=wait_random_exponential(0.3, max=4),
            reraise=True,
        )

        try:
            answer: Answer = retrying(_answered, send)
        except Refusal as refusal:
            raise explained(refusal, self.place(project, logstore)) from refusal
        return answer

    def identity(self) -> Identity:
        """Tell who asks. Raises `SourceError`."""
        return self._credentials.identity()

    def place(self, project: str, logstore: str) -> Place:
        """Name what was asked, and by whom."""
        try:
            identity = self._credentials.identity()
        except SourceError:
            return Place(self.endpoint, project, logstore)
        return Place(self.endpoint, project, logstore, f"{identity.shown} (from {identity.source})")

    def overdue(self, deadline: Deadline) -> SourceError:
        """Say that no answer came in time."""
        return SourceError(
            "sls_overdue",
            f"{self.endpoint} gave no answer within {deadline.seconds:g} s",
            "give it longer with --timeout SECONDS, or ask for a shorter window",
            retryable=True,
        )


def _answered(send: Callable[[], Answer]) -> Answer:
    """Send, and tell an answer in pieces as what it is."""
    try:
        return send()
    except (LogException, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Refusal("BadAnswer", f"not an answer of Log Service: {error}", 502, "", {}) from error


def _item(time_ms: int, contents: list[tuple[str, str]]) -> Any:
    seconds, ms = divmod(time_ms, 1000)
    item = _LogItem(1)
    item.timestamp, item.contents = seconds, contents  # the constructor takes 0 for now, and copies deeply
    item.set_time_nano_part(ms * 1_000_000)
    return item


def _passes(error: BaseException) -> bool:
    return isinstance(error, _IncompleteError) or (isinstance(error, Refusal) and error.passes)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _garbled(body: Any) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    return f"not an answer of Log Service: {' '.join(text.split())[:120]}"


__all__ = ["MOST_ROWS", "LogService", "OverdueError", "Rows"]
