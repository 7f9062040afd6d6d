"""The exit-code table row by row; bad input is one clear line and a hint, and the envelope stays whole."""

import os
import socket
import time
from pathlib import Path

import pytest

from .contract import check
from .logs import MINUTE, NOON_MS, call, event, quiet, write


@pytest.fixture
def here(monkeypatch, tmp_path):
    """An empty directory without a configuration; logs that end now are written here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ends_now(path, *, failing=False, per_minute=40):
    """A log whose last minutes are now: calls that succeed, of late half of them refused if `failing`."""
    now = time.time_ns() // 1_000_000
    start = now - 40 * MINUTE
    lines = []
    for n in range(40 * per_minute):
        ms = start + n * MINUTE // per_minute
        bad = failing and now - ms < 10 * MINUTE and n % 2
        refused = {"status": 429, "code": "Throttling.RateQuota", "message": "Requests rate limit exceeded"}
        lines.append(call(ms, duration=800 + n % 7 * 20, **(refused if bad else {})))
    return write(path, lines)


def asked(llmops, *words, log, code, checked):
    """Ask plainly and under --check, and as JSON; return the plain answer."""
    plain = llmops(*words, "--log", log, "--timezone", "+08:00")
    assert plain.code == code
    assert llmops(*words, "--log", log, "--timezone", "+08:00", "--check").code == checked
    line = llmops(*words, "--log", log, "--timezone", "+08:00", "--check", "-o", "nagios")
    assert line.code == checked
    assert len(line.out.splitlines()) == 1
    assert line.out.startswith("LLMOPS " + ("OK", "WARNING", "CRITICAL", "UNKNOWN")[checked])
    ran = llmops(*words, "--log", log, "--timezone", "+08:00", "-o", "json")
    assert ran.code == code
    check(ran.json(), words[0])
    return plain


def test_healthy_calls_are_ok(llmops, here):
    ran = asked(llmops, "status", log=ends_now(here / "app.log"), code=0, checked=0)
    assert ran.out.startswith("OK  ")


def test_a_limit_reached_is_critical_and_answered(llmops, here):
    ran = asked(llmops, "status", log=ends_now(here / "app.log", failing=True), code=0, checked=2)
    assert ran.out.startswith("CRITICAL  ")
    assert llmops("status", "--log", "app.log", "--timezone", "+08:00", "--check", "-o", "json").code == 2


def test_no_call_in_the_window_is_an_answer(llmops, here):
    now = time.time_ns() // 1_000_000
    lines = [event(now - n * 30_000, "still alive") for n in range(60, 0, -1)]
    ran = asked(llmops, "status", log=write(here / "app.log", lines), code=0, checked=3)
    assert "no model call" in ran.out


def test_calls_that_stopped_while_the_log_goes_on_are_no_data(llmops, here):
    now = time.time_ns() // 1_000_000
    lines = quiet(now - 60 * MINUTE, 40, per_minute=30) + [event(now - n * 30_000, "alive") for n in range(39, 0, -1)]
    data = llmops("status", "--log", write(here / "app.log", lines), "--timezone", "+08:00", "-o", "json").json()[
        "data"
    ]
    assert [one["type"] for one in data["incidents"]] == ["no_data"]
    assert data["verdict"] in {"critical", "unknown"}


def test_a_filter_that_matches_nothing_is_an_answer_with_a_hint(llmops, here):
    log = ends_now(here / "app.log")
    for verb, output in (("status", "table"), ("drill", "json"), ("quota", "markdown"), ("recover", "json")):
        ran = llmops(verb, "--log", log, "--timezone", "+08:00", "--model", "qwen-plsu", "-o", output)
        assert ran.code == 0
        assert ran.err.startswith("hint: no call matches the filters: ")
        assert "did you mean qwen-plus?" in ran.err
    assert llmops("status", "--log", log, "--timezone", "+08:00", "--model", "qwen-plsu", "--check").code == 3


def test_an_id_that_is_not_found_is_an_answer_with_a_hint(llmops, here):
    ran = llmops("trace", "no-such-trace", "--log", ends_now(here / "app.log"))
    assert ran.code == 0
    assert "no line of trace no-such-trace" in ran.out
    assert "--since" in ran.out
    assert "--log" in ran.out


def test_partial_data_is_unknown_unless_critical_already(llmops, here):
    ends_now(here / "app.log")
    (here / "app.log.1").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    words = ("status", "--log", ".", "--timezone", "+08:00")
    ran = llmops(*words, "-o", "json")
    assert ran.code == 0
    assert ran.json()["partial"]
    assert "app.log.1" in ran.json()["sources"][0]["detail"]
    assert ran.json()["data"]["verdict"] == "ok"
    assert llmops(*words, "--check").code == 3
    assert "LLMOPS UNKNOWN" in llmops(*words, "--check", "-o", "nagios").out
    ends_now(here / "app.log", failing=True)
    assert llmops(*words, "--check").code == 2
    assert "LLMOPS CRITICAL" in llmops(*words, "--check", "-o", "nagios").out


BAD = [
    (["status", "--log", "no.log"], 3, "no.log: no such file", "app.log"),
    (["status", "--log", "no/where/app.log"], 3, "no such file", "does not exist"),
    (["status", "--log", "app.log/inner.log"], 3, "app.log/inner.log", "--log PATH"),
    (["status", "--log", "empty-directory"], 3, "holds no *.log* file", "--log PATH"),
    (["status", "--log", "*.nothing"], 3, "no file matches", "quote it"),
    (["status", "--log", "socket.log"], 3, "not a regular file", "--log PATH"),
    (["status", "--log", "binary.log"], 3, "binary data, not a text log", ".gz or .zst"),
    (["status", "--log", "picture.log"], 3, "an image", ".gz or .zst"),
    (["status", "--log", "app.log", "--pattern", "%d{"], 2, "--pattern", "logback.xml"),
    (["status", "--log", "app.log", "--pattern", "%nonsense"], 2, "nonsense", "logback.xml"),
    (["status", "--log", "app.log", "--timezone", "Asia/Shangai"], 2, 'no time zone "Asia/Shangai"', "Asia/Shanghai"),
    (["status", "--log", "app.log", "--from", "2025-07-09T15:00", "--to", "2025-07-09T14:00"], 2, "before", "swap"),
    (["status", "--log", "app.log", "--from", "yesterday"], 2, '"yesterday" is not a time', "ISO 8601"),
    (["status", "--log", "app.log", "--since", "0s"], 2, "empty", "1s"),
    (["status", "--log", "app.log", "--encoding", "utf-9"], 2, "not a text encoding", "gbk"),
    (["status", "--log", "app.log", "--config", "typo.toml"], 2, "loggs", 'did you mean "log"'),
    (["status", "--log", "app.log", "--config", "broken.toml"], 2, "broken.toml", ""),
    (["status", "--profile", "prdo", "--config", "good.toml"], 2, '"prdo"', 'did you mean "prod"'),
    (["status"], 2, "no log to read", "--log PATH"),
    (["status", "--log", "app.log", "--sicne", "1h"], 2, "--sicne", "--since"),
    (["statsu"], 2, "statsu", "did you mean status?"),
    (["drill", "--log", "app.log", "--by", "nonsense"], 2, '"nonsense" is not a dimension', "workspace"),
    (["drill", "--log", "app.log", "--by", "modl"], 2, "not a dimension", "did you mean model?"),
    (["trace", "abc", "--log", "app.log"], 2, "fewer than 8 characters", "trace id"),
    (["trace", "--log", "app.log"], 2, "TRACE_ID", "llmops trace --help"),
    (["recover", "--runbook", "rate_limit"], 2, "no runbook", "rate_limit_requests"),
    (["recover", "quota", "--log", "app.log"], 2, "quota", "not in this version"),
    (["recover", "--log", "app.log", "throttle"], 2, "--log stands before throttle", "llmops recover throttle --log"),
    (["recover", "throttle", "--log", "app.log", "--app", "shop"], 2, "share", "--workspace"),
    (["recover", "throttle", "--log", "app.log", "--model", "a", "--model", "b"], 2, "several", "--model"),
    (["recover", "throttle", "--log", "app.log", "--headroom", "2"], 2, "headroom", "--help"),
    (["recover", "verify", "--log", "-"], 3, "cannot be watched", "--log PATH"),
    (["recover", "verify", "--log", "no.log"], 3, "no such file", ""),
    (["status", "--log", "-", "--watch", "5"], 2, "cannot be watched", "--log PATH"),
    (["status", "--log", "app.log", "--watch", "0.1"], 2, "--watch", "--watch 10"),
]


@pytest.fixture
def bad_things(here):
    ends_now(here / "app.log", per_minute=2)
    (here / "empty-directory").mkdir()
    (here / "binary.log").write_bytes(bytes(range(48)) * 100)
    (here / "picture.log").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    (here / "typo.toml").write_text('[profiles.prod]\nloggs = ["app.log"]\n')
    (here / "broken.toml").write_text("[profiles.prod\n")
    (here / "good.toml").write_text('[profiles.prod]\nlog = ["app.log"]\n')
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("socket.log")
    return here


@pytest.mark.usefixtures("bad_things")
@pytest.mark.parametrize(("words", "code", "said", "hint"), BAD, ids=[" ".join(bad[0]) for bad in BAD])
def test_bad_input_is_one_line_and_a_hint(llmops, words, code, said, hint):
    ran = llmops(*words)
    assert ran.code == code
    assert ran.out == ""
    first, *rest = ran.err.splitlines()
    assert first.startswith("error: ")
    assert said in first
    assert len(rest) <= 1
    assert hint in "".join(rest)
    ran = llmops(*words, "-o", "json")
    assert ran.code == code
    envelope = ran.json()
    command = envelope["command"]
    assert words[: len(command.split())] == command.split() or command == "recover throttle"
    assert envelope["data"] is None
    assert said in envelope["errors"][0]["message"]
    if command:
        check(envelope, command)
    if words[0] in {"status", "quota"}:
        assert llmops(*words, "--check").code == 3


def test_an_unreadable_directory_is_said(llmops, here):
    """A path through a file, a name that is too long, a loop of links: whoever asks, root too."""
    (here / "loop.log").symlink_to("loop.log")
    for path in ("x" * 300 + ".log", "loop.log"):
        ran = llmops("status", "--log", path)
        assert ran.code == 3
        assert ran.err.startswith("error: ")
        assert "Traceback" not in ran.err


def test_an_empty_file_is_no_data_and_never_healthy(llmops, here):
    Path("app.log").touch()
    for verb in ("status", "drill", "quota", "recover"):
        ran = llmops(verb, "--log", "app.log", "-o", "json")
        assert ran.code == 0
        check(ran.json(), verb)
    assert llmops("status", "--log", "app.log", "-o", "json").json()["data"]["verdict"] == "unknown"
    assert llmops("status", "--log", "app.log", "--check").code == 3
    assert llmops("status", "--log", "app.log", "--check", "--allow-stale").code == 3


def test_a_log_of_another_format_says_so(llmops, here):
    write(here / "app.log", [f"2025-07-09T12:00:0{n}Z some other program" for n in range(9)])
    ran = llmops("status", "--log", "app.log", "-o", "json")
    assert ran.code == 0
    assert ran.json()["partial"]
    assert "header" in ran.json()["sources"][0]["detail"]
    assert "header" in llmops("status", "--log", "app.log").out


def test_a_word_of_the_shell_that_is_no_utf_8_is_no_traceback(llmops, here):
    write(here / "app.log", quiet(NOON_MS, 1))
    ran = llmops("status", "--log", "app.log", "--model", os.fsdecode(b"qwen-\xff"))
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert "not UTF-8" in ran.err
