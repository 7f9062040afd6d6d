"""`drill` says where it comes from, whatever has gone wrong; and what it says agrees with `status`."""

import re
import shlex
from datetime import datetime

import pytest

from tests.commands.conftest import on_a_terminal, without_colour
from tests.commands.logs import MINUTE, NOON_MS, call, event, iso, quiet, write

BEGAN = NOON_MS + 5 * MINUTE
"""Incidents here begin five minutes into a window of fifteen, with as much before it."""
END = NOON_MS + 15 * MINUTE
WINDOW = ("--from", iso(NOON_MS), "--to", iso(END), "--timezone", "+08:00")
QUOTA = {"status": 429, "code": "Throttling.RateQuota", "message": "Requests rate limit exceeded, please try again."}
APPS = ("shop", "desk", "docs")


def everyone(start_ms, end_ms, *, per_minute=20, **special):
    """Calls of three apps with a workspace each; `special` overrides what one of them does, by its name."""
    lines = []
    for place, app in enumerate(APPS):
        options = {"per_minute": per_minute, "workspace": f"llm-{app}", **special.get(app, {})}
        minutes = (end_ms - start_ms) // MINUTE
        lines += quiet(start_ms + 13 * place, minutes, app=app, **options)
    return lines


def before():
    return everyone(NOON_MS - 15 * MINUTE, BEGAN)


def flood(per_minute):
    """One app sends many more calls of the model that all use; each third call of everybody is refused."""
    lines = [*everyone(BEGAN, END, docs={"per_minute": per_minute})]
    refused = []
    for place, app in enumerate(APPS):
        pace = per_minute // 2 if app == "docs" else 10
        refused += quiet(BEGAN + 7 + place, 10, per_minute=pace, app=app, workspace=f"llm-{app}", **QUOTA)
    return [*before(), *lines, *refused]


def slow():
    return [*before(), *everyone(BEGAN, END, desk={"duration": 9_000})]


def silent():
    lines = [*before(), *everyone(BEGAN, END, desk={"per_minute": 1})]
    return [line for line in lines if not (",desk" in line or " desk," in line) or line < f"{stamp(BEGAN)}"]


def stamp(ms):
    return event(ms, "").split(" [")[0]


def rated():
    """Users of one module reject every second answer; in all the others every twentieth."""
    lines = everyone(NOON_MS - 15 * MINUTE, END)
    for number in range(360):
        ms = NOON_MS - 15 * MINUTE + number * 5_000 + 77
        bad = (ms >= BEGAN and number % 3 == 0) or number % 20 == 0
        module = ("Chat", "RAG", "Agent")[number % 3]
        lines.append(event(ms, f"feedback:shop,{module},qwen-plus,llm-shop,r-{number},{'down' if bad else 'up'},"))
    return lines


def keyless():
    bad = {"status": 401, "code": "InvalidApiKey", "message": "Invalid API-key provided."}
    return [*before(), *everyone(BEGAN, END, shop=bad)]


@pytest.fixture
def asked(llmops, tmp_path):
    """Ask `status` or `drill` about some lines: its data."""

    def ask(lines, verb, *words):
        log = tmp_path / "app.log"
        if not log.exists():
            write(log, sorted(lines))
        ran = llmops(verb, "--log", log, *(words or WINDOW), "-o", "json")
        assert ran.code == 0
        return ran.json()["data"]

    return ask


@pytest.mark.parametrize("story", ["rate-limit", "two-faults", "latency"])
def test_drill_and_status_agree_on_scope_start_and_drivers(answers, story):
    causes = {cause["family"]: cause for cause in answers(story, "drill")["data"]["causes"]}
    found = answers(story, "status")["data"]["incidents"]
    assert found
    for incident in found:
        cause = causes[incident["type"]]
        assert cause["where"] == incident["scope"]
        assert cause["started_at"] == incident["started_at"]
        assert cause["drivers"] == incident["drivers"]


@pytest.mark.parametrize(
    ("lines", "where", "said"),
    [
        (flood(120), {"model": "qwen-plus"}, "driven by app docs: "),
        (slow(), {"app": "desk"}, "p95 9,000 ms, before 900 ms"),
        (silent(), {"app": "desk"}, "are missing (-100 %)"),
        (rated(), {"module": "Chat"}, "negative ratings by module: Chat "),
        (keyless(), {"app": "shop"}, "401 InvalidApiKey on every call since 12:05:00"),
    ],
    ids=["flood", "slow", "silent", "rated", "keyless"],
)
def test_it_says_where_it_comes_from(asked, lines, where, said):
    data = asked(lines, "drill")
    (incident,) = asked(lines, "status")["incidents"]
    cause = data["causes"][0]
    assert where.items() <= cause["where"].items()
    assert cause["where"] == incident["scope"]
    assert said in "; ".join(cause["notes"])
    assert abs(datetime.fromisoformat(cause["started_at"]).timestamp() * 1000 - BEGAN) <= 75_000
    assert cause["started_at"] == incident["started_at"]
    assert data["paste"]


def test_rows_carry_ratings_and_the_worst_comes_first(asked):
    data = asked(rated(), "drill", *WINDOW, "--by", "module")
    first = data["rows"][0]
    assert (first["value"], first["ratings"]) == ("Chat", 60)
    assert first["negative"] > 20
    assert all(row["negative"] <= 6 for row in data["rows"][1:])


# --- a window longer than the log -------------------------------------------------------------------------------------

DAY = ("--from", iso(END - 24 * 60 * MINUTE), "--to", iso(END), "--timezone", "+08:00")


@pytest.mark.parametrize(
    ("lines", "kind", "where"),
    [
        (slow(), "latency", {"app": "desk"}),
        (silent(), "traffic_drop", {"app": "desk"}),
        (keyless(), "auth", {"app": "shop"}),
        (flood(120), "rate_limit_requests", {"model": "qwen-plus"}),
    ],
    ids=["slow", "silent", "keyless", "flood"],
)
def test_a_log_shorter_than_the_window_is_compared_with_its_own_beginning(asked, lines, kind, where):
    """Half an hour of log, asked for the last day: what began in it is found, dated and localized all the same."""
    (incident,) = asked(lines, "status", *DAY)["incidents"]
    assert (incident["type"], incident["scope"], incident["started_before"]) == (kind, where, None)
    assert abs(datetime.fromisoformat(incident["started_at"]).timestamp() * 1000 - BEGAN) <= 120_000
    cause = asked(lines, "drill", *DAY)["causes"][0]
    assert (cause["family"], cause["where"], cause["started_at"]) == (kind, where, incident["started_at"])


def test_that_a_window_is_compared_with_its_own_beginning_is_said(llmops, tmp_path):
    log = write(tmp_path / "app.log", sorted(slow()))
    for verb in ("status", "drill"):
        ran = llmops(verb, "--log", log, *DAY)
        assert "judged against its own beginning, 2025-07-09 11:45:00 – 11:55:00" in " ".join(ran.out.split())


def test_a_short_healthy_log_has_no_incident(asked):
    assert asked(everyone(NOON_MS - 15 * MINUTE, END), "status", *DAY)["incidents"] == []
    assert asked([], "drill", *DAY)["causes"] == []


def test_a_few_lines_are_compared_with_nothing(asked):
    lines = [call(NOON_MS + n * 1000) for n in range(30)]
    assert asked(lines, "status", *DAY)["incidents"] == []


def test_a_rate_says_over_which_calls_it_is(answers):
    """`status` counts an incident since it began, `drill` compares whole windows: the same name for both confuses."""
    seen = answers("rate-limit", "status")["data"]["incidents"][0]["evidence"][0]
    drilled = answers("rate-limit", "drill")["data"]
    assert re.search(r"calls since \d\d:\d\d:\d\d refused \(", seen)
    assert re.search(r" calls in the window \(", drilled["paste"])
    assert drilled["causes"][0]["counted_from"] is None


def test_both_say_so_in_both_languages(llmops, stories):
    config = ("--config", stories["rate-limit"].config)
    assert re.search(r"inside +[\d,]+ of [\d,]+ calls fail in the window \(", llmops("drill", *config).out)
    assert re.search(r"窗口内 [\d,]+ 次调用中失败", llmops("drill", *config, "--lang", "zh").out)


def test_tokens_stand_beside_those_before(llmops, tmp_path):
    lines = [
        *quiet(NOON_MS - 15 * MINUTE, 15, per_minute=20, tokens=(100, 50)),
        *quiet(NOON_MS, 15, per_minute=20, tokens=(9_000, 50)),
    ]
    words = ("drill", "--by", "model", "--log", write(tmp_path / "app.log", lines), *WINDOW)
    (row,) = llmops(*words, "-o", "json").json()["data"]["rows"]
    assert (row["total_tokens"], row["baseline"]["total_tokens"]) == (300 * 9_050, 300 * 150)
    head, shown = (
        re.split(r" {2,}", line) for line in llmops(*words).out.splitlines() if re.match(r"model  |qwen", line)
    )
    assert shown[head.index("tokens before")] == "45 k"
    assert "tokens before" in on_a_terminal(*words, columns=200)[1]
    _, narrow, _ = on_a_terminal(*words, columns=80)
    assert all(len(line) <= 80 or "llmops" in line for line in without_colour(narrow).splitlines())


def test_narrowed_to_error_codes_there_are_counts_and_no_rates(llmops, tmp_path):
    log = write(tmp_path / "app.log", sorted(keyless()))
    words = ("drill", "--error-code", "InvalidApiKey", "--by", "app", "--log", log, *WINDOW)
    data = llmops(*words, "-o", "json").json()["data"]
    (row,) = data["rows"]
    assert (row["value"], row["failures"], row["failure_rate"], row["failure_share"]) == ("shop", 200, None, 1)
    assert (data["causes"], data["excess_failures"]) == ([], 0)
    assert "%" not in data["paste"]
    (step,) = data["next"]
    assert "--error-code" not in step
    for output in ("table", "markdown"):
        assert " ".join(llmops(*words, "-o", output).out.split()).count("every call seen is a failure") == 1


def test_the_way_on_from_a_trace_counts_successes_too(llmops, tmp_path):
    log = write(
        tmp_path / "app.log",
        sorted([*keyless(), call(END - 5_000, app="desk", workspace="llm-desk", trace="t-seen-0001", **QUOTA)]),
    )
    steps = llmops("trace", "t-seen-0001", "--log", log, "-o", "json").json()["data"]["next"]
    words = shlex.split(next(step for step in steps if "drill" in step))
    assert "--error-code" not in words
    data = llmops(*words[1:], "-o", "json").json()["data"]
    assert all(row["failures"] < row["calls"] for row in data["rows"])


def test_where_no_incident_is_one_of_latency_no_cause_is(asked):
    """Eighteen of ninety answers are slow: enough for a cause on its own, too few for `status`, which has another."""
    lines = keyless()
    lines += quiet(NOON_MS - 15 * MINUTE + 77, 20, app="desk", module="Summarize", per_minute=3)
    lines += [
        call(BEGAN + 77 + n * 6_000, app="desk", module="Summarize", duration=900 if n % 5 else 4_000)
        for n in range(90)
    ]
    incidents = asked(lines, "status")["incidents"]
    assert {one["type"] for one in incidents} == {"auth"}
    assert {cause["family"] for cause in asked(lines, "drill")["causes"]} == {"auth"}
