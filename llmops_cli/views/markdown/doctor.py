"""What `doctor` found, for a ticket or a channel."""

from __future__ import annotations

from llmops_cli.report import DoctorData, Report
from llmops_cli.views.markdown.markup import Draft, escape
from llmops_cli.views.saying import doctor_verdict
from llmops_cli.views.words import term


def write(report: Report, draft: Draft) -> None:
    """Add the checks to the draft, in the order in which they were made."""
    data: DoctorData = report.data
    draft.paragraph(f"**{escape(doctor_verdict(data, draft.lang))}**")
    draft.bullets(
        f"**{escape(term('check_state', check.state, draft.lang))}** {escape(check.name)}: {escape(check.detail)}"
        + (f" → {escape(check.fix)}" if check.fix else "")
        for check in data.checks
    )
