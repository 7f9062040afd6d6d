"""`--lang zh` on the real command line: nothing of the answer stays English, and it says the same as the English one."""

import contextlib
import io
import re

import pytest
from rich.cells import cell_len

from llmops_cli import app
from tests.foreign import english_in

from .conftest import END, on_a_terminal, without_colour

OTHERS = ("token-limit", "burst", "bad-key", "arrears", "moderation", "server-error", "noisy-neighbour",
          "traffic-drop", "negative-feedback")  # fmt: skip
VERBS = (
    ("status",),
    ("recover",),
    ("drill",),
    ("quota",),
    ("recover", "throttle"),
    ("recover", "ticket"),
    ("recover", "expand"),
)
IDS = re.compile(r"llm-[0-9a-z]{16}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def more_stories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("more")
    for name in OTHERS:
        words = ["demo", name, "--calls", "3000", "--out", str(folder / f"{name}.log"), "--no-walk", "--end", END]
        with contextlib.redirect_stdout(io.StringIO()):
            assert app.run([*words, "--timezone", "Asia/Shanghai"]) == 0
    return folder


def in_both(llmops, *words):
    """Ask in both languages for Markdown, and in Chinese for a table; all that must hold for an answer holds."""
    english, chinese = (llmops(*words, "--lang", lang, "-o", "markdown") for lang in ("en", "zh"))
    table = llmops(*words, "--lang", "zh")
    assert english.code == chinese.code == table.code
    assert sorted(set(IDS.findall(chinese.out))) == sorted(set(IDS.findall(english.out)))
    for text in (chinese.out, table.out, table.err.replace("error: ", "")):
        assert english_in(text) == []


@pytest.mark.parametrize("name", OTHERS)
def test_every_story_is_told_in_chinese(llmops, more_stories, name):
    words = ("--config", more_stories / f"{name}.toml", "--lang", "zh")
    assert english_in(llmops("status", *words).out) == []
    assert english_in(llmops("recover", *words, "-o", "markdown").out) == []


@pytest.mark.parametrize("name", ["rate-limit", "latency"])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_answers_in_chinese(llmops, stories, name, verb):
    named = ("--model", "qwen-plus") if verb[-1] in {"throttle", "expand"} else ()
    in_both(llmops, *verb, *named, "--config", stories[name].config)


def test_a_trace_is_told_in_chinese(llmops, stories):
    log = stories["rate-limit"].log.read_text()
    for code in ("Throttling", ",,$"):
        trace_id = re.search(rf"traceId:([0-9a-f-]+)\].*{code}", log, re.MULTILINE)[1]
        in_both(llmops, "trace", trace_id, "--config", stories["rate-limit"].config)
    in_both(llmops, "trace", "00000000-none", "--config", stories["rate-limit"].config)


@pytest.mark.parametrize(
    "verb", [("status",), ("drill",), ("quota",), ("recover",), ("recover", "throttle")], ids=" ".join
)
def test_wide_characters_keep_the_layout(stories, verb):
    code, text, said = on_a_terminal(*verb, "--config", stories["two-faults"].config, "--lang", "zh")
    assert (code, said) == (0, "")
    for line in without_colour(text).splitlines():
        assert cell_len(line) <= 80 or "llmops " in line, line


def test_json_keeps_its_keys_and_ids_and_has_the_sentences(llmops, stories):
    english, chinese = (
        llmops("recover", "--config", stories["two-faults"].config, "--lang", lang, "-o", "json").json()["data"]
        for lang in ("en", "zh")
    )
    for one, other in zip(english["incidents"], chinese["incidents"], strict=True):
        assert (one["type"], one["scope"], one["next"]) == (other["type"], other["scope"], other["next"])
        assert english_in(" ".join(other["evidence"])) == []
    assert [one["name"] for one in english["actions"]] == [one["name"] for one in chinese["actions"]]
    assert all(english_in(one["why"] + one["effect"]) == [] for one in chinese["actions"])
    errors = llmops("status", "--config", stories["two-faults"].config, "--lang", "zh", "-o", "json").json()["data"][
        "errors"
    ]
    assert all(re.search(r"[\u4e00-\u9fff]", row["cause"] + row["remedy"]) for row in errors)


def test_another_language_is_one_clear_line(llmops, stories):
    ran = llmops("status", "--config", stories["healthy"].config, "--lang", "fr")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == 'error: "fr" is not a language of the answers\nhint: give en or zh\n'
