"""The command line as a whole: the overview, errors in every shape, exit codes, completion."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from llmops_cli import app
from llmops_cli.commands import options
from llmops_cli.commands.question import Question, asks, exit_code
from llmops_cli.errors import LlmopsError, SourceError
from llmops_cli.evidence import Message, Span, Window
from llmops_cli.report import Check, Report, Scorecard, VerifyData

ENVELOPE = ["schema_version", "command", "generated_at", "window", "sources", "partial", "errors", "data"]


@pytest.fixture
def verb(monkeypatch, tmp_path):
    """Put a verb of our own in the place of `status`, where no configuration is; it does what the test says."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("fake_status")
    module.app = typer.Typer()
    seen = types.SimpleNamespace(question=None, does=lambda: 0)

    @module.app.command()
    @asks(check=True)
    def status(question: Question, by: options.By = None) -> int:
        """Do what the test says.

        llmops status --log app.log
        """
        seen.question = question
        return seen.does()

    monkeypatch.setitem(sys.modules, "fake_status", module)
    monkeypatch.setitem(app.VERBS, "status", app.Verb("fake_status", "Fake."))
    return seen


def raises(error):
    def do():
        raise error

    return do


def verb_commands():
    """Every verb and verb of a verb, loaded, with the words that call it."""
    for name in app.VERBS:
        command = app.load(name)
        yield name, command
        for sub, subcommand in getattr(command, "commands", {}).items():
            yield f"{name} {sub}", subcommand


def python(code, *args, **environ):
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


def test_the_overview_lists_every_verb_and_loads_none_of_them():
    code = "import sys; from llmops_cli.app import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    ran = python(code, COLUMNS="80")
    for name, verb in app.VERBS.items():
        assert f" {name} " in ran.stdout
        assert verb.help in ran.stdout
    loaded = set(ran.stderr.split())
    heavy = {"duckdb", "httpx", "pydantic", "jinja2", "platformdirs", "llmops_cli.report", "llmops_cli.views"}
    assert not loaded & heavy
    assert not {name for name in loaded if name.startswith(("llmops_cli.commands", "alibabacloud", "aliyun"))}


@pytest.mark.parametrize("name", list(app.VERBS))
def test_help_of_a_verb_opens_with_two_examples_and_loads_no_engine(name):
    code = f"import sys; from llmops_cli.app import run; run(['{name}', '-h']); print(*sys.modules, file=sys.stderr)"
    ran = python(code, COLUMNS="80", TERMINAL_WIDTH="80")
    lines = [line.strip() for line in ran.stdout.splitlines() if line.strip()]
    assert lines[0].startswith(f"Usage: llmops {name}")
    first_box = next(number for number, line in enumerate(lines) if line.startswith("╭"))
    assert len([line for line in lines[1:first_box] if line.startswith(f"llmops {name}")]) >= 2
    assert not set(ran.stderr.split()) & {"duckdb", "httpx"}


def test_every_example_fits_80_columns_and_parses():
    for words, command in verb_commands():
        examples = [line.strip() for line in (command.help or "").splitlines() if line.strip().startswith("llmops ")]
        assert len(examples) >= 2, words
        for example in examples:
            assert len(example) <= 78, example
            args = shlex.split(example)[1:]
            assert args[: len(words.split())] == words.split(), example
            parses(args)


def parses(args):
    """Parse a command line without running it; raises what the command line would."""
    command = app.load(args[0])
    rest = args[1:]
    context = command.make_context(args[0], rest)
    if rest and getattr(command, "commands", {}).get(rest[0]):
        subcommand = command.commands[rest[0]]
        subcommand.make_context(rest[0], rest[1:], parent=context)


def test_version(llmops):
    ran = llmops("--version")
    assert ran.code == 0
    assert ran.out.startswith("llmops 0.")


def test_no_verb_shows_the_overview_and_is_a_usage_error(llmops):
    ran = llmops()
    assert ran.code == 2
    assert "Usage: llmops" in ran.out


@pytest.mark.parametrize(
    ("args", "said", "hint"),
    [
        (["statsu"], "no such command 'statsu'", "did you mean status?"),
        (["status", "--sicne", "1h"], "no such option: --sicne", "did you mean --since?"),
        (["status", "--zzz"], "no such option: --zzz", "llmops status --help"),
        (["status", "more"], "unexpected extra argument", "llmops status --help"),
        (["status", "--log"], "requires an argument", "llmops status --help"),
        (["status", "-o", "yaml"], "'yaml' is not one of", "llmops status --help"),
        (["status", "--baseline", "2d"], "'2d' is not one of", "llmops status --help"),
        (["status", "--since", "abc"], '"abc" is not a duration', "1h30m"),
        (["status", "--timezone", "Asia/Shangai"], "there is no time zone", "Asia/Shanghai"),
        (["status", "--encoding", "utf-9"], "not a text encoding", "gbk"),
        (["status", "--by", "modl"], "not a dimension", "did you mean model?"),
        (["status", "--encoding", "base64"], "not a text encoding", "gbk"),
        (["status", "--encoding", "utf-7"], "not an encoding of logs", "gbk"),
        (["status", "--encoding", "iso2022_jp"], "not an encoding of logs", "utf-16"),
        (["status", "--log", ""], "empty value", "unset"),
        (["status", "--log", "x", "--from", "now", "--to", "now-1h"], "before it begins", "swap"),
        (["status"], "no log to read", "--log PATH"),
        (["status", "--log", "x", "--config", "none.toml"], "there is no file", "config init"),
        (["status", "--log", "x", "--profile", "prod"], 'no profile "prod"', "config init"),
    ],
)
def test_a_wrong_command_line_is_one_line_a_hint_and_exit_2(llmops, verb, args, said, hint):
    ran = llmops(*args)
    assert ran.code == 2
    assert ran.out == ""
    error, second = ran.err.splitlines()
    assert error.startswith("error: ")
    assert said in error
    assert second.startswith("hint: ")
    assert hint in second
    for asked in (["-o", "json"], ["--output=json"], ["-ojson"], ["--output", "json"]):
        if "-o" in args:
            continue  # the last one wins
        ran = llmops(*args[:1], *asked, *args[1:])
        assert ran.code == 2
        assert list(ran.json()) == ENVELOPE
        assert ran.json()["data"] is None
        assert said in ran.json()["errors"][0]["message"]
    assert llmops(args[0], "--check", *args[1:]).code == 3


def test_nagios_output_wants_a_check(llmops, verb):
    ran = llmops("status", "--log", "x", "-o", "nagios")
    assert ran.code == 2
    assert "UNKNOWN" in ran.out
    assert "--check" in ran.err
    assert llmops("config", "show", "-o", "nagios").code == 2


def test_an_error_under_nagios_is_one_line_unknown(llmops, verb):
    verb.does = raises(SourceError("unreadable", "cannot read app.log: permission denied", "check its owner"))
    ran = llmops("status", "--log", "x", "--check", "-o", "nagios")
    assert ran.code == 3
    assert len(ran.out.splitlines()) == 1
    assert "UNKNOWN" in ran.out
    assert "permission denied" in ran.out


def test_a_deep_error_keeps_its_code_and_its_request_id(llmops, verb):
    verb.does = raises(LlmopsError("throttled", "slow down", "wait", retryable=True, request_id="0A1B", exit_code=3))
    ran = llmops("status", "--log", "x", "-o", "json")
    assert ran.code == 3
    assert ran.json()["command"] == "status"
    assert ran.json()["errors"] == [
        {"code": "throttled", "message": "slow down", "hint": "wait", "retryable": True, "request_id": "0A1B"}
    ]


def test_an_unexpected_exception_is_one_line_without_secrets(llmops, verb, monkeypatch):
    verb.does = raises(ValueError("api_key=hunter2hunter2\nsecond line"))
    ran = llmops("status", "--log", "x", "-o", "json")
    assert ran.code == 3
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("error: internal error: ValueError")
    assert "LLMOPS_DEBUG=1" in ran.err
    assert ran.json()["errors"][0]["code"] == "internal"
    monkeypatch.setenv("LLMOPS_DEBUG", "1")
    debugged = llmops("status", "--log", "x")
    assert "Traceback" in debugged.err
    assert "hunter2" not in ran.out + ran.err + debugged.err


@pytest.mark.parametrize("error", [MemoryError(), type("OutOfMemoryException", (Exception,), {})("DuckDB's own")])
def test_too_little_memory_is_said_with_what_helps(llmops, verb, error):
    verb.does = raises(error)
    ran = llmops("status", "--log", "x", "-o", "json")
    assert (ran.code, ran.json()["errors"][0]["code"]) == (3, "no_memory")
    assert "--since" in ran.err


def test_ctrl_c_is_130_and_one_line(llmops, verb):
    verb.does = raises(KeyboardInterrupt())
    ran = llmops("status", "--log", "x", "--check", "-o", "json")
    assert (ran.code, ran.err) == (130, "error: interrupted\n")
    assert ran.json()["errors"][0]["code"] == "interrupted"


def test_what_a_verb_returns_is_the_exit_code(llmops, verb):
    verb.does = lambda: 2
    assert llmops("status", "--log", "x").code == 2


def test_options_reach_the_verb_as_one_question(llmops, verb):
    llmops(
        *["status", "--log", "a", "--log", "b", "--app", "x", "--app", "y", "--model", "m", "--error-code", "e"],
        *["--from", "2025-07-09T14:00", "--to", "2025-07-09T15:00", "--timezone", "+08:00", "--check", "-o", "json"],
    )
    question = verb.question
    assert question.logs == ("a", "b")
    assert question.filters.app == ("x", "y")
    assert (question.filters.model, question.filters.error_code) == (("m",), ("e",))
    assert (question.output, question.check, question.allow_stale, question.windowed) == ("json", True, False, True)
    assert question.window().span == Span(1_752_040_800_000, 1_752_044_400_000)
    assert question.generated_at.utcoffset().total_seconds() == 8 * 3600
    assert question.again().now_ms >= question.now_ms


def test_a_closed_pipe_is_quiet():
    code = "import sys; from llmops_cli.app import main; main(['config', 'show', '-o', 'json'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_a_full_disk_is_one_line():
    code = "from llmops_cli.app import main; main(['config', 'show', '-o', 'json'])"
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 3
    assert "no space left" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_python_m_is_the_same_program():
    ran = subprocess.run([sys.executable, "-m", "llmops_cli", "--version"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert ran.stdout.startswith("llmops ")


def complete(words, number):
    """Ask for completions as bash does."""
    environ = {"_LLMOPS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    code = "import sys; from llmops_cli.app import run; run([]); print(*sys.modules, file=sys.stderr)"
    ran = python(code, **environ)
    return ran.stdout.split(), set(ran.stderr.split())


def test_verbs_complete_without_loading_any():
    found, loaded = complete("llmops ", 1)
    assert found == list(app.VERBS)
    assert "duckdb" not in loaded
    assert not {name for name in loaded if name.startswith("llmops_cli.commands")}
    assert complete("llmops st", 1)[0] == ["status"]


def test_options_complete_without_the_engine():
    found, loaded = complete("llmops config show --pro", 3)
    assert found == ["--profile"]
    assert "duckdb" not in loaded


def test_completion_scripts_are_shown(llmops):
    ran = python(
        "from llmops_cli.app import main; main(['--show-completion', 'bash'])",
        _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1",
    )
    assert ran.returncode == 0
    assert "_LLMOPS_COMPLETE" in ran.stdout


class Verdict:
    """The part of any answer that decides an exit code."""

    def __init__(self, verdict, said="headline.anchored", incidents=()):
        self.verdict, self.headline, self.incidents = verdict, Message(said), incidents


def answer(data, *, anchored=False, partial=False):
    window = Window(Span(0, 1), None, UTC, anchored=anchored)
    return Report("status", datetime.now(UTC), window=window, partial=partial, data=data)


@pytest.mark.parametrize(("verdict", "code"), [("ok", 0), ("warning", 1), ("critical", 2), ("unknown", 3)])
def test_a_check_exits_by_its_verdict_and_nothing_else_does(verdict, code):
    assert exit_code(answer(Verdict(verdict)), check=True) == code
    assert exit_code(answer(Verdict(verdict)), check=False) == 0


@pytest.mark.parametrize(("verdict", "code"), [("ok", 3), ("warning", 3), ("critical", 2), ("unknown", 3)])
def test_partial_data_is_unknown_unless_it_is_critical_already(verdict, code):
    assert exit_code(answer(Verdict(verdict), partial=True), check=True) == code


def test_a_stale_log_is_unknown_unless_allowed():
    for verdict in ("unknown", "critical"):
        assert exit_code(answer(Verdict(verdict), anchored=True), check=True) == 3
    assert exit_code(answer(Verdict("critical", incidents=(1,)), anchored=True), check=True, allow_stale=True) == 2
    assert exit_code(answer(Verdict("unknown"), anchored=True), check=True, allow_stale=True) == 0
    assert exit_code(answer(Verdict("unknown", "headline.no_calls"), anchored=True), check=True, allow_stale=True) == 3
    assert exit_code(answer(Verdict("unknown"), anchored=False), check=True, allow_stale=True) == 3


def test_verify_exits_by_what_it_saw_last():
    def code(recovered, *verdicts):
        checks = tuple(Check(datetime.now(UTC), verdict) for verdict in verdicts)
        return exit_code(answer(VerifyData(recovered, checks, None, Scorecard())), check=True)

    assert code(True, "critical", "ok", "ok", "ok") == 0
    assert code(False, "ok", "critical") == 2
    assert code(False, "critical", "ok") == 1
    assert code(False) == 3


def test_the_table_of_verbs_agrees_with_the_modules():
    for name, verb in app.VERBS.items():
        command = app.load(name)
        assert tuple(getattr(command, "commands", ())) == verb.verbs, name
        assert command.help, name
    assert get_command(app.app).commands.keys() == app.VERBS.keys()


def test_json_of_an_error_holds_no_raw_control_characters(llmops, verb):
    verb.does = raises(SourceError("bad", "cannot read \x1b[31mred\r\u202e.log"))
    ran = llmops("status", "--log", "x", "-o", "json")
    assert json.loads(ran.out)
    for text in (ran.out, ran.err):
        assert not set(text) & {"\x1b", "\r", "\u202e"}
