"""The counts that `localize` searches: leaves as columns of numbers, and the sums of every combination of values.

Nothing here decides; it counts, and it says how many failures each leaf would have had without an incident.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import add, sub
from typing import NamedTuple

Key = tuple[tuple[int, int], ...]
"""A combination as (dimension, value) numbers, ascending by dimension; () is everything."""

Group = tuple[tuple[int, ...], int, float, float]
"""Dimensions, the code of their values (see `Cube.key`), failures, expected failures."""

FLOOR = 0.001
"""Nobody's failure rate is known to be lower than this: without it one failed call of three would be a miracle."""
SHAPE = 3.0
"""How many failures' worth of belief the product of the attributes' rates has against the leaf's own history."""
LEAST_ROOM = 0.02
"""Where nearly every call fails already, this share is still thought to be able to."""
LEAST_EXCESS = 4.0
"""A combination with less than this many failures too many is not looked at: single failures prove nothing."""
LEAST, MOST = 1e-9, 1e12
"""Counts beyond these (and infinities) are cut off: no log has them, and sums with them would no longer be exact."""


@dataclass(frozen=True)
class Leaf:
    """One combination of all dimension values.

    `calls` and `failures` belong to the incident window, the other two to the baseline, scaled to the same length (so
    they need not be whole). Zero is normal everywhere: a new model has no baseline, a stopped one no calls.
    """

    where: Mapping[str, str]
    calls: float
    failures: float
    baseline_calls: float
    baseline_failures: float


class Sums(NamedTuple):
    """What the leaves of one combination add up to.

    `room` is how many calls a rise can still turn into failures; `variance` is that of `expected` itself. `log_rate`
    and `log_rate2` are the expected rate's logarithm and its square, each summed over the failures: with them the
    likelihood of a common rise is known without going back to the leaves (see `likelihood.gain`).
    """

    calls: float
    failures: float
    expected: float
    room: float
    variance: float
    log_rate: float
    log_rate2: float

    def __add__(self, other: Sums) -> Sums:  # type: ignore[override]
        return Sums(*map(add, self, other))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*map(sub, self, other))


class _Cuboid(NamedTuple):
    """All combinations of some dimensions: `places` tells of each leaf where its sums stand in the other lists."""

    dimensions: tuple[int, ...]
    codes: list[int]
    places: list[int]
    failures: list[float]
    expected: list[float]


def _risen(cuboid: _Cuboid, expected: Sequence[float]) -> Iterator[Group]:
    dimensions = cuboid.dimensions
    for code, k, e in zip(cuboid.codes, cuboid.failures, expected, strict=True):
        if k > e + LEAST_EXCESS:
            yield dimensions, code, k, e


Row = tuple[tuple[tuple[str, str], ...], tuple[float, ...]]


def _merged(leaves: Iterable[Leaf]) -> list[Row]:
    """Sort the leaves by where they are, and add up those that are at the same place."""
    rows: list[Row] = sorted(
        (
            tuple(sorted(leaf.where.items())),
            (_count(leaf.calls), _count(leaf.failures), _count(leaf.baseline_calls), _count(leaf.baseline_failures)),
        )
        for leaf in leaves
    )
    merged: list[Row] = []
    for where, numbers in rows:
        if merged and merged[-1][0] == where:
            merged[-1] = where, tuple(map(add, merged[-1][1], numbers))
        else:
            merged.append((where, numbers))
    return merged


def _count(number: float) -> float:
    return min(float(number), MOST) if number > LEAST else 0.0  # NaN compares false, so it is 0 too


class Cube:
    """Leaves in a canonical order (their own order never matters), as one column per dimension and measure."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        rows = _merged(leaves)
        # A leaf with failures and no calls at all is a rounding of the scale: as many calls as failures.
        self.calls = [n or k for _, (n, k, _, _) in rows]
        self.failures = [k for _, (_, k, _, _) in rows]
        self.baseline_calls = [n or k for _, (_, _, n, k) in rows]
        self.baseline_failures = [k for _, (_, _, _, k) in rows]
        self.dimensions = sorted({name for where, _ in rows for name, _ in where}) if rows else []
        self.values: list[list[str]] = []
        self.columns: list[list[int]] = []
        self._members: dict[Key, Sequence[int]] = {(): range(len(rows))}
        wheres = [dict(where) for where, _ in rows]
        for dimension, name in enumerate(self.dimensions):
            self._encode(dimension, [where.get(name) for where in wheres])
        self._sums: dict[Key, Sums] = {}
        self._cuboids: list[_Cuboid] = []
        self.expected, self.variance = self._expectations() if rows else ([], [])
        # Failures are a share of the calls, unless these are other counts (scaled, or demand): then nothing caps them.
        self.shares = all(k <= n for k, n in zip(self.failures, self.calls, strict=True))
        room = zip(self.calls, self.expected, strict=True)
        self.room = [max(n - e, LEAST_ROOM * n) for n, e in room] if self.shares else self.calls
        logs = [math.log(e / n) if n > 0 else 0.0 for e, n in zip(self.expected, self.room, strict=True)]
        self.log_rate = [k * log for k, log in zip(self.failures, logs, strict=True)]
        self.log_rate2 = [k * log for k, log in zip(self.log_rate, logs, strict=True)]

    def _encode(self, dimension: int, column: Sequence[str | None]) -> None:
        """Give the values of one dimension numbers; a leaf without it gets the last number, which is no candidate."""
        values = sorted({value for value in column if value is not None})
        numbers: dict[str | None, int] = {value: number for number, value in enumerate(values)}
        numbers[None] = len(values)
        codes = [numbers[value] for value in column]
        members: list[list[int]] = [[] for _ in range(len(values) + 1)]
        for leaf, value in enumerate(codes):
            members[value].append(leaf)
        self.values.append(values)
        self.columns.append(codes)
        self._members.update({((dimension, value),): inside for value, inside in enumerate(members)})

    def where(self, key: Key) -> dict[str, str]:
        """Return the names and values of a combination."""
        return {self.dimensions[dimension]: self.values[dimension][value] for dimension, value in key}

    def _expectations(self) -> tuple[list[float], list[float]]:
        """Return the expected failures of each leaf, and the variance of that expectation.

        The leaf's own baseline rate, shrunk (as a gamma prior of shape `SHAPE`) towards the product of its attributes'
        rates. A product rather than the overall rate: a bad model in a good workspace is still a bad model.
        """
        product = self._product_rates()
        expected, variance = [], []
        numbers = zip(self.calls, self.baseline_calls, self.baseline_failures, product, strict=True)
        for calls, before, failed, prior in numbers:
            exposure = before + SHAPE / prior
            rate = (failed + SHAPE) / exposure
            expected.append(calls * max(rate, FLOOR))
            variance.append(calls * calls * rate / exposure)
        return expected, variance

    def _product_rates(self) -> list[float]:
        """Baseline rate of each leaf as a product of one factor per attribute value (main effects, two rounds of IPF).

        Without any baseline the calls-weighted median of the present rates stands in for it: what is worse than half
        of the traffic is a candidate. At most 5 %, so that a total outage does not become its own excuse.
        """
        total = sum(self.baseline_calls)
        if total <= 0:
            return [max(FLOOR, min(0.05, self._median_rate()))] * len(self.calls)
        overall = max(FLOOR, (sum(self.baseline_failures) + 0.5) / (total + 1))
        rates = [overall] * len(self.calls)
        for column, values in (*zip(self.columns, self.values, strict=True),) * 2:
            width = len(values) + 1
            failed, predicted = [SHAPE] * width, [SHAPE] * width
            for code, failures, calls, rate in zip(
                column, self.baseline_failures, self.baseline_calls, rates, strict=True
            ):
                failed[code] += failures
                predicted[code] += calls * rate
            factors = [seen / believed for seen, believed in zip(failed, predicted, strict=True)]
            rates = [rate * factors[code] for code, rate in zip(column, rates, strict=True)]
        return [min(max(rate, FLOOR), 1.0) if rate < 1 else max(1.0, overall) for rate in rates]

    def _median_rate(self) -> float:
        ranked = sorted((k / n, n) for k, n in zip(self.failures, self.calls, strict=True) if n > 0)
        half, passed = sum(n for _, n in ranked) / 2, 0.0
        for rate, calls in ranked:
            passed += calls
            if passed >= half:
                return rate
        return 0.0

    def groups(self, most_attributes: int) -> Iterator[Group]:
        """Yield the combinations of one to `most_attributes` values that rose."""
        failing = [(leaf, k) for leaf, k in enumerate(self.failures) if k > 0]
        for width in range(1, most_attributes + 1):
            for dimensions in combinations(range(len(self.dimensions)), width):
                cuboid = self._cuboid(dimensions, failing)
                self._cuboids.append(cuboid)
                yield from _risen(cuboid, cuboid.expected)

    def groups_with(self, more: Mapping[int, float]) -> Iterator[Group]:
        """Yield the same again, where some leaves have `more` expected failures (explained by a cause)."""
        for cuboid in self._cuboids:
            expected = list(cuboid.expected)
            places = cuboid.places
            for leaf, additional in more.items():
                expected[places[leaf]] += additional
            yield from _risen(cuboid, expected)

    def _cuboid(self, dimensions: tuple[int, ...], failing: Sequence[tuple[int, float]]) -> _Cuboid:
        codes = self.columns[dimensions[0]]
        for dimension in dimensions[1:]:
            size = len(self.values[dimension]) + 1
            codes = [code * size + value for code, value in zip(codes, self.columns[dimension], strict=True)]
        distinct = sorted(set(codes))
        places = list(map(dict(zip(distinct, range(len(distinct)), strict=True)).__getitem__, codes))
        failures, expected = [0.0] * len(distinct), [0.0] * len(distinct)
        for leaf, k in failing:
            failures[places[leaf]] += k
        for place, e in zip(places, self.expected, strict=True):
            expected[place] += e
        return _Cuboid(dimensions, distinct, places, failures, expected)

    def key(self, dimensions: tuple[int, ...], code: int) -> Key | None:
        """Return the combination of a group, None when it is made of leaves that lack one of the dimensions."""
        key: list[tuple[int, int]] = []
        for dimension in reversed(dimensions):
            size = len(self.values[dimension])
            code, value = divmod(code, size + 1) if dimension != dimensions[0] else (0, code)
            if value == size:
                return None
            key.append((dimension, value))
        return tuple(reversed(key))

    def members(self, key: Key) -> Sequence[int]:
        """Numbers of the leaves inside a combination, ascending."""
        known = self._members.get(key)
        if known is None:
            *rest, (dimension, value) = key
            column = self.columns[dimension]
            known = self._members[key] = [leaf for leaf in self.members(tuple(rest)) if column[leaf] == value]
        return known

    def sums(self, key: Key) -> Sums:
        """Return what the leaves inside a combination add up to."""
        known = self._sums.get(key)
        if known is None:
            inside = self.members(key)
            counted = (self.calls, self.failures, self.expected, self.room)
            columns = (*counted, self.variance, self.log_rate, self.log_rate2)
            known = self._sums[key] = Sums(*(sum([column[leaf] for leaf in inside]) for column in columns))
        return known


def both(one: Key, other: Key) -> Key | None:
    """Return the combination of what lies inside both, None when they exclude each other."""
    merged = dict(one)
    for dimension, value in other:
        if merged.setdefault(dimension, value) != value:
            return None
    return tuple(sorted(merged.items()))
