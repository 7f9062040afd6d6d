"""The runbooks: one per incident type, whole, true to the catalogue, and with commands that exist."""

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.main import get_command

from llmops_cli.app import app
from llmops_cli.errors import UsageError
from llmops_cli.knowledge.errors import FAMILIES, classify, entries
from llmops_cli.knowledge.runbooks import SECTIONS, runbook, runbook_names
from llmops_cli.knowledge.sentences import INCIDENT_TYPES

RUNBOOKS = [runbook(name) for name in runbook_names()]
each_runbook = pytest.mark.parametrize("book", RUNBOOKS, ids=lambda book: book.type)


def sections(book):
    """Text by heading of the second level, in order."""
    parts = re.split(r"^## (.+)$", book.text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands(book):
    """Every `llmops …` of a runbook, from fences and from backticks (which may run over a line's end)."""
    fenced = [line.strip() for fence in re.findall(r"```.*?```", book.text, re.DOTALL) for line in fence.splitlines()]
    inline = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", book.text)]
    return [line.removeprefix("$ ") for line in (*fenced, *inline) if re.match(r"(\$ )?llmops\b", line)]


def parse(arguments):
    """Parse a command line with the real command tree, without running anything; raises what the user would get."""
    command, name, parent = get_command(app), "llmops", None
    while True:
        context = command.make_context(name, list(arguments), parent=parent)
        if not hasattr(command, "resolve_command"):
            return
        # Older Click, which older Typer uses, has no underscore before the name.
        protected = context._protected_args if hasattr(context, "_protected_args") else context.protected_args
        arguments = [*protected, *context.args]
        if not arguments:
            return
        name, command, arguments = command.resolve_command(context, arguments)
        parent = context


def test_each_incident_type_has_one_and_nothing_else_has():
    assert set(runbook_names()) == set(INCIDENT_TYPES)
    assert list(runbook_names()) == sorted(INCIDENT_TYPES)


@each_runbook
def test_its_sections_are_all_there_in_order_and_not_empty(book):
    assert tuple(sections(book)) == SECTIONS
    for text in sections(book).values():
        assert len(text.split()) >= 15
    assert book.text.startswith(f"# {book.title}\n")
    assert "\n---\n" not in book.text


@each_runbook
def test_its_front_matter_is_complete(book):
    assert book.type in INCIDENT_TYPES
    assert book.severity in ("warning", "critical")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", book.reviewed)
    assert book.families == ((book.type,) if book.type in FAMILIES else ())
    assert bool(book.codes) == bool(book.families)


@each_runbook
def test_its_codes_are_in_the_catalogue_under_its_family(book):
    families = {code: {entry.family for entry in entries() if entry.code == code} for code in book.codes}
    assert all(set(book.families) & found for found in families.values()), families


def test_most_codes_lead_straight_to_their_runbook():
    leading = [(book.type, classify(None, code, "").family) for book in RUNBOOKS for code in book.codes]
    assert sum(kind == family for kind, family in leading) >= 0.9 * len(leading)


@each_runbook
def test_it_is_short_enough_to_be_read_at_night(book):
    assert 40 <= len(book.text.splitlines()) + 8 <= 80
    assert max(map(len, book.text.splitlines())) <= 140


@each_runbook
def test_every_command_in_it_parses(book):
    found = commands(book)
    assert len(found) >= 5
    for line in found:
        parse(shlex.split(line)[1:])
    assert any(line.startswith("llmops recover verify") for line in found)
    assert any("llmops " in text for text in (sections(book)["Checks"], sections(book)["Verification"]))


@pytest.mark.parametrize("line", ["status --no-such", "drill --by colour", "no-such-verb", "recover no-such", "trace"])
def test_the_parser_of_this_test_refuses_what_does_not_exist(line):
    with pytest.raises(Exception, match=r"(?i)no such|not one of|is not a|missing|unexpected|invalid"):
        parse(line.split())


def test_billing_never_advises_to_retry():
    text = runbook("billing").text.lower()
    assert "retry" not in text
    assert "backoff" not in text


def test_rate_limits_advise_random_backoff():
    for kind in ("rate_limit_requests", "rate_limit_burst"):
        assert "random exponential backoff" in " ".join(runbook(kind).text.split())


def test_no_advice_is_copied_from_one_runbook_to_another():
    seen = {}
    for book in RUNBOOKS:
        for item in re.split(r"\n(?=\d+\. |- |\n)", "\n".join(sections(book).values())):
            words = " ".join(item.split())
            if len(words) > 60 and not words.startswith("Source"):
                assert words not in seen, f"{book.type} repeats {seen.get(words)}: {words}"
                seen[words] = book.type


def test_an_unknown_type_is_one_clear_line():
    with pytest.raises(UsageError) as raised:
        runbook("rate_limit_request")
    assert raised.value.exit_code == 2
    assert "rate_limit_requests" in raised.value.hint
    for name in ("../README", "/etc/passwd", "", "auth.md", "AUTH"):
        with pytest.raises(UsageError):
            runbook(name)


def test_they_are_found_in_an_installed_wheel(tmp_path):
    """The wheel maps `runbooks/` into the package: lay it out so, zipped even, away from the checkout."""
    package = Path(sys.modules["llmops_cli"].__file__).parent
    archive = tmp_path / "installed.zip"
    with zipfile.ZipFile(archive, "w") as wheel:
        for file in (*package.glob("*.py"), *(package / "knowledge").rglob("*.*")):
            if file.suffix != ".pyc":
                wheel.write(file, f"llmops_cli/{file.relative_to(package)}")
        for book in (package.parent / "runbooks").glob("*.md"):
            wheel.write(book, f"llmops_cli/runbooks/{book.name}")
    code = (
        "from llmops_cli.knowledge.runbooks import runbook, runbook_names; import llmops_cli;"
        "from llmops_cli.knowledge.errors import classify; from llmops_cli.knowledge.limits import find_limit;"
        "from llmops_cli.knowledge.request import expansion_request; expansion_request({}, [], 'zh');"
        "assert 'installed.zip' in llmops_cli.__file__;"
        "assert classify(401, 'InvalidApiKey', '').known and find_limit('cn-beijing', 'qwen-plus');"
        "print(len(runbook_names()), runbook('auth').title)"
    )
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert answer.stdout == f"{len(INCIDENT_TYPES)} API key refused\n", answer.stderr


CHINESE_SECTIONS = ("症状", "检查", "处置", "回退", "验证", "升级")


@each_runbook
def test_the_second_language_says_the_same_in_its_own_words(book):
    other = runbook(book.type, "zh")
    assert other.lang == "zh"
    assert tuple(sections(other)) == CHINESE_SECTIONS
    assert sorted(commands(other)) == sorted(commands(book))
    facts = [(one.type, one.severity, one.families, one.codes, one.reviewed) for one in (book, other)]
    assert facts[0] == facts[1]
    assert re.search(r"[\u4e00-\u9fff]", other.title)
    assert other.text.startswith(f"# {other.title}\n")
    assert sorted(re.findall(r"https?://[^>\s]+", other.text)) == sorted(re.findall(r"https?://[^>\s]+", book.text))
    assert 40 <= len(other.text.splitlines()) + 8 <= 80


def test_a_language_without_runbooks_is_english():
    assert runbook("auth", "fr") == runbook("auth")
    for lang in ("../..", "/etc", "zh/.."):
        assert runbook("auth", lang) == runbook("auth")


def test_billing_never_advises_to_retry_in_any_language():
    assert "重试" not in runbook("billing", "zh").text
