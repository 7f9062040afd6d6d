"""How much evidence is enough: bounds on a rate, and the stretch of a timeline that stands out most.

A timeline is scanned with a likelihood ratio. For any fixed alternative the chance that noise reaches a ratio of
exp(score) is at most exp(-score), so a score of 24 stays rare (4e-11) after the few hundred million combinations of
scope, stretch and alternative that a month of looking tries. Sources: Kulldorff's scan statistic (1997), and Wald's
bound on sequential likelihood ratios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Stretch(NamedTuple):
    """Slots `[start, end)` of a timeline and the log-likelihood ratio they gather; `level` is the alternative tried."""

    start: int
    end: int
    score: float
    level: float


def wilson(hits: float, trials: float, z: float) -> tuple[float, float]:
    """Bounds of a share, 0..1, at `z` standard deviations; (0, 1) without trials. Source: Wilson (1927)."""
    if trials <= 0:
        return 0.0, 1.0
    share, spread = hits / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / trials / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def certain(hits: float, trials: float, usual: float) -> float:
    """Log-likelihood ratio of a share against `usual`; 0 unless it is larger."""
    if trials <= 0 or hits <= usual * trials:
        return 0.0
    return _share_likelihood(hits, trials, hits / trials) - _share_likelihood(hits, trials, usual)


def share_likelihood(hits: float, trials: float) -> float:
    """Log-likelihood of a share at its best guess."""
    return _share_likelihood(hits, trials, hits / trials) if trials > 0 else 0.0


def count_likelihood(count: float, expected: float) -> float:
    """Log-likelihood of a Poisson count when its mean is a free multiple of `expected`."""
    if count <= 0 or expected <= 0:
        return 0.0
    return count * math.log(count / expected) - count


def _share_likelihood(hits: float, trials: float, share: float) -> float:
    gain = 0.0
    if hits > 0:
        gain += hits * math.log(max(share, 1e-12))
    if trials > hits:
        gain += (trials - hits) * math.log(max(1 - share, 1e-12))
    return gain


LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.96)
"""Shares that a scan tries as "what it has become"; those not clearly above the usual share are left out."""


def standing_out(hits: Sequence[float], trials: Sequence[float], usual: float, last: int) -> Stretch | None:
    """Find the stretch, reaching slot `last` or later, whose share of hits stands out most above `usual`.

    None when nothing is above it. The slots from `last` on need not stand out on their own account.
    """
    best: Stretch | None = None
    for level in LEVELS:
        if level < 1.5 * usual:
            continue
        gain, loss = math.log(level / usual), math.log((1 - level) / (1 - usual))
        drop = gain - loss
        found = heaviest([h * drop + t * loss for h, t in zip(hits, trials, strict=True)], last, level)
        if found is not None and (best is None or found.score > best.score):
            best = found
    return best


def heaviest(weights: Sequence[float], last: int, level: float = 0.0) -> Stretch | None:
    """Find the stretch `[start, end)` with the largest positive sum among those with `end > last`."""
    best: Stretch | None = None
    total, start = 0.0, 0
    for slot, weight in enumerate(weights):
        if total <= 0:
            total, start = 0.0, slot
        total += weight
        if slot >= last and total > 0 and (best is None or total > best.score):
            best = Stretch(start, slot + 1, total, level)
    return best
