"""`recover` and its own verbs as Markdown."""

from __future__ import annotations

from llmops_cli.report import ExpandData, RecoverData, Report, RunbookData, ThrottleData, VerifyData
from llmops_cli.views.figures import compact, count
from llmops_cli.views.heading import clock, note_texts
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.markdown.status import incidents
from llmops_cli.views.saying import (
    action_incidents,
    action_lines,
    action_title,
    added_wait,
    checked,
    retries,
    runbooks,
    steps_taken,
)
from llmops_cli.views.words import say, source, term, word


def write(report: Report, draft: Draft) -> None:
    """Add the report of any `recover` verb to the draft. A runbook is Markdown already; a letter is text."""
    data = report.data
    if isinstance(data, RunbookData):
        draft.paragraph(data.text.rstrip("\n"))
    elif isinstance(data, ExpandData):
        draft.bullets(escape(text) for text in note_texts(data.notes, draft.lang))
        draft.fenced(data.text.rstrip("\n").split("\n"), "text")
        if data.missing:
            draft.paragraph(draft.word("view.missing", fields=", ".join(data.missing)))
    elif isinstance(data, ThrottleData):
        _throttle(report, data, draft)
    elif isinstance(data, VerifyData):
        _verify(report, data, draft)
    else:
        _plan(report, data, draft)


def _plan(report: Report, data: RecoverData, draft: Draft) -> None:
    draft.heading(report)
    if not data.incidents:
        draft.paragraph(draft.word("view.nothing_to_recover"))
    incidents(report, data.incidents, draft)
    for number, action in enumerate(data.actions, 1):
        draft.paragraph(f"**{draft.word('label.action')} {number}** {escape(action_title(action, draft.lang))}")
        lines = [(draft.word("label.for"), text) for text in action_incidents(action, data.incidents, draft.lang)]
        lines += action_lines(action, draft.lang)
        draft.bullets(draft.word("view.explained", name=label, text=text) for label, text in lines)
        draft.fenced([action.command] if action.command else [], "sh")
    draft.fenced(runbooks(data.incidents), "sh")


def _throttle(report: Report, data: ThrottleData, draft: Draft) -> None:
    if data.concurrency is None:
        draft.paragraph(*(escape(text) for text in note_texts(data.notes, draft.lang)))
        draft.heading(report)
        return
    place = code(data.model)
    if data.workspace is not None:
        place += f" {draft.word('dimension.workspace')} {code(data.workspace or draft.word('word.empty'))}"
    limit = draft.word("view.limit", source=source(data.limit_source, draft.lang))
    draft.paragraph(f"**{draft.word('column.client_limit')}** {place} · {limit}")
    draft.heading(report)
    limits = [("requests", data.rps, data.rpm), ("tokens", data.tps, data.tpm)]
    unknown = draft.word("word.unknown")
    draft.table(
        ("", "per_second", "per_minute"),
        [
            (draft.word(f"row.{name}"), *(unknown if one is None else compact(one) for one in pair))
            for name, *pair in limits
        ],
    )
    replay = data.replay
    refused = {
        "before": count(replay.refused_before),
        "calls": count(replay.calls),
        "after": count(replay.refused_after),
    }
    draft.bullets(
        escape(text)
        for text in (
            word("view.at_once", draft.lang, count=data.concurrency),
            retries(data.backoff, draft.lang),
            word("view.replayed", draft.lang, **refused),
            added_wait(replay.added_wait_ms, draft.lang),
            *note_texts(data.notes, draft.lang),
        )
    )
    if data.settings.toml:
        draft.paragraph(draft.word("view.settings_toml"))
        draft.fenced(data.settings.toml.rstrip("\n").split("\n"), "toml")


def _verify(report: Report, data: VerifyData, draft: Draft) -> None:
    verdict, text = checked(data, draft.lang)
    draft.paragraph(f"**{term('severity', verdict, draft.lang).upper()}** {escape(text)}")
    draft.heading(report)
    rows = [
        (
            clock(check.time),
            term("severity", check.verdict, draft.lang),
            "" if check.reason is None else escape(say(check.reason, draft.lang)),
            "" if check.calls is None else count(check.calls),
            "" if check.failures is None else count(check.failures),
        )
        for check in data.checks
    ]
    draft.table(("from", "state", "why", "calls", "failures"), rows, left=3)
    draft.bullets(escape(text) for text in steps_taken(data.scorecard, draft.lang))
