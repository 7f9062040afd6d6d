"""`--baseline 1d` of a log that does not reach back a day: nothing to compare with is no all-clear."""

import re
import shlex

import pytest

from .logs import MINUTE, NOON_MS, quiet, write

DAY = 24 * 60 * MINUTE
WINDOW = ("--timezone", "+08:00", "--from", str(NOON_MS - 15 * MINUTE), "--to", str(NOON_MS))
VERBS = (("status",), ("drill",), ("drill", "--by", "app"), ("quota",), ("recover",))


def dropped(path, *before):
    """Twenty calls a minute for two hours, of which the last ten minutes have one."""
    usual = quiet(NOON_MS - 120 * MINUTE, 110, per_minute=20)
    return write(path, [*before, *usual, *quiet(NOON_MS - 10 * MINUTE, 10, per_minute=1)])


@pytest.fixture
def short(tmp_path):
    return dropped(tmp_path / "short.log")


def ask(llmops, log, *words):
    return llmops(*words, "--log", log, *WINDOW)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize(("baseline", "told"), [("1d", "24 h"), ("7d", "7 d")])
def test_every_verb_says_where_there_is_nothing_to_compare_with(llmops, short, verb, baseline, told):
    note = f"the log begins at 2025-07-09 10:00:00: there is nothing to compare with {told} before"
    ran = ask(llmops, short, *verb, "--baseline", baseline)
    assert note in ran.out
    assert "holds nothing before" not in ran.out
    assert note not in ask(llmops, short, *verb).out


@pytest.mark.parametrize("output", ["table", "markdown", "json"])
def test_nothing_to_compare_with_is_no_all_clear(llmops, short, output):
    for verb in ("status", "drill"):
        out = ask(llmops, short, verb, "--baseline", "1d", "-o", output).out
        assert re.search(r"nothing to compare \d+ calls with 24 h before: the log begins at 2025-07-09 10:00:00", out)
        assert not re.search("nothing unusual|stands out", out)
    assert ask(llmops, short, "status", "--baseline", "1d", "--check").code == 3
    assert ask(llmops, short, "status", "--baseline", "1d", "-o", "json").json()["data"]["verdict"] == "unknown"


def test_absolute_thresholds_need_no_baseline(llmops, tmp_path):
    ill = {"status": 500, "code": "InternalError", "message": "Internal server error"}
    log = write(tmp_path / "a.log", [*quiet(NOON_MS - 60 * MINUTE, 50), *quiet(NOON_MS - 10 * MINUTE, 10, **ill)])
    ran = ask(llmops, log, "status", "--baseline", "1d", "--check", "-o", "json")
    assert (ran.code, ran.json()["data"]["incidents"][0]["type"]) == (2, "server_error")
    assert "InternalError" in ask(llmops, log, "drill", "--baseline", "1d", "-o", "json").json()["data"]["paste"]


@pytest.mark.parametrize(
    ("minutes", "share", "headline"),
    [(2, "13 %", "too little to compare "), (12, "80 %", "nothing unusual in ")],
)
def test_a_part_of_yesterday_is_told_with_its_share(llmops, tmp_path, minutes, share, headline):
    yesterday = quiet(NOON_MS - DAY - minutes * MINUTE, minutes)
    log = write(tmp_path / "a.log", [*yesterday, *quiet(NOON_MS - 60 * MINUTE, 60)])
    assert f"only {share} of the baseline is in it" in ask(llmops, log, "status", "--baseline", "1d").out
    data = ask(llmops, log, "status", "--baseline", "1d", "-o", "json").json()["data"]
    assert data["verdict"] == ("ok" if minutes == 12 else "unknown")
    assert data["headline"].startswith(headline)


def test_yesterday_refutes_only_where_the_log_holds_it(llmops, short, tmp_path):
    incident = ask(llmops, short, "status", "-o", "json").json()["data"]["incidents"][0]
    assert incident["type"] == "traffic_drop"
    assert incident["refuted_by"].endswith("that takes yesterday's log, this one begins at 10:00:00")
    assert not any("--baseline" in line for line in (incident["refuted_by"], *incident["next"]))

    long = dropped(tmp_path / "long.log", *quiet(NOON_MS - DAY - 20 * MINUTE, 20, per_minute=20))
    for given in ((), ("--baseline", "1d")):
        incident = ask(llmops, long, "status", *given, "-o", "json").json()["data"]["incidents"][0]
        offered = incident["refuted_by"].partition(": ")[2]
        assert shlex.split(offered).count("--baseline") == 1
        assert offered in incident["next"]
        assert "vs the same 15 min" in llmops(*shlex.split(offered)[1:]).out
