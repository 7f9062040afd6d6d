"""`llmops demo` as it is typed."""

from __future__ import annotations

import json
import os
import tomllib
from datetime import datetime
from pathlib import Path

import pytest

from llmops_cli.app import run
from llmops_cli.config import load

FIXED = ("--calls", "1000", "--end", "2025-07-09T14:23:24.748+08:00", "--timezone", "Asia/Shanghai")


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def demo(capsys, *args, code=0):
    assert run(["demo", *args, "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


def test_log_and_configuration_stand_side_by_side(capsys):
    data = demo(capsys, "noisy-neighbour", *FIXED)["data"]
    assert data["scenario"] == "noisy-neighbour"
    log, config = Path(data["log"]), Path(data["config"])
    assert (log, config) == (Path("llmops-demo/noisy-neighbour.log"), Path("llmops-demo/noisy-neighbour.toml"))
    lines = log.read_text(encoding="utf-8").splitlines()
    assert sum(",llm-" in line and "feedback:" not in line and " DEBUG " not in line for line in lines) == data["calls"]
    assert lines[-1] < "2025-07-09 14:23:24.748"
    assert data["truth"] == [
        {"type": "rate_limit_requests", "scope": {"model": "qwen-plus"}, "started_at": "2025-07-09T14:11:24.748+08:00"}
    ]
    assert sorted(Path("llmops-demo").iterdir()) == [log, config]


def test_the_configuration_loads_and_holds_log_zone_and_limits(capsys):
    data = demo(capsys, "two-faults", *FIXED)["data"]
    settings = load(config_file=data["config"])
    assert [Path(log).resolve() for log in settings.log] == [Path(data["log"]).resolve()]
    assert (settings.region, settings.timezone, settings.uid) == ("cn-beijing", "Asia/Shanghai", None)
    limits = {limit.model: {"rpm": limit.rpm, "tpm": limit.tpm} for limit in settings.limits}
    assert limits == data["limits"]


def test_the_same_command_writes_the_same_bytes(capsys):
    demo(capsys, "burst", *FIXED, "--out", "a.log")
    demo(capsys, "--scenario", "burst", *FIXED, "--out", "deep/er/b.log")
    assert Path("a.log").read_bytes() == Path("deep/er/b.log").read_bytes()
    demo(capsys, "burst", *FIXED, "--seed", "2", "--out", "a.log")  # its own file is replaced without asking
    assert Path("a.log").read_bytes() != Path("deep/er/b.log").read_bytes()


def test_the_command_in_the_configuration_writes_the_log_again(capsys):
    demo(capsys, "latency", *FIXED, "--age", "90s", "--out", "a.log")
    command = Path("a.toml").read_text(encoding="utf-8").splitlines()[0].partition("llmops demo latency")[2].split()
    demo(capsys, "latency", *command, "--out", "b.log")
    assert Path("a.log").read_bytes() == Path("b.log").read_bytes()


@pytest.mark.parametrize(
    ("end", "zone", "started"),
    [
        ("2025-07-09T14:23:24", "Asia/Shanghai", "2025-07-09T14:11:24.000+08:00"),
        ("2025-07-09T06:23:24Z", "Asia/Shanghai", "2025-07-09T14:11:24.000+08:00"),
        ("2025-03-30T03:05:00", "Europe/Berlin", "2025-03-30T01:53:00.000+01:00"),  # the clocks went forward at 02:00
        ("2025-10-26T03:05:00", "Europe/Berlin", "2025-10-26T02:53:00.000+01:00"),
        ("1752042204748", "UTC", "2025-07-09T06:11:24.748+00:00"),
    ],
)
def test_the_end_in_any_notation(capsys, end, zone, started):
    data = demo(capsys, "bad-key", "--calls", "1000", "--end", end, "--timezone", zone)["data"]
    assert data["truth"][0]["started_at"] == started
    last = [line for line in Path(data["log"]).read_text(encoding="utf-8").splitlines() if line[:2] == "20"][-1]
    assert abs(datetime.fromisoformat(last[:23]) - datetime.fromisoformat(started).replace(tzinfo=None)).seconds < 4400


def test_end_now_is_the_default(capsys):
    before = datetime.now().astimezone()
    data = demo(capsys, "bad-key", "--calls", "1000")["data"]
    age = before - datetime.fromisoformat(data["truth"][0]["started_at"])
    assert 11 * 60 <= age.total_seconds() <= 12 * 60


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["rate-limt"], "bad_scenario", "rate-limit"),
        (["zzz"], "bad_scenario", "healthy, rate-limit"),
        (["bad-key", "--scenario", "burst"], "bad_scenario", "one of them"),
        (["--calls", "10"], "bad_calls", "1,000"),
        (["--calls", "99999999"], "bad_calls", "1,000"),
        (["--age", "1s"], "bad_age", "1m"),
        (["--age", "soon"], "bad_duration", "15m"),
        (["--end", "yesterday"], "bad_time", "ISO 8601"),
        (["--end", "1970-06-01"], "bad_end", "1971"),
        (["--end", "9999-12-28"], "bad_end", "1971"),
        (["--timezone", "Mars/Olympus"], "bad_timezone", ""),
        (["--out", "a.toml"], "bad_out", "x.log"),
        (["--out", "a.log.gz"], "bad_out", "x.log"),
        (["--out", "-"], "bad_out", "x.log"),
    ],
)
def test_wrong_command_lines(capsys, tmp_path, args, code, says):
    answer = demo(capsys, *args, code=2)
    assert answer["data"] is None
    assert answer["errors"][0]["code"] == code
    assert says in answer["errors"][0]["hint"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("theirs", ["mine.log", "mine.toml"])
def test_a_file_of_somebody_else_is_kept(capsys, theirs):
    Path(theirs).write_text("precious\n")
    answer = demo(capsys, "bad-key", *FIXED, "--out", "mine.log", code=2)
    assert answer["errors"][0]["code"] == "file_exists"
    assert theirs in answer["errors"][0]["message"]
    assert list(Path().iterdir()) == [Path(theirs)]
    assert Path(theirs).read_text() == "precious\n"
    demo(capsys, "bad-key", *FIXED, "--out", "mine.log", "--force")
    assert "precious" not in Path(theirs).read_text(encoding="utf-8")


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_what_is_no_file_is_never_replaced(capsys, force):
    os.mkfifo("pipe.log")
    answer = demo(capsys, "bad-key", *FIXED, "--out", "pipe.log", *force, code=2)
    assert answer["errors"][0]["code"] == "file_exists"
    assert Path("pipe.log").is_fifo()


@pytest.mark.parametrize("out", ["file/x.log", "x" * 300 + ".log", "file/" + "x" * 300])
def test_a_place_that_cannot_be_written(capsys, out):
    Path("file").write_text("")
    answer = demo(capsys, "bad-key", *FIXED, "--out", out, code=3)
    assert answer["errors"][0]["code"] == "cannot_write"
    assert list(Path().iterdir()) == [Path("file")]


def test_out_may_be_a_directory_and_a_link_stays_a_link(capsys, tmp_path):
    Path("logs").mkdir()
    assert demo(capsys, "burst", *FIXED, "--out", "logs")["data"]["log"] == "logs/burst.log"
    Path("link.log").symlink_to(tmp_path / "logs" / "burst.log")
    demo(capsys, "burst", *FIXED, "--seed", "2", "--out", "link.log")
    assert Path("link.log").is_symlink()
    assert load(config_file="link.toml").log == (str(tmp_path / "link.log"),)


def test_odd_file_names_survive_the_configuration(capsys):
    name = 'odd "name" \\ ü\x7f.log'
    data = demo(capsys, "bad-key", *FIXED, "--out", name)
    config = Path(name).with_suffix(".toml")
    assert data["errors"] == []
    assert tomllib.loads(config.read_text(encoding="utf-8"))["profiles"]["demo"]["log"] == [name]


def test_without_the_walk_it_says_what_is_in_the_log(capsys):
    assert run(["demo", "moderation", *FIXED, "--no-walk"]) == 0
    out = capsys.readouterr().out
    assert "content_moderation, app shop-assistant × module Chat, since 2025-07-09T14:11:24.748+08:00" in out
    assert "$ llmops" not in out


def test_the_list_names_all_scenarios(capsys):
    assert run(["demo", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 13


@pytest.mark.parametrize(
    ("scenario", "verbs"),
    [
        ("rate-limit", ["status", "drill", "trace", "quota", "recover", "recover throttle", "recover expand"]),
        ("bad-key", ["status", "drill", "trace", "quota", "recover"]),
    ],
)
def test_the_walk_runs_every_step_and_shows_it(capsys, scenario, verbs):
    assert run(["demo", scenario, "--calls", "4000"]) == 0
    out = capsys.readouterr().out
    commands = [line for line in out.splitlines() if line.startswith("$ llmops ")]
    assert len(commands) == len(verbs)
    assert all(line.startswith(f"$ llmops {verb}") for line, verb in zip(commands, verbs, strict=True))
    assert all(line.endswith(f"--config llmops-demo/{scenario}.toml") for line in commands)
    answers = [part.partition("\n")[2].strip() for part in out.split("\n$ llmops ")[1:]]
    assert all(len(answer.splitlines()) > 3 for answer in answers)


def test_the_walk_as_markdown(capsys):
    assert run(["demo", "bad-key", "--calls", "4000", "-o", "markdown"]) == 0
    out = capsys.readouterr().out
    assert "\n## What is the usage, and is something wrong?\n\n    $ llmops status --config " in out


def test_the_walk_stops_politely_where_a_step_has_no_answer(capsys, monkeypatch):
    walked = []
    monkeypatch.setattr("llmops_cli.app.run", lambda args: walked.append(args[0]) or 3 * (args[0] == "drill"))
    assert run(["demo", "bad-key", *FIXED]) == 3
    assert walked == ["status", "drill"]
    assert "the walk ends here: llmops drill gave no answer (exit code 3)" in capsys.readouterr().err
