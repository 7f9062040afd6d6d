"""What a careless shell does to a process: closed streams, signals, odd words."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from tests.hostile.logs import command, environment, good, write


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


def test_a_closed_stdin_is_one_clear_line(llmops, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    ran = llmops("status", "--log", "-")
    assert ran.code == 3
    assert "internal error" not in ran.err


@pytest.mark.xfail(strict=True, reason="what --out names is printed as it is")
def test_demo_prints_no_control_character(llmops, tmp_path):
    ran = llmops("demo", "--no-walk", "--calls", "1000", "--out", tmp_path / "x\x1b[31m.log")
    assert ran.code == 0
    assert "\x1b" not in ran.out


@pytest.mark.xfail(strict=True, reason="a -- that is an option's value is taken for the end of the options")
def test_the_envelope_survives_two_dashes_as_a_value(llmops):
    ran = llmops("status", "--since", "--", "-o", "json")
    assert ran.code == 2
    assert ran.json()["errors"][0]["code"] == "bad_duration"


@pytest.mark.xfail(strict=True, reason="OSError: file name too long")
def test_a_configuration_name_beyond_the_system_is_one_clear_line(llmops):
    ran = llmops("status", "--config", "x" * 5000)
    assert ran.code == 2
    assert "internal error" not in ran.err


@pytest.mark.xfail(strict=True, reason="ValueError: Python reads integers of 4300 digits at most")
def test_a_configuration_with_an_endless_number_is_one_clear_line(llmops, tmp_path):
    path = tmp_path / "llmops.toml"
    path.write_text("x = " + "9" * 5000, encoding="utf-8")
    ran = llmops("config", "show", "--config", path)
    assert ran.code == 2
    assert "internal error" not in ran.err


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
