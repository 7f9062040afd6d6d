"""What `collect upload` reads: log files as events, when the last event of each is whole, and what is said of them."""

from __future__ import annotations

import codecs
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from llmops_cli.calls.framing import Carry
from llmops_cli.commands.hints import hint
from llmops_cli.errors import SourceError
from llmops_cli.evidence import LogLine, Message
from llmops_cli.sources.local.unpack import TORN

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_cli.calls.pattern import Pattern
    from llmops_cli.commands.question import Question
    from llmops_cli.provision.plan import Change
    from llmops_cli.provision.upload import Log, Tally, Uploader
    from llmops_cli.sources.local.files import Found
    from llmops_cli.sources.local.plain import PlainFile

QUIET_S = 2.0
"""A file that nobody wrote to for so long has its last event whole, if it ends with a line break."""
TORN_S = 3600.0
"""If it ends amid a line, the rest may stand in a buffer of the application's: for so long the event whose later line
that is waits for it. Then its whole lines go."""
_STEP_BYTES = 1 << 18


@dataclass(slots=True)
class Reading:
    """One log while it is read: `dropped` lines stand before its first header, `lines` were read so far.

    `replaced`: another file, or none, stands under its name now. `open`: parts of lines, in a container's frame, whose
    rest has not come.
    """

    plain: PlainFile
    seen: os.stat_result | None
    dropped: list[str] = field(default_factory=list)
    lines: int = 0
    replaced: bool = False
    open: Carry = field(default_factory=Carry)

    @property
    def name(self) -> str:
        """The log's name, for the reader."""
        return self.plain.name

    @property
    def file(self) -> str:
        """Its full path; empty for standard input and pipes."""
        path = self.plain.found.path
        return os.path.realpath(path) if path is not None and self.plain.found.compression != "fifo" else ""

    def head(self, size: int) -> bytes:
        """Give its first bytes, unpacked."""
        return self.plain.read(self.plain.start, min(self.plain.size, self.plain.start + size))

    def unframed(self) -> Iterator[str]:
        """Give its lines. Of one that is still in parts nothing is given, unless no part will come."""
        from llmops_cli.sources.local.plain import plain_lines  # noqa: PLC0415 - help reads no log

        plain = self.plain
        for block in plain.blocks(plain.start, plain.size):
            yield from plain_lines(plain, block, self.open)
        if plain.found.path is None or plain.found.compression:
            yield from self.open.rest()

    def whole(self, event: LogLine, first: bool) -> LogLine | None:
        """Give what of the last event will not change any more, None while that is nothing.

        `first`: it is the first event, too. Waits for a file that was written a moment ago.
        """
        path, seen = self.plain.found.path, self.seen
        if TORN in self.plain.notes:
            return None
        if path is None or seen is None or self.plain.found.compression:
            return event
        # All values of a call stand before its message: a whole one may lack nothing but the line break. A log is known
        # by its first line: that must be whole.
        line_ends = self.plain.read(self.plain.size - 1, self.plain.size) == b"\n"
        told = (event.call is not None or event.feedback is not None) and "\n" not in event.message
        ended = not self.open.parts and (line_ends or (told and not first and not self._amid_character()))
        if ended and (young_s := QUIET_S - (time.time() - seen.st_mtime)) > 0:
            time.sleep(min(QUIET_S, young_s))
        quiet_s = self._quiet_s(path, seen)
        if quiet_s is None or (not ended and quiet_s < TORN_S):
            return None
        # Parts that are open stand behind the last event, not in it.
        return event if ended or line_ends else _without_torn_line(event)

    def _quiet_s(self, path: Path, seen: os.stat_result) -> float | None:
        """Give for how many seconds nobody wrote to the file; None where somebody did since it was opened."""
        try:
            now = path.stat()
        except OSError:
            self.replaced = True
            return None
        self.replaced = (now.st_dev, now.st_ino) != (seen.st_dev, seen.st_ino) or now.st_size < seen.st_size
        if self.replaced or (now.st_size, now.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns):
            return None
        return time.time() - now.st_mtime

    def _amid_character(self) -> bool:
        """Tell whether a file ends amid a character of several bytes."""
        plain = self.plain
        tail = plain.read(max(plain.start, plain.size - _STEP_BYTES), plain.size).rpartition(b"\n")[2]
        decoder = codecs.getincrementaldecoder(plain.encoding)("replace")
        return decoder.decode(tail).endswith("\ufffd") or bool(decoder.getstate()[0])


def _without_torn_line(event: LogLine) -> LogLine | None:
    """Give an event without its last line, None where it has no other.

    A torn line may go on with the event, or become the header of another. A header's own one may be a call's, which
    would never count if it was sent torn: better late than wrong.
    """
    if "\n" not in event.message:
        return None
    message, _, torn = event.message.rpartition("\n")
    call, feedback = event.call, event.feedback
    if call is not None:
        call = replace(call, error_message=call.error_message.removesuffix(f"\n{torn}"))
    if feedback is not None:
        feedback = replace(feedback, comment=feedback.comment.removesuffix(f"\n{torn}"))
    return replace(event, message=message, call=call, feedback=feedback)


def found_files(question: Question, files: Sequence[str]) -> Sequence[Found]:
    """Find the files that are named. Raises `SourceError`."""
    from llmops_cli.sources.local.files import find  # noqa: PLC0415 - help reads no log

    try:
        found, passed_over = find(files, question.encoding)
    except SourceError as error:
        raise SourceError(error.code, error.message, _OPTION.sub("as FILE", error.hint)) from error
    for one in passed_over:
        hint(one)
    return found


_OPTION = re.compile(r"with --log( PATH)?")


@contextmanager
def opened(question: Question, found: Found, pattern: Pattern) -> Iterator[tuple[Reading, Log]]:
    """Open a file, and give its events as they are asked for. Raises `SourceError`."""
    from llmops_cli.calls.events import read_events  # noqa: PLC0415 - help reads no log
    from llmops_cli.provision.upload import Log  # noqa: PLC0415 - an SDK, for those who use it
    from llmops_cli.sources.local.plain import open_plain  # noqa: PLC0415 - help reads no log
    from llmops_cli.sources.local.shelf import Shelf  # noqa: PLC0415 - likewise
    from llmops_cli.views.progress import progress  # noqa: PLC0415 - likewise

    with closing(Shelf()) as shelf:
        seen = _stat(found)  # before it is opened: what was written in between is then seen as new
        plain = open_plain(found, question.encoding, shelf)
        reading = Reading(plain, seen)
        with progress(plain.name, plain.size - plain.start) as advance:
            lines = _advancing(reading.unframed(), reading, advance)
            zone = pattern.time.zone_or(question.zone)
            events = read_events(lines, pattern, zone, file=plain.name, on_dropped=reading.dropped.append)
            yield reading, Log(events, reading.name, reading.file, reading.whole, reading.head)


OF_ONE_FILE = frozenset(
    {
        "log_binary", "log_not_found", "log_unreadable", "upload_busy", "upload_changed", "upload_overlap",
        "upload_read_otherwise", "upload_state", "upload_time", "upload_too_old",
    }
)  # fmt: skip
"""Codes of errors after which the other files are sent all the same."""


def upload_all(
    uploader: Uploader, question: Question, found: Sequence[Found], pattern: Pattern, *, send: bool
) -> tuple[list[tuple[Change, list[Message]]], list[SourceError]]:
    """Send every file, or count what would be sent, and give what is told of each, and what failed.

    A file that fails does not stop the others; an error that would befall them too does.
    """
    told, failed = [], []
    for one in found:
        try:
            with opened(question, one, pattern) as (reading, log):
                told.append(sent(uploader, reading, log, question.zone, send=send))
        except SourceError as error:
            failed.append(error)
            if error.code not in OF_ONE_FILE:
                break
    return told, failed


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
    if tally.fewer_than is not None:
        yield f"{name} holds {tally.logs:,} of the {tally.fewer_than:,} events that were sent of it: nothing new"
    if reading.replaced:
        yield f"{name} was rotated while it was read: send the rotated file too, only what is new in it goes"
    elif tally.kept_back and TORN in reading.plain.notes:
        yield f"{name}: its last event is kept back until the archive is whole"
    elif tally.kept_back:
        yield (
            f"{name}: the last event is kept back, the application may still be writing it; the same command sends it "
            f"once it is whole: the file ends with a line break and was quiet for {QUIET_S:g} s"
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
