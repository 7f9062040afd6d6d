"""`alerts test`, for a review or a channel."""

from __future__ import annotations

from llmops_cli.report import AlertsTestData, Report
from llmops_cli.views.alerting import alert_duration, alert_value, alerts_verdict, quiet_rules
from llmops_cli.views.markdown.markup import Draft, escape
from llmops_cli.views.words import pairs, term


def write(report: Report, draft: Draft) -> None:
    """Add what would have fired to the draft."""
    data: AlertsTestData = report.data
    draft.paragraph(f"**{escape(alerts_verdict(data, draft.lang))}**")
    draft.heading(report)
    rows = [
        (
            escape(term("alert_severity", row.severity, draft.lang)),
            escape(row.rule),
            escape(pairs(row.scope, draft.lang)),
            f"{row.started_at:%m-%d %H:%M}",
            escape(alert_duration(row, draft.lang)),
            escape(alert_value(row)),
        )
        for row in data.firings
    ]
    draft.table(("alert_severity", "rule", "where", "since", "for", "worst"), rows, left=4)
    draft.bullets(escape(text) for text in quiet_rules(data, draft.lang))
    draft.fenced(tuple(dict.fromkeys(row.command for row in data.firings)), "sh")
