"""`llmops collect upload`: every event of a log once in the logstore, whatever happens on the way."""

import contextlib
import gzip
import os
import pty
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from llmops_cli.calls.line import CallFields, FeedbackFields, format_call, format_feedback
from tests.cloud import SlsCloud
from tests.cloud.asking import KEY_ID, REGION, SECRET, desk
from tests.cloud.faults import SERVER_ERROR, WRITE_QUOTA, Reset, Silence, Slow, Status
from tests.cloud.filled import logs

PUT = "/shards/"
BEGIN = datetime(2025, 7, 9, 14, 0, tzinfo=UTC)
ADDED = {"__topic__", "__source__", "__tag__:llmops_batch"}


@pytest.fixture
def cloud():
    with SlsCloud(keys={KEY_ID: SECRET}, region=REGION) as cloud:
        cloud.create("app")
        yield cloud


@pytest.fixture
def here(cloud, tmp_path):
    here = desk(tmp_path).profile(cloud)
    assert here.run("collect", "init", "--yes").code == 0
    return here


def lines(count):
    """Give lines of a log: calls, ratings, prompts, and every so often a stack trace of three lines."""
    for number in range(count):
        at = (BEGIN + timedelta(milliseconds=7 * number)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        trace, kind = f"{number // 4:08x}-2d7e-498a-acdc-6749e6e12617", number % 10
        message = f"prompt: number {number}, 请总结"
        if kind < 5:
            message = format_call(
                CallFields("shop", "Chat", "qwen-plus", "llm-1", f"r{number}", 200, number % 900, 1, 2, 3)
            )
        elif kind == 5:
            message = format_feedback(
                FeedbackFields("shop", "Chat", "qwen-plus", "llm-1", f"r{number}", "up", "好, ok")
            )
        elif kind in (8, 9):
            yield f"\tat com.example.Chat.ask(Chat.java:{number})"
            continue
        yield f"{at} INFO  [traceId:{trace}] [c.e.Chat#ask():67] [main] - {message}"


def write(here, count, name="app.log"):
    log = here.folder / name
    log.write_text("".join(f"{line}\n" for line in lines(count)), encoding="utf-8")
    return quiet(log)


def quiet(log, seconds=60):
    """Let a log be one that nobody has written to for a while."""
    os.utime(log, (time.time() - seconds,) * 2)
    return log


def line(second, text):
    return f"2025-07-09 15:00:{second:02}.001 WARN  [traceId:t{second}] [a#b():1] [main] - {text}\n"


def append(log, text, seconds=60):
    with log.open("a", encoding="utf-8") as file:
        file.write(text)
    return quiet(log, seconds)


def messages(cloud):
    return [log.fields["message"] for log in cloud.projects["app"].logstores["calls"].logs]


def held(cloud):
    """Give the logs of the logstore as a multiset, without what every upload adds."""
    store = cloud.projects["app"].logstores["calls"]
    return Counter(frozenset((key, log.fields[key]) for key in log.fields.keys() - ADDED) for log in store.logs)


def expected(log, **how):
    read = ({key: str(value) for key, value in one.items() if value != ""} for one in logs(log, UTC, **how))
    return Counter(frozenset(one.items()) for one in read)


def upload(here, *words, timezone="UTC"):
    return here.run("collect", "upload", *words, "--yes", "--timezone", timezone)


def test_a_log_arrives_whole_with_its_milliseconds(cloud, here):
    log = write(here, 2000)
    ran = upload(here, "app.log", "--batch", "300")
    assert (ran.code, ran.err) == (0, "")
    assert "calls 1,000, ratings 200, other lines 400" in ran.out
    assert held(cloud) == expected(log)
    assert len(cloud.asked(PUT)) == 6
    again = upload(here, "app.log")
    assert again.out.startswith("Nothing to do")
    assert len(cloud.asked(PUT)) == 6


def test_a_dry_run_says_how_much_of_which_file_and_sends_nothing(cloud, here):
    write(here, 1000)
    write(here, 500, "b.log").touch()
    asked = here.run("collect", "upload", "app.log", "--dry-run", "-o", "json")
    (row,) = asked.json()["data"]["changes"]
    assert (asked.code, row["name"], row["action"]) == (0, "app.log", "create")
    assert (row["after"]["logs"], row["after"]["lines"], row["after"]["batches"]) == (800, 1000, 1)
    assert asked.json()["data"]["applied"] is False
    assert here.run("collect", "upload", "app.log").code == 2
    assert not held(cloud)


def test_a_preview_shows_when_the_log_begins_and_ends_with_the_offset(here):
    write(here, 1000)
    words = ("collect", "upload", "app.log", "--dry-run", "--batch", "300")
    shown = here.run(*words, "--timezone", "Asia/Shanghai").out
    assert '"first": "2025-07-09T14:00:00.000+08:00"' in shown
    assert '"last": "2025-07-09T14:00:06.979+08:00"' in shown
    assert '"batches": 3' in shown
    assert '"first": "2025-07-09T14:00:00.000+00:00"' in here.run(*words, "--timezone", "UTC").out


def test_a_last_event_in_the_future_makes_the_zone_doubtful(here):
    at = (datetime.now(UTC) + timedelta(hours=3)).strftime("%Y-%m-%d %H:%M:%S.000")
    quiet_log = here.folder / "app.log"
    quiet_log.write_text(f"{at} WARN  [traceId:t] [a#b():1] [main] - x\n")
    ran = here.run("collect", "upload", "app.log", "--dry-run", "--timezone", "UTC")
    assert "is --timezone the one of the log?" in ran.err
    assert not here.run("collect", "upload", "app.log", "--dry-run", "--timezone", "Asia/Shanghai").err


def test_the_last_event_waits_until_another_follows_or_the_file_is_quiet(cloud, here):
    log = here.folder / "app.log"
    log.write_text(line(1, "one") + line(2, "failed"))
    append(log, "\tat a", seconds=0)  # torn: the application has not written the line's end
    first = upload(here, "app.log")
    assert (first.code, messages(cloud)) == (0, ["one"])
    assert "last event is kept back" in first.err
    again = upload(here, "app.log", "-o", "json").json()["data"]
    assert (again["applied"], again["changes"][0]["after"]["kept_back"]) == (False, 1)
    append(log, ".b(C.java:1)\n" + line(3, "three"))
    assert upload(here, "app.log").err == ""
    assert messages(cloud) == ["one", "failed\n\tat a.b(C.java:1)", "three"]


@pytest.mark.parametrize("text", ["two", "shop,Chat,qwen-plus,llm-1,r2,200,"], ids=["message", "call"])
def test_a_torn_line_waits_for_its_end_however_old_it_is(cloud, here, text):
    log = here.folder / "app.log"
    log.write_text(line(1, "one") + line(2, text).rstrip("\n"))
    for age in (60, 4000):
        assert "kept back" in upload(here, quiet(log, age).name).err
    assert messages(cloud) == ["one"]
    append(log, "\n")
    assert upload(here, "app.log").err == ""
    assert messages(cloud) == ["one", text]


def test_a_call_with_a_torn_line_behind_it_goes_after_an_hour_without_that(cloud, here):
    log = here.folder / "app.log"
    log.write_text(line(1, format_call(THROTTLED)) + "\tat a\n\tat b.c")
    assert "kept back" in upload(here, quiet(log).name).err
    assert upload(here, quiet(log, 4000).name).err == ""
    append(log, "(D.java:1)\n" + line(2, "two"))
    assert upload(here, "app.log").code == 0
    assert messages_of(cloud, "error_message")[0].endswith("\tat a")
    assert messages_of(cloud, "message")[1:] == ["\tat b.c(D.java:1)", "two"]


def test_a_whole_call_needs_no_line_break(cloud, here):
    call = CallFields("shop", "Chat", "qwen-plus", "llm-1", "r1", 500, 9, 0, 0, 0, "InternalError", "boom")
    log = here.folder / "app.log"
    log.write_text(line(1, "one") + line(2, format_call(call)).rstrip("\n"))
    assert upload(here, "app.log").err == ""
    assert messages_of(cloud, "request_id") == [None, "r1"]
    torn = here.folder / "torn.log"
    torn.write_text(line(3, "three") + line(4, format_call(call)).partition("InternalError")[0])
    assert "kept back" in upload(here, "torn.log").err
    assert messages_of(cloud, "message")[2:] == ["three"]


def test_a_file_that_was_written_a_moment_ago_is_sent_whole(cloud, here):
    log = here.folder / "app.log"
    append(log, line(1, "one"), seconds=0)
    assert upload(here, "app.log").err == ""
    assert messages(cloud) == ["one"]


@pytest.mark.parametrize("before", ["", line(1, "one")], ids=["first event", "later event"])
def test_what_is_added_to_an_event_that_was_sent_follows_as_a_line_of_its_own(cloud, here, before):
    log = here.folder / "app.log"
    log.write_text(before + line(2, "failed\n\tat a"))
    assert upload(here, quiet(log).name).code == 0
    append(log, "\tat b\n\tat c\n")
    ran = upload(here, "app.log")
    assert (ran.code, messages(cloud)[-1]) == (0, "\tat b\n\tat c")
    assert "its new lines go as a line of their own" in ran.err
    assert upload(here, "app.log").out.startswith("Nothing to do")
    append(log, line(3, "three"))
    assert upload(here, "app.log").err == ""
    whole = messages(cloud)
    assert "\n".join(whole) == "\n".join(
        [*(["one"] if before else []), "failed", "\tat a", "\tat b", "\tat c", "three"]
    )
    assert cloud.projects["app"].logstores["calls"].logs[-2].fields["trace_id"] == "t2"


def test_a_call_whose_error_goes_on_counts_once(cloud, here):
    call = CallFields("shop", "Chat", "qwen-plus", "llm-1", "r1", 500, 9, 0, 0, 0, "InternalError", "boom")
    log = here.folder / "app.log"
    log.write_text(line(1, format_call(call)))
    upload(here, quiet(log).name)
    append(log, "\tat a\n" + line(2, "two"))
    assert upload(here, "app.log").code == 0
    assert messages_of(cloud, "error_message") == ["boom", None, None]
    assert messages_of(cloud, "message") == [None, "\tat a", "two"]


def messages_of(cloud, key):
    return [log.fields.get(key) for log in cloud.projects["app"].logstores["calls"].logs]


def test_a_log_that_is_written_all_the_time_arrives_whole(cloud, here):
    log = here.folder / "app.log"
    log.touch()
    written = []
    with log.open("a", encoding="utf-8") as file:
        for second in (1, 2):
            text = f"step {second}\n\tat a\n\tat b"
            whole = line(second, text)
            for part in (whole[:30], whole[30:-5], whole[-5:]):
                file.write(part)
                file.flush()
                assert upload(here, "app.log").code == 0
            written.append(text)
    assert upload(here, quiet(log).name).code == 0
    assert messages(cloud) == written


def test_a_rotated_file_is_told_and_its_rest_is_sent(cloud, here):
    log = here.folder / "app.log"
    log.write_text(line(1, "one") + line(2, "two"))
    upload(here, quiet(log).name)
    append(log, line(3, "three"))
    log.rename(here.folder / "app.1.log")
    log.write_text(line(4, "four"))
    ran = upload(here, quiet(log).name)
    assert "begins anew since 2 events of it were sent" in ran.err
    assert upload(here, "app.log").err == ""
    assert upload(here, "app.1.log").err == ""
    assert sorted(messages(cloud)) == ["four", "one", "three", "two"]


def test_a_beginning_that_was_cut_off_seconds_before_the_end_is_told(cloud, here):
    log = here.folder / "app.log"
    log.write_text("".join(line(second, f"{second}") for second in range(20)))
    upload(here, quiet(log).name)
    log.write_text("".join(line(second, f"{second}") for second in range(10, 20)))
    ran = upload(here, quiet(log).name)
    assert (ran.code, len(messages(cloud))) == (3, 20)
    assert "they could be sent twice" in ran.err


def test_a_file_whose_beginning_was_cut_off_is_not_sent_twice(cloud, here):
    log = here.folder / "app.log"
    log.write_text("2025-07-09 13:00:00.001 WARN  [traceId:t] [a#b():1] [main] - early\n" + line(1, "one"))
    later = line(2, "two").replace("15:00", "16:00")
    append(log, later)
    upload(here, "app.log")
    log.write_text(line(1, "one") + later)
    ran = upload(here, quiet(log).name)
    assert (ran.code, len(messages(cloud))) == (3, 3)
    assert "they could be sent twice" in ran.err
    assert f"rm {here.folder}/.local/state/llmops/uploads/" in ran.err


@pytest.mark.parametrize(("first", "second"), [("UTC", "Asia/Shanghai"), ("Asia/Shanghai", "UTC")])
def test_a_log_read_in_another_zone_is_not_sent_twice(cloud, here, first, second):
    log = write(here, 100)
    upload(here, "app.log", timezone=first)
    copy = write(here, 100, "copy.log")
    for name in (log.name, copy.name):
        ran = upload(here, name, timezone=second)
        assert ran.code == 3
        assert "is --timezone, --pattern or --encoding another?" in ran.err
        assert f"rm {here.folder}/.local/state/llmops/uploads/" in ran.err
    assert sum(held(cloud).values()) == 80
    assert upload(here, "copy.log", timezone=first).code == 0
    assert sum(held(cloud).values()) == 80


def test_a_log_read_with_another_pattern_is_not_sent_twice(cloud, here):
    log = write(here, 100)
    upload(here, "app.log")
    ran = upload(here, "app.log", "--pattern", "%d{yyyy-MM-dd HH:mm:ss.SSS} %-5p %m%n")
    assert (ran.code, held(cloud)) == (3, expected(log))
    assert "read otherwise" in ran.err


@pytest.mark.parametrize(
    ("written", "spelled"), [("http://", "HTTP://"), ("127.0.0.1", "localhost")], ids=["scheme", "host"]
)
def test_an_endpoint_spelled_otherwise_is_the_same_logstore(cloud, here, written, spelled):
    log = write(here, 100)
    upload(here, "app.log")
    config = here.folder / "llmops.toml"
    config.write_text(config.read_text().replace(written, spelled))
    ran = upload(here, "app.log")
    assert (ran.code, held(cloud)) == (0, expected(log))
    assert ran.out.startswith("Nothing to do")


def test_a_file_that_fails_does_not_stop_the_others(cloud, here):
    folder = here.folder / "logs"
    folder.mkdir()
    for name, second in (("a.log", 1), ("b.log", 10), ("c.log", 20)):
        quiet(append(folder / name, line(second, f"{name} one") + line(second + 5, f"{name} two")))
    upload(here, "logs/b.log")
    (folder / "b.log").write_text(line(10, "b.log one") + line(15, "another") + line(16, "three"))
    quiet(folder / "b.log")
    ran = upload(here, "logs", "-o", "json")
    assert ran.code == 3
    assert [one["name"] for one in ran.json()["data"]["changes"]] == ["logs/a.log", "logs/c.log"]
    (problem,) = ran.json()["errors"]
    assert problem["code"] in ("upload_changed", "upload_overlap")
    assert problem["message"].startswith("logs/b.log")
    assert "error: logs/b.log" in ran.err
    assert sorted(messages(cloud)) == sorted(f"{name}.log {which}" for name in "abc" for which in ("one", "two"))


def test_a_copy_that_is_not_complete_yet_has_nothing_new(cloud, here):
    log = write(here, 200)
    upload(here, "app.log")
    copy = here.folder / "app.log.1"
    copy.write_bytes(log.read_bytes()[:3000])
    ran = upload(here, quiet(copy).name)
    assert (ran.code, held(cloud)) == (0, expected(log))
    assert "of the 160 events that were sent of it: nothing new" in ran.err
    assert ran.out.startswith("Nothing to do")


def test_logs_that_begin_with_the_same_line_are_told_apart(cloud, here):
    for pod in ("a", "b", "c"):
        text = line(0, "Starting app") + "".join(line(second, f"{pod} {second}") for second in range(1, 5))
        append(here.folder / f"{pod}.log", text)
    words = ("a.log", "b.log", "c.log")
    assert upload(here, *words).code == 0
    append(here.folder / "b.log", line(9, "b 9"))
    assert upload(here, *words).code == 0
    assert upload(here, *words).out.startswith("Nothing to do")
    told = Counter(messages(cloud))
    assert told.pop("Starting app") == 3
    assert set(told.values()) == {1}
    assert len(told) == 13


def test_what_a_pipe_brings_again_is_told(cloud, here):
    whole = [line(second, f"{second}") for second in range(10)]
    for window, told in ((whole[:6], False), (whole[:8], False), (whole[4:], True)):
        words = [sys.executable, "-m", "llmops_cli", "collect", "upload", "-", "--yes", "--timezone", "UTC"]
        text, where = "".join(window), {"cwd": here.folder, "env": here.environ}
        ran = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=True, **where)
        assert ("both windows hold is sent twice" in ran.stderr) == told
    assert Counter(messages(cloud)) == Counter(map(str, (*range(8), *range(4, 10))))


THROTTLED = CallFields("shop", "Chat", "qwen-plus", "llm-1", "r1", 429, 9, 0, 0, 0, "Throttling", "请求限流了")


def test_a_file_that_ends_amid_a_character_waits(cloud, here):
    log = here.folder / "app.log"
    whole = (line(1, "one") + line(2, format_call(THROTTLED))).encode()
    log.write_bytes(whole[:-2])
    assert "kept back" in upload(here, quiet(log, 4000).name).err
    log.write_bytes(whole)
    assert upload(here, quiet(log).name).err == ""
    assert messages_of(cloud, "error_message") == [None, "请求限流了"]


def test_a_first_event_waits_for_the_end_of_its_line(cloud, here):
    log = here.folder / "app.log"
    whole = line(1, format_call(THROTTLED))
    log.write_text(whole[:-4])
    assert "kept back" in upload(here, quiet(log, 4000).name).err
    log.write_text(whole + line(2, "two"))
    assert upload(here, quiet(log).name).err == ""
    assert messages_of(cloud, "error_message") == ["请求限流了", None]


def test_an_archive_that_is_still_written_keeps_its_last_event_back(cloud, here):
    chance = random.Random(3)
    log = here.folder / "app.log"
    log.write_text("".join(line(second, f"{second} {chance.random()}") for second in range(60)))
    packed, archive = gzip.compress(log.read_bytes()), here.folder / "app.log.1.gz"
    archive.write_bytes(packed[: len(packed) // 2])
    assert "kept back" in upload(here, archive.name).err
    sent = messages(cloud)
    archive.write_bytes(packed)
    assert upload(here, archive.name).err == ""
    assert 0 < len(sent) < 60
    assert held(cloud) == expected(log)


def test_a_line_that_a_container_runtime_has_in_parts_waits_for_its_last_one(cloud, here):
    def framed(second, kind, text):
        return f"2025-07-09T15:00:{second:02}.123456789Z stdout {kind} {text}\n"

    log = here.folder / "app.log"
    first, call = line(1, "one").rstrip("\n"), line(2, format_call(THROTTLED)).rstrip("\n")
    begun = framed(1, "F", first) + framed(2, "P", call[:90])
    log.write_text(begun)
    assert "kept back" in upload(here, quiet(log).name).err
    assert upload(here, quiet(log, 4000).name).err == ""
    assert messages(cloud) == ["one"]
    log.write_text(begun + framed(2, "F", call[90:]) + framed(3, "F", line(3, "three").rstrip("\n")))
    assert upload(here, quiet(log).name).err == ""
    assert messages_of(cloud, "error_message") == [None, "请求限流了", None]


def test_a_torn_header_of_an_old_file_is_no_part_of_the_event_before(cloud, here):
    log = here.folder / "app.log"
    whole = line(1, "one") + line(2, "two")
    log.write_text(whole[: len(line(1, "one")) + 12])
    assert "kept back" in upload(here, quiet(log).name).err
    assert upload(here, quiet(log, 4000).name).code == 0
    assert messages(cloud) == ["one"]
    assert upload(here, quiet(log, 4000).name).out.startswith("Nothing to do")
    log.write_text(whole)
    assert upload(here, quiet(log).name).err == ""
    assert messages(cloud) == ["one", "two"]


def test_a_log_that_grew_is_sent_from_where_it_ended(cloud, here):
    log = write(here, 1000)
    upload(here, "app.log")
    with log.open("a", encoding="utf-8") as file:
        file.write("2025-07-09 15:00:00.001 WARN  [traceId:t] [a#b():1] [main] - one more\n")
    quiet(log).rename(here.folder / "app.1.log")
    packed = here.folder / "app.1.log.gz"
    packed.write_bytes(gzip.compress((here.folder / "app.1.log").read_bytes()))
    ran = upload(here, packed.name)
    assert "of these sent before 800" in ran.out
    assert held(cloud) == expected(here.folder / "app.1.log")


def test_a_log_that_was_changed_under_its_state_is_told(cloud, here):
    log = write(here, 1000)
    upload(here, "app.log")
    log.write_text(log.read_text(encoding="utf-8").replace("r500,", "r5xx,"), encoding="utf-8")
    ran = upload(here, "app.log")
    assert ran.code == 3
    assert "begins like a log of which 800 events were sent" in ran.err
    assert sum(held(cloud).values()) == 800


def test_keys_are_those_of_the_profile(cloud, here):
    log = write(here, 200)
    here.profile(cloud, more='fields = { model = "modelName", duration_ms = "cost" }\n')
    assert upload(here, "app.log").code == 0
    assert held(cloud) == expected(log, names={"model": "modelName", "duration_ms": "cost"})


def test_a_logstore_of_raw_lines_gets_raw_lines(cloud, here):
    log = write(here, 200)
    here.profile(cloud, more='fields = { message = "content" }\n')
    assert here.run("collect", "init", "--yes").code == 0
    assert upload(here, "app.log").code == 0
    assert held(cloud) == expected(log, names={"message": "content"}, raw=True)
    words = ("status", "--timezone", "UTC", "--from", "2025-07-09T13:00Z", "--to", "2025-07-09T15:00Z", "-o", "json")
    assert here.run(*words).json()["data"]["calls"] == 100


def test_keys_and_tokens_do_not_leave(cloud, here):
    (here.folder / "app.log").write_text(
        "2025-07-09 15:00:00.001 WARN  [traceId:t] [a#b():1] [main] - used sk-abcdefghijklmnopqrstuvwxyz\n"
    )
    assert upload(here, "app.log").code == 0
    assert "sk-ab…(hidden)" in str(held(cloud))
    assert "ijklmnop" not in str(held(cloud))


FAULTS = {
    "throttled": WRITE_QUOTA,
    "failed": SERVER_ERROR,
    "reset": Reset(),
    "reset, but written": Reset(done=True),
    "no answer, but written": Silence(done=True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_request_that_fails_neither_loses_nor_doubles_a_batch(cloud, here, fault):
    log = write(here, 1000)
    cloud.lag = 0.3
    cloud.fail(FAULTS[fault], PUT, times=2, skip=1)
    ran = upload(here, "app.log", "--batch", "200", "--settle", "1", "--timeout", "4")
    assert (ran.code, ran.err) == (0, "")
    assert held(cloud) == expected(log)


class Held:
    """A way to the cloud on which the first batch lies for some seconds, whatever its sender does meanwhile."""

    def __init__(self, cloud, seconds):
        self.to, self.seconds, self.held = urlsplit(cloud.endpoint).port, seconds, threading.Event()
        self.delivered, self.server = threading.Event(), socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def lead(self, here):
        config = here.folder / "llmops.toml"
        config.write_text(config.read_text().replace(f":{self.to}", f":{self.port}"))

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._carry, args=(self.server.accept()[0],), daemon=True).start()

    def _carry(self, near):
        with near, socket.create_connection(("127.0.0.1", self.to)) as far, contextlib.suppress(OSError):
            threading.Thread(target=self._back, args=(far, near), daemon=True).start()
            while block := near.recv(1 << 20):
                first = b"/shards/" in block[:200] and not self.held.is_set()
                if first:
                    self.held.set()
                    time.sleep(self.seconds)
                far.sendall(block)
                if first:
                    self.delivered.set()
                    time.sleep(0.3)  # the cloud carries it out, though nobody listens

    @staticmethod
    def _back(far, near):
        with contextlib.suppress(OSError):
            while block := far.recv(1 << 16):
                near.sendall(block)


@pytest.fixture
def held_up(cloud, here):
    way = Held(cloud, 2)
    way.lead(here)
    yield way
    way.server.close()


LATE = ("--timeout", "1", "--settle", "0.2")


def test_a_batch_that_arrives_long_after_its_timeout_counts_once(cloud, here, held_up):
    log = write(here, 50)
    ran = upload(here, "app.log", *LATE)
    assert held_up.delivered.wait(10)
    assert (ran.code, held(cloud)) == (0, expected(log))
    assert "may still arrive" in ran.err
    assert upload(here, "app.log").out.startswith("Nothing to do")


def test_a_batch_that_timed_out_is_waited_for_by_the_next_run_too(cloud, here, held_up):
    log = write(here, 50)
    with here.start("collect", "upload", "app.log", "--yes", "--timezone", "UTC", *LATE) as process:
        assert "may still arrive" in process.stderr.readline()
        process.kill()
        process.communicate(timeout=60)
    assert upload(here, "app.log", "--settle", "0.1").code == 0
    assert held_up.delivered.wait(10)
    time.sleep(0.3)
    assert held(cloud) == expected(log)


def test_a_batch_that_never_had_an_answer_is_sent_by_the_next_run(cloud, here):
    log = write(here, 50)
    cloud.fail(Silence(), PUT)
    ran = upload(here, "app.log", "--timeout", "1", "--settle", "0.1")
    assert (ran.code, sum(held(cloud).values())) == (3, 0)
    assert "the same command again" in ran.err
    assert upload(here, "app.log", "--settle", "0.1").code == 0
    assert held(cloud) == expected(log)


def test_a_refusal_is_one_line_and_the_next_run_goes_on(cloud, here):
    log = write(here, 1000)
    rule = cloud.fail(
        Status(403, "Unauthorized", "denied by ram, action: log:PostLogStoreLogs"), PUT, times=None, skip=2
    )
    ran = upload(here, "app.log", "--batch", "200", "--settle", "0.2")
    assert (ran.code, ran.out, rule.hits) == (3, "", 1)
    assert "log:PostLogStoreLogs" in ran.err
    cloud.heal()
    assert upload(here, "app.log", "--settle", "0.2").code == 0
    assert held(cloud) == expected(log)


def test_a_logstore_that_takes_no_more_is_told_and_the_next_run_goes_on(cloud, here):
    log = write(here, 1000)
    cloud.fail(WRITE_QUOTA, PUT, times=None, skip=2)
    ran = upload(here, "app.log", "--batch", "200", "--timeout", "2")
    assert (ran.code, ran.out) == (3, "")
    assert "WriteQuotaExceed" in ran.err
    assert "goes on where this one stopped" in ran.err
    cloud.heal()
    assert upload(here, "app.log", "--settle", "0.2").code == 0
    assert held(cloud) == expected(log)


def test_nothing_is_sent_where_it_cannot_be_noted(cloud, here):
    write(here, 100)
    ran = here.run("collect", "upload", "app.log", "--yes", XDG_STATE_HOME="/proc/none")
    assert ran.code == 3
    assert "XDG_STATE_HOME" in ran.err
    assert not held(cloud)


def test_a_time_that_log_service_does_not_have_is_told(cloud, here):
    (here.folder / "app.log").write_text("1961-04-12 06:07:00.001 WARN  [traceId:t] [a#b():1] [main] - x\n")
    ran = upload(here, "app.log")
    assert ran.code == 3
    assert "before 1970" in ran.err
    assert not cloud.asked(PUT)


def test_on_a_terminal_a_bar_shows_how_far_it_is(cloud, here):
    write(here, 20_000)
    cloud.fail(Slow(0.3), PUT, times=None)
    master, slave = pty.openpty()
    words = ("collect", "upload", "app.log", "--yes", "--batch", "2000", "--timezone", "UTC")
    environ = here.environ | {"TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "llmops_cli", *words], cwd=here.folder, env=environ, stdout=subprocess.PIPE, stderr=slave
    ) as process:
        os.close(slave)
        seen = bytearray()
        with contextlib.suppress(OSError):  # the other end is closed: EIO
            while block := os.read(master, 1 << 16):
                seen.extend(block)
        out, _ = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == 0
    assert b"app.log" in seen
    assert b"\x1b" not in out


def test_logs_that_are_too_old_are_told(cloud, here):
    write(here, 100)
    cloud.oldest_s = 7 * 86400
    ran = upload(here, "app.log")
    assert ran.code == 3
    assert "no logs as old as these (from 2025-07-09 on)" in ran.err


def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(cloud, here):
    log = write(here, 2000)
    cloud.fail(Slow(0.2), PUT, times=None)
    with here.start("collect", "upload", "app.log", "--yes", "--batch", "100", "--timezone", "UTC") as process:
        wait_for(cloud, 3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on where this one stopped" in said
    cloud.heal()
    assert upload(here, "app.log", "--settle", "1").code == 0
    assert held(cloud) == expected(log)


def test_two_processes_do_not_send_the_same_log(cloud, here):
    log = write(here, 1000)
    cloud.fail(Slow(3), PUT)
    with here.start("collect", "upload", "app.log", "--yes", "--timezone", "UTC") as process:
        wait_for(cloud, 1)
        second = upload(here, "app.log")
        process.communicate(timeout=60)
    assert (process.returncode, second.code) == (0, 3)
    assert "another process" in second.err
    assert held(cloud) == expected(log)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("gone.log", 3, "no such file"),
        ("none/gone.log", 3, "name the log file as FILE"),
        ("empty.log", 0, "nothing to send"),
    ],
)
def test_a_file_that_is_not_there_or_empty(here, name, code, said):
    (here.folder / "empty.log").touch()
    ran = upload(here, name)
    assert ran.code == code
    assert said in ran.out + ran.err
    assert "--log" not in ran.err


def test_a_file_that_vanishes_on_the_way_keeps_what_was_sent(cloud, here):
    log = write(here, 500)
    whole = expected(log)
    with here.start("collect", "upload", "app.log", "b.log", "--yes", "--timezone", "UTC") as process:
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, sum(held(cloud).values())) == (3, 0)
    assert "b.log: no such file" in said
    assert upload(here, "app.log").code == 0
    log.unlink()
    assert upload(here, "app.log").code == 3
    assert held(cloud) == whole


def test_without_the_index_of_the_batch_tag_nothing_is_sent(cloud, here):
    write(here, 100)
    del cloud.projects["app"].logstores["calls"].index["keys"]["__tag__:llmops_batch"]
    ran = upload(here, "app.log")
    assert ran.code == 3
    assert "collect init completes the index" in ran.err
    assert not held(cloud)


def test_what_was_sent_stands_in_a_private_file(here):
    write(here, 100)
    upload(here, "app.log")
    folder = here.folder / ".local/state/llmops/uploads"
    (state,) = folder.glob("*.json")
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    state_text = state.read_text()
    assert not [word for word in (SECRET, KEY_ID, "qwen", "traceId", str(here.folder)) if word in state_text]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"logs": -1, "digest": "", "doubt": null}', "\udcff"])
def test_a_damaged_state_stops_before_anything_is_sent(cloud, here, content):
    log = write(here, 100)
    upload(here, "app.log")
    (state,) = (here.folder / ".local/state/llmops/uploads").glob("*.json")
    state.write_text(content, errors="surrogateescape")
    for words in (("--yes",), ("--dry-run",)):
        ran = here.run("collect", "upload", "app.log", *words, "--timezone", "UTC")
        assert (ran.code, ran.out) == (3, "")
        assert "cannot be read" in ran.err
    assert held(cloud) == expected(log)


def test_a_full_disk_stops_before_anything_is_sent(cloud, here):
    write(here, 100)
    words = f"ulimit -f 0; exec {sys.executable} -m llmops_cli collect upload app.log --yes"
    ran = subprocess.run(
        ["bash", "-c", words],
        cwd=here.folder,
        env=here.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 3
    assert "free room" in ran.stderr
    assert not held(cloud)


def test_a_hundred_thousand_lines_survive_ten_kills(cloud, here):
    log = write(here, 100_000)
    whole, chance = expected(log), random.Random(7)
    cloud.lag = 0.2
    words = ("collect", "upload", "app.log", "--yes", "--batch", "1000", "--settle", "1", "--timezone", "UTC")
    for kill in range(10):
        with here.start(*words) as process:
            if kill % 5:
                wait_for(cloud, len(cloud.asked(PUT)) + chance.randint(1, 3))
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
            process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    assert 0 < sum(held(cloud).values()) < sum(whole.values())
    assert here.run(*words).code == 0
    assert held(cloud) == whole


def wait_for(cloud, requests):
    """Wait until so many batches were sent in all."""
    end = time.monotonic() + 60
    while len(cloud.asked(PUT)) < requests:
        assert time.monotonic() < end
        time.sleep(0.005)
