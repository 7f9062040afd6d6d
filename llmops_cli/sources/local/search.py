"""Find a trace: bytes first, as `grep -F` does, and only the events that hold them are parsed."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence

from llmops_cli.calls.events import read_events
from llmops_cli.errors import UsageError
from llmops_cli.evidence import LogLine, Span
from llmops_cli.sources import TraceLines
from llmops_cli.sources.local.format import LogFormat
from llmops_cli.sources.local.logset import Entry
from llmops_cli.sources.local.meter import Advance, Meter
from llmops_cli.sources.local.plain import PlainFile

SHORTEST_PREFIX = 8
_MOST_MATCHES = 20
_EVENT_BYTES = 256 << 10
_STRETCH = 64 << 20


def search(entries: Sequence[Entry], wanted: str, log_format: LogFormat, span: Span | None, meter: Meter) -> TraceLines:
    """Find the lines of a trace by its id, by a prefix of it, or by the request id of one of its calls.

    Raises `UsageError` for a prefix shorter than `SHORTEST_PREFIX`.
    """
    wanted = wanted.strip()
    if len(wanted) < SHORTEST_PREFIX:
        raise UsageError(
            "short_trace_id",
            f"{wanted!r} has fewer than {SHORTEST_PREFIX} characters",
            "give more of the trace id, or the whole request id",
        )
    hits = [line for entry in entries for line in _hits(entry, wanted, log_format, span, meter)]
    ids = {line.trace_id for line in hits if line.trace_id.startswith(wanted)}
    if wanted in ids:
        ids = {wanted}
    if not ids:
        called = {line.trace_id for line in hits if line.call and line.call.request_id == wanted and line.trace_id}
        if len(called) != 1:
            return TraceLines(wanted, (), tuple(sorted(called))[:_MOST_MATCHES])
        return search(entries, called.pop(), log_format, span, meter)
    if len(ids) > 1:
        return TraceLines(wanted, (), tuple(sorted(ids))[:_MOST_MATCHES])
    trace_id = ids.pop()
    lines = sorted((line for line in hits if line.trace_id == trace_id), key=lambda line: line.time_ms)
    return TraceLines(trace_id, tuple(lines))


def _hits(entry: Entry, wanted: str, log_format: LogFormat, span: Span | None, meter: Meter) -> Iterator[LogLine]:
    """Give every event whose first line holds `wanted`, with its continuation lines."""
    file, timeline = entry.plain, entry.timeline
    if file is None or timeline is None or file.size == 0:
        return
    whole = (file.start, file.size)
    start, end = timeline.bytes_of(span) if span and entry.sorted and entry.first_ms is not None else whole
    with meter(f"searching {file.name}", end - start) as advance:
        events = (
            _seek(file, wanted, log_format, (start, end), advance)
            if file.is_text
            else _sift(file, wanted, log_format, (start, end))
        )
        for line in events:
            if span is None or span.start_ms <= line.time_ms < span.end_ms:
                yield line


def _sift(file: PlainFile, wanted: str, log_format: LogFormat, part: tuple[int, int]) -> Iterator[LogLine]:
    """Parse every event of a file whose bytes are not plain lines."""
    for line in read_events(file.lines(*part), log_format.pattern, log_format.zone, file=file.name):
        if wanted in line.trace_id or (line.call and line.call.request_id == wanted):
            yield line


def _seek(
    file: PlainFile, wanted: str, log_format: LogFormat, part: tuple[int, int], advance: Advance
) -> Iterator[LogLine]:
    """Search the bytes of a UTF-8 file."""
    start, end = part
    needle = wanted.encode("utf-8", "surrogateescape")
    with mmap.mmap(file.file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        at = start
        while at < end:
            found = view.find(needle, at, min(end, at + _STRETCH + len(needle)))
            if found < 0:
                advance(min(_STRETCH, end - at))
                at += _STRETCH
                continue
            line_start = view.rfind(b"\n", start, found) + 1 or start
            line_end = view.find(b"\n", found)
            after = line_end + 1 if line_end >= 0 else end
            advance(after - at)
            at = after
            first_end = min(after, line_start + _EVENT_BYTES)
            if log_format.header(_text(view[line_start:first_end])) is not None:
                text = _event(view, line_start, first_end, after, log_format)
                yield from read_events(text, log_format.pattern, log_format.zone, file=file.name)


def _event(view: mmap.mmap, start: int, first_end: int, at: int, log_format: LogFormat) -> list[str]:
    """Give the event's first line and the lines that continue it, up to the next header."""
    lines = [_text(view[start:first_end])]
    size = first_end - start
    while size < _EVENT_BYTES and at < len(view):
        newline = view.find(b"\n", at)
        stop = newline + 1 if newline >= 0 else len(view)
        line = _text(view[at : min(stop, at + _EVENT_BYTES)])
        if log_format.header(line) is not None:
            break
        lines.append(line)
        size += stop - at
        at = stop
    return lines


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\0", "").rstrip("\r\n")
