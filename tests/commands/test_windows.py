"""Windows, baselines and filters mean the same on every verb: edges, anchoring, zones, daylight saving time."""

import json
import re
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from .logs import CHINA, MINUTE, NOON_MS, call, event, iso, quiet, write

SHANGHAI = ("--timezone", "Asia/Shanghai")


@pytest.fixture
def log(tmp_path, monkeypatch):
    """An hour of four calls a minute around noon, China time, long ago."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "app.log", quiet(NOON_MS - 30 * MINUTE, 60))


def ask(llmops, verb, log, *words, zone=SHANGHAI):
    ran = llmops(verb, "--log", log, *zone, *words, "-o", "json")
    assert ran.code == 0, ran.err
    return ran.json()


def calls(llmops, log, *words, zone=SHANGHAI):
    return ask(llmops, "status", log, *words, zone=zone)["data"]["calls"]


def test_a_relative_window_of_an_old_log_is_moved_to_its_end(llmops, log):
    newest = NOON_MS + 30 * MINUTE - 15_000
    answer = ask(llmops, "status", log)
    window = answer["window"]
    assert window["anchored"] is True
    assert datetime.fromisoformat(window["to"]).timestamp() * 1000 == newest + 1
    assert window["seconds"] == 900
    assert answer["data"]["calls"] == 60
    assert answer["data"]["verdict"] == "unknown"
    assert answer["sources"][0]["state"] == "stale"
    for verb in ("status", "drill", "quota", "recover"):
        for output in ("table", "markdown"):
            assert re.search(r"log ends \d+ d ago", llmops(verb, "--log", log, *SHANGHAI, "-o", output).out), verb
        assert ask(llmops, verb, log)["window"] == window
    old = llmops("recover", "expand", "--log", log, *SHANGHAI, "--model", "qwen-plus")
    assert "log ends" in old.err


def test_an_anchored_window_is_unknown_to_a_check_unless_allowed(llmops, log):
    assert llmops("status", "--log", log, *SHANGHAI, "--check").code == 3
    assert llmops("status", "--log", log, *SHANGHAI, "--check", "--allow-stale").code == 0
    line = llmops("status", "--log", log, *SHANGHAI, "--check", "-o", "nagios")
    assert re.match(r"LLMOPS UNKNOWN - .*log ends \d+ d ago", line.out)
    line = llmops("status", "--log", log, *SHANGHAI, "--check", "--allow-stale", "-o", "nagios")
    assert line.code == 0
    assert line.out.startswith("LLMOPS OK - ")


def test_the_newest_line_anchors_not_the_newest_call(llmops, tmp_path):
    lines = [*quiet(NOON_MS - 30 * MINUTE, 30), event(NOON_MS + 5 * MINUTE, "still here")]
    window = ask(llmops, "status", write(tmp_path / "a.log", lines))["window"]
    assert datetime.fromisoformat(window["to"]).timestamp() * 1000 == NOON_MS + 5 * MINUTE + 1


def test_an_explicit_window_is_never_anchored(llmops, log):
    answer = ask(llmops, "status", log, "--from", "2020-01-01", "--to", "2020-01-02")
    assert answer["window"]["anchored"] is False
    assert answer["sources"][0]["state"] == "ok"
    assert answer["data"]["calls"] == 0
    answer = ask(llmops, "status", log, "--to", iso(NOON_MS), "--since", "10m")
    assert (answer["window"]["anchored"], answer["data"]["calls"]) == (False, 40)
    assert answer["data"]["verdict"] == "ok"


def test_windows_are_half_open_to_the_millisecond(llmops, tmp_path):
    log = write(tmp_path / "a.log", [call(NOON_MS + ms) for ms in (-1, 0, 1, 999, 1000, 1001)])
    assert calls(llmops, log, "--from", iso(NOON_MS), "--to", iso(NOON_MS + 1000)) == 3
    assert calls(llmops, log, "--from", iso(NOON_MS + 1), "--to", iso(NOON_MS + 1001)) == 3
    assert calls(llmops, log, "--from", iso(NOON_MS - 1), "--to", iso(NOON_MS)) == 1
    for verb in ("drill", "quota"):
        rows = ask(llmops, verb, log, "--from", iso(NOON_MS), "--to", iso(NOON_MS + 1000))["data"]["rows"]
        assert rows[0]["calls" if verb == "drill" else "rpm"] in (3, {**rows[0].get("rpm", {}), "peak": 3})


def test_one_instant_can_be_written_in_many_ways(llmops, log):
    seconds = NOON_MS // 1000
    starts = [
        *("2025-07-09T12:00:00+08:00", "2025-07-09T04:00:00Z", "2025-07-09T12:00", "2025-07-09 12:00:00.000"),
        *(str(seconds), str(NOON_MS), f"{seconds}.000"),
    ]
    windows = {json.dumps(ask(llmops, "status", log, "--from", start, "--since", "10m")["window"]) for start in starts}
    assert len(windows) == 1
    assert json.loads(windows.pop())["from"] == "2025-07-09T12:00:00.000+08:00"


def test_now_minus_is_counted_from_now(llmops, tmp_path):
    now = time.time_ns() // 1_000_000
    log = write(tmp_path / "a.log", quiet(now - 180 * MINUTE, 180))
    answer = ask(llmops, "status", log, "--from", "now-2h", "--to", "now-1h", zone=("--timezone", "+08:00"))
    assert answer["window"]["seconds"] == 3600
    assert 238 <= answer["data"]["calls"] <= 242
    assert answer["window"]["anchored"] is False


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC", "America/New_York", "+05:30"])
def test_a_log_of_another_zone_gives_the_same_counts(llmops, tmp_path, zone):
    offset = CHINA if zone == "Asia/Shanghai" else UTC if zone == "UTC" else ZoneInfo("Asia/Kolkata")
    offset = ZoneInfo(zone) if zone == "America/New_York" else offset
    lines = [call(NOON_MS + n * 20_000, zone=offset) for n in range(60)]
    log = write(tmp_path / "a.log", lines)
    answer = ask(llmops, "status", log, "--from", str(NOON_MS), "--since", "10m", zone=("--timezone", zone))
    assert answer["data"]["calls"] == 30
    assert datetime.fromisoformat(answer["window"]["from"]).timestamp() * 1000 == NOON_MS
    at = datetime.fromtimestamp(NOON_MS / 1000, offset)
    assert answer["window"]["from"] == at.isoformat(timespec="milliseconds")


def test_a_zone_in_the_log_wins_over_the_option(llmops, tmp_path):
    lines = [call(NOON_MS + n * 20_000).replace(" INFO", "+0800 INFO", 1) for n in range(30)]
    log = write(tmp_path / "a.log", lines)
    pattern = "%d{yyyy-MM-dd HH:mm:ss.SSSZ} %-5p [traceId:%X{traceId}] [%c{3}#%method():%L] [%thread] - %m%n"
    words = ("--pattern", pattern, "--from", str(NOON_MS), "--since", "5m")
    for zone in ("UTC", "Asia/Shanghai"):
        assert calls(llmops, log, *words, zone=("--timezone", zone)) == 15


def test_the_hour_that_occurs_twice_is_counted_in_whole(llmops, tmp_path):
    """New York, 2 November 2025: 01:30 is written twice, an hour apart; times without a zone cannot tell which."""
    zone = ZoneInfo("America/New_York")
    start = int(datetime(2025, 11, 2, 0, 0, tzinfo=zone).timestamp() * 1000)
    lines = [call(start + n * MINUTE, zone=zone) for n in range(5 * 60)]
    log = write(tmp_path / "a.log", lines)
    answer = ask(
        llmops, "status", log, "--from", "2025-11-02T00:00", "--to", "2025-11-02T04:00", zone=("--timezone", str(zone))
    )
    assert answer["window"]["seconds"] == 5 * 3600
    assert answer["data"]["calls"] == 300


def test_the_hour_that_does_not_occur_takes_nothing_away(llmops, tmp_path):
    zone = ZoneInfo("America/New_York")
    start = int(datetime(2025, 3, 9, 0, 0, tzinfo=zone).timestamp() * 1000)
    lines = [call(start + n * MINUTE, zone=zone) for n in range(3 * 60)]
    log = write(tmp_path / "a.log", lines)
    answer = ask(
        llmops, "status", log, "--from", "2025-03-09T00:00", "--to", "2025-03-09T04:00", zone=("--timezone", str(zone))
    )
    assert answer["window"]["seconds"] == 3 * 3600
    assert answer["data"]["calls"] == 180


def test_baselines(llmops, tmp_path):
    day = 24 * 60 * MINUTE
    lines = [*quiet(NOON_MS - 7 * day, 15, per_minute=2), *quiet(NOON_MS - day, 15, per_minute=3)]
    lines += [*quiet(NOON_MS - 15 * MINUTE, 15, per_minute=5), *quiet(NOON_MS, 15, per_minute=4)]
    log = write(tmp_path / "a.log", lines)
    words = ("--from", str(NOON_MS), "--since", "15m")
    for name, before, distance in (("previous", 75, 15 * MINUTE), ("1d", 45, day), ("7d", 30, 7 * day)):
        answer = ask(llmops, "status", log, *words, "--baseline", name)
        assert answer["data"]["baseline"]["calls"] == before
        baseline = answer["window"]["baseline"]
        assert datetime.fromisoformat(baseline["from"]).timestamp() * 1000 == NOON_MS - distance
        drilled = ask(llmops, "drill", log, *words, "--baseline", name)["data"]["rows"]
        assert sum(row["baseline"]["calls"] for row in drilled) == before
    answer = ask(llmops, "status", log, *words, "--baseline", "none")
    assert answer["window"]["baseline"] is None
    assert answer["data"]["baseline"] is None
    assert ask(llmops, "drill", log, *words, "--baseline", "none")["data"]["rows"][0]["baseline"] is None
    assert "no baseline" in llmops("status", "--log", log, *SHANGHAI, *words, "--baseline", "none").out


def test_a_log_that_holds_a_part_of_the_baseline_says_so(llmops, tmp_path):
    """Ten minutes of a quarter of an hour: as many calls a minute as now are no change."""
    log = write(tmp_path / "a.log", quiet(NOON_MS - 10 * MINUTE, 25))
    words = ("--log", log, *SHANGHAI, "--from", str(NOON_MS), "--since", "15m")
    for verb in ("status", "drill"):
        assert "the log begins at 2025-07-09 11:50:00: only 67 % of the baseline is in it" in llmops(verb, *words).out
    assert re.search(r"^calls +60 +40 +same ", llmops("status", *words).out, re.MULTILINE)
    assert "the log begins" not in llmops("status", *words[:-1], "5m").out


def test_filters_are_or_within_and_and_between(llmops, tmp_path):
    lines = [
        call(NOON_MS + n * 1000, app=app, model=model, workspace=workspace)
        for n, (app, model, workspace) in enumerate(
            (app, model, workspace) for app in "abc" for model in ("m1", "m2") for workspace in ("w1", "w2", "")
        )
    ]
    lines.append(call(NOON_MS + 30_000, app="a", model="m1", status=401, code="InvalidApiKey", message="no"))
    log = write(tmp_path / "a.log", lines)
    words = ("--from", str(NOON_MS), "--since", "1m")
    assert calls(llmops, log, *words) == 19
    assert calls(llmops, log, *words, "--app", "a") == 7
    assert calls(llmops, log, *words, "--app", "a", "--app", "b") == 13
    assert calls(llmops, log, *words, "--app", "a", "--app", "b", "--model", "m2") == 6
    assert calls(llmops, log, *words, "--workspace", "w1", "--model", "m1") == 3
    assert calls(llmops, log, *words, "--error-code", "InvalidApiKey") == 1
    assert calls(llmops, log, *words, "--error-code", "InvalidApiKey", "--app", "b") == 0
    for hostile in ("a' or '1'='1", "a%", "*", "a,b"):
        assert calls(llmops, log, *words, "--app", hostile) == 0
    rows = ask(llmops, "drill", log, *words, "--by", "app", "--model", "m2")["data"]["rows"]
    assert {row["value"]: row["calls"] for row in rows} == {"a": 3, "b": 3, "c": 3}
    rows = ask(llmops, "quota", log, *words, "--model", "m1")["data"]["rows"]
    assert {row["model"] for row in rows} == {"m1"}
    out = llmops("status", "--log", log, *SHANGHAI, *words, "--app", "a", "--app", "b").out
    assert "only app a or b" in out


def test_trace_reads_the_whole_file_without_a_window_and_the_window_with_one(llmops, log):
    trace_id = "41ea65e3-0b4c-4b65-8567-000000000001"
    lines = [
        *log.read_text().splitlines(),
        call(NOON_MS - 600 * MINUTE, trace=trace_id),
        call(NOON_MS + 60 * MINUTE, trace=trace_id),
    ]
    write(log, lines)
    assert len(ask(llmops, "trace", log, trace_id)["data"]["calls"]) == 2
    answer = ask(llmops, "trace", log, trace_id, "--from", str(NOON_MS), "--to", str(NOON_MS + 120 * MINUTE))
    assert len(answer["data"]["calls"]) == 1
    answer = ask(llmops, "trace", log, trace_id, "--from", str(NOON_MS), "--to", str(NOON_MS + 30 * MINUTE))
    assert answer["data"]["found"] is False
