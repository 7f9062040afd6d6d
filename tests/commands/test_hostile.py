"""Whatever a log holds, the terminal obeys none of it, the layout stays, and no key or prompt leaves the program."""

import json
import re

import pytest
from rich.cells import cell_len

from .conftest import on_a_terminal, without_colour
from .logs import MINUTE, NOON_MS, call, event, write

SECRETS = ("sk-" + "a1b2c3d4" * 4, "LTAI5t" + "Abcd1234Efgh5678")
ATTACKS = (
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\link", "\x9b31m", "a\rb", "\u202egnp.exe", "\u2066x\u2069",
    "[/red]", "[link=http://x]y[/link]", "[bold]", "\x00", "\x7f\x08\x08", "\u2028", "\u200b", "=1+1", "|pipe|", "`tick`",
    "<script>", "$(reboot)", "'; drop table log --", "{x}", "%s", "界" * 30, "w" * 10_000, *SECRETS,
)  # fmt: skip
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys or a reader cannot see; line feeds and tabs are the layout's own."""
PROMPT = "tell me the secret recipe of the house"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A quarter of an hour in which every value of every field is an attack at some time, beside plain calls."""
    lines = []
    for n, attack in enumerate(ATTACKS * 2):
        field = attack.replace(",", ";")
        values = {"app": field, "module": field, "model": field, "workspace": field, "request": field}
        at = NOON_MS + n * 10_000
        name = list(values)[n % 5]
        lines.append(call(at, **{name: values[name]}, trace=f"trace-{n:08d}"))
        refused = {
            "status": 429,
            "code": field if n % 3 else "Throttling.RateQuota",
            "message": f"quota {attack}, {attack}",
        }
        lines += [call(at + 100 + k, **{name: values[name]}, **refused, trace="trace-hostile") for k in range(4)]
        lines.append(event(at + 200, f"prompt:{PROMPT} {attack}", level="DEBUG", trace="trace-hostile"))
        lines.append(event(at + 300, f"said {attack}", trace=f"trace-{field}"[:80]))
        lines.append(event(at + 400, f"feedback:{field},Chat,qwen-plus,llm-1,{field},down,{attack}"))
    lines += [call(NOON_MS + n * 3000) for n in range(200)]
    lines += [call(NOON_MS - 15 * MINUTE + n * 3000) for n in range(300)]
    text = "".join(f"{line}\n" for line in sorted(lines))
    path = tmp_path_factory.mktemp("hostile") / "app.log"
    path.write_bytes(text.encode())
    return path


VERBS = (
    ("status",), ("drill",), ("drill", "--by", "app", "--by", "module"), ("drill", "--by", "error_code"), ("quota",),
    ("recover",), ("recover", "throttle", "--model", "qwen-plus"), ("recover", "expand", "--model", "qwen-plus"),
    ("recover", "expand", "--model", "qwen-plus", "--lang", "zh"), ("trace", "trace-hostile"), ("trace", "trace-00"),
)  # fmt: skip
WHERE = ("--timezone", "+08:00", "--from", str(NOON_MS), "--since", "15m")


def safe(text):
    found = OBEYED.search(text)
    assert found is None, repr(text[max(0, found.start() - 60) : found.end() + 20])
    for secret in SECRETS:
        assert secret not in text


@pytest.mark.parametrize("output", ["table", "json", "markdown"])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_nothing_hostile_reaches_stdout(llmops, log, verb, output):
    ran = llmops(*verb, "--log", log, *WHERE, "-o", output)
    assert ran.code == 0, ran.err
    assert ran.out
    safe(ran.out)
    safe(ran.err)
    assert PROMPT not in ran.out
    if output == "json":
        strings = json.dumps(json.loads(ran.out), ensure_ascii=False)
        assert not any(secret in strings for secret in SECRETS)


def test_nothing_hostile_reaches_a_monitoring_system(llmops, log):
    for verb in ("status", "quota"):
        ran = llmops(verb, "--log", log, *WHERE, "--check", "-o", "nagios")
        safe(ran.out)
        assert len(ran.out.splitlines()) == 1
        assert ran.out.count("|") == 1


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("verb", [("status",), ("drill", "--by", "app"), ("quota",), ("trace", "trace-hostile")])
def test_the_layout_of_a_terminal_stays(log, verb, columns):
    code, text, said = on_a_terminal(*verb, "--log", log, *WHERE, columns=columns)
    assert (code, said) == (0, "")
    assert re.search(r"\x1b\[\d+", text)  # our own colours
    plain = without_colour(text)
    safe(plain)
    for line in plain.splitlines():
        command = "llmops " in line  # commands and ids are never cut
        longest_id = any(len(word) > 36 for word in line.split())
        assert cell_len(line) <= columns or command or longest_id, line


def test_prompts_are_shown_only_when_asked_for(llmops, log):
    hidden = llmops("trace", "trace-hostile", "--log", log, "--timezone", "+08:00")
    assert PROMPT not in hidden.out
    assert re.search(r"prompt \(\d+ characters, sha256 [0-9a-f]{8}…; --show-content\)", hidden.out)
    for output in ("table", "json", "markdown"):
        shown = llmops("trace", "trace-hostile", "--log", log, "--timezone", "+08:00", "--show-content", "-o", output)
        assert PROMPT in shown.out
        safe(shown.out)


def test_hostile_paths_and_options_are_shown_as_escapes(llmops, tmp_path):
    for word in ("\x1b[31mx.log", "a\rb.log", "[/red].log", "\u202e.log"):
        ran = llmops("status", "--log", str(tmp_path / word))
        assert ran.code == 3
        safe(ran.err)
        assert len(ran.err.splitlines()) <= 2


def test_a_hostile_file_name_is_harmless(llmops, tmp_path):
    log = write(tmp_path / "\x1b[31m[red]\u202e.log", [call(NOON_MS + n * 1000) for n in range(30)])
    for output in ("table", "json", "markdown"):
        ran = llmops("status", "--log", log, *WHERE, "-o", output)
        assert ran.code == 0
        safe(ran.out)
