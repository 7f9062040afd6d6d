"""What a verb was asked, read from its options once; and how its answer leaves the program.

A verb declares only what is its own:

    @app.command()
    @asks
    def drill(question: Question, by: options.By = None) -> int: ...

`asks` adds the shared options to the signature that Typer reads, and hands them over as one frozen `Question`.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from llmops_cli.commands import options
from llmops_cli.errors import UNTRUSTED, UsageError
from llmops_cli.evidence import Filters, Message, Window
from llmops_cli.window import WindowRequest, find_zone, resolve_window

if TYPE_CHECKING:
    from llmops_cli.config import Settings
    from llmops_cli.report import Report

Verb: TypeAlias = Callable[..., int]

_VERDICT_CODES = {"ok": 0, "warning": 1, "critical": 2, "unknown": UNTRUSTED}


@dataclass(frozen=True, slots=True)
class Question:
    """One question, the same for every verb.

    `logs` are the local paths to read (the option's, else the profile's); `zone` is the zone of log times without one
    and of all times shown. `now_ms` is taken once, so that everything in one answer agrees.
    """

    settings: Settings
    logs: tuple[str, ...]
    pattern: str | None
    encoding: str | None
    zone: tzinfo
    asked: WindowRequest
    filters: Filters
    output: options.OutputName
    check: bool
    allow_stale: bool
    timeout_s: float
    now_ms: int

    @classmethod
    def from_options(
        cls,
        *,
        since: str | None = None,
        from_: str | None = None,
        to: str | None = None,
        baseline: str = "previous",
        timezone: str | None = None,
        app: list[str] | None = None,
        module: list[str] | None = None,
        model: list[str] | None = None,
        workspace: list[str] | None = None,
        error_code: list[str] | None = None,
        log: list[str] | None = None,
        profile: str | None = None,
        config_file: str | None = None,
        pattern: str | None = None,
        encoding: str | None = None,
        output: options.OutputName = "table",
        check: bool = False,
        allow_stale: bool = False,
        timeout: float = 20.0,
        needs_source: bool = True,
        now_ms: int | None = None,
    ) -> Question:
        """Read the options with the configuration. Raises UsageError, also when there is no source to ask."""
        from llmops_cli.config import load  # noqa: PLC0415 - `--help` and completion read no configuration

        if output == "nagios" and not check:
            raise UsageError("bad_output", "-o nagios prints a check result", "add --check, or use -o json")
        settings = load(
            config_file=config_file,
            profile=profile,
            log=log or (),
            pattern=pattern,
            timezone=timezone,
            encoding=encoding,
        )
        if needs_source:
            settings.require_source()
        question = cls(
            settings=settings,
            logs=settings.log,
            pattern=settings.pattern,
            encoding=settings.encoding,
            zone=find_zone(settings.timezone),
            asked=WindowRequest(since, from_, to, baseline),
            filters=Filters(*(tuple(values or ()) for values in (app, module, model, workspace, error_code))),
            output=output,
            check=check,
            allow_stale=allow_stale,
            timeout_s=timeout,
            now_ms=time.time_ns() // 1_000_000 if now_ms is None else now_ms,
        )
        question.window()  # a reversed or unreadable window is told before a long read begins
        return question

    def window(self, newest_ms: int | None = None) -> Window:
        """Return the window, anchored at `newest_ms` (the newest line with a header) where that is due."""
        asked = self.asked
        return resolve_window(
            since=asked.since,
            from_=asked.from_,
            to=asked.to,
            baseline=asked.baseline,
            zone=self.zone,
            now_ms=self.now_ms,
            newest_ms=newest_ms,
        )

    def again(self) -> Question:
        """Return the same question, asked now (`--watch`, `recover verify`)."""
        return replace(self, now_ms=time.time_ns() // 1_000_000)

    @property
    def windowed(self) -> bool:
        """Whether any window was asked for; `trace` reads whole files when none was."""
        return any((self.asked.since, self.asked.from_, self.asked.to))

    @property
    def generated_at(self) -> datetime:
        """`now_ms` as an aware datetime in `zone`."""
        return datetime.fromtimestamp(self.now_ms / 1000, self.zone)

    @property
    def notes(self) -> tuple[Message, ...]:
        """What the configuration left open and was assumed."""
        return self.settings.notes

    def emit(self, report: Report, **shown: Any) -> int:
        """Print `report` as asked and return the exit code; see `emit`."""
        return emit(report, self.output, check=self.check, allow_stale=self.allow_stale, **shown)


_SHARED: dict[str, tuple[Any, Any]] = {
    "since": (options.Since, None),
    "from_": (options.From, None),
    "to": (options.To, None),
    "baseline": (options.Baseline, "previous"),
    "timezone": (options.Timezone, None),
    "app": (options.App, None),
    "module": (options.Module, None),
    "model": (options.Model, None),
    "workspace": (options.Workspace, None),
    "error_code": (options.ErrorCode, None),
    "log": (options.Log, None),
    "profile": (options.Profile, None),
    "config_file": (options.ConfigFile, None),
    "pattern": (options.Pattern, None),
    "encoding": (options.Encoding, None),
    "timeout": (options.Timeout, 20.0),
    "output": (options.Output, "table"),
}
_CHECKED: dict[str, tuple[Any, Any]] = {
    "output": (options.CheckedOutput, "table"),
    "check": (options.Check, False),
    "allow_stale": (options.AllowStale, False),
}
_ALWAYS_CHECKED: dict[str, tuple[Any, Any]] = {"output": (options.CheckedOutput, "table")}


@overload
def asks(verb: Verb) -> Verb: ...


@overload
def asks(*, check: bool = ..., always_check: bool = ..., deferred: bool = ...) -> Callable[[Verb], Verb]: ...


def asks(verb: Verb | None = None, *, check: bool = False, always_check: bool = False, deferred: bool = False) -> Any:
    """Give a verb the shared options, and hand them to it as its first argument, a `Question`.

    `check` adds `--check` and `--allow-stale`; `always_check` is for verbs that exit like a Nagios plugin without
    being asked (`recover verify`). `deferred` hands over a function that makes the question, for a verb that may not
    need one (`recover` in front of its own verbs).
    """
    if verb is None:
        return partial(_asking, check=check, always_check=always_check, deferred=deferred)
    return _asking(verb, check=check, always_check=always_check, deferred=deferred)


def _asking(verb: Verb, *, check: bool, always_check: bool, deferred: bool) -> Verb:
    shared = _SHARED | (_ALWAYS_CHECKED if always_check else _CHECKED if check else {})
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]
    # `recover verify --timeout` is how long it watches.
    shared = {name: option for name, option in shared.items() if name not in {parameter.name for parameter in own}}

    @wraps(verb)
    def ask(*args: Any, **given: Any) -> int:
        mine = {name: given.pop(name) for name in shared}
        if always_check:
            mine["check"] = True
        if deferred:
            return verb(lambda: Question.from_options(**mine), *args, **given)
        return verb(Question.from_options(**mine), *args, **given)

    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in shared.items()
    ]
    # Keyword-only throughout: Typer passes options by name, and defaults may then stand before required arguments.
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    ask.__signature__ = inspect.Signature([*added, *own])  # type: ignore[attr-defined]
    ask.__annotations__ = {}  # Typer resolves names it finds here; all it needs stands in the signature
    return ask


def emit(
    report: Report, output: options.OutputName, *, check: bool = False, allow_stale: bool = False, **shown: Any
) -> int:
    """Print `report` on stdout and return the exit code that the README lists.

    `shown` goes to the view (`show_content`, `lang`). A reader that closes the pipe early is no error. What belongs
    beside a text to paste (what speaks against it, what is missing in it) goes to stderr, before the text: whoever sees
    both reads it in time.
    """
    from llmops_cli import views  # noqa: PLC0415 - rich is for those who print

    if said := views.aside(report, output, shown.get("lang", "en")):
        views.put(said, sys.stderr)
    views.write(report, output, sys.stdout, allow_stale=allow_stale, **shown)
    return exit_code(report, check=check, allow_stale=allow_stale)


def exit_code(report: Report, *, check: bool, allow_stale: bool = False) -> int:
    """Return the exit code of an answer: 0, or under `check` that of its verdict.

    Partial data is unknown unless what was seen is critical already. A stale log (anchored window) is unknown unless
    `allow_stale`; then a verdict that is unknown for that reason alone counts as ok.
    """
    if not check:
        return 0
    code = _VERDICT_CODES[verdict(report.data)]
    stale = report.window is not None and report.window.anchored
    if stale and not allow_stale:
        return UNTRUSTED
    if report.partial and code != _VERDICT_CODES["critical"]:
        return UNTRUSTED
    if stale and code == UNTRUSTED and usual(report.data):
        return 0
    return code


def usual(data: Any) -> bool:
    """Tell an answer that is unknown only because the log ended long ago: nothing unusual was seen in it."""
    return getattr(getattr(data, "headline", None), "id", "") == "headline.anchored"


def verdict(data: Any) -> str:
    """Return ok, warning, critical or unknown for the `data` of any verb that can be checked."""
    if hasattr(data, "verdict"):
        return str(data.verdict)
    if hasattr(data, "recovered"):
        last = data.checks[-1].verdict if data.checks else "unknown"
        return "ok" if data.recovered else "warning" if last == "ok" else str(last)
    states = [row.state for row in getattr(data, "rows", ()) if hasattr(row, "state")]
    return next((state for state in ("critical", "warning", "ok") if state in states), "unknown")
