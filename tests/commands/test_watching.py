"""`status --watch` and `recover verify` on a log that an application writes to meanwhile."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime

import pytest

from .contract import check
from .logs import CHINA, MINUTE, call, quiet, write


class Application(threading.Thread):
    """Logs forty calls a second into a file until it is stopped; `broken` ones are refused, all or one of four."""

    def __init__(self, path, *, broken):
        super().__init__(daemon=True)
        self.path, self.broken, self.over = (
            path,
            set(range(4)) if broken is True else set(broken or ()),
            threading.Event(),
        )

    def run(self):
        refused = {"status": 500, "code": "InternalError", "message": "Internal server error"}
        with self.path.open("a") as log:
            while not self.over.wait(0.1):
                now = time.time_ns() // 1_000_000
                log.write("".join(call(now - n, **(refused if n in self.broken else {})) + "\n" for n in (3, 2, 1, 0)))
                log.flush()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def verify(llmops, log, *words, output="json"):
    return llmops("recover", "verify", "--log", log, "--timezone", "+08:00", "--interval", "1s", *words, "-o", output)


@pytest.fixture
def log(tmp_path):
    """A log in which calls began to fail ten minutes ago, and still do."""
    now = time.time_ns() // 1_000_000
    healthy = quiet(now - 40 * MINUTE, 30, per_minute=30)
    failing = quiet(
        now - 10 * MINUTE, 9, per_minute=30, status=500, code="InternalError", message="Internal server error"
    )
    return write(tmp_path / "app.log", healthy + failing)


def test_verify_sees_recovery_and_dates_it(llmops, log):
    with Application(log, broken=False):
        ran = verify(llmops, log, "--timeout", "20s")
    assert ran.code == 0
    check(ran.json(), "recover verify")
    data = ran.json()["data"]
    assert data["recovered"] is True
    assert [one["verdict"] for one in data["checks"]][-3:] == ["ok", "ok", "ok"]
    assert data["recovered_at"] == data["checks"][-3]["time"]
    assert 9 <= data["scorecard"]["recover_min"] <= 11.5


def test_verify_recovers_in_no_more_time_than_its_checks_take(llmops, tmp_path):
    now = time.time_ns() // 1_000_000
    log = write(tmp_path / "app.log", [call(now + n * 20) for n in range(-3000, 600)])
    ran = verify(llmops, log, "--timeout", "3s")
    assert (ran.code, ran.json()["data"]["recovered"]) == (0, True)


def test_verify_gives_up_while_calls_still_fail(llmops, log):
    with Application(log, broken=True):
        ran = verify(llmops, log, "--timeout", "3.3s", output="nagios")
    assert ran.code == 2
    assert ran.out.startswith("LLMOPS CRITICAL - not recovered")


@pytest.mark.parametrize("kind", ["server_error", "content_moderation", "latency"])
def test_verify_never_calls_an_incident_over_that_goes_on_in_part_of_the_calls(llmops, tmp_path, kind):
    """The checks are small: some failures of one model among the calls of all."""
    ill = {
        "server_error": {"status": 500, "code": "InternalError", "message": "Internal server error"},
        "content_moderation": {"status": 400, "code": "DataInspectionFailed", "message": "inappropriate content"},
        "latency": {"duration": 4_600},
    }[kind]
    now, lines = time.time_ns() // 1_000_000, []
    for n in range(-2400, 12):  # a call of each model every second, for 40 minutes and the time of the watch
        at = now + n * 1000
        lines += [call(at + part * 90, model="qwen-plus") for part in range(10)]
        hit = n >= -600
        lines += [
            call(at + 50 + part * 200, model="qwen-max", **(ill if hit and not part else {})) for part in range(4)
        ]
    log = write(tmp_path / "app.log", lines)
    ran = verify(llmops, log, "--timeout", "8s")
    assert ran.code in {1, 2, 3}
    assert ran.json()["data"]["recovered"] is False
    assert not any(one["verdict"] == "ok" for one in ran.json()["data"]["checks"])
    assert any("qwen-max" in (one["reason"] or "") for one in ran.json()["data"]["checks"])


def test_verify_says_that_the_log_ended(llmops, log):
    ran = verify(llmops, log, "--timeout", "4.3s", output="table")
    assert re.search(r"unknown   0 calls, 0 failed; the log has stopped: its newest line is of \S", ran.out)


@pytest.mark.parametrize("output", ["markdown", "nagios"])
def test_verify_says_why_in_every_output(llmops, log, output):
    ran = verify(llmops, log, "--timeout", "4.3s", output=output)
    assert "the log has stopped: its newest line is of " in ran.out


def test_verify_of_too_few_calls_is_unknown(llmops, tmp_path):
    now = time.time_ns() // 1_000_000
    log = write(tmp_path / "app.log", [call(now + n * 1000) for n in range(-600, 12)])
    ran = verify(llmops, log, "--timeout", "3.3s", output="table")
    assert ran.code == 3
    assert "too few calls to judge" in ran.out
    assert "--interval" in ran.out


def test_verify_on_a_pipe_is_a_line_for_each_check_and_then_the_summary(llmops, log):
    with Application(log, broken=True):
        ran = verify(llmops, log, "--timeout", "5.3s", output="table")
    assert ran.code == 2
    steps, end = ran.out.split("\n\n", 1)
    notes = [line for line in steps.splitlines() if line.startswith("note")]
    checks = steps.splitlines()[len(notes) :]
    assert notes[-1].startswith("note  one check every 1 s until 3 in a row are healthy")
    assert len(checks) >= 2
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d  critical  [\d,]+ calls, [\d,]+ failed(; .+)?", line) for line in checks)
    assert len(set(checks)) == len(checks)
    assert end.startswith("CRITICAL  not recovered yet\n")
    assert not any(line in end for line in checks)


def test_verify_needs_time_for_the_checks_that_make_a_recovery(llmops, log):
    ran = verify(llmops, log, "--timeout", "2m", "--interval", "1m", output="table")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("error: --timeout 2m is over before 3 checks of --interval 1m can be\n")


def test_verify_watches_from_now_on_whatever_window_was_asked_for(llmops, log):
    window = ("--since", "5m", "--to", "now-1m", "--baseline", "1d")
    ran = verify(llmops, log, "--timeout", "3.3s", *window, output="table")
    assert ran.err == "hint: recover verify watches from now on and ignores --since, --to, --baseline\n"


def test_verify_of_a_log_that_has_stopped_says_so_last(llmops, tmp_path):
    newest = time.time_ns() // 1_000_000 - 5 * MINUTE
    log = write(tmp_path / "app.log", [*quiet(newest - 30 * MINUTE, 30), call(newest)])
    at = datetime.fromtimestamp(newest / 1000, CHINA).strftime("%Y-%m-%d %H:%M:%S")
    ran = verify(llmops, log, "--timeout", "3s", output="table")
    assert (ran.code, ran.err) == (3, "")
    told = f"the log has stopped: its newest line is of {at}"
    assert told in ran.out.splitlines()[-1]
    assert ran.out.count(told) >= 4
    assert "too few" not in ran.out


def test_watch_repaints_on_a_terminal_until_it_is_interrupted(tmp_path):
    now = time.time_ns() // 1_000_000
    log = write(tmp_path / "app.log", quiet(now - 30 * MINUTE, 30, per_minute=10))
    words = ["status", "--log", str(log), "--timezone", "+08:00", "--watch", "1"]
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "llmops_cli", *words], stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    text = ""
    deadline = time.monotonic() + 30
    while text.count("calls ") < 4 and time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            text += os.read(master, 1 << 16).decode(errors="replace")
    process.send_signal(signal.SIGINT)
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 130
    os.close(master)
    assert said == ""
    assert re.search(r"\x1b\[\d*A", text), "it is painted over, not below"


def test_watch_on_a_pipe_is_one_answer_after_the_other(tmp_path):
    now = time.time_ns() // 1_000_000
    log = write(tmp_path / "app.log", quiet(now - 30 * MINUTE, 30, per_minute=10))
    words = ["status", "--log", str(log), "--timezone", "+08:00", "--watch", "1", "-o", "json"]
    process = subprocess.Popen([sys.executable, "-m", "llmops_cli", *words], stdout=subprocess.PIPE, text=True)
    answers, block = [], ""
    for line in process.stdout:
        block += line
        if line == "}\n":
            answers.append(json.loads(block))
            block = ""
            log.rename(log.with_suffix(".1")) if len(answers) == 1 else None
        if len(answers) == 2:
            break
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    assert process.wait() in {130, 0}
    check(answers[0], "status")
    assert answers[0]["generated_at"] < answers[1]["generated_at"]
    assert (answers[1]["data"], answers[1]["errors"][0]["code"]) == (None, "log_not_found")
