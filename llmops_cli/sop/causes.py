"""From cells to causes: what rose, in which combination of values, since when.

Failures are localized once per error family (a code is no dimension: every call that has one failed), then what is left
over together; slow calls on their own; demand, and ratings, only when nothing failed or slowed. An incident that was
found always has its cause here, with the start and the drivers that `status` gives it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from llmops_cli.evidence import Observation, Thresholds, Where
from llmops_cli.knowledge.errors import FAMILIES, is_rate_limit
from llmops_cli.knowledge.thresholds import USUAL_SLOW_SHARE
from llmops_cli.report import CauseRow, Incident
from llmops_cli.sop import failures
from llmops_cli.sop.finding import contains
from llmops_cli.sop.inside import error_name, notes
from llmops_cli.sop.ledger import Ledger, inside
from llmops_cli.sop.localize import Cause, Leaf, localize
from llmops_cli.sop.measured import Counts, Measured, in_order, measured
from llmops_cli.sop.shifts import demand, demand_of, negative, negative_in

__all__ = ["compared", "error_name", "excess_failures", "find_causes"]

MOST_CAUSES = 6
MOSTLY = 0.8
"""Where fewer of the calls than this got past the other faults, a rate among them is looked at twice."""
CERTAIN = 0.95
"""Incidents are certain: they are found with more evidence than a cause needs."""


def find_causes(
    observation: Observation,
    data: Measured | None = None,
    incidents: Sequence[Incident] = (),
    thresholds: Thresholds = Thresholds(),  # noqa: B008 - frozen
) -> tuple[CauseRow, ...]:
    """Find the combinations that explain what rose: failures first, most of the excess first; then slow calls.

    When neither rose, demand: combinations with far more calls than before, or far fewer; and where users reject
    answers more than they did. Each of the `incidents` of the same observation has a cause, and comes before what is
    none; slow calls in which `status` sees no incident are no cause beside them.
    """
    data = data or compared(observation, [one.started_at for one in incidents])
    asked, observation = observation.window, observation.basis
    counted_from = asked.at(data.from_ms) if data.from_ms > asked.span.start_ms else None
    rows = _failures(data)
    if not incidents or any(incident.type == "latency" for incident in incidents):
        rows += _slow(data)
    if not rows and not any(incident.type in FAMILIES or incident.type == "latency" for incident in incidents):
        rows = [*negative(observation, data), *demand(data)]
    driving = [driver.where for incident in incidents for driver in incident.drivers]
    rows = [row for row in rows if not _of_resource(row, incidents) and not (_is_demand(row) and row.where in driving)]
    told = [(row, _incident_of(row, incidents)) for row in rows]
    known = {id(incident) for _, incident in told if incident is not None}
    more = (one for one in incidents if id(one) not in known and one.type != "no_data")
    told += [(_row_of(observation, data, one), one) for one in more]
    told.sort(key=lambda pair: pair[1] is None)
    ledger = Ledger(observation, thresholds) if any(incident is None for _, incident in told) else None
    return tuple(
        replace(_told(observation, data, row, incident, ledger, rows), counted_from=counted_from)
        for row, incident in told[:MOST_CAUSES]
    )


def compared(observation: Observation, began: Iterable[datetime | None]) -> Measured:
    """Sum what is compared: a window with its baseline; one that has but its own beginning since things began."""
    from_ms = min((round(at.timestamp() * 1000) for at in began if at is not None), default=None)
    return measured(observation.basis, from_ms if observation.own is not None else None)


def _incident_of(row: CauseRow, incidents: Sequence[Incident]) -> Incident | None:
    """Find the incident that a cause explains: of its kind, in the same scope, or one around it or inside it."""
    same = [one for one in incidents if one.type == row.family and one.hypothesis.id != "hypothesis.mixed"]
    exact = (one for one in same if dict(one.scope) == dict(row.where))
    near = (one for one in same if contains(one.scope, row.where) or contains(row.where, one.scope))
    return next(exact, None) or next(near, None)


def _is_demand(row: CauseRow) -> bool:
    return row.measure == "calls"


def _of_resource(row: CauseRow, incidents: Sequence[Incident]) -> bool:
    """Whether a cause is but a part of a limited resource, which its incident names whole."""
    near = _incident_of(row, incidents)
    return near is not None and is_rate_limit(row.family) and dict(near.scope) != dict(row.where)


def _row_of(observation: Observation, data: Measured, incident: Incident) -> CauseRow:
    """Make a cause of an incident that no combination was found for."""
    if incident.type == "negative_feedback":
        return negative_in(observation, data, incident.scope, 1.0, CERTAIN)
    if incident.hypothesis.id == "hypothesis.mixed":
        return _row(data, Cause({}, 1.0, CERTAIN), replace(_failed_with(("",)), family=""), 0.0)
    if incident.type in FAMILIES or incident.type == "latency":
        measure = _SLOW if incident.type == "latency" else _failed_with((incident.type,))
        return _row(data, Cause(incident.scope, 1.0, CERTAIN), measure, _excess(data, measure))
    return demand_of(data, incident.scope, incident.type, CERTAIN)


def _told(  # noqa: PLR0917 - one call, in one place
    observation: Observation,
    data: Measured,
    row: CauseRow,
    incident: Incident | None,
    ledger: Ledger | None,
    rows: Sequence[CauseRow],
) -> CauseRow:
    """Complete a cause: since when, who drives it, and what it looks like inside."""
    if incident is not None:
        row = replace(
            row,
            started_at=incident.started_at,
            started_before=incident.started_before,
            drivers=incident.drivers,
            refused_at=incident.refused_at,
        )
    elif row.measure == "failures" and row.family and ledger is not None:
        started_ms, before_ms = failures.began_in(ledger, row.family, row.where)
        at, before = (None if ms is None else observation.window.at(ms) for ms in (started_ms, before_ms))
        row = replace(row, started_at=at, started_before=before)
    explained = {one.family for one in rows} if not row.family else set()
    return replace(row, notes=notes(observation, data, row, incident, explained))


def excess_failures(data: Measured) -> float:
    """Failures more than the baseline's rate lets expect; all of them when there is no baseline."""
    return _excess(data, _failed_with(("",)))


# --- measures ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measure:
    """What is counted: `count` gives the calls it is about and those among them that went wrong.

    `at_risk` gives how many calls could have gone wrong this way: one that was refused for its key never met a limit.
    """

    name: str
    family: str
    families: tuple[str, ...]
    count: Callable[[Counts], tuple[int, int]]
    at_risk: Callable[[Counts], int]


def _failed_with(families: tuple[str, ...]) -> _Measure:
    """Failures of these families among all calls."""

    def failed(counts: Counts) -> int:
        return sum(counts.failures[family] for family in families)

    return _Measure(
        name="failures",
        family=families[0] if len(families) == 1 else "",
        families=families,
        count=lambda counts: (counts.calls, failed(counts)),
        at_risk=lambda counts: counts.ok + failed(counts),
    )


_SLOW = _Measure("slow", "latency", (), lambda counts: (counts.ok, counts.slow), lambda counts: counts.ok)


def _sum(counts: Iterable[Counts], measure: _Measure) -> tuple[int, int]:
    pairs = [measure.count(one) for one in counts]
    return sum(calls for calls, _ in pairs), sum(bad for _, bad in pairs)


def _excess(data: Measured, measure: _Measure) -> float:
    (calls, bad), (before, bad_before) = _sum(data.now.values(), measure), _sum(data.before.values(), measure)
    return max(0.0, bad - (calls * bad_before / before if before else 0.0))


# --- failures and slow calls ------------------------------------------------------------------------------------------


def _failures(data: Measured) -> list[CauseRow]:
    families = sorted({family for counts in data.now.values() for family in counts.failures if family})
    # Shares are of the whole excess, family by family: one that fell must not make up for one that rose.
    whole = sum(_excess(data, _failed_with((family,))) for family in families)
    rows: list[CauseRow] = []
    unexplained = []
    for family in families:
        found = _rows(data, _failed_with((family,)), whole)
        rows += found
        if not found:
            unexplained.append(family)
    if len(unexplained) > 1:
        rows += _rows(data, _failed_with(tuple(unexplained)), whole)
    return sorted(rows, key=lambda row: (-row.explains, -row.confidence, row.family, sorted(row.where.items())))


def _slow(data: Measured) -> list[CauseRow]:
    rows = _rows(data, _SLOW, _excess(data, _SLOW))
    # Without a baseline an answer counts as slow above a threshold, and a few are so by nature.
    return [row for row in rows if data.has_baseline or (row.failure_rate or 0.0) >= USUAL_SLOW_SHARE]


def _rows(data: Measured, measure: _Measure, whole: float) -> list[CauseRow]:
    nothing = Counts()
    leaves = []
    for where in data.combinations():
        now, before = data.now.get(where, nothing), data.before.get(where, nothing) if data.has_baseline else nothing
        usual = measure.at_risk(before) * data.scale, measure.count(before)[1] * data.scale
        leaves.append(Leaf(where._asdict(), measure.at_risk(now), measure.count(now)[1], *usual))
    rows = []
    for cause in localize(leaves):
        row = _row(data, cause, measure, whole)
        at_risk = sum(measure.at_risk(counts) for where, counts in data.now.items() if inside(where, cause.where))
        if at_risk < MOSTLY * row.calls and not _rose(row):
            continue
        rows.append(row)
    return rows


def _rose(row: CauseRow) -> bool:
    """Whether the failures rose among all calls too, and not only among those that another fault left over.

    Which fault strikes first is not known: a call that failed on its way never got as far as a revoked key.
    """
    usual = row.calls * (row.baseline_failure_rate or 0.0)
    return row.failures - usual > 3 * math.sqrt(row.failures + usual)


def _row(data: Measured, cause: Cause, measure: _Measure, whole: float) -> CauseRow:
    def split(period: Mapping[Where, Counts], *, within: bool) -> tuple[int, int]:
        return _sum((counts for where, counts in period.items() if inside(where, cause.where) is within), measure)

    calls, bad = split(data.now, within=True)
    other_calls, other_bad = split(data.now, within=False)
    before_calls, before_bad = split(data.before, within=True)
    before = before_bad / before_calls if before_calls else None
    return CauseRow(
        where=in_order(cause.where),
        explains=min(1.0, max(0.0, bad - calls * (before or 0.0)) / whole) if whole > 0 else cause.explains,
        confidence=cause.confidence,
        calls=calls,
        failures=bad,
        failure_rate=bad / calls if calls else None,
        elsewhere_failure_rate=other_bad / other_calls if other_calls else None,
        family=measure.family,
        measure=measure.name,
        baseline_failure_rate=before,
    )
