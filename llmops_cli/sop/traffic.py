"""Calls that stopped coming, or came in far larger numbers than before.

Demand is no coin: it follows the hours of the day and comes in clumps. A change must therefore be large, stand out
against the scatter of the baseline itself, last a minute, and be abrupt: compared with what was right before it, not
only with the baseline's mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llmops_cli.evidence import DIMENSIONS, Message, Where
from llmops_cli.knowledge.sentences import scope_text
from llmops_cli.knowledge.thresholds import (
    ABRUPT_DROP,
    DROP_RATIO,
    LEAST_EXPECTED,
    SURGE_RATIO,
    SURGE_SHARE,
    TRAFFIC_DISPERSION,
    TRAFFIC_LASTING_MS,
)
from llmops_cli.sop.finding import Finding, clock
from llmops_cli.sop.ledger import Ledger, Row, at, total, values_of
from llmops_cli.sop.onset import jumped, known_from, silent_too
from llmops_cli.sop.onset import pace as pace_before
from llmops_cli.sop.scope import Group, smallest
from llmops_cli.sop.significance import Stretch, count_likelihood, heaviest

LEAST_SCORE = 14.0
DROPS = (0.01, 0.1, 0.3)
SURGES = (3.0, 6.0, 20.0)
AROUND_MS = 600_000
"""How long before a change traffic is compared with, at most."""
GONE = 0.1
"""A drop below this part leaves silence, and silence begins after a last call."""
LEAST_CALLS = 4
LEAST_WITNESSES = 4
MADE_UP_FOR = 0.7
"""Part of a change that another value brings when the calls only moved there."""
BACK_RATIO = 0.7
"""Of the usual pace: demand that came back has a mood, too."""
GROUPS = 10
"""Pieces of the baseline whose scatter is measured."""


def find(ledger: Ledger) -> list[Finding]:
    """Find a traffic drop or surge; at most one of each."""
    observation = ledger.observation
    if observation.filters.error_code or observation.before is None:
        return []
    # A baseline of which the log holds a few seconds has calls, and no pace.
    if ledger.before_minutes * 60_000 < TRAFFIC_LASTING_MS or observation.before.calls < LEAST_EXPECTED:
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
    return total((ledger.calls.trials[where] for where in ledger.calls.members(scope)), len(ledger.slots))


def _pace(ledger: Ledger, scope: Mapping[str, str]) -> float:
    """Count the baseline's calls per minute."""
    before = ledger.calls.before_trials
    return sum(before[where] for where in ledger.calls.members(scope, before=True)) / ledger.before_minutes


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
    if _moved(ledger, scope, stretch, calls - expected):
        return False
    if not drop:
        everything = sum(ledger.calls.before_trials.values()) / ledger.before_minutes * minutes
        if calls < SURGE_RATIO * expected or calls - expected < SURGE_SHARE * everything:
            return False
    return _abrupt(ledger, row, stretch, drop=drop)


def _moved(ledger: Ledger, scope: Mapping[str, str], stretch: Stretch, change: float) -> bool:
    """Tell a change that another value of the same dimension made up for: an application was given another model."""
    if len(scope) != 1:
        return False
    ((name, own),) = scope.items()
    minutes = sum(slot.minutes for slot in ledger.slots[stretch.start : stretch.end])
    others = {where[DIMENSIONS.index(name)] for where in ledger.calls.trials} - {own}
    for value in others:
        other = {name: value}
        opposite = _pace(ledger, other) * minutes - at(_rows(ledger, other), stretch.start, stretch.end)
        if opposite * change > 0 and abs(opposite) >= MADE_UP_FOR * abs(change):
            return True
    return False


def _abrupt(ledger: Ledger, row: Row, stretch: Stretch, *, drop: bool) -> bool:
    """Compare the ten minutes after a change with the ten before it; True where nothing is known of those."""
    start_ms = ledger.slots[stretch.start].start_ms
    before = [i for i in range(stretch.start) if start_ms - ledger.slots[i].start_ms <= AROUND_MS]
    # The first slot may hold some of both.
    first = min(stretch.start + 1, stretch.end - 1)
    after = [i for i in range(first, stretch.end) if ledger.slots[i].end_ms - start_ms <= AROUND_MS] or [first]
    if not before:
        return True
    was, became = (sum(row[i] for i in side) / sum(ledger.slots[i].minutes for i in side) for side in (before, after))
    return became <= ABRUPT_DROP * was if drop else was <= ABRUPT_DROP * became


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
        "scope": scope_text(scope) if scope else None,
    }
    back = _back(ledger, row, pace, stretch) if drop else None
    gone = drop and not scope and calls <= 0.1 * expected and back is None
    return Finding(
        type="traffic_drop" if drop else "traffic_surge",
        scope=scope,
        severity="critical" if gone else "warning",
        started_ms=started_ms,
        started_before_ms=before_ms,
        evidence=[Message("evidence.traffic", values), *((back,) if back else ())],
        calls=calls,
        certainty=stretch.score,
    )


def _back(ledger: Ledger, row: Row, pace: float, stretch: Stretch) -> Message | None:
    """Say since when the calls of a scope are what they were; None while they are not, or that cannot be told."""
    minutes = sum(slot.minutes for slot in ledger.slots[stretch.end :])
    calls = sum(row[stretch.end :])
    if minutes * 60_000 < TRAFFIC_LASTING_MS or calls < max(LEAST_EXPECTED / 2, BACK_RATIO * pace * minutes):
        return None
    return Message("evidence.traffic_back", {"since": clock(ledger.window, ledger.slots[stretch.end].start_ms)})


def calls_jumped(ledger: Ledger, scope: Mapping[str, str], stretch: Stretch, usual: float, now: float) -> int:
    """When the calls of a scope changed to `now` (per ms) around a stretch: from what was right before, or `usual`."""
    start_ms, step = ledger.slots[stretch.start].start_ms, ledger.observation.bucket_ms
    found = silent_too(ledger, ledger.within(scope), ledger.start_ms, lambda cell: cell.calls)
    last_ms = ledger.slots[stretch.end - 1].end_ms
    found = [moment for moment in found if moment.end_ms <= last_ms]
    local = pace_before(found, start_ms - 2 * step) or usual
    jump = jumped([m for m in found if m.start_ms >= start_ms - AROUND_MS - 2 * step], local, now)
    began_ms = start_ms if jump is None else jump[0]
    if now > GONE * usual:
        return began_ms
    mixed = next((moment for moment in found if moment.start_ms <= began_ms < moment.end_ms), None)
    return _fell_silent(ledger, scope, mixed.start_ms) or began_ms if mixed else began_ms


def _fell_silent(ledger: Ledger, scope: Mapping[str, str], bucket_ms: int) -> int | None:
    """Say when the combinations of a scope fell silent inside a bucket: the middle of when each one's next was due."""
    calls: dict[Where, int] = {}
    first: dict[Where, int] = {}
    last: dict[Where, int] = {}
    for cell in ledger.within(scope):
        if cell.bucket_ms == bucket_ms:
            where = cell.where
            calls[where] = calls.get(where, 0) + cell.calls
            first[where] = min(cell.first_ms, first.get(where, cell.first_ms))
            last[where] = max(cell.last_ms, last.get(where, cell.last_ms))
    due = sorted(last[w] + (last[w] - first[w]) // (calls[w] - 1) // 2 for w in calls if calls[w] >= LEAST_CALLS)
    return due[len(due) // 2] if len(due) >= LEAST_WITNESSES else None
