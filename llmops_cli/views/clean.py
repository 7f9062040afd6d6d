"""Log text is hostile: here it is made safe to show, once, before any view touches it.

A terminal obeys ESC, CR and C1; a reader is deceived by bidirectional controls (Trojan Source, CVE-2021-42574) and by
characters without a width. All of them become visible escapes. Rich markup needs no defence here, because views
build `Text` from strings and never parse them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from llmops_cli.evidence import ScopeName

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_cli.report import Report

SHOWN = 200
"""Characters of one logged value that a table shows; how many more there are is said."""

DECEIVING = (
    r"\x7f-\x9f"  # DEL, C1
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, Arabic mark, fillers
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, directional marks, U+2028/9, embeddings, isolates
    r"\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"  # lone surrogates, BOM, annotations, tags
)
"""Body of a regex character class: everything above C0 that is not shown as it is."""

_HOSTILE = re.compile(rf"[\x00-\x08\x0a-\x1f{DECEIVING}]")
_SHORT = {"\n": r"\n", "\r": r"\r"}

_WHOLE = frozenset({"next", "command", "cause", "remedy", "rollback", "hint", "text", "toml", "env", "json", "diff"})
"""Fields that are never shortened: commands are pasted, prose of the catalogue is ours, a diff is shown whole."""

_LINES = frozenset({"TraceLine.message", "RunbookData.text", "ExpandData.text"})
"""Fields whose line breaks are real; everywhere else a line break in a value is an attack or an accident."""

_SETTINGS = frozenset({"toml", "env", "json"})


def clean(text: str, *, newlines: bool = False) -> str:
    r"""`text` with everything that a terminal obeys or a reader cannot see as an escape: `\x1b`, `\u202e`.

    Tabs stay. Line feeds stay only with `newlines`, where `\r\n` counts as one. Cleaning twice changes nothing.
    """
    if newlines:
        return "\n".join(_HOSTILE.sub(_escape, line) for line in text.replace("\r\n", "\n").split("\n"))
    return _HOSTILE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def bounded(text: str, most: int = SHOWN) -> str:
    """`text` with at most `most` characters, and how many were left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more)"


def hidden(message: str, lang: str = "en") -> str:
    """Return a logged message with the prompt or the result it holds told by length and hash only."""
    from llmops_cli.knowledge import content  # noqa: PLC0415 - only a trace has logged messages

    return content.hidden(message, lang)


@cache
def _redact() -> Callable[[str], str]:
    from llmops_cli.redact import redact  # noqa: PLC0415 - compiled patterns, wanted by the first view only

    return redact


def redacted(text: str) -> str:
    """`text` without the keys and tokens that it may quote."""
    return _redact()(text)


def shown(text: str, *, newlines: bool = False) -> str:
    """`text` as every view but JSON shows it: without secrets, then cleaned."""
    return clean(redacted(text), newlines=newlines)


def cleaned(report: Report, *, show_content: bool = False, lang: str = "en") -> Report:
    """Return a copy of the report whose every string is safe to show.

    Logged values are bounded to `SHOWN` characters; prompts and results are hidden unless `show_content`.
    """
    copy: Report = _walk(report, "", "", None if show_content else lang)
    return copy


def _walk(value: Any, owner: str, name: str, hide_in: str | None) -> Any:
    """Clean one value; `hide_in` is the language in which prompts and results are told of, None to show them."""
    if isinstance(value, ScopeName):
        return ScopeName(_string(value, owner, name), {key: _string(item, "", "") for key, item in value.parts.items()})
    if isinstance(value, str):
        logged = hide_in is not None and owner == "TraceLine" and name == "message"
        return _string(hidden(value, str(hide_in)) if logged else value, owner, name)
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value).__name__
        changed = {f.name: _walk(getattr(value, f.name), kind, f.name, hide_in) for f in fields(value)}
        return replace(value, **changed)
    if isinstance(value, Mapping):
        return {
            _string(str(key), "", ""): _walk(item, owner, str(key) if owner == "Message" else name, hide_in)
            for key, item in value.items()
        }
    if isinstance(value, (tuple, list)):
        return tuple(_walk(item, owner, name, hide_in) for item in value)
    return value


def _string(text: str, owner: str, name: str) -> str:
    if f"{owner}.{name}" in _LINES or (owner == "Settings" and name in _SETTINGS):
        return shown(text, newlines=True)
    if name in _WHOLE or owner == "Problem":
        return shown(text)
    if name == "unparsed_samples":  # what is wrong with them stands behind their header
        return bounded(shown(text).replace("\t", " "), 2 * SHOWN)
    return bounded(shown(text).replace("\t", " "))
