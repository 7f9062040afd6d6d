"""The letters of a `SimpleDateFormat` text: what each run stands for, in Python, in DuckDB and in a log.

Letters: https://docs.oracle.com/javase/8/docs/api/java/text/SimpleDateFormat.html and, for Logback 1.3 and later,
java.time's DateTimeFormatter. Where the two differ (`S` is milliseconds in the one, a fraction of a second in the
other) `SSS` means the same in both, and any other number of `S` is read as a fraction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FULL_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MONTH_OF = {name.lower(): number for names in (MONTHS, FULL_MONTHS) for number, name in enumerate(names, 1)}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FULL_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OFFSET = "(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_ZONE_NAME = "[A-Za-z][A-Za-z0-9/_+:-]*"
_LETTER_RUN = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+|'")


class TimeFormatError(ValueError):
    """A date format that cannot be read back; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One run of letters (`name` set, see `_letters`) or a literal."""

    name: str
    regex: str
    strptime: str
    width: int | None
    literal: str = ""


def quote(text: str) -> str:
    """Write `text` as a regular expression that Python, RE2 and Boost read alike."""
    return "".join(f"\\{char}" if char in r"\.^$|?*+()[]{}" else char for char in text)


def quote_like(text: str) -> str:
    """Escape `text` for an SQL LIKE pattern whose escape character is the backslash."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def split(text: str) -> Iterator[Part]:
    """Split a date format into its parts; raises `TimeFormatError` for letters that cannot be read back."""
    for match in _LETTER_RUN.finditer(text):
        run = match[0]
        if match[1]:
            yield _letters(run)
        elif run == "'":
            raise TimeFormatError(f"the quote of the date format {text!r} is not closed")
        elif run == "''":
            yield _literal("'")
        else:
            yield _literal(run[1:-1].replace("''", "'") if run[0] == "'" else run)


def _literal(text: str) -> Part:
    return Part("", quote(text), text.replace("%", "%%"), len(text), literal=text)


def _number(name: str, count: int, code: str) -> Part | None:
    """Make a number of two digits, or of one or two when the format has one letter."""
    if count > 2:
        return None
    if count == 2:
        return Part(name, "[0-9]{2}", code, 2)
    return Part(name, "[0-9]{1,2}", code.replace("%", "%-"), None)


def _one_of(name: str, words: tuple[str, ...], code: str) -> Part:
    width = len(words[0]) if len({len(word) for word in words}) == 1 else None
    return Part(name, f"(?:{'|'.join(words)})", code, width)


def _year_part(count: int) -> Part | None:
    return Part("year", "[0-9]{2}", "%y", 2) if count == 2 else Part("year", "[0-9]{4}", "%Y", 4)


def _month_part(count: int) -> Part | None:
    if count < 3:
        return _number("month", count, "%m")
    return _one_of("month", MONTHS, "%b") if count == 3 else _one_of("month", FULL_MONTHS, "%B")


def _weekday_part(count: int) -> Part | None:
    return _one_of("weekday", _DAYS, "%a") if count <= 3 else _one_of("weekday", _FULL_DAYS, "%A")


def _fraction_part(count: int) -> Part | None:
    if count > 9:
        return None
    if count < 3:
        return Part("fraction", "[0-9]{1,3}", "%g", None)
    code = "%g" if count == 3 else "%f" if count <= 6 else "%n"
    return Part("fraction", f"[0-9]{{{count}}}", code, count)


def _offset_part(count: int) -> Part | None:
    if count < 4:
        return Part("zone", "[+-][0-9]{4}", "%z", 5)
    return Part("zone", _OFFSET, "%z", None) if count == 5 else Part("zone", _ZONE_NAME, "", None)


def _letters(run: str) -> Part:
    make = _LETTERS.get(run[0])
    part = make(len(run)) if make else None
    if part is None:
        raise TimeFormatError(f"{run!r} is not supported; use letters of yyyy MM dd HH mm ss SSS, quote words: 'T'")
    return part


_LETTERS: dict[str, Callable[[int], Part | None]] = {
    "y": _year_part,
    "u": _year_part,
    "M": _month_part,
    "L": _month_part,
    "d": lambda count: _number("day", count, "%d"),
    "E": _weekday_part,
    "H": lambda count: _number("hour", count, "%H"),
    "h": lambda count: _number("hour", count, "%I"),
    "m": lambda count: _number("minute", count, "%M"),
    "s": lambda count: _number("second", count, "%S"),
    "S": _fraction_part,
    "a": lambda _: Part("half", "(?:AM|PM|am|pm)", "%p", 2),
    "X": lambda count: Part("zone", _OFFSET, "%z", None) if count <= 3 else None,
    "x": lambda count: Part("zone", _OFFSET, "%z", None) if count <= 3 else None,
    "Z": _offset_part,
    "z": lambda _: Part("zone", _ZONE_NAME, "", None),
}
"""Letter -> what a run of it stands for, None when a run so long means nothing."""
