"""Is the baseline itself healthy? An outage compared with itself looks like nothing at all.

How a command steps back: it observes with older and older baselines until `is_healthy` says yes and, observed as the
window against its `probe`, `has_changed` says no: a baseline may fail nothing and still have its traffic gone or its
answers slow. What lies between that baseline and the window should be read too (`Observation.between`): incidents
began there.
"""

from __future__ import annotations

from dataclasses import replace

from llmops_cli.evidence import Cell, Observation, Span, Thresholds
from llmops_cli.sop import failures, feedback, latency, traffic
from llmops_cli.sop.ledger import Ledger

DOUBT = 0.4
"""A baseline is distrusted on less evidence than an incident needs: stepping back for nothing costs only a look."""
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
    return is_well(_as_window(observation, baseline), thresholds)


def is_well(observation: Observation, thresholds: Thresholds) -> bool:
    """Whether the window of an observation shows no incident by absolute measures: it may serve as a baseline."""
    ledger = Ledger(observation, thresholds, DOUBT)
    return not _failing(ledger) and not any(
        finding.severity == "critical" for finding in (*latency.find(ledger), *feedback.find(ledger))
    )


def _failing(ledger: Ledger) -> bool:
    """Tell failures that are an incident from a steady rate below the critical band, which is how this service is."""
    return any(finding.severity == "critical" or finding.scope for finding in failures.find(ledger))


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
    return _failing(ledger) or any(rule.find(ledger) for rule in (traffic, latency, feedback))


def probe(baseline: Span) -> Span:
    """Give the older window of the same length that a baseline is compared with: an hour back, or right before it."""
    back = max(PROBE_MS, baseline.ms)
    return Span(baseline.start_ms - back, baseline.end_ms - back)
