"""`status`: the answer, the numbers that carry it, the water levels, the errors, the incidents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmops_cli.report import BaselineSummary, Report, SeriesPoint, StatusData
from llmops_cli.views.figures import change, compact, count, milliseconds, percent, shares, sparkline, timespan, whole
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.incidents import incidents
from llmops_cli.views.table.levels import levels
from llmops_cli.views.table.page import STYLES, Page
from llmops_cli.views.words import error_name, family, headline, retry

ERRORS_SHOWN = 5
LEVELS_SHOWN = 5
HISTORY = 120
"""Points of a sparkline on a pipe, where no width limits it."""

COMPARED = (Column(""), Column("now", right=True), Column("before", right=True), Column("", right=True))
ERRORS = (
    Column("errors", least=24),
    Column("family"),
    Column("calls", right=True),
    Column("share", right=True),
    Column("retry"),
    Column("cause", least=24),
)
ERRORS_DROP = ("cause", "retry", "family")

Pick = Callable[[Sequence[SeriesPoint]], float | None]


def draw(report: Report, page: Page) -> None:
    """Add the report of `status` to the page."""
    data: StatusData = report.data
    page.prose(
        headline(data, page.lang), label=(data.verdict.upper(), STYLES[data.verdict]), hang=len(data.verdict) + 2
    )
    page.heading(report)
    page.blank()
    _comparison(page, data)
    if data.water_levels:
        page.blank()
        levels(page, data.water_levels, most=LEVELS_SHOWN)
    if data.errors:
        page.blank()
        _errors(page, data)
    incidents(page, data.incidents, report)


def _comparison(page: Page, data: StatusData) -> None:
    before = data.baseline
    rows = [
        (
            "calls",
            count(data.calls),
            _was(before, lambda b: count(b.calls)),
            change(data.calls, _of(before, lambda b: whole(b.calls, b.covered))),
        ),
        (
            "failures",
            percent(data.failure_rate),
            _was(before, lambda b: percent(b.failure_rate if b.calls else None)),
            change(data.failure_rate, _of(before, lambda b: b.failure_rate if b.calls else None)),
        ),
        (
            "p95",
            milliseconds(data.duration_ms.p95),
            _was(before, lambda b: milliseconds(b.p95_ms)),
            change(data.duration_ms.p95, _of(before, lambda b: b.p95_ms)),
        ),
        (
            "tokens",
            compact(data.tokens.total),
            _was(before, lambda b: compact(b.total_tokens)),
            change(data.tokens.total, _of(before, lambda b: whole(b.total_tokens, b.covered))),
        ),
    ]
    if data.feedback.ratings:
        rate = data.feedback.negative_rate
        was = _of(before, lambda b: b.negative_rate)
        rows.append(("negative", percent(rate), _was(before, lambda b: percent(b.negative_rate)), change(rate, was)))
    drawn = _history(page, data, rows)
    columns = (*COMPARED, Column(f"over {_extent(data.series)}" if drawn else ""))
    grid(page, columns, [(*row, drawn.get(row[0], "")) for row in rows], drops=("before",))
    page.flow((text, "") for text in _peaks(data))


def _was(before: BaselineSummary | None, text: Callable[[BaselineSummary], str]) -> str:
    return "" if before is None else text(before)


def _of(before: BaselineSummary | None, value: Callable[[BaselineSummary], float | None]) -> float | None:
    return None if before is None else value(before)


def _peaks(data: StatusData) -> list[str]:
    if not data.calls:
        return []
    minute = (
        f"busiest minute {_requests(data.qpm.peak)}, {compact(data.tpm.peak)} tokens"
        f" (mean {compact(data.qpm.mean)}, {compact(data.tpm.mean)})"
    )
    found = [minute, f"busiest second {_requests(data.rps_peak)}, {compact(data.tps_peak)} tokens"]
    if data.feedback.ratings:
        found.append(f"{count(data.feedback.negative)} of {count(data.feedback.ratings)} ratings negative")
    return found


def _requests(number: int) -> str:
    return f"{count(number)} request{'' if number == 1 else 's'}"


def _history(page: Page, data: StatusData, rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """One sparkline per row, as long as the page has room and the series has points."""
    if len(data.series) < 2:
        return {}
    used = sum(max(len(row[n]) for row in rows) for n in range(4)) + 4 * 2
    room = max(8, page.width - used) if page.terminal else HISTORY
    groups = shares(len(data.series), room)
    picks: dict[str, Pick] = {
        "calls": lambda points: _mean([p.calls for p in points]),
        "failures": _failure_rate,
        "p95": lambda points: max((p.p95_ms for p in points if p.p95_ms is not None), default=None),
        "tokens": lambda points: _mean([p.total_tokens for p in points]),
    }
    lines = {
        name: sparkline([pick(data.series[a:b]) for a, b in groups], calm=name == "p95") for name, pick in picks.items()
    }
    rated = data.feedback_series
    if len(rated) > 1:
        chunks = [rated[a:b] for a, b in shares(len(rated), room)]
        sums = [(sum(p.negative for p in chunk), sum(p.ratings for p in chunk)) for chunk in chunks]
        lines["negative"] = sparkline([down / all_ if all_ else None for down, all_ in sums])
    return lines


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _failure_rate(points: Sequence[SeriesPoint]) -> float | None:
    calls = sum(p.calls for p in points)
    return sum(p.failures for p in points) / calls if calls else None


def _extent(series: Sequence[SeriesPoint]) -> str:
    step = (series[1].time - series[0].time).total_seconds() * 1000
    return timespan((series[-1].time - series[0].time).total_seconds() * 1000 + step)


def _errors(page: Page, data: StatusData) -> None:
    shown = data.errors if len(data.errors) <= ERRORS_SHOWN + 1 or not page.terminal else data.errors[:ERRORS_SHOWN]
    rows = [
        (
            error_name(row.status_code, row.error_code),
            family(row.family, page.lang),
            count(row.calls),
            percent(row.share, 0),
            retry(row.retry),
            row.cause,
        )
        for row in shown
    ]
    if rest := data.errors[len(shown) :]:
        calls, share = sum(row.calls for row in rest), sum(row.share for row in rest)
        rows.append((f"{len(rest)} more", "", count(calls), percent(share, 0), "", ""))
    grid(page, ERRORS, rows, drops=ERRORS_DROP)
