"""The time of a header: one instant, whatever the format, the zone and the season."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.calls.timeformat import compile_time, zone_named

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
SAMPLE = datetime.fromisoformat("2025-07-09T14:23:24.748")

WRITTEN = [
    ("yyyy-MM-dd HH:mm:ss.SSS", "2025-07-09 14:23:24.748", 23, 0),
    ("ISO8601", "2025-07-09 14:23:24,748", 23, 1),
    ("", "2025-07-09 14:23:24,748", 23, 1),
    ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2025-07-09T14:23:24.748", 23, 0),
    ("yyyyMMddHHmmssSSS", "20250709142324748", 17, 0),
    ("yy/M/d H:m:s.SSS", "25/7/9 14:23:24.748", None, 0),
    ("dd MMM yyyy HH:mm:ss.SSS", "09 Jul 2025 14:23:24.748", 24, 0),
    ("EEE, d MMMM yyyy hh:mm:ss.SSS a", "Wed, 9 July 2025 02:23:24.748 PM", None, 1),
    ("MM/dd/yyyy hh:mm:ss.SSS a", "07/09/2025 02:23:24.748 PM", 26, 0),
    ("uuuu-MM-dd HH:mm:ss.SSSSSS", "2025-07-09 14:23:24.748000", 26, 0),
    ("yyyy-MM-dd HH:mm:ss.SSSSSSSSS", "2025-07-09 14:23:24.748000000", 29, 0),
    ("yyyy-MM-dd HH 'o''clock' mm:ss.SSS 100%", "2025-07-09 14 o'clock 23:24.748 100%", 36, 0),
    ("yyyy年MM月dd日 HH:mm:ss.SSS", "2025年07月09日 14:23:24.748", 24, 0),
]


@pytest.mark.parametrize(("java", "text", "width", "commas"), WRITTEN)
def test_formats_read_the_same_in_python_and_in_duckdb(java, text, width, commas):
    time = compile_time(java)
    assert time.to_epoch_ms(text, UTC) == round(SAMPLE.replace(tzinfo=UTC).timestamp() * 1000)
    assert (time.width, time.commas, time.zone) == (width, commas, False)
    read, liked = duckdb.execute(
        "select try_strptime(?, ?)::timestamp, ? like ? escape '\\'", [text, time.strptime, text, time.like]
    ).fetchone()
    assert read == SAMPLE
    assert liked


@pytest.mark.parametrize(
    ("java", "text"),
    [
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2025-07-09T14:23:24.748+08:00"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2025-07-09T14:23:24.748+08"),
        ("yyyy-MM-dd HH:mm:ss.SSSZ", "2025-07-09 14:23:24.748+0800"),
        ("yyyy-MM-dd HH:mm:ss.SSS z", "2025-07-09 14:23:24.748 GMT+08:00"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2025-07-09T06:23:24.748Z"),
        ("yyyy-MM-dd HH:mm:ss.SSS z", "2025-07-09 06:23:24.748 UTC"),
    ],
)
def test_a_zone_in_the_log_wins_over_every_other(java, text):
    time = compile_time(java)
    assert time.zone
    assert time.to_epoch_ms(text, NEW_YORK) == 1752042204748
    if time.strptime:
        column = text.replace("Z", "+00:00")
        read = duckdb.execute("select epoch_ms(try_strptime(?, ?)::timestamptz)", [column, time.strptime]).fetchone()
        assert read == (1752042204748,)


def test_a_zone_name_that_several_zones_share_is_the_reader_s():
    time = compile_time("yyyy-MM-dd HH:mm:ss.SSS z")
    assert time.to_epoch_ms("2025-07-09 14:23:24.748 CST", SHANGHAI) == 1752042204748


@pytest.mark.parametrize("zone", ["UTC", "GMT", "GMT+0"])
def test_a_zone_in_the_pattern_wins_over_the_reader_s(zone):
    time = compile_time("yyyy-MM-dd HH:mm:ss.SSS", zone)
    assert (time.fixed_zone, time.zone) == (zone, False)
    assert time.to_epoch_ms("2025-07-09 06:23:24.748", SHANGHAI) == 1752042204748


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-11-02 00:59:59.999", "2025-11-02T04:59:59.999"),
        ("2025-11-02 01:30:00.000", "2025-11-02T05:30:00"),  # happens twice: the first
        ("2025-11-02 02:00:00.000", "2025-11-02T07:00:00"),
        ("2025-03-09 01:59:59.999", "2025-03-09T06:59:59.999"),
        ("2025-03-09 02:30:00.000", "2025-03-09T07:30:00"),  # never happens: with the offset from before
        ("2025-03-09 03:00:00.000", "2025-03-09T07:00:00"),
    ],
)
def test_daylight_saving(text, utc):
    expected = round(datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp() * 1000)
    assert compile_time("yyyy-MM-dd HH:mm:ss.SSS").to_epoch_ms(text, NEW_YORK) == expected


@given(
    st.integers(min_value=0, max_value=4_000_000_000_000),
    st.sampled_from(
        ["UTC", "Asia/Shanghai", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Monrovia"]
    ),
    st.sampled_from(["yyyy-MM-dd HH:mm:ss.SSS", "ISO8601", "yyyyMMddHHmmssSSS"]),
)
def test_every_instant_comes_back(ms, name, java):
    zone = ZoneInfo(name)
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(zone)
    text = local.strftime("%Y-%m-%d %H:%M:%S,") + f"{local.microsecond // 1000:03}"
    if java == "yyyyMMddHHmmssSSS":
        text = "".join(char for char in text if char.isdigit())
    elif java != "ISO8601":
        text = text.replace(",", ".")
    first = local.replace(fold=0).astimezone(UTC)
    expected = round((first - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
    assert compile_time(java).to_epoch_ms(text, zone) == expected


@given(st.text(max_size=30))
def test_no_text_raises(text):
    for java in ("ISO8601", "yy/M/d h:m:s.S a", "dd MMM yyyy HH:mm:ss z"):
        compile_time(java).to_epoch_ms(text, UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("2025-13-09 14:23:24.748", "2025-02-30 14:23:24.748", "2025-07-09 24:00:00.000", "2025-07-09 14:60:00.000"),
        *(
            "0000-01-01 00:00:00.000",
            "2025-07-09 14:23:60.000",
            "２025-07-09 14:23:24.748",
            "",
            "2025-07-09 14:23:24.748x",
        ),
    ],
)
def test_an_impossible_date_is_none(text):
    assert compile_time("yyyy-MM-dd HH:mm:ss.SSS").to_epoch_ms(text, UTC) is None


def test_the_edges_of_the_calendar_do_not_raise():
    time = compile_time("yyyy-MM-dd HH:mm:ss.SSS")
    assert time.to_epoch_ms("0001-01-01 00:00:00.000", timezone(timedelta(hours=23))) is None
    assert time.to_epoch_ms("9999-12-31 23:59:59.999", timezone(timedelta(hours=-23))) is None
    assert time.to_epoch_ms("0001-01-01 00:00:00.000", UTC) == -62135596800000


@pytest.mark.parametrize("name", ["Asia/Shanghai", "UTC", "GMT+8", "GMT+08:00", "+08:00", "Etc/GMT-8"])
def test_known_zones(name):
    assert zone_named(name) is not None


@pytest.mark.parametrize("name", ["", "SSS", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "GMT+99", "Asia", "\0"])
def test_unknown_zones(name):
    assert zone_named(name) is None
