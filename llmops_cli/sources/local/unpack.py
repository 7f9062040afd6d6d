"""Compressed and piped logs as seekable files: unlinked temporary copies, private, gone with the process."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from llmops_cli.errors import SourceError
from llmops_cli.sources.local.files import Found, compression_of
from llmops_cli.sources.local.meter import Meter

if TYPE_CHECKING:
    import zstandard

TORN = "the archive is damaged or incomplete; read up to there"
_ZSTD_STEP = 4096
"""Packed bytes at a time: a hostile 4 kB unpack to 128 MB at most."""


class Stream(Protocol):
    """Bytes that come one after the other."""

    def read1(self, size: int, /) -> bytes:
        """Read what is there; nothing means the end."""


def temporary() -> IO[bytes]:
    """Make an unlinked temporary file. Raises `SourceError` when there is no room for one."""
    try:
        return tempfile.TemporaryFile(prefix="llmops-")
    except OSError as error:
        raise _no_room(error) from error


def path_of(file: IO[bytes]) -> str:
    """Give a path under which DuckDB can open an unlinked file."""
    fds = "/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd"
    return f"{fds}/{file.fileno()}"


def write(out: IO[bytes], data: bytes | memoryview) -> None:
    """Write to a temporary file. Raises `SourceError` when the disk is full."""
    try:
        out.write(data)
    except OSError as error:
        raise _no_room(error) from error


def opened(found: Found) -> IO[bytes]:
    """Open a log as it is. Raises `SourceError`."""
    try:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb") if found.path is None else found.path.open("rb")
    except OSError as error:
        raise SourceError("log_unreadable", f"{found.name}: {error.strerror}", f"ls -l {found.name}") from error


def unpacked(found: Found, raw: IO[bytes], notes: list[str], meter: Meter) -> IO[bytes]:
    """Unpack or collect into a temporary file; a torn archive gives what could be read, and a note."""
    out = temporary()
    try:
        stream = _stream(found, raw)
        with meter(f"unpacking {found.name}", _size(found)) as advance:
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


def head_of(found: Found) -> bytes:
    """Unpack the beginning of a compressed file; an unreadable one has none."""
    try:
        with opened(found) as raw, temporary() as nothing:
            return _next(_stream(found, raw), found, [], nothing)
    except (OSError, SourceError):
        return b""


class _Frames:
    """The frames of a zstd file, one after the other. The library's own reader takes a torn frame for the end."""

    def __init__(self, raw: io.BufferedReader) -> None:
        import zstandard  # noqa: PLC0415 - only where a log needs it

        self._raw = raw
        self._unpacker, self._damage = zstandard.ZstdDecompressor(), zstandard.ZstdError
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._rest = b""

    def read1(self, _: int, /) -> bytes:
        """Read what a step of packed bytes holds. Raises EOFError for a damaged frame, or one that is torn."""
        while packed := self._rest or self._raw.read1(_ZSTD_STEP):
            frame = self._frame or self._unpacker.decompressobj()
            try:
                data = frame.decompress(packed)
            except self._damage as error:
                raise EOFError from error
            self._frame, self._rest = (None, frame.unused_data) if frame.eof else (frame, b"")
            if data:
                return data
        if self._frame is not None:
            raise EOFError
        return b""


def _stream(found: Found, raw: IO[bytes]) -> Stream:
    buffered = cast("io.BufferedReader", raw)
    compression = found.compression if found.compression in ("gzip", "zstd") else compression_of(buffered.peek(4))
    if compression == "gzip":
        return gzip.GzipFile(fileobj=buffered)
    return _Frames(buffered) if compression == "zstd" else buffered


def _size(found: Found) -> int:
    return found.path.stat().st_size if found.path else 0


def _next(stream: Stream, found: Found, notes: list[str], out: IO[bytes]) -> bytes:
    try:
        return stream.read1(1 << 20)  # what is there: a plain read of a torn archive loses what came before the tear
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        if out.tell() == 0:
            raise SourceError(
                "log_unreadable", f"{found.name}: damaged compressed data", "fetch the file again"
            ) from error
        if TORN not in notes:
            notes.append(TORN)
        return b""


def _no_room(error: OSError) -> SourceError:
    free = shutil.disk_usage(tempfile.gettempdir()).free // (1 << 20)
    return SourceError(
        "no_room",
        f"{tempfile.gettempdir()}: {error.strerror} ({free:,} MB free)",
        "a compressed or piped log is unpacked there; free room or set TMPDIR",
    )
