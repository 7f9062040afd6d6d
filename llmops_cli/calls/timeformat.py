"""The time of a log header: a date format compiled for Python, for DuckDB and for a regular expression."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from llmops_cli.calls.timeletters import MONTH_OF, Part, TimeFormatError, quote_like, split

ISO8601 = "yyyy-MM-dd HH:mm:ss,SSS"
"""What Logback prints for `%d` and `%d{ISO8601}`."""

_NAMED = {
    "": ISO8601,
    "ISO8601": ISO8601,
    "STRICT": "yyyy-MM-dd'T'HH:mm:ss,SSS",
    "STRICT_ISO8601": "yyyy-MM-dd'T'HH:mm:ss,SSS",
}
_OFFSET_PARTS = re.compile(r"(?:GMT|UTC)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?")


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How the time of a header is written.

    `java`: the format as Logback spells it. `strptime`: the same for DuckDB's `try_strptime` (`%g` milliseconds, `%f`
    microseconds, `%n` nanoseconds), empty when DuckDB cannot read it (a zone written as a name). With `%z` DuckDB wants
    a written `Z` replaced by `+00:00` first. `regex`: no groups, good for Python, RE2 and Boost. `width`: characters,
    None when they vary. `zone`: the log writes a zone or offset. `fixed_zone`: the pattern itself names the zone
    (`%d{…, UTC}`), so that neither the log nor the user does. `commas`: how many the text holds. `like`: the SQL LIKE
    form, one `_` for each digit, `%` for anything of unknown width.
    """

    java: str
    strptime: str
    regex: str
    width: int | None
    zone: bool
    fixed_zone: str | None
    commas: int
    like: str
    _groups: re.Pattern[str] = field(repr=False, compare=False)

    def zone_or(self, default: tzinfo) -> tzinfo:
        """Choose the zone of times that carry none: the pattern's own, else `default`."""
        return default if self.fixed_zone is None else zone_named(self.fixed_zone) or default

    def to_epoch_ms(self, text: str, zone: tzinfo) -> int | None:
        """Milliseconds since the epoch, rounded down; None when `text` is no such time. Never raises.

        `zone` is used when neither the text nor the pattern names one. A local time that happens twice is the first
        of the two (fold=0); one that a clock change skips is read with the offset from before it.
        """
        match = self._groups.fullmatch(text)
        if match is None:
            return None
        got = match.groupdict()
        try:
            date = (_year(got["year"]), _month(got["month"]), int(got["day"]))
            clock = (_hour(got["hour"], got.get("half")), int(got.get("minute") or 0))
            minute = _minute_ms((*date, *clock), self._zone_in(got.get("zone"), zone))
        except (ValueError, OverflowError):
            return None
        second = int(got.get("second") or 0)
        if second > 59:
            return None
        return minute + second * 1000 + int((got.get("fraction") or "0").ljust(3, "0")[:3])

    def _zone_in(self, written: str | None, default: tzinfo) -> tzinfo:
        if written is not None:
            # A name such as CST belongs to several zones: the one that the reader chose decides.
            return _offset_zone(written) or default
        return self.zone_or(default)


def compile_time(java: str, zone: str | None = None) -> TimeFormat:
    """Compile a format of `%d{…}`; raises `TimeFormatError`. `zone` is Logback's second option."""
    text = _NAMED.get(java.strip(), java)
    if zone is not None and zone_named(zone) is None:
        raise TimeFormatError(f"unknown time zone {zone!r}; write one like UTC, Asia/Shanghai or GMT+8")
    parts = list(split(text))
    _check(parts, text)
    widths = [part.width for part in parts]
    readable = all(part.strptime for part in parts)
    return TimeFormat(
        java=text,
        strptime="".join(part.strptime for part in parts) if readable else "",
        regex="".join(part.regex for part in parts),
        width=None if None in widths else sum(width or 0 for width in widths),
        zone=any(part.name == "zone" for part in parts),
        fixed_zone=zone,
        commas=sum(part.literal.count(",") for part in parts),
        like="".join(map(_like, parts)),
        _groups=re.compile("".join(f"(?P<{part.name}>{part.regex})" if part.name else part.regex for part in parts)),
    )


def zone_named(name: str) -> tzinfo | None:
    """Find the zone of an IANA name, of `UTC`, or of a Java one such as `GMT+8` or `+08:00`; None without one."""
    offset = _offset_zone(name)
    if offset is not None:
        return offset
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # malformed, a directory of the zone database, unknown
        return None


def _offset_zone(text: str) -> tzinfo | None:
    if text in {"Z", "UTC", "GMT", "UT", "Etc/UTC"}:
        return UTC
    match = _OFFSET_PARTS.fullmatch(text)
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset) if offset < timedelta(hours=24) else None


@lru_cache(maxsize=4096)
def _minute_ms(minute: tuple[int, int, int, int, int], zone: tzinfo) -> int:
    """Find the epoch ms at which a local minute starts: lines share minutes, and offsets are slow to find."""
    local = datetime(*minute, tzinfo=zone)
    return (local.replace(tzinfo=UTC) - (local.utcoffset() or timedelta()) - _EPOCH) // timedelta(milliseconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _year(text: str) -> int:
    # Two digits: this century up to 68, as strptime has it.
    return int(text) if len(text) > 2 else int(text) + (2000 if int(text) < 69 else 1900)


def _month(text: str) -> int:
    return int(text) if text.isdigit() else MONTH_OF.get(text.lower(), 0)


def _hour(text: str, half: str | None) -> int:
    hour = int(text)
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(text)
    return hour % 12 + (12 if half.lower() == "pm" else 0)


def _check(parts: list[Part], text: str) -> None:
    names = [part.name for part in parts if part.name]
    missing = [word for word in ("year", "month", "day") if word not in names]
    if missing:
        what = "date" if len(missing) == 3 else missing[0]
        raise TimeFormatError(f"the date format {text!r} has no {what}: write one like yyyy-MM-dd HH:mm:ss.SSS")
    if "hour" not in names:
        raise TimeFormatError(f"the date format {text!r} has no time of day: write one like yyyy-MM-dd HH:mm:ss.SSS")
    twelve = any(part.strptime in {"%I", "%-I"} for part in parts)
    if twelve != ("half" in names):
        raise TimeFormatError(f"the date format {text!r} needs HH (24 h), or hh together with a (AM/PM)")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise TimeFormatError(f"the date format {text!r} has the {twice} twice")
    for part, after in pairwise(parts):
        if part.name and part.width is None and after.regex.startswith("[0-9]"):
            raise TimeFormatError(
                f"in the date format {text!r} digits of unknown number run together: write two letters"
            )


def _like(part: Part) -> str:
    if not part.name:
        return quote_like(part.literal)
    return "%" if part.width is None else "_" * part.width
