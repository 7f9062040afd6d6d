"""What an incident is not: causes on the account's own side that the numbers of the same window rule out.

Each is a sentence with its numbers; what cannot be told from the log is not claimed. They are for support, which asks
for them first, and for whoever would look there next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from llmops_cli.evidence import Cell, Message, Observation, Period, Thresholds
from llmops_cli.knowledge.errors import FAMILIES
from llmops_cli.knowledge.sentences import listed
from llmops_cli.knowledge.thresholds import USUAL_SLOW_SHARE
from llmops_cli.report import Incident, QuotaRow
from llmops_cli.sop.ledger import family_of, inside
from llmops_cli.sop.steps import LIMITED

ALIKE = 0.2
"""What rose by less than this part did not rise."""
ENOUGH = 20
"""Calls from which a size or a rate can be compared."""
_BY_SIZE = frozenset({"rate_limit_tokens", "water_level", "latency", "timeout", "input_too_long"})
"""Incidents that larger requests can cause: that these are not ruled out is said."""
WELL = 0.01
"""Other models are well when no larger part of their calls fails in the same way."""


@dataclass(slots=True)
class Tally:
    """Calls of one period: all, those that failed as the incident does, the slow ones, and sizes of those answered."""

    calls: int = 0
    bad: int = 0
    slow: int = 0
    answered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    apps: Counter[str] = field(default_factory=Counter)
    bad_apps: Counter[str] = field(default_factory=Counter)

    @property
    def mean_tokens(self) -> float:
        """Tokens of an answered call; calls that failed are logged with 0, and would have had as many."""
        return (self.input_tokens + self.output_tokens) / max(1, self.answered)


@dataclass(frozen=True, slots=True)
class Case:
    """One incident: `observation`, `now` and `before` are of its scope, `around` and `quota_rows` of all asked for.

    `families` are those of its failures; none for an incident that is not about failures.
    """

    incident: Incident | None
    families: frozenset[str]
    observation: Observation
    around: Observation
    now: Tally
    before: Tally
    quota_rows: Sequence[QuotaRow]
    thresholds: Thresholds


def of_scope(observation: Observation, scope: Mapping[str, str], period: Period) -> list[Cell]:
    """Return the cells of a scope and a period."""
    return [cell for cell in observation.cells if cell.period == period and inside(cell.where, scope)]


def families_of(incident: Incident | None) -> frozenset[str]:
    """Name the kinds of failure that belong to an incident: all without one, none where it is not about failures."""
    if incident is None or incident.hypothesis.id == "hypothesis.mixed":
        return frozenset(FAMILIES)
    return frozenset({incident.type} & {*FAMILIES})


def is_bad(cell: Cell, families: frozenset[str]) -> bool:
    """Whether the calls of a cell failed in one of these ways."""
    return not cell.ok and family_of(cell) in families


def tally(cells: Iterable[Cell], families: frozenset[str]) -> Tally:
    """Add up cells; `families` say which failures count."""
    found = Tally()
    for cell in cells:
        found.calls += cell.calls
        found.slow += cell.slow
        found.apps[cell.where.app] += cell.calls
        if cell.ok:
            found.answered += cell.calls
            found.input_tokens += cell.input_tokens
            found.output_tokens += cell.output_tokens
        elif is_bad(cell, families):
            found.bad += cell.calls
            found.bad_apps[cell.where.app] += cell.calls
    return found


def ruled_out(case: Case, lang: str = "en") -> Iterator[Message]:
    """Yield what is no cause of the incident, as far as numbers tell; names are listed as in `lang`."""
    if case.incident is None:
        return
    if case.incident.type not in LIMITED:
        yield from _limits(case, case.incident)
    yield from _other_models(case, case.incident)
    yield from _other_apps(case, case.incident, lang)
    yield from _same_size("input", "input_tokens", case)
    if case.incident.type in ("latency", "timeout"):
        yield from _same_size("output", "output_tokens", case)
    if case.incident.type != "traffic_drop":  # fewer calls are what it is about
        yield from _same_demand(case)


def _limits(case: Case, incident: Incident) -> Iterator[Message]:
    """Yield that limits are far; unless the question left out some of the calls that share them."""
    filters = case.around.filters
    if filters.app or filters.module or filters.workspace or filters.error_code:
        return
    model = incident.scope.get("model")
    rows = [row for row in case.quota_rows if row.workspace is None and model in (None, row.model)]
    levels = [row.level for row in rows if row.level is not None]
    refused = any(row.throttled for row in rows)
    if levels and len(levels) == len(rows) and max(levels) < case.thresholds.water_level.warning and not refused:
        yield Message("ticket.limit", {"model": model, "level": max(levels)})


def _other_models(case: Case, incident: Incident) -> Iterator[Message]:
    """Yield that other models are well: calls to them take the same way with the same key."""
    if "model" not in incident.scope:
        return
    others = [c for c in case.around.cells if c.period == "now" and c.where.model != incident.scope["model"]]
    seen = tally(others, case.families)
    if incident.type == "latency":
        if seen.answered >= ENOUGH and seen.slow <= 2 * USUAL_SLOW_SHARE * seen.answered:
            values = {"calls": seen.answered, "slow": seen.slow, "rate": seen.slow / seen.answered}
            yield Message("ticket.other_models_slow", values)
    elif case.families and seen.calls >= ENOUGH and seen.bad <= WELL * seen.calls:
        yield Message("ticket.other_models", {"calls": seen.calls, "failures": seen.bad, "rate": seen.bad / seen.calls})


def _other_apps(case: Case, incident: Incident, lang: str) -> Iterator[Message]:
    """Yield that every application is hit, and alike: then it is no change in one of them."""
    now = case.now
    if "app" in incident.scope or not now.bad:
        return
    rates = {app: now.bad_apps[app] / calls for app, calls in now.apps.items() if app and calls >= ENOUGH / 2}
    hit = [app for app, rate in rates.items() if rate >= 0.5 * now.bad / now.calls]
    if len(hit) > 1 and len(hit) == len(rates):
        yield Message("ticket.several_apps", {"apps": len(hit), "names": listed(hit, lang) if len(hit) <= 3 else None})


def _same_size(name: str, part: str, case: Case) -> Iterator[Message]:
    if case.now.answered < ENOUGH or case.before.answered < ENOUGH:
        return
    size, usual = (getattr(one, part) / one.answered for one in (case.now, case.before))
    if usual and size <= (1 + ALIKE) * usual:
        yield Message(f"ticket.same_{name}", {"tokens": size, "before": usual})
    elif usual and case.incident is not None and case.incident.type in _BY_SIZE:
        yield Message(f"ticket.larger_{name}", {"tokens": size, "before": usual})


def _same_demand(case: Case) -> Iterator[Message]:
    """Yield that neither calls nor tokens rose; where few calls were answered, nobody knows how large they are."""
    now, before, minutes = case.now, case.before, case.observation.baseline_read_ms / 60_000
    if not minutes or now.answered < ENOUGH or before.answered < ENOUGH:
        return
    rate, usual = now.calls / case.observation.window.span.minutes, before.calls / minutes
    tokens, usual_tokens = rate * now.mean_tokens, usual * before.mean_tokens
    if rate <= (1 + ALIKE) * usual and tokens <= (1 + ALIKE) * usual_tokens:
        values = {"calls": rate, "before": usual, "tokens": tokens, "before_tokens": usual_tokens}
        yield Message("ticket.same_demand", values)
