"""Local log files as a source of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Self, TypeVar

from llmops_cli.calls.pattern import STANDARD_PATTERN, PatternError, compile_pattern
from llmops_cli.errors import SourceError, UsageError
from llmops_cli.evidence import (
    DIMENSIONS,
    Arrival,
    CallRecord,
    Filters,
    Observation,
    Period,
    Slice,
    SourceState,
    Span,
    Thresholds,
    Window,
    bucket_length,
)
from llmops_cli.queries import CELLS, DEMAND, DUCKDB, FEEDBACK, POINTS, TOTALS, Statement, answers, slices
from llmops_cli.queries.statements import SUCCESS
from llmops_cli.sources import Refused, TraceLines
from llmops_cli.sources.local import dictionary, load
from llmops_cli.sources.local.format import LogFormat
from llmops_cli.sources.local.logset import Entry, LogSet, no_header, odd_times
from llmops_cli.sources.local.meter import Meter, following, no_advance, no_meter
from llmops_cli.sources.local.plain import PlainFile
from llmops_cli.sources.local.reader import Reader
from llmops_cli.sources.local.search import hits, search
from llmops_cli.sources.local.statement import written_twice
from llmops_cli.sources.local.timeline import Timeline, Trusted

if TYPE_CHECKING:
    import duckdb

_MOST_TOLD = 5
"""Doubts that are told one by one."""


Part = tuple[PlainFile, int, int]
"""A range of bytes of a file."""
Answer = TypeVar("Answer")


class LocalSource:
    """Log files, read by windows: what is asked for is parsed into DuckDB once, and only that.

    `paths`: files, globs, directories or `-`; `pattern`: the Logback pattern of the header, `pattern_from`: what an
    error calls it; `zone`: of times that are written without one. `meter` shows a long read to whoever waits. Raises
    `UsageError` for a pattern that does not compile or an unknown encoding, `SourceError` for what cannot be read.
    """

    name = "local"
    remote = False

    def __init__(
        self,
        paths: Sequence[str],
        *,
        zone: tzinfo,
        pattern: str = STANDARD_PATTERN,
        pattern_from: str = "--pattern",
        encoding: str | None = None,
        meter: Meter = no_meter,
    ) -> None:
        try:
            self._format = LogFormat(compile_pattern(pattern), zone)
        except PatternError as error:
            raise UsageError(
                "bad_pattern", f"{pattern_from}: {error}", "copy it from the appender in logback.xml"
            ) from error
        self._meter = meter
        self._con = _connect()
        load.create_table(self._con)
        self._covered: list[Span] = []
        self._learnt = False
        self._unparsed: list[tuple[int | None, str]] = []
        self._capped: set[str] = set()
        self._trusted = Trusted.now()
        try:
            self._logs = LogSet(paths, self._format, encoding, self._bounds, self._trusted, meter)
        except BaseException:
            self._con.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give files, temporary copies and the database back."""
        self._logs.close()
        self._con.close()

    def newest_ms(self) -> int | None:
        """Time of the newest line with a header; None when no line has one."""
        return self._logs.newest_ms

    def oldest_ms(self) -> int | None:
        """Time of the oldest line with a header; None when no line has one."""
        return self._logs.oldest_ms

    def observe(
        self,
        window: Window,
        filters: Filters,
        thresholds: Thresholds,
        between: Span | None = None,
        *,
        brief: bool = False,
    ) -> Observation:
        """Read everything that `status` decides from; see `CallSource`."""
        spans = self._spans(window, between)
        self._prepare(spans, filters)
        asked = (TOTALS, CELLS, FEEDBACK) if brief else (TOTALS, DEMAND, POINTS, CELLS, FEEDBACK)
        bucket, slow = bucket_length(window.span.ms), thresholds.p95_ms.warning
        rows = {statement.name: self._rows(statement, spans, bucket, slow) for statement in asked}
        newest = self._con.execute("select max(time_ms) from calls where duration_ms is not null").fetchone()
        unparsed = [
            text for time, text in self._unparsed if time is None or window.span.start_ms <= time < window.span.end_ms
        ]
        return replace(
            answers.observation(rows, window, filters, spans, oldest_ms=self.oldest_ms()),
            unparsed=len(unparsed),
            unparsed_samples=tuple(unparsed[:3]),
            newest_call_ms=newest[0] if newest else None,
        )

    def bytes_of(self, span: Span) -> int:
        """Give the bytes of log that hold `span`."""
        return sum(
            end - start for _, start, end in Reader(self._format, copy=False).parts(self._logs.holding(span), span)
        )

    def slices(self, window: Window, filters: Filters, by: Sequence[str]) -> tuple[Slice, ...]:
        """Count calls and failures per combination of the values of `by`; see `CallSource`."""
        spans = self._spans(window)
        self._prepare(spans, filters)
        statement = slices(by)
        return answers.sliced(by, answers.named(statement, {statement.name: self._rows(statement, spans)}))

    def arrivals(self, window: Window, filters: Filters, refused: Refused) -> tuple[Arrival, ...]:
        """Give every call of the window by the time it was sent; `refused` tells a rate limit's answer."""
        self._prepare(self._spans(window), filters)
        rows = self._con.execute(
            "select time_ms - duration_ms, model, workspace, total_tokens, duration_ms, status_code, error_code, "
            "error_message from log where duration_ms is not null and time_ms >= ? and time_ms < ? order by 1",
            [window.span.start_ms, window.span.end_ms],
        ).fetchall()
        return answers.arrivals(rows, refused)

    def run(self, text: str, span: Span, filters: Filters) -> list[tuple[Any, ...]]:
        """Run a text of DuckDB over the calls of `span`; the relation `log` holds at least these (alert rules)."""
        self._prepare({"now": span}, filters)
        return self._con.execute(text).fetchall()

    def failures(self, window: Window, filters: Filters, limit: int = 100) -> tuple[CallRecord, ...]:
        """Give the newest failed calls of the window, newest first."""
        self._prepare(self._spans(window), filters)
        rows = self._con.execute(
            "select time_ms, app, module, model, workspace, request_id, status_code, duration_ms, input_tokens, "
            "output_tokens, total_tokens, error_code, error_message, head from log "
            "where head is not null and duration_ms is not null and time_ms >= ? and time_ms < ? "
            "order by time_ms desc limit ?",
            [window.span.start_ms, window.span.end_ms, limit],
        ).fetchall()
        return tuple(self._record(row) for row in rows)

    def slowest(self, window: Window, filters: Filters, limit: int = 10) -> tuple[CallRecord, ...]:
        """Give the successful calls that took longest, the longest first; their ids are read from the files again."""
        self._prepare(self._spans(window), filters)
        rows = self._con.execute(
            f"select time_ms, duration_ms, app, module, model, workspace from log where {SUCCESS} "
            "and duration_ms is not null and time_ms >= ? and time_ms < ? order by duration_ms desc, time_ms limit ?",
            [window.span.start_ms, window.span.end_ms, limit],
        ).fetchall()
        found = (self._call(*row) for row in rows)
        return tuple(call for call in found if call is not None)

    def _call(self, time_ms: int, duration_ms: int, *where: str) -> CallRecord | None:
        """Read a call as it was logged, found by when it was and how long it took."""
        span = Span(time_ms, time_ms + 1)
        lines = (
            line
            for entry in self._logs.holding(span)
            for line in hits(entry, f",{duration_ms},", self._format, span, self._meter)
        )
        calls = (line.call for line in lines if line.call is not None and line.call.duration_ms == duration_ms)
        return next((one for one in calls if [one.app, one.module, one.model, one.workspace] == [*where]), None)

    def trace(self, trace_id: str, window: Window | None) -> TraceLines:
        """Find a trace; see `CallSource`."""
        entries = self._logs.holding(window.span if window else None)
        return search(entries, trace_id, self._format, window.span if window else None, self._meter)

    def states(self) -> tuple[SourceState, ...]:
        """Say how far the answers so far can be trusted: one state, with every reason in its detail."""
        opened = [entry for entry in self._logs.entries if entry.plain]
        names = [entry.found.name for entry in self._logs.entries]
        where = names[0] if len(names) == 1 else f"{len(names)} files ({names[0]}, …)"
        doubts = [*self._logs.passed_over]
        doubts += [
            f"{entry.found.name}: {note}" for entry in opened for note in (entry.plain.doubts() if entry.plain else ())
        ]
        if missing := no_header(opened, self._format):
            doubts.append(missing)
        doubts += sorted(self._capped)
        remarks = [f"{entry.found.name}: times are not sorted; read whole" for entry in opened if not entry.sorted]
        remarks += odd_times(opened, self._trusted)
        detail = "; ".join([where, *_some(doubts), *_some(remarks)])
        return (SourceState(self.name, "partial" if doubts else "ok", detail),)

    def size(self) -> int:
        """Bytes of the log files that were opened."""
        return self._logs.size

    def _spans(self, window: Window, between: Span | None = None) -> dict[Period, Span]:
        spans: dict[Period, Span] = {"now": window.span}
        oldest = self.oldest_ms()
        if window.baseline is not None and oldest is not None and oldest < window.baseline.end_ms:
            spans["before"] = window.baseline
        if between is not None and between.ms > 0:
            spans["between"] = between
        return spans

    def _prepare(self, spans: dict[Period, Span], filters: Filters) -> None:
        """Load what is missing of `spans`, and narrow the relation `log` to `filters`."""
        self._load(spans.values())
        self._con.execute("create or replace temp table keep (dimension varchar, value varchar)")
        rows = [(name, value) for name in (*DIMENSIONS, "error_code") for value in getattr(filters, name)]
        if rows:
            self._con.executemany("insert into keep values (?, ?)", rows)
        kept = [
            f"{name} in (select value from keep where dimension = '{name}')"
            for name in DIMENSIONS
            if getattr(filters, name)
        ]
        if filters.error_code:
            kept.append("(kind = 2 or error_code in (select value from keep where dimension = 'error_code'))")
        self._con.execute(load.VIEW.format(kept=" and ".join(kept) or "true"))

    def _load(self, spans: Iterable[Span]) -> None:
        """Parse the lines of `spans` that are not in the table yet; what touches is read in one go."""
        for part in _joined(part for span in spans for part in _missing(span, self._covered)):
            odd = self._parse(self._logs.holding(part), part)
            self._unparsed += odd.unparsed
            if odd.left_out:
                self._capped.add(f"{odd.left_out:,} odd lines could not be judged")
            self._covered.append(part)
            for twice in written_twice(self._format, part):
                at = datetime.fromtimestamp(twice.start_ms / 1000, self._format.zone)
                self._capped.add(f"the clock was set back: times from {at:%Y-%m-%d %H:%M} on stand twice, read as one")

    def _parse(self, entries: Sequence[Entry], span: Span) -> load.Odd:
        """Parse the lines of `span`, some files at a time: each of them takes descriptors."""
        times = [ms for e in entries for ms in (e.oldest_ms, e.newest_ms) if ms is not None]
        known = Span(min(times, default=span.start_ms), max(times, default=span.end_ms))
        odd, step = load.Odd(), max(1, self._logs.shelf.room // 2)
        for at in range(0, len(entries), step):
            more = self._parse_some(entries[at : at + step], span, known)
            odd.unparsed += more.unparsed
            odd.left_out += more.left_out
        return odd

    def _parse_some(self, entries: Sequence[Entry], span: Span, known: Span) -> load.Odd:
        def read(reader: Reader, parts: Sequence[Part]) -> load.Odd:
            size = sum(end - start for _, start, end in parts)
            with self._meter(f"reading {entries[0].found.name}", size) as advance:
                paths = [reader.path(*part, no_advance) for part in parts]
                if size >= dictionary.WORTH_BYTES and not self._learnt:
                    dictionary.learn(self._con, reader.sample(parts), self._format)
                self._learnt = True
                with following(self._con, size, advance):
                    return load.load(self._con, paths, reader.format, span, known, sound=reader.sound)

        return self._tried(entries, span, read) or load.Odd()

    def _bounds(self, file: PlainFile, timeline: Timeline) -> tuple[int, int] | None:
        """Read the exact first and last time of a small or unsorted file."""
        year = 366 * 86_400_000
        known = Span(timeline.about() - 20 * year, timeline.about() + 20 * year)

        def read(reader: Reader, parts: Sequence[Part]) -> tuple[int, int] | None:
            paths = [reader.path(*part, no_advance) for part in parts]
            return load.bounds(self._con, paths, reader.format, known, sound=reader.sound)

        return self._tried([Entry(None, file, timeline, sorted=False)], None, read)  # type: ignore[arg-type]

    def _tried(
        self, entries: Sequence[Entry], span: Span | None, read: Callable[[Reader, Sequence[Part]], Answer]
    ) -> Answer | None:
        """Read the files as they are, and clean copies of them if they are not clean; None where there is nothing."""
        for dirty in (False, True):
            reader = Reader(self._format, copy=dirty)
            parts = reader.parts(entries, span)
            try:
                return read(reader, parts) if parts else None
            except load.unreadable() as error:
                if dirty:
                    raise _unreadable(parts[0][0], error) from error
            finally:
                reader.close()
        raise AssertionError

    def _record(self, row: tuple[Any, ...]) -> CallRecord:
        head = row[-1]
        header = self._format.header(head) or self._format.header(head + self._format.pattern.message_separator)
        return CallRecord(row[0], header.level.strip() if header else "", header.trace_id if header else "", *row[1:13])

    def _rows(self, statement: Statement, spans: dict[Period, Span], bucket: int = 1, slow: float = 0) -> list[Any]:
        rows = self._con.execute(statement.text(DUCKDB, spans, bucket, slow)).fetchall()
        if len(rows) == statement.most:
            self._capped.add(f"{statement.name}: only the {statement.most:,} largest groups were read")
        return rows


def _some(told: list[str]) -> list[str]:
    """Shorten what is said of a directory where everything is amiss."""
    more = len(told) - _MOST_TOLD
    return told if more <= 0 else [*told[:_MOST_TOLD], f"and {more:,} more"]


def _unreadable(file: PlainFile, error: Exception) -> SourceError:
    return SourceError("log_unreadable", f"{file.name}: {str(error).splitlines()[0]}")


def _connect() -> duckdb.DuckDBPyConnection:
    import duckdb  # noqa: PLC0415 - keeps `--help` free of it

    # No temporary directory: what does not fit into memory would be left on the disk, for all to read, by a process
    # that is killed.
    con = duckdb.connect(
        ":memory:",
        config={"preserve_insertion_order": "false", "autoinstall_known_extensions": "false", "temp_directory": ""},
    )
    con.execute("set autoload_known_extensions = false")
    return con


def _missing(span: Span, loaded: Sequence[Span]) -> Iterator[Span]:
    """Give the parts of `span` that no span of `loaded` covers."""
    at = span.start_ms
    for other in sorted(loaded, key=lambda s: s.start_ms):
        if other.start_ms > at:
            upto = min(other.start_ms, span.end_ms)
            if upto > at:
                yield Span(at, upto)
        at = max(at, other.end_ms)
        if at >= span.end_ms:
            return
    yield Span(at, span.end_ms)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Merge spans that overlap or touch."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start_ms):
        if joined and span.start_ms <= joined[-1].end_ms:
            joined[-1] = Span(joined[-1].start_ms, max(joined[-1].end_ms, span.end_ms))
        else:
            joined.append(span)
    return joined
