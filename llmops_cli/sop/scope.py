"""Where an incident is: the smallest combination of app, module, model and workspace that contains it.

Every combination of values that hits share is tried as "inside" against the rest as "outside", each with a share of
its own; a dimension must earn its place, and goes again when its siblings are hit alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from llmops_cli.evidence import DIMENSIONS, Where

PRICE = 4.0
"""What a dimension must gain in log-likelihood: some fifty values to choose from."""
CHEAP = 0.5
"""The price of a dimension that names such an incident by its nature (ratings belong to an app and its module)."""
ALIKE = 0.5
"""Siblings hit at this fraction of a scope's own share are hit alike: the scope is wider than it looked."""
LEAST_SHARE = 0.03
"""A value with a smaller share of all hits is no candidate: it keeps a log with thousands of workspaces quick."""

Likelihood = Callable[[float, float], float]
Key = tuple[tuple[int, str], ...]

EVERY_PATTERN = tuple(
    pattern for width in range(1, len(DIMENSIONS) + 1) for pattern in combinations(range(len(DIMENSIONS)), width)
)
RESOURCE_PATTERNS = ((2,), (2, 3))
"""A rate limit belongs to a model, or to a model in a workspace."""


class Group(NamedTuple):
    """Hits among trials (or a count against what was expected) of one combination."""

    where: Where
    trials: float
    hits: float


def smallest(
    groups: Iterable[Group],
    likelihood: Likelihood,
    *,
    patterns: Sequence[tuple[int, ...]] = EVERY_PATTERN,
    prefer: Sequence[str] = DIMENSIONS,
    cheap: Sequence[str] = (),
    dispersion: float = 1.5,
    everywhere: bool = True,
    down: bool = False,
) -> dict[str, str]:
    """Name the scope; {} when everything is hit. `likelihood(hits, trials)` at its own best share.

    `prefer`: which dimension (all four, in order) names the scope when several would do; `cheap` ones need little
    evidence. `down`: the share inside is smaller than outside
    (lost traffic), not larger. `everywhere` False: {} is no answer.
    """
    sums, whole = _sums(list(groups), patterns, down)
    alone = likelihood(whole[1], whole[0])
    best: Key = ()
    best_gain = 0.0 if everywhere else -1e18
    for key, (trials, hits) in sums.items():
        rest_trials, rest_hits = whole[0] - trials, max(0.0, whole[1] - hits)
        if rest_trials > 0 and trials > 0 and _worse(rest_hits / rest_trials, hits / trials, down=down):
            continue
        gain = likelihood(hits, trials) + likelihood(rest_hits, rest_trials) - alone
        gain = gain / dispersion - _price(key, prefer, cheap)
        if gain > best_gain + 1e-9:
            best, best_gain = key, gain
    while best:
        wider = _wider(best, sums, whole, patterns, everywhere=everywhere, down=down)
        if wider is None:
            break
        best = wider
    return {DIMENSIONS[dimension]: value for dimension, value in best}


def _worse(outside: float, inside: float, *, down: bool) -> bool:
    return outside <= inside if down else outside >= inside


def _price(key: Key, prefer: Sequence[str], cheap: Sequence[str]) -> float:
    names = [DIMENSIONS[dimension] for dimension, _ in key]
    return sum((CHEAP if name in cheap else PRICE) + 0.05 * prefer.index(name) for name in names)


def _sums(
    groups: list[Group], patterns: Sequence[tuple[int, ...]], down: bool
) -> tuple[dict[Key, tuple[float, float]], tuple[float, float]]:
    weight = [group.trials - group.hits if down else group.hits for group in groups]
    most = sum(max(0.0, value) for value in weight)
    by_value: dict[tuple[int, str], float] = defaultdict(float)
    for group, value in zip(groups, weight, strict=True):
        for dimension, name in enumerate(group.where):
            by_value[dimension, name] += value
    eligible = {pair for pair, value in by_value.items() if value >= LEAST_SHARE * most and value > 0}
    merged: dict[tuple[str | None, ...], list[float]] = {}
    for group in groups:
        names = tuple(name if (d, name) in eligible else None for d, name in enumerate(group.where))
        pair = merged.setdefault(names, [0.0, 0.0])
        pair[0] += group.trials
        pair[1] += group.hits
    sums: dict[Key, list[float]] = {}
    for names, (trials, hits) in merged.items():
        for pattern in patterns:
            values = [(dimension, names[dimension]) for dimension in pattern]
            if all(value is not None for _, value in values):
                pair = sums.setdefault(tuple(values), [0.0, 0.0])  # type: ignore[arg-type]
                pair[0] += trials
                pair[1] += hits
    whole = (sum(group.trials for group in groups), sum(group.hits for group in groups))
    return {key: (trials, hits) for key, (trials, hits) in sums.items()}, whole


def _wider(
    key: Key,
    sums: Mapping[Key, tuple[float, float]],
    whole: tuple[float, float],
    patterns: Sequence[tuple[int, ...]],
    *,
    everywhere: bool,
    down: bool,
) -> Key | None:
    """Drop the dimension whose other values are hit most alike; None when each one is needed."""
    trials, hits = sums[key]
    own = 1 - hits / trials if down else hits / trials
    best, best_share = None, ALIKE * own
    for dropped in key:
        parent = tuple(pair for pair in key if pair != dropped)
        if (not parent and not everywhere) or (parent and tuple(d for d, _ in parent) not in patterns):
            continue
        parent_trials, parent_hits = sums[parent] if parent else whole
        siblings, sibling_hits = parent_trials - trials, parent_hits - hits
        if siblings <= 0:
            return parent
        share = 1 - sibling_hits / siblings if down else sibling_hits / siblings
        if share >= best_share:
            best, best_share = parent, share
    return best
