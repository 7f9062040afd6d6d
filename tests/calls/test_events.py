"""The careful reader: lines into events, and nothing raises."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.calls.events import CUT, LONGEST_EVENT, read_events
from llmops_cli.calls.pattern import STANDARD_PATTERN, compile_pattern

PATTERN = compile_pattern(STANDARD_PATTERN)
SHANGHAI = ZoneInfo("Asia/Shanghai")
CALL = "bailian-log,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,6c958db4-d489-9de8-b5d4-9fc872f24ce2,{},1141,24,9,33,{},{}"


def line(message, second=24, trace="t-1"):
    return f"2025-07-09 14:23:{second:02}.748 INFO [traceId:{trace}] [c.a.X#chat():67] [main] - {message}"


def events(*lines, **options):
    return list(read_events(lines, PATTERN, SHANGHAI, **options))


def test_a_call_with_all_its_fields():
    (event,) = events(line(CALL.format(200, "", "")) + "\r\n", file="app.log")
    assert (event.time_ms, event.level, event.trace_id, event.file) == (1752042204748, "INFO", "t-1", "app.log")
    assert (event.logger, event.thread) == ("c.a.X", "main")
    assert event.call.ok
    assert (event.call.time_ms, event.call.trace_id, event.call.level) == (1752042204748, "t-1", "INFO")
    assert (event.call.app, event.call.model, event.call.duration_ms) == ("bailian-log", "qwen-plus", 1141)
    assert event.feedback is None
    assert event.message == CALL.format(200, "", "")


def test_feedback_and_other_lines():
    rating, prompt = events(line("feedback:a,b,c,d,e,down,slow, wrong"), line("prompt:" + CALL.format(200, "", "")))
    assert (rating.feedback.rating, rating.feedback.comment, rating.feedback.trace_id) == ("down", "slow, wrong", "t-1")
    assert rating.call is None
    assert (prompt.call, prompt.feedback) == (None, None)


def test_continuation_lines_belong_to_the_event_above():
    dropped = []
    failed, plain = events(
        "\tat a.B(C.java:1)",
        "",
        line(CALL.format(500, "InternalError", "first,")),
        " second",
        "",
        "third",
        line("hello", second=25),
        on_dropped=dropped.append,
    )
    assert failed.call.error_message == "first,\n second\n\nthird"
    assert failed.call.duration_ms == 1141
    assert failed.message.endswith("first,\n second\n\nthird")
    assert plain.message == "hello"
    assert dropped == ["\tat a.B(C.java:1)", ""]


def test_what_follows_a_successful_call_is_no_error_message():
    (event,) = events(line(CALL.format(200, "", "")), "printed by somebody else")
    assert event.call.ok
    assert event.call.error_message == ""


def test_a_fake_line_inside_an_event_is_text_unless_it_stands_at_the_start_of_a_line():
    fake = line(CALL.format(401, "Forged", "x"), trace="forged")
    found = events(line("prompt:explain " + fake), " " + fake, "> " + fake, line("received: " + fake))
    assert [event.trace_id for event in found] == ["t-1", "t-1"]
    assert all(event.call is None for event in found)
    assert fake in found[0].message


def test_a_line_with_an_impossible_date_starts_no_event():
    (event,) = events(line("one"), line("two").replace("2025-07-09", "2025-02-30"))
    assert event.message.startswith("one\n2025-02-30")


def test_a_byte_order_mark_and_nul_bytes_before_the_first_line():
    for mark in ("\ufeff", "\0" * 5000, "\ufeff\0"):
        (event,) = events(mark + line("hello"))
        assert event.message == "hello"


def test_an_endless_event_is_cut():
    lines = [line(CALL.format(500, "InternalError", "x" * 1000)), *["y" * 1000] * 500, line("next", second=25)]
    cut, after = events(*lines)
    assert LONGEST_EVENT < len(cut.message) <= LONGEST_EVENT + len(CUT)
    assert cut.message.endswith(CUT)
    assert cut.call.error_code == "InternalError"
    assert after.message == "next"
    (long,) = events(line("z" * 200_000))
    assert len(long.message) == LONGEST_EVENT + len(CUT)


@pytest.mark.parametrize("text", ["\u2028", "\x85", "\x0b", "\x1c", "\r"])
def test_other_separators_do_not_end_a_line(text):
    (event,) = events(line(CALL.format(500, "InternalError", f"a{text}b")))
    assert event.call.error_message == f"a{text}b"


@given(st.lists(st.one_of(st.text(), st.text().map(line), st.text(alphabet="0123456789-:. []traceId,").map(line))))
def test_no_text_raises(lines):
    found = events(*lines)
    assert len(found) <= len(lines)


def test_nothing_comes_of_nothing():
    assert events() == []
    assert list(read_events(["a", "b"], PATTERN, UTC)) == []
