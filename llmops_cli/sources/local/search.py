"""Find a trace: bytes first, as `grep -F` does, and only the events that hold them are parsed."""

from __future__ import annotations

import os
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
_STRETCH = 4 << 20


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
    found = [line for entry in entries for line in hits(entry, wanted, log_format, span, meter)]
    ids = {line.trace_id for line in found if line.trace_id.startswith(wanted)}
    if wanted in ids:
        ids = {wanted}
    if not ids:
        called = {line.trace_id for line in found if line.call and line.call.request_id == wanted and line.trace_id}
        if len(called) != 1:
            return TraceLines(wanted, (), tuple(sorted(called))[:_MOST_MATCHES])
        return search(entries, called.pop(), log_format, span, meter)
    if len(ids) > 1:
        return TraceLines(wanted, (), tuple(sorted(ids))[:_MOST_MATCHES])
    trace_id = ids.pop()
    lines = sorted((line for line in found if line.trace_id == trace_id), key=lambda line: line.time_ms)
    return TraceLines(trace_id, tuple(lines))


def hits(entry: Entry, wanted: str, log_format: LogFormat, span: Span | None, meter: Meter) -> Iterator[LogLine]:
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
    """Search the bytes of a UTF-8 file. Reads rather than maps it: a mapped log that is truncated kills the reader."""
    start, end = part
    needle = wanted.encode("utf-8", "surrogateescape")
    buffer = bytearray(_STRETCH)
    view, at, done = memoryview(buffer), start, start
    while at < end and (size := os.preadv(file.fileno(), [view[: end - at]], at)):
        found = buffer.find(needle, 0, size)
        while found >= 0:
            hit = at + found
            if hit >= done:  # not inside a line that was read already
                first, done = _line_around(file, hit, start, end)
                if log_format.header(_text(first)) is not None:
                    event = [_text(first), *_continued(file, done, end, log_format)]
                    yield from read_events(event, log_format.pattern, log_format.zone, file=file.name)
            found = buffer.find(needle, found + 1, size)
        advance(size)
        at += size if at + size >= end else max(1, size - len(needle) + 1)


def _line_around(file: PlainFile, hit: int, start: int, end: int) -> tuple[bytes, int]:
    """Give the line that holds byte `hit` (its first `_EVENT_BYTES`), and where the next one begins."""
    begin, length = start, 4096
    while hit - length > start:
        newline = file.read(hit - length, hit).rfind(b"\n")
        if newline >= 0:
            begin = hit - length + newline + 1
            break
        length *= 4
    else:
        begin = start + file.read(start, hit).rfind(b"\n") + 1
    after = _next_line(file, hit, end)
    return file.read(begin, min(after, begin + _EVENT_BYTES)), after


def _next_line(file: PlainFile, at: int, end: int) -> int:
    while at < end:
        block = file.read(at, min(end, at + _EVENT_BYTES))
        newline = block.find(b"\n")
        if newline >= 0:
            return at + newline + 1
        if not block:
            break
        at += len(block)
    return end


def _continued(file: PlainFile, at: int, end: int, log_format: LogFormat) -> Iterator[str]:
    """Give the lines that continue an event, up to the next header."""
    block = file.read(at, min(end, at + _EVENT_BYTES))
    lines = block.split(b"\n")
    if len(block) == _EVENT_BYTES or not lines[-1]:
        lines.pop()  # torn by the limit, or what follows the last line break
    for raw in lines:
        line = _text(raw)
        if log_format.header(line) is not None:
            return
        yield line


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\0", "").rstrip("\r\n")
