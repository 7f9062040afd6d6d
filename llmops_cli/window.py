"""Which time a question is about: durations, instants, time zones, and the window they resolve to.

Everything here is a pure function of its arguments, except `find_zone(None)`, which asks the system for its zone.
Instants are integers, milliseconds since the Unix epoch.

A wall time without an offset is read in the given zone. Where daylight saving time makes it occur twice, a window's
start is the first occurrence and its end the second, so that nothing is left out; where it does not occur at all,
because the clocks jumped over it, it is moved on by the length of the jump (02:30 is 03:30).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from llmops_cli.errors import UsageError
from llmops_cli.evidence import Span, Window

Baseline = Literal["previous", "1d", "7d", "none"]

DEFAULT_SINCE = "15m"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LONGEST_MS = 3660 * _UNITS["d"]
_LATEST_MS = 253_402_300_800_000 - 2 * _UNITS["d"]  # short of the year 10000 in every zone, where datetime ends
_MS_FROM = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973: larger epoch numbers are milliseconds

_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_EPOCH_NUMBER = re.compile(r"(\d{9,16})(?:\.(\d{1,9}))?", re.ASCII)
_NOW = re.compile(r"now(?:\s*([+-])\s*(\S+))?", re.IGNORECASE | re.ASCII)
_OFFSET = re.compile(r"(?:utc|gmt)?([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """The window as it was asked for, as text; `resolve_window` makes a `Window` of it once the log's end is known."""

    since: str | None = None
    from_: str | None = None
    to: str | None = None
    baseline: str = "previous"


def parse_duration(text: str) -> int:
    """Return the milliseconds of a duration such as "15m", "1h30m", "1.5h" or "2w".

    Units are s, m, h, d (24 h) and w (7 d). Raises UsageError for anything else, for zero and for more than ten years.
    """
    compact = text.strip().lower()
    if not _DURATION.fullmatch(compact):
        raise UsageError(
            "bad_duration", f'"{_short(text)}" is not a duration', "write a number and s, m, h, d or w: 90s, 15m, 1h30m"
        )
    total = sum(round(float(number) * _UNITS[unit]) for number, unit in _PART.findall(compact))
    if total <= 0:
        raise UsageError("bad_duration", f'the duration "{_short(text)}" is empty', "give at least 1s")
    if total > _LONGEST_MS:
        raise UsageError(
            "bad_duration", f'the duration "{_short(text)}" is longer than ten years', "give a shorter one"
        )
    return total


def parse_instant(text: str, zone: tzinfo, *, now_ms: int, latest: bool = False) -> int:
    """Return the epoch milliseconds of `text`.

    Read are ISO 8601 with or without offset (a date alone is its midnight), epoch seconds or milliseconds (9 digits
    and more; from 100,000,000,000 on they are milliseconds), "now", "now-2h" and "now+5m". `latest` picks the second
    of the two instants of a wall time that occurs twice. Raises UsageError.
    """
    compact = text.strip()
    if match := _NOW.fullmatch(compact):
        sign, length = match.groups()
        shift = parse_duration(length) if length else 0
        return _possible(now_ms - shift if sign == "-" else now_ms + shift, text)
    if match := _EPOCH_NUMBER.fullmatch(compact):
        whole, fraction = match.groups()
        if int(whole) >= _MS_FROM:
            return _possible(int(whole), text)
        return _possible(int(whole) * 1000 + int((fraction or "").ljust(3, "0")[:3]), text)
    try:
        moment = datetime.fromisoformat(compact)
    except ValueError:
        raise UsageError(
            "bad_time",
            f'"{_short(text)}" is not a time',
            "write ISO 8601 (2025-07-09T14:00:00+08:00), epoch seconds or milliseconds, or now-2h",
        ) from None
    try:
        return _possible(_to_ms(_settle(moment, zone, latest=latest)), text)
    except OverflowError:
        raise _impossible(text) from None


def find_zone(name: str | None) -> tzinfo:
    """Return the time zone called `name` (Asia/Shanghai, UTC, +08:00, UTC+8); None: the system's.

    Raises UsageError with the nearest names when there is none.
    """
    if name is None:
        return _system_zone()
    compact = name.strip()
    if compact.upper() in {"Z", "UTC", "GMT"}:
        return UTC
    if match := _OFFSET.fullmatch(compact):
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if int(minutes or 0) < 60 and offset <= timedelta(hours=14):
            return timezone(-offset if sign == "-" else offset)
    if (zone := _named(compact)) is not None:
        return zone
    known = {key.lower(): key for key in available_timezones()}
    if compact.lower() in known:
        return ZoneInfo(known[compact.lower()])
    raise UsageError("bad_timezone", f'there is no time zone "{_short(name)}"', _nearest_zones(compact, known))


def resolve_window(
    *,
    since: str | None,
    from_: str | None,
    to: str | None,
    baseline: str,
    zone: tzinfo,
    now_ms: int,
    newest_ms: int | None,
) -> Window:
    """Return the window that was asked for.

    `--since` alone ends now; with `--from` it is the length after it, with `--to` the length before it. Neither
    `--from` nor `--to`: `newest_ms`, the time of the log's newest line with a header, anchors the window when it is
    older than the window's start. Raises UsageError for a reversed or empty window and for all three options at once.
    """
    span = _asked_span(since, from_, to, zone, now_ms)
    explicit = from_ is not None or to is not None
    anchored = not explicit and newest_ms is not None and newest_ms < span.start_ms
    if anchored and newest_ms is not None:
        span = Span(newest_ms + 1 - span.ms, newest_ms + 1)
    return Window(
        span=span,
        baseline=_baseline_span(span, baseline),
        timezone=zone,
        anchored=anchored,
        explicit=explicit,
        log_ends_ms=newest_ms if anchored else None,
    )


def stepped(window: Window, baseline: Span) -> Window:
    """Return `window` compared with `baseline` instead: the last healthy span, because the one before it was not."""
    return replace(window, baseline=baseline, stepped_back=True)


def _asked_span(since: str | None, from_: str | None, to: str | None, zone: tzinfo, now_ms: int) -> Span:
    if since is not None and from_ is not None and to is not None:
        raise UsageError("bad_window", "--since, --from and --to together say too much", "leave one of the three out")
    length = parse_duration(since or DEFAULT_SINCE)
    start = None if from_ is None else parse_instant(from_, zone, now_ms=now_ms)
    end = None if to is None else parse_instant(to, zone, now_ms=now_ms, latest=True)
    if start is not None and end is None:
        end = now_ms if since is None else start + length
    elif start is None:
        end = now_ms if end is None else end
        start = end - length
    if start is None or end is None or start == end:
        raise UsageError("bad_window", "the window is empty: it ends when it begins", "move --from or --to")
    if start > end:
        ends = f"ends ({_shown(end, zone)}) before it begins ({_shown(start, zone)})"
        hint = "swap --from and --to" if to is not None else "--from lies in the future; give --to as well"
        raise UsageError("bad_window", f"the window {ends}", hint)
    if start < 0 or end > _LATEST_MS:
        raise UsageError("bad_window", "the window reaches beyond the years 1970 to 9999", "give a shorter one")
    return Span(start, end)


def _baseline_span(span: Span, baseline: str) -> Span | None:
    if baseline not in get_args(Baseline):
        raise UsageError("bad_baseline", f'"{_short(baseline)}" is not a baseline', "give previous, 1d, 7d or none")
    if baseline == "none":
        return None
    distance = span.ms if baseline == "previous" else parse_duration(baseline)
    if distance < span.ms:
        raise UsageError(
            "bad_baseline",
            f"a window longer than {baseline} overlaps its own baseline of {baseline} earlier",
            "use --baseline previous, or a shorter window",
        )
    return Span(span.start_ms - distance, span.end_ms - distance)


def _settle(moment: datetime, zone: tzinfo, *, latest: bool) -> datetime:
    if moment.tzinfo is not None:
        return moment
    local = moment.replace(tzinfo=zone)
    exists = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment
    # In a gap only fold 0, the offset before the jump, moves a wall time on; fold 1 would move it back.
    return local.replace(fold=1) if latest and exists else local


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _possible(ms: int, text: str) -> int:
    if 0 <= ms <= _LATEST_MS:
        return ms
    raise _impossible(text)


def _impossible(text: str) -> UsageError:
    return UsageError("bad_time", f'"{_short(text)}" is not between the years 1970 and 9999', "give another time")


def _named(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # malformed, a directory, unknown
        return None


def _nearest_zones(name: str, known: dict[str, str]) -> str:
    wanted = name.lower().replace(" ", "_")
    cities = {key.rsplit("/", 1)[-1]: full for key, full in sorted(known.items())}
    close = [known[key] for key in get_close_matches(wanted, known, n=3, cutoff=0.75)]
    close += [cities[key] for key in get_close_matches(wanted, cities, n=3, cutoff=0.75)]
    if not close:
        return "write a name such as Asia/Shanghai, or an offset such as +08:00"
    return "did you mean " + ", ".join(list(dict.fromkeys(close))[:3]) + "?"


def _system_zone() -> tzinfo:
    named = os.environ.get("TZ", "").removeprefix(":")
    link = Path("/etc/localtime")
    if not named and link.is_symlink():
        named = str(link.readlink()).partition("zoneinfo/")[2]
    if named and (zone := _named(named)) is not None:
        return zone
    # A POSIX rule such as CST-8, or no zone file at all: today's offset is the best that is known.
    return datetime.now(UTC).astimezone().tzinfo or UTC


def _shown(ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(ms / 1000, zone).isoformat(sep=" ", timespec="seconds")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
