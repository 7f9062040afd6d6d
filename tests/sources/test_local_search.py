"""A trace is found by its bytes; what is found is what reading every event would find."""

from __future__ import annotations

import gzip
from datetime import UTC

import pytest

from llmops_cli.calls.events import read_events
from llmops_cli.calls.pattern import STANDARD_PATTERN, compile_pattern
from llmops_cli.errors import UsageError
from llmops_cli.evidence import CallRecord, Span, Window
from llmops_cli.sources.local import LocalSource
from tests.sources.logs import MINUTE, START_MS, line, records

PATTERN = compile_pattern(STANDARD_PATTERN)
STACK = "java.lang.IllegalStateException: boom\n\tat com.example.Chat.call(Chat.java:42)\n"


@pytest.fixture(scope="module")
def text():
    parts = []
    for at, item in enumerate(records(41, calls=3000)):
        head = line(item).split(" - ")[0]
        parts += [f"{head} - prompt:what is {at}?\n", line(item) + "\n"]
        if at % 50 == 0:
            parts.append(STACK)
    return "".join(parts)


def traces(text):
    found = {}
    for event in read_events(text.splitlines(), PATTERN, UTC):
        found.setdefault(event.trace_id, []).append((event.time_ms, event.message))
    return found


def find(path, wanted, span=None):
    with LocalSource([str(path)], zone=UTC) as source:
        return source.trace(wanted, Window(span, None, UTC) if span else None)


def test_traces_are_those_of_the_reference_reader(tmp_path, text):
    path = tmp_path / "app.log"
    path.write_text(text)
    expected = traces(text)
    for wanted in list(expected)[::150]:
        found = find(path, wanted)
        assert found.trace_id == wanted
        assert [(event.time_ms, event.message) for event in found.lines] == expected[wanted]


@pytest.mark.parametrize("shift", range(-60, 200, 20))
def test_an_id_across_the_seam_of_two_reads(tmp_path, text, shift):
    wanted = list(traces(text))[7]
    body = "".join(text.splitlines(keepends=True)[:40])
    path = tmp_path / "app.log"
    path.write_text("x" * ((4 << 20) - body.find(wanted) - shift - 1) + "\n" + body)
    found = find(path, wanted)
    assert [(event.time_ms, event.message) for event in found.lines] == traces(body)[wanted]


def test_a_packed_log(tmp_path, text):
    path = tmp_path / "app.log.gz"
    path.write_bytes(gzip.compress(text.encode()))
    wanted = list(traces(text))[100]
    assert len(find(path, wanted).lines) == len(traces(text)[wanted])


def test_a_container_log(tmp_path, text):
    path = tmp_path / "app.log"
    path.write_text("".join(f"2025-07-09T06:00:00.1Z stdout F {each}\n" for each in text.splitlines()))
    wanted = list(traces(text))[100]
    found = find(path, wanted)
    assert [(event.time_ms, event.message) for event in found.lines] == traces(text)[wanted]


def test_a_prefix_a_request_id_and_nothing(tmp_path, text):
    path = tmp_path / "app.log"
    path.write_text(text)
    call = next(item for item in records(41, calls=3000) if isinstance(item, CallRecord))
    assert find(path, call.trace_id[:8]).trace_id == call.trace_id
    assert find(path, call.request_id).trace_id == call.trace_id
    assert find(path, "00000000-dead").lines == ()
    with pytest.raises(UsageError):
        find(path, call.trace_id[:7])


def test_an_ambiguous_prefix_lists_its_matches(tmp_path, text):
    one = line(records(41)[0])
    wanted = one.split("traceId:")[1][:36]
    others = [wanted[:-1] + digit for digit in "0123456789abcdef"]
    path = tmp_path / "app.log"
    path.write_text("".join(one.replace(wanted, other) + "\n" for other in others))
    found = find(path, wanted[:12])
    assert found.lines == ()
    assert found.matches == tuple(sorted(others))


def test_a_window_narrows_the_search(tmp_path, text):
    path = tmp_path / "app.log"
    path.write_text(text)
    call = records(41, calls=3000)[0]
    inside = Span(call.time_ms, call.time_ms + 1)
    assert find(path, call.trace_id, inside).lines
    assert not find(path, call.trace_id, Span(START_MS + 50 * MINUTE, START_MS + 60 * MINUTE)).lines


def test_a_mention_in_another_trace_is_not_part_of_it(tmp_path):
    mine, other = records(42, calls=2)[:2]
    path = tmp_path / "app.log"
    head = line(other).split(" - ")[0]
    path.write_text(f"{line(mine)}\n{head} - see {mine.trace_id}\n")
    assert len(find(path, mine.trace_id).lines) == 1
