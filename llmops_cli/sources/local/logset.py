"""The files of one log, and which of them can hold a span of time.

A rotated set is many files, most of them compressed and old. A compressed file is unpacked only when its time can
matter: its first line is cheap to read, and the next file of the same set bounds its last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice, tee

from llmops_cli.errors import SourceError
from llmops_cli.evidence import Span
from llmops_cli.sources.local.files import Found, find
from llmops_cli.sources.local.format import LogFormat
from llmops_cli.sources.local.meter import Meter, no_meter
from llmops_cli.sources.local.plain import PlainFile, open_plain, peek
from llmops_cli.sources.local.shelf import Shelf
from llmops_cli.sources.local.timeline import SLACK_MS, SMALL, Extent, Timeline, Trusted, extent_of

Bounds = Callable[[PlainFile, Timeline], tuple[int, int] | None]

_TINY = 128 << 10
"""Bytes that are read by ourselves sooner than by DuckDB: a directory may hold a thousand such files."""
_PEEKED = 1000
"""Lines at the beginning of a compressed file among which one is looked for whose time can be trusted."""


@dataclass(slots=True)
class Entry:
    """One file: opened when needed. Times are those of lines with a header; None when not known or none has one.

    `first_ms` and `last_ms` are of any line, and tell what may be in the file; `oldest_ms` and `newest_ms` are of those
    whose time can be trusted, and tell when the log began and ended.
    """

    found: Found
    plain: PlainFile | None = None
    timeline: Timeline | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    oldest_ms: int | None = None
    newest_ms: int | None = None
    sorted: bool = True


@dataclass(slots=True)
class LogSet:
    """All files that the user named. `bounds` reads the exact first and last time of a small or unsorted file."""

    named: Sequence[str]
    format: LogFormat
    encoding: str | None
    bounds: Bounds
    trusted: Trusted
    meter: Meter = no_meter
    shelf: Shelf = field(default_factory=Shelf)
    entries: list[Entry] = field(default_factory=list)
    passed_over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        found, self.passed_over = find(self.named, self.encoding)
        self.entries = [Entry(each) for each in found]
        try:
            for entry in tuple(self.entries):
                if entry.found.path is None or entry.found.compression not in ("gzip", "zstd"):
                    self._open(entry)
                else:
                    self._peek(entry)
            self._open_newest()
        except BaseException:
            self.close()
            raise

    @property
    def newest_ms(self) -> int | None:
        """Time of the newest line with a header that can be trusted; of any when none can."""
        newest = [e.newest_ms for e in self.entries if e.newest_ms is not None]
        return max(newest or (e.last_ms for e in self.entries if e.last_ms is not None), default=None)

    @property
    def oldest_ms(self) -> int | None:
        """Time of the oldest line with a header that can be trusted; of any when none can."""
        oldest = [e.oldest_ms for e in self.entries if e.oldest_ms is not None]
        return min(oldest or (e.first_ms for e in self.entries if e.first_ms is not None), default=None)

    @property
    def size(self) -> int:
        """Bytes of the files opened so far."""
        return sum(e.plain.size for e in self.entries if e.plain)

    def close(self) -> None:
        """Close every file."""
        self.shelf.close()

    def holding(self, span: Span | None) -> list[Entry]:
        """Give the opened files that may hold lines of `span` (None: all of them)."""
        for entry in tuple(self.entries):
            if entry.plain is None and (span is None or self._may_hold(entry, span)):
                self._open(entry)
        return [e for e in self.entries if e.plain and (span is None or self._may_hold(e, span))]

    def _open(self, entry: Entry) -> None:
        """Open a file; one that nobody named and that cannot be read is passed over, and said."""
        try:
            self._read(entry)
        except SourceError as error:
            if entry.found.chosen:
                raise
            self.passed_over += (error.message,)
            self.entries.remove(entry)

    def _read(self, entry: Entry) -> None:
        plain = open_plain(entry.found, self.encoding, self.shelf, self.meter)
        if plain.identity and any(other.plain and other.plain.identity == plain.identity for other in self.entries):
            self.entries.remove(entry)  # a hard link, or it was renamed while its directory was read
            return
        entry.plain = plain
        entry.timeline = Timeline(entry.plain, self.format, self.trusted)
        entry.sorted = entry.timeline.is_sorted()
        if extent := self._extent(entry.plain, entry.timeline, is_sorted=entry.sorted):
            entry.first_ms, entry.last_ms = extent.first_ms, extent.last_ms
            entry.oldest_ms, entry.newest_ms = extent.oldest_ms, extent.newest_ms

    def _extent(self, plain: PlainFile, timeline: Timeline, *, is_sorted: bool) -> Extent | None:
        if plain.size > SMALL and is_sorted:
            return timeline.extent()
        exact = None if plain.size <= _TINY else self.bounds(plain, timeline) or ()
        if exact is None or not all(map(self.trusted.holds, exact)):
            return timeline.whole_extent()
        return extent_of(exact, self.trusted)

    def _open_newest(self) -> None:
        """Unpack compressed files until none that is still packed can be newer than what is known."""
        packed = [e for e in self.entries if e.plain is None]
        for entry in sorted(packed, key=lambda e: e.first_ms or 0, reverse=True):
            newest = self.newest_ms
            if newest is None or entry.first_ms is None or entry.first_ms > newest:
                self._open(entry)

    def _peek(self, entry: Entry) -> None:
        """Learn where a compressed file begins."""
        read = map(self.format.time_ms, peek(entry.found, self.encoding))
        times, sure = tee(time for time in read if time is not None)
        entry.oldest_ms = next(filter(self.trusted.holds, islice(sure, _PEEKED)), None)
        entry.first_ms = next(times, None) if entry.oldest_ms is None else entry.oldest_ms

    def _may_hold(self, entry: Entry, span: Span) -> bool:
        if entry.first_ms is None:
            return True  # no line with a header: its lines have no time, and still count as unparsed
        if entry.first_ms >= span.end_ms + SLACK_MS and entry.sorted:
            return False
        last = entry.last_ms if entry.plain else self._bound_of_packed(entry)
        return last is None or last >= span.start_ms - SLACK_MS

    def _bound_of_packed(self, entry: Entry) -> int | None:
        """Give the latest time a packed file can hold: where the next file of its set begins."""
        stem = _stem(entry.found)
        later = [
            e.first_ms
            for e in self.entries
            if e is not entry
            and e.first_ms is not None
            and _stem(e.found) == stem
            and e.first_ms > (entry.first_ms or 0)
        ]
        return min(later) + SLACK_MS if later else None


def _stem(found: Found) -> str:
    """Name the rotated set: `logs/app.log.3.gz` and `logs/app-2025-07-09.log` belong to `logs/app`."""
    name = re.sub(r"\.(gz|zst)$", "", str(found.path))
    return re.sub(r"[-._]\d[\d._-]*\d|[-._]\d", "", name).removesuffix(".log")


def odd_times(entries: Iterable[Entry], trusted: Trusted) -> Iterator[str]:
    """Say which files have times that no clock that is right can have written."""
    for entry in entries:
        if entry.first_ms is not None and entry.first_ms < trusted.start_ms:
            yield f"{entry.found.name}: lines dated {_day(entry.first_ms)}, by a clock that was not set"
        if entry.last_ms is not None and entry.last_ms >= trusted.end_ms:
            yield (
                f"{entry.found.name}: lines dated up to {_day(entry.last_ms)}, ahead of this machine's clock: "
                "a broken clock, or another --timezone"
            )


def _day(ms: int) -> str:
    """Write the day of a time, be it at the very edge of the calendar."""
    day = date(1970, 1, 1).toordinal() + ms // 86_400_000
    return date.fromordinal(min(max(day, 1), date.max.toordinal())).isoformat()


def no_header(entries: Iterable[Entry], log_format: LogFormat) -> str | None:
    """Say which files have no line that the pattern fits, None when each has one."""
    bare = [e.found.name for e in entries if e.plain and e.plain.size and e.first_ms is None]
    if not bare:
        return None
    return f"no line of {', '.join(bare[:3])} begins with the header of the pattern {log_format.pattern.text!r}"
