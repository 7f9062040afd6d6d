"""Causes that fail nothing: demand that rose or fell, and users who reject answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from llmops_cli.evidence import Message, Observation, Thresholds, Where
from llmops_cli.report import CauseRow
from llmops_cli.sop import traffic
from llmops_cli.sop.ledger import Ledger
from llmops_cli.sop.localize import Cause, Leaf, localize
from llmops_cli.sop.measured import Counts, Measured, in_order, inside
from llmops_cli.sop.scope import Group, smallest
from llmops_cli.sop.significance import share_likelihood

DEMAND_TIMES, DEMAND_CALLS = 1.5, 20
"""Demand counts as changed at half as much again (or two thirds), and at this many calls: load is rarely steady."""

PREFER = ("app", "module", "model", "workspace")


# --- ratings ---------------------------------------------------------------------------------------------------------


def negative(observation: Observation, data: Measured) -> list[CauseRow]:
    """Find where ratings turned negative; `calls` of such a row are ratings, and `failures` negative ones."""
    now: dict[Where, list[int]] = defaultdict(lambda: [0, 0])
    before: dict[Where, list[int]] = defaultdict(lambda: [0, 0])
    for row in observation.feedback:
        if row.period != "between":
            pair = (now if row.period == "now" else before)[row.where]
            pair[0] += row.up + row.down
            pair[1] += row.down
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
    return [_negative_row(replace(found[0], where=named), now, before)]


def _negative_row(cause: Cause, now: Mapping[Where, Sequence[int]], before: Mapping[Where, Sequence[int]]) -> CauseRow:
    def split(period: Mapping[Where, Sequence[int]], *, within: bool) -> tuple[int, int]:
        pairs = [pair for where, pair in period.items() if inside(where, cause.where) is within]
        return sum(ratings for ratings, _ in pairs), sum(down for _, down in pairs)

    ratings, down = split(now, within=True)
    other, other_down = split(now, within=False)
    was, was_down = split(before, within=True)
    return CauseRow(
        where=in_order(cause.where),
        explains=cause.explains,
        confidence=cause.confidence,
        calls=ratings,
        failures=down,
        failure_rate=down / ratings if ratings else None,
        elsewhere_failure_rate=other_down / other if other else None,
        family="negative_feedback",
        measure="negative",
        baseline_failure_rate=was_down / was if was else None,
    )


# --- demand -----------------------------------------------------------------------------------------------------------


def demand(observation: Observation, data: Measured) -> list[CauseRow]:
    """Where calls rose, or fell, against the baseline.

    A leaf's calls now are taken as the "failures" among its calls of both periods, half of which were to be expected:
    so a new workspace, and one that fell silent, are as comparable as any other.
    """
    if not data.has_baseline:
        return []
    nothing = Counts()
    pairs = {
        where: (data.now.get(where, nothing).calls, data.before.get(where, nothing).calls * data.scale)
        for where in data.combinations()
    }
    rows = []
    for rose in (True, False):
        leaves = []
        for where, (now, before) in pairs.items():
            both = now + before
            leaves.append(Leaf(where._asdict(), both, now if rose else before, both, both / 2))
        for cause in localize(leaves):
            within = [pair for where, pair in pairs.items() if inside(where, cause.where)]
            now, before = sum(now for now, _ in within), sum(before for _, before in within)
            more, less = (now, before) if rose else (before, now)
            if more >= DEMAND_TIMES * less and more - less >= DEMAND_CALLS:
                rows.append(_demand_row(cause, now, before))
    rows = rows or _passing(observation, pairs)
    return sorted(rows, key=lambda row: (-row.explains, sorted(row.where.items())))


def _passing(observation: Observation, pairs: Mapping[Where, tuple[float, float]]) -> list[CauseRow]:
    """Take what traffic did in a part of the window, or in a log so quiet that no single combination shows it."""
    rows = []
    for found in traffic.find(Ledger(observation, Thresholds())):
        moved = {where: before - now for where, (now, before) in pairs.items()}
        sign = 1 if found.type == "traffic_drop" else -1
        whole = sum(max(0.0, sign * count) for count in moved.values())
        own = sum(max(0.0, sign * count) for where, count in moved.items() if inside(where, found.scope))
        values = found.evidence[0].values
        rows.append(
            _demand_row(
                Cause(found.scope, own / whole if whole else 0.0, 1 - math.exp(-found.certainty)),
                float(values["calls"] or 0),
                float(values["before_calls"] or 0),
            )
        )
    return rows


def _demand_row(cause: Cause, now: float, before: float) -> CauseRow:
    values = {"calls": round(now), "before": round(before), "change": now / before - 1 if before else None}
    return CauseRow(
        where=in_order(cause.where),
        explains=cause.explains,
        confidence=cause.confidence,
        calls=round(now),
        failures=0,
        failure_rate=None,
        elsewhere_failure_rate=None,
        family="traffic_surge" if now > before else "traffic_drop",
        measure="calls",
        notes=(Message("drill.demand", values),),
    )
