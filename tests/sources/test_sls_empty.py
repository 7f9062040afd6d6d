"""A window without a call: how old the newest log is, and whether its lines hold calls that the profile does not name."""

import time
from datetime import UTC, datetime

import pytest

from llmops_cli.calls.line import FIELDS
from tests.cloud import faults
from tests.cloud.filled import index

LOGS = "/logs$"
CALL = {"app": "shop", "module": "Chat", "model": "qwen-plus", "workspace": "llm-1", "status_code": 200,
        "duration_ms": 800, "input_tokens": 10, "output_tokens": 5, "total_tokens": 15}  # fmt: skip
RAW = {"trace_id": "5e564fe1", "message": "shop,Chat,qwen-plus,llm-1,r1,200,800,10,5,15,,"}
SETTING = 'fields = { message = "message" }'


@pytest.fixture
def calls(cloud, here):
    """A logstore without a log, and the profile that names it."""
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    return cloud


def asked(here, *words):
    ran = here.run(*words, "-o", "json", "--timezone", "Asia/Shanghai")
    assert (ran.code, ran.err) == (0, "")
    return ran.json()


@pytest.mark.parametrize("verb", ["status", "quota", "drill"])
def test_the_age_of_the_newest_log_is_said(calls, here, verb):
    newest = int(time.time()) - 3 * 3600
    calls.put("app", "calls", [{**CALL, "__time__": newest - ago} for ago in range(5)])
    envelope = asked(here, verb)
    [source] = envelope["sources"]
    assert (source["state"], envelope["window"]["anchored"]) == ("ok", False)
    at = datetime.fromtimestamp(newest + 8 * 3600, UTC)
    assert f"newest log 3 h old ({at:%Y-%m-%d %H:%M:%S}+08:00)" in source["detail"]
    assert "newest log 3 h old" in " ".join(here.run(verb, "--timezone", "Asia/Shanghai").out.split())


def test_the_incident_says_since_when_no_call_came(calls, here):
    newest = int(time.time()) - 3 * 3600
    calls.put("app", "calls", [{**CALL, "__time__": newest}, {"message": "ready", "__time__": newest + 3600}])
    envelope = asked(here, "status")
    data, log_ends = envelope["data"], envelope["window"]["log_ends_at"]
    assert (data["verdict"], data["calls"]) == ("unknown", 0)
    assert datetime.fromisoformat(log_ends).timestamp() == newest + 3600
    [incident] = data["incidents"]
    assert incident["type"] == "no_data"
    assert datetime.fromisoformat(incident["started_at"]).timestamp() == newest
    assert here.run("status", "--check").code == 3


def test_an_empty_logstore_is_said(calls, here):
    assert "no log in the last 7 days" in asked(here, "status")["sources"][0]["detail"]


def test_logs_in_the_future_are_said(calls, here):
    calls.put("app", "calls", [{**CALL, "__time__": int(time.time()) + 8 * 3600}])
    [source] = asked(here, "status")["sources"]
    assert "8 h in the future" in source["detail"]
    assert "time zone" in source["detail"]
    found = {check["name"]: check for check in asked(here, "doctor")["data"]["checks"]}
    assert found["newest_log"]["state"] == "warning"
    assert "8 h in the future" in found["newest_log"]["detail"]
    assert "zone" in found["newest_log"]["fix"]


def test_one_query_more_and_only_where_no_call_is(calls, here):
    calls.put("app", "calls", [{"message": "ready"}])
    asked(here, "status")
    assert len(calls.asked(LOGS)) == 6
    calls.put("app", "calls", [CALL])
    asked(here, "status")
    assert len(calls.asked(LOGS)) == 11
    assert calls.asked("index$") == []


def test_a_newest_log_that_cannot_be_asked_for_hides_nothing(calls, here):
    calls.fail(faults.Status(400, "ParameterInvalid", "not today"), LOGS, when=lambda request: request.text == "*")
    assert asked(here, "status")["data"]["calls"] == 0


def checks(here):
    return {check["name"]: check for check in asked(here, "doctor")["data"]["checks"]}


def test_calls_in_the_raw_message_are_noticed(calls, here):
    calls.put("app", "calls", [RAW] * 3 + [{"message": "ready"}, {"message": "prompt: a, b"}])
    envelope = asked(here, "status")
    assert (envelope["data"]["calls"], envelope["partial"]) == (0, True)
    assert SETTING in envelope["sources"][0]["detail"]
    assert here.run("status", "--check").code == 3
    found = checks(here)
    assert found["field:message"]["state"] == "warning"
    assert SETTING in found["field:message"]["fix"]
    here.profile(calls, more=SETTING + "\n")
    assert asked(here, "status")["data"]["calls"] == 3
    assert "field:message" not in checks(here)


def test_an_index_of_raw_lines_is_noticed(cloud, here):
    cloud.create("app", "calls", index=index(without=(*FIELDS, "rating")))
    cloud.put("app", "calls", [RAW])
    here.profile(cloud)
    ran = here.run("status", "-o", "json")
    assert ran.code == 3
    [problem] = ran.json()["errors"]
    assert problem["code"] == "sls_fields"
    assert SETTING in problem["hint"]
    found = checks(here)
    assert SETTING in found["field:message"]["fix"]
    assert [name for name in found if name.startswith("field:")] == ["field:message"]
    here.profile(cloud, more=SETTING + "\n")
    assert asked(here, "status")["data"]["calls"] == 1


def test_messages_of_calls_that_have_fields_too_are_no_fault(calls, here):
    calls.put("app", "calls", [{**CALL, "message": RAW["message"]}])
    assert "field:message" not in checks(here)
