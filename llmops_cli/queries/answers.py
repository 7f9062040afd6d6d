"""The rows that statements answer, as evidence: the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmops_cli.evidence import (
    Arrival,
    CallStats,
    Cell,
    Demand,
    Durations,
    Filters,
    Observation,
    Period,
    Point,
    Ratings,
    Slice,
    Span,
    Where,
    Window,
    bucket_length,
)
from llmops_cli.queries.statements import CELLS, DEMAND, FEEDBACK, POINTS, TOTALS, Statement

Row = dict[str, Any]
Answers = Mapping[str, Sequence[tuple[Any, ...]]]
"""The rows of each statement, by its name; a statement that was not asked has none."""


def observation(
    rows: Answers, window: Window, filters: Filters, spans: Mapping[Period, Span], *, oldest_ms: int | None
) -> Observation:
    """Put the answers of the five statements together; `oldest_ms`: where the log begins, as far as known."""
    totals = {row["period"]: row for row in named(TOTALS, rows)}
    loads = named(DEMAND, rows)
    overall = {row["unit"]: row for row in loads if row["model"] is None}
    start = min(span.start_ms for span in spans.values())
    return Observation(
        window=window if "before" in spans else replace(window, baseline=None, stepped_back=False),
        bucket_ms=bucket_length(window.span.ms),
        read_from_ms=start if oldest_ms is None else max(start, oldest_ms),
        now=stats(totals.get("now"), overall),
        before=stats(totals.get("before"), {}) if "before" in spans else None,
        points=tuple(
            sorted(
                (Point(**row) for row in named(POINTS, rows) if row["period"] != "between"),
                key=lambda point: (point.period, point.start_ms),
            )
        ),
        cells=cells(rows.get(CELLS.name, ())),
        demand=tuple(demand(loads, window.span)),
        feedback=tuple(ratings(row) for row in named(FEEDBACK, rows)),
        matched_by_filters=not filters or any(row["calls"] for row in totals.values()),
        filters=filters,
        between=spans.get("between"),
    )


def named(statement: Statement, rows: Answers) -> list[Row]:
    """Give the rows of a statement by their columns' names."""
    return [dict(zip(statement.columns, row, strict=True)) for row in rows.get(statement.name, ())]


def divided(statement: Statement, rows: Sequence[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Give the rows of a joined statement, each led by its part's name, back to its parts."""
    found: dict[str, list[tuple[Any, ...]]] = {part.name: [] for part in statement.parts}
    for name, *row in rows:
        found[name].append(tuple(row))
    return found


def stats(total: Row | None, peaks: dict[int, Row]) -> CallStats:
    """Add up one period; `peaks` are the rows of all calls together, by unit (60,000 or 1,000 ms)."""
    if total is None:
        return CallStats()
    p50, p95, p99 = total["percentiles_ms"] or (None, None, None)
    minute, second = peaks.get(60_000), peaks.get(1000)
    return CallStats(
        calls=total["calls"],
        failures=total["failures"],
        durations=Durations(total["mean_ms"], p50, p95, p99, total["max_ms"]),
        input_tokens=total["input_tokens"],
        output_tokens=total["output_tokens"],
        total_tokens=total["total_tokens"],
        qpm_peak=minute["calls_peak"] if minute else 0,
        tpm_peak=minute["tokens_peak"] if minute else 0,
        rps_peak=second["calls_peak"] if second else 0,
        tps_peak=second["tokens_peak"] if second else 0,
    )


def cells(rows: Sequence[tuple[Any, ...]]) -> tuple[Cell, ...]:
    """Read the rows of `CELLS`: tens of thousands, so each combination of values is made once."""
    known: dict[tuple[Any, ...], Where] = {}
    read = []
    for row in rows:
        values = row[2:6]
        where = known.get(values)
        if where is None:
            where = known[values] = Where._make(values)
        read.append(Cell._make((row[0], row[1], where, *row[6:])))
    return tuple(read)


def ratings(row: Row) -> Ratings:
    """Read one row of `FEEDBACK`."""
    where = Where(row["app"], row["module"], row["model"], row["workspace"])
    return Ratings(row["period"], row["bucket_ms"], where, row["up"], row["down"], row["first_down_ms"])


def demand(rows: Sequence[Row], span: Span) -> Iterator[Demand]:
    """Pair each resource's minute and second rows; the account's row of a model comes before its workspaces'."""
    sides: dict[tuple[str, str | None], dict[int, Row]] = {}
    for row in rows:
        if row["model"] is not None:
            sides.setdefault((row["model"], row["workspace"]), {})[row["unit"]] = row
    for (model, workspace), side in sorted(sides.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        minute, second = side.get(60_000), side.get(1000)
        if minute is None or second is None:  # the last one, where the statement's cap cut between the two
            continue
        yield Demand(
            model=model,
            workspace=workspace,
            calls=minute["calls"],
            total_tokens=minute["tokens"],
            rpm_mean=minute["calls"] / span.minutes,
            rpm_peak=minute["calls_peak"],
            tpm_mean=minute["tokens"] / span.minutes,
            tpm_peak=minute["tokens_peak"],
            rps_peak=second["calls_peak"],
            tps_peak=second["tokens_peak"],
            peak_ms=minute["peak_ms"],
        )


def sliced(by: Sequence[str], rows: Sequence[Row]) -> tuple[Slice, ...]:
    """Pair the two periods of each combination of the values of `by`."""
    sides: dict[tuple[str, ...], dict[Period, Row]] = {}
    for row in rows:
        sides.setdefault(tuple(row[name] for name in by), {})[row["period"]] = row
    return tuple(_slice(dict(zip(by, key, strict=True)), side) for key, side in sides.items())


def arrivals(rows: Sequence[tuple[Any, ...]], refused: Callable[[int | None, str, str], bool]) -> tuple[Arrival, ...]:
    """Read the rows of `ARRIVALS`; `refused` tells a rate limit's answer by status, code and message."""
    return tuple(
        Arrival(sent, model, workspace, tokens, duration, bool(code or status != 200) and refused(status, code, text))
        for sent, model, workspace, tokens, duration, status, code, text in rows
    )


def _slice(where: dict[str, str], side: dict[Period, Row]) -> Slice:
    now, before = side.get("now", {}), side.get("before", {})
    return Slice(
        where=where,
        calls=now.get("calls", 0),
        failures=now.get("failures", 0),
        p95_ms=now.get("p95_ms"),
        total_tokens=now.get("total_tokens", 0),
        before_calls=before.get("calls", 0),
        before_failures=before.get("failures", 0),
        before_p95_ms=before.get("p95_ms"),
        before_total_tokens=before.get("total_tokens", 0),
    )
