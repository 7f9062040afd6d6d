"""Who pushes demand on a resource: the combination whose calls (or tokens) rose most, if one stands out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from llmops_cli.evidence import DIMENSIONS, Where
from llmops_cli.knowledge.thresholds import DRIVER_SHARE, LEAST_RISE, OUTGROWN, OUTGROWN_Z, TRAFFIC_DISPERSION
from llmops_cli.report import Driver
from llmops_cli.sop.ledger import Ledger, inside

Measure = Literal["calls", "tokens"]
Key = tuple[tuple[int, str], ...]
NEARLY_ALL = 0.12
"""A further dimension may leave out this part of the rise at most."""
RIVAL_SHARE = 0.05
"""Whoever brings this part of the rise is somebody to be compared with."""
SAYS_MORE = 0.08
"""And must set the driver apart from ordinary demand by this much more."""


class Growth(NamedTuple):
    """Demand of one combination: in the incident, and as much time's worth of the baseline; and by how many calls."""

    now: float
    before: float
    calls: float
    before_calls: float

    @property
    def rise(self) -> float:
        """What came on top."""
        return self.now - self.before


def growth(ledger: Ledger, scope: Mapping[str, str], start_ms: int, measure: Measure) -> dict[Where, Growth]:
    """Demand of each combination in a scope since a time, against the baseline; {} without one.

    Refused calls are logged with 0 tokens: each counts as many tokens as an answered call of the same combination.
    """
    minutes, before_minutes = (ledger.span.end_ms - start_ms) / 60_000, ledger.before_minutes
    if minutes <= 0 or not before_minutes:
        return {}
    sums: dict[Where, list[float]] = defaultdict(lambda: [0.0] * 6)
    for cell in ledger.within(scope):
        if cell.bucket_ms >= start_ms and cell.period != "before":
            place = 0
        elif cell.period == "before":
            place = 3
        else:
            continue
        row = sums[cell.where]
        row[place] += cell.calls
        if cell.total_tokens or cell.ok:
            row[place + 1] += cell.total_tokens
            row[place + 2] += cell.calls
    answer = {}
    for where, (calls, tokens, sized, before_calls, before_tokens, before_sized) in sums.items():
        scale = minutes / before_minutes
        if measure == "calls":
            answer[where] = Growth(calls, before_calls * scale, calls, before_calls)
            continue
        size = tokens / sized if sized else before_tokens / before_sized if before_sized else 0.0
        answer[where] = Growth(tokens + size * (calls - sized), before_tokens * scale, calls, before_calls)
    return answer


def drivers(ledger: Ledger, scope: Mapping[str, str], start_ms: int, measure: Measure) -> tuple[Driver, ...]:
    """Name who drives a rise; () when demand did not rise, or everyone's rose alike."""
    by_where = growth(ledger, scope, start_ms, measure)
    whole = _sum(by_where.values())
    if whole.rise < LEAST_RISE * max(whole.before, 1.0) or whole.calls < 10:
        return ()
    best, share = _standing_out(by_where, whole, [place for place, name in enumerate(DIMENSIONS) if name not in scope])
    if not best:
        return ()
    where = {DIMENSIONS[place]: value for place, value in best}
    calls = by_where if measure == "calls" else growth(ledger, scope, start_ms, "calls")
    more = [sum(part.rise for one, part in of.items() if inside(one, where)) for of in (calls, by_where)]
    tokens = max(0, round(more[1])) if measure == "tokens" else 0
    return (Driver(where, max(0, round(more[0])), min(1.0, share), tokens),)


def _standing_out(by_where: Mapping[Where, Growth], whole: Growth, free: Sequence[int]) -> tuple[Key, float]:
    """Find who brings more of the rise than of the demand before; further dimensions must say clearly more."""
    best: Key = ()
    best_surplus = best_share = 0.0
    for width in range(1, len(free) + 1):
        parts = _parts(by_where, free, width)
        for key, part in parts.items():
            share = part.rise / whole.rise
            surplus = share - (part.before / whole.before if whole.before else 0.0)
            if share < DRIVER_SHARE or surplus <= 0 or not _outgrew_everyone(key, parts, whole):
                continue
            if best and len(best) < width and not (set(best) < set(key) and share > best_share - NEARLY_ALL):
                continue
            if surplus > best_surplus + (SAYS_MORE if len(best) < width and best else 0.0):
                best, best_surplus, best_share = key, surplus, share
    return best, best_share


def _outgrew_everyone(key: Key, parts: Mapping[Key, Growth], whole: Growth) -> bool:
    """Tell whether a part grew clearly more than all the rest did, and than each other one that brings calls too.

    The rest alone would not do: where one caller falls silent, all the others outgrow it.
    """
    part = parts[key]
    rest = Growth(*(all_of - own for all_of, own in zip(whole, part, strict=True)))
    if rest.before_calls < 1 and rest.calls < 1:  # a part that is all there is has nobody to outgrow
        return False
    pattern = [place for place, _ in key]
    rivals = [
        other
        for theirs, other in parts.items()
        if theirs != key and other.rise >= RIVAL_SHARE * whole.rise and [place for place, _ in theirs] == pattern
    ]
    return all(_outgrew(part, other) for other in (rest, *rivals))


def _outgrew(part: Growth, other: Growth) -> bool:
    ratio = (part.now / max(part.before, part.now / 1000)) / (max(other.now, 1.0) / max(other.before, 1.0))
    counts = (part.calls, part.before_calls, other.calls, other.before_calls)
    scatter = math.sqrt(sum(TRAFFIC_DISPERSION / max(1.0, count) for count in counts))
    return math.log(ratio) >= max(math.log(OUTGROWN), OUTGROWN_Z * scatter)


def _sum(parts: Iterable[Growth]) -> Growth:
    return Growth(*map(sum, zip(*parts, strict=True))) if (parts := list(parts)) else Growth(0, 0, 0, 0)


def _parts(by_where: Mapping[Where, Growth], free: Sequence[int], width: int) -> dict[Key, Growth]:
    groups: dict[Key, list[Growth]] = defaultdict(list)
    for pattern in combinations(free, width):
        for where, part in by_where.items():
            groups[tuple((place, where[place]) for place in pattern)].append(part)
    return {key: _sum(parts) for key, parts in groups.items()}
