"""Where in a file a span of time is: log times are almost sorted, so seek, and verify.

Lines of busy applications are written a little out of order. `SLACK_MS` around the span is read too and the exact times
decide. A file whose times go backwards by more than that is not sorted: it is read whole, and the source says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmops_cli.evidence import Span
from llmops_cli.sources.local.format import LogFormat
from llmops_cli.sources.local.plain import PlainFile

SLACK_MS = 60_000
"""How far a line may stand from its place, in ms: a minute covers buffered appenders and merged pods."""
SMALL = 8 << 20
"""Bytes that are read whole rather than searched."""
_PROBES = 64
_BLOCK = 32 << 10
_LONGEST_SEARCH = 64 << 20
_HEADER_BYTES = 8192


@dataclass(slots=True)
class Timeline:
    """The times of one file: of its first and last lines with a header, and whether they are sorted."""

    plain: PlainFile
    format: LogFormat

    def time_of(self, raw: bytes) -> int | None:
        """Read the time of one raw line, ms since the epoch; None when it has no header."""
        return self.format.time_ms(self.plain.text(raw[:_HEADER_BYTES] if self.plain.framing is None else raw))

    def first(self) -> int | None:
        """Time of the first line with a header."""
        found = self._after(self.plain.start, self.plain.size)
        return None if found is None else found[1]

    def last(self) -> int | None:
        """Newest time near the end of the file, looking back as far as the last line with a header is."""
        end, length = self.plain.size, _BLOCK * 4
        while True:
            start = max(self.plain.start, end - length)
            times = [time for _, time in self._times(start, end)]
            if times:
                return max(times)
            if start <= self.plain.start or length > _LONGEST_SEARCH:
                return None
            length *= 4

    def is_sorted(self) -> bool:
        """Probe the file at equal distances: times may not go backwards by more than `SLACK_MS`."""
        if self.plain.size <= SMALL:
            return True  # read whole anyway
        step = self.plain.size // _PROBES
        newest = -(1 << 62)
        for at in range(0, self.plain.size, step):
            found = self._after(at, min(self.plain.size, at + step))
            if found is None:
                continue
            if found[1] < newest - SLACK_MS:
                return False
            newest = max(newest, found[1])
        last = self.last()
        return last is None or last >= newest - SLACK_MS

    def bytes_of(self, span: Span) -> tuple[int, int]:
        """Give the byte range `[start, end)` of whole lines that holds every line of `span` in a sorted file."""
        if self.plain.size <= SMALL:
            return self.plain.start, self.plain.size
        start = self._seek(span.start_ms - SLACK_MS, self.plain.start)
        end = self._seek(span.end_ms + SLACK_MS, start)
        return start, self._line_end(end + _BLOCK)

    def _seek(self, time_ms: int, low: int) -> int:
        """Find a line start at most a block before the first line at or after `time_ms`."""
        high = self.plain.size
        while high - low > _BLOCK:
            middle = (low + high) // 2
            found = self._after(middle, high)
            if found is None or found[1] >= time_ms:
                high = middle
            else:
                low = found[0]
        return low

    def _after(self, at: int, end: int) -> tuple[int, int] | None:
        """Find the first line with a header that starts in `[at, end)`: its offset and time."""
        searched = 0
        while at < end and searched < _LONGEST_SEARCH:
            upto = min(end, at + _BLOCK)
            for offset, time in self._times(at, upto):
                return offset, time
            searched += upto - at
            at = upto
        return None

    def _times(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Give offset and time of every line with a header that starts in `[start, end)`."""
        block = self.plain.read(max(self.plain.start, start - 1), end + _HEADER_BYTES)
        base = max(self.plain.start, start - 1)
        at = 0 if start <= self.plain.start else block.find(b"\n") + 1
        if at == 0 and start > self.plain.start:
            return
        while base + at < end and at < len(block):
            newline = block.find(b"\n", at)
            raw = block[at : newline if newline >= 0 else len(block)]
            time = self.time_of(raw) if raw else None
            if time is not None:
                yield base + at, time
            if newline < 0:
                return
            at = newline + 1

    def _line_end(self, at: int) -> int:
        """Give the end of the line that holds byte `at`."""
        while at < self.plain.size:
            block = self.plain.read(at, at + _BLOCK)
            newline = block.find(b"\n")
            if newline >= 0:
                return at + newline + 1
            if not block:
                break  # the file shrank meanwhile
            at += len(block)
        return self.plain.size
