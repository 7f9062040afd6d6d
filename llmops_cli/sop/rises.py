"""Shares that rose: failed calls, slow answers, negative ratings. One search for all three.

A rise is judged against what is usual (the baseline's share, with room for noise) and against a ceiling that is too
much whatever the baseline says. Several rises with scopes of their own are found one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llmops_cli.evidence import DIMENSIONS
from llmops_cli.sop.ledger import Tally, at, total, values_of
from llmops_cli.sop.scope import EVERY_PATTERN, Group, smallest
from llmops_cli.sop.significance import Stretch, share_likelihood, standing_out, wilson

LEAST_SCORE = 24.0
MOST_RISES = 4
DOWN = 0.5
"""A part of which surely more than this fails is down, not merely worse."""
BELIEF = 100.0
"""Trials' worth of belief that a scope's usual share is that of everything: a scope with few calls has no history."""
LEAST_NOW = 4.0
"""Log-likelihood that the asked window must add by itself; else the rise was over before it began."""


@dataclass(frozen=True, slots=True)
class Bar:
    """How much is too much.

    `floor`: the usual share is never taken to be smaller. `factor`: so many times the baseline's share is still usual.
    `ceiling`, `part_ceiling`: too much for everything, for a part, whatever the baseline. `least_trials`,
    `least_hits`: below, nothing is judged. `least_share`: the lower bound must reach it. `dispersion`: how much more
    than chance the hits scatter.
    """

    floor: float
    factor: float
    ceiling: float
    part_ceiling: float
    least_trials: int
    least_hits: int
    least_share: float
    dispersion: float = 1.5
    z: float = 2.6
    least_score: float = LEAST_SCORE
    patterns: Sequence[tuple[int, ...]] = EVERY_PATTERN
    prefer: Sequence[str] = DIMENSIONS
    cheap: Sequence[str] = ()
    everywhere: bool = True


@dataclass(frozen=True, slots=True)
class Rise:
    """A share that rose in `scope` over slots `[start, end)` of the timeline."""

    scope: Mapping[str, str]
    start: int
    end: int
    trials: int
    hits: int
    before_trials: int
    before_hits: int
    usual: float
    score: float

    @property
    def share(self) -> float:
        """Hits per trial."""
        return self.hits / self.trials if self.trials else 0.0


def rises(tally: Tally, bar: Bar, first_now: int, *, has_baseline: bool) -> Iterator[Rise]:
    """Find what rose, the most certain first; each has a scope that shares no call with the others."""
    for _ in range(MOST_RISES):
        if sum(at(row, first_now, tally.slots) for row in tally.hits.values()) < 1:
            return
        scope, stretch = _strongest(tally, bar, first_now, has_baseline=has_baseline)
        if stretch is None or stretch.score / bar.dispersion < bar.least_score:
            return
        found = _narrowed(tally, bar, first_now, stretch, has_baseline=has_baseline)
        if found is None:  # the scope does not stand on its own: what was seen at first has to do
            found = measured(tally, bar, scope, first_now, has_baseline=has_baseline)
        if found is None:
            return
        if _enough(found, bar, tally, has_baseline=has_baseline):
            yield found
        tally = tally.without(tally.members(found.scope))


def _strongest(tally: Tally, bar: Bar, first_now: int, *, has_baseline: bool) -> tuple[dict[str, str], Stretch | None]:
    best: Stretch | None = None
    best_scope: dict[str, str] = {}
    single = {DIMENSIONS[pattern[0]] for pattern in bar.patterns if len(pattern) == 1}
    for scope in values_of(tally.hits):
        if not (set(scope) <= single) or not (scope or bar.everywhere):
            continue
        found = _scan(tally, bar, scope, first_now, has_baseline=has_baseline)
        if found is not None and (best is None or found.score > best.score):
            best, best_scope = found, scope
    return best_scope, best


def _scan(tally: Tally, bar: Bar, scope: Mapping[str, str], first_now: int, *, has_baseline: bool) -> Stretch | None:
    wheres = tally.members(scope)
    hits = total((tally.hits[where] for where in wheres if where in tally.hits), tally.slots)
    if sum(hits) < bar.least_hits:
        return None
    trials = total((tally.trials[where] for where in wheres), tally.slots)
    usual = _usual(tally, bar, scope, has_baseline=has_baseline)
    found = standing_out(hits, trials, usual, first_now)
    if found is None or found.start >= first_now:
        return found
    # What began before the window must go on in it on its own account.
    hits, trials = hits[first_now:], trials[first_now:]
    now = standing_out(hits[: found.end - first_now], trials[: found.end - first_now], usual, 0)
    if now is not None and now.score >= LEAST_NOW:
        return found
    found = standing_out(hits, trials, usual, 0)
    return found and found._replace(start=found.start + first_now, end=found.end + first_now)


def _usual(tally: Tally, bar: Bar, scope: Mapping[str, str], *, has_baseline: bool) -> float:
    ceiling = bar.part_ceiling if scope else bar.ceiling
    if not has_baseline:
        return ceiling
    return min(ceiling, max(bar.floor, bar.factor * _before(tally, scope, bar.floor / bar.factor)))


def _before(tally: Tally, scope: Mapping[str, str], expected: float) -> float:
    """Give the baseline's share in a scope, drawn to everything's, and this to `expected`, where trials are few."""
    trials = sum(tally.before_trials.values())
    usual = (sum(tally.before_hits.values()) + BELIEF * expected) / (trials + BELIEF)
    own_trials, own_hits = _sums_before(tally, scope)
    return (own_hits + BELIEF * usual) / (own_trials + BELIEF)


def _sums_before(tally: Tally, scope: Mapping[str, str]) -> tuple[int, int]:
    wheres = tally.members(scope, before=True)
    return sum(tally.before_trials[where] for where in wheres), sum(tally.before_hits.get(where, 0) for where in wheres)


def _narrowed(tally: Tally, bar: Bar, first_now: int, stretch: Stretch, *, has_baseline: bool) -> Rise | None:
    groups = []
    for where, row in tally.trials.items():
        trials = at(row, stretch.start, stretch.end)
        if trials:
            hits = at(tally.hits[where], stretch.start, stretch.end) if where in tally.hits else 0
            groups.append(Group(where, trials, hits))
    scope = smallest(
        groups,
        share_likelihood,
        patterns=bar.patterns,
        prefer=bar.prefer,
        cheap=bar.cheap,
        dispersion=bar.dispersion,
        everywhere=bar.everywhere,
    )
    return measured(tally, bar, scope, first_now, has_baseline=has_baseline)


def measured(tally: Tally, bar: Bar, scope: Mapping[str, str], first_now: int, *, has_baseline: bool) -> Rise | None:
    """Measure how a share rose in one scope; None where it did not."""
    found = _scan(tally, bar, scope, first_now, has_baseline=has_baseline)
    if found is None:
        return None
    wheres = tally.members(scope)
    before_trials, before_hits = _sums_before(tally, scope)
    return Rise(
        scope=scope,
        start=found.start,
        end=found.end,
        trials=sum(at(tally.trials[where], found.start, found.end) for where in wheres),
        hits=sum(at(tally.hits[where], found.start, found.end) for where in wheres if where in tally.hits),
        before_trials=before_trials,
        before_hits=before_hits,
        usual=_usual(tally, bar, scope, has_baseline=has_baseline),
        score=found.score,
    )


def _enough(rise: Rise, bar: Bar, tally: Tally, *, has_baseline: bool) -> bool:
    if rise.hits < bar.least_hits or rise.score / bar.dispersion < bar.least_score:
        return False
    low = wilson(rise.hits, rise.trials, bar.z)[0]
    if rise.trials < bar.least_trials:  # few, but plainly down, amid enough that are not: then it is known where
        around = sum(at(row, rise.start, rise.end) for row in tally.trials.values())
        if not rise.scope or low < DOWN or around < bar.least_trials:
            return False
    return low >= bar.least_share and low >= (rise.usual if has_baseline else bar.least_share)
