"""What a drill-down counts: calls, failures by family and slow answers of each combination, now and before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llmops_cli.evidence import DIMENSIONS, Observation, Where
from llmops_cli.sop.ledger import family_of


@dataclass(slots=True)
class Counts:
    """Calls of one combination in one period; `failures` by family ("" is all), `slow` of the `ok` ones."""

    calls: int = 0
    ok: int = 0
    slow: int = 0
    total_tokens: int = 0
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Measured:
    """The cells of an observation, summed per combination. `scale` makes baseline counts as long as what is `now`.

    `from_ms`: the buckets from the one on that holds this time are `now`.
    """

    now: Mapping[Where, Counts]
    before: Mapping[Where, Counts]
    has_baseline: bool
    scale: float
    from_ms: int

    def combinations(self) -> Sequence[Where]:
        """Every combination that was seen now or before, sorted."""
        return sorted(self.now.keys() | self.before.keys())


def measured(observation: Observation, from_ms: int | None = None) -> Measured:
    """Sum the cells of the window, from a time on, and of its baseline; those between the two belong to neither."""
    now: dict[Where, Counts] = defaultdict(Counts)
    before: dict[Where, Counts] = defaultdict(Counts)
    start_ms = _bucket(observation, from_ms)
    for cell in observation.cells:
        if cell.period == "between" or (cell.period == "now" and cell.bucket_ms < start_ms):
            continue
        counts = (now if cell.period == "now" else before)[cell.where]
        counts.calls += cell.calls
        counts.total_tokens += cell.total_tokens
        if cell.ok:
            counts.ok += cell.calls
            counts.slow += min(cell.slow, cell.calls)
        else:
            counts.failures[family_of(cell)] += cell.calls
            counts.failures[""] += cell.calls
    scale = scale_of(observation, start_ms)
    return Measured(now, before, observation.before is not None and bool(before), scale, start_ms)


def _bucket(observation: Observation, from_ms: int | None) -> int:
    """Return the start of the bucket that holds a time; that of the window for an earlier one, or none."""
    start_ms = observation.window.span.start_ms
    if from_ms is None or from_ms <= start_ms:
        return start_ms
    return from_ms - (from_ms - start_ms) % observation.bucket_ms


def scale_of(observation: Observation, from_ms: int) -> float:
    """Return how many times longer the window is, from a time on, than what was read of its baseline."""
    read = observation.baseline_read_ms
    return (observation.window.span.end_ms - from_ms) / read if read else 1.0


def in_order(where: Mapping[str, str]) -> dict[str, str]:
    """Name the values of a combination in the order of the dimensions."""
    return {dimension: where[dimension] for dimension in DIMENSIONS if dimension in where}
