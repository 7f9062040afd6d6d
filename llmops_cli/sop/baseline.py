"""Is the baseline itself healthy? An outage compared with itself looks like nothing at all.

How a command steps back. Where an hour or two of log are soon read, it observes all of it (`history`) and asks
`ill_since`: an incident that began before the window has filled its baseline, and the window right before that
beginning is the last healthy one. Where they are not, it observes older and older baselines until `is_healthy` says
yes and, observed as the window against its `probe`, `has_changed` says no: a baseline may fail nothing and still have
its traffic gone or its answers slow. What lies between that baseline and the window should be read too
(`Observation.between`): incidents began there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from llmops_cli.evidence import CallStats, Cell, Message, Observation, Point, Span, Thresholds
from llmops_cli.sop import failures, feedback, latency, traffic
from llmops_cli.sop.ledger import Ledger

DOUBT = 0.4
"""A baseline is distrusted on less evidence than an incident needs: stepping back for nothing costs only a look."""
OWN_PART = 3
LEAST_OWN_MS = 60_000
"""A shorter beginning of a window shows neither a pace nor a p95."""
_ALL_CLEAR = frozenset({"headline.ok", "headline.anchored", "drill.paste_nothing"})
LEAD_MS = 300_000
"""So long before an incident shows, a baseline ends: what leads to it (demand, retries) begins earlier."""
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


def _now(c: Cell) -> Cell:
    """Move a cell into the window; by position, since `replace` takes five times as long, for every cell."""
    return Cell(
        "now", c.bucket_ms, c.where, c.status_code, c.error_code, c.error_message, c.calls, 0,
        c.input_tokens, c.output_tokens, c.total_tokens, c.first_ms, c.last_ms,
    )  # fmt: skip


def has_changed(observation: Observation, thresholds: Thresholds) -> bool:
    """Whether the window of an observation, a candidate for a baseline, differs from an older one: then it is none."""
    if not observation.now.calls or observation.before is None or not observation.before.calls:
        return not observation.now.calls and bool(observation.before and observation.before.calls)
    ledger = Ledger(observation, thresholds, DOUBT)
    return _failing(ledger) or any(rule.find(ledger) for rule in (traffic, latency, feedback))


class History(NamedTuple):
    """The past of a window: `asked` (it and its baseline), what lies `between`, and a long `before` to compare with."""

    asked: Span
    between: Span
    before: Span


def history(span: Span, baseline: Span, oldest_ms: int | None) -> History | None:
    """Lay out the past of a window as far as the log reaches; None when it holds less than the baseline twice more.

    One window is too short to tell what is usual in a quiet log, and what an incident changed; an hour is not.
    """
    reach = max(PROBE_MS, span.ms)
    if oldest_ms is not None:
        reach = min(reach, (baseline.start_ms - oldest_ms) // 2)
    if reach < span.ms:
        return None
    middle_ms = baseline.start_ms - reach
    return History(
        Span(baseline.start_ms, span.end_ms), Span(middle_ms, baseline.start_ms), Span(middle_ms - reach, middle_ms)
    )


def ill_since(observation: Observation, thresholds: Thresholds, start_ms: int) -> int | None:
    """Tell since when something is wrong that began before `start_ms`; None when nothing is. Observe a `history`."""
    ledger = Ledger(observation, thresholds, DOUBT)
    found = [finding for rule in (failures, traffic, latency, feedback) for finding in rule.find(ledger)]
    began = [one.started_ms for one in found if one.started_ms is not None and one.started_ms < start_ms]
    return min(began, default=None)


def beginning(observation: Observation, thresholds: Thresholds) -> Span | None:
    """Give the part of a window that can stand in for its baseline, where the log holds (nearly) nothing before it.

    It is the first third of what is known; None where that is too little to show what is usual, and where the baseline
    serves.
    """
    window = observation.window
    known = Span(max(window.span.start_ms, observation.read_from_ms), window.span.end_ms)
    if (
        observation.before is not None and observation.before.calls and compares(observation)
    ) or known.ms < OWN_PART * LEAST_OWN_MS:
        return None
    if observation.now.calls < OWN_PART * thresholds.min_calls:
        return None
    return Span(known.start_ms, known.start_ms + known.ms // OWN_PART)


def compares(observation: Observation) -> bool:
    """Whether the log reaches back over enough of the baseline, as much as a beginning of the window would be."""
    window = observation.window
    known_ms = window.span.end_ms - max(window.span.start_ms, observation.read_from_ms)
    return observation.before is not None and observation.baseline_read_ms * OWN_PART >= known_ms


def uncompared(headline: Message, observation: Observation, ago_ms: int) -> Message | None:
    """Give what to say instead of an all-clear where the answer asked for is a comparison, and there is none.

    `ago_ms`: how long before the window its baseline was asked for. None where the log reaches back far enough, and
    where the headline says something else than that nothing is unusual: absolute thresholds hold without a baseline.
    """
    if compares(observation) or headline.id not in _ALL_CLEAR:
        return None
    begins = observation.begins_ms
    at = None if begins is None else f"{observation.window.at(begins):%Y-%m-%d %H:%M:%S}"
    which = "not" if observation.before is None else "hardly"
    return Message(f"headline.{which}_compared", {**headline.values, "ago": ago_ms, "from": at})


def parted(observation: Observation, own: Span) -> Observation:
    """Divide a window into its beginning, as baseline, and the rest, by its buckets: no call is read again for it.

    Answers are slow in both by the measure of the whole window, and its percentiles are taken for those of the parts.
    """
    window, step = observation.window, observation.bucket_ms
    at_ms = own.end_ms - (own.end_ms - window.span.start_ms) % step
    cells = tuple(Cell._make(("before", *cell[1:])) if cell[1] < at_ms else cell for cell in observation.cells)
    return replace(
        observation,
        window=replace(
            window, span=Span(at_ms, window.span.end_ms), baseline=Span(own.start_ms, at_ms), stepped_back=False
        ),
        now=_sum_of([point for point in observation.points if point.start_ms >= at_ms], observation.now),
        before=_sum_of([point for point in observation.points if point.start_ms < at_ms], observation.now),
        cells=cells,
        feedback=tuple(replace(row, period="before") if row.bucket_ms < at_ms else row for row in observation.feedback),
        between=None,
    )


def _sum_of(points: Sequence[Point], whole: CallStats) -> CallStats:
    own = [point for point in points if point.period == "now"]
    return replace(whole, calls=sum(point.calls for point in own), failures=sum(point.failures for point in own))


def shortened(own: Span, began_ms: int) -> Span | None:
    """Give the part of such a beginning that lies before something went wrong in it; None when it is too short."""
    end_ms = max(own.start_ms, began_ms - min(LEAD_MS, (began_ms - own.start_ms) // 4))
    return Span(own.start_ms, end_ms) if end_ms - own.start_ms >= LEAST_OWN_MS else None


def probe(baseline: Span) -> Span:
    """Give the older window of the same length that a baseline is compared with: an hour back, or right before it."""
    back = max(PROBE_MS, baseline.ms)
    return Span(baseline.start_ms - back, baseline.end_ms - back)
