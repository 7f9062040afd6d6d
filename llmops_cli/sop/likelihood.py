"""The likelihoods that `localize` compares: of failures in some leaves, with a common rise and without.

Failures are taken as Poisson counts. That is generous at high rates, where they vary less; real rises vary more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llmops_cli.sop.cube import Sums

ROUNDS = 30
"""Of fitting overlapping causes; each is a few multiplications."""


def gain(sums: Sums, rise: float) -> float:
    """Log-likelihood ratio of a common rise (a share of `room`) in these leaves against none, as Poisson counts.

    That is the sum over leaves of `k ln(1 + rise / rate) - rise * room`. The first term is taken from the mean and the
    variance of ln(rate) over the failures: exact for a small and for a large rise, close in between.
    """
    k = sums.failures
    if rise <= 0:
        return 0.0
    if k <= 0:
        return -rise * sums.room
    mean = sums.log_rate / k
    variance = min(4.0, max(0.0, sums.log_rate2 / k - mean * mean))
    odds = rise * math.exp(-mean)
    share = odds / (1 + odds)
    return k * (math.log1p(odds) + 0.5 * variance * share * (1 - share)) - rise * sums.room


def simple_gain(failures: float, expected: float) -> float:
    """Log-likelihood ratio of a rise in leaves of equal rates; 0 where there is none."""
    if failures <= expected or expected <= 0:
        return 0.0
    return failures * math.log(failures / expected) - (failures - expected)


def certain_gain(failures: float, expected: float, variance: float) -> float:
    """`simple_gain` when the expectation is itself a guess: a gamma mixture of Poissons, so negative binomial."""
    if failures <= expected or expected <= 0 or variance <= expected * expected * 1e-9:
        return simple_gain(failures, expected)
    shape = expected * expected / variance
    return failures * math.log(failures / expected) - (failures + shape) * math.log(
        (failures + shape) / (expected + shape)
    )


def fit(atoms: Mapping[int, Sums], causes: int, *, shares: bool) -> tuple[float, tuple[float, ...]]:
    """Maximum likelihood of non-negative rises, and its gain over no rise.

    Two causes that hit the same call fail it once: their rises multiply as `1 - (1 - a)(1 - b)` where failures are
    shares of the calls, and add up where they are not.
    """
    bits = [1 << bit for bit in range(causes)]
    rises = [_alone(atoms.get(bit)) for bit in bits]
    overlapping = [mask for mask in atoms if mask & (mask - 1)]
    if overlapping:
        rises = [min(rise or 0.01, 0.999) if shares else rise or 0.01 for rise in rises]
        parts = [(sums, [bit for bit in range(causes) if mask >> bit & 1]) for mask, sums in atoms.items()]
        for _ in range(ROUNDS):
            blamed, weights = [1e-12] * causes, [1e-12] * causes
            for sums, members in parts:
                together = _joined([rises[bit] for bit in members], shares=shares)
                seen = max(0.0, sums.failures) / (sums.expected + together * sums.room)
                for bit in members:
                    weight = sums.room * (1 - together) / (1 - rises[bit]) if shares else sums.room
                    blamed[bit] += seen * weight
                    weights[bit] += weight
            rises = [rise * part / weight for rise, part, weight in zip(rises, blamed, weights, strict=True)]
            if shares:
                rises = [min(rise, 0.999) for rise in rises]
    total = sum(
        gain(sums, _joined([rises[bit] for bit in range(causes) if mask >> bit & 1], shares=shares))
        for mask, sums in atoms.items()
    )
    return total, tuple(rises)


def _alone(sums: Sums | None) -> float:
    return max(0.0, (sums.failures - sums.expected) / sums.room) if sums else 0.0


def _joined(rises: Sequence[float], *, shares: bool) -> float:
    if len(rises) == 1:
        return rises[0]
    return 1 - math.prod([1 - rise for rise in rises]) if shares else sum(rises)
