"""What rate limits have to do with it: resources near their limit, and the limit behind calls that were refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from llmops_cli.evidence import Cell, Message
from llmops_cli.knowledge.thresholds import TRAFFIC_DISPERSION
from llmops_cli.report import Level, QuotaRow
from llmops_cli.sop.drivers import Measure, drivers
from llmops_cli.sop.finding import Finding, clock
from llmops_cli.sop.ledger import Ledger, inside
from llmops_cli.sop.onset import jumped, pace, silent_too
from llmops_cli.sop.quota import own_limit

REACHED = 0.9
"""A level from which on a limit may have refused calls: minutes of the clock and those of the platform differ."""
FULL = 0.8
"""Below this level of a known limit, refusals are not explained by this log's own demand."""
SUDDEN = 0.5
"""Below this level of a second's even share, calls refused as a burst are not explained by this log's own seconds."""
BEFORE_REFUSALS_MS = 600_000
"""How long before the first refusal the demand that led to it may have risen."""
LEAST_GROWTH = 1.15
"""Demand that grew by less has not led to anything."""
LEAST_SCORE = 6.0
MINUTE_MS = 60_000
LAG_MS = 300_000
"""Time right before the first refusal that may belong to the rise already."""


def find(ledger: Ledger, rows: Sequence[QuotaRow]) -> list[Finding]:
    """Find resources whose water level is a warning or worse."""
    high = [row for row in rows if row.state in ("warning", "critical") and own_limit(row) and _carried(ledger, row)]
    of_account = {row.model for row in high if row.workspace is None}
    return [_finding(ledger, row) for row in high if row.workspace is None or row.model not in of_account]


def _carried(ledger: Ledger, row: QuotaRow) -> bool:
    """Tell whether calls enough carry a level: one minute with a few calls is shown, but no warning."""
    return row.state == "critical" or row.rpm.peak >= ledger.thresholds.min_calls


def _finding(ledger: Ledger, row: QuotaRow) -> Finding:
    scope = {"model": row.model} if row.workspace is None else {"model": row.model, "workspace": row.workspace}
    by_tokens = (row.tpm.level or 0.0) > (row.rpm.level or 0.0)
    peak_ms = _peak_ms(ledger, row)
    started_ms = demand_rose(ledger, scope, "tokens" if by_tokens else "calls", ledger.span.end_ms)
    evidence = [
        Message(
            "evidence.water_level", {"level": row.level, "at": None if by_tokens else clock(ledger.window, peak_ms)}
        ),
        *_busiest(ledger, row, peak_ms, tokens=by_tokens),
    ]
    if row.exhausted_at is not None:
        at_ms = round(row.exhausted_at.timestamp() * 1000)
        evidence.append(Message("evidence.exhausted_at", {"at": clock(ledger.window, at_ms)}))
    first_ms = max(peak_ms, ledger.span.start_ms)
    found = Finding(
        type="water_level",
        scope=scope,
        severity=row.state,
        started_ms=started_ms or first_ms,
        started_before_ms=None,
        evidence=evidence,
        calls=round(row.rpm.mean * ledger.span.minutes) if row.rpm.mean is not None else 0,
        certainty=row.level or 0.0,
    )
    return _with_drivers(ledger, found, "tokens" if by_tokens else "calls")


def explain(ledger: Ledger, finding: Finding, rows: Sequence[QuotaRow]) -> Finding:
    """Complete refusals by a rate limit: the resource, the limit, the beginning of the demand, and who drives it."""
    peaks = {(row.model, row.workspace): _since(ledger, row, finding.since_ms) for row in rows}
    rows = [row for row, _ in peaks.values()]
    finding = replace(finding, scope=_resource(ledger, finding, rows))
    burst = finding.type == "rate_limit_burst"
    measure: Measure = "tokens" if finding.type == "rate_limit_tokens" else "calls"
    row = _row(rows, finding.scope)
    evidence = list(finding.evidence)
    hypothesis = finding.hypothesis
    if row is not None:
        peak_ms = peaks[row.model, row.workspace][1]
        evidence[1:1] = _busiest(ledger, row, peak_ms, tokens=measure == "tokens", burst=burst)
        said, level, full = _explained_by(ledger, finding, row)
        if level is None:
            evidence.append(Message("evidence.limit_unknown", {"model": row.model}))
        elif level < full and not _only_a_part(ledger, row):
            evidence.append(Message(said, {"level": level}))
            hypothesis = "limit_elsewhere"
    # Bursts are refused at once; minutes only once the minute, or the platform's reserve, is used up.
    rose_ms = None if burst else demand_rose(ledger, finding.scope, measure, finding.since_ms)
    if rose_ms is not None:
        rose_ms = min(rose_ms, _refused_with(ledger, finding, rose_ms))
    if finding.started_ms is not None and rose_ms is not None and rose_ms < finding.started_ms:
        refused_ms = _first_refused(ledger, finding, rose_ms, finding.started_ms)
        rose, refused = (clock(ledger.window, ms) for ms in (rose_ms, refused_ms))
        if rose != refused:
            evidence.append(Message("evidence.first_refused", {"rose": rose, "at": refused}))
            finding = replace(finding, refused_ms=refused_ms)
        finding = replace(finding, started_ms=rose_ms)
    return _with_drivers(ledger, replace(finding, evidence=evidence, hypothesis=hypothesis), measure)


def _first_refused(ledger: Ledger, finding: Finding, rose_ms: int, default: int) -> int:
    """Give the first refusal since demand rose: seen, where the beginning of many of them is estimated."""
    refused = [cell.first_ms for cell in ledger.families[finding.type] if inside(cell.where, finding.scope)]
    return min((ms for ms in refused if ms >= rose_ms), default=default)


def _refused_with(ledger: Ledger, finding: Finding, rose_ms: int) -> int:
    """Give the first refusal in the bucket in which demand rose, else `rose_ms`: whoever is refused exceeds a limit.

    Refused calls come again, so that demand goes on rising: measured by what it becomes, it seems to begin later.
    """
    step = ledger.observation.bucket_ms
    refused = [
        cell.first_ms
        for cell in ledger.families[finding.type]
        if cell.bucket_ms <= rose_ms < cell.bucket_ms + step and inside(cell.where, finding.scope)
    ]
    return min(refused, default=rose_ms)


def _explained_by(ledger: Ledger, finding: Finding, row: QuotaRow) -> tuple[str, float | None, float]:
    """Return the sentence for, and the level of, what should explain refusals; and below which level it does not."""
    if finding.type == "rate_limit_burst":
        return "evidence.share_not_reached", row.rps.level, SUDDEN
    if finding.type != "rate_limit_tokens":
        return "evidence.limit_not_reached", row.rpm.level, FULL
    # Refused calls are logged with 0 tokens: they count as large as those that were answered meanwhile.
    since_ms = finding.since_ms - ledger.observation.bucket_ms
    answered = [cell for cell in ledger.within(finding.scope) if cell.ok and cell.bucket_ms > since_ms]
    mean = sum(cell.total_tokens for cell in answered) / max(1, sum(cell.calls for cell in answered))
    tokens = max(row.tpm.peak, row.rpm.peak * mean)
    return "evidence.limit_not_reached_estimated", tokens / row.tpm.limit if row.tpm.limit else None, FULL


def _only_a_part(ledger: Ledger, row: QuotaRow) -> bool:
    """Whether the question left out some of the demand that this log has on a resource."""
    filters = ledger.observation.filters
    return bool(filters.app or filters.module or (filters.workspace and row.workspace is None))


def _row(rows: Sequence[QuotaRow], scope: Mapping[str, str]) -> QuotaRow | None:
    return next((r for r in rows if r.model == scope.get("model") and r.workspace == scope.get("workspace")), None)


def _resource(ledger: Ledger, finding: Finding, rows: Sequence[QuotaRow]) -> Mapping[str, str]:
    """Name the limited resource: a workspace of the model where its limit is reached and the account's is not."""
    model = finding.scope.get("model")
    if model is None:
        return finding.scope
    account = _row(rows, {"model": model})
    account_full = account is not None and account.level is not None and account.level >= REACHED
    reached = [
        row.workspace
        for row in rows
        if row.model == model and row.workspace is not None and own_limit(row) and (row.level or 0.0) >= REACHED
    ]
    if account_full and not reached:
        return {"model": model}
    if "workspace" in finding.scope or account_full:
        return finding.scope
    for workspace in reached:
        refused = sum(
            cell.calls
            for cell in ledger.families[finding.type]
            if cell.where.model == model and cell.where.workspace == workspace and cell.period != "before"
        )
        if refused >= 0.8 * finding.failures:
            return {"model": model, "workspace": str(workspace)}
    return finding.scope


def _peak_ms(ledger: Ledger, row: QuotaRow) -> int:
    return next(d.peak_ms for d in ledger.observation.demand if (d.model, d.workspace) == (row.model, row.workspace))


def _since(ledger: Ledger, row: QuotaRow, since_ms: int) -> tuple[QuotaRow, int]:
    """Measure a resource over the whole time of an incident, which may have begun before the window; and its peak, ms.

    What lies before the window is known by its buckets: minutes begin with one of them, and of longer buckets only
    the mean is known, so that a level is never too high.
    """
    peak_ms = _peak_ms(ledger, row)
    if since_ms >= ledger.span.start_ms:
        return row, peak_ms
    scope = {"model": row.model} if row.workspace is None else {"model": row.model, "workspace": row.workspace}
    length = max(MINUTE_MS, ledger.observation.bucket_ms)
    calls: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    for cell in ledger.within(scope):
        # The minute before the first refusal is the one that led to it.
        if cell.bucket_ms >= since_ms - length and ledger.on_timeline(cell) is not None:
            calls[cell.bucket_ms // length] += cell.calls
            tokens[cell.bucket_ms // length] += cell.total_tokens
    minute, most = max(calls.items(), key=lambda item: item[1], default=(0, 0))
    rpm = _at_least(row.rpm, most * MINUTE_MS // length)
    tpm = _at_least(row.tpm, max(tokens.values(), default=0) * MINUTE_MS // length)
    level = max((one.level for one in (rpm, tpm) if one.level is not None), default=None)
    return replace(row, rpm=rpm, tpm=tpm, level=level), peak_ms if rpm is row.rpm else minute * length


def _at_least(level: Level, peak: int) -> Level:
    if peak <= level.peak:
        return level
    return replace(level, peak=peak, level=peak / level.limit if level.limit else None)


def _busiest(ledger: Ledger, row: QuotaRow, peak_ms: int, *, tokens: bool, burst: bool = False) -> list[Message]:
    level, unit = (row.tpm, "tpm") if tokens else (row.rpm, "rpm")
    values: dict[str, str | int | float | None] = {
        "peak": level.peak,
        "limit": level.limit,
        "source": row.limit_source if level.limit is not None else None,
        "at": None if tokens else clock(ledger.window, peak_ms),
    }
    found = [Message(f"evidence.busiest_minute_{unit}", values)]
    if burst:
        found.append(Message("evidence.busiest_second_rpm", {"peak": row.rps.peak, "limit": row.rps.limit, "at": None}))
    return found


def _with_drivers(ledger: Ledger, finding: Finding, measure: Measure) -> Finding:
    return replace(finding, drivers=drivers(ledger, finding.scope, finding.since_ms, measure))


def demand_rose(ledger: Ledger, scope: Mapping[str, str], measure: Measure, until_ms: int) -> int | None:
    """When demand on a resource went up, at most ten minutes before `until_ms`; None when it did not, clearly."""
    if not ledger.adjacent or ledger.baseline is None:
        return None
    cells = ledger.within(scope)
    step = ledger.observation.bucket_ms
    weigh = _weight(cells, measure)
    found = silent_too(ledger, cells, ledger.start_ms, weigh)
    after = [moment for moment in found if moment.start_ms >= until_ms - step]
    now = sum(m.hits for m in after) / sum(m.end_ms - m.start_ms for m in after) if after else 0.0
    first_ms = until_ms - BEFORE_REFUSALS_MS
    usual = pace(found, until_ms - max(step, LAG_MS))
    if usual is None:
        usual = sum(weigh(cell) for cell in cells if cell.period == "before") / (ledger.before_minutes * 60_000)
    if usual <= 0 or now < LEAST_GROWTH * usual:
        return None
    # Refused calls come again: the rise that led there was smaller than what demand is by now.
    jump = jumped([m for m in found if m.start_ms >= first_ms - 3 * step], usual, math.sqrt(usual * now))
    if jump is None or jump[1] < LEAST_SCORE or not first_ms <= jump[0] <= until_ms:
        return None
    return jump[0]


def _weight(cells: Sequence[Cell], measure: Measure) -> Callable[[Cell], float]:
    """Demand of a cell in units that scatter like counts: half calls, or half as many tokens as a call usually has."""
    if measure == "calls":
        return lambda cell: cell.calls / TRAFFIC_DISPERSION
    sized: dict[bool, list[int]] = {True: [0, 0], False: [0, 0]}
    for cell in cells:
        if cell.ok:
            row = sized[cell.period == "before"]
            row[0] += cell.total_tokens
            row[1] += cell.calls
    usual = sized[True][0] / max(1, sized[True][1]) or 1.0
    now = sized[False][0] / max(1, sized[False][1])
    # Refused calls are logged with 0 tokens; they would have had as many as those that were answered.
    return lambda cell: (cell.total_tokens + (0 if cell.ok else cell.calls * now)) / (TRAFFIC_DISPERSION * usual)
