"""A second language: every view says everything in it, fits as well, and keeps the ids."""

import re

import pytest
from rich.cells import cell_len

from llmops_cli import views
from tests.foreign import english_in

from .reports import REPORTS
from .test_tables import COMMAND, IDS, WHOLE_IDS

PROSE_OF_ITS_OWN = {"expand", "runbook", "error"}
"""Reports whose text is no view's."""
OF_THE_REPORT = re.compile(
    r"more requests than the limit allows|spread the calls, or ask for a higher limit|the API key is wrong|use a valid key"
    r"|no answer came in time|stream the answer|2 of 3 files were read|429s are confined.*revoked key\.?"
    r"|412 of 1,394 calls are refused; a client.*|refused calls go to 0.*|longer answers while demand.*|remove the .*restart"
    r"|demand of 298 requests.*|a limit that fits the demand|throttle in the client|ask for a higher limit"
    r"|This trace waited.*succeeded\.?|seen from one application's log: a lower bound|received POST .*|POST /chat"
    r"|gateway|(?<!-)\breview\b|\bok\b|shop\b|arms",
    re.IGNORECASE,
)
"""Sentences that these reports carry as plain text, as no verb does."""


def said(name, output, lang, **shape):
    return views.render(REPORTS[name], output, lang=lang, **shape)


@pytest.mark.parametrize("name", sorted(set(REPORTS) - PROSE_OF_ITS_OWN))
@pytest.mark.parametrize("output", ["table", "markdown"])
def test_nothing_stays_english(name, output):
    text = said(name, output, "zh", width=200, terminal=True)
    assert english_in(OF_THE_REPORT.sub(" ", text)) == []


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", sorted(REPORTS))
@pytest.mark.parametrize("output", ["table", "markdown", "nagios"])
def test_no_id_of_a_sentence_is_shown(name, output, lang):
    text = said(name, output, lang)
    assert not re.search(
        r"\b(?:view|label|row|column|word|severity|retry|source|scope|recovery|dimension)\.[a-z]", text
    )
    assert "{" not in re.sub(r"```json.*?```", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"expand", "runbook"}))
@pytest.mark.parametrize("width", [60, 80, 200])
def test_wide_characters_fit_as_well(name, width):
    for line in said(name, "table", "zh", width=width, terminal=True).splitlines():
        if "llmops " not in line and not COMMAND.match(line) and not (width < 80 and IDS.search(line)):
            assert cell_len(line) <= width, line


@pytest.mark.parametrize("name", sorted(REPORTS))
@pytest.mark.parametrize("output", ["table", "markdown"])
def test_both_languages_have_the_same_ids_and_commands(name, output):
    english, chinese = (said(name, output, lang, width=80, terminal=True) for lang in ("en", "zh"))
    assert sorted(IDS.findall(chinese)) == sorted(IDS.findall(english))
    assert all(WHOLE_IDS.fullmatch(one) or name == "trace-ambiguous" for one in IDS.findall(chinese))
    commands = re.compile(r"llmops (?:status|drill|trace|quota|recover)[^`\n]*")
    assert commands.findall(chinese) == commands.findall(english)


def test_no_row_begins_with_a_comma_or_ends_with_a_bracket():
    for name in sorted(set(REPORTS) - PROSE_OF_ITS_OWN):
        for width in range(40, 100, 7):
            for line in said(name, "table", "zh", width=width, terminal=True).splitlines():
                assert not re.match(r"\s*[，。；：、？！）】]", line), line
                assert not re.search(r"[（【]$", line), line


def test_columns_of_wide_characters_are_aligned():
    rows = [line for line in said("quota", "table", "zh", width=200, terminal=True).splitlines() if " / " in line]
    header = next(
        line for line in said("quota", "table", "zh", width=200, terminal=True).splitlines() if "请求/分" in line
    )
    edge = cell_len(header[: header.index("请求/分") + len("请求/分")])
    for row in rows:
        assert cell_len(re.match(r".*?\S / \S+", row)[0]) == edge, row


def test_a_language_that_is_not_there_is_english():
    assert said("status", "table", "fr") == said("status", "table", "en")
