"""Water levels: demand in the busiest minute against the rate limit, and when rising demand will reach it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from statistics import median

from llmops_cli.evidence import Demand, Limit, Message, Observation, Severity, Thresholds, Where
from llmops_cli.knowledge.errors import is_rate_limit
from llmops_cli.knowledge.limits import find_limit
from llmops_cli.knowledge.sentences import sentence
from llmops_cli.knowledge.thresholds import TREND_HORIZON_MS, TREND_LEAST_POINTS, TREND_WINDOWS, TREND_Z
from llmops_cli.report import Level, QuotaData, QuotaRow
from llmops_cli.sop.finding import ranked
from llmops_cli.sop.ledger import family_of
from llmops_cli.sop.peaks import busiest_minute
from llmops_cli.sop.steps import next_steps

LEAST_REFUSED = 5
LEAST_REFUSED_SHARE = 0.01
"""Fewer refused calls, or a smaller share of a resource's calls, are nothing to act on."""

Key = tuple[str, str | None]
Points = Sequence[tuple[float, float]]
Series = Mapping[Key, tuple[Points, Points]]


def find_limits(
    demand: Iterable[Demand], configured: Mapping[str, Mapping[str, float | None]], region: str
) -> tuple[Limit, ...]:
    """Give the limit of each resource in `demand`, field by field: configuration, else the shipped table, else None.

    `configured` has keys "model" or "model@workspace" and fields rpm, tpm. The table holds limits of the account, so
    that a workspace has a limit only where one is configured. `source` names where each half came from.
    """
    return tuple(_limit(one.model, one.workspace, configured, region) for one in demand)


def _limit(
    model: str, workspace: str | None, configured: Mapping[str, Mapping[str, float | None]], region: str
) -> Limit:
    own = configured.get(model if workspace is None else f"{model}@{workspace}", {})
    table = find_limit(region, model) if workspace is None else None
    halves: dict[str, tuple[float | None, str]] = {}
    for name in ("rpm", "tpm"):
        value = own.get(name)
        if value is not None:
            halves[name] = (value, "configuration")
        else:
            value = getattr(table, name) if table is not None else None
            halves[name] = (value, table.label if table is not None and value is not None else "")
    (rpm, rpm_source), (tpm, tpm_source) = halves["rpm"], halves["tpm"]
    if rpm_source and tpm_source and rpm_source != tpm_source:
        source = f"rpm: {rpm_source}, tpm: {tpm_source}"
    else:
        source = rpm_source or tpm_source or "unknown"
    return Limit(model, workspace, rpm, tpm, source)


def water_levels(observation: Observation, limits: Sequence[Limit], thresholds: Thresholds) -> tuple[QuotaRow, ...]:
    """Give one row for each resource, the highest level first, models before their workspaces.

    A workspace without a limit of its own is measured against its account's ("account, …"): the part it takes of it.
    """
    known = {(limit.model, limit.workspace): limit for limit in limits}
    refused = _refused(observation)
    series = _series(observation)
    rows = []
    for one in observation.demand:
        limit, source = _binding(one, known)
        rows.append(
            _row(
                one,
                limit,
                source,
                throttled=refused[one.model, one.workspace].total(),
                thresholds=thresholds,
                exhausted_at=_exhausted_at(observation, one, limit, series),
            )
        )
    of_model = {row.model: row.level or 0.0 for row in rows if row.workspace is None}
    busy = {(one.model, one.workspace): one.calls for one in observation.demand}
    rows.sort(
        key=lambda row: (
            -of_model.get(row.model, 0.0), row.model, row.workspace is not None, -(row.level or 0.0),
            -busy[row.model, row.workspace], row.workspace or "",
        )
    )  # fmt: skip
    return tuple(rows)


def quota(
    observation: Observation, limits: Sequence[Limit], thresholds: Thresholds, *, next_options: str = ""
) -> QuotaData:
    """Give the water levels with what limits their truth, and what to do about the highest of them."""
    rows = water_levels(observation, limits, thresholds)
    calls = {(one.model, one.workspace): one.calls for one in observation.demand}
    high = [
        row
        for row in rows
        if row.state in ("warning", "critical")
        or row.throttled >= max(LEAST_REFUSED, LEAST_REFUSED_SHARE * calls[row.model, row.workspace])
    ]
    steps: list[str] = []
    for row in high[:1]:
        scope = {"model": row.model, **({"workspace": row.workspace} if row.workspace else {})}
        refused = _refused(observation)[row.model, row.workspace]
        kind = ranked(refused)[0][0] if refused else "water_level"
        after = next_steps(kind, scope, next_options, observation.filters)
        steps += [step for step in after if not step.startswith("llmops quota")]
    bursts = any((second.level or 0.0) > 1 for row in rows for second in (row.rps, row.tps))
    coverage = Message("note.lower_bound_seconds" if bursts else "note.lower_bound")
    return QuotaData(rows, sentence(coverage), tuple(steps), _hidden(observation, rows))


def _hidden(observation: Observation, rows: Sequence[QuotaRow]) -> tuple[Message, ...]:
    """Say how many tokens the model with the most refused calls would have used in its busiest minute."""
    most = max((row for row in rows if row.workspace is None), key=lambda row: row.throttled, default=None)
    found = busiest_minute(observation, most.model) if most is not None and most.throttled else None
    if most is None or found is None or found[1] <= most.tpm.peak:
        return ()
    values: dict[str, str | int | float | None] = {"model": most.model, "logged": most.tpm.peak, "demand": found[1]}
    return (Message("note.refused_have_no_tokens", values),)


def own_limit(row: QuotaRow) -> bool:
    """Whether a row is measured against a limit of its own, not against a part of its account's."""
    return row.limit_source != "unknown" and not row.limit_source.startswith("account, ")


def _refused(observation: Observation) -> Mapping[Key, Counter[str]]:
    """Count the calls that each resource was refused, by the type of their limit."""
    sums: dict[tuple[Where, str], int] = defaultdict(int)
    families: dict[tuple[int | None, str, str], str] = {}
    for cell in observation.cells:
        period, _, where, status, code, message, calls, *_ = cell
        if period != "now" or (status == 200 and not code):
            continue
        kind = status, code, message
        family = families.get(kind)
        if family is None:
            family = families[kind] = family_of(cell)
        sums[where, family] += calls
    counts: Mapping[Key, Counter[str]] = defaultdict(Counter)
    for (where, family), calls in sums.items():
        if is_rate_limit(family):
            counts[where.model, None][family] += calls
            counts[where.model, where.workspace][family] += calls
    return counts


def _binding(demand: Demand, limits: Mapping[Key, Limit]) -> tuple[Limit, str]:
    """Find the limit that a resource is measured against, and how its source reads."""
    limit = limits.get((demand.model, demand.workspace)) or Limit(demand.model, demand.workspace, None, None)
    if demand.workspace is not None and limit.rpm is None and limit.tpm is None:
        account = limits.get((demand.model, None))
        if account is not None and account.source != "unknown":
            return account, f"account, {account.source}"
    return limit, limit.source


def _row(
    demand: Demand, limit: Limit, source: str, *, throttled: int, thresholds: Thresholds, exhausted_at: datetime | None
) -> QuotaRow:
    rpm = _level(demand.rpm_peak, limit.rpm, demand.rpm_mean)
    tpm = _level(demand.tpm_peak, limit.tpm, demand.tpm_mean)
    level = max((level.level for level in (rpm, tpm) if level.level is not None), default=None)
    return QuotaRow(
        model=demand.model,
        workspace=demand.workspace,
        limit_source=source,
        rpm=rpm,
        tpm=tpm,
        # Less than one call a second lets one pass all the same: a lone call exceeds nothing.
        rps=_level(demand.rps_peak, limit.rpm and max(1.0, limit.rpm / 60)),
        tps=_level(demand.tps_peak, limit.tpm and limit.tpm / 60),
        throttled=throttled,
        level=level,
        state=_state(level, thresholds),
        exhausted_at=exhausted_at,
    )


def _level(peak: float, limit: float | None, mean: float | None = None) -> Level:
    return Level(limit, peak, peak / limit if limit else None, mean)


def _state(level: float | None, thresholds: Thresholds) -> Severity:
    if level is None:
        return "unknown"
    if level >= thresholds.water_level.critical:
        return "critical"
    return "warning" if level >= thresholds.water_level.warning else "ok"


def _exhausted_at(observation: Observation, demand: Demand, limit: Limit, series: Series) -> datetime | None:
    """When the busiest minute will be as large as a limit, if demand goes on rising as in the window.

    None for what is full already, and for a log that ended long ago: its future is past.
    """
    calls, tokens = series.get((demand.model, demand.workspace), ([], []))
    halves = ((limit.rpm, demand.rpm_peak, calls), (limit.tpm, demand.tpm_peak, tokens))
    known = [(ceiling, peak, points) for ceiling, peak, points in halves if ceiling]
    if observation.window.anchored or any(peak >= ceiling for ceiling, peak, _ in known):
        return None
    found = [reached for ceiling, peak, points in known if (reached := _reached_ms(observation, points, peak, ceiling))]
    return observation.window.at(min(found)) if found else None


def _reached_ms(observation: Observation, points: Points, peak: float, limit: float) -> int | None:
    slope = rising(points)
    if slope is None:
        return None
    # The line through the medians, lifted by how far the busiest minute stands above it.
    level = median(value - slope * ms for ms, value in points)
    above = max(0.0, peak - max(level + slope * ms for ms, _ in points))
    end_ms = observation.window.span.end_ms
    reached = (limit - above - level) / slope
    horizon = min(TREND_HORIZON_MS, TREND_WINDOWS * observation.window.span.ms)
    return math.ceil(reached) if end_ms < reached <= end_ms + horizon else None


def _series(observation: Observation) -> Series:
    """Demand of each resource in at most 15 pieces of a minute or more: middle (ms), calls and tokens per minute."""
    span, bucket = observation.window.span, observation.bucket_ms
    step = max(60_000, bucket, -(-span.ms // 15))
    step = -(-step // bucket) * bucket
    pieces = span.ms // step
    if pieces < TREND_LEAST_POINTS:
        return {}
    by_where: dict[Where, tuple[list[int], list[int]]] = {}
    for cell in observation.cells:
        period, bucket_ms, where, _, _, _, calls, _, _, _, tokens, *_ = cell
        if period == "now" and (piece := (bucket_ms - span.start_ms) // step) < pieces:
            rows = by_where.get(where)
            if rows is None:
                rows = by_where[where] = ([0] * pieces, [0] * pieces)
            rows[0][piece] += calls
            rows[1][piece] += tokens
    sums: dict[Key, tuple[list[int], list[int]]] = {}
    for where, rows in by_where.items():
        for key in ((where.model, None), (where.model, where.workspace)):
            known = sums.get(key)
            sums[key] = rows if known is None else (_plus(known[0], rows[0]), _plus(known[1], rows[1]))

    def points(row: list[int]) -> Points:
        return [(span.start_ms + (i + 0.5) * step, value * 60_000 / step) for i, value in enumerate(row)]

    return {key: (points(calls), points(tokens)) for key, (calls, tokens) in sums.items()}


def _plus(one: list[int], other: list[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]


def rising(points: Points) -> float | None:
    """Slope per ms of a clear rise (Theil–Sen, shown by Mann–Kendall's test); None when there is none."""
    count = len(points)
    if count < TREND_LEAST_POINTS:
        return None
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2)]
    excess = sum((slope > 0) - (slope < 0) for slope in slopes)
    spread = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    slope = median(slopes)
    return slope if (excess - 1) / spread >= TREND_Z and slope > 0 else None
