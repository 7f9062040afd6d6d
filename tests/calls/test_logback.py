"""Logs that real Logback wrote (`logback/make_fixtures.sh`), read with the very pattern that wrote them."""

import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from llmops_cli.calls.events import read_events
from llmops_cli.calls.line import looks_like_call
from llmops_cli.calls.pattern import compile_pattern

from .test_pattern import assert_engines_agree

HERE = Path(__file__).parent
SHANGHAI = ZoneInfo("Asia/Shanghai")
PATTERNS = {
    name: pattern
    for name, _, pattern in (
        row.split("\t") for row in (HERE / "logback/patterns.tsv").read_text(encoding="utf-8").splitlines()
    )
}
UNLIKE_ITS_PATTERN = "log4j_comma"
"""`%d{…,SSS}`: Logback takes SSS for a time zone and prints seconds in GMT."""
READABLE = sorted(set(PATTERNS) - {UNLIKE_ITS_PATTERN})

CHAT, AGENT = "41ea65e3-0b4c-4b65-8567-325a6128eddf", "63384a39-bbfe-489b-a290-6635975fc633"
# Time (+08:00), level, trace id, thread of each event.
SCENE = [
    ("14:23:23.600", "DEBUG", CHAT, "http-nio-8080-exec-1"),
    ("14:23:24.748", "INFO", CHAT, "http-nio-8080-exec-1"),
    ("14:23:24.748", "DEBUG", CHAT, "http-nio-8080-exec-1"),
    ("08:26:33.833", "ERROR", AGENT, "http-nio-8080-exec-3"),
    *[("14:30:00.007", "ERROR", "t-3", "http-nio-8080-exec-3")] * 4,
    ("14:31:00.000", "DEBUG", "t-4", "C3P0[pool->1]-Helper-#0"),
    ("14:31:00.000", "INFO", "t-4", "C3P0[pool->1]-Helper-#0"),
    ("14:31:00.000", "ERROR", "t-4", "C3P0[pool->1]-Helper-#0"),
    *[("14:32:00.100", "INFO", "", "main")] * 3,
]
W = "llm-6qtsrlugmu6wanfs"
CALLS = [
    ("Chat", "qwen-plus", W, "6c958db4-d489-9de8-b5d4-9fc872f24ce2", 200, 1141, 24, 9, 33, "", ""),
    (
        *("Chat", "qwen-plus", W, "83a0cb5d-07f9-9fd2-9985-1c05b339f5d5", 401, 38, 0, 0, 0),
        *("InvalidApiKey", "Invalid API-key provided."),
    ),
    (
        *("Agent", "qwen-max", W, "req-3", 429, 12, 0, 0, 0, "Throttling.RateQuota"),
        "Requests, \"too many\" - [rpm] [x] - {a,b}, see #chat():67] - \u2028 now, 'please'",
    ),
    ("Agent", "qwen-max", W, "", None, 3, 0, 0, 0, "InputRequired", "The input must not be empty"),
    ("Agent", "qwen-max", W, "", None, 30000, 0, 0, 0, "", ""),
    (
        "Agent",
        "qwen-max",
        W,
        "req-6",
        500,
        7,
        0,
        0,
        0,
        "InternalError",
        "first line,\n  second line, of it\n\nlast line",
    ),
]
THREADS = {
    "compact": {"C3P0[pool->1]-Helper-#0": "C3P0[pool->1"},  # nothing tells its ] from the pattern's
    "padded": {"C3P0[pool->1]-Helper-#0": "0[pool->1]-Helper-#0"},  # cut to 20 by the pattern
    "coloured": {"C3P0[pool->1]-Helper-#0": "l->1]-Helper-#0", "http-nio-8080-exec-1": "nio-8080-exec-1", "http-nio-8080-exec-3": "nio-8080-exec-3"},
}  # fmt: skip


def lines_of(name):
    return (HERE / f"logs/{name}.log").read_text(encoding="utf-8").split("\n")[:-1]


def read(name, zone=SHANGHAI):
    dropped = []
    events = list(read_events(lines_of(name), compile_pattern(PATTERNS[name]), zone, on_dropped=dropped.append))
    assert dropped == []
    return events


@pytest.mark.parametrize("name", READABLE)
def test_every_event_is_read_at_its_time(name):
    events = read(name)
    times = [datetime.fromtimestamp(event.time_ms / 1000, SHANGHAI).strftime("%H:%M:%S.%f")[:-3] for event in events]
    assert times == [time for time, *_ in SCENE]
    assert {datetime.fromtimestamp(event.time_ms / 1000, SHANGHAI).date().isoformat() for event in events} == {
        "2025-07-09"
    }
    levels = [level[0] if name == "padded" else level for _, level, *_ in SCENE]
    assert [event.level for event in events] == levels
    groups = compile_pattern(PATTERNS[name]).groups
    if "thread" in groups:
        cut = THREADS.get(name, {})
        assert [event.thread for event in events] == [cut.get(thread, thread) for *_, thread in SCENE]
    if "logger" in groups:
        assert {event.logger.rpartition(".")[2] for event in events} == {"ChatServiceImpl"}


@pytest.mark.parametrize("name", READABLE)
def test_the_trace_id_is_found(name):
    expected = [trace or {"iso8601": "none"}.get(name, "") for _, _, trace, _ in SCENE]
    found = [event.trace_id for event in read(name)]
    if name == "trace_behind":  # a message of several lines has it behind the last of them
        expected[7:9] = ["", ""]
    assert found == expected


@pytest.mark.parametrize("name", READABLE)
def test_calls_and_ratings_have_exact_values(name):
    events = read(name)
    behind = " [t-3]" if name == "trace_behind" else ""
    calls = [event.call for event in events if event.call]
    assert {call.app for call in calls} == {"bailian-log"}
    assert [
        (
            *(call.module, call.model, call.workspace, call.request_id, call.status_code, call.duration_ms),
            *(call.input_tokens, call.output_tokens, call.total_tokens, call.error_code, call.error_message),
        )
        for call in calls
    ] == [*CALLS[:-1], (*CALLS[-1][:-1], CALLS[-1][-1] + behind)]
    ratings = [event.feedback for event in events if event.feedback]
    assert [(rating.rating, rating.comment) for rating in ratings] == [("up", ""), ("down", "slow, and wrong")]


@pytest.mark.parametrize("name", READABLE)
def test_prompts_lists_and_stack_traces_are_neither_calls_nor_candidates(name):
    events = read(name)
    prompt, listed, failed = events[8:11]
    if name != "compact":
        assert prompt.message.startswith("prompt:Explain this:\n 2025-07-09 08:26:33.833 ERROR")
    assert "Caused by: java.lang.RuntimeException: x" in failed.message
    for event in (events[0], events[2], prompt, listed, failed):
        assert (event.call, event.feedback) == (None, None)
        for line in event.message.split("\n"):
            assert not looks_like_call(line), line


@pytest.mark.parametrize("name", ["offset", "offset_z", "fixed_zone"])
def test_a_zone_that_is_written_needs_no_other(name):
    assert [e.time_ms for e in read(name, ZoneInfo("America/New_York"))] == [e.time_ms for e in read("article")]


@pytest.mark.parametrize("name", READABLE)
def test_every_engine_reads_the_same(name):
    assert_engines_agree(compile_pattern(PATTERNS[name]), lines_of(name))


def test_a_comma_in_the_date_has_to_be_quoted_for_logback():
    lines = lines_of(UNLIKE_ITS_PATTERN)
    assert list(read_events(lines, compile_pattern(PATTERNS[UNLIKE_ITS_PATTERN]), SHANGHAI)) == []
    # What it printed is what this says.
    pattern = compile_pattern("%d{yyyy-MM-dd HH:mm:ss, GMT} %p [%X{traceId}] %c{0} - %m%n")
    events = list(read_events(lines, pattern, SHANGHAI))
    assert [event.time_ms // 1000 for event in events] == [event.time_ms // 1000 for event in read("article")]


@pytest.mark.needs("logback")
@pytest.mark.skipif(shutil.which("javac") is None, reason="javac is missing")
def test_logback_still_writes_the_same(tmp_path):
    subprocess.run([HERE / "logback/make_fixtures.sh", tmp_path], check=True, capture_output=True, timeout=120)
    for name in PATTERNS:
        assert (tmp_path / f"{name}.log").read_bytes() == (HERE / f"logs/{name}.log").read_bytes(), name
