"""Markdown that is pasted into a channel: short, and inert whatever the log holds."""

import re

import pytest

from llmops_cli import views
from llmops_cli.views.markdown.markup import code, escape

from .reports import REPORTS, poisoned
from .snapshot import same_as_snapshot


def markdown(name):
    return views.render(REPORTS[name], "markdown")


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_looks_as_before(name):
    same_as_snapshot(f"{name}.markdown", markdown(name))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("`x` *y* _z_", r"\`x\` \*y\* \_z\_"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[a](http://b)", r"\[a\](http://b)"),
        ("@all, mail a@b.c", "＠all, mail a＠b.c"),
        ("# title", r"\# title"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("---", r"\---"),
        ("two\nlines", "two lines"),
        ("C:\\temp", r"C:\\temp"),
        ("3 - 2 = 1, 50 %", "3 - 2 = 1, 50 %"),
    ],
)
def test_prose_is_escaped(text, escaped):
    assert escape(text) == escaped


@pytest.mark.parametrize(
    ("text", "span"),
    [("a", "`a`"), ("", ""), ("a`b", "``a`b``"), ("`a", "`` `a ``"), ("a``b`c", "```a``b`c```")],
)
def test_a_code_span_cannot_be_ended_by_its_text(text, span):
    assert code(text) == span


def test_pipes_in_cells_are_escaped():
    assert code("a|b", cell=True) == r"`a\|b`"


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"runbook"}))
def test_tables_keep_their_columns_whatever_the_log_holds(name):
    text = views.render(poisoned(REPORTS[name], " |x| `y` ```\n# h\n@all <b>"), "markdown")
    for table in re.findall(r"(?:^\|.*\|$\n?)+", outside_fences(text), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.strip().splitlines()}
        assert len(widths) == 1, table


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"runbook"}))
def test_hostile_text_makes_no_heading_no_html_and_no_mention(name):
    prose = outside_code(views.render(poisoned(REPORTS[name], "\n# h\n<b>@all [x](y) ![i](j)"), "markdown"))
    assert not re.search(r"^#", prose, re.MULTILINE)
    assert not re.search(r"(?<!\\)<[a-z]", prose)
    assert "@" not in prose
    assert not re.search(r"(?<!\\)\[", prose)


def outside_fences(text):
    kept, fence = [], ""
    for line in text.splitlines():
        mark = re.match(r"`{3,}", line)
        if fence:
            fence = "" if line == fence else fence
        elif mark:
            fence = mark[0]
        else:
            kept.append(line)
    assert not fence, "a code block never ends"
    return "\n".join(kept)


def outside_code(text):
    return re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", outside_fences(text))


def test_the_summary_is_short_and_carries_the_next_commands():
    text = markdown("status")
    assert len(text.splitlines()) < 50
    assert text.startswith("**CRITICAL** qwen-plus is refused")
    assert "```sh\nllmops drill --model qwen-plus --since 30m\n" in text


def test_an_error_says_unknown_and_why():
    assert "**UNKNOWN**" in markdown("error")
    assert "no such file" in markdown("error")
