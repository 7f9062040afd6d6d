"""`drill` and `quota` as Markdown: causes first, then the rows."""

from __future__ import annotations

from llmops_cli.report import CauseRow, DrillData, DrillRow, QuotaData, QuotaRow, Report
from llmops_cli.views.figures import count, milliseconds, percent
from llmops_cli.views.heading import clock, note_texts
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.saying import elsewhere, inside, of_limit
from llmops_cli.views.words import joined, pairs, say, source, sure, term, told, word

COMPARED = ("calls", "failures", "rate", "before", "failure_share", "p95")
COMPARED_DEMAND = ("calls", "calls_before", *COMPARED[1:])
LEVELS = ("model", "workspace", "limit_from", "state", "level", "requests_min", "tokens_min", "refused", "full_at")


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
    columns = COMPARED_DEMAND if data.causes and data.causes[0].measure == "calls" else COMPARED
    draft.table((*data.by, *columns), [_row(row, data.by, columns, draft.lang) for row in data.rows], left=len(data.by))
    draft.fenced(data.next, "sh")


def _cause(cause: CauseRow, draft: Draft) -> str:
    lang, outside = draft.lang, cause.elsewhere_failure_rate
    facts = [
        word("view.explains", lang, share=percent(cause.explains, 0), sure=sure(cause.confidence, lang)),
        inside(cause, lang) or word("view.calls", lang, count=cause.calls),
        "" if outside is None else f"{word('label.elsewhere', lang)} {elsewhere(cause, lang)}",
        term("family", cause.family, lang) if cause.family else "",
        *note_texts(cause.notes, lang),
    ]
    return f"**{code(pairs(cause.where, lang))}** {escape(joined([fact for fact in facts if fact], lang))}"


def _row(row: DrillRow, by: tuple[str, ...], columns: tuple[str, ...], lang: str) -> tuple[str, ...]:
    empty = word("word.empty", lang)
    values = [row.where[name] for name in by] if all(name in row.where for name in by) else [row.value, *by[1:]]
    figures = {
        "calls": count(row.calls),
        "calls_before": count(row.baseline.calls) if row.baseline else "",
        "failures": count(row.failures),
        "rate": percent(row.failure_rate),
        "before": percent(row.baseline.failure_rate) if row.baseline else "",
        "failure_share": percent(row.failure_share, 0),
        "p95": milliseconds(row.p95_ms),
    }
    names = (code(" ".join(value.split()) or empty, cell=True) for value in values)
    return (*names, *(figures[name] for name in columns))


def _quota(report: Report, data: QuotaData, draft: Draft) -> None:
    draft.heading(report)
    draft.table(LEVELS, [_level(row, draft.lang) for row in data.rows], left=4)
    draft.paragraph(escape(told(data.coverage, draft.lang)))
    draft.bullets(escape(text) for text in note_texts(data.notes, draft.lang))
    draft.fenced(data.next, "sh")


def _level(row: QuotaRow, lang: str) -> tuple[str, ...]:
    workspace = None if row.workspace is None else code(row.workspace or word("word.empty", lang), cell=True)
    return (
        code(row.model, cell=True),
        word("word.all", lang) if workspace is None else workspace,
        escape(source(row.limit_source, lang)),
        term("severity", row.state, lang),
        "?" if row.level is None else percent(row.level, 0),
        of_limit(row.rpm, lang),
        of_limit(row.tpm, lang),
        count(row.throttled),
        "" if row.exhausted_at is None else clock(row.exhausted_at)[:5],
    )
