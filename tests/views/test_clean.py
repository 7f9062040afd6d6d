"""Whatever a log holds, no character that a terminal obeys or a reader cannot see reaches a view."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from llmops_cli import views
from llmops_cli.views.clean import bounded, clean, hidden

from .reports import EVIL, LONG, REPORTS, poisoned

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("a\rb\nc", r"a\rb\nc"),
        ("\x7f\x9b", r"\x7f\x9b"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066\u2028\u200b\ufeff\ud800", r"\u2066\u2028\u200b\ufeff\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("tab\tstays, 中文 and é too", "tab\tstays, 中文 and é too"),
    ],
)
def test_becomes_visible(text, shown):
    assert clean(text) == shown


def test_line_feeds_stay_where_they_are_allowed():
    assert clean("a\r\nb\n\x1bc\rd", newlines=True) == "a\nb\n\\x1bc\\rd"


@given(st.text(st.characters(codec=None)))
def test_cleaning_leaves_nothing_to_clean(text):
    once = clean(text)
    assert not OBEYED.search(once)
    assert "\n" not in once
    assert clean(once) == once
    once.encode()
    assert not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in once if char != "\t")


@given(st.text())
def test_lines_are_kept_with_newlines(text):
    assert clean(text, newlines=True).count("\n") == text.count("\n")


@given(st.text(max_size=500))
def test_bounded_says_how_much_is_missing(text):
    shown = bounded(text, 100)
    assert shown == text if len(text) <= 100 else shown == f"{text[:100]}… ({len(text) - 100} more)"


def test_a_prompt_is_told_by_length_and_hash():
    assert re.fullmatch(r"prompt \(5 characters, sha256 [0-9a-f]{8}…; --show-content\)", hidden("prompt:hello"))
    assert hidden(" Result:{}").startswith("result (2 characters")
    assert hidden("received prompt: hello") == "received prompt: hello"


@pytest.mark.parametrize("name", sorted(REPORTS))
@pytest.mark.parametrize("output", views.FORMATS)
@pytest.mark.parametrize("text", [EVIL, LONG], ids=["evil", "long"])
def test_hostile_text_in_every_field_of_every_view(name, output, text):
    shown = views.render(poisoned(REPORTS[name], text), output, width=80, terminal=True)
    assert not OBEYED.search(shown)
    shown.encode()


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_markup_has_no_effect(name):
    text = views.render(poisoned(REPORTS[name], "[/red][link=http://x][bold]:smile:"), "table", color=True)
    assert "\x1b]8" not in text  # a hyperlink
    if REPORTS[name].data is not None:
        assert "[/red][link=http://x][bold]:smile:" in text.replace("\x1b[0m", "")


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"expand", "runbook", "throttle"}))
def test_hostile_text_keeps_the_layout(name):
    """At most 80 columns but for commands, whatever the log holds; and ids of the trace."""

    for line in views.render(poisoned(REPORTS[name], LONG), "table", width=80, terminal=True).splitlines():
        if (
            not re.match(r"^\s*(next|run|book|runbook|hint)?\s*llmops ", line)
            and "43f9169b" not in line
            and "9a0b11aa" not in line
        ):
            assert cell_len(line) <= 80, line[:300]
