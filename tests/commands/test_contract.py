"""The JSON of every verb has what the design promises, on logs of several stories; its numbers agree with each other."""

import re

import pytest

from .conftest import STORIES, on_a_terminal
from .contract import check

VERBS = ("status", "drill", "quota", "recover")


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("verb", VERBS)
def test_json_has_every_key_in_its_type(answers, name, verb):
    check(answers(name, verb), verb)


@pytest.mark.parametrize("verb", ["throttle", "expand"])
@pytest.mark.parametrize("more", [[], ["--workspace", "WORKSPACE"]])
def test_json_of_the_recovery_verbs(llmops, story, verb, more):
    log = story("rate-limit").log
    workspace = re.search(r",qwen-plus,(llm-\w+),", log.read_text()).group(1)
    words = [workspace if word == "WORKSPACE" else word for word in more]
    ran = llmops("recover", verb, "--model", "qwen-plus", *words, "-o", "json")
    assert ran.code == 0
    check(ran.json(), f"recover {verb}")
    data = ran.json()["data"]
    assert (data.get("model") or data["fields"]["model"]) == "qwen-plus"


def test_json_of_a_trace_found_not_found_and_ambiguous(llmops, story):
    log = story("rate-limit").log
    trace_id = re.search(r"traceId:([0-9a-f-]+)\].*Throttling", log.read_text()).group(1)
    for asked, found in ((trace_id, True), ("00000000-none", False)):
        ran = llmops("trace", asked, "-o", "json")
        assert ran.code == 0
        check(ran.json(), "trace")
        assert ran.json()["data"]["found"] is found
    data = llmops("trace", trace_id, "-o", "json").json()["data"]
    assert data["calls"][0]["error_code"] == "Throttling.RateQuota"
    assert data["explanations"][0]["family"] == "rate_limit_requests"
    assert data["explanations"][0]["retry"] == "backoff"


def test_the_runbook_keeps_the_envelope(llmops):
    ran = llmops("recover", "--runbook", "billing", "-o", "json")
    assert ran.code == 0
    assert ran.json()["command"] == "recover"
    assert ran.json()["window"] is None
    assert ran.json()["data"]["runbook"] == "billing"


@pytest.mark.parametrize("name", STORIES)
def test_the_numbers_of_a_status_agree(answers, name):
    data = answers(name, "status")["data"]
    assert sum(point["calls"] for point in data["series"]) == data["calls"] > 100
    assert sum(point["failures"] for point in data["series"]) == data["failures"]
    assert sum(row["calls"] for row in data["errors"]) == data["failures"]
    assert data["failure_rate"] + data["success_rate"] == pytest.approx(1)
    assert data["tokens"]["input"] + data["tokens"]["output"] == data["tokens"]["total"]
    assert data["qpm"]["mean"] <= data["qpm"]["peak"]
    assert data["rps_peak"] <= data["qpm"]["peak"]
    total = [row for row in data["water_levels"] if row["workspace"] is None]
    assert all(row["rpm"]["level"] == pytest.approx(row["rpm"]["peak"] / row["rpm"]["limit"]) for row in total)
    for row in data["water_levels"]:
        assert row["level"] == pytest.approx(max(row["rpm"]["level"], row["tpm"]["level"]))
    assert answers(name, "quota")["data"]["rows"] == data["water_levels"]


@pytest.mark.parametrize("name", ["rate-limit", "two-faults"])
@pytest.mark.parametrize("by", [("model",), ("app", "module"), ("workspace",), ("error_code",)])
def test_drill_counts_what_status_counts(answers, name, by):
    status = answers(name, "status")["data"]
    data = answers(name, "drill", *(word for one in by for word in ("--by", one)))["data"]
    assert tuple(data["by"]) == by
    assert sum(row["failures"] for row in data["rows"]) == status["failures"]
    if by == ("error_code",):  # calls without an error have no row here
        assert all(row["calls"] == row["failures"] for row in data["rows"])
        return
    assert sum(row["calls"] for row in data["rows"]) == status["calls"]
    assert sum(row["total_tokens"] for row in data["rows"]) == status["tokens"]["total"]


@pytest.mark.parametrize(
    ("name", "type_", "scope"),
    [
        ("rate-limit", "rate_limit_requests", {"model": "qwen-plus"}),
        ("two-faults", "auth", {"app": "bailian-log"}),
        ("two-faults", "rate_limit_requests", {"model": "qwen-plus"}),
    ],
)
def test_status_and_recover_tell_the_same_story(answers, name, type_, scope):
    for verb in ("status", "recover"):
        (incident,) = [one for one in answers(name, verb)["data"]["incidents"] if one["type"] == type_]
        assert incident["scope"] == scope
        assert incident["started_at"].startswith(("2025-07-09T14:1", "2025-07-09T14:2"))
        assert incident["runbook"] == type_


def test_a_healthy_log_that_ended_is_no_incident_and_never_ok(answers):
    data = answers("healthy", "status")["data"]
    assert (data["incidents"], data["verdict"]) == ([], "unknown")
    plan = answers("healthy", "recover")["data"]
    assert (plan["actions"], plan["runbook"]) == ([], None)


def test_feedback_is_counted(answers, stories):
    data = answers("healthy", "status", "--from", "2025-07-09T10:00:00+08:00", "--to", "now")["data"]
    ratings = re.findall(r"feedback:.*,(up|down),", stories["healthy"].log.read_text())
    assert data["feedback"] == {
        "ratings": len(ratings),
        "negative": ratings.count("down"),
        "negative_rate": pytest.approx(ratings.count("down") / len(ratings)),
    }
    assert sum(point["negative"] for point in data["feedback_series"]) == ratings.count("down")


def test_a_slow_model_stands_first_with_its_times(llmops, answers, stories):
    data = answers("latency", "drill", "--by", "model")["data"]
    slow = data["rows"][0]
    assert data["causes"][0]["where"] == {"model": slow["value"]}
    assert data["causes"][0]["measure"] == "slow"
    assert slow["p95_ms"] > 1.5 * slow["baseline"]["p95_ms"]
    _, text, _ = on_a_terminal("drill", "--config", stories["latency"].config)
    assert "p95 before" in text
