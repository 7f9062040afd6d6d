r"""Every log as a seekable file of clean text, whatever it was: compressed, piped, GBK, framed by a container, damaged.

What leaves here is UTF-8 with one event line per `\n`: NUL bytes removed, a lone carriage return made a blank (a line
break where the log has no other), invalid bytes replaced, a line longer than `LONGEST_LINE` cut.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from llmops_cli.calls.framing import Carry, Framing, detect_framing
from llmops_cli.errors import UsageError
from llmops_cli.sources.local.files import Found, hole_of, is_wide
from llmops_cli.sources.local.meter import Advance, Meter, no_advance, no_meter
from llmops_cli.sources.local.shelf import Shelf
from llmops_cli.sources.local.unpack import head_of, opened, temporary, unpacked, write

LONGEST_LINE = 1 << 20
"""Bytes of a line that are kept for counting; DuckDB reads up to 2 MB."""
KEPT_OF_LONG = 64 << 10
_BLANK_LINES = b"\n" * 4096, b"\r\n" * 4096
"""DuckDB counts blank lines that follow each other as one line, and has a longest one."""
_CHUNK = 8 << 20
_SAMPLE = 256 << 10


@dataclass(slots=True, eq=False)
class PlainFile:
    """One seekable log. `start` is the first byte behind a byte order mark or hole; `notes` say what was found amiss.

    `asked` is the encoding that the user named, `encoding` that of the bytes read here. `identity`: device and inode of
    the log when it was opened first.
    """

    found: Found
    shelf: Shelf
    meter: Meter
    asked: str
    encoding: str = "utf-8"
    size: int = 0
    start: int = 0
    framing: Framing | None = None
    identity: tuple[int, int] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The log's name, for the reader."""
        return self.found.name

    def open(self) -> IO[bytes]:
        """Open the log as seekable bytes with line breaks; again where it had to make room. Raises `SourceError`.

        Another log under its name (a rotation) is never taken for it: what it held is then missing, and that is said.
        """
        raw = opened(self.found)
        stat = os.fstat(raw.fileno())
        identity = (stat.st_dev, stat.st_ino) if stat.st_ino else None  # some network file systems number no files
        if self.identity not in (None, identity):
            raw.close()
            self.note("was replaced while it was read; what it held is missing")
            return temporary()
        self.identity = identity
        file = raw
        if self.found.compression or self.found.path is None:
            with raw:
                file = unpacked(self.found, raw, self.notes, self.meter)
        head = os.pread(file.fileno(), _SAMPLE, 0)
        mark, marked = _byte_order_mark(head)
        self.encoding, self.start = marked or self.asked, mark
        if head.startswith(b"\0") and not is_wide(self.encoding):
            self.start = hole_of(file.fileno())
            head = os.pread(file.fileno(), _SAMPLE, self.start)
        if is_wide(self.encoding):
            file = _transcoded(file, self.encoding)
            self.encoding, self.start = "utf-8", 0
            head = os.pread(file.fileno(), _SAMPLE, 0)
        return _with_line_breaks(file) if _ends_in_returns(head) else file

    def fileno(self) -> int:
        """Give the descriptor of the open log; good until another log is asked for its own."""
        return self.shelf.descriptor(self, self.open)

    def note(self, text: str) -> None:
        """Say what is amiss, once."""
        if text not in self.notes:
            self.notes.append(text)

    def doubts(self) -> list[str]:
        """Say everything that was found amiss until now."""
        if self.shelf.size_of(self, self.size) < self.size:
            self.note("shrank while it was read")
        return self.notes

    @property
    def is_text(self) -> bool:
        """Whether the bytes are UTF-8 lines as written by the application, without a container's frame."""
        return self.framing is None and self.encoding == "utf-8"

    def read(self, start: int, end: int) -> bytes:
        """Read the bytes `[start, end)`."""
        return os.pread(self.fileno(), max(0, end - start), start)

    def lines(self, start: int, end: int) -> Iterator[str]:
        """Give the text of the lines in `[start, end)`, unframed; a torn byte is replaced, never an error."""
        decoded = (raw.decode(self.encoding, "replace") for raw in self._raw_lines(start, end))
        plain = (line.replace("\0", "").rstrip("\r\n") for line in decoded)
        return self.framing.unwrap(plain) if self.framing else plain

    def text(self, raw: bytes) -> str:
        """Read one raw line as text, unframed."""
        line = raw.decode(self.encoding, "replace").replace("\0", "").rstrip("\r\n")
        unframed = self.framing.unwrap_one(line) if self.framing else None
        return line if unframed is None else unframed

    def _raw_lines(self, start: int, end: int) -> Iterator[bytes]:
        for block in self.blocks(start, end):
            yield from block.split(b"\n")[:-1] if block.endswith(b"\n") else block.split(b"\n")

    def blocks(self, start: int, end: int, advance: Advance = no_advance) -> Iterator[bytes]:
        """Give `[start, end)` as blocks of whole lines; of a line longer than 1 MB the first part only."""
        rest, skipping, at = b"", False, start
        while at < end:
            chunk = self.read(at, min(end, at + _CHUNK))
            if not chunk:
                break
            at += len(chunk)
            advance(len(chunk))
            if b"\0" in chunk:
                chunk = chunk.replace(b"\0", b"")  # a hole of a gigabyte is no long line: good ones may follow at once
            if skipping:
                newline = chunk.find(b"\n")
                if newline < 0:
                    continue
                chunk, skipping = chunk[newline:], False
            chunk = rest + chunk
            cut = chunk.rfind(b"\n") + 1
            rest = chunk[cut:]
            if len(rest) > LONGEST_LINE:
                yield chunk[:cut] + rest[:KEPT_OF_LONG]
                rest, skipping = b"", True
            elif cut:
                yield chunk[:cut]
        if rest:
            yield rest


def open_plain(found: Found, encoding: str | None, shelf: Shelf, meter: Meter = no_meter) -> PlainFile:
    """Make `found` seekable and learn how it is written. Raises `SourceError`, `UsageError` for the encoding."""
    plain = PlainFile(found, shelf, meter, _known(encoding))
    file = plain.open()
    shelf.put(plain, file, once=found.path is None or found.compression == "fifo")
    plain.size = os.fstat(file.fileno()).st_size
    head = plain.read(plain.start, min(plain.size, plain.start + _SAMPLE))
    sample = head.decode(plain.encoding, "replace").replace("\0", "").split("\n")[:200]
    plain.framing = detect_framing([line.rstrip("\r") for line in sample if line.strip()])
    return plain


def peek(found: Found, encoding: str | None) -> list[str]:
    """Read the first lines of a compressed file without unpacking it; an unreadable one has none."""
    head = head_of(found)[:_SAMPLE]
    if _ends_in_returns(head):
        head = head.replace(b"\r", b"\n")
    lines = [line.rstrip("\r") for line in head.decode(_known(encoding), "replace").split("\n")]
    framing = detect_framing([line for line in lines[:200] if line.strip()])
    return list(framing.unwrap(lines)) if framing else lines


def starts_clean(plain: PlainFile) -> bool:
    """Tell whether the beginning of a file can be parsed as it is: a log with CRLF shows it there."""
    return _pass(plain, 0, min(plain.size, LONGEST_LINE // 2), None, no_advance)


def all_clean(plain: PlainFile) -> bool:
    """Tell whether a whole file can be parsed as it is, in one pass that costs little more than reading it."""
    return _pass(plain, 0, plain.size, None, no_advance)


def copied_clean(plain: PlainFile, start: int, end: int, out: IO[bytes], advance: Advance = no_advance) -> bool:
    """Copy a range of whole lines; stop and say no at the first byte that needs mending."""
    return _pass(plain, start, end, out, advance)


def _pass(plain: PlainFile, start: int, end: int, out: IO[bytes] | None, advance: Advance) -> bool:
    buffer = bytearray(LONGEST_LINE // 2)
    view, at = memoryview(buffer), start
    while at < end and (size := os.preadv(plain.fileno(), [view[: end - at]], at)):
        if buffer.find(b"\0", 0, size) >= 0 or buffer.find(b"\r", 0, size) >= 0:
            return False
        if size == len(buffer) and buffer.find(b"\n") < 0:
            return False
        if out is not None:
            write(out, view[:size])
        at += size
        advance(size)
    if out is not None:
        out.flush()
    return True


def is_clean(block: bytes) -> bool:
    """Tell whether a block of UTF-8 lines can be parsed as it is; invalid UTF-8 is found by the parser itself."""
    if b"\0" in block or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n")):
        return False
    if any(blank in block for blank in _BLANK_LINES):
        return False
    half = LONGEST_LINE // 2
    return all(block.find(b"\n", at, at + half) >= 0 for at in range(0, len(block) - half, half))


def clean(plain: PlainFile, block: bytes, carry: Carry | None = None) -> bytes:
    """Mend a block of whole lines: see the module's own words. `carry` holds framed lines still open at its end."""
    if plain.is_text and is_clean(block) and (block.isascii() or _is_utf8(block)):
        return block
    if not plain.is_text:
        lines = filter(None, map(_mended, plain_lines(plain, block, carry)))
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    if not block.isascii() and not _is_utf8(block):
        plain.note("some bytes are not valid UTF-8 (try --encoding gbk)")
        block = block.decode("utf-8", "replace").encode()
    block = block.replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\r", b" ")
    if _BLANK_LINES[0] in block:
        block = re.sub(rb"\n{2,}", b"\n", block)
    if is_clean(block):
        return block
    return b"\n".join(line if len(line) <= LONGEST_LINE else line[:KEPT_OF_LONG] for line in block.split(b"\n"))


def plain_lines(plain: PlainFile, block: bytes, carry: Carry | None = None) -> Iterator[str]:
    """Give the lines of a block as text, unframed."""
    raw = block.split(b"\n")[:-1] if block.endswith(b"\n") else block.split(b"\n")
    text = (line.decode(plain.encoding, "replace") for line in raw)
    return plain.framing.unwrap(text, carry) if plain.framing else text


def _mended(line: str) -> str:
    if len(line) > LONGEST_LINE:
        line = line[:KEPT_OF_LONG]
    return line.rstrip("\r\n").replace("\0", "").replace("\r", " ").replace("\n", " ")


def _is_utf8(block: bytes) -> bool:
    try:
        codecs.utf_8_decode(block, "strict", True)
    except UnicodeDecodeError:
        return False
    return True


def _byte_order_mark(head: bytes) -> tuple[int, str | None]:
    if head.startswith(codecs.BOM_UTF8):
        return 3, "utf-8"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return 0, "utf-16"
    return 0, None


def _known(encoding: str | None) -> str:
    try:
        name = codecs.lookup(encoding or "utf-8").name
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise UsageError(
            "unknown_encoding", f"--encoding {encoding!r} is not known", "common ones: utf-8, gbk, gb18030, big5"
        ) from error
    if name in ("utf-16", "utf-32"):
        return f"{name}-le"  # without a byte order mark: as most machines write it
    return "utf-8" if name in ("utf-8-sig", "ascii") else name


def _transcoded(file: IO[bytes], encoding: str) -> IO[bytes]:
    """Copy a log whose line breaks are not single bytes (UTF-16) to UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return _copied(file, lambda chunk: decoder.decode(chunk, final=not chunk).encode("utf-8", "replace"))


def _ends_in_returns(head: bytes) -> bool:
    r"""Tell a log whose lines end in `\r` alone, as progress bars and very old machines write them."""
    return b"\r" in head and b"\n" not in head.rstrip(b"\r\n\0")


def _with_line_breaks(file: IO[bytes]) -> IO[bytes]:
    return _copied(file, lambda chunk: chunk.replace(b"\r", b"\n"))


def _copied(file: IO[bytes], mended: Callable[[bytes], bytes]) -> IO[bytes]:
    out = temporary()
    with file:
        file.seek(0)
        while chunk := file.read(_CHUNK):
            write(out, mended(chunk))
        write(out, mended(b""))
    out.flush()
    return out
