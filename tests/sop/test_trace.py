"""One trace: its order, its waits, what its errors mean, and what it keeps to itself."""

import json
import shlex
from dataclasses import asdict
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evidence import CallRecord, LogLine
from llmops_cli.knowledge.content import hidden
from llmops_cli.knowledge.sentences import phrase, sentence
from llmops_cli.sop.trace import trace

SHANGHAI = timezone(timedelta(hours=8))
ID = "5e564fe1-2d7e-498a-acdc-6749e6e12617"
T0 = 1_752_068_376_101


def call(
    at,
    *,
    status=200,
    code="",
    message="",
    duration=100,
    module="Agent",
    model="qwen-plus",
    request="r-1",
    thread="t-1",
    app="risk-review",
):
    record = CallRecord(
        T0 + at, "INFO", ID, app, module, model, "llm-1", request, status, duration, 5, 3, 8, code, message
    )
    return LogLine(T0 + at, "INFO" if record.ok else "ERROR", ID, "c.Chat", thread, "…", "app.log", call=record)


def line(at, message, level="DEBUG", thread="t-1"):
    return LogLine(T0 + at, level, ID, "c.Chat", thread, message, "app.log")


def told(data):
    return [message.id for message in data.summary]


def run(lines, **options):
    return trace(lines, ID, **({"zone": SHANGHAI, "show_content": False} | options))


THROTTLED = {"status": 429, "code": "Throttling.RateQuota", "message": "Requests rate limit exceeded"}
REFUSED_KEY = {"status": 401, "code": "InvalidApiKey", "message": "Invalid API-key provided."}
OVERDUE = {
    "status": 400,
    "code": "Arrearage",
    "message": "Access denied, please make sure your account is in good standing.",
}


def test_lines_stand_in_time_order_and_equal_times_keep_theirs():
    data = run([line(5, "c"), line(0, "a"), line(5, "d"), line(1, "b")])
    assert [one.message for one in data.lines] == ["a", "b", "c", "d"]
    assert data.found
    assert data.lines[0].time.isoformat() == "2025-07-09T21:39:36.101000+08:00"


def test_a_call_starts_its_duration_before_it_is_logged_and_waits_since_the_one_before():
    data = run([call(8_906, duration=859), call(761, duration=38, **THROTTLED)])
    first, second = data.calls
    assert (first.time - first.started_at) == timedelta(milliseconds=38)
    assert first.wait_ms is None
    assert second.wait_ms == 8_906 - 859 - 761


def test_parallel_calls_do_not_wait():
    assert run([call(100, duration=100), call(120, duration=110)]).calls[1].wait_ms == 0


def test_calls_stand_in_the_order_in_which_they_were_sent():
    """A long call is logged after the short ones that ran beside it."""
    data = run([call(2_000, duration=500, module="Short"), call(5_000, duration=5_000, module="Long")])
    assert [one.module for one in data.calls] == ["Long", "Short"]
    assert [one.wait_ms for one in data.calls] == [None, 0]
    later = run([call(5_000, duration=5_000), call(2_000, duration=500), call(6_000, duration=400)])
    assert [one.wait_ms for one in later.calls] == [None, 0, 600]


def test_a_success_that_ran_beside_a_failure_is_no_retry_of_it():
    long_success = call(5_000, duration=5_000)
    assert told(run([call(1_000, duration=900, **THROTTLED), long_success])) == ["trace.not_retried"]
    assert told(run([call(1_000, duration=900, **THROTTLED), call(6_000, duration=4_990)])) == [
        "trace.recovered",
        "trace.retried_too_soon",
    ]


def test_waited_and_then_succeeded():
    data = run([call(761, duration=38, request="bad", **THROTTLED), call(8_906, duration=859, request="good")])
    (message,) = data.summary
    assert message.id == "trace.recovered"
    assert sentence(message) == "waited 7,286 ms and then succeeded"
    assert data.request_ids == ("bad", "good")


def test_a_retryable_failure_that_was_not_retried_says_so():
    assert told(run([call(0, **THROTTLED)])) == ["trace.not_retried"]


def test_a_final_failure_without_retry_is_no_reproach():
    assert told(run([call(0, **REFUSED_KEY)])) == ["trace.failed_for_good"]


def test_retrying_what_cannot_succeed_is_a_reproach():
    assert told(run([call(0, **OVERDUE), call(5_000, **OVERDUE)])) == ["trace.gave_up", "trace.retried_in_vain"]


def test_retrying_at_once_is_too_soon():
    ids = told(run([call(0, **THROTTLED), call(50, duration=38, **THROTTLED), call(9_000, duration=100)]))
    assert ids == ["trace.recovered", "trace.retried_too_soon"]


def test_a_second_is_a_second_whatever_the_clock_rounded():
    assert told(run([call(0, **THROTTLED), call(1_090, duration=100)])) == ["trace.recovered"]
    assert told(run([call(0, **THROTTLED), call(1_070, duration=100)]))[1:] == ["trace.retried_too_soon"]


def test_modules_of_one_trace_are_told_apart():
    data = run([call(0, module="Plan"), call(50, module="Chat", **THROTTLED), call(99, module="Plan")])
    (message,) = data.summary
    assert (message.id, message.values["who"]) == ("trace.not_retried", "risk-review/Chat")


def test_a_trace_that_failed_recovered_and_failed_again_tells_both():
    lines = [call(0, **THROTTLED), call(5_000), call(9_000, **REFUSED_KEY)]
    assert told(run(lines)) == ["trace.recovered", "trace.failed_for_good"]


def test_explanations_are_one_per_distinct_error():
    data = run([call(0, **THROTTLED), call(1, **THROTTLED), call(2, **OVERDUE)])
    assert [(one.error_code, one.family) for one in data.explanations] == [
        ("Throttling.RateQuota", "rate_limit_requests"),
        ("Arrearage", "billing"),
    ]
    assert data.explanations[1].retry == "no"
    assert all(one.cause and one.remedy for one in data.explanations)


def test_prompts_and_results_are_hidden_unless_asked_for():
    lines = [line(0, "prompt:tell me the secret 4711"), call(10), line(11, "result:{\n 4711 }")]
    shown = json.dumps([asdict(one) for one in run(lines).lines], default=str)
    assert "4711" not in shown
    assert "prompt (23 characters, sha256 " in shown
    assert run(lines, show_content=True).lines[0].message == "prompt:tell me the secret 4711"


def test_equal_prompts_have_equal_hashes_and_other_lines_stay():
    assert hidden("prompt: a") == hidden("prompt:a") != hidden("prompt:b")
    assert hidden("received POST /chat") == "received POST /chat"
    assert hidden("PROMPT:x") != "PROMPT:x"
    assert run([line(0, "prompt:审核")], lang="zh").lines[0].message.startswith("prompt（2 个字符，sha256 ")


@given(st.text())
def test_hidden_never_shows_more_than_length_and_hash(text):
    assert len(hidden("prompt:" + text)) < 80


def test_a_prompt_without_a_call_is_told():
    lines = [
        line(0, "prompt:a"),
        call(9),
        line(20, "prompt:b"),
        line(21, "prompt:c", thread="t-2"),
        call(30, thread="t-2"),
    ]
    data = run(lines)
    assert told(data)[-1] == "trace.unanswered"
    assert data.summary[-1].values == {"count": 1}


def test_a_trace_without_calls_is_found():
    data = run([line(0, "hello")])
    assert data.found
    assert told(data) == ["trace.no_calls"]
    assert data.next == ()


def test_an_unknown_trace_is_no_error_but_has_hints():
    data = trace([], "5e56", zone=UTC, show_content=False)
    assert not data.found
    assert told(data)[:2] == ["trace.not_found", "trace.too_short"]
    assert "trace.too_short" not in told(trace([], ID, zone=UTC, show_content=False))


def test_an_ambiguous_prefix_lists_at_most_twenty_matches():
    matches = [f"5e564fe1-{number:04}" for number in range(37)]
    data = run([call(0)], matches=matches)
    assert not data.found
    assert data.matches == tuple(matches[:20])
    assert data.summary[0].values["count"] == 37
    assert data.lines == ()


def test_one_match_is_the_trace():
    data = trace([call(0)], ID[:8], matches=[ID], zone=UTC, show_content=False)
    assert (data.found, data.trace_id, data.matches) == (True, ID, ())


def test_next_commands_are_quoted_and_say_which_time():
    evil = "$(rm -rf ~)'; x"
    data = run([call(0, status=429, code="X", message="rate limit", model=evil)], next_options="--log 'a b.log'")
    for command in data.next:
        assert shlex.split(command)[0] == "llmops"
    assert evil in shlex.split(data.next[0])
    assert "--from" in shlex.split(data.next[0])
    assert shlex.split(data.next[0])[-2:] == ["--log", "a b.log"]


def test_a_window_that_was_given_is_kept():
    assert "--from" not in run([call(0, **THROTTLED)], next_options="--since 1h").next[0]


def test_rate_limits_lead_to_quota_and_every_error_to_its_runbook():
    data = run([call(0, **THROTTLED)])
    words = [shlex.split(command)[1:3] for command in data.next]
    assert words == [["drill", "--model"], ["quota", "--model"], ["recover", "--runbook"]]


def test_a_failure_without_any_answer_is_explained_too():
    data = run([call(0, status=None, code="", message="Read timed out")])
    assert data.explanations[0].family == "timeout"
    assert shlex.split(data.next[0])[1:4] == ["drill", "--model", "qwen-plus"]
    nameless = run([call(0, status=None, code="", message="Read timed out", model="")])
    assert shlex.split(nameless.next[0])[1:4] == ["drill", "--by", "error_code"]


@pytest.mark.parametrize("duration", [-5, 0, 10**9])
def test_odd_durations_do_not_raise(duration):
    assert run([call(0, duration=duration), call(1, duration=duration)]).found


def test_every_sentence_exists():
    names = "not_found too_short look_elsewhere is_it_logged ambiguous no_calls succeeded recovered gave_up"
    names += " failed_for_good not_retried retried_in_vain retried_too_soon unanswered"
    assert [name for name in names.split() if phrase(f"trace.{name}") is None] == []
