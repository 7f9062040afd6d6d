"""Causes that fail nothing: demand that rose or fell, and users who reject answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from llmops_cli.evidence import Observation, Where
from llmops_cli.report import CauseRow
from llmops_cli.sop.ledger import inside
from llmops_cli.sop.localize import Cause, Leaf, localize
from llmops_cli.sop.measured import Counts, Measured, in_order
from llmops_cli.sop.scope import Group, smallest
from llmops_cli.sop.significance import share_likelihood

DEMAND_TIMES, DEMAND_CALLS = 1.5, 20
"""Demand counts as changed at half as much again (or two thirds), and at this many calls: load is rarely steady."""

PREFER = ("app", "module", "model", "workspace")


# --- ratings ---------------------------------------------------------------------------------------------------------


def negative(observation: Observation, data: Measured) -> list[CauseRow]:
    """Find where ratings turned negative; `calls` of such a row are ratings, and `failures` negative ones."""
    now, before = _ratings(observation, data)
    leaves = [
        Leaf(where._asdict(), *now[where], *(count * data.scale for count in before[where]))
        for where in sorted(now.keys() | before.keys())
    ]
    found = localize(leaves)
    if not found:
        return []
    # Ratings are few: named by what they belong to, an app and its module, as the incident is.
    groups = [Group(where, *pair) for where, pair in now.items()]
    named = smallest(groups, share_likelihood, prefer=PREFER, cheap=PREFER[:2], dispersion=1.0)
    return [negative_in(observation, data, named, found[0].explains, found[0].confidence)]


def negative_in(
    observation: Observation, data: Measured, scope: Mapping[str, str], explains: float, confidence: float
) -> CauseRow:
    """Compare the ratings of a scope with those elsewhere, and with those before."""
    now, before = _ratings(observation, data)

    def split(period: Mapping[Where, Sequence[int]], *, within: bool) -> tuple[int, int]:
        pairs = [pair for where, pair in period.items() if inside(where, scope) is within]
        return sum(ratings for ratings, _ in pairs), sum(down for _, down in pairs)

    ratings, down = split(now, within=True)
    other, other_down = split(now, within=False)
    was, was_down = split(before, within=True)
    return CauseRow(
        where=in_order(scope),
        explains=explains,
        confidence=confidence,
        calls=ratings,
        failures=down,
        failure_rate=down / ratings if ratings else None,
        elsewhere_failure_rate=other_down / other if other else None,
        family="negative_feedback",
        measure="negative",
        baseline_failure_rate=was_down / was if was else None,
    )


def _ratings(observation: Observation, data: Measured) -> tuple[dict[Where, list[int]], dict[Where, list[int]]]:
    """Ratings, and the negative ones of them, of each combination: now and before."""
    now: dict[Where, list[int]] = defaultdict(lambda: [0, 0])
    before: dict[Where, list[int]] = defaultdict(lambda: [0, 0])
    for row in observation.feedback:
        if row.period == "before" or (row.period == "now" and row.bucket_ms >= data.from_ms):
            pair = (now if row.period == "now" else before)[row.where]
            pair[0] += row.up + row.down
            pair[1] += row.down
    return now, before


# --- demand -----------------------------------------------------------------------------------------------------------


def demand(data: Measured) -> list[CauseRow]:
    """Where calls rose, or fell, against the baseline.

    A leaf's calls now are taken as the "failures" among its calls of both periods, half of which were to be expected:
    so a new workspace, and one that fell silent, are as comparable as any other.
    """
    if not data.has_baseline:
        return []
    pairs = _pairs(data)
    rows = []
    for rose in (True, False):
        leaves = []
        for where, (now, before) in pairs.items():
            both = now + before
            leaves.append(Leaf(where._asdict(), both, now if rose else before, both, both / 2))
        for cause in localize(leaves):
            now, before = _within(pairs, cause.where)
            more, less = (now, before) if rose else (before, now)
            if more >= DEMAND_TIMES * less and more - less >= DEMAND_CALLS:
                kind = "traffic_surge" if now > before else "traffic_drop"
                rows.append(_demand_row(cause, now, kind))
    return sorted(rows, key=lambda row: (-row.explains, sorted(row.where.items())))


def demand_of(data: Measured, scope: Mapping[str, str], kind: str, confidence: float) -> CauseRow:
    """Compare the demand of a scope, of which an incident of type `kind` tells, with what it was."""
    pairs = _pairs(data)
    sign = -1 if kind == "traffic_drop" else 1
    moved = {where: max(0.0, sign * (now - before)) for where, (now, before) in pairs.items()}
    whole, own = sum(moved.values()), sum(count for where, count in moved.items() if inside(where, scope))
    return _demand_row(Cause(scope, own / whole if whole else 1.0, confidence), _within(pairs, scope)[0], kind)


def _pairs(data: Measured) -> dict[Where, tuple[float, float]]:
    """Count the calls of each combination now, and in as much time before."""
    nothing = Counts()
    return {
        where: (data.now.get(where, nothing).calls, data.before.get(where, nothing).calls * data.scale)
        for where in data.combinations()
    }


def _within(pairs: Mapping[Where, tuple[float, float]], scope: Mapping[str, str]) -> tuple[float, float]:
    found = [pair for where, pair in pairs.items() if inside(where, scope)]
    return sum(now for now, _ in found), sum(before for _, before in found)


def _demand_row(cause: Cause, now: float, kind: str) -> CauseRow:
    return CauseRow(
        where=in_order(cause.where),
        explains=cause.explains,
        confidence=cause.confidence,
        calls=round(now),
        failures=0,
        failure_rate=None,
        elsewhere_failure_rate=None,
        family=kind,
        measure="calls",
    )
