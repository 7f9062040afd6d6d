"""What `doctor` found: one line a check, and the fix under what is amiss."""

from __future__ import annotations

from rich.cells import cell_len

from llmops_cli.report import DoctorData, Report
from llmops_cli.views.saying import doctor_verdict
from llmops_cli.views.table.page import STYLES, Page, padded
from llmops_cli.views.words import term

_STYLES = {"ok": STYLES["ok"], "warning": STYLES["warning"], "failed": STYLES["critical"], "unknown": STYLES["unknown"]}


def draw(report: Report, page: Page) -> None:
    """Add the checks to the page, in the order in which they were made."""
    data: DoctorData = report.data
    states = [term("check_state", check.state, page.lang) for check in data.checks]
    wide = max(map(cell_len, states), default=0)
    names = max((cell_len(check.name) for check in data.checks), default=0)
    indent = wide + names + 4
    for check, state in zip(data.checks, states, strict=True):
        page.line((padded(state, wide), _STYLES[check.state]), "  ", padded(check.name, names), "  ", check.detail)
        if check.fix:
            page.prose(check.fix, indent=indent, style="cyan")
    page.blank()
    page.line((doctor_verdict(data, page.lang), "bold"))
