"""Calls that stopped coming, or came in far larger numbers than before.

Demand is no coin: it follows the hours of the day and comes in clumps. A change must therefore be large, stand out
against the scatter of the baseline itself, last a minute, and be abrupt: compared with what was right before it, not
only with the baseline's mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llmops_cli.evidence import Message
from llmops_cli.knowledge.thresholds import (
    ABRUPT_DROP,
    DROP_RATIO,
    LEAST_EXPECTED,
    SURGE_RATIO,
    SURGE_SHARE,
    TRAFFIC_DISPERSION,
    TRAFFIC_LASTING_MS,
)
from llmops_cli.sop.finding import Finding
from llmops_cli.sop.ledger import Ledger, Row, at, inside, total, values_of
from llmops_cli.sop.onset import jumped, known_from, silent_too
from llmops_cli.sop.onset import pace as pace_before
from llmops_cli.sop.scope import Group, smallest
from llmops_cli.sop.significance import Stretch, count_likelihood, heaviest

LEAST_SCORE = 14.0
DROPS = (0.01, 0.1, 0.3)
SURGES = (3.0, 6.0, 20.0)
AROUND_MS = 600_000
"""How long before a change traffic is compared with, at most."""
GROUPS = 10
"""Pieces of the baseline whose scatter is measured."""


def find(ledger: Ledger) -> list[Finding]:
    """Find a traffic drop or surge; at most one of each."""
    observation = ledger.observation
    if observation.filters.error_code or not ledger.before_minutes or observation.before is None:
        return []
    return [finding for drop in (True, False) if (finding := _change(ledger, drop=drop)) is not None]


def _change(ledger: Ledger, *, drop: bool) -> Finding | None:
    best: tuple[Stretch, dict[str, str]] | None = None
    for scope in values_of(ledger.calls.trials):
        found = _scan(ledger, scope, drop=drop)
        if found is not None and (best is None or found.score > best[0].score):
            best = (found, scope)
    if best is None or best[0].score < _least(ledger):
        return None
    scope = _narrowed(ledger, best[0], drop=drop)
    stretch = _scan(ledger, scope, drop=drop)
    if stretch is None or stretch.score < _least(ledger):
        stretch, scope = best
    return _finding(ledger, scope, stretch, drop=drop) if _real(ledger, scope, stretch, drop=drop) else None


def _least(ledger: Ledger) -> float:
    # Demand has more moods than failures have: a baseline is not distrusted for a mild one.
    return max(0.75, ledger.strictness) * LEAST_SCORE


def _rows(ledger: Ledger, scope: Mapping[str, str]) -> Row:
    return total((row for where, row in ledger.calls.trials.items() if inside(where, scope)), len(ledger.slots))


def _pace(ledger: Ledger, scope: Mapping[str, str]) -> float:
    """Count the baseline's calls per minute."""
    calls = sum(count for where, count in ledger.calls.before_trials.items() if inside(where, scope))
    return calls / ledger.before_minutes


def _scan(ledger: Ledger, scope: Mapping[str, str], *, drop: bool) -> Stretch | None:
    pace = _pace(ledger, scope)
    if pace * (ledger.span.minutes if drop else max(1.0, ledger.span.minutes)) < LEAST_EXPECTED * (1 if drop else 0.2):
        return None
    row = _rows(ledger, scope)
    expected = [pace * slot.minutes for slot in ledger.slots]
    scatter = _dispersion(ledger, row, expected)
    best: Stretch | None = None
    for ratio in DROPS if drop else SURGES:
        gain = math.log(ratio)
        weights = [(n * gain - mu * (ratio - 1)) / scatter for n, mu in zip(row, expected, strict=True)]
        found = heaviest(weights, ledger.first_now, ratio)
        if found is not None and (best is None or found.score > best.score):
            best = found
    return best


def _dispersion(ledger: Ledger, row: Sequence[int], expected: Sequence[float]) -> float:
    """Variance over mean of the baseline's pieces: how much more than chance this traffic scatters."""
    slots = [i for i, slot in enumerate(ledger.slots) if ledger.baseline and slot.end_ms <= ledger.baseline.end_ms]
    if len(slots) < GROUPS:
        return TRAFFIC_DISPERSION
    step = len(slots) // GROUPS
    pieces = [
        (sum(row[i] for i in slots[k : k + step]), sum(expected[i] for i in slots[k : k + step]))
        for k in range(0, step * GROUPS, step)
    ]
    chi = sum((n - mu) ** 2 / mu for n, mu in pieces if mu > 0)
    return max(TRAFFIC_DISPERSION, chi / (GROUPS - 1))


def _narrowed(ledger: Ledger, stretch: Stretch, *, drop: bool) -> dict[str, str]:
    minutes = sum(slot.minutes for slot in ledger.slots[stretch.start : stretch.end])
    groups = [
        Group(
            where,
            ledger.calls.before_trials.get(where, 0) / ledger.before_minutes * minutes,
            at(row, stretch.start, stretch.end),
        )
        for where, row in ledger.calls.trials.items()
    ]
    # A combination without history cannot be a multiple of it; half a call is what it might have had.
    groups = [group._replace(trials=max(group.trials, 0.5)) for group in groups]
    return smallest(
        groups,
        count_likelihood,
        prefer=("app", "module", "workspace", "model"),
        dispersion=2 * TRAFFIC_DISPERSION,
        down=drop,
    )


def _real(ledger: Ledger, scope: Mapping[str, str], stretch: Stretch, *, drop: bool) -> bool:
    slots = ledger.slots[stretch.start : stretch.end]
    if slots[-1].end_ms - slots[0].start_ms < TRAFFIC_LASTING_MS:
        return False
    row = _rows(ledger, scope)
    calls, minutes = at(row, stretch.start, stretch.end), sum(slot.minutes for slot in slots)
    expected = _pace(ledger, scope) * minutes
    if drop and (calls > DROP_RATIO * expected or expected - calls < LEAST_EXPECTED / 2):
        return False
    if not drop:
        everything = sum(ledger.calls.before_trials.values()) / ledger.before_minutes * minutes
        if calls < SURGE_RATIO * expected or calls - expected < SURGE_SHARE * everything:
            return False
    around = [i for i in range(stretch.start) if slots[0].start_ms - ledger.slots[i].start_ms <= AROUND_MS]
    if not around:
        return True
    before = sum(row[i] for i in around) / sum(ledger.slots[i].minutes for i in around)
    now = calls / minutes
    return now <= ABRUPT_DROP * before if drop else before <= ABRUPT_DROP * now


def _finding(ledger: Ledger, scope: Mapping[str, str], stretch: Stretch, *, drop: bool) -> Finding:
    slots = ledger.slots[stretch.start : stretch.end]
    row, pace = _rows(ledger, scope), _pace(ledger, scope)
    minutes = sum(slot.minutes for slot in slots)
    calls, expected = at(row, stretch.start, stretch.end), pace * minutes
    began_ms = calls_jumped(ledger, scope, stretch, pace / 60_000, calls / minutes / 60_000)
    started_ms, before_ms = known_from(ledger, began_ms, 2 * ledger.observation.bucket_ms)
    values: dict[str, str | int | float | None] = {
        "calls": calls,
        "before_calls": round(expected),
        "change": calls / expected - 1 if expected else None,
    }
    gone = drop and not scope and calls <= 0.1 * expected
    return Finding(
        type="traffic_drop" if drop else "traffic_surge",
        scope=scope,
        severity="critical" if gone else "warning",
        started_ms=started_ms,
        started_before_ms=before_ms,
        evidence=[Message("evidence.traffic", values)],
        calls=calls,
        certainty=stretch.score,
    )


def calls_jumped(ledger: Ledger, scope: Mapping[str, str], stretch: Stretch, usual: float, now: float) -> int:
    """When the calls of a scope changed to `now` (per ms) around a stretch: from what was right before, or `usual`."""
    start_ms, step = ledger.slots[stretch.start].start_ms, ledger.observation.bucket_ms
    found = silent_too(ledger, ledger.within(scope), ledger.start_ms, lambda cell: cell.calls)
    last_ms = ledger.slots[stretch.end - 1].end_ms
    found = [moment for moment in found if moment.end_ms <= last_ms]
    local = pace_before(found, start_ms - 2 * step) or usual
    jump = jumped([m for m in found if m.start_ms >= start_ms - AROUND_MS - 2 * step], local, now)
    return start_ms if jump is None else jump[0]
