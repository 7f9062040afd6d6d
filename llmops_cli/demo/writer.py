"""Events → the lines of the logging standard, and a file that is there whole or not at all."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import NoReturn

from llmops_cli.demo.lines import MARK, logger, thread
from llmops_cli.demo.plan import Truth
from llmops_cli.demo.simulation import Event
from llmops_cli.evidence import CallRecord, FeedbackRecord, LogLine

BYTES_PER_CALL = 365
"""About how long a log gets: a call, and its share of the other lines."""

_CHUNK = 4_000
_RECENT_MS = 900_000
"""A trace worth showing is one of the last 15 minutes, the window that every verb looks at first."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: how many lines (events) and calls, and a trace worth looking at ("" without calls)."""

    lines: int
    calls: int
    trace_id: str


class Formatter:
    """Writes events with the header of the standard, times in `zone`.

    Its values are the demo's own and need none of the care that `calls.line.format_call` takes of values from outside:
    half the time for a log of millions of lines. A test holds that both write the same.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._second = -1
        self._stamp = ""

    def __call__(self, event: Event) -> str:
        """Return the line of an event, or its lines, with the line break at the end."""
        if isinstance(event, CallRecord):
            status = "" if event.status_code is None else event.status_code
            at = logger(event.module, 67 if event.ok else 72)
            message = (
                f"{event.app},{event.module},{event.model},{event.workspace},{event.request_id},{status},"
                f"{event.duration_ms},{event.input_tokens},{event.output_tokens},{event.total_tokens},"
                f"{event.error_code},{event.error_message}"
            )
            return self._line(event.time_ms, event.level, event.trace_id, at, message)
        if isinstance(event, FeedbackRecord):
            message = (
                f"feedback:{event.app},{event.module},{event.model},{event.workspace},{event.request_id},"
                f"{event.rating},{event.comment}"
            )
            return self._line(event.time_ms, "INFO", event.trace_id, "c.a.c.w.FeedbackController#rate():29", message)
        return self._line(event.time_ms, event.level, event.trace_id, event.logger, event.message)

    def _line(self, ms: int, level: str, trace_id: str, at: str, message: str) -> str:
        second, rest = divmod(ms, 1000)
        if second != self._second:
            self._second = second
            self._stamp = datetime.fromtimestamp(second, self._zone).strftime("%Y-%m-%d %H:%M:%S")
        return f"{self._stamp}.{rest:03d} {level:<5} [traceId:{trace_id}] [{at}] [{thread(trace_id)}] - {message}\n"


def write_log(
    path: Path,
    events: Iterable[Event],
    *,
    zone: tzinfo,
    truths: tuple[Truth, ...] = (),
    end_ms: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Written:
    """Write a log file, replacing what was there in one step; `progress` is told of every so many bytes.

    Raises OSError when the place cannot be written; nothing is left behind then.
    """
    line, shown, calls, lines = Formatter(zone), _Showcase(truths, end_ms), 0, 0

    def chunks() -> Iterator[bytes]:
        nonlocal calls, lines
        pending: list[str] = []
        for event in events:
            pending.append(line(event))
            calls += isinstance(event, CallRecord)
            shown.look_at(event)
            if len(pending) == _CHUNK:
                lines += _CHUNK
                chunk = "".join(pending).encode()
                progress(len(chunk))
                yield chunk
                pending.clear()
        lines += len(pending)
        yield "".join(pending).encode()

    write_whole(path, chunks())
    return Written(lines, calls, shown.trace_id)


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file beside its place and move it there. Raises OSError, and leaves nothing behind then."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _ended_by_exception():
        try:
            # Made-up traffic holds nothing private: the user's umask decides who may read it.
            with draft.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise


@contextmanager
def _ended_by_exception() -> Iterator[None]:
    """Make a process that is terminated, or whose terminal is closed, leave through its `except` and `finally`.

    A signal that the caller ignores (`nohup`) or handles stays as it is. Exit code: 128 + signal, as shells say it.
    """

    def end(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    taken = []
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        taken = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) == signal.SIG_DFL]
    for each in taken:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


def is_ours(path: Path) -> bool:
    """Whether an existing file was written by the demo: its first line says so. Raises OSError when unreadable."""
    with path.open("rb") as file:
        return MARK.encode() in file.readline(1_000)


def configuration(log: Path, command: str, limits: Mapping[str, Mapping[str, int]], timezone: str | None) -> str:
    """Return an `llmops.toml` for the log: its source and limits, the main account's UID left open."""
    zone = f"timezone = {_quoted(timezone)}\n" if timezone else ""
    tables = "".join(
        f"\n[profiles.demo.limits.{_quoted(model)}]\nrpm = {limit['rpm']}\ntpm = {limit['tpm']}\n"
        for model, limit in limits.items()
    )
    return (
        f"# {MARK} from: {command}\n"
        'default_profile = "demo"\n\n[profiles.demo]\n'
        f'log = [{_quoted(log.name)}]\nregion = "cn-beijing"\n{zone}{tables}'
    )


def _quoted(text: str) -> str:
    """Write a TOML basic string."""
    return '"' + re.sub(r'[\x00-\x1f\x7f"\\]', lambda match: f"\\u{ord(match.group()):04x}", text) + '"'


class _Showcase:
    """Finds the trace that tells most: failed in an incident's scope, then succeeded, with its prompts logged."""

    def __init__(self, truths: tuple[Truth, ...], end_ms: int) -> None:
        self._scopes = [truth.scope for truth in truths]
        self._of_ratings = any(truth.type == "negative_feedback" for truth in truths)
        self._from_ms = max([end_ms - _RECENT_MS, *(truth.started_ms for truth in truths)])
        self._scores: dict[str, int] = {}

    @property
    def trace_id(self) -> str:
        return max(self._scores, key=self._scores.__getitem__, default="")

    def look_at(self, event: Event) -> None:
        if event.time_ms < self._from_ms or not event.trace_id:
            return
        before = self._scores.get(event.trace_id, 0)
        if isinstance(event, LogLine):
            if event.level == "DEBUG":  # a prompt or result; counted once
                self._scores[event.trace_id] = before | 1
            return
        within = any(all(getattr(event, name) == value for name, value in scope.items()) for scope in self._scopes)
        bad = self._of_ratings and event.rating == "down" if isinstance(event, FeedbackRecord) else not event.ok
        score = before | (8 if bad and within else 4 if bad else 2 if within else 0)
        if before & 8 and not bad and isinstance(event, CallRecord):
            score |= 16
        self._scores[event.trace_id] = score
