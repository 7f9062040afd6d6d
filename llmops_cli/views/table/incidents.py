"""Incidents, numbered: where and since when, what was seen, what is likely, what would refute it, what to run next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from llmops_cli.report import Incident, Report
from llmops_cli.views.heading import note_texts, started
from llmops_cli.views.saying import driver, refutation
from llmops_cli.views.table.page import STYLES, Page, Piece
from llmops_cli.views.words import scope, term

INDENT = 3
HANG = 11
MEASURE = 80
"""Cells of an incident's first line; a wide terminal does not push severity and start out of sight."""


def incidents(page: Page, found: Sequence[Incident], report: Report) -> None:
    """Add every incident to the page."""
    for number, incident in enumerate(found, 1):
        page.blank()
        incident_lines(page, number, incident, report)


def incident_lines(page: Page, number: int, incident: Incident, report: Report) -> None:
    """One incident, from its first line to its next commands."""
    _first(page, number, incident, report)
    doubt, way = refutation(incident, page.lang)
    for label, texts in (
        ("seen", note_texts(incident.evidence, page.lang)),
        ("driven", [driver(one, page.lang) for one in incident.drivers]),
        ("likely", note_texts((incident.hypothesis,), page.lang)),
        ("not_so", [doubt] if doubt else []),
    ):
        for position, text in enumerate(texts):
            head = "" if position else page.word(f"label.{label}")
            page.prose(text, label=(head, "dim"), indent=INDENT, hang=HANG)
    if way:
        page.line(" " * HANG, (way, "cyan"))
    page.commands([one for one in incident.next if one != way], indent=INDENT, hang=HANG)
    if incident.runbook and not any("--runbook" in command for command in incident.next):
        page.commands((f"llmops recover --runbook {incident.type}",), label="book", indent=INDENT, hang=HANG)


def _first(page: Page, number: int, incident: Incident, report: Report) -> None:
    left: list[Piece] = [(f"{number}", "bold"), " " * (INDENT - len(str(number))), (incident.type, "bold")]
    severity = term("severity", incident.severity, page.lang).upper()
    right: list[Piece] = [(severity, STYLES[incident.severity]), "  ", started(incident, report, page.lang)]
    place = scope(incident, page.lang)
    room = min(page.width, MEASURE) - _cells(left) - _cells(right)
    if cell_len(place) + 4 <= room:
        page.line(*left, "  ", place, " " * (room - 2 - cell_len(place)), *right)
        return
    page.line(*left, " " * max(2, room), *right)
    page.prose(place, label=(page.word("label.where"), "dim"), indent=INDENT, hang=HANG)


def _cells(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(piece if isinstance(piece, str) else piece[0]) for piece in pieces)
