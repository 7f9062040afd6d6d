"""What is written reads back as what was made up."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from llmops_cli.calls.events import read_events
from llmops_cli.calls.line import format_call
from llmops_cli.calls.pattern import compile_pattern
from llmops_cli.demo.scenarios import SCENARIOS, generate
from llmops_cli.demo.writer import Formatter, is_ours, write_log, write_whole
from llmops_cli.evidence import CallRecord, FeedbackRecord
from tests.demo.stories import END_MS, story

SHANGHAI = ZoneInfo("Asia/Shanghai")
STANDARD = "%d{yyyy-MM-dd HH:mm:ss.SSS} %-5p [traceId:%X{traceId}] [%c{3}#%method():%L] [%thread] - %m%n"


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_line_reads_back(name):
    events = list(generate(name, seed=1, calls=1500, end_ms=END_MS).events)
    text = "".join(map(Formatter(SHANGHAI), events))
    read = list(read_events(text.splitlines(keepends=True), compile_pattern(STANDARD), SHANGHAI))
    assert [event.call for event in read if event.call] == [e for e in events if isinstance(e, CallRecord)]
    assert [event.feedback for event in read if event.feedback] == [e for e in events if isinstance(e, FeedbackRecord)]
    assert [(event.time_ms, event.trace_id) for event in read] == [(event.time_ms, event.trace_id) for event in events]


def test_calls_are_written_as_the_standard_writes_them():
    line = Formatter(SHANGHAI)
    for call in story("two-faults").calls[-3000:]:
        assert line(call).rstrip("\n").endswith(f"] - {format_call(call)}")


def test_a_log_is_written_whole_or_not_at_all(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("before")

    def events():
        yield from list(story("healthy").events)[:9000]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_log(log, events(), zone=SHANGHAI, end_ms=END_MS)
    assert log.read_text() == "before"
    assert list(tmp_path.iterdir()) == [log]
    write_whole(log, [b"after"])
    assert log.read_bytes() == b"after"


def test_the_shown_trace_failed_and_then_succeeded(tmp_path):
    told = story("rate-limit")
    seen: list[int] = []
    written = write_log(
        tmp_path / "a.log", told.events, zone=SHANGHAI, truths=told.made.truths, end_ms=END_MS, progress=seen.append
    )
    shown = [call for call in told.calls if call.trace_id == written.trace_id]
    assert shown[0].error_code == "Throttling.RateQuota"
    assert shown[-1].ok
    assert (written.lines, written.calls) == (len(told.events), len(told.calls))
    assert 0 < sum(seen) <= (tmp_path / "a.log").stat().st_size
    assert is_ours(tmp_path / "a.log")


@pytest.mark.parametrize(
    ("name", "code"), [("bad-key", "InvalidApiKey"), ("arrears", "Arrearage"), ("moderation", "DataInspectionFailed")]
)
def test_the_shown_trace_belongs_to_the_incident(tmp_path, name, code):
    told = story(name)
    written = write_log(tmp_path / "a.log", told.events, zone=SHANGHAI, truths=told.made.truths, end_ms=END_MS)
    assert code in {call.error_code for call in told.calls if call.trace_id == written.trace_id}
