"""Is the baseline itself healthy? An outage compared with itself looks like nothing at all.

How a command steps back: observe; while `is_healthy` says no, observe again with the next of `older_baselines`, until
one is healthy or they run out (then keep the first, and say so). A baseline can also have drifted, quick to fail
nothing but with its traffic gone or its answers slow: observe it as the window, against `probe`, and ask `has_changed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from llmops_cli.evidence import Cell, Observation, Span, Thresholds
from llmops_cli.sop import failures, feedback, latency, traffic
from llmops_cli.sop.ledger import Ledger

DOUBT = 0.4
"""A baseline is distrusted on less evidence than an incident needs: stepping back for nothing costs only a look."""
WITHIN_MS = 86_400_000
"""How far a command steps back at most: a day."""
_FAR = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 288)
PROBE_MS = 3_600_000
"""How much older the window is that a baseline is probed against: long incidents are rare, and hours differ little."""


def is_healthy(observation: Observation, thresholds: Thresholds) -> bool:
    """Whether the baseline of an observation shows no incident of its own, by absolute measures.

    True also when there is no baseline to judge, or too few calls in it. Steady failures below the critical band, and
    slow answers below it, are how this application is: an older baseline would show the same.
    """
    baseline, before = observation.window.baseline, observation.before
    if baseline is None or before is None or not before.calls:
        return True
    ledger = Ledger(_as_window(observation, baseline), thresholds, DOUBT)
    return not any(finding.severity == "critical" or finding.scope for finding in failures.find(ledger)) and not any(
        finding.severity == "critical" for finding in (*latency.find(ledger), *feedback.find(ledger))
    )


def _as_window(observation: Observation, baseline: Span) -> Observation:
    """Make the baseline of an observation the window of another one, which has none."""
    assert observation.before is not None  # noqa: S101 - for mypy; `is_healthy` looked
    return replace(
        observation,
        window=replace(observation.window, span=baseline, baseline=None, stepped_back=False),
        now=observation.before,
        before=None,
        cells=tuple(_now(cell) for cell in observation.cells if cell.period == "before"),
        points=tuple(replace(point, period="now") for point in observation.points if point.period == "before"),
        feedback=tuple(replace(row, period="now") for row in observation.feedback if row.period == "before"),
        demand=(),
    )


def _now(cell: Cell) -> Cell:
    return replace(cell, period="now", slow=0)


def has_changed(observation: Observation, thresholds: Thresholds) -> bool:
    """Whether the window of an observation, a candidate for a baseline, differs from an older one: then it is none."""
    if not observation.now.calls or observation.before is None or not observation.before.calls:
        return not observation.now.calls and bool(observation.before and observation.before.calls)
    ledger = Ledger(observation, thresholds, DOUBT)
    return any(rule.find(ledger) for rule in (failures, traffic, latency, feedback))


def probe(baseline: Span) -> Span:
    """Give the older window of the same length that a baseline is compared with: an hour back, or right before it."""
    back = max(PROBE_MS, baseline.ms)
    return Span(baseline.start_ms - back, baseline.end_ms - back)


def older_baselines(window: Span, within_ms: int = WITHIN_MS) -> Iterator[Span]:
    """Windows of the same length to try as baselines, from the one before the previous one back to a day ago."""
    for steps in _FAR:
        start_ms = window.start_ms - steps * window.ms
        if window.start_ms - start_ms > max(within_ms, 2 * window.ms):
            return
        yield Span(start_ms, start_ms + window.ms)
