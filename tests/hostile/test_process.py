"""What a careless shell does to a process: closed streams, signals, odd words."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.hostile.logs import call, command, environment, good, write


@pytest.mark.parametrize(("args", "code"), [(["--since", "1h"], 0), (["--nope"], 2), (["--check", "--nope"], 3)])
def test_a_closed_stderr_changes_no_exit_code(tmp_path, args, code):
    log = write(tmp_path / "x.log", good(5))
    line = '"$@" 2>&-'
    ran = subprocess.run(
        ["sh", "-c", line, "sh", *command("status", "--log", log, *args)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == code


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_closed_stdout_is_no_internal_error(tmp_path, output):
    log = write(tmp_path / "x.log", good(5))
    ran = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command("status", "--log", log, "-o", output)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr
    assert "internal error" not in ran.stderr


def test_a_closed_stdin_is_one_clear_line():
    ran = subprocess.run(
        ["sh", "-c", '"$@" <&-', "sh", *command("status", "--log", "-")],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("error: standard input is closed")


def started(*args):
    """Start the command line as a terminal does: a shell's background job would ignore Ctrl-C."""
    return subprocess.Popen(
        command(*args), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread only
    )  # fmt: skip


def until(seen, process):
    """Wait for what the process does, a minute at most."""
    deadline = time.monotonic() + 60
    while not seen() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen(), "it never came to that"


@pytest.mark.parametrize("signalled", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_demo_that_is_ended_leaves_nothing_behind(tmp_path, signalled):
    with started("demo", "--calls", 20_000_000, "--no-walk", "--out", tmp_path / "x.log") as process:
        until(lambda: any(tmp_path.iterdir()), process)
        process.send_signal(signalled)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signalled
    assert (out, "Traceback" in err) == ("", False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGTERM])
def test_a_long_read_can_be_ended(tmp_path, monkeypatch, signalled):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    log = tmp_path / "x.log.gz"
    os.mkfifo(log)
    with started("status", "--log", log, "--since", "1d", "-o", "json") as process, log.open("wb") as pipe:
        pipe.write(("\n".join(good(1000)) + "\n").encode())
        pipe.flush()
        process.send_signal(signalled)
        out, err = process.communicate(timeout=60)
    if signalled == signal.SIGINT:
        assert (process.returncode, err) == (130, "error: interrupted\n")
        assert json.loads(out)["errors"][0]["code"] == "interrupted"
    else:
        assert (process.returncode, out, err) == (-signalled, "", "")
    assert list(folder.iterdir()) == []


def test_ctrl_c_while_the_engine_parses(tmp_path):
    """Should the answer come before the signal, on a machine that does odd things, then it is whole."""
    block = ("\n".join(good(3000)) + "\n").encode()
    log = tmp_path / "x.log"
    with log.open("wb") as out:
        for _ in range(200_000_000 // len(block)):
            out.write(block)
    window = ("--from", "2025-07-09T14:00", "--to", "2025-07-09T15:00", "--timezone", "UTC")
    with started("status", "--log", log, *window, "-o", "json") as process:
        fds = Path(f"/proc/{process.pid}/fd")
        if fds.exists():  # once the engine has opened the log too, besides those who hand it over
            until(lambda: opened(fds).count(str(log)) >= 3, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    if process.returncode != 0:
        assert (process.returncode, err) == (130, "error: interrupted\n")
        assert json.loads(out)["errors"][0]["code"] == "interrupted"


def opened(fds):
    """Return the files that a process has open."""
    with contextlib.suppress(OSError):
        return [str(each.readlink()) for each in fds.iterdir()]
    return []


def test_demo_prints_no_control_character(llmops, tmp_path):
    ran = llmops("demo", "--no-walk", "--calls", "1000", "--out", tmp_path / "x\x1b[31m\n.log")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert all(line.startswith(("rate-limit", "log ", "config ", "truth ")) for line in ran.out.splitlines())


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "latin-1"])
def test_json_is_json_on_a_stream_that_cannot_carry_it(tmp_path, encoding):
    log = write(tmp_path / "x.log", [call(at, status="500", code="E", message="é 中 \U0001f600") for at in range(20)])
    ran = subprocess.run(
        command("status", "--log", log, "--since", "1h", "-o", "json"),
        env={**environment(), "PYTHONIOENCODING": encoding}, capture_output=True, check=True,
    )  # fmt: skip
    assert "\U0001f600" in json.dumps(json.loads(ran.stdout.decode(encoding)), ensure_ascii=False)


@pytest.mark.parametrize("option", ["--profile", "--config", "--pattern"])
def test_a_variable_that_is_unset_answers_about_nothing_else(llmops, tmp_path, option):
    ran = llmops("status", "--log", write(tmp_path / "x.log", good(20)), option, "")
    assert ran.code == 2
    assert "empty value" in ran.err


def test_the_envelope_survives_two_dashes_as_a_value(llmops):
    ran = llmops("status", "--since", "--", "-o", "json")
    assert ran.code == 2
    assert ran.json()["errors"][0]["code"] == "bad_duration"


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 3000, "~nobody-of-that-name/x.toml"])
@pytest.mark.parametrize("verb", [("status",), ("config", "show"), ("config", "path")])
def test_a_configuration_name_beyond_the_system_is_one_clear_line(llmops, verb, name):
    ran = llmops(*verb, "--config", name, "-o", "json")
    assert ran.code == 2
    assert ran.json()["errors"][0]["code"] in {"config_unreadable", "config_missing"}
    assert len(ran.err.splitlines()) == 2
    assert len(ran.err) < 500


@pytest.mark.parametrize("key", ["x", "default_profile", "profiles.a.limits.m.rpm", "profiles.a.thresholds.min_calls"])
@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000, "1" * 400, "1e400", "9" * 4000])
def test_a_configuration_with_an_endless_number_is_one_clear_line(llmops, tmp_path, key, number):
    path = tmp_path / "llmops.toml"
    path.write_text(f"{key} = {number}\n", encoding="utf-8")
    ran = llmops("config", "show", "--config", path, "-o", "json")
    assert ran.code == 2
    assert ran.json()["errors"][0]["code"].startswith("config_")
    assert len(ran.err.splitlines()) == 2
    assert len(ran.err) < 500


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--since", value) for value in ("0m", "-5m", "99999999d", "9" * 400 + "m", "1e3m", "15", "5 minutes", "m")),
        *(
            ("--from", value)
            for value in ("now-1x", "now-", "now+", "now-0m", "now-99999999d", "2025-02-30", "1" * 400)
        ),
        *(("--to", value) for value in ("yesterday", "-1", "2025-07-09T25:00", "now+9999d", "10000-01-01")),
    ],
)
def test_an_odd_time_is_one_clear_line(llmops, tmp_path, option, value):
    ran = llmops("status", "--log", write(tmp_path / "x.log", good(5)), option, value, "-o", "json")
    assert ran.code == 2
    (error,) = ran.json()["errors"]
    assert error["code"] in {"bad_duration", "bad_time", "bad_window"}
    assert error["hint"]
    assert ran.err.startswith("error: ")
    assert len(ran.err) < 300


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "0s", "99999w", "NaN", "٣٤", "\x1b[31m", "[red]", "now+99999w", "-", "/"]
)
@pytest.mark.parametrize("option", ["--since", "--from", "--to", "--baseline", "--timezone", "--pattern", "--encoding"])
def test_no_value_of_an_option_is_an_internal_error(llmops, tmp_path, option, value):
    log = write(tmp_path / "x.log", good(5))
    with contextlib.suppress(FileNotFoundError):
        ran = llmops("status", "--log", log, option, value, "-o", "json")
        assert ran.code in {0, 2}, ran.err
        assert all(error["code"] != "internal" for error in ran.json()["errors"])
