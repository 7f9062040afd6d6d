"""Finding and reading `llmops.toml`, and saying on which of its lines a key stands."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmops_cli.errors import UsageError

FILE_NAME = "llmops.toml"

_MOST_BYTES = 1_000_000
_LONGEST_SHOWN = 200
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'|[ \t]*\.[ \t]*)+)[ \t]*=""")
_HEADER = re.compile(r"\s*\[\[?[^\[].*\]")
_AT = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)")


def user_file() -> Path:
    """Return where the user's own configuration stands, whether it exists or not."""
    from platformdirs import user_config_path  # noqa: PLC0415 - start-up: most runs find a file or need none

    return user_config_path("llmops") / FILE_NAME


def find(explicit: str | None, environ: Mapping[str, str], cwd: Path) -> tuple[Path, str] | None:
    """Return the configuration file and who chose it; None when there is none.

    The order is `--config`, `LLMOPS_CONFIG`, `llmops.toml` in `cwd` or the nearest parent that has one, the user's.
    Raises UsageError when a file that was asked for does not exist.
    """
    for name, chooser in ((explicit, "--config"), (environ.get("LLMOPS_CONFIG"), "LLMOPS_CONFIG")):
        if name:
            return _named(name, chooser, cwd), chooser
    for folder in (cwd, *cwd.parents):
        if os.path.isfile(folder / FILE_NAME):  # noqa: PTH113 - Path.is_file raises for a folder it may not enter
            return folder / FILE_NAME, "found in the working directory" if folder == cwd else "found in a parent"
    mine = user_file()
    return (mine, "the user's") if os.path.isfile(mine) else None  # noqa: PTH113 - as above


def _named(name: str, chooser: str, cwd: Path) -> Path:
    try:
        path = cwd / Path(name).expanduser()
        if path.exists():
            return path
    except (OSError, RuntimeError) as error:  # too long, in a folder that may not be entered; no such user's home
        why = (getattr(error, "strerror", None) or str(error)).lower()
        shown = name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"
        raise UsageError("config_unreadable", f"{chooser}: cannot read {shown}: {why}", "give another file") from None
    raise UsageError(
        "config_missing", f"{chooser}: there is no file {path}", f"create it: llmops config init --config {name}"
    )


def places(cwd: Path) -> tuple[Path, ...]:
    """Return where a configuration is looked for when none is named, nearest first."""
    return (*(folder / FILE_NAME for folder in (cwd, *cwd.parents)), user_file())


def read(path: Path) -> str:
    """Return the text of a configuration file. Raises UsageError when it cannot be read."""
    try:
        with path.open("rb") as file:
            # A pipe is fine (`--config <(…)`); a device may never end, hence the cap on what is read.
            if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
                raise IsADirectoryError
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        why = "it is a directory" if isinstance(error, IsADirectoryError) else (error.strerror or str(error)).lower()
        raise UsageError("config_unreadable", f"cannot read {path}: {why}", "give another file with --config") from None
    if len(content) > _MOST_BYTES:
        raise UsageError("config_unreadable", f"{path} is larger than 1 MB", "this is no llmops configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError("config_syntax", f"{path}:{line}: not UTF-8 text", "save the file as UTF-8") from None


def parse(text: str, path: Path) -> dict[str, Any]:
    """Return the tables of a configuration file. Raises UsageError with file and line for a syntax error."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _AT.fullmatch(str(error))
        what, line = (match[1], match[2]) if match else (str(error), None)
        where = f"{path}:{line or max(1, text.rstrip().count(chr(10)) + 1)}"
        hint = "mend that line; text values need quotes, tables look like [profiles.NAME]"
        raise UsageError("config_syntax", f"{where}: {_lower_first(what)}", hint) from None
    except ValueError:  # Python reads a whole number of 4300 digits at most
        raise UsageError("config_syntax", f"{path}: a number has too many digits", "write a shorter one") from None
    except RecursionError:
        raise UsageError("config_syntax", f"{path}: nested too deeply", "this is no llmops configuration") from None


def line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line on which the key path stands, or its nearest table; 1 when it cannot be told.

    TOML parsers drop positions, and only an error or `config show` wants one: headers and keys are looked up line by
    line, each read by the parser itself, so that quoting means the same here as there.
    """
    best_line, best_depth = 1, 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if _HEADER.match(line) and (path := _path(line)):
            table = here = path
        elif match := _KEY.match(line):
            here = table + (_path(match[1] + "=0") or ())
        else:
            continue
        depth = _shared(here, keys)
        if depth > best_depth and depth == min(len(here), len(keys)):
            best_line, best_depth = number, depth
    return best_line


def _shared(here: Sequence[str], keys: Sequence[str]) -> int:
    return next(
        (at for at, pair in enumerate(zip(here, keys, strict=False)) if pair[0] != pair[1]), min(len(here), len(keys))
    )


def _path(line: str) -> tuple[str, ...] | None:
    try:
        node: Any = tomllib.loads(line)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    path: list[str] = []
    while isinstance(node, dict | list) and node:
        if isinstance(node, list):
            node = node[0]
            continue
        key, node = next(iter(node.items()))
        path.append(key)
    return tuple(path)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
