"""How answers leave the program: width, colour, pipes, ids, and next commands that work as printed."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from rich.cells import cell_len

from .conftest import on_a_terminal, without_colour
from .logs import NOON_MS, call, write

VERBS = (
    ("status",), ("drill",), ("drill", "--by", "model", "--by", "workspace"), ("quota",), ("recover",),
    ("recover", "throttle"),
)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_table_fits_80_columns(stories, verb):
    code, text, said = on_a_terminal(*verb, "--config", stories["rate-limit"].config)
    assert (code, said) == (0, "")
    for line in without_colour(text).splitlines():
        assert cell_len(line) <= 80 or "llmops " in line, line


def test_a_wide_terminal_shows_more(stories):
    config = stories["rate-limit"].config
    narrow, wide = (on_a_terminal("quota", "--config", config, columns=columns)[1] for columns in (80, 200))
    assert "limit from" in wide
    assert "limit from" not in narrow
    assert max(cell_len(line) for line in without_colour(wide).splitlines()) > 120


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_color_is_not_one_escape(stories, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    code, text, _ = on_a_terminal("status", "--config", stories["rate-limit"].config)
    assert code == 0
    assert "\x1b" not in text
    assert "\r" not in text


@pytest.mark.parametrize("columns", ["40", "300"])
def test_a_pipe_is_neither_coloured_nor_cut(llmops, stories, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    out = llmops("quota", "--config", stories["rate-limit"].config).out
    assert "\x1b" not in out
    assert "…" not in out
    assert "limit from" in out
    assert set(re.findall(r"llm-\w*", out)) <= set(re.findall(r",(llm-\w{16}),", stories["rate-limit"].log.read_text()))
    assert len(out.splitlines()) > 20


def test_ids_are_whole_on_the_narrowest_terminal(stories):
    text = stories["rate-limit"].log.read_text()
    trace_id, request_id = re.search(r"traceId:([0-9a-f-]{36})\].*,([0-9a-f-]{36}),429", text).groups()
    for columns in (40, 80):
        shown = on_a_terminal("trace", trace_id, "--config", stories["rate-limit"].config, columns=columns)[1]
        assert trace_id in shown
        assert request_id in shown


def test_a_reader_that_goes_away_is_no_error(stories):
    words = [sys.executable, "-m", "llmops_cli", "quota", "--config", str(stories["rate-limit"].config)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_an_ascii_terminal_gets_ascii(stories):
    ran = subprocess.run(
        [sys.executable, "-m", "llmops_cli", "status", "--config", str(stories["rate-limit"].config)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert ran.stdout.isascii()
    assert "\\u" not in ran.stdout


def commands_in(data):
    """Every command of an answer."""
    found = list(data.get("next", ()))
    for incident in data.get("incidents", ()):
        found += incident["next"]
        found += re.findall(r"llmops .*", incident["refuted_by"])
    found += [action["command"] for action in data.get("actions", ()) if action["command"]]
    return found


def test_next_commands_run_as_printed_on_the_same_log(llmops, answers, stories):
    """Asked of one log and one window, every command that follows is about that log and that window."""
    name = "two-faults"
    config = str(stories[name].config)
    commands = {}
    for verb in (("status",), ("drill",), ("quota",), ("recover",)):
        for command in commands_in(answers(name, *verb, "--since", "20m")["data"]):
            commands.setdefault(command, verb)
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "llmops"
        if "--runbook" in words:
            assert llmops(*words[1:]).code == 0
            continue
        assert words[words.index("--config") + 1] == config, command
        if words[1:3] == ["recover", "verify"]:
            assert "--since" not in words, command
            continue  # it watches; tests/commands/test_watching.py
        assert words[words.index("--since") + 1] == "20m", command
        again = llmops(*words[1:], *(() if "-o" in words else ("-o", "json")))
        assert again.code == 0, (command, again.err)
        if "-o" not in words:
            assert again.json()["window"]["seconds"] == 1200
            assert again.json()["sources"][0]["detail"].endswith(stories[name].log.name)


def test_next_commands_keep_the_source_of_the_command_line(llmops, stories, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "a b.log"
    log.symlink_to(stories["rate-limit"].log)
    words = (
        "--log",
        "a b.log",
        "--timezone",
        "Asia/Shanghai",
        "--from",
        "2025-07-09T14:10",
        "--to",
        "2025-07-09T14:30",
    )
    data = llmops("status", *words, "-o", "json").json()["data"]
    commands = [command for command in commands_in(data) if "--runbook" not in command]
    assert commands
    for command in commands:
        assert shlex.split(command)[-len(words) :] == list(words)
    text = re.search(r"traceId:([0-9a-f-]{36})\].*Throttling", log.read_text()).group(1)
    for command in llmops("trace", text, *words[:4], "-o", "json").json()["data"]["next"]:
        again = llmops(*shlex.split(command)[1:])
        assert again.code == 0
        assert again.out


def test_an_ambiguous_prefix_lists_traces_that_can_be_asked_for(llmops, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "app.log", [call(NOON_MS + n, trace=f"12345678-{n}") for n in range(3)])
    for output in ("table", "markdown"):
        out = llmops("trace", "12345678", "--log", "app.log", "--timezone", "+08:00", "-o", output).out
        commands = re.findall(r"llmops trace .*", out)
        assert len(commands) == 3
        for command in commands:
            assert llmops(*shlex.split(command)[1:], "-o", "json").json()["data"]["found"]
    data = llmops("trace", "12345678", "--log", "app.log", "--timezone", "+08:00", "-o", "json").json()["data"]
    assert (data["found"], data["matches"]) == (False, ["12345678-0", "12345678-1", "12345678-2"])


def test_a_request_id_leads_to_its_trace(llmops, answers, stories):
    log = stories["rate-limit"].log.read_text()
    trace_id, request_id = re.search(r"traceId:([0-9a-f-]{36})\].*,([0-9a-f-]{36}),429", log).groups()
    data = answers("rate-limit", "trace", request_id)["data"]
    assert (data["found"], data["trace_id"]) == (True, trace_id)
    assert answers("rate-limit", "trace", trace_id[:12])["data"]["trace_id"] == trace_id
