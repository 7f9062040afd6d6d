"""`drill`: which combination of values explains the change, then the table of the dimension(s) asked for."""

from __future__ import annotations

from llmops_cli.report import CauseRow, DrillData, DrillRow, Report
from llmops_cli.views.figures import compact, count, milliseconds, percent
from llmops_cli.views.heading import note_texts
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.page import STYLES, Page, Piece
from llmops_cli.views.words import DOES, family, pairs, say, sure

LAST = (
    Column("calls", right=True),
    Column("failures", right=True),
    Column("rate", right=True),
    Column("before", right=True),
    Column("of all failures", right=True),
    Column("p95", right=True),
    Column("p95 before", right=True),
    Column("tokens", right=True),
    Column("calls before", right=True),
)
DROPS = ("calls before", "tokens", "p95 before", "p95", "of all failures", "before", "rate")
DROPS_WHEN_SLOW = ("calls before", "tokens", "of all failures", "before", "rate", "p95 before", "p95")


def draw(report: Report, page: Page) -> None:
    """Add the report of `drill` to the page."""
    data: DrillData = report.data
    page.heading(report)
    if data.causes:
        page.blank()
        _causes(page, data)
    elif not data.rows:
        page.blank()
        page.line("no call to compare")
    else:
        page.blank()
        page.prose("nothing stands out: no combination of values explains a change")
    if data.rows:
        page.blank()
        grid(
            page,
            (*(Column(name, least=16) for name in data.by), *LAST),
            [_row(row, data) for row in data.rows],
            drops=DROPS_WHEN_SLOW if data.causes and data.causes[0].measure == "slow" else DROPS,
        )
    if paste := say(data.paste, page.lang):
        page.blank()
        page.prose(paste, label=("paste", "dim"), hang=7)
    if data.next:
        page.blank()
        page.commands(data.next, hang=7)


def _row(row: DrillRow, data: DrillData) -> tuple[Piece, ...]:
    values = [row.where.get(name) for name in data.by]
    names = [value if value is not None else "" for value in values]
    if not any(value is not None for value in values):
        names = [row.value, *[""] * (len(data.by) - 1)]
    names = [name or "(empty)" if value is not None else name for name, value in zip(names, values, strict=True)]
    before = row.baseline
    risen = row.failure_rate is not None and row.failure_rate > (before.failure_rate or 0 if before else 0)
    return (
        *names,
        count(row.calls),
        count(row.failures),
        (percent(row.failure_rate), STYLES["critical"] if risen and row.failure_share >= 0.5 else ""),
        percent(before.failure_rate) if before else "",
        percent(row.failure_share, 0),
        milliseconds(row.p95_ms),
        milliseconds(before.p95_ms) if before else "",
        compact(row.total_tokens),
        count(before.calls) if before else "",
    )


def _causes(page: Page, data: DrillData) -> None:
    measures = {cause.measure for cause in data.causes}
    what = "the change" if measures != {"failures"} else f"{count(data.excess_failures)} failures more than before"
    if measures == {"failures"} and not data.excess_failures:
        what = "the failures"
    page.prose(f"What explains {what}:")
    for cause in data.causes:
        page.blank()
        _cause(page, cause)


def _cause(page: Page, cause: CauseRow) -> None:
    name = pairs(cause.where)
    facts = f"{percent(cause.explains, 0):>5}   {sure(cause.confidence):<8}"
    room = min(page.width, 64) - len(facts)
    style = STYLES["critical"] if cause.explains >= 0.5 else STYLES["warning"]
    page.flow([(name.ljust(room - 2), "bold"), (facts, style)], separator="  ")
    before = "" if cause.baseline_failure_rate is None else f", before {percent(cause.baseline_failure_rate)}"
    does, of = DOES.get(cause.measure, "fail"), "ratings" if cause.measure == "negative" else "calls"
    facts_seen: list[str] = []
    if cause.failure_rate is not None:
        inside = f"{count(cause.failures)} of {count(cause.calls)} {of} {does} ({percent(cause.failure_rate)}){before}"
        kind = f"; {family(cause.family, page.lang)}" if cause.family and cause.measure == "failures" else ""
        facts_seen.append(f"inside     {inside}{kind}")
    if cause.elsewhere_failure_rate is not None:
        facts_seen.append(f"elsewhere  {percent(cause.elsewhere_failure_rate)} of the {of} {does}")
    facts_seen += note_texts(cause.notes, page.lang)
    for number, text in enumerate(facts_seen, 1):
        page.prose(text, label=("└─ " if number == len(facts_seen) else "├─ ", "dim"), hang=3)
