"""`status -o markdown`: the summary that one pastes into the incident channel."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.report import Incident, Report, StatusData
from llmops_cli.views.figures import compact, count, milliseconds, percent, whole
from llmops_cli.views.heading import note_texts, started, zone
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.saying import driver, headline, message_of, refutation
from llmops_cli.views.words import changed, error_name, scope, term, word

ERRORS_SHOWN = 5
LEVELS_SHOWN = 3


def write(report: Report, draft: Draft) -> None:
    """Add the report of `status` to the draft."""
    data: StatusData = report.data
    draft.paragraph(f"**{_severity(data.verdict, draft)}** {escape(headline(data, draft.lang))}")
    draft.heading(report)
    draft.table(("", "now", "before", "change"), _numbers(data, draft))
    errors = [
        (
            code(error_name(row.status_code, row.error_code, draft.lang), cell=True),
            escape(term("family", row.family, draft.lang)),
            escape(term("retry", row.retry, draft.lang)),
            count(row.calls),
            percent(row.share, 0),
        )
        for row in data.errors[:ERRORS_SHOWN]
    ]
    draft.table(("errors", "family", "retry", "calls", "share"), errors, left=3)
    if rest := len(data.errors) - len(errors):
        draft.paragraph(draft.word("view.more", count=rest))
    incidents(report, data.incidents, draft)
    if data.unparsed_samples:
        draft.paragraph(f"**{draft.word('label.unparsed')}** {code(message_of(data.unparsed_samples[0]))}")
        draft.paragraph(draft.word("view.unparsed_how"))


def _severity(name: str, draft: Draft) -> str:
    return term("severity", name, draft.lang).upper()


def _numbers(data: StatusData, draft: Draft) -> list[tuple[str, ...]]:
    before, lang = data.baseline, draft.lang
    was = before.failure_rate if before and before.calls else None
    rows: list[tuple[str, ...]] = [
        (
            draft.word("row.calls"),
            count(data.calls),
            "" if before is None else count(before.calls),
            changed(data.calls, None if before is None else whole(before.calls, before.covered), lang),
        ),
        (
            draft.word("row.failures"),
            percent(data.failure_rate),
            "" if was is None else percent(was),
            changed(data.failure_rate, was, lang),
        ),
        (
            draft.word("row.p95"),
            milliseconds(data.duration_ms.p95),
            "" if before is None else milliseconds(before.p95_ms),
            changed(data.duration_ms.p95, None if before is None else before.p95_ms, lang),
        ),
    ]
    for row in [row for row in data.water_levels if row.workspace is None and row.level is not None][:LEVELS_SHOWN]:
        peaks = [
            draft.word(f"view.level_{unit}", peak=compact(level.peak), limit=compact(level.limit))
            for level, unit in ((row.rpm, "rpm"), (row.tpm, "tpm"))
            if level.limit is not None
        ]
        name = f"{draft.word('column.water_level')} {code(row.model, cell=True)}"
        rows.append((name, percent(row.level, 0), "", ", ".join(peaks)))
    if data.feedback.ratings:
        negative, ratings = count(data.feedback.negative), count(data.feedback.ratings)
        negative_before = None if before is None else before.negative_rate
        shown = "" if negative_before is None else percent(negative_before)
        rate = draft.word("view.of", part=negative, whole=ratings)
        change = changed(data.feedback.negative_rate, negative_before, lang)
        rows.append((draft.word("row.negative_ratings"), rate, shown, change))
    return rows


def incidents(report: Report, found: Sequence[Incident], draft: Draft) -> None:
    """Add every incident: where and since when, the facts, the hypothesis, the next commands."""
    lang = draft.lang
    for number, incident in enumerate(found, 1):
        time = incident.started_at or incident.started_before
        since = escape(f"{started(incident, report, lang)} {zone(time)}" if time else started(incident, report, lang))
        kind, where = code(incident.type), escape(scope(incident, lang))
        draft.paragraph(f"**{number}. {_severity(incident.severity, draft)}** {kind} · {where} · {since}")
        doubt, way = refutation(incident, lang)
        labelled = [("driven", [driver(one, lang) for one in incident.drivers])]
        labelled += [("likely", note_texts((incident.hypothesis,), lang)), ("not_so", [doubt] if doubt else [])]
        facts = [escape(text) for text in note_texts(incident.evidence, lang)]
        for label, texts in labelled:
            facts += [draft.word("view.explained", name=word(f"label.{label}", lang), text=text) for text in texts]
        if doubt and way:
            facts[-1] += f" {code(way)}"
        draft.bullets(facts)
        draft.fenced([command for command in incident.next if command != way], "sh")
