"""What a source must answer, computed slowly and plainly: the engine is tested against this, and so is the SOP.

Every definition is the one of `llmops_cli.evidence`; nothing here is clever on purpose.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, tzinfo

from llmops_cli.evidence import (
    CallRecord,
    CallStats,
    Cell,
    Demand,
    Durations,
    FeedbackRecord,
    Filters,
    Observation,
    Period,
    Point,
    Ratings,
    Span,
    Thresholds,
    Where,
    Window,
    bucket_length,
)

_NUMBERS_AND_IDS = re.compile(r"[0-9A-Fa-f]*[0-9][0-9A-Fa-f-]*")
_DIMENSIONS = ("app", "module", "model", "workspace")
_DEFAULT = Thresholds()


def observe(
    records: Iterable[CallRecord | FeedbackRecord],
    span: Span,
    baseline: Span | None,
    *,
    between: Span | None = None,
    filters: Filters = Filters(),
    thresholds: Thresholds = _DEFAULT,
    timezone: tzinfo = UTC,
    anchored: bool = False,
    explicit: bool = False,
    stepped_back: bool = False,
    unparsed: int = 0,
    log_ends_ms: int | None = None,
) -> Observation:
    """Observe `records`, which are the whole log, in any order."""
    records = list(records)
    every_call = [r for r in records if isinstance(r, CallRecord)]
    calls = [r for r in every_call if _kept(r, filters) and _code_kept(r, filters)]
    feedback = [r for r in records if isinstance(r, FeedbackRecord) and _kept(r, filters)]
    oldest = min((r.time_ms for r in records), default=None)
    if baseline is not None and (oldest is None or oldest >= baseline.end_ms):
        baseline = None  # no line of the log is as old as it
    spans: dict[Period, Span] = {"now": span}
    if baseline is not None:
        spans["before"] = baseline
    if between is not None:
        spans["between"] = between
    within = {period: [c for c in calls if _inside(c, where)] for period, where in spans.items()}
    bucket_ms = bucket_length(span.ms)
    slow_above = _slow_above(within.get("before", []), thresholds)
    start_ms = min(s.start_ms for s in spans.values())
    return Observation(
        window=Window(span, baseline, timezone, anchored, explicit, stepped_back, log_ends_ms),
        bucket_ms=bucket_ms,
        read_from_ms=start_ms if oldest is None else max(start_ms, oldest),
        now=stats(within["now"]),
        before=stats(within["before"]) if baseline is not None else None,
        points=tuple(
            point
            for period, where in spans.items()
            if period != "between"
            for point in _points(period, within[period], where, bucket_ms)
        ),
        cells=tuple(
            cell
            for period, where in spans.items()
            for cell in _cells(period, within[period], where, bucket_ms, slow_above)
        ),
        demand=_demand(within["now"], span),
        feedback=tuple(
            row
            for period, where in spans.items()
            for row in _ratings(period, [f for f in feedback if _inside(f, where)], where, bucket_ms)
        ),
        unparsed=unparsed,
        newest_call_ms=max((c.time_ms for c in every_call), default=None),
        matched_by_filters=not filters or any(within.values()),
        filters=filters,
        between=between,
    )


def stats(calls: Sequence[CallRecord]) -> CallStats:
    """Add up some calls."""
    good = sorted(c.duration_ms for c in calls if c.ok)
    durations = Durations()
    if good:
        durations = Durations(
            sum(good) / len(good), nearest_rank(good, 50), nearest_rank(good, 95), nearest_rank(good, 99), good[-1]
        )
    return CallStats(
        calls=len(calls),
        failures=sum(not c.ok for c in calls),
        durations=durations,
        input_tokens=sum(c.input_tokens for c in calls),
        output_tokens=sum(c.output_tokens for c in calls),
        total_tokens=sum(c.total_tokens for c in calls),
        qpm_peak=_peak(calls, 60_000)[0],
        tpm_peak=_token_peak(calls, 60_000),
        rps_peak=_peak(calls, 1000)[0],
        tps_peak=_token_peak(calls, 1000),
    )


def nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """Give the smallest value that at least `percent` of the values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def message_kind(message: str) -> str:
    """Reduce a message to what it shares with others of its kind: numbers and ids become `#`."""
    return _NUMBERS_AND_IDS.sub("#", message)


def _kept(record: CallRecord | FeedbackRecord, filters: Filters) -> bool:
    wanted = {name: getattr(filters, name) for name in _DIMENSIONS}
    return all(not values or getattr(record, name) in values for name, values in wanted.items())


def _code_kept(record: CallRecord, filters: Filters) -> bool:
    return not filters.error_code or record.error_code in filters.error_code


def _inside(record: CallRecord | FeedbackRecord, span: Span) -> bool:
    return span.start_ms <= record.time_ms < span.end_ms


def _bucket(time_ms: int, span: Span, bucket_ms: int) -> int:
    return span.start_ms + (time_ms - span.start_ms) // bucket_ms * bucket_ms


def _where(record: CallRecord | FeedbackRecord) -> Where:
    return Where(record.app, record.module, record.model, record.workspace)


def _peak(calls: Iterable[CallRecord], length_ms: int) -> tuple[int, int]:
    """Give the calls of the busiest calendar stretch and its start; the earliest of equals."""
    counts = Counter(c.time_ms // length_ms * length_ms for c in calls)
    if not counts:
        return 0, 0
    start, most = min(counts.items(), key=lambda item: (-item[1], item[0]))
    return most, start


def _token_peak(calls: Iterable[CallRecord], length_ms: int) -> int:
    tokens: Counter[int] = Counter()
    for call in calls:
        tokens[call.time_ms // length_ms] += call.total_tokens
    return max(tokens.values(), default=0)


def _slow_above(baseline_calls: Iterable[CallRecord], thresholds: Thresholds) -> Callable[[str], float]:
    """Tell from which duration on a call of a model is slow."""
    durations = defaultdict(list)
    for call in baseline_calls:
        if call.ok:
            durations[call.model].append(call.duration_ms)
    p95 = {model: nearest_rank(sorted(values), 95) for model, values in durations.items()}
    return lambda model: p95.get(model, thresholds.p95_ms.warning)


def _points(period: Period, calls: Iterable[CallRecord], span: Span, bucket_ms: int) -> Iterable[Point]:
    groups = defaultdict(list)
    for call in calls:
        groups[_bucket(call.time_ms, span, bucket_ms)].append(call)
    for start, group in sorted(groups.items()):
        good = sorted(c.duration_ms for c in group if c.ok)
        yield Point(
            period,
            start,
            len(group),
            sum(not c.ok for c in group),
            sum(c.total_tokens for c in group),
            nearest_rank(good, 95) if good else None,
        )


def _cells(
    period: Period, calls: Iterable[CallRecord], span: Span, bucket_ms: int, slow_above: Callable[[str], float]
) -> Iterable[Cell]:
    groups = defaultdict(list)
    for c in calls:
        kind = message_kind(c.error_message)
        groups[_bucket(c.time_ms, span, bucket_ms), _where(c), c.status_code, c.error_code, kind].append(c)
    for (start, where, status, code, _), group in groups.items():
        limit = slow_above(where.model)
        yield Cell(
            period=period,
            bucket_ms=start,
            where=where,
            status_code=status,
            error_code=code,
            error_message=group[0].error_message,
            calls=len(group),
            slow=sum(c.ok and c.duration_ms > limit for c in group),
            input_tokens=sum(c.input_tokens for c in group),
            output_tokens=sum(c.output_tokens for c in group),
            total_tokens=sum(c.total_tokens for c in group),
            first_ms=min(c.time_ms for c in group),
            last_ms=max(c.time_ms for c in group),
        )


def _demand(calls: Iterable[CallRecord], span: Span) -> tuple[Demand, ...]:
    groups = defaultdict(list)
    for call in calls:
        groups[call.model, None].append(call)
        groups[call.model, call.workspace].append(call)
    return tuple(
        Demand(
            model=model,
            workspace=workspace,
            calls=len(group),
            total_tokens=sum(c.total_tokens for c in group),
            rpm_mean=len(group) / span.minutes,
            rpm_peak=_peak(group, 60_000)[0],
            tpm_mean=sum(c.total_tokens for c in group) / span.minutes,
            tpm_peak=_token_peak(group, 60_000),
            rps_peak=_peak(group, 1000)[0],
            tps_peak=_token_peak(group, 1000),
            peak_ms=_peak(group, 60_000)[1],
        )
        for (model, workspace), group in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    )


def _ratings(period: Period, feedback: Iterable[FeedbackRecord], span: Span, bucket_ms: int) -> Iterable[Ratings]:
    groups = defaultdict(list)
    for rating in feedback:
        groups[_bucket(rating.time_ms, span, bucket_ms), _where(rating)].append(rating)
    for (start, where), group in groups.items():
        downs = [f.time_ms for f in group if f.rating == "down"]
        yield Ratings(period, start, where, len(group) - len(downs), len(downs), min(downs, default=None))
