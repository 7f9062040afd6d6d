"""`alerts test`: which rules would have fired, when and for how long."""

from __future__ import annotations

from llmops_cli.report import AlertsTestData, Report
from llmops_cli.views.alerting import alert_duration, alert_value, alerts_verdict, quiet_rules
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.page import STYLES, Page
from llmops_cli.views.words import pairs, say, term

COLUMNS = (
    Column("alert_severity"), Column("rule"), Column("where", least=16), Column("since"), Column("for", right=True),
    Column("worst", right=True),
)  # fmt: skip
_LOOKS = {"critical": STYLES["critical"], "high": STYLES["warning"], "medium": STYLES["warning"]}


def draw(report: Report, page: Page) -> None:
    """Add the report of `alerts test` to the page."""
    data: AlertsTestData = report.data
    page.prose(alerts_verdict(data, page.lang), style="bold")
    page.heading(report)
    if data.firings:
        page.blank()
    rows = [
        (
            (term("alert_severity", row.severity, page.lang), _LOOKS[row.severity]),
            row.rule,
            pairs(row.scope, page.lang),
            f"{row.started_at:%m-%d %H:%M}",
            alert_duration(row, page.lang),
            alert_value(row),
        )
        for row in data.firings
    ]
    if rows:
        grid(page, COLUMNS, rows, drops=("worst",))
        page.blank()
        for row in data.firings:
            page.prose(say(row.summary, page.lang), label=row.rule, hang=19)
    page.notes(quiet_rules(data, page.lang), style="dim")
    if data.firings:
        page.blank()
        page.commands(tuple(dict.fromkeys(row.command for row in data.firings)))
