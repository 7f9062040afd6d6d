"""A window of a long log is found by seeking; what is found is what reading everything would find."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from llmops_cli.errors import SourceError
from llmops_cli.evidence import Filters, Span, Thresholds, Window
from llmops_cli.sources.local import LocalSource
from llmops_cli.sources.local.timeline import SMALL
from tests.reference import observe
from tests.sources.logs import MINUTE, START_MS, line, records, write
from tests.sources.test_local_observe import comparable

SPAN = Span(START_MS + 100 * MINUTE, START_MS + 110 * MINUTE)
BEFORE = Span(START_MS + 90 * MINUTE, SPAN.start_ms)


def padded(item) -> str:
    """A line long enough that few calls make a log that is searched rather than read whole."""
    return line(item).replace("[http-nio", f"[{'x' * 400}http-nio") + "\n"


@pytest.fixture(scope="module")
def items():
    return records(21, calls=18_000, minutes=240)


def check(path, items, *, span=SPAN, before=BEFORE, sorted_=True):
    with LocalSource([str(path)], zone=UTC) as source:
        seen = source.observe(Window(span, before, UTC), Filters(), Thresholds())
        states = source.states()
        assert source.newest_ms() == max(item.time_ms for item in items)
    assert comparable(seen) == comparable(observe(items, span, before))
    assert ("not sorted" in states[0].detail) is not sorted_
    return states[0]


def test_a_window_of_a_long_log(tmp_path, items):
    path = tmp_path / "app.log"
    path.write_text("".join(map(padded, items)))
    assert path.stat().st_size > SMALL
    check(path, items)
    check(path, items, span=Span(START_MS, START_MS + MINUTE), before=None)
    check(path, items, span=Span(START_MS + 239 * MINUTE, START_MS + 240 * MINUTE))


def test_lines_out_of_order_near_the_edges_are_counted(tmp_path, items):
    rand = random.Random(3)
    late = sorted(items, key=lambda item: item.time_ms + rand.randrange(40_000))
    path = tmp_path / "app.log"
    path.write_text("".join(map(padded, late)))
    check(path, items)


@pytest.mark.parametrize("every", [1, 7, 500])
@pytest.mark.parametrize("stamp", ["2999-01-01 00:00:00.000", "1970-01-01 00:00:01.000"])
def test_lines_of_a_broken_clock_lead_no_search_astray(tmp_path, items, stamp, every):
    path = tmp_path / "app.log"
    with path.open("w") as out:
        for at, item in enumerate(items):
            text = padded(item)
            out.write((stamp + text[23:]) * (at % every == 0) + text)
    check(path, items)
    check(path, items, span=Span(START_MS, START_MS + MINUTE), before=None)
    check(path, items, span=Span(START_MS + 239 * MINUTE, START_MS + 240 * MINUTE))


def test_a_log_that_is_not_sorted_is_read_whole(tmp_path, items):
    half = len(items) // 2
    path = tmp_path / "app.log"
    path.write_text("".join(map(padded, items[half:] + items[:half])))
    check(path, items, sorted_=False)


def test_a_small_log_in_any_order(tmp_path):
    some = records(22)
    path = tmp_path / "app.log"
    path.write_text("".join(line(item) + "\n" for item in reversed(some)))
    span = Span(START_MS + 10 * MINUTE, START_MS + 20 * MINUTE)
    check(path, some, span=span, before=None)


def test_a_stack_trace_longer_than_a_block(tmp_path, items):
    stack = "java.lang.OutOfMemoryError: heap\n" + "\tat com.example.Deep.call(Deep.java:1)\n" * 30_000
    middle = len(items) // 2
    path = tmp_path / "app.log"
    path.write_text("".join(map(padded, items[:middle])) + stack + "".join(map(padded, items[middle:])))
    near = Span(items[middle].time_ms - MINUTE, items[middle].time_ms + MINUTE)
    check(path, items, span=near, before=Span(near.start_ms - 2 * MINUTE, near.start_ms))


@pytest.mark.parametrize("before", ["\x1b[32m", "\ufeff", "[pod/chat-1/main] "])
def test_a_stack_trace_hides_no_line_with_something_before_its_time(tmp_path, items, before):
    stack = "\tat com.example.Chat.call(Chat.java:42)\n"
    path = tmp_path / "app.log"
    text = "".join((before * (at % 3 > 0)) + padded(item) + stack * (at % 50 == 0) for at, item in enumerate(items))
    path.write_text(text)
    with LocalSource([str(path)], zone=UTC) as source:
        seen = source.observe(Window(SPAN, BEFORE, UTC), Filters(), Thresholds())
        assert source.newest_ms() == items[-1].time_ms
    expected = observe(items, SPAN, BEFORE)
    assert (seen.now.calls, seen.before.calls) == (expected.now.calls, expected.before.calls)


def test_a_long_container_log_is_searched_too(tmp_path, items):
    path = tmp_path / "app.log"
    path.write_text("".join(f"2025-07-09T06:00:00.123456789Z stdout F {padded(item)}" for item in items))
    check(path, items)


def test_a_rotated_set_reads_what_the_window_needs(tmp_path, items):
    third = len(items) // 3
    parts = {"app.log.2.gz": items[:third], "app.log.1": items[third : 2 * third], "app.log": items[2 * third :]}
    for name, part in parts.items():
        data = "".join(map(padded, part)).encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    check(tmp_path, items)
    check(tmp_path / "app.log*", items, span=Span(START_MS + 5 * MINUTE, START_MS + 15 * MINUTE), before=None)


def test_an_old_compressed_file_is_not_unpacked(tmp_path, items):
    half = len(items) // 2
    torn = gzip.compress("".join(map(padded, items[:half])).encode())
    (tmp_path / "app.log.1.gz").write_bytes(torn[: len(torn) // 2])
    (tmp_path / "app.log").write_text("".join(map(padded, items[half:])))
    span = Span(items[-1].time_ms - 5 * MINUTE, items[-1].time_ms)
    state = check(tmp_path, items[half:], span=span, before=None)
    assert state.state == "ok"


def test_a_torn_archive_gives_what_is_there(tmp_path):
    some = records(23)
    data = gzip.compress("".join(line(item) + "\n" for item in some).encode())
    path = tmp_path / "app.log.gz"
    path.write_bytes(data[: len(data) // 2])
    with LocalSource([str(path)], zone=UTC) as source:
        span = Span(START_MS, START_MS + 10 * MINUTE)
        seen = source.observe(Window(span, None, UTC), Filters(), Thresholds())
        assert seen.now.calls > 100
        assert source.states()[0].state == "partial"
        assert "incomplete" in source.states()[0].detail


def test_a_damaged_archive_among_others_is_passed_over(tmp_path):
    some = records(31, calls=100)
    write(tmp_path / "app.log", some)
    (tmp_path / "old.log.gz").write_bytes(b"\x1f\x8b\x08\x00x")
    with LocalSource([str(tmp_path)], zone=UTC) as source:
        assert source.newest_ms() == some[-1].time_ms
        state = source.states()[0]
    assert state.state == "partial"
    assert "old.log.gz: damaged" in state.detail


def test_no_archive_at_all(tmp_path):
    path = tmp_path / "app.log.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00garbage that is not deflate")
    with pytest.raises(SourceError, match=r"app\.log\.gz: damaged compressed data"):
        LocalSource([str(path)], zone=UTC)


def test_standard_input(tmp_path):
    some = records(24)
    code = (
        "from datetime import UTC; from llmops_cli.sources.local import LocalSource\n"
        "with LocalSource(['-'], zone=UTC) as s: print(s.oldest_ms(), s.newest_ms())"
    )
    text = "".join(line(item) + "\n" for item in some).encode()
    for given in (text, gzip.compress(text)):
        done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True)
        assert done.stdout.split() == [str(some[0].time_ms).encode(), str(some[-1].time_ms).encode()]


def test_a_fifo(tmp_path):
    some = records(25, calls=50)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = subprocess.Popen(["sh", "-c", f"cat > {path}"], stdin=subprocess.PIPE)
    writer.stdin.write("".join(line(item) + "\n" for item in some).encode())
    writer.stdin.close()
    with LocalSource([str(path)], zone=UTC) as source:
        assert source.newest_ms() == some[-1].time_ms
    assert writer.wait(10) == 0


def test_a_clock_set_back_in_autumn(tmp_path):
    """The repeated hour is read as its first occurrence, and nothing is lost."""
    zone = ZoneInfo("Europe/Berlin")
    start = 1761434400000  # 2025-10-26 01:20 +02:00, an hour and forty minutes before the clock goes back
    some = [replace(item, time_ms=item.time_ms - START_MS + start) for item in records(26, calls=500, minutes=240)]
    path = write(tmp_path / "app.log", some, zone)
    with LocalSource([str(path)], zone=zone) as source:
        span = Span(start - 4 * 60 * MINUTE, start + 5 * 60 * MINUTE)
        seen = source.observe(Window(span, None, zone), Filters(), Thresholds())
    assert seen.now.calls == observe(some, span, None).now.calls


@pytest.mark.parametrize("known", ["twelve", "one"])
def test_a_value_that_the_sample_did_not_hold(tmp_path, known):
    """A long read encodes the values it has sampled; a rare one is counted all the same."""
    base = records(27, calls=15_000, minutes=200)
    rare = replace(next(r for r in base if hasattr(r, "duration_ms")), app="rare app", workspace="llm-unseen")
    count = 12 if known == "twelve" else 1
    path = tmp_path / "app.log"
    with path.open("w") as out:
        for at, item in enumerate(base):
            out.write(line(item) + "\n")
            if at == 7500:
                out.write(f"\tat com.example.Chat.call(Chat.java:42) {'x' * 200}\n" * 270_000)
            if at in range(7000, 7000 + count):
                out.write(line(replace(rare, time_ms=item.time_ms)) + "\n")
    assert path.stat().st_size > 64 << 20
    span = Span(START_MS, START_MS + 200 * MINUTE)
    with LocalSource([str(path)], zone=UTC) as source:
        seen = source.observe(Window(span, None, UTC), Filters(), Thresholds())
        narrowed = source.observe(Window(span, None, UTC), Filters(app=("rare app",)), Thresholds())
    calls = sum(hasattr(item, "duration_ms") for item in base)
    assert (seen.now.calls, seen.unparsed) == (calls + count, 0)
    assert narrowed.now.calls == count


def test_paths_that_lead_nowhere(tmp_path):
    for name, code in {
        "missing.log": "log_not_found",
        "*.nothing": "log_not_found",
        ".": "log_not_found",
        "a\0b": "log_not_found",
    }.items():
        with pytest.raises(SourceError) as caught:
            LocalSource([str(tmp_path / name)], zone=UTC)
        assert caught.value.code == code
        assert caught.value.hint


def test_binary_files(tmp_path):
    for name, data in {"x.log": b"\x7fELF\x02\x01" * 100, "y.log": os.urandom(5000), "z.log": b"PK\x03\x04zip"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match=r"not a text log"):
            LocalSource([str(tmp_path / name)], zone=UTC)
    good = records(28, calls=10)
    write(tmp_path / "good.log", good)
    with LocalSource([str(tmp_path)], zone=UTC) as source:
        assert source.newest_ms() == good[-1].time_ms
        assert source.states()[0].state == "partial"


def test_an_empty_log(tmp_path):
    path = Path(tmp_path / "app.log")
    path.touch()
    with LocalSource([str(path)], zone=UTC) as source:
        assert source.newest_ms() is None
        seen = source.observe(Window(SPAN, BEFORE, UTC), Filters(), Thresholds())
        assert seen.now.calls == 0
        assert seen.before is None


def test_the_same_file_named_twice_is_read_once(tmp_path):
    some = records(29, calls=100)
    path = write(tmp_path / "app.log", some)
    (tmp_path / "link.log").symlink_to(path)
    with LocalSource([str(path), str(tmp_path / "link.log"), str(tmp_path)], zone=UTC) as source:
        span = Span(START_MS, START_MS + 60 * MINUTE)
        seen = source.observe(Window(span, None, UTC), Filters(), Thresholds())
    assert seen.now.calls == observe(some, span, None).now.calls


def test_gbk_by_option(tmp_path):
    some = [replace(item, app="客服") for item in records(30, calls=200)]
    path = tmp_path / "app.log"
    path.write_bytes("".join(line(item) + "\n" for item in some).encode("gbk"))
    span = Span(START_MS, START_MS + 60 * MINUTE)
    with LocalSource([str(path)], zone=UTC, encoding="gbk") as source:
        seen = source.observe(Window(span, None, UTC), Filters(app=("客服",)), Thresholds())
        assert seen.now.calls == observe(some, span, None).now.calls
        assert source.states()[0].state == "ok"
    with LocalSource([str(path)], zone=UTC) as source:
        seen = source.observe(Window(span, None, UTC), Filters(), Thresholds())
        assert seen.now.calls == observe(some, span, None).now.calls
        assert "--encoding" in source.states()[0].detail
