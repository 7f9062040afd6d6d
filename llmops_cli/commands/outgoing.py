"""What `collect upload` reads: log files as events, when the last event of each is whole, and what is said of them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from llmops_cli.commands.hints import hint
from llmops_cli.errors import SourceError
from llmops_cli.evidence import LogLine, Message

if TYPE_CHECKING:
    from llmops_cli.calls.pattern import Pattern
    from llmops_cli.commands.question import Question
    from llmops_cli.provision.plan import Change
    from llmops_cli.provision.upload import Log, Tally, Uploader
    from llmops_cli.sources.local.files import Found
    from llmops_cli.sources.local.plain import PlainFile

QUIET_S = 2.0
"""A file that nobody wrote to for so long has its last event whole, if it ends with a line break."""
TORN_S = 3600.0
"""If it ends amid a line, the rest may stand in a buffer of the application's: for so long it is waited for."""
_STEP_BYTES = 1 << 18


@dataclass(slots=True)
class Reading:
    """One log while it is read: `dropped` lines stand before its first header, `lines` were read so far.

    `replaced`: another file, or none, stands under its name now.
    """

    plain: PlainFile
    seen: os.stat_result | None
    dropped: list[str] = field(default_factory=list)
    lines: int = 0
    replaced: bool = False

    @property
    def name(self) -> str:
        """The log's name, for the reader."""
        return self.plain.name

    @property
    def file(self) -> str:
        """Its full path; empty for standard input and pipes."""
        path = self.plain.found.path
        return os.path.realpath(path) if path is not None and self.plain.found.compression != "fifo" else ""

    def whole(self, event: LogLine) -> bool:
        """Tell whether nothing will be added to the last event; waits for a file that was written a moment ago."""
        path, seen = self.plain.found.path, self.seen
        if path is None or seen is None or self.plain.found.compression:
            return True
        # All values of a call stand before its message: a whole one may lack nothing but the line break.
        told = (event.call is not None or event.feedback is not None) and "\n" not in event.message
        ended = told or self.plain.read(self.plain.size - 1, self.plain.size) == b"\n"
        if ended and (young_s := QUIET_S - (time.time() - seen.st_mtime)) > 0:
            time.sleep(min(QUIET_S, young_s))
        try:
            now = path.stat()
        except OSError:
            self.replaced = True
            return False
        self.replaced = (now.st_dev, now.st_ino) != (seen.st_dev, seen.st_ino) or now.st_size < seen.st_size
        same = not self.replaced and (now.st_size, now.st_mtime_ns) == (seen.st_size, seen.st_mtime_ns)
        return same and (ended or time.time() - now.st_mtime >= TORN_S)


def readings(question: Question, files: Sequence[str], pattern: Pattern) -> Iterator[tuple[Reading, Log]]:
    """Open the files now, and give the events of each as they are asked for. Raises `SourceError`."""
    from llmops_cli.sources.local.files import find  # noqa: PLC0415 - help reads no log

    try:
        found, passed_over = find(files, question.encoding)
    except SourceError as error:
        raise SourceError(error.code, error.message, _OPTION.sub("as FILE", error.hint)) from error
    for one in passed_over:
        hint(one)
    return _opened(question, found, pattern)


_OPTION = re.compile(r"with --log( PATH)?")


def _opened(question: Question, found: Sequence[Found], pattern: Pattern) -> Iterator[tuple[Reading, Log]]:
    from llmops_cli.calls.events import read_events  # noqa: PLC0415 - help reads no log
    from llmops_cli.provision.upload import Log  # noqa: PLC0415 - an SDK, for those who use it
    from llmops_cli.sources.local.plain import open_plain  # noqa: PLC0415 - help reads no log
    from llmops_cli.sources.local.shelf import Shelf  # noqa: PLC0415 - likewise
    from llmops_cli.views.progress import progress  # noqa: PLC0415 - likewise

    shelf = Shelf()
    for file in found:
        seen = _stat(file)  # before it is opened: what was written in between is then seen as new
        plain = open_plain(file, question.encoding, shelf)
        reading = Reading(plain, seen)
        with progress(plain.name, plain.size - plain.start) as advance:
            lines = _advancing(plain.lines(plain.start, plain.size), reading, advance)
            zone = pattern.time.zone_or(question.zone)
            events = read_events(lines, pattern, zone, file=plain.name, on_dropped=reading.dropped.append)
            yield reading, Log(events, reading.name, reading.file, reading.whole)


def _stat(file: Found) -> os.stat_result | None:
    try:
        return None if file.path is None else file.path.stat()
    except OSError:
        return None


def _advancing(lines: Iterator[str], reading: Reading, advance: Callable[[int], None]) -> Iterator[str]:
    """Give lines, count them, and tell now and then how many bytes they were, roughly."""
    size = 0
    for line in lines:
        reading.lines += 1
        yield line
        size += len(line) + 1
        if size >= _STEP_BYTES:
            advance(size)
            size = 0
    advance(size)


def sent(uploader: Uploader, reading: Reading, log: Log, zone: tzinfo, *, send: bool) -> tuple[Change, list[Message]]:
    """Send a log, or count what would be sent, and tell it as a change, times in `zone`. Raises `SourceError`."""
    tally = uploader.send(log) if send else uploader.count(log)
    for text in _doubts(reading, tally, send=send):
        hint(text)
    notes = [] if tally.kept_back and not tally.logs else [_summary(reading.name, tally)]
    if lost := sum(1 for line in reading.dropped if line.strip()):
        notes.append(Message("provision.upload_dropped", {"file": reading.name, "count": lost}))
    return _change(reading, tally, zone), notes


_NO_WAY_BACK = "there is none: logs go with the logstore's TTL; every batch can be found by __tag__:llmops_batch"


def _change(reading: Reading, tally: Tally, zone: tzinfo) -> Change:
    from llmops_cli.provision.plan import Change  # noqa: PLC0415 - help changes nothing

    after: dict[str, Any] = {"logs": tally.logs, "lines": reading.lines, "batches": tally.batches}
    for name, time_ms in (("first", tally.first_ms), ("last", tally.last_ms)):
        if time_ms is not None:
            after[name] = datetime.fromtimestamp(time_ms / 1000, zone).isoformat(timespec="milliseconds")
    if tally.kept_back:
        after["kept_back"] = 1
    if not tally.batches:
        return Change("upload", reading.name, "none", after, after)
    return Change.towards("upload", reading.name, {"logs": tally.known} if tally.known else None, after, _NO_WAY_BACK)


def _doubts(reading: Reading, tally: Tally, *, send: bool) -> Iterator[str]:
    """Say what a reader of the logstore would otherwise find out too late."""
    name = reading.name
    for one in reading.plain.doubts():
        yield f"{name}: {one}"
    if tally.former is not None:
        yield (
            f"{name} begins anew since {tally.former:,} events of it were sent: was it rotated? "
            "Send the rotated file too: only what is new in it goes"
        )
    if tally.grew:
        yield f"{name}: the last event sent before went on; its new lines go as a line of their own, with its header"
    if reading.replaced:
        yield f"{name} was rotated while it was read: send the rotated file too, only what is new in it goes"
    elif tally.kept_back:
        yield (
            f"{name}: the last event is kept back, the application may still be writing it; the same command sends it "
            f"once the file ends with a line break and was quiet for {QUIET_S:g} s, or is an hour old"
        )
    ahead_s = 0.0 if tally.last_ms is None else tally.last_ms / 1000 - time.time()
    if ahead_s > _FUTURE_S:
        asked = "was" if send else "is"
        yield f"{name}: its last event is {ahead_s / 3600:.1f} h ahead of now: {asked} --timezone the one of the log?"


_FUTURE_S = 300
"""How far ahead the clock of another machine may be before its zone is doubted."""


def _summary(name: str, tally: Tally) -> Message:
    if not tally.logs:
        return Message("provision.upload_nothing", {"file": name})
    return Message(
        "provision.upload_sent",
        {
            "file": name,
            "calls": tally.calls,
            "feedback": tally.feedback,
            "others": tally.logs - tally.calls - tally.feedback,
            "known": tally.known or None,
        },
    )
