"""`status -o markdown`: the summary that one pastes into the incident channel."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.report import Incident, Report, StatusData
from llmops_cli.views.figures import change, compact, count, milliseconds, percent, whole
from llmops_cli.views.heading import note_texts, started, zone
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.words import driver, error_name, family, headline, retry, scope

ERRORS_SHOWN = 5
LEVELS_SHOWN = 3


def write(report: Report, draft: Draft) -> None:
    """Add the report of `status` to the draft."""
    data: StatusData = report.data
    draft.paragraph(f"**{data.verdict.upper()}** {escape(headline(data, draft.lang))}")
    draft.heading(report)
    draft.table(("", "now", "before", "change"), _numbers(data))
    errors = [
        (
            code(error_name(row.status_code, row.error_code), cell=True),
            escape(f"{family(row.family, draft.lang)}; retry: {retry(row.retry)}"),
            count(row.calls),
            percent(row.share, 0),
        )
        for row in data.errors[:ERRORS_SHOWN]
    ]
    draft.table(("error", "kind", "calls", "share"), errors, left=2)
    if rest := len(data.errors) - len(errors):
        draft.paragraph(f"and {rest} more kinds of error")
    incidents(report, data.incidents, draft)


def _numbers(data: StatusData) -> list[tuple[str, ...]]:
    before = data.baseline
    was = before.failure_rate if before and before.calls else None
    rows: list[tuple[str, ...]] = [
        (
            "calls",
            count(data.calls),
            "" if before is None else count(before.calls),
            change(data.calls, None if before is None else whole(before.calls, before.covered)),
        ),
        ("failures", percent(data.failure_rate), "" if was is None else percent(was), change(data.failure_rate, was)),
        (
            "p95",
            milliseconds(data.duration_ms.p95),
            "" if before is None else milliseconds(before.p95_ms),
            change(data.duration_ms.p95, None if before is None else before.p95_ms),
        ),
    ]
    for row in [row for row in data.water_levels if row.workspace is None and row.level is not None][:LEVELS_SHOWN]:
        peaks = [
            f"{compact(level.peak)} of {compact(level.limit)} {unit}/min"
            for level, unit in ((row.rpm, "requests"), (row.tpm, "tokens"))
            if level.limit is not None
        ]
        rows.append((f"water level {code(row.model, cell=True)}", percent(row.level, 0), "", ", ".join(peaks)))
    if data.feedback.ratings:
        rate = f"{count(data.feedback.negative)} of {count(data.feedback.ratings)}"
        negative_before = None if before is None else before.negative_rate
        shown = "" if negative_before is None else percent(negative_before)
        rows.append(("negative ratings", rate, shown, change(data.feedback.negative_rate, negative_before)))
    return rows


def incidents(report: Report, found: Sequence[Incident], draft: Draft) -> None:
    """Add every incident: where and since when, the facts, the hypothesis, the next commands."""
    for number, incident in enumerate(found, 1):
        time = incident.started_at or incident.started_before
        since = f"{started(incident, report)} {zone(time)}" if time else "unknown start"
        title = f"**{number}. {incident.severity.upper()}** {code(incident.type)} · {escape(scope(incident))} · {since}"
        draft.paragraph(title)
        driven = ", ".join(driver(one) for one in incident.drivers)
        draft.bullets(
            [
                *(escape(text) for text in note_texts(incident.evidence, draft.lang)),
                f"driven by {escape(driven)}" if driven else "",
                *(f"likely: {escape(text)}" for text in note_texts((incident.hypothesis,), draft.lang)),
                *(f"not so if {escape(text)}" for text in note_texts((incident.refuted_by,), draft.lang)),
            ]
        )
        draft.fenced(incident.next, "sh")
