"""Log Service as a source of calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import starmap
from typing import Any, Self

from llmops_cli.cloud.inflight import Deadline, Pending
from llmops_cli.cloud.refusals import MissingFieldError
from llmops_cli.cloud.sls import LogService, Rows
from llmops_cli.errors import SourceError, UsageError
from llmops_cli.evidence import (
    DIMENSIONS,
    Arrival,
    CallRecord,
    Filters,
    LogLine,
    Observation,
    Period,
    Slice,
    SourceState,
    Span,
    Thresholds,
    Window,
    bucket_length,
)
from llmops_cli.queries import (
    ARRIVALS,
    CELLS,
    DEMAND,
    FAILED,
    FEEDBACK,
    POINTS,
    SLOWEST,
    TOTALS,
    Statement,
    answers,
    joined,
    slices,
)
from llmops_cli.queries.relation import Relation, quoted
from llmops_cli.queries.statements import COLUMNS
from llmops_cli.sources import Refused, TraceLines
from llmops_cli.sources.sls.newest import RAW_SETTING, around, newest
from llmops_cli.sources.sls.rows import log_line, rows_of


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every statement of one question shares."""

    spans: dict[Period, Span]
    filters: Filters
    bucket_ms: int
    slow_ms: float


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The newest failed calls of a window, asked for beside its statements: an incident will want to show one."""

    span: Span
    filters: Filters
    answer: Pending[Rows]

    def covers(self, span: Span, filters: Filters) -> bool:
        """Whether the calls of these filters are among those asked for."""
        pairs = ((getattr(self.filters, name), getattr(filters, name)) for name in Filters.__slots__)
        return span == self.span and all(not own or (one and {*one} <= {*own}) for own, one in pairs)


_OVERVIEW = joined(TOTALS.name, TOTALS, POINTS)
_PAGE = 100
_MOST_PAGES = 20
_LEAST_PREFIX = 8
_MOST_MATCHES = 20
_PREFIX = re.compile(rf"[0-9A-Za-z][0-9A-Za-z_.-]{{{_LEAST_PREFIX - 1},}}", re.ASCII)
"""What "begins with" can be said of in search words: another character may end the word, and too few find too many."""
_DAY_S = 86_400
_MINUTE_MS = _SILENT_MS = 60_000
_GAPS, _LEAST_GAP_MS = 20, 60_000
"""A log whose first call comes later than so many usual gaps, and a minute, into what was read begins there."""


class SlsSource:
    """A logstore, asked SQL. `fields` maps canonical names to its keys; `now_ms` is the end of what is known.

    All questions have one deadline, `timeout_s` after the first. Raises `SourceError` with the setting to mend.
    """

    name = "sls"
    remote = True

    def __init__(
        self,
        service: LogService,
        project: str,
        logstore: str,
        *,
        now_ms: int,
        timeout_s: float,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        self._service, self._project, self._logstore = service, project, logstore
        self._now_ms, self._timeout_s = now_ms, timeout_s
        self._relation = Relation(keys=dict(fields or {}))
        self._doubts: list[str] = []
        self._remarks: list[str] = []
        self._newest = ""
        self._newest_log_ms: int | None = None
        self._ahead: _Ahead | None = None

    @cached_property
    def _deadline(self) -> Deadline:
        return Deadline(self._timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held that the end of the program does not give back."""

    def newest_ms(self) -> int | None:
        """Give the time of the newest log where it was looked for, else that of asking: a logstore is written now."""
        return self._now_ms if self._newest_log_ms is None else self._newest_log_ms

    def oldest_ms(self) -> int | None:
        """Give None: what a logstore reaches back to is seen in the answers."""
        return None

    def bytes_of(self, span: Span) -> int:  # noqa: ARG002 - an index makes every span cheap
        """Give 0; see `CallSource`."""
        return 0

    def observe(
        self,
        window: Window,
        filters: Filters,
        thresholds: Thresholds,
        between: Span | None = None,
        *,
        brief: bool = False,
    ) -> Observation:
        """Send every statement at once; see `CallSource`."""
        spans = _spans(window)
        if between is not None and between.ms > 0:
            spans["between"] = between
        asked = (TOTALS, CELLS, FEEDBACK) if brief else (_OVERVIEW, DEMAND, CELLS, FEEDBACK)
        if not brief:
            self._ask_ahead(window.span, filters)
        rows = self._asked(asked, spans, filters, bucket_length(window.span.ms), thresholds.p95_ms.warning)
        if not brief:
            rows |= answers.divided(_OVERVIEW, rows[_OVERVIEW.name])
        seen = [row[-2:] for row in rows[CELLS.name]]
        oldest = _begins_ms(rows[CELLS.name], min(span.start_ms for span in spans.values()))
        if oldest is not None and "before" in spans and oldest >= spans["before"].end_ms:
            del spans["before"]
        last_ms = max((last for _, last in seen), default=None)
        observation = replace(
            answers.observation(rows, window, filters, spans, oldest_ms=oldest), newest_call_ms=last_ms
        )
        # What is silent at its end may have stopped, or not have been shipped yet: then nobody stopped calling.
        silent = not window.explicit and last_ms is not None and window.span.end_ms - last_ms > _SILENT_MS
        return self._with_newest(observation) if not brief and (silent or not observation.now.calls) else observation

    def slices(self, window: Window, filters: Filters, by: Sequence[str]) -> tuple[Slice, ...]:
        """Count per combination of the values of `by`; see `CallSource`."""
        statement = slices(by)
        rows = self._asked((statement,), _spans(window), filters)
        return answers.sliced(by, answers.named(statement, rows))

    def arrivals(self, window: Window, filters: Filters, refused: Refused) -> tuple[Arrival, ...]:
        """Give every call of the window by the time it was sent; see `CallSource`."""
        rows = self._asked((ARRIVALS,), {"now": window.span}, filters)[ARRIVALS.name]
        return answers.arrivals(rows, refused)

    def failures(self, window: Window, filters: Filters, limit: int = 100) -> tuple[CallRecord, ...]:
        """Give the newest failed calls of the window, newest first."""
        if (known := self._failed_ahead(window.span, filters, limit)) is not None:
            return known
        rows = self._asked((replace(FAILED, most=limit),), {"now": window.span}, filters)[FAILED.name]
        return tuple(CallRecord(*row) for row in rows)

    def slowest(self, window: Window, filters: Filters, limit: int = 10) -> tuple[CallRecord, ...]:
        """Give the successful calls of the window that took longest, the longest first."""
        rows = self._asked((replace(SLOWEST, most=limit),), {"now": window.span}, filters)[SLOWEST.name]
        return tuple(CallRecord(*row) for row in rows)

    def trace(self, trace_id: str, window: Window | None) -> TraceLines:
        """Find a trace by index search: in the window, else in the last 24 hours, else in the last 7 days."""
        wanted = trace_id.strip()
        if any("\udc80" <= char <= "\udcff" for char in wanted):
            raise UsageError("bad_value", f'"{wanted[:60]}" is not UTF-8', "give the id as it stands in the log")
        if not any(map(str.isalnum, wanted)):
            raise UsageError("bad_value", f'"{wanted[:60]}" has no letter and no digit', "give the id of a trace")
        if len(wanted) < _LEAST_PREFIX:
            raise UsageError(
                "short_trace_id",
                f"{wanted!r} has fewer than {_LEAST_PREFIX} characters",
                "give more of the trace id, or the whole request id",
            )
        if window is not None:
            return self._found(wanted, _seconds(window.span))
        end = self._now_ms // 1000 + 1
        found = self._found(wanted, (end - _DAY_S, end))
        if found.lines or found.matches:
            self._remarks.append("searched the last 24 hours")
            return found
        self._remarks.append("searched the last 7 days")
        return self._found(wanted, (end - 7 * _DAY_S, end))

    def states(self) -> tuple[SourceState, ...]:
        """Say how far the answers so far can be trusted."""
        where = f"{self._project}/{self._logstore}"
        detail = "; ".join([where, *dict.fromkeys((*filter(None, [self._newest]), *self._doubts, *self._remarks))])
        return (SourceState(self.name, "partial" if self._doubts else "ok", detail),)

    def _with_newest(self, observation: Observation) -> Observation:
        """Say of a window that is silent at its end how old the newest log is: the one question more that tells why."""
        try:
            answer = self._page(
                "*", around(self._now_ms), read=lambda rows: (newest(rows, self._relation.name),), newest_first=True
            )
        except SourceError as error:
            self._newest = f"newest log: {error.message}"
            return observation
        [found] = answer.rows
        window = observation.window
        said = found.said(window.at(self._now_ms))
        self._newest = said if found.log_ms is None else f"newest log {said}"
        if found.log_ms is None:
            return observation
        if found.log_ms > self._now_ms + _MINUTE_MS:
            self._newest += ": is the time zone right in which its times are read?"
        if found.only_raw and not self._relation.raw:
            self._doubts.append(f'calls stand in the key "message", which is not read: {RAW_SETTING}')
        known = [ms for ms in (observation.newest_call_ms, found.call_ms) if ms is not None]
        self._newest_log_ms = min(found.log_ms, self._now_ms)
        return replace(
            observation,
            newest_call_ms=max(known, default=None),
            window=replace(window, log_ends_ms=self._newest_log_ms),
        )

    def _ask_ahead(self, span: Span, filters: Filters) -> None:
        if self._ahead is None or not self._ahead.covers(span, filters):
            self._ahead = _Ahead(span, filters, self._send(FAILED, _Asked({"now": span}, filters, 1, 0)))

    def _failed_ahead(self, span: Span, filters: Filters, limit: int) -> tuple[CallRecord, ...] | None:
        """Give failed calls from what was asked ahead; None where it does not hold enough of them."""
        if self._ahead is None or not self._ahead.covers(span, filters):
            return None
        try:
            rows = self._received(FAILED, self._ahead.answer)
        except SourceError:  # asked again by itself, it says why or leaves out a field
            self._ahead = None
            return None
        wanted = [(name, values) for name in Filters.__slots__ if (values := getattr(filters, name))]
        found = [call for call in starmap(CallRecord, rows) if all(getattr(call, n) in values for n, values in wanted)]
        return tuple(found[:limit]) if len(rows) < FAILED.most or len(found) >= limit else None

    def _asked(
        self,
        statements: Sequence[Statement],
        spans: dict[Period, Span],
        filters: Filters,
        bucket_ms: int = 1,
        slow_ms: float = 0,
    ) -> dict[str, list[tuple[Any, ...]]]:
        """Ask statements side by side. What fails is raised, unless the answer means something without it."""
        asked = _Asked(spans, filters, bucket_ms, slow_ms)
        found: dict[str, list[tuple[Any, ...]]] = {}
        left = list(statements)
        for _ in _FIELDS:  # every further round has at least one field less to name
            sent = {one.name: self._send(one, asked) for one in left}
            missing: dict[str, str] = {}
            for one in left:
                try:
                    found[one.name] = self._received(one, sent[one.name])
                except MissingFieldError as error:
                    missing[one.name] = self._canonical(error)
                except SourceError as error:
                    if one not in (DEMAND, FEEDBACK):
                        self._doubts.append(f"not everything was asked: {error.message}")  # what was told before may do
                        raise
                    self._doubts.append(f"{one.name}: {error.message}")
                    found[one.name] = []
            left = [one for one in left if one.name in missing]
            if not left:
                break
            lacking = self._relation.lacking | set(missing.values()) | self._not_indexed()
            self._relation = replace(self._relation, lacking=lacking)
            self._refuse_no_calls(lacking)
        unknown = self._relation.knows_not({name for one in statements for name in one.reads})
        self._remarks += [f"not in the index, so not known: {text}" for text in unknown]
        return found

    def _refuse_no_calls(self, lacking: frozenset[str]) -> None:
        """Refuse to count the lines of a logstore that has no field of a call: each of them would be one."""
        if self._relation.raw or not lacking >= {*DIMENSIONS, "duration_ms"}:
            return
        raise SourceError(
            "sls_fields",
            f'the index of logstore "{self._logstore}" has no field of a call: neither duration_ms nor app, module, '
            "model or workspace",
            "llmops collect init --yes completes the index"
            if "message" in lacking
            else f"where it holds the raw message, {RAW_SETTING}",
        )

    def _not_indexed(self) -> set[str]:
        """Name the fields that the index lacks; nothing where it may not be read: statements then tell one by one."""
        ask = partial(self._service.sdk.get_index_config, self._project, self._logstore)
        try:
            answer = self._service.sent(ask, self._project, self._logstore, self._deadline)
        except SourceError:
            return set()
        return self._relation.not_indexed(answer.get_index_config().to_json())

    def _send(self, statement: Statement, asked: _Asked) -> Pending[Rows]:
        relation, spans = replace(self._relation, filters=asked.filters), asked.spans
        text = f"{relation.search()} | {statement.text(relation, spans, asked.bucket_ms, asked.slow_ms).strip()}"
        whole = Span(min(span.start_ms for span in spans.values()), max(span.end_ms for span in spans.values()))
        return self._service.asking(
            self._project, self._logstore, text, _seconds(whole), self._deadline, read=partial(rows_of, statement)
        )

    def _received(self, statement: Statement, pending: Pending[Rows]) -> list[tuple[Any, ...]]:
        answer = self._service.awaited(pending, self._deadline)
        self._doubt_coverage(statement.name, answer)
        if len(answer.rows) == statement.most and statement.name not in (FAILED.name, SLOWEST.name):
            what = "first calls" if statement is ARRIVALS else "largest groups"
            self._doubts.append(f"{statement.name}: only the {statement.most:,} {what} were read")
        return list(answer.rows)

    def _doubt_coverage(self, name: str, answer: Rows) -> None:
        """Say what an answer covers that came from a part of the logs."""
        if not answer.complete:
            part = "a part of the logs was" if answer.looked_at is None else f"{answer.looked_at:,} logs were"
            self._doubts.append(f"{name}: only {part} looked at before the deadline")

    def _canonical(self, error: MissingFieldError) -> str:
        """Name the field that a key of the logstore stands for."""
        ours = next((name for name in _FIELDS if self._relation.name(name) == error.key), None)
        if ours is None or ours in self._relation.lacking or ours == "message":
            raise error
        return ours

    def _found(self, wanted: str, seconds: tuple[int, int]) -> TraceLines:
        key = self._relation.name("trace_id")
        whole = self._lines(f"{key}: {quoted(wanted)}", seconds, lambda line: line.trace_id == wanted)
        if whole:
            return TraceLines(wanted, tuple(whole))
        ids: list[str] = []
        if (prefix := _PREFIX.match(wanted)) is not None:
            some = self._lines(f"{key}: {prefix[0]}*", seconds, lambda line: line.trace_id.startswith(wanted))
            ids = sorted({line.trace_id for line in some})
        if not ids:
            called = self._lines(
                f"{self._relation.name('request_id')}: {quoted(wanted)}",
                seconds,
                lambda line: line.call is not None and line.call.request_id == wanted and bool(line.trace_id),
            )
            ids = sorted({line.trace_id for line in called})
        if len(ids) == 1 and ids != [wanted]:
            return self._found(ids[0], seconds)
        return TraceLines(wanted, (), tuple(ids)[:_MOST_MATCHES])

    def _lines(self, search: str, seconds: tuple[int, int], kept: Callable[[LogLine], bool]) -> list[LogLine]:
        """Read the logs that a search finds, page by page, in the order of their time."""
        store = f"{self._project}/{self._logstore}"
        lines: list[LogLine] = []

        def read(rows: Sequence[Mapping[str, str]]) -> list[LogLine]:
            return [log_line(row, self._relation.name, store) for row in rows]

        for page in range(_MOST_PAGES):
            answer = self._page(search, seconds, read=read, offset=page * _PAGE)
            self._doubt_coverage("trace", answer)
            lines += [line for line in answer.rows if kept(line)]
            if len(answer.rows) < _PAGE:
                break
        else:
            self._doubts.append(f"trace: only the first {_PAGE * _MOST_PAGES:,} logs were read")
        return sorted(lines, key=lambda line: line.time_ms)

    def _page(self, search: str, seconds: tuple[int, int], **how: Any) -> Rows:
        """Read a page of the logs that a search finds."""
        return self._service.query(self._project, self._logstore, search, seconds, self._deadline, line=_PAGE, **how)


_FIELDS = (*COLUMNS, "message")
"""What a key of the logstore may stand for."""


def _spans(window: Window) -> dict[Period, Span]:
    """Give the window and, where it has one, its baseline."""
    spans: dict[Period, Span] = {"now": window.span}
    if window.baseline is not None:
        spans["before"] = window.baseline
    return spans


def _seconds(span: Span) -> tuple[int, int]:
    """Give a span in whole seconds around it, as Log Service takes it."""
    return span.start_ms // 1000, -(-span.end_ms // 1000)


def _begins_ms(rows: Sequence[tuple[Any, ...]], start_ms: int) -> int | None:
    """Tell where the log begins inside what was read; None when it reaches back further, as far as can be seen."""
    if not rows:
        return None
    first, last = min(row[-2] for row in rows), max(row[-1] for row in rows)
    calls = sum(row[CELLS.columns.index("calls")] for row in rows)
    gap = (last - first) / calls
    return first if first - start_ms > max(_LEAST_GAP_MS, _GAPS * gap) else None
