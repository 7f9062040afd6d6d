"""`status`: the answer, the numbers that carry it, the water levels, the errors, the incidents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len

from llmops_cli.report import BaselineSummary, Report, SeriesPoint, StatusData
from llmops_cli.views.figures import compact, count, milliseconds, percent, shares, sparkline, timespan, whole
from llmops_cli.views.saying import headline, message_of
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.incidents import incidents
from llmops_cli.views.table.levels import levels
from llmops_cli.views.table.page import STYLES, Page, padded, shortened
from llmops_cli.views.words import changed, error_name, several, term, told

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
    verdict = term("severity", data.verdict, page.lang).upper()
    page.prose(headline(data, page.lang), label=(verdict, STYLES[data.verdict]), hang=cell_len(verdict) + 2)
    page.heading(report)
    page.blank()
    _comparison(page, data)
    if data.water_levels:
        page.blank()
        levels(page, data.water_levels, most=LEVELS_SHOWN, more=data.levels_command)
    if data.errors:
        page.blank()
        _errors(page, data)
    incidents(page, data.incidents, report)
    _unparsed(page, data)


def _unparsed(page: Page, data: StatusData) -> None:
    """Show one of the lines that could not be read, and where there is more of them."""
    if not data.unparsed_samples:
        return
    label = page.word("label.unparsed")
    hang = cell_len(label) + 2
    text, room = message_of(data.unparsed_samples[0]), page.width - hang
    if page.terminal and cell_len(text) > room:
        values = text.split(",")
        text = shortened(",".join([*values[:3], *("…" for _ in values[3:5]), *values[5:]]), room)  # not half an id
    page.blank()
    page.line((padded(label, hang), "yellow"), text)
    page.prose(page.word("view.unparsed_how"), indent=hang)


def _comparison(page: Page, data: StatusData) -> None:
    before, lang = data.baseline, page.lang
    rows = {
        "calls": (
            count(data.calls),
            _was(before, lambda b: count(b.calls)),
            changed(data.calls, _of(before, lambda b: whole(b.calls, b.covered)), lang),
        ),
        "failures": (
            percent(data.failure_rate),
            _was(before, lambda b: percent(b.failure_rate if b.calls else None)),
            changed(data.failure_rate, _of(before, lambda b: b.failure_rate if b.calls else None), lang),
        ),
        "p95": (
            milliseconds(data.duration_ms.p95),
            _was(before, lambda b: milliseconds(b.p95_ms)),
            changed(data.duration_ms.p95, _of(before, lambda b: b.p95_ms), lang),
        ),
        "tokens": (
            compact(data.tokens.total),
            _was(before, lambda b: compact(b.total_tokens)),
            changed(data.tokens.total, _of(before, lambda b: whole(b.total_tokens, b.covered)), lang),
        ),
    }
    if data.feedback.ratings:
        rate, was = data.feedback.negative_rate, _of(before, lambda b: b.negative_rate)
        rows["negative"] = (percent(rate), _was(before, lambda b: percent(b.negative_rate)), changed(rate, was, lang))
    lines = {name: (page.word(f"row.{name}"), *texts) for name, texts in rows.items()}
    drawn = _history(page, data, list(lines.values()))
    over = page.word("view.over", length=_extent(data.series)) if drawn else ""
    table = [(*line, drawn.get(name, "")) for name, line in lines.items()]
    grid(page, (*COMPARED, Column("", title=over)), table, drops=("before",))
    page.flow((text, "") for text in _peaks(page, data))


def _was(before: BaselineSummary | None, text: Callable[[BaselineSummary], str]) -> str:
    return "" if before is None else text(before)


def _of(before: BaselineSummary | None, value: Callable[[BaselineSummary], float | None]) -> float | None:
    return None if before is None else value(before)


def _peaks(page: Page, data: StatusData) -> list[str]:
    if not data.calls:
        return []
    minute = page.word(
        "view.busiest_minute",
        requests=several("view.requests", data.qpm.peak, page.lang),
        tokens=compact(data.tpm.peak),
        mean_requests=compact(data.qpm.mean),
        mean_tokens=compact(data.tpm.mean),
    )
    requests = several("view.requests", data.rps_peak, page.lang)
    found = [minute, page.word("view.busiest_second", requests=requests, tokens=compact(data.tps_peak))]
    if rated := data.feedback.ratings:
        found.append(page.word("view.ratings_negative", negative=count(data.feedback.negative), ratings=count(rated)))
    return found


def _history(page: Page, data: StatusData, rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """One sparkline per row, as long as the page has room and the series has points."""
    if len(data.series) < 2:
        return {}
    used = sum(max(cell_len(row[n]) for row in rows) for n in range(4)) + 4 * 2
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
            error_name(row.status_code, row.error_code, page.lang),
            term("family", row.family, page.lang),
            count(row.calls),
            percent(row.share, 0),
            term("retry", row.retry, page.lang),
            told(row.cause, page.lang),
        )
        for row in shown
    ]
    if rest := data.errors[len(shown) :]:
        calls, share = sum(row.calls for row in rest), sum(row.share for row in rest)
        rows.append((page.word("view.more", count=len(rest)), "", count(calls), percent(share, 0), "", ""))
    grid(page, ERRORS, rows, drops=ERRORS_DROP)
