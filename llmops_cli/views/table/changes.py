"""What is changed on the account: one line a change, then its diff and the way back."""

from __future__ import annotations

from rich.cells import cell_len

from llmops_cli.report import ChangeRow, ChangesData, Report
from llmops_cli.views.heading import note_texts
from llmops_cli.views.saying import changes_verdict
from llmops_cli.views.table.page import Page, padded
from llmops_cli.views.words import term, told

_STYLES = {"+": "green", "-": "red", "@": "dim"}


def draw(report: Report, page: Page) -> None:
    """Add the changes to the page; what is as wanted already takes one line."""
    data: ChangesData = report.data
    page.line((changes_verdict(data, page.lang), "bold"))
    page.heading(report)
    page.notes(note_texts(data.notes, page.lang))
    widths = [max((cell_len(text) for text in texts), default=0) for texts in
              ([_said(row, page) for row in data.changes], [_kind(row, page) for row in data.changes])]  # fmt: skip
    if data.changes:
        page.blank()
    for row in data.changes:
        page.line(
            (padded(_said(row, page), widths[0]), "bold"), "  ", padded(_kind(row, page), widths[1]), "  ", row.name
        )
        for line in row.diff:
            page.line("    ", (line, _STYLES.get(line[:1], "")))
        if row.rollback:
            page.line("    ", (f"{page.word('label.undo')}  ", "dim"), (told(row.rollback, page.lang), "cyan"))
    if data.next:
        page.blank()
        page.commands(data.next)


def _said(row: ChangeRow, page: Page) -> str:
    return term("change_action", row.action, page.lang)


def _kind(row: ChangeRow, page: Page) -> str:
    return term("change_kind", row.kind, page.lang)
