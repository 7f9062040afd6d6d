"""A log that ended a moment ago: what it shows stands, and its silence is neither a drop in traffic nor health."""

import json
import shlex
import time
from datetime import UTC, datetime

import pytest


@pytest.fixture
def ended(llmops, tmp_path):
    """Write a demo log that ended so many seconds ago."""

    def write(name, seconds):
        end = datetime.fromtimestamp(time.time() - seconds, UTC).isoformat(timespec="seconds")
        log = tmp_path / f"{name}.log"
        words = ["demo", name, "--end", end, "--timezone", "UTC", "--calls", "6000", "--no-walk", "--out", str(log)]
        assert llmops(*words).code == 0
        return log

    return write


def asked(llmops, log, *words):
    return json.loads(llmops("status", "--log", str(log), "--timezone", "UTC", "-o", "json", *words).out)


def test_a_log_that_ended_just_now_is_judged_as_it_is(llmops, ended):
    answer = asked(llmops, ended("healthy", 5))
    assert answer["data"]["verdict"] == "ok"
    assert answer["data"]["incidents"] == []


@pytest.mark.parametrize("seconds", [100, 400, 800])
def test_silence_is_no_drop_in_traffic_and_no_health(llmops, ended, seconds):
    log = ended("healthy", seconds)
    answer = asked(llmops, log)
    assert answer["window"]["anchored"] is False
    assert answer["data"]["incidents"] == []
    assert answer["data"]["verdict"] == "unknown"
    assert "log ends" in llmops("status", "--log", str(log), "--timezone", "UTC").out
    assert llmops("status", "--log", str(log), "--timezone", "UTC", "--check").code == 3


def test_what_the_log_did_show_stands(llmops, ended):
    answer = asked(llmops, ended("bad-key", 400))
    assert [one["type"] for one in answer["data"]["incidents"]] == ["auth"]
    assert answer["data"]["verdict"] == "critical"


def test_an_incident_leads_to_one_of_its_requests(llmops, ended):
    log = ended("bad-key", 5)
    incident = asked(llmops, log)["data"]["incidents"][0]
    command = next(each for each in incident["next"] if each.startswith("llmops trace "))
    traced = json.loads(llmops(*shlex.split(command)[1:], "-o", "json").out)["data"]
    assert traced["found"]
    assert "InvalidApiKey" in {call["error_code"] for call in traced["calls"]}


def test_a_question_about_one_application_never_says_everything(llmops, ended):
    log = ended("bad-key", 5)
    app = asked(llmops, log)["data"]["incidents"][0]["scope"]["app"]
    assert f"app {app} is refused" in asked(llmops, log, "--app", app)["data"]["headline"]
    drilled = llmops("drill", "--log", str(log), "--timezone", "UTC", "--app", app).out
    assert "everything" not in drilled.split("paste")[1]
