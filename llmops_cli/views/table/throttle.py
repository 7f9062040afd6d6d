"""`recover throttle`: limits for the client, what they would have done to the window's calls, settings to paste."""

from __future__ import annotations

from llmops_cli.report import Report, ThrottleData
from llmops_cli.views.figures import count, percent
from llmops_cli.views.heading import note_texts
from llmops_cli.views.saying import added_wait, client_limit, retries
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.page import Page
from llmops_cli.views.words import place, source

LIMITS = (Column("client_limit"), Column("per_second", right=True), Column("per_minute", right=True))
REPLAY = (Column("replayed"), Column("before", right=True), Column("after", right=True))


def draw(report: Report, page: Page) -> None:
    """Add the report of `recover throttle` to the page."""
    data: ThrottleData = report.data
    if data.concurrency is None:
        page.line(*note_texts(data.notes, page.lang))
        page.heading(report)
        return
    limit = page.word("view.limit", source=source(data.limit_source, page.lang))
    page.flow([(place(data.model, data.workspace, page.lang), "bold"), (limit, "")])
    page.heading(report)
    page.blank()
    limits = (("requests", data.rps, data.rpm), ("tokens", data.tps, data.tpm))
    rows = [
        (page.word(f"row.{name}"), client_limit(second, page.lang), client_limit(minute, page.lang))
        for name, second, minute in limits
    ]
    grid(page, LIMITS, rows)
    at_once = page.word("view.at_once", count=data.concurrency)
    page.flow((text, "") for text in (at_once, retries(data.backoff, page.lang)))
    page.blank()
    _replay(page, data)
    page.notes(note_texts(data.notes, page.lang))
    for name, text in (("toml", data.settings.toml), ("env", data.settings.env)):
        if text:
            page.blank()
            page.remark(page.word(f"view.settings_{name}"))
            for line in text.rstrip("\n").split("\n"):
                page.line(line)


def _replay(page: Page, data: ThrottleData) -> None:
    replay = data.replay
    rows = [(page.word("row.refused"), count(replay.refused_before), count(replay.refused_after))]
    if replay.calls:
        before, after = replay.refused_before / replay.calls, replay.refused_after / replay.calls
        rows.append((page.word("view.of_calls", calls=count(replay.calls)), percent(before), percent(after)))
    grid(page, REPLAY, rows)
    page.prose(added_wait(replay.added_wait_ms, page.lang))
