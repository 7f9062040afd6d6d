"""`recover`: the plan, a runbook's text, the expansion request (the text alone, to be pasted), and the watch."""

from __future__ import annotations

from llmops_cli.report import Action, ExpandData, RecoverData, Report, RunbookData, VerifyData
from llmops_cli.views.figures import timespan
from llmops_cli.views.heading import clock, since
from llmops_cli.views.table.page import STYLES, Page
from llmops_cli.views.words import say, scope

HANG = 11


def draw(report: Report, page: Page) -> None:
    """Add the report of `recover`, `recover expand`, `recover verify` or of a runbook to the page."""
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
        page.prose("no incident was found: there is nothing to recover from")
    for incident in data.incidents:
        page.flow(
            [
                (incident.severity.upper(), STYLES[incident.severity]),
                (incident.type, "bold"),
                (scope(incident), ""),
                (since(incident, report), ""),
            ],
            separator="  ",
        )
    if data.actions:
        page.blank()
        page.prose("What can be done, first things first. Nothing is changed unless you run it.", style="dim")
    for number, action in enumerate(data.actions, 1):
        page.blank()
        _action(page, number, action)
    if data.runbook:
        page.blank()
        page.commands((f"llmops recover --runbook {data.runbook}",), label="runbook", hang=9)


def _action(page: Page, number: int, action: Action) -> None:
    page.prose(action.name, label=(str(number), "bold"), hang=3, style="bold")
    for label, message in (
        ("why", action.why),
        ("effect", action.effect),
        ("risk", action.risk),
        ("undo", action.rollback),
    ):
        if text := say(message, page.lang):
            page.prose(text, label=(label, "dim"), indent=3, hang=HANG)
    if action.command:
        page.commands((action.command,), label="run", indent=3, hang=HANG)


def _verify(report: Report, data: VerifyData, page: Page) -> None:
    if data.recovered:
        at = "" if data.recovered_at is None else f" since {clock(data.recovered_at)}"
        page.line(("OK", STYLES["ok"]), f"  recovered{at}")
    else:
        last = data.checks[-1].verdict if data.checks else "unknown"
        word = "warning" if last == "ok" else last
        page.line((word.upper(), STYLES[word]), "  not recovered yet" if data.checks else "  nothing checked yet")
    page.heading(report)
    if data.checks:
        page.blank()
    for check in data.checks:
        page.line(f"{clock(check.time)}  ", (check.verdict, STYLES[check.verdict]))
    card = data.scorecard
    known = [
        (f"{name} in {timespan(minutes * 60_000)}", "")
        for name, minutes in (
            ("detected", card.detect_min),
            ("located", card.locate_min),
            ("recovered", card.recover_min),
        )
        if minutes is not None
    ]
    if known:
        page.blank()
        page.flow([*known, ("goal 1, 5 and 10 min", "dim")])
