"""A window without a call: how old the newest log is, and whether its lines hold calls that the profile does not name."""

import threading
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


def steady(until_s, minutes=40):
    """Give a call a second up to a moment."""
    return [{**CALL, "__time__": int(until_s) - second} for second in range(60 * minutes)]


def test_a_log_that_went_silent_is_judged_up_to_its_end(calls, here):
    """What is written may not be shipped yet: that nobody calls any more is not known."""
    ended = time.time() - 150
    calls.put("app", "calls", steady(ended))
    envelope = asked(here, "status")
    data, [source] = envelope["data"], envelope["sources"]
    assert (data["verdict"], [one["type"] for one in data["incidents"]]) == ("unknown", [])
    assert "newest log 3 min old" in source["detail"]
    assert datetime.fromisoformat(envelope["window"]["log_ends_at"]).timestamp() == int(ended)
    assert len(calls.asked(LOGS)) == 6


def test_calls_that_stop_while_the_log_goes_on_are_a_drop(calls, here):
    calls.put("app", "calls", [*steady(time.time() - 400), {"message": "ready"}])
    data = asked(here, "status")["data"]
    assert (data["verdict"], data["incidents"][0]["type"]) == ("critical", "traffic_drop")


def test_verify_names_the_end_of_a_log_that_has_stopped(calls, here):
    ended = int(time.time()) - 150
    calls.put("app", "calls", steady(ended))
    ran = here.run("recover", "verify", "--interval", "1s", "--timeout", "4s", "--timezone", "UTC")
    assert ran.code == 3
    assert f"{datetime.fromtimestamp(ended, UTC):%Y-%m-%d %H:%M:%S}" in " ".join(ran.out.split())


def test_verify_sees_calls_arrive(calls, here):
    failed = [{**CALL, "status_code": 500, "error_code": "InternalError", "__time__": one["__time__"]}
              for one in steady(time.time(), 10)]  # fmt: skip
    calls.put("app", "calls", [*steady(time.time() - 600), *failed])
    over = threading.Event()

    def go_on():
        while not over.wait(0.1):
            calls.put("app", "calls", [CALL] * 5)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        ran = here.run("recover", "verify", "--interval", "3s", "--timeout", "40s", "-o", "json")
    finally:
        over.set()
        writer.join()
    assert (ran.code, ran.json()["data"]["recovered"]) == (0, True), ran.out
