"""`recover`: the plan, a runbook's text, a letter to support (the text alone, to be pasted), and the watch."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from llmops_cli.report import Action, Check, ExpandData, RecoverData, Report, RunbookData, VerifyData
from llmops_cli.views.heading import clock, notes, since
from llmops_cli.views.saying import action_incidents, action_lines, action_title, checked, runbooks, steps_taken
from llmops_cli.views.table.page import STYLES, Page, padded
from llmops_cli.views.words import say, scope, term

HANG = 11


def draw(report: Report, page: Page) -> None:
    """Add the report of `recover`, of one of its texts to paste, of `recover verify` or of a runbook to the page."""
    data = report.data
    if isinstance(data, (ExpandData, RunbookData)):
        for line in data.text.rstrip("\n").split("\n"):
            page.line(line)
    elif isinstance(data, VerifyData):
        _verify(report, data, page)
    else:
        _plan(report, data, page)


def _plan(report: Report, data: RecoverData, page: Page) -> None:
    page.heading(report)
    page.blank()
    if not data.incidents:
        page.prose(page.word("view.nothing_to_recover"))
    words = {one.severity: term("severity", one.severity, page.lang).upper() for one in data.incidents}
    widths = [max((cell_len(text) for text in texts), default=0) for texts in
              (words.values(), [one.type for one in data.incidents])]  # fmt: skip
    several = len(data.incidents) > 1  # steps name them by their numbers
    for number, incident in enumerate(data.incidents, 1):
        page.flow(
            [
                *([(str(number), "bold")] if several else []),
                (padded(words[incident.severity], widths[0]), STYLES[incident.severity]),
                (padded(incident.type, widths[1]), "bold"),
                (scope(incident, page.lang), ""),
                (since(incident, report, page.lang), ""),
            ],
            separator="  ",
        )
    if data.actions:
        page.blank()
        page.prose(page.word("view.plan"), style="dim")
    for number, action in enumerate(data.actions, 1):
        page.blank()
        _action(page, number, action, action_incidents(action, data.incidents, page.lang))
    if books := runbooks(data.incidents):
        page.blank()
        page.commands(books, label="runbook", hang=cell_len(page.word("label.runbook")) + 2)


def _action(page: Page, number: int, action: Action, about: Sequence[str]) -> None:
    page.prose(action_title(action, page.lang), label=(str(number), "bold"), hang=3, style="bold")
    for position, text in enumerate(about):
        page.prose(text, label=("" if position else page.word("label.for"), "dim"), indent=3, hang=HANG)
    for label, text in action_lines(action, page.lang):
        page.prose(text, label=(label, "dim"), indent=3, hang=HANG)
    if action.command:
        page.commands((action.command,), label="run", indent=3, hang=HANG)


def _verify(report: Report, data: VerifyData, page: Page) -> None:
    if page.part == "step":
        _step(report, data, page)
        return
    verdict, text = checked(data, page.lang)
    page.line((term("severity", verdict, page.lang).upper(), STYLES[verdict]), "  ", text)
    page.heading(report)
    if data.checks and page.part == "all":
        page.blank()
        for check in data.checks:
            _check(page, check)
    if known := steps_taken(data.scorecard, page.lang):
        page.blank()
        page.flow([*((one, "") for one in known), (page.word("view.goal"), "dim")])


def _step(report: Report, data: VerifyData, page: Page) -> None:
    """Add what is new in a watch: its beginning, or its newest check and why that could not be made."""
    if not data.checks:
        page.notes(notes(report, page.lang))
    elif not data.given_up:
        _check(page, data.checks[-1], *(problem.message for problem in report.errors))


def _check(page: Page, check: Check, *remarks: str) -> None:
    """One look at a stretch of time: when it began, how it was, and from how many calls that is known."""
    verdict = term("severity", check.verdict, page.lang)
    if check.calls is not None:
        remarks = (page.word("view.check", calls=check.calls, failures=check.failures or 0), *remarks)
    if check.reason is not None:
        remarks = (*remarks, say(check.reason, page.lang))
    if not remarks:
        page.line(f"{clock(check.time)}  ", (verdict, STYLES[check.verdict]))
        return
    label = f"{clock(check.time)}  {padded(verdict, 8)}"
    page.prose("; ".join(remarks), label=(label, STYLES[check.verdict]), hang=cell_len(label) + 2)
