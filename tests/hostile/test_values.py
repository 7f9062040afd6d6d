"""What stands in a log must not decide whether the log can be read: one line costs that line, and is counted."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llmops_cli.calls.line import parse_call
from tests.hostile.logs import TRACE, call, good, write


@pytest.fixture
def seen(llmops, tmp_path):
    """Ask `status` about lines, and return the whole envelope."""

    def ask(lines, *args, since=("--since", "1h")):
        ran = llmops("status", "--log", write(tmp_path / "x.log", lines), *since, "-o", "json", *args)
        envelope = ran.json()
        assert ran.code == 0, envelope["errors"]
        return envelope

    return ask


@pytest.mark.parametrize(
    "number",
    [
        *("1e308", "-5", "NaN", "Infinity", "٣٤", "2147483648", "1783999999000", "9223372036854775807"),
        "9223372036854775808",
    ],
)
@pytest.mark.parametrize("field", ["duration", "input", "total"])
def test_one_absurd_number_costs_one_line_at_most(seen, number, field):
    data = seen([*good(20), call(10, **{field: number})])["data"]
    assert data["calls"] + data["unparsed"] == 21
    assert data["calls"] >= 20


@pytest.mark.parametrize("number", ["0x10", "0b101", "1_000", "1_", "0xg", "1e3", "2147483647.5", ".5"])
def test_the_two_parsers_read_the_same_numbers(seen, number):
    line = call(10, total=number)
    read = parse_call(line.partition("] - ")[2])
    data = seen([*good(20), line])["data"]
    assert data["calls"] == (21 if read else 20)
    assert data["tokens"]["total"] == 20 * 30 + (read.total_tokens if read else 0)


@pytest.mark.parametrize(
    "field",
    [
        *("app", "module", "model", "workspace", "message"),
    ],
)
def test_a_control_character_is_a_value_like_any_other(llmops, tmp_path, field):
    odd = call(10, **({"status": "500", "code": "InternalError"} | {field: "\x02"}))
    log = write(tmp_path / "x.log", [*good(20), odd])
    data = llmops("status", "--log", log, "--since", "1h", "-o", "json").json()["data"]
    assert (data["calls"], data["failures"], data["unparsed"]) == (21, 1, 0)
    assert llmops("drill", "--by", "app" if field == "message" else field, "--log", log, "--since", "1h").code == 0


@pytest.mark.parametrize(
    "stamp",
    [
        *("1900-01-01 00:00:00.000", "1969-12-31 23:59:59.999", "2025-02-30 00:00:00.000", "2025-07-09 14:00:60.000"),
        "0001-01-01 00:00:00.000",
        "9999-12-31 23:59:59.999",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_time_at_the_edge_of_the_calendar_spoils_no_log(llmops, tmp_path, stamp, first):
    odd, calls = [call(stamp=stamp)], good(20)
    log = write(tmp_path / "x.log", [*odd, *calls] if first else [*calls, *odd])
    ran = llmops(
        *("status", "--log", log, "--timezone", "UTC", "-o", "json"),
        *("--from", "2025-07-09T14:00:00", "--to", "2025-07-09T15:00:00"),
    )
    assert ran.code == 0, ran.err
    assert ran.json()["data"]["calls"] == 20


def placed(place, odd, lines):
    """Put an odd line at the beginning, in the middle or at the end."""
    at = {"first": 0, "middle": len(lines) // 2, "last": len(lines)}[place]
    return [*lines[:at], odd, *lines[at:]]


PLACES = pytest.mark.parametrize("place", ["first", "middle", "last"])
LENGTHS = pytest.mark.parametrize("calls", [20, 2000, 40_000], ids=["tiny", "small", "searched"])


@PLACES
@LENGTHS
@pytest.mark.parametrize("stamp", ["2999-01-01 00:00:00.000", "9999-12-31 23:59:59.999"])
def test_a_line_from_the_future_does_not_hide_the_log(seen, place, calls, stamp):
    lines = [call(at / 20) for at in range(calls)]
    plain, envelope = seen(lines), seen(placed(place, call(stamp=stamp), lines))
    assert envelope["window"]["anchored"]
    assert envelope["window"]["to"] == plain["window"]["to"]
    assert envelope["data"]["calls"] == plain["data"]["calls"] == calls
    assert not envelope["partial"]
    if place != "middle" or calls < 40_000:  # what nobody reads nobody can tell of
        assert f"dated up to {stamp[:10]}, ahead of this machine's clock" in envelope["sources"][0]["detail"]


@PLACES
@LENGTHS
@pytest.mark.parametrize("stamp", ["1990-01-01 00:00:00.000", "1970-01-01 00:00:01.000", "0001-01-01 00:00:00.000"])
def test_a_line_of_a_clock_that_was_not_set_makes_no_log_older(seen, place, calls, stamp):
    """Else the time before the log began would count as one without calls, and the calls as a surge."""
    lines = [call(at / 20) for at in range(calls)]
    plain, envelope = seen(lines), seen(placed(place, call(stamp=stamp), lines))
    assert plain["window"]["baseline"] is envelope["window"]["baseline"] is None
    assert envelope["data"]["calls"] == calls
    assert envelope["data"]["incidents"] == plain["data"]["incidents"]
    if place == "first" or calls < 40_000:
        assert f"dated {stamp[:10]}, by a clock that was not set" in envelope["sources"][0]["detail"]


def test_a_log_that_runs_ahead_is_looked_at_now_and_told_of(seen):
    """As one from Asia does, read as if it were from Europe."""
    now = datetime.now(UTC)
    stamps = [f"{now + timedelta(minutes=at):%Y-%m-%d %H:%M:%S}.000" for at in range(-100, 400)]
    envelope = seen([call(stamp=stamp) for stamp in stamps], "--timezone", "UTC")
    assert not envelope["window"]["anchored"]
    assert 59 <= envelope["data"]["calls"] <= 61
    assert "another --timezone" in envelope["sources"][0]["detail"]


def test_a_log_all_in_the_future_or_the_far_past_is_a_log(seen):
    for year in ("1971", "2999"):
        envelope = seen(
            [call(stamp=f"{year}-01-01 00:00:0{at}.000") for at in range(9)],
            *("--timezone", "UTC", "--from", f"{year}-01-01", "--to", f"{year}-01-02"),
            since=(),
        )
        assert envelope["data"]["calls"] == 9
        assert f"dated {'up to ' * (year > '2000')}{year}-01-01" in envelope["sources"][0]["detail"]


def test_a_small_skew_of_the_clock_is_nothing_to_tell(seen):
    now = datetime.now(UTC)
    stamps = [f"{now + timedelta(seconds=at):%Y-%m-%d %H:%M:%S}.000" for at in range(-100, 120)]
    envelope = seen([call(stamp=stamp) for stamp in stamps], "--timezone", "UTC")
    assert not envelope["window"]["anchored"]
    assert "dated" not in envelope["sources"][0]["detail"]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda line: " " + line, id="blank"),
        pytest.param(lambda line: line.replace(",1200,", ",1200ms,"), id="unit"),
        pytest.param(lambda line: "[pod/shop-1/app] " + line, id="kubectl"),
        pytest.param(
            lambda line: json.dumps({"log": line + "\n", "stream": "stdout", "time": "2025-07-09T14:00:00Z"}),
            id="docker",
        ),
        pytest.param(lambda line: "\x1b[32m" + line, id="colour"),
        pytest.param(lambda line: "\ufeff" + line, id="byte-order-mark"),
        pytest.param(lambda line: line.replace("shop", "s" * 65), id="long-app"),
        pytest.param(lambda line: line.replace("2025-", "205-", 1), id="torn-year"),
        pytest.param(lambda line: line.replace(",llm-", "llm-", 1), id="comma-lost-before-workspace"),
        pytest.param(lambda line: line.replace(",0c52ee8b", "0c52ee8b", 1), id="comma-lost-before-request-id"),
    ],
)
def test_a_spoilt_call_among_good_ones_is_read_or_counted(seen, spoil):
    lines = [line if at % 3 else spoil(line) for at, line in enumerate(good(21))]
    data = seen([*lines, call(30)])["data"]
    assert data["calls"] + data["unparsed"] == 22


@pytest.mark.parametrize("pack", [bytes, lambda data: gzip.compress(data, mtime=0)], ids=["plain", "gzip"])
@pytest.mark.parametrize("calls", [1, 20, 1500])
@pytest.mark.parametrize("end", ["", "\r", "\n", "\r\n"])
def test_a_log_whose_lines_end_in_carriage_returns_is_read(llmops, tmp_path, end, calls, pack):
    log = tmp_path / "x.log"
    log.write_bytes(pack(("progress 1 %\r" + "\r".join(call(at / 10) for at in range(calls)) + end).encode()))
    data = llmops("status", "--log", log, "--since", "1h", "-o", "json").json()["data"]
    assert (data["calls"], data["unparsed"]) == (calls, 0)
    ran = llmops("trace", TRACE, "--log", log, "-o", "json").json()
    assert len(ran["data"]["calls"]) == calls


def test_a_carriage_return_inside_a_line_starts_no_call(seen):
    forged = call(12, status="500", code="InternalError", message="see\r" + call(13, app="forged"))
    data = seen([*good(20), forged])["data"]
    assert (data["calls"], data["failures"], data["unparsed"]) == (21, 1, 0)


def test_ten_thousand_workspaces_are_answered(seen):
    data = seen([call(at / 10, workspace=f"llm-{at:016d}") for at in range(11_000)])["data"]
    assert data["calls"] == 11_000


@pytest.mark.parametrize("mark", ["\x1b[32m", "\ufeff", "[pod/shop-1/app] "])
def test_a_marked_rating_is_a_rating(seen, mark):
    head, _, _ = call(30).partition("] - ")
    rating = f"{mark}{head}] - feedback:shop,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,0c52ee8b-8bf6,down,no source"
    assert seen([*good(20), rating])["data"]["feedback"]["negative"] == 1


@pytest.mark.parametrize("rating", ["-1", "thumbs_down", ""])
def test_a_rating_that_is_none_is_counted_as_unparsed(seen, rating):
    head, _, _ = call(30).partition("] - ")
    line = f"{head}] - feedback:shop,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,0c52ee8b-8bf6,{rating},why"
    data = seen([*good(20), line])["data"]
    assert (data["feedback"]["ratings"], data["unparsed"]) == (0, 1)


@pytest.mark.parametrize(
    ("zone", "day", "state"),
    [("Europe/Berlin", "2025-10-26", "partial"), ("Europe/Berlin", "2025-10-25", "ok"), ("UTC", "2025-10-26", "ok")],
)
def test_an_hour_that_the_clock_wrote_twice_is_said(seen, zone, day, state):
    lines = [call(stamp=f"{day} 02:{minute:02d}:00.000") for minute in range(60)]
    since = ("--from", f"{day}T01:30", "--to", f"{day}T03:30", "--timezone", zone)
    assert seen(lines, since=since)["sources"][0]["state"] == state


def test_hostile_names_reach_no_sink(llmops, tmp_path: Path):
    names = ["'; drop table calls; --", "[red]x[/red]", "\x1b[31mred", "\u202eevil", "\x9b31m", "\u2028", "|a|", "%s"]
    lines = [call(at, model=name, code=name, status="429", message=name) for at, name in enumerate(names * 25)]
    log = write(tmp_path / "x.log", lines)
    for output in ("table", "markdown", "json"):
        for verb in (("status",), ("drill", "--by", "model", "--by", "error_code"), ("quota",), ("recover",)):
            ran = llmops(*verb, "--log", log, "--since", "1h", "-o", output)
            assert ran.code == 0, ran.err
            assert not set(ran.out) & set("\x1b\x9b\u202e\u2028"), (verb, output)
