r"""Every log as a seekable file of clean text, whatever it was: compressed, piped, GBK, framed by a container, damaged.

What leaves here is UTF-8 with one event line per `\n`: NUL bytes removed, a lone carriage return made a blank, invalid
bytes replaced, a line longer than `LONGEST_LINE` cut. Copies live in unlinked temporary files: private, and gone with
the process however it ends.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from llmops_cli.calls.framing import Carry, Framing, detect_framing
from llmops_cli.errors import SourceError, UsageError
from llmops_cli.sources.local.files import Found, compression_of
from llmops_cli.sources.local.meter import Advance, Meter, no_advance, no_meter

LONGEST_LINE = 1 << 20
"""Bytes of a line that are kept for counting; DuckDB reads up to 2 MB."""
KEPT_OF_LONG = 64 << 10
_CHUNK = 8 << 20
_SAMPLE = 256 << 10


@dataclass(slots=True)
class PlainFile:
    """One seekable log. `start` is the first byte after a byte order mark; `notes` say what was found amiss."""

    name: str
    file: IO[bytes]
    path: str
    size: int
    start: int
    encoding: str
    framing: Framing | None
    notes: list[str] = field(default_factory=list)

    @property
    def is_text(self) -> bool:
        """Whether the bytes are UTF-8 lines as written by the application, without a container's frame."""
        return self.framing is None and self.encoding == "utf-8"

    def read(self, start: int, end: int) -> bytes:
        """Read the bytes `[start, end)`."""
        return os.pread(self.file.fileno(), max(0, end - start), start)

    def lines(self, start: int, end: int) -> Iterator[str]:
        """Give the text of the lines in `[start, end)`, unframed; a torn byte is replaced, never an error."""
        decoded = (raw.decode(self.encoding, "replace") for raw in self._raw_lines(start, end))
        plain = (line.replace("\0", "").rstrip("\r\n") for line in decoded)
        return self.framing.unwrap(plain) if self.framing else plain

    def text(self, raw: bytes) -> str:
        """Read one raw line as text, unframed."""
        line = raw.decode(self.encoding, "replace").replace("\0", "").rstrip("\r\n")
        return (self.framing.unwrap_one(line) or "") if self.framing else line

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


def open_plain(found: Found, encoding: str | None, meter: Meter = no_meter) -> PlainFile:
    """Make `found` seekable and learn how it is written. Raises `SourceError`, `UsageError` for the encoding."""
    notes: list[str] = []
    if found.compression or found.path is None:
        file = _spool(found, notes, meter)
    else:
        try:
            file = found.path.open("rb")
        except OSError as error:
            raise SourceError("log_unreadable", f"{found.name}: {error.strerror}", f"ls -l {found.name}") from error
    # Never by name: DuckDB reads brackets as a pattern, and a suffix as a compression.
    path = path_of(file)
    size = os.fstat(file.fileno()).st_size
    mark, marked = _byte_order_mark(os.pread(file.fileno(), 4, 0))
    plain = PlainFile(found.name, file, path, size, mark, marked or _known(encoding), None, notes)
    if plain.encoding.startswith("utf-16") or plain.encoding.startswith("utf-32"):
        plain = _transcoded(plain)
    head = plain.read(plain.start, min(plain.size, plain.start + _SAMPLE))
    sample = head.decode(plain.encoding, "replace").replace("\0", "").split("\n")[:200]
    plain.framing = detect_framing([line.rstrip("\r") for line in sample if line.strip()])
    return plain


def peek(found: Found, encoding: str | None) -> list[str]:
    """Read the first lines of a compressed file without unpacking it; an unreadable one has none."""
    try:
        with _raw(found) as raw, _unpacked(found, raw) as stream, temporary() as nothing:
            head = _next(stream, found, [], nothing)
    except (OSError, SourceError):
        return []
    lines = [line.rstrip("\r") for line in head[:_SAMPLE].decode(_known(encoding), "replace").split("\n")]
    framing = detect_framing([line for line in lines[:200] if line.strip()])
    return list(framing.unwrap(lines)) if framing else lines


def path_of(file: IO[bytes]) -> str:
    """Give a path under which DuckDB can open an unlinked file."""
    fds = "/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd"
    return f"{fds}/{file.fileno()}"


def temporary() -> IO[bytes]:
    """Make an unlinked temporary file. Raises `SourceError` when there is no room for one."""
    try:
        return tempfile.TemporaryFile(prefix="llmops-")
    except OSError as error:
        raise _no_room(error) from error


def all_clean(plain: PlainFile, advance: Advance = no_advance) -> bool:
    """Tell whether a whole file can be parsed as it is, in one pass that costs little more than reading it."""
    return _pass(plain, 0, plain.size, None, advance)


def copied_clean(plain: PlainFile, start: int, end: int, out: IO[bytes], advance: Advance = no_advance) -> bool:
    """Copy a range of whole lines; stop and say no at the first byte that needs mending."""
    return _pass(plain, start, end, out, advance)


def _pass(plain: PlainFile, start: int, end: int, out: IO[bytes] | None, advance: Advance) -> bool:
    buffer = bytearray(LONGEST_LINE // 2)
    view, at = memoryview(buffer), start
    while at < end and (size := os.preadv(plain.file.fileno(), [view[: end - at]], at)):
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
    half = LONGEST_LINE // 2
    return all(block.find(b"\n", at, at + half) >= 0 for at in range(0, len(block) - half, half))


def clean(plain: PlainFile, block: bytes, carry: Carry | None = None) -> bytes:
    """Mend a block of whole lines: see the module's own words. `carry` holds framed lines still open at its end."""
    if plain.is_text and is_clean(block) and (block.isascii() or _is_utf8(block)):
        return block
    if not plain.is_text:
        return "".join(f"{_mended(line)}\n" for line in plain_lines(plain, block, carry)).encode("utf-8", "replace")
    if not block.isascii() and not _is_utf8(block):
        note = "some bytes are not valid UTF-8 (try --encoding gbk)"
        if note not in plain.notes:
            plain.notes.append(note)
        block = block.decode("utf-8", "replace").encode()
    block = block.replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\r", b" ")
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


def _transcoded(plain: PlainFile) -> PlainFile:
    """Copy a log whose line breaks are not single bytes (UTF-16) to UTF-8."""
    out = temporary()
    decoder = codecs.getincrementaldecoder(plain.encoding)("replace")
    for at in range(0, plain.size, _CHUNK):
        chunk = plain.read(at, min(plain.size, at + _CHUNK))
        write(out, decoder.decode(chunk, final=at + _CHUNK >= plain.size).encode("utf-8", "replace"))
    out.flush()
    plain.file.close()
    size = os.fstat(out.fileno()).st_size
    return PlainFile(plain.name, out, path_of(out), size, 0, "utf-8", None, plain.notes)


def _spool(found: Found, notes: list[str], meter: Meter) -> IO[bytes]:
    """Unpack or collect into a temporary file; a torn archive gives what could be read, and a note."""
    out = temporary()
    try:
        with (
            _raw(found) as raw,
            _unpacked(found, raw) as stream,
            meter(f"unpacking {found.name}", _size(found)) as advance,
        ):
            told = 0
            while chunk := _next(stream, found, notes, out):
                write(out, chunk)
                if found.compression in ("gzip", "zstd"):
                    advance(raw.tell() - told)
                    told = raw.tell()
        out.flush()
    except OSError as error:
        out.close()
        raise SourceError("log_unreadable", f"{found.name}: {error.strerror or error}", "") from error
    except BaseException:
        out.close()
        raise
    return out


def _raw(found: Found) -> IO[bytes]:
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb") if found.path is None else found.path.open("rb")


def _unpacked(found: Found, raw: IO[bytes]) -> io.BufferedIOBase:
    stream = cast("io.BufferedReader", raw)
    compression = found.compression if found.compression in ("gzip", "zstd") else compression_of(stream.peek(4))
    if compression == "gzip":
        return gzip.GzipFile(fileobj=stream)
    if compression == "zstd":
        import zstandard  # noqa: PLC0415 - only where a log needs it

        reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True, closefd=False)
        return cast("io.BufferedIOBase", reader)
    return stream


def _size(found: Found) -> int:
    return found.path.stat().st_size if found.path else 0


def _next(stream: io.BufferedIOBase, found: Found, notes: list[str], out: IO[bytes]) -> bytes:
    import zstandard  # noqa: PLC0415

    try:
        return stream.read1(1 << 20)  # what is there: a plain read of a torn archive loses what came before the tear
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        if out.tell() == 0:
            raise SourceError(
                "log_unreadable", f"{found.name}: damaged compressed data", "fetch the file again"
            ) from error
        notes.append("the archive is damaged or incomplete; read up to there")
        return b""


def write(out: IO[bytes], data: bytes | memoryview) -> None:
    """Write to a temporary file. Raises `SourceError` when the disk is full."""
    try:
        out.write(data)
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> SourceError:
    free = shutil.disk_usage(tempfile.gettempdir()).free // (1 << 20)
    return SourceError(
        "no_room",
        f"{tempfile.gettempdir()}: {error.strerror} ({free:,} MB free)",
        "a compressed or piped log is unpacked there; free room or set TMPDIR",
    )
