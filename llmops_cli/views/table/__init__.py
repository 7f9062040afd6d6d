"""Tables for a terminal or a pipe: one module per verb group. All of rich is behind this door."""

from __future__ import annotations

from importlib import import_module

from llmops_cli.report import Report

_DRAWN_BY = {
    "StatusData": "status",
    "TraceData": "trace",
    "DrillData": "drill",
    "QuotaData": "levels",
    "RecoverData": "recover",
    "RunbookData": "recover",
    "ThrottleData": "throttle",
    "ExpandData": "recover",
    "VerifyData": "recover",
    "ChangesData": "changes",
    "DoctorData": "doctor",
    "AlertsTestData": "alerts",
}


def to_table(report: Report, *, width: int, color: bool, terminal: bool, lang: str, part: str = "all") -> str:
    """Return a cleaned report, or a part of a watch, as a table; empty without an answer (errors go to stderr)."""
    if report.data is None:
        return ""
    from llmops_cli.views.table.page import Page  # noqa: PLC0415 - rich

    page = Page(width=width, terminal=terminal, lang=lang, part=part)
    module = import_module(f"{__name__}.{_DRAWN_BY.get(type(report.data).__name__, 'outline')}")
    module.draw(report, page)
    return page.text(color=color)
