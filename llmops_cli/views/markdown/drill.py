"""`drill` and `quota` as Markdown: causes first, then the rows."""

from __future__ import annotations

from llmops_cli.report import CauseRow, DrillData, DrillRow, Level, QuotaData, QuotaRow, Report
from llmops_cli.views.figures import compact, count, milliseconds, percent
from llmops_cli.views.heading import clock, note_texts
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.words import DOES, family, pairs, say, sure


def write(report: Report, draft: Draft) -> None:
    """Add the report of `drill` or `quota` to the draft."""
    data = report.data
    if isinstance(data, QuotaData):
        _quota(report, data, draft)
    else:
        _drill(report, data, draft)


def _drill(report: Report, data: DrillData, draft: Draft) -> None:
    if paste := say(data.paste, draft.lang):
        draft.paragraph(escape(paste))
    draft.heading(report)
    draft.bullets(_cause(cause, draft) for cause in data.causes)
    titles = (" × ".join(data.by), "calls", "failures", "rate", "before", "of all failures", "p95")
    draft.table(titles, [_row(row) for row in data.rows])
    draft.fenced(data.next, "sh")


def _cause(cause: CauseRow, draft: Draft) -> str:
    does, of = DOES.get(cause.measure, "fail"), "ratings" if cause.measure == "negative" else "calls"
    inside = f"{count(cause.failures)} of {count(cause.calls)} {of} {does} ({percent(cause.failure_rate)})"
    if cause.failure_rate is None:
        inside = f"{count(cause.calls)} calls"
    before = cause.baseline_failure_rate
    facts = [
        f"explains {percent(cause.explains, 0)} ({sure(cause.confidence)})",
        inside + (f", before {percent(before)}" if before is not None else ""),
        f"elsewhere {percent(cause.elsewhere_failure_rate)}" if cause.elsewhere_failure_rate is not None else "",
        escape(family(cause.family, draft.lang)) if cause.family else "",
        *(escape(text) for text in note_texts(cause.notes, draft.lang)),
    ]
    return f"**{code(pairs(cause.where))}** {'; '.join(filter(None, facts))}"


def _row(row: DrillRow) -> tuple[str, ...]:
    return (
        code(" ".join(row.value.split()) or "(empty)", cell=True),
        count(row.calls),
        count(row.failures),
        percent(row.failure_rate),
        percent(row.baseline.failure_rate) if row.baseline else "",
        percent(row.failure_share, 0),
        milliseconds(row.p95_ms),
    )


def _quota(report: Report, data: QuotaData, draft: Draft) -> None:
    draft.heading(report)
    titles = ("model", "workspace", "limit from", "state", "level", "requests/min", "tokens/min", "refused", "full at")
    draft.table(titles, [_level(row) for row in data.rows], left=4)
    draft.paragraph(escape(data.coverage))
    draft.fenced(data.next, "sh")


def _level(row: QuotaRow) -> tuple[str, ...]:
    return (
        code(row.model, cell=True),
        "all" if row.workspace is None else code(row.workspace or "(empty)", cell=True),
        escape(row.limit_source),
        row.state,
        "?" if row.level is None else percent(row.level, 0),
        _of(row.rpm),
        _of(row.tpm),
        count(row.throttled),
        "" if row.exhausted_at is None else clock(row.exhausted_at)[:5],
    )


def _of(level: Level) -> str:
    return f"{compact(level.peak)} of {'?' if level.limit is None else compact(level.limit)}"
