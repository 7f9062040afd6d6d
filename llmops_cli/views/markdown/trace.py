"""`trace -o markdown`: the calls, the lines as they were logged, the explanation, the ids for support."""

from __future__ import annotations

from datetime import datetime

from llmops_cli.report import Report, TraceData
from llmops_cli.views.figures import compact, milliseconds, timespan
from llmops_cli.views.heading import note_texts, zone
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.saying import explained
from llmops_cli.views.words import error_name, joined


def write(report: Report, draft: Draft) -> None:
    """Add the report of `trace` to the draft."""
    data: TraceData = report.data
    if not data.found:
        _not_found(report, data, draft)
        return
    draft.paragraph(f"**{draft.word('label.trace')}** {code(data.trace_id)}")
    draft.heading(report)
    answers = [
        (
            code(f"{call.app}/{call.module}", cell=True),
            code(call.model, cell=True),
            code(error_name(call.status_code, call.error_code, draft.lang), cell=True),
            f"{_exact(call.started_at)} {zone(call.started_at)}",
            "" if call.wait_ms is None else draft.word("view.lasting", time=timespan(call.wait_ms)),
            milliseconds(call.duration_ms),
            compact(call.total_tokens),
        )
        for call in data.calls
    ]
    draft.table(("app_module", "model", "answer", "sent", "waited", "took", "tokens"), answers, left=3)
    for known in data.explanations:
        name = code(error_name(known.status_code, known.error_code, draft.lang))
        draft.paragraph(f"{name}: {escape(explained(known, draft.lang))}")
    draft.paragraph(escape(joined(note_texts(data.summary, draft.lang), draft.lang)))
    draft.fenced([f"{_exact(line.time)} {line.level} {line.message}" for line in data.lines], "text")
    ids = data.request_ids or tuple(dict.fromkeys(call.request_id for call in data.calls if call.request_id))
    if ids:
        draft.paragraph(draft.word("view.request_ids"))
        draft.bullets(code(one) for one in ids)
    draft.fenced(data.next, "sh")


def _not_found(report: Report, data: TraceData, draft: Draft) -> None:
    if not data.summary:
        said = "view.begins" if data.matches else "view.no_trace"
        draft.paragraph(draft.word(said, trace_id=data.trace_id, count=len(data.matches)))
    draft.heading(report)
    draft.bullets(escape(text) for text in note_texts(data.summary, draft.lang))
    draft.fenced(data.next or [f"llmops trace {match}" for match in data.matches], "sh")


def _exact(time: datetime) -> str:
    return f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}"
