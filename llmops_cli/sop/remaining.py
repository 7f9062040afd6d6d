"""Whether an incident that was known when a watch began is still there: the evidence behind `recover verify`.

Minutes are too short for the rules that find incidents. But of one that is known, scope and share are known as well,
so that few calls tell: it is gone when a 95 % bound shows its share of bad calls to be nearer to the usual one
than to that of the incident, and still there while the share is surely above the usual one. Anything else is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llmops_cli.evidence import Message, Observation, Period, Severity, Thresholds
from llmops_cli.knowledge.sentences import scope_text
from llmops_cli.knowledge.thresholds import BACKGROUND_RATE, TRAFFIC_DISPERSION, USUAL_SLOW_SHARE
from llmops_cli.report import Incident
from llmops_cli.sop.exclusion import families_of, of_scope, tally
from llmops_cli.sop.ledger import inside
from llmops_cli.sop.significance import wilson

SURE = 1.96
"""Standard deviations of the confidence bounds (95 %, two-sided)."""
TOLERATED = 1.5
"""A share up to so many times the usual one is the usual one."""

_TRAFFIC = ("traffic_drop", "traffic_surge")


@dataclass(frozen=True, slots=True)
class Known:
    """An incident at the start of the watch; `share` of its calls was bad, 0..1 (of demand: calls over expected)."""

    incident: Incident
    share: float

    @property
    def families(self) -> frozenset[str]:
        """The kinds of failure that belong to it; none where it is not about failures."""
        return families_of(self.incident)


def known(observation: Observation, incidents: Sequence[Incident]) -> tuple[Known, ...]:
    """Measure how bad each incident is since it began. What only the whole shows (a water level) is left out."""
    found = []
    for incident in incidents:
        one = Known(incident, 0.0)
        began = incident.started_at or incident.started_before
        since_ms = 0 if began is None else round(began.timestamp() * 1000)
        hits, trials = _counted(one, observation, "now", since_ms)
        if trials:
            found.append(Known(incident, hits / trials))
    return tuple(found)


def remains(one: Known, seen: Observation, thresholds: Thresholds) -> tuple[Severity, Message | None]:
    """Judge what was seen since (`seen`, compared with the same baseline): `ok` gone, `unknown`, or as grave as it was.

    The message says what was seen of it where it is not gone.
    """
    hits, trials = _counted(one, seen, "now")
    if one.incident.type in _TRAFFIC:
        verdict = _demand(one, hits, trials)
    else:
        usual_hits, usual_trials = _counted(one, seen, "before")
        usual = usual_hits / usual_trials if usual_trials else 0.0
        verdict = _share(one, hits, trials, max(_least(one, thresholds), TOLERATED * usual))
    if verdict == "ok":
        return "ok", None
    values: dict[str, str | int | float | None] = {
        "scope": scope_text(one.incident.scope),
        "kind": one.incident.type,
        "hits": round(hits),
        "trials": round(trials),
    }
    name = "traffic" if one.incident.type in _TRAFFIC else _NAMES.get(one.incident.type, "failures")
    return verdict, Message(f"verify.{name}", values)


_NAMES = {"latency": "slow", "negative_feedback": "negative"}


def _share(one: Known, hits: float, trials: float, line: float) -> Severity:
    if one.share <= line:  # it never stood out by this measure: the usual rules are all there is
        return "ok"
    low, high = wilson(hits, trials, SURE)
    if low > line:
        return _grave(one)
    return "ok" if high < (line + one.share) / 2 else "unknown"


def _demand(one: Known, calls: float, expected: float) -> Severity:
    if not expected:
        return "unknown"
    ratio, spread = calls / expected, SURE * math.sqrt(TRAFFIC_DISPERSION * max(calls, 1.0)) / expected
    middle, side = (1 + one.share) / 2, 1 if one.share < 1 else -1
    if side * (ratio - middle) > spread:
        return "ok"
    return _grave(one) if side * (ratio - middle) < 0 else "unknown"


def _grave(one: Known) -> Severity:
    return "critical" if one.incident.severity == "critical" else "warning"


def _least(one: Known, thresholds: Thresholds) -> float:
    """Give the share that is nothing to speak of, whatever is usual; as the rules that find incidents have it."""
    if one.incident.type == "latency":
        return TOLERATED * USUAL_SLOW_SHARE
    if one.incident.type == "negative_feedback":
        return TOLERATED * thresholds.negative_rate.warning
    return min(BACKGROUND_RATE, thresholds.failure_rate.warning / 2)


def _counted(one: Known, seen: Observation, period: Period, since_ms: int = 0) -> tuple[float, float]:
    """Count what is bad, and of how many, in the incident's scope; of demand the calls, and those expected."""
    kind, scope = one.incident.type, one.incident.scope
    from_ms = since_ms - seen.bucket_ms
    if kind == "negative_feedback":
        rows = [r for r in seen.feedback if r.period == period and r.bucket_ms > from_ms and inside(r.where, scope)]
        down = sum(row.down for row in rows)
        return down, down + sum(row.up for row in rows)
    found = tally([cell for cell in of_scope(seen, scope, period) if cell.bucket_ms > from_ms], one.families)
    if kind == "latency":
        return found.slow, found.answered
    if kind in _TRAFFIC:
        return found.calls, _expected(seen, one, since_ms)
    return (found.bad, found.calls) if one.families else (0.0, 0.0)


def _expected(seen: Observation, one: Known, since_ms: int) -> float:
    """Give the calls that the baseline's pace would bring in the time seen; 0 without one."""
    span, read_ms = seen.window.span, seen.baseline_read_ms
    before = sum(cell.calls for cell in of_scope(seen, one.incident.scope, "before"))
    return before * (span.end_ms - max(span.start_ms, since_ms)) / read_ms if read_ms else 0.0
