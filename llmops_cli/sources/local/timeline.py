"""Where in a file a span of time is: log times are almost sorted, so seek, and verify.

Lines of busy applications are written a little out of order. `SLACK_MS` around the span is read too and the exact times
decide. A file whose times go backwards by more than that is not sorted: it is read whole, and the source says so. One
line of a broken clock, from 1970 or 2999, makes no file unsorted and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import time_ns

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
_NEIGHBOURS = 4 * _BLOCK
_FRAMED = rb"|\x1b|\xef\xbb\xbf|\[pod/|\{|[0-9]{4}-"
"""What may stand before the time of a single line: `calls.framing.bare` takes it off."""

_EARLIEST_MS = 1_136_073_600_000
"""2006-01-01, when Logback was born: an older time is that of a machine whose clock was not set."""
_SKEW_MS = 300_000
"""How far ahead of this machine's clock a line may be, in ms: five minutes, the skew that Kerberos allows too. A log
that is ahead by more was written by a broken clock, or in another zone than it is read in; neither may tell when the
log ends. It need be no wider for live logs: a window that reaches up to now needs no newer line to be known."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Times that a clock that is right can have written, `[start_ms, end_ms)`."""

    start_ms: int
    end_ms: int

    @classmethod
    def now(cls) -> Trusted:
        """Trust what this machine's clock allows."""
        return cls(_EARLIEST_MS, time_ns() // 1_000_000 + _SKEW_MS)

    def holds(self, time_ms: int) -> bool:
        """Tell whether a time can be right."""
        return self.start_ms <= time_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class Extent:
    """First and last time of any line with a header; `oldest_ms` and `newest_ms`: of those that can be trusted."""

    first_ms: int
    last_ms: int
    oldest_ms: int | None
    newest_ms: int | None


def extent_of(times: Iterable[int], trusted: Trusted) -> Extent | None:
    """Sum times up; None when there is none."""
    first = last = oldest = newest = None
    for time in times:
        first = time if first is None else min(first, time)
        last = time if last is None else max(last, time)
        if trusted.holds(time):
            oldest = time if oldest is None else min(oldest, time)
            newest = time if newest is None else max(newest, time)
    return None if first is None or last is None else Extent(first, last, oldest, newest)


@dataclass(slots=True)
class Timeline:
    """The times of one file: of its first and last lines with a header, and whether they are sorted."""

    plain: PlainFile
    format: LogFormat
    trusted: Trusted
    _next: re.Pattern[bytes] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        if self.format.pattern.time_first and self.plain.framing is None:
            time = self.format.pattern.time.regex.encode(self.plain.encoding)
            self._next = re.compile(rb"\n(?=\0*(?:" + time + _FRAMED + rb"))")

    def time_of(self, raw: bytes) -> int | None:
        """Read the time of one raw line, ms since the epoch; None when it has no header."""
        return self.format.time_ms(self.plain.text(raw[:_HEADER_BYTES] if self.plain.framing is None else raw))

    def about(self) -> int:
        """Give a time at which the log was written, 0 when no line has one."""
        found = self._after(self.plain.start, self.plain.size)
        return found[1] if found else max(self._tail(), default=0)

    def extent(self) -> Extent | None:
        """Find the first and last times of a sorted file near its ends; None when no line there has a header."""
        head, tail = self._head(), self._tail()
        sure = self.trusted
        oldest = [time for time in head if sure.holds(time)] or self._sure_near(sure.start_ms)
        newest = [time for time in tail if sure.holds(time)] or self._sure_near(sure.end_ms)
        return extent_of([*head, *tail, *oldest, *newest], sure)

    def whole_extent(self) -> Extent | None:
        """Read every line for the first and last times: slow, for a file that has times not to be trusted."""
        ranges = range(self.plain.start, self.plain.size, SMALL)
        times = (time for at in ranges for _, time in self._times(at, min(at + SMALL, self.plain.size)))
        return extent_of(times, self.trusted)

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
        tail = self._tail()
        last = max((time for time in tail if self.trusted.holds(time)), default=max(tail, default=None))
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
            found = self._after(middle, high, most=high)  # None must mean that no line of that half has a header
            if found is None or found[1] >= time_ms:
                high = middle
            else:
                low = found[0]
        return low

    def _after(self, at: int, end: int, *, most: int = _LONGEST_SEARCH) -> tuple[int, int] | None:
        """Find the first line with a header that starts in `[at, end)`: its offset and time; search `most` bytes.

        A line whose time cannot be trusted counts only where no line near it can: else one line of a broken clock would
        send a search to the wrong half of the file.
        """
        doubtful: tuple[int, int] | None = None
        until = min(end, at + most)
        while at < until:
            upto = min(until, at + _BLOCK)
            for offset, time in self._times(at, upto):
                if self.trusted.holds(time):
                    return offset, time
                if doubtful is None:
                    doubtful, until = (offset, time), min(until, upto + _NEIGHBOURS)
            at = upto
        return doubtful

    def _head(self) -> list[int]:
        """Read times near the beginning of the file, as far on as the first line with a header is."""
        found = self._after(self.plain.start, self.plain.size)
        if found is None:
            return []
        first = [time for _, time in self._times(self.plain.start, min(self.plain.start + _BLOCK, self.plain.size))]
        return first or [found[1]]

    def _tail(self) -> list[int]:
        """Read times near the end of the file, looking back as far as the last line with a header is."""
        end, length = self.plain.size, _BLOCK * 4
        while True:
            start = max(self.plain.start, end - length)
            times = [time for _, time in self._times(start, end)]
            if times or start <= self.plain.start or length > _LONGEST_SEARCH:
                return times
            length *= 4

    def _sure_near(self, time_ms: int) -> list[int]:
        """Give the times that can be trusted about where `time_ms` stands, in a file that begins or ends otherwise."""
        at = self._seek(time_ms, self.plain.start)
        near = self._times(max(self.plain.start, at - _NEIGHBOURS), min(self.plain.size, at + _NEIGHBOURS))
        return [time for _, time in near if self.trusted.holds(time)]

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
            elif self._next is not None:  # a stack trace may be long
                line = self._next.search(block, max(newline, at))
                newline = line.start() if line else -1
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
