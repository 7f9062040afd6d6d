"""What a drill-down counts: calls, failures by family and slow answers of each combination, now and before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llmops_cli.evidence import DIMENSIONS, Cell, Observation, Where
from llmops_cli.knowledge.errors import classify


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
    """The cells of an observation, summed per combination. `scale` makes baseline counts as long as the window."""

    now: Mapping[Where, Counts]
    before: Mapping[Where, Counts]
    has_baseline: bool
    scale: float

    def combinations(self) -> Sequence[Where]:
        """Every combination that was seen now or before, sorted."""
        return sorted(self.now.keys() | self.before.keys())


def measured(observation: Observation) -> Measured:
    """Sum the cells of the window and of its baseline; those between the two belong to neither."""
    now: dict[Where, Counts] = defaultdict(Counts)
    before: dict[Where, Counts] = defaultdict(Counts)
    for cell in observation.cells:
        if cell.period == "between":
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
    span = observation.window.baseline
    read = span.end_ms - max(span.start_ms, observation.read_from_ms) if span else 0
    scale = observation.window.span.ms / read if read > 0 else 1.0
    return Measured(now, before, observation.before is not None and bool(before), scale)


def family_of(cell: Cell) -> str:
    """Error family of a cell that failed."""
    return classify(cell.status_code, cell.error_code, cell.error_message).family


def inside(where: Where, cause: Mapping[str, str]) -> bool:
    """Whether a combination of all four values lies in a cause."""
    return all(getattr(where, dimension) == value for dimension, value in cause.items())


def in_order(where: Mapping[str, str]) -> dict[str, str]:
    """Name the values of a combination in the order of the dimensions."""
    return {dimension: where[dimension] for dimension in DIMENSIONS if dimension in where}
