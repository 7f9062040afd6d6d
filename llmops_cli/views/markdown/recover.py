"""`recover` and its own verbs as Markdown."""

from __future__ import annotations

from llmops_cli.report import ExpandData, RecoverData, Report, RunbookData, ThrottleData, VerifyData
from llmops_cli.views.figures import compact, count, timespan
from llmops_cli.views.heading import clock, note_texts
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.markdown.status import incidents
from llmops_cli.views.words import say


def write(report: Report, draft: Draft) -> None:
    """Add the report of any `recover` verb to the draft. A runbook is Markdown already; a request is text."""
    data = report.data
    if isinstance(data, RunbookData):
        draft.paragraph(data.text.rstrip("\n"))
    elif isinstance(data, ExpandData):
        draft.fenced(data.text.rstrip("\n").split("\n"), "text")
        if data.missing:
            draft.paragraph(f"missing: {escape(', '.join(data.missing))}")
    elif isinstance(data, ThrottleData):
        _throttle(report, data, draft)
    elif isinstance(data, VerifyData):
        _verify(report, data, draft)
    else:
        _plan(report, data, draft)


def _plan(report: Report, data: RecoverData, draft: Draft) -> None:
    draft.heading(report)
    if not data.incidents:
        draft.paragraph("no incident was found: there is nothing to recover from")
    incidents(report, data.incidents, draft)
    for number, action in enumerate(data.actions, 1):
        draft.paragraph(f"**action {number}** {escape(action.name)}")
        said = (("why", action.why), ("effect", action.effect), ("risk", action.risk), ("undo", action.rollback))
        draft.bullets(f"{label}: {escape(text)}" for label, one in said if (text := say(one, draft.lang)))
        draft.fenced([action.command] if action.command else [], "sh")
    if data.runbook:
        draft.fenced([f"llmops recover --runbook {data.runbook}"], "sh")


def _throttle(report: Report, data: ThrottleData, draft: Draft) -> None:
    place = code(data.model) + ("" if data.workspace is None else f" in workspace {code(data.workspace or '(empty)')}")
    draft.paragraph(f"**client-side limits** for {place}, limit: {escape(data.limit_source)}")
    draft.heading(report)
    limits = [("requests", data.rps, data.rpm), ("tokens", data.tps, data.tpm)]
    draft.table(
        ("", "per second", "per minute"),
        [(name, *("unknown" if one is None else compact(one) for one in pair)) for name, *pair in limits],
    )
    replay, wait = data.replay, data.replay.added_wait_ms
    draft.bullets(
        [
            f"at most {count(data.concurrency)} calls at once",
            f"refused {count(replay.refused_before)} of {count(replay.calls)}; then {count(replay.refused_after)}",
            f"added wait: p50 {timespan(wait.p50)}, p95 {timespan(wait.p95)}, longest {timespan(wait.max)}",
            *(escape(text) for text in note_texts(data.notes, draft.lang)),
        ]
    )
    draft.fenced(data.settings.toml.rstrip("\n").split("\n") if data.settings.toml else [], "toml")


def _verify(report: Report, data: VerifyData, draft: Draft) -> None:
    at = f" since {clock(data.recovered_at)}" if data.recovered_at else ""
    draft.paragraph(f"**recovered**{at}" if data.recovered else "**not recovered yet**")
    draft.heading(report)
    draft.table(("minute", "verdict"), [(clock(check.time), check.verdict) for check in data.checks])
    card = data.scorecard
    minutes = (("detected", card.detect_min), ("located", card.locate_min), ("recovered", card.recover_min))
    draft.bullets(f"{name} in {timespan(value * 60_000)}" for name, value in minutes if value is not None)
