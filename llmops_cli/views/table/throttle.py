"""`recover throttle`: limits for the client, what they would have done to the window's calls, settings to paste."""

from __future__ import annotations

from llmops_cli.report import Report, ThrottleData
from llmops_cli.views.figures import compact, count, percent, timespan
from llmops_cli.views.heading import note_texts
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.page import Page

LIMITS = (Column("client limit"), Column("per second", right=True), Column("per minute", right=True))
REPLAY = (Column("calls replayed"), Column("before", right=True), Column("after", right=True))


def draw(report: Report, page: Page) -> None:
    """Add the report of `recover throttle` to the page."""
    data: ThrottleData = report.data
    place = data.model if data.workspace is None else f"{data.model} in workspace {data.workspace or '(empty)'}"
    page.flow([(place, "bold"), (f"limit: {data.limit_source}", "")])
    page.heading(report)
    page.blank()
    rows = [("requests", _limit(data.rps), _limit(data.rpm)), ("tokens", _limit(data.tps), _limit(data.tpm))]
    grid(page, LIMITS, rows)
    back = data.backoff
    page.flow(
        (text, "")
        for text in (
            f"at most {count(data.concurrency)} calls at once",
            f"retry {back.attempts} times, {back.base_s:g} to {back.max_s:g} s, {back.jitter} jitter",
        )
    )
    page.blank()
    _replay(page, data)
    for note in note_texts(data.notes, page.lang):
        page.prose(note, label=("note", "yellow"), hang=6)
    for title, text in (("for the client, as TOML", data.settings.toml), ("environment", data.settings.env)):
        if text:
            page.blank()
            page.line((f"# {title}", "dim"))
            for line in text.rstrip("\n").split("\n"):
                page.line(line)


def _limit(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3g}" if value < 100 else compact(value)


def _replay(page: Page, data: ThrottleData) -> None:
    replay, wait = data.replay, data.replay.added_wait_ms
    rows = [("refused", count(replay.refused_before), count(replay.refused_after))]
    if replay.calls:
        before, after = replay.refused_before / replay.calls, replay.refused_after / replay.calls
        rows.append((f"of {count(replay.calls)} calls", percent(before), percent(after)))
    grid(page, REPLAY, rows)
    page.prose(
        f"added wait: half of the calls {timespan(wait.p50)}, p95 {timespan(wait.p95)}, longest {timespan(wait.max)}"
    )
