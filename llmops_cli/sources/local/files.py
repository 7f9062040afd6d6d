"""From what the user named to the log files that exist: paths, globs, directories, standard input."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llmops_cli.errors import SourceError

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_OTHER_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"\x7fELF": "a program",
    b"\x89PNG": "an image",
    b"BZh": "bzip2; unpack it first",
    b"\xfd7zXZ": "xz; unpack it first",
    b"PAR1": "Parquet",
    b"SQLite format": "an SQLite database",
    b"%PDF": "a PDF",
}
_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16."""
_NUL_BLOCK = re.compile(rb"\0{16,}")
_SNIFF = 8192


@dataclass(frozen=True, slots=True)
class Found:
    """One log file. `compression` is "gzip", "zstd", "fifo" (any stream) or None; `path` None is standard input.

    `chosen`: the user named this very file, so that a fault in it is an error and not a file to pass over.
    """

    path: Path | None
    name: str
    compression: str | None
    chosen: bool = True


def find(named: Sequence[str], encoding: str | None = None) -> tuple[tuple[Found, ...], tuple[str, ...]]:
    """Resolve `named` to files, each once, in the order given, and what was passed over (one line each).

    `encoding`, where the user named one, tells text from binary data. A directory means its `*.log*`, not deeper.
    Raises `SourceError` when a name leads to nothing readable.
    """
    files: dict[str, Found] = {}
    passed_over: list[str] = []
    for name in named:
        if name == "-":
            if sys.stdin is None:
                raise SourceError(
                    "log_unreadable", "standard input is closed", "pipe the log in, or name it with --log"
                )
            files["-"] = Found(None, "standard input", None)
            continue
        paths, chosen = _expand(name)
        for path in paths:
            try:
                found = _sniff(path, encoding)
            except SourceError as error:
                if chosen:
                    raise
                passed_over.append(error.message)
                continue
            files.setdefault(os.path.realpath(path), replace(found, chosen=chosen))
    if not files:
        reason = passed_over[0] if passed_over else "no log file named"
        raise SourceError("log_unreadable", reason, "name another file with --log PATH")
    return tuple(files.values()), tuple(passed_over)


def shown(path: Path) -> str:
    """Name a file as a person in this directory would: a path below it without what leads to it."""
    try:
        below = path.absolute().relative_to(Path.cwd())
    except (ValueError, OSError):
        return str(path)
    return str(below) if path.is_absolute() else str(path)


def compression_of(head: bytes) -> str | None:
    """Recognise gzip and zstd by their first bytes."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def _expand(name: str) -> tuple[list[Path], bool]:
    """Give the paths a name stands for, and whether it named one file itself."""
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            if not os.access(path, os.R_OK | os.X_OK):
                raise SourceError(
                    "log_unreadable", f"{name}: permission denied", "ask for read access to the directory"
                )
            inside = sorted(p for p in path.glob("*.log*") if p.is_file() and not p.name.startswith("."))
            if not inside:
                raise SourceError(
                    "log_not_found", f"{name}: the directory holds no *.log* file", "name the log file with --log PATH"
                )
            return inside, False
        if path.exists():
            return [path], True
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError(
            "log_unreadable", f"{name!r}: {_reason(error)}", "name the log file with --log PATH"
        ) from error
    if glob.has_magic(name):
        found = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute and ** patterns alike
        # The shortest way to a file first: a link to a folder above leads to it in forty ways.
        matches = sorted(filter(Path.is_file, found), key=lambda each: (len(each.parts), each))
        if matches:
            return matches, False
        raise SourceError("log_not_found", f"{name}: no file matches", "check the pattern; quote it in the shell")
    what = "a link that leads to no file" if path.is_symlink() else "no such file"
    raise SourceError("log_not_found", f"{name}: {what}", _nearby(path))


def _nearby(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"the directory {parent} does not exist; name the log file with --log PATH"
    logs = sorted(p.name for p in parent.glob("*.log*"))[:3]
    if logs:
        return f"in that directory: {', '.join(logs)}"
    return "name the log file with --log PATH"


def _sniff(path: Path, encoding: str | None) -> Found:
    try:
        if not path.is_file() and not path.is_fifo():
            raise SourceError("log_unreadable", f"{path}: not a regular file", "name a log file with --log PATH")
        if path.is_fifo():
            return Found(path, shown(path), "fifo")
        with path.open("rb") as file:
            sized = os.fstat(file.fileno()).st_size > 0
            file.seek(hole_of(file.fileno()) if sized else 0)
            head = file.read(_SNIFF)
    except OSError as error:
        raise SourceError(
            "log_unreadable", f"{path}: {_reason(error)}", f"check the permissions: ls -l {path}"
        ) from error
    if compression := compression_of(head):
        return Found(path, shown(path), compression)
    for magic, kind in _OTHER_MAGIC.items():
        if head.startswith(magic):
            raise SourceError("log_binary", f"{path}: not a text log but {kind}", "name a text log, .gz or .zst")
    if not is_wide(encoding) and not head.startswith(_MARKS):
        if _looks_wide(head):
            raise SourceError("log_binary", f"{path}: UTF-16 without a byte order mark", "give --encoding utf-16")
        if _looks_binary(head):
            raise SourceError("log_binary", f"{path}: binary data, not a text log", "name a text log, .gz or .zst")
    # Files that the system makes up, as those of /proc, have a content and no size.
    return Found(path, shown(path), None if sized or not head else "fifo")


def hole_of(descriptor: int) -> int:
    """Give the length in bytes of the NUL bytes that a file begins with: it was truncated under its writer."""
    at, size = 0, _SNIFF
    while (block := os.pread(descriptor, size, at)) and not block.strip(b"\0"):
        at, size = at + len(block), 1 << 20
    return at + len(block) - len(block.lstrip(b"\0"))


def is_wide(encoding: str | None) -> bool:
    """Tell an encoding whose every second byte may well be NUL."""
    return (encoding or "").lower().replace("-", "").replace("_", "").startswith(("utf16", "utf32"))


def _looks_wide(head: bytes) -> bool:
    """Tell UTF-16 text, most of it ASCII: of the bytes at even places, or of those at odd ones, most are NUL."""
    text = head.replace(b"\0", b"")
    nul = max(half.count(0) / max(1, len(half)) for half in (head[0::2], head[1::2]))
    return nul > 0.75 and text != b"" and not _looks_binary(text)


def _looks_binary(head: bytes) -> bool:
    """Tell binary data from text that holds some NUL or escape bytes: one byte in twenty is a control character.

    Blocks of NUL say nothing: a crash leaves them among good lines.
    """
    text = _NUL_BLOCK.sub(b"", head)
    control = sum(byte < 32 and byte not in b"\t\n\r\x1b" for byte in text)
    return control * 20 > len(text) or bool(head and not text)


def _reason(error: BaseException) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def stdin_is_terminal() -> bool:
    """Tell whether `--log -` would wait for somebody to type."""
    return sys.stdin is not None and sys.stdin.isatty()
