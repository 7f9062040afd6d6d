"""Durations, instants, zones and the window they resolve to."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.errors import UsageError
from llmops_cli.evidence import Span
from llmops_cli.window import find_zone, parse_duration, parse_instant, resolve_window, stepped

NOW = 1_752_046_200_123  # 2025-07-09T07:30:00.123Z
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ZONES = ["UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]

instants = st.integers(0, 4_102_444_800_000)  # to the year 2100
zones = st.sampled_from(ZONES).map(ZoneInfo)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def asked(*, since=None, from_=None, to=None, baseline="previous", zone=UTC, newest_ms=None):
    return resolve_window(
        since=since, from_=from_, to=to, baseline=baseline, zone=zone, now_ms=NOW, newest_ms=newest_ms
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90_000),
        ("15m", 15 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1.5h", 90 * MINUTE),
        ("2d", 2 * DAY),
        ("1w", 7 * DAY),
        (" 15M ", 15 * MINUTE),
    ],
)
def test_durations(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "15", "m", "15 minutes", "-15m", "0m", "1e3s", "15m!", "٣m", "99999w", "0.0001s"])
def test_what_is_no_duration_is_told_with_an_example(text):
    with pytest.raises(UsageError) as caught:
        parse_duration(text)
    assert caught.value.code == "bad_duration"
    assert caught.value.hint


@given(st.lists(st.tuples(st.integers(1, 99), st.sampled_from("smhdw")), min_size=1, max_size=4))
def test_a_combined_duration_is_the_sum_of_its_parts(parts):
    whole = parse_duration("".join(f"{number}{unit}" for number, unit in parts))
    assert whole == sum(parse_duration(f"{number}{unit}") for number, unit in parts)


@given(instants, zones)
def test_an_instant_with_offset_is_read_back_exactly(instant, zone):
    moment = datetime.fromtimestamp(instant / 1000, zone).replace(microsecond=instant % 1000 * 1000)
    assert parse_instant(moment.isoformat(timespec="milliseconds"), UTC, now_ms=NOW) == instant


@given(instants, zones)
def test_a_wall_time_is_read_back_as_the_first_or_the_last_instant_that_shows_it(instant, zone):
    wall = datetime.fromtimestamp(instant / 1000, zone).replace(microsecond=instant % 1000 * 1000, tzinfo=None)
    first = parse_instant(wall.isoformat(timespec="milliseconds"), zone, now_ms=NOW)
    last = parse_instant(wall.isoformat(timespec="milliseconds"), zone, now_ms=NOW, latest=True)
    assert first <= instant <= last
    assert instant in {first, last}


@given(instants)
def test_epoch_seconds_and_milliseconds_are_told_apart(instant):
    instant = instant // 1000 * 1000
    if instant >= 100_000_000_000:
        assert parse_instant(str(instant), UTC, now_ms=NOW) == instant
        assert parse_instant(str(instant // 1000), UTC, now_ms=NOW) == instant


def test_times_as_people_write_them():
    zone = ZoneInfo("Asia/Shanghai")

    def at(text):
        return parse_instant(text, zone, now_ms=NOW)

    assert at("2025-07-09T14:00:00+08:00") == ms("2025-07-09T14:00:00+08:00")
    assert at("2025-07-09 14:00:00,250") == ms("2025-07-09T14:00:00.250+08:00")
    assert at("2025-07-09") == ms("2025-07-09T00:00:00+08:00")
    assert at("2025-07-09T06:00Z") == ms("2025-07-09T06:00:00+00:00")
    assert at("1752040800.5") == 1_752_040_800_500
    assert at("now") == NOW
    assert at("now-2h") == NOW - 2 * HOUR
    assert at("NOW - 1h30m") == NOW - 90 * MINUTE
    assert at("now+5m") == NOW + 5 * MINUTE


def test_a_wall_time_that_the_clocks_jump_over_moves_on_by_the_jump():
    zone = ZoneInfo("America/New_York")
    for latest in (False, True):
        assert parse_instant("2025-03-09T02:30", zone, now_ms=NOW, latest=latest) == ms("2025-03-09T03:30:00-04:00")


def test_a_window_over_a_repeated_hour_leaves_nothing_out():
    window = asked(from_="2025-11-02T01:00", to="2025-11-02T01:30", zone=ZoneInfo("America/New_York"))
    assert window.span == Span(ms("2025-11-02T01:00:00-04:00"), ms("2025-11-02T01:30:00-05:00"))


@given(st.text(max_size=40) | st.from_regex(r"[0-9T:+. Zow-]{1,30}", fullmatch=True))
def test_any_text_is_a_time_or_a_usage_error(text):
    for read in (
        lambda: parse_instant(text, UTC, now_ms=NOW),
        lambda: parse_instant(text, ZoneInfo("Asia/Shanghai"), now_ms=NOW, latest=True),
        lambda: parse_duration(text),
        lambda: find_zone(text),
    ):
        with contextlib.suppress(UsageError):
            read()


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59-14:00", "1969-12-31", "9" * 16, "now-9w9999999d"])
def test_times_beyond_the_calendar_are_usage_errors(text):
    with pytest.raises(UsageError):
        parse_instant(text, timezone(timedelta(hours=14)), now_ms=NOW)


def test_zones():
    assert find_zone("Asia/Shanghai") == ZoneInfo("Asia/Shanghai")
    assert find_zone("asia/shanghai") == ZoneInfo("Asia/Shanghai")
    assert find_zone("utc") is UTC
    for name in ("+08:00", "+0800", "UTC+8", "gmt+08"):
        assert find_zone(name).utcoffset(None) == timedelta(hours=8)
    assert find_zone("-3:30").utcoffset(None) == -timedelta(hours=3, minutes=30)


@pytest.mark.parametrize(
    ("name", "near"),
    [("Asia/Shangai", "Asia/Shanghai"), ("Shanghai", "Asia/Shanghai"), ("new york", "America/New_York")],
)
def test_an_unknown_zone_names_the_nearest(name, near):
    with pytest.raises(UsageError) as caught:
        find_zone(name)
    assert near in caught.value.hint


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "/etc/localtime", "America", "\0", "+25:00", "+08:75", "x" * 999]
)
def test_hostile_zone_names_are_usage_errors(name):
    with pytest.raises(UsageError) as caught:
        find_zone(name)
    assert len(caught.value.message) < 120


@pytest.mark.parametrize(("tz", "hours"), [("Asia/Tokyo", 9), (":Asia/Tokyo", 9), ("UTC", 0)])
def test_the_system_zone_follows_tz(monkeypatch, tz, hours):
    monkeypatch.setenv("TZ", tz)
    assert datetime(2025, 7, 9, tzinfo=find_zone(None)).utcoffset() == timedelta(hours=hours)


def test_the_default_window_is_the_last_quarter_of_an_hour_and_the_one_before():
    window = asked()
    assert window.span == Span(NOW - 15 * MINUTE, NOW)
    assert window.baseline == Span(NOW - 30 * MINUTE, NOW - 15 * MINUTE)
    assert (window.anchored, window.explicit, window.stepped_back, window.log_ends_ms) == (False, False, False, None)


def test_from_to_and_since_combine():
    start, end = ms("2025-07-09T06:00:00+00:00"), ms("2025-07-09T07:00:00+00:00")
    assert asked(from_="2025-07-09T06:00", to="2025-07-09T07:00").span == Span(start, end)
    assert asked(from_="2025-07-09T06:00", since="5m").span == Span(start, start + 5 * MINUTE)
    assert asked(to="2025-07-09T07:00", since="5m").span == Span(end - 5 * MINUTE, end)
    assert asked(to="2025-07-09T07:00").span == Span(end - 15 * MINUTE, end)
    assert asked(from_="2025-07-09T06:00").span == Span(start, NOW)
    assert asked(from_="now-2h").explicit


@pytest.mark.parametrize(
    ("given_", "word"),
    [
        ({"since": "5m", "from_": "now-1h", "to": "now"}, "together"),
        ({"from_": "now", "to": "now-1h"}, "before it begins"),
        ({"from_": "now+1h"}, "before it begins"),
        ({"from_": "now", "to": "now"}, "empty"),
        ({"since": "2d", "baseline": "1d"}, "overlaps"),
        ({"baseline": "2d"}, "not a baseline"),
    ],
)
def test_impossible_windows_are_told(given_, word):
    with pytest.raises(UsageError) as caught:
        asked(**given_)
    assert word in caught.value.message
    assert caught.value.hint


@given(st.integers(1, 3 * 86_400), st.integers(0, NOW), st.sampled_from(["previous", "none"]))
def test_a_relative_window_is_anchored_exactly_when_the_log_ends_before_it(seconds, newest, baseline):
    window = asked(since=f"{seconds}s", newest_ms=newest, baseline=baseline)
    assert window.span.ms == seconds * 1000
    assert window.anchored == (newest < NOW - seconds * 1000)
    assert window.span.end_ms == (newest + 1 if window.anchored else NOW)
    assert window.log_ends_ms == (newest if window.anchored else None)
    if baseline == "none":
        assert window.baseline is None
    else:
        assert window.baseline == Span(window.span.start_ms - window.span.ms, window.span.start_ms)


@given(st.integers(0, NOW))
def test_an_explicit_window_is_never_anchored(newest):
    window = asked(from_="now-1h", newest_ms=newest)
    assert window.explicit
    assert not window.anchored
    assert window.span == Span(NOW - HOUR, NOW)


@pytest.mark.parametrize(("baseline", "days"), [("1d", 1), ("7d", 7)])
def test_a_daily_baseline_is_the_same_stretch_days_earlier(baseline, days):
    window = asked(since="1h", baseline=baseline, newest_ms=NOW - 30 * DAY)
    assert window.baseline == Span(window.span.start_ms - days * DAY, window.span.end_ms - days * DAY)


def test_a_stepped_back_window_says_so_and_keeps_the_rest():
    window = asked()
    back = stepped(window, Span(1, 2))
    assert back.stepped_back
    assert back.baseline == Span(1, 2)
    assert back.span == window.span
