"""Markdown for the incident channel: short, and with every logged character that Markdown obeys made harmless."""

from __future__ import annotations

from importlib import import_module

from llmops_cli.report import Report
from llmops_cli.views.markdown.markup import Draft, escape
from llmops_cli.views.words import term

_WRITTEN_BY = {
    "StatusData": "status",
    "TraceData": "trace",
    "DrillData": "drill",
    "QuotaData": "drill",
    "RecoverData": "recover",
    "RunbookData": "recover",
    "ThrottleData": "recover",
    "ExpandData": "recover",
    "VerifyData": "recover",
    "ChangesData": "changes",
    "DoctorData": "doctor",
    "AlertsTestData": "alerts",
}


def to_markdown(report: Report, lang: str = "en") -> str:
    """Return a cleaned report as Markdown; a report without data says UNKNOWN and why."""
    draft = Draft(lang)
    if report.data is None:
        _errors(report, draft)
    else:
        module = import_module(f"{__name__}.{_WRITTEN_BY.get(type(report.data).__name__, 'outline')}")
        module.write(report, draft)
        for problem in report.errors:
            draft.paragraph(f"**{draft.word('label.error')}** {escape(problem.message)}")
    return draft.text()


def _errors(report: Report, draft: Draft) -> None:
    named = f"`llmops {report.command}` " if report.command else ""
    draft.paragraph(f"**{term('severity', 'unknown', draft.lang).upper()}** {named}{draft.word('view.no_answer')}")
    draft.bullets([escape(f"{p.message} ({p.hint})" if p.hint else p.message) for p in report.errors])
