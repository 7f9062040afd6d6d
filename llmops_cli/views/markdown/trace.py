"""`trace -o markdown`: the calls, the lines as they were logged, the explanation, the ids for support."""

from __future__ import annotations

from datetime import datetime

from llmops_cli.report import Report, TraceData
from llmops_cli.views.figures import compact, milliseconds, timespan
from llmops_cli.views.heading import note_texts, zone
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.words import RETRY_SENTENCES, error_name, sentences


def write(report: Report, draft: Draft) -> None:
    """Add the report of `trace` to the draft."""
    data: TraceData = report.data
    if not data.found:
        _not_found(report, data, draft)
        return
    draft.paragraph(f"**trace** {code(data.trace_id)}")
    draft.heading(report)
    answers = [
        (
            code(f"{call.app}/{call.module}", cell=True),
            code(call.model, cell=True),
            code(error_name(call.status_code, call.error_code), cell=True),
            f"{_exact(call.started_at)} {zone(call.started_at)}",
            "" if call.wait_ms is None else timespan(call.wait_ms),
            milliseconds(call.duration_ms),
            compact(call.total_tokens),
        )
        for call in data.calls
    ]
    draft.table(("app/module", "model", "answer", "sent", "waited", "took", "tokens"), answers, left=3)
    for known in data.explanations:
        text = sentences(known.cause, known.remedy, RETRY_SENTENCES.get(known.retry, ""))
        draft.paragraph(f"{code(error_name(known.status_code, known.error_code))}: {escape(text)}")
    draft.paragraph(escape(" ".join(note_texts(data.summary, draft.lang))))
    draft.fenced([f"{_exact(line.time)} {line.level} {line.message}" for line in data.lines], "text")
    ids = data.request_ids or tuple(dict.fromkeys(call.request_id for call in data.calls if call.request_id))
    if ids:
        draft.paragraph("request ids for support: " + ", ".join(code(one) for one in ids))
    draft.fenced(data.next, "sh")


def _not_found(report: Report, data: TraceData, draft: Draft) -> None:
    if data.matches and not data.summary:
        draft.paragraph(f"{code(data.trace_id)} begins {len(data.matches)} traces")
    elif not data.summary:
        draft.paragraph(f"no line of trace {code(data.trace_id)} was found")
    draft.heading(report)
    draft.bullets(escape(text) for text in note_texts(data.summary, draft.lang))
    draft.fenced(data.next or [f"llmops trace {match}" for match in data.matches], "sh")


def _exact(time: datetime) -> str:
    return f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}"
