"""The answer of `status`: how much is used, what fails, how near the limits are, and which incidents there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from llmops_cli.evidence import Cell, Limit, Message, Observation, Severity, Thresholds
from llmops_cli.knowledge.errors import ErrorEntry, classify
from llmops_cli.knowledge.sentences import duration_text
from llmops_cli.report import (
    BaselineSummary,
    DurationSummary,
    ErrorRow,
    FeedbackPoint,
    FeedbackSummary,
    Incident,
    RateSummary,
    SeriesPoint,
    StatusData,
    TokenSummary,
)
from llmops_cli.sop.commandline import command, scope_options
from llmops_cli.sop.finding import clock, named, ranked
from llmops_cli.sop.incidents import incidents
from llmops_cli.sop.quota import water_levels


def assess(
    observation: Observation, limits: Sequence[Limit], thresholds: Thresholds, *, next_options: str = ""
) -> StatusData:
    """Judge one observation. `next_options` (such as `--log app.log --since 30m`) end every command to paste."""
    rows = water_levels(observation, limits, thresholds)
    found = incidents(observation, rows, thresholds, next_options)
    verdict = _verdict(observation, found, thresholds)
    now, span = observation.now, observation.window.span
    minutes = max(span.minutes, 1e-9)
    return StatusData(
        verdict=verdict,
        calls=now.calls,
        failures=now.failures,
        failure_rate=now.failure_rate if now.calls else None,
        success_rate=1 - now.failure_rate if now.calls else None,
        unparsed=observation.unparsed,
        unparsed_samples=observation.unparsed_samples,
        duration_ms=DurationSummary(
            now.durations.mean, now.durations.p50, now.durations.p95, now.durations.p99, now.durations.max
        ),
        tokens=TokenSummary(now.input_tokens, now.output_tokens, now.total_tokens),
        qpm=RateSummary(now.calls / minutes, now.qpm_peak),
        tpm=RateSummary(now.total_tokens / minutes, now.tpm_peak),
        rps_peak=now.rps_peak,
        tps_peak=now.tps_peak,
        feedback=_feedback(observation),
        errors=error_table(observation.cells),
        water_levels=rows,
        incidents=found,
        series=_series(observation),
        baseline=_baseline(observation),
        feedback_series=_feedback_series(observation),
        headline=_headline(observation, verdict, found, thresholds),
        levels_command=command("quota", *scope_options({}, observation.filters), options=next_options),
    )


def _verdict(observation: Observation, found: Sequence[Incident], thresholds: Thresholds) -> Severity:
    """Take the worst incident's; without one `ok`, but only when there was enough to judge and it is not stale."""
    severities = {incident.severity for incident in found}
    if "critical" in severities:
        return "critical"
    if "warning" in severities:
        return "warning"
    judged = observation.now.calls >= thresholds.min_calls and not observation.window.anchored
    # Narrowed to some error codes, every call seen is a failure: nothing then shows what is healthy.
    return "ok" if judged and not severities and not observation.filters.error_code else "unknown"


def error_table(cells: Sequence[Cell]) -> tuple[ErrorRow, ...]:
    """Give the kinds of failure of the window, the most frequent first; `share` is of all its failures."""
    kinds: dict[tuple[int | None, str, str], int] = defaultdict(int)
    for period, _, _, status, code, message, calls, *_ in cells:
        if period == "now" and not (status == 200 and not code):
            kinds[status, code, message] += calls
    counts: Counter[tuple[int | None, str, ErrorEntry]] = Counter()
    for (status, code, message), calls in kinds.items():
        counts[status, code, classify(status, code, message)] += calls
    total = sum(counts.values())
    merged: dict[tuple[int | None, str, str], tuple[int, ErrorEntry]] = {}
    for (status, code, entry), calls in ranked(counts):
        sofar, first = merged.get((status, code, entry.family), (0, entry))
        merged[status, code, entry.family] = (sofar + calls, first)
    rows = [
        ErrorRow(status, code, family, calls, calls / total, entry.retry, entry.cause, entry.remedy)
        for (status, code, family), (calls, entry) in merged.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.calls, row.error_code, row.status_code or 0, row.family)))


def _feedback(observation: Observation) -> FeedbackSummary:
    up = sum(row.up for row in observation.feedback if row.period == "now")
    down = sum(row.down for row in observation.feedback if row.period == "now")
    return FeedbackSummary(up + down, down, down / (up + down) if up + down else None)


def _baseline(observation: Observation) -> BaselineSummary | None:
    before = observation.before
    if before is None:
        return None
    up = sum(row.up for row in observation.feedback if row.period == "before")
    down = sum(row.down for row in observation.feedback if row.period == "before")
    return BaselineSummary(
        calls=before.calls,
        failures=before.failures,
        failure_rate=before.failure_rate,
        p95_ms=before.durations.p95,
        total_tokens=before.total_tokens,
        negative_rate=down / (up + down) if up + down else None,
    )


def _buckets(observation: Observation) -> range:
    span = observation.window.span
    return range(span.start_ms, span.end_ms, observation.bucket_ms)


def _series(observation: Observation) -> tuple[SeriesPoint, ...]:
    """Every bucket of the window, the empty ones too: a gap is something to see."""
    points = {point.start_ms: point for point in observation.points if point.period == "now"}
    series = []
    for ms in _buckets(observation):
        time, point = observation.window.at(ms), points.get(ms)
        if point is None:
            series.append(SeriesPoint(time, 0, 0, 0, None))
        else:
            series.append(SeriesPoint(time, point.calls, point.failures, point.total_tokens, point.p95_ms))
    return tuple(series)


def _feedback_series(observation: Observation) -> tuple[FeedbackPoint, ...]:
    sums: dict[int, list[int]] = {}
    for row in observation.feedback:
        if row.period == "now":
            both = sums.setdefault(row.bucket_ms, [0, 0])
            both[0] += row.up + row.down
            both[1] += row.down
    if not sums:
        return ()
    return tuple(FeedbackPoint(observation.window.at(ms), *sums.get(ms, (0, 0))) for ms in _buckets(observation))


def _headline(
    observation: Observation, verdict: Severity, found: Sequence[Incident], thresholds: Thresholds
) -> Message:
    window = observation.window
    if found and found[0].type != "no_data":
        return _headline_of(observation, found[0])
    if not observation.now.calls:
        return Message("headline.no_calls" if observation.matched_by_filters else "headline.no_match")
    if verdict == "ok":
        return Message("headline.ok", {"calls": observation.now.calls, "rate": observation.now.failure_rate})
    if observation.now.calls < thresholds.min_calls and not observation.filters.error_code:
        return _few(observation, thresholds)
    if window.anchored:
        # How long ago that is, only the clock knows: the window's own `log_ends_ms` is shown beside it.
        return Message("headline.anchored", {"calls": observation.now.calls, "rate": observation.now.failure_rate})
    return Message("headline.filtered", {"calls": observation.now.calls})


def _few(observation: Observation, thresholds: Thresholds) -> Message:
    """Say first what failed: three calls of three are no verdict, but somebody may be waiting for one of them."""
    calls, failures = observation.now.calls, observation.now.failures
    values: dict[str, str | int | float | None] = {"calls": calls, "failures": failures, "needed": thresholds.min_calls}
    if not failures:
        return Message("headline.few_calls", values)
    return Message("headline.few_all_failed" if failures == calls > 1 else "headline.few_failed", values)


def _headline_of(observation: Observation, first: Incident) -> Message:
    if first.hypothesis.id == "hypothesis.mixed":  # its type is that of the largest part, and not the whole story
        return Message("headline.mixed", first.evidence[0].values)
    rose = None if first.refused_at is None else first.started_at
    since = first.refused_at or first.started_at
    for_ms = None if since is None else observation.window.span.end_ms - round(since.timestamp() * 1000)
    came_back = any(message.id == "evidence.traffic_back" for message in first.evidence)
    return Message(
        "headline.traffic_back" if came_back else f"incident.{first.type}.headline",
        {
            "scope": named(first.scope, observation.filters),
            "since": None if for_ms is None else clock(observation.window, observation.window.span.end_ms - for_ms),
            "for": None if for_ms is None else duration_text(for_ms),
            "rose": None if rose is None else clock(observation.window, round(rose.timestamp() * 1000)),
        },
    )
