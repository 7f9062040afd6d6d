"""From cells to causes: what rose, in which combination of values, and what it looks like inside.

Failures are localized once per error family (a code is no dimension: every call that has one failed), then what is left
over together; slow calls on their own; demand, and ratings, only when nothing failed or slowed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from llmops_cli.evidence import DIMENSIONS, Cell, Message, Observation, Where
from llmops_cli.report import CauseRow
from llmops_cli.sop.localize import Cause, Leaf, localize
from llmops_cli.sop.measured import Counts, Measured, family_of, in_order, inside, measured
from llmops_cli.sop.shifts import demand, negative

MOST_CAUSES = 6
CHILD_CALLS = 20
"""A child's own rate is shown from this many calls on."""
MOSTLY = 0.8
"""Where fewer of the calls than this got past the other faults, a rate among them is looked at twice."""


def find_causes(observation: Observation, data: Measured | None = None) -> tuple[CauseRow, ...]:
    """Find the combinations that explain what rose: failures first, most of the excess first; then slow calls.

    When neither rose, demand: combinations with far more calls than before, or far fewer; and where users reject
    answers more than they did.
    """
    data = data or measured(observation)
    rows = [*_failures(observation, data), *_slow(observation, data)]
    return tuple((rows or [*negative(observation, data), *demand(observation, data)])[:MOST_CAUSES])


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


def _failures(observation: Observation, data: Measured) -> list[CauseRow]:
    families = sorted({family for counts in data.now.values() for family in counts.failures if family})
    # Shares are of the whole excess, family by family: one that fell must not make up for one that rose.
    whole = sum(_excess(data, _failed_with((family,))) for family in families)
    rows: list[CauseRow] = []
    unexplained = []
    for family in families:
        found = _rows(observation, data, _failed_with((family,)), whole)
        rows += found
        if not found:
            unexplained.append(family)
    if len(unexplained) > 1:
        rows += _rows(observation, data, _failed_with(tuple(unexplained)), whole)
    return sorted(rows, key=lambda row: (-row.explains, -row.confidence, row.family, sorted(row.where.items())))


def _slow(observation: Observation, data: Measured) -> list[CauseRow]:
    return _rows(observation, data, _SLOW, _excess(data, _SLOW))


def _rows(observation: Observation, data: Measured, measure: _Measure, whole: float) -> list[CauseRow]:
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
        notes = (*_code_notes(observation, row, measure.families), *_children(data, row, measure))
        rows.append(replace(row, notes=notes))
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


# --- what a cause looks like inside -----------------------------------------------------------------------------------


def _code_notes(observation: Observation, row: CauseRow, families: tuple[str, ...]) -> tuple[Message, ...]:
    """Name the codes behind the failures; that one hits every call since a moment is worth its own words."""
    if not families:
        return ()
    codes: Counter[str] = Counter()
    for cell in _cells(observation, row.where):
        if not cell.ok and family_of(cell) in families:
            codes[error_name(cell)] += cell.calls
    if not codes:
        return ()
    ranked = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    since = since_ms(observation, row, families)
    after = [cell for cell in _cells(observation, row.where) if since is None or cell.bucket_ms > since]
    calls = sum(cell.calls for cell in after)
    bad = sum(cell.calls for cell in after if not cell.ok and error_name(cell) == ranked[0][0])
    clock = clock_text(observation, since)
    if calls and bad >= 0.99 * calls:
        return (Message("drill.every_call", {"code": ranked[0][0], "since": clock}),)
    first = Message("drill.code", {"code": ranked[0][0], "calls": ranked[0][1], "since": clock})
    others = sum(count for _, count in ranked[1:])
    more = Message("drill.more_codes", {"count": len(ranked) - 1, "calls": others})
    return (first, more) if others else (first,)


def _children(data: Measured, row: CauseRow, measure: _Measure) -> tuple[Message, ...]:
    """By which further dimension the cause was looked at, and found to have risen alike."""
    notes = []
    for dimension in DIMENSIONS:
        if dimension in row.where:
            continue
        by_value: dict[str, list[Counts]] = defaultdict(list)
        for where, counts in data.now.items():
            if inside(where, row.where):
                by_value[getattr(where, dimension)].append(counts)
        sums = sorted((_sum(counts, measure) for counts in by_value.values()), reverse=True)
        rates = [bad / calls for calls, bad in sums if calls >= CHILD_CALLS]
        if len(rates) > 1 and min(rates) >= 0.5 * max(rates) > 0:
            shown = ", ".join(f"{rate:.0%}".replace("%", " %") for rate in rates[:4])
            notes.append(Message("drill.alike", {"dimension": dimension, "values": len(rates), "rates": shown}))
    return tuple(notes)


def _cells(observation: Observation, where: Mapping[str, str]) -> Iterator[Cell]:
    return (cell for cell in observation.cells if cell.period == "now" and inside(cell.where, where))


def error_name(cell: Cell) -> str:
    """Status and code of a failed cell, as in `429 Throttling.RateQuota`; "no answer" when it has neither."""
    status = "" if cell.status_code is None or cell.status_code <= 0 else str(cell.status_code)
    return " ".join(filter(None, (status, cell.error_code))) or "no answer"


def since_ms(observation: Observation, row: CauseRow, families: tuple[str, ...] = ()) -> int | None:
    """When the cause's failures began inside the window; None when it had them from its first bucket on."""
    wanted = families or ((row.family,) if row.family else ())
    calls: Counter[int] = Counter()
    bad: Counter[int] = Counter()
    first: dict[int, int] = {}
    for cell in _cells(observation, row.where):
        calls[cell.bucket_ms] += cell.calls
        if not cell.ok and (not wanted or family_of(cell) in wanted):
            bad[cell.bucket_ms] += cell.calls
            first[cell.bucket_ms] = min(cell.first_ms, first.get(cell.bucket_ms, cell.first_ms))
    threshold = 0.5 * (row.failure_rate or 0.0)
    for place, bucket in enumerate(sorted(calls)):
        if bad[bucket] and bad[bucket] >= threshold * calls[bucket]:
            return first[bucket] if place else None
    return None


def clock_text(observation: Observation, ms: int | None) -> str | None:
    """Return a time of day in the window's zone; with the date when the window is longer than a day."""
    if ms is None:
        return None
    long = observation.window.span.ms > 86_400_000
    return observation.window.at(ms).strftime("%Y-%m-%d %H:%M:%S" if long else "%H:%M:%S")
