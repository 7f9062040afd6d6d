"""`drill`: which combination of values explains the change, then the table of the dimension(s) asked for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from llmops_cli.report import CauseRow, DrillData, DrillRow, Report
from llmops_cli.views.figures import compact, count, milliseconds, percent
from llmops_cli.views.heading import note_texts
from llmops_cli.views.saying import elsewhere, inside
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.page import STYLES, Page, Piece, padded
from llmops_cli.views.words import joined, pairs, say, several, sure, term, valued, word

LAST = (
    Column("calls", right=True),
    Column("failures", right=True),
    Column("rate", right=True),
    Column("before", right=True),
    Column("failure_share", right=True),
    Column("p95", right=True),
    Column("p95_before", right=True),
    Column("tokens", right=True),
    Column("tokens_before", right=True),
    Column("calls_before", right=True),
)
DROPS = ("tokens_before", "calls_before", "tokens", "p95_before", "p95", "failure_share", "before", "rate")
CALLS_FIRST = (LAST[0], LAST[-1], *LAST[1:-1])
"""Of demand, how many calls there were and are is the answer."""
DROPS_OF_DEMAND = ("tokens_before", "tokens", "p95_before", "p95", "failure_share", "before", "rate", "failures")
DROPS_WHEN_SLOW = ("tokens_before", "calls_before", "tokens", "failure_share", "before", "rate", "p95_before", "p95")


def draw(report: Report, page: Page) -> None:
    """Add the report of `drill` to the page."""
    data: DrillData = report.data
    page.heading(report)
    if data.causes:
        page.blank()
        _causes(page, data)
    elif not data.rows:
        page.blank()
        page.line(page.word("view.no_call"))
    elif not report.filters.error_code:  # narrowed to failures nobody looked for causes: a note says so
        page.blank()
        page.prose(page.word("view.nothing_stands_out"))
    if data.rows:
        page.blank()
        measure = data.causes[0].measure if data.causes else ""
        columns = CALLS_FIRST if measure == "calls" else LAST
        grid(
            page,
            (*(Column(name, least=16) for name in data.by), *columns),
            [(*_names(row, data, page.lang), *_figures(row, columns)) for row in data.rows],
            drops={"slow": DROPS_WHEN_SLOW, "calls": DROPS_OF_DEMAND}.get(measure, DROPS),
        )
    if paste := say(data.paste, page.lang):
        page.blank()
        page.prose(paste, label=(page.word("label.paste"), "dim"), hang=7)
    if data.next:
        page.blank()
        page.commands(data.next, hang=7)


def _names(row: DrillRow, data: DrillData, lang: str) -> list[str]:
    values = [row.where.get(name) for name in data.by]
    names = [value if value is not None else "" for value in values]
    if not any(value is not None for value in values):
        names = [row.value, *[""] * (len(data.by) - 1)]
    return [valued(name, lang) if value is not None else name for name, value in zip(names, values, strict=True)]


def _figures(row: DrillRow, columns: Sequence[Column]) -> list[Piece]:
    before = row.baseline
    risen = row.failure_rate is not None and row.failure_rate > (before.failure_rate or 0 if before else 0)
    figures: dict[str, Piece] = {
        "calls": count(row.calls),
        "failures": count(row.failures),
        "rate": (percent(row.failure_rate), STYLES["critical"] if risen and row.failure_share >= 0.5 else ""),
        "before": percent(before.failure_rate) if before else "",
        "failure_share": percent(row.failure_share, 0),
        "p95": milliseconds(row.p95_ms),
        "p95_before": milliseconds(before.p95_ms) if before else "",
        "tokens": compact(row.total_tokens),
        "tokens_before": compact(before.total_tokens) if before else "",
        "calls_before": count(before.calls) if before else "",
    }
    return [figures[column.name] for column in columns]


def _causes(page: Page, data: DrillData) -> None:
    measures = {cause.measure for cause in data.causes}
    if measures != {"failures"}:
        page.prose(page.word("view.what_explains_change"))
    elif data.excess_failures:
        page.prose(several("view.what_explains_failures", data.excess_failures, page.lang))
    else:
        page.prose(page.word("view.what_explains_all"))
    for cause in data.causes:
        page.blank()
        _cause(page, cause)


def _cause(page: Page, cause: CauseRow) -> None:
    lang = page.lang
    name, certain = pairs(cause.where, lang), sure(cause.confidence, lang)
    facts = f"{percent(cause.explains, 0):>5}   {padded(certain, 8)}"
    room = min(page.width, 64) - cell_len(facts)
    style = STYLES["critical"] if cause.explains >= 0.5 else STYLES["warning"]
    page.flow([(padded(name, room - 2), "bold"), (facts, style)], separator="  ")
    kind = term("family", cause.family, lang) if cause.family and cause.measure == "failures" else ""
    within = inside(cause, lang)
    seen = (
        (word("label.inside", lang), joined([text for text in (within, kind) if text], lang) if within else ""),
        (word("label.elsewhere", lang), elsewhere(cause, lang)),
    )
    width = max(cell_len(label) for label, _ in seen) + 2
    facts_seen = [padded(label, width) + text for label, text in seen if text]
    facts_seen += note_texts(cause.notes, lang)
    for number, text in enumerate(facts_seen, 1):
        page.prose(text, label=("└─ " if number == len(facts_seen) else "├─ ", "dim"), hang=3)
