"""The README is executed: its commands parse, its walk prints what it shows, its configuration loads.

`LLMOPS_UPDATE_README=1 pytest tests/test_readme.py` writes what the commands of the walk print now into README.md. A
line that holds `…` alone leaves something out: what stands before and behind it, by its nearest lines, stays.
"""

import difflib
import io
import json
import os
import re
import shlex
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.main import get_command

from llmops_cli import app
from llmops_cli.calls.events import read_events
from llmops_cli.calls.pattern import STANDARD_PATTERN, compile_pattern
from llmops_cli.config import load, schema
from llmops_cli.evidence import Thresholds
from llmops_cli.knowledge.errors import entries
from llmops_cli.knowledge.runbooks import runbook_names
from tests.cloud import SlsCloud
from tests.cloud.asking import KEY_ID, REGION, SECRET, desk
from tests.cloud.filled import index, logs

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
UPDATE = bool(os.environ.get("LLMOPS_UPDATE_README"))
HOME = "/home/you/oncall"
"""The folder in which the README's reader works."""
LEFT_OUT = "…"
ROOT_OPTIONS = {word for param in get_command(app.app).params for word in param.opts} | {"--help", "-h"}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@dataclass
class Step:
    """One command of the walk and the lines shown below it."""

    command: str
    shown: list[str]


def steps(block):
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(line.removeprefix("$ "), []))
        else:
            found[-1].shown.append(line)
    return found


def verbs():
    for name in app.VERBS:
        command = app.load(name)
        yield command
        yield from getattr(command, "commands", {}).values()


def parse(args):
    """Parse a command line without running it; raises what the command line would."""
    assert args, "llmops alone"
    if args[0].startswith("-"):
        assert set(args) <= ROOT_OPTIONS, args
        return
    assert args[0] in app.VERBS, args
    command, rest = app.load(args[0]), [word for word in args[1:] if word not in {"--help", "-h"}]
    context = command.make_context(args[0], list(rest), resilient_parsing=rest != args[1:])
    if rest and (sub := getattr(command, "commands", {}).get(rest[0])):
        sub.make_context(rest[0], rest[1:], parent=context)


def simple_commands(line):
    """Split a line of shell into the words of its commands: at pipes, lists, redirections and substitutions."""
    words = [[]]
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set("|&;()<>"):
            words.append([])
        else:
            words[-1].append(word)
    for command in words:
        if command and command[0].rpartition("=")[2].rpartition("/")[2] == "llmops":
            yield command[1:]


def commands_in(text):
    """Every `llmops …` in a Markdown text: in blocks of shell, on the console, and between backticks."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            found += simple_commands(line)
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        found += [shlex.split(step.command)[1:] for step in steps(block) if step.command.startswith("llmops ")]
    for inline in re.findall(r"`(llmops [^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        found.append(shlex.split(inline)[1:])
    return found


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_command_parses(name):
    found = commands_in((ROOT / name).read_text(encoding="utf-8"))
    assert name != "README.md" or len(found) > 20
    for args in found:
        parse(args)


@pytest.mark.parametrize("line", ["status --no-such", "nothing", "drill --by colour", "--no-such", "trace"])
def test_the_parser_of_this_test_refuses_what_does_not_exist(line):
    with pytest.raises((Exception, AssertionError)):
        parse(line.split())


class Terminal(io.StringIO):
    """Standard output of somebody who watches."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def walk(monkeypatch):
    """Run a command of the walk where the reader would, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        here = os.path.realpath(folder)

        def run(command):
            words = shlex.split(command)
            if words[0] == "export":
                name, _, value = words[1].partition("=")
                monkeypatch.setenv(name, value)
                return ""
            assert words[0] == "llmops", command
            screen = Terminal()
            with monkeypatch.context() as patched:
                patched.setattr(sys, "stdout", screen)
                assert app.run(words[1:]) == 0, command
            return screen.getvalue().replace(here, HOME)

        yield run
        monkeypatch.chdir(ROOT)


def settled(text):
    """Return a text without its blanks: lines break elsewhere in a longer folder. The log gets older, too."""
    return re.sub(r"logends[\d,]+[a-z]+ago", "logendsago", re.sub(r"[\s·]+", "", text))


def same(shown, printed):
    """Tell whether `printed` is what is shown, but for what is left out of it."""
    parts = [settled(part) for part in re.split(rf"^{LEFT_OUT}$", "\n".join(shown), flags=re.MULTILINE)]
    whole = settled(printed)
    if len(parts) == 1:
        return parts[0] == whole
    place = 0
    for part in parts[:-1]:
        place = whole.find(part, place) + len(part)
        if place < len(part):
            return False
    return whole.startswith(parts[0]) and whole.endswith(parts[-1])


def shortened(shown, printed):
    """Return the lines of `printed`, with as much left out as is left out of `shown`: between the same two lines."""
    lines = printed.rstrip("\n").split("\n") if printed else []
    if LEFT_OUT not in shown:
        return lines
    before = shown.index(LEFT_OUT)
    behind = len(shown) - before - 1
    last = nearest(shown[before - 1], lines, before - 1)
    first = nearest(shown[before + 1], lines, len(lines) - behind) if behind else len(lines)
    return [*lines[: last + 1], LEFT_OUT, *lines[first:]]


def nearest(line, lines, otherwise):
    """Return where the line most like `line` stands."""
    close = difflib.get_close_matches(line, lines, n=1, cutoff=0.5)
    return lines.index(close[0]) if close else otherwise


def worth_showing():
    """Return the first characters of a trace of the log at hand that was refused and then answered."""
    traces = {}
    (log,) = Path("llmops-demo").glob("*.log")
    for trace, status in re.findall(r"\[traceId:(\S+)\].* - [\w-]+,Chat,qwen-plus,[^,]*,[^,]*,(\d+),", log.read_text()):
        traces.setdefault(trace, []).append(status)
    return next(trace for trace, statuses in traces.items() if statuses == ["429", "200"])[:8]


def test_the_walk_prints_what_is_shown(walk):
    text, shown_of = TEXT, []
    for block in blocks("console"):
        fresh = []
        for step in steps(block):
            if UPDATE and step.command.startswith("llmops trace "):
                step.command = f"llmops trace {worth_showing()}"
            printed = walk(step.command)
            assert "no line of trace" not in printed
            for suggested in re.findall(r"^(?: *[a-z]+)? {2,}(llmops .+)$", printed, re.MULTILINE):
                parse(shlex.split(suggested)[1:])
            fresh += [f"$ {step.command}", *shortened(step.shown, printed)]
            shown_of.append((step, printed))
        text = text.replace(block, "\n".join(fresh) + "\n")
    if UPDATE:
        README.write_text(text, encoding="utf-8")
        return
    assert len(shown_of) >= 8
    for step, printed in shown_of:
        now = shortened(step.shown, printed)
        changes = difflib.unified_diff(step.shown, now, "README.md", "printed", lineterm="", n=1)
        assert same(step.shown, printed), "\n".join([f"$ {step.command}", *changes])


def test_every_verb_and_every_option_is_named():
    for command in verbs():
        assert re.search(rf"`[^`]*\b{command.name}\b", TEXT), command.name
        for param in command.params:
            longest = max(param.opts, key=len)
            if longest.startswith("--") and longest != "--help":
                words = "|".join(map(re.escape, [longest, *param.secondary_opts]))
                assert re.search(rf"(?:{words})\b", TEXT), f"{command.name} {longest}"


def keys(model, prefix=""):
    """Every key of a table of the configuration, as it is written."""
    for name, field in model.model_fields.items():
        inner = [
            part
            for part in re.findall(r"schema\.(\w+)", str(field.annotation))
            if hasattr(getattr(schema, part), "model_fields")
        ]
        yield name
        for part in inner:
            yield from keys(getattr(schema, part), f"{prefix}{name}.")


def test_the_configuration_is_complete_and_loads(tmp_path):
    (block,) = blocks("toml")
    path = tmp_path / "llmops.toml"
    path.write_text(block, encoding="utf-8")
    for profile in tomllib.loads(block)["profiles"]:
        load(config_file=str(path), profile=profile, environ={}, cwd=tmp_path)
    settings = load(config_file=str(path), environ={}, cwd=tmp_path)
    assert settings.thresholds == Thresholds()
    assert settings.pattern == STANDARD_PATTERN
    written = set(keys(schema.File))
    assert {"limits", "rpm", "critical", "cli_profile", "latency_ms"} <= written
    for key in written:
        assert re.search(rf"\b{key}\b", block), key


def test_the_profiles_that_commands_name_have_a_log_to_read(tmp_path):
    (block,) = blocks("toml")
    settings = tomllib.loads(block)["profiles"]["prod"]
    sls = settings["sls"]
    (tmp_path / "app.log").write_text("\n".join(blocks("log")), encoding="utf-8")
    here = desk(tmp_path)
    (tmp_path / ".aliyun").mkdir()
    key = {"mode": "AK", "access_key_id": KEY_ID, "access_key_secret": SECRET}
    named = {"name": settings["credentials"]["cli_profile"], "region_id": REGION, **key}
    (tmp_path / ".aliyun/config.json").write_text(json.dumps({"current": "none", "profiles": [named]}))
    profiles = set(re.findall(r"llmops .*--profile (\w+)", TEXT))
    assert profiles == {"prod"}
    with SlsCloud(keys={KEY_ID: SECRET}, region=REGION) as cloud:
        cloud.create(sls["project"], sls["logstore"], index=index(names=sls["fields"]))
        cloud.put(sls["project"], sls["logstore"], list(logs(tmp_path / "app.log", UTC, names=sls["fields"])))
        (tmp_path / "llmops.toml").write_text(block.replace(sls["endpoint"], cloud.endpoint), encoding="utf-8")
        window = ("--from", "2025-07-01", "--to", "2025-07-31", "--timezone", "UTC")
        ran = here.run("status", "--profile", "prod", *window, "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json()["data"]["calls"] == 2


def test_the_sample_lines_are_calls_in_the_pattern_beside_them():
    (samples,) = blocks("log")
    beside = re.search(r"^    (%d\{.*)$", TEXT, re.MULTILINE).group(1)
    for pattern in (beside, STANDARD_PATTERN):
        events = list(read_events(samples.splitlines(), compile_pattern(pattern), ZoneInfo("Asia/Shanghai")))
        assert [(event.call.status_code, event.call.error_code) for event in events if event.call] == [
            (200, ""),
            (401, "InvalidApiKey"),
        ]
        assert [event.feedback.rating for event in events if event.feedback] == ["down"]
        assert len(events) == len(samples.splitlines())


def test_the_envelope_has_the_keys_of_a_real_one(llmops, tmp_path):
    (block,) = blocks("json")
    shown = json.loads(block)
    log = tmp_path / "app.log"
    log.write_text("\n".join(blocks("log")), encoding="utf-8")
    real = llmops("status", "--log", log, "-o", "json").json()
    assert list(shown) == list(real)
    assert set(shown["window"]) <= set(real["window"])
    assert set(shown["sources"][0]) == set(real["sources"][0])
    assert set(shown["data"]) <= set(real["data"])


def test_its_numbers_are_counted():
    assert f"each of the {len(runbook_names())} types of incident" in TEXT
    (rows,) = re.findall(r"some (\d+) known errors", TEXT)
    assert int(rows) // 10 == len(entries()) // 10


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_its_links_and_make_targets_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#][^)]*)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in {
            re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.split("\n")
        }
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for named in re.findall(r"(?:`|^)make ([a-z]+(?: [a-z]+)*)", text, re.MULTILINE):
        assert set(named.split()) <= targets, named
