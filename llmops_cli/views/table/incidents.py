"""Incidents, numbered: where and since when, what was seen, what is likely, what would refute it, what to run next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from llmops_cli.report import Incident, Report
from llmops_cli.views.heading import note_texts, started
from llmops_cli.views.table.page import STYLES, Page, Piece
from llmops_cli.views.words import driver, scope

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
    for label, texts in (
        ("seen", note_texts(incident.evidence, page.lang)),
        ("driven", [driver(one) for one in incident.drivers]),
        ("likely", note_texts((incident.hypothesis,), page.lang)),
        ("not so", [f"if {text}" for text in note_texts((incident.refuted_by,), page.lang)]),
    ):
        for position, text in enumerate(texts):
            page.prose(text, label=("" if position else label, "dim"), indent=INDENT, hang=HANG)
    page.commands(incident.next, indent=INDENT, hang=HANG)
    if incident.runbook and not any("--runbook" in command for command in incident.next):
        page.commands((f"llmops recover --runbook {incident.type}",), label="book", indent=INDENT, hang=HANG)


def _first(page: Page, number: int, incident: Incident, report: Report) -> None:
    left: list[Piece] = [(f"{number}", "bold"), " " * (INDENT - len(str(number))), (incident.type, "bold")]
    right: list[Piece] = [(incident.severity.upper(), STYLES[incident.severity]), "  ", started(incident, report)]
    place = scope(incident)
    room = min(page.width, MEASURE) - _cells(left) - _cells(right)
    if cell_len(place) + 4 <= room:
        page.line(*left, "  ", place, " " * (room - 2 - cell_len(place)), *right)
        return
    page.line(*left, " " * max(2, room), *right)
    page.prose(place, label=("where", "dim"), indent=INDENT, hang=HANG)


def _cells(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(piece if isinstance(piece, str) else piece[0]) for piece in pieces)
