"""Which combination of values explains a rise: of failures, of slow calls or of demand.

Method
------
1. Expected failures of a leaf are its calls now times its own baseline rate, shrunk towards the product of its
   attributes' rates (`cube.py`). So a surge or a shift of the mix towards bad models explains itself, as does a fault
   that the baseline had already.
2. Every combination of up to three attributes that occurs, and the empty one, is scored by the log-likelihood ratio of
   one common additive rise: `k ln(k/e) - (k - e)` for k failures where e were expected (the expectation-based Poisson
   scan statistic).
3. Causes are sought as a set, three at most: the rises of a set are fitted together, so that a second cause counts only
   what the first leaves unexplained. Candidates are added, exchanged, merged into their common parent and removed while
   the likelihood gains more than a penalty per cause and per attribute. Hence equal evidence prefers the simpler one.
4. The penalty grows with the dispersion of the leaves outside the causes, trimmed: noise that is wilder than Poisson
   must not look like a cause, and a cause not yet found must not look like noise. So the search is repeated when the
   noise is known, with the combinations that stand out once the first causes are explained.
5. An attribute is dropped when the rest of its parent rose too (by more than a third of the cause's rise), added when
   the rest barely moved.
6. Gates: enough failures, a rise and an odds ratio that matter, and significance against the expectation's own
   uncertainty (a negative binomial likelihood; each leaf's rate may wobble by the spread seen).

Sources: Neill, "Expectation-based scan statistics for monitoring spatial time series data" (2009) and "Fast subset
scan for spatial pattern detection" (2012); Bhagwan et al., "Adtributor: Revenue Debugging in Advertising Systems" (NSDI
2014); Li et al., "Generic and Robust Localization of Multi-Dimensional Root Causes" (Squeeze, ISSRE 2019); Sun et al.,
"Robust Anomaly Clue Localization of Multi-Dimensional Derived Measure for Online Video Services" (RobustSpot, IEEE TSC
2023).

Limits: at most three causes of at most three attributes; only rises, not falls; two combinations with the same leaves
cannot be told apart (the simpler, then the alphabetically first, is named); values that always come together neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import combinations

from llmops_cli.sop.cube import LEAST_EXCESS, Cube, Group, Key, Leaf, Sums, both
from llmops_cli.sop.likelihood import certain_gain, fit, simple_gain

__all__ = ["Cause", "Leaf", "localize"]

MOST_ATTRIBUTES = 3
SOUGHT = 3  # causes sought together, however few are asked for: a hidden third one distorts the first
CANDIDATES = 120
PER_CAUSE, PER_ATTRIBUTE = 5.0, 3.0  # price in units of log-likelihood over dispersion
SIBLINGS_STILL, SIBLINGS_EXPECTED = 0.1, 8.0  # and one added when it rose by less than this, on this much evidence
SIBLINGS_ROSE = 0.35  # an attribute is dropped when the rest of its parent rose by this much of the cause's rise
CERTAIN = 9.0  # evidence that is asked for against the expectation's own uncertainty
PROMISING = 4  # additions that are fitted in full at each step
RESEARCHES = 2  # searches after the first, which knew nothing of the noise and had the strongest cause in its way
LEAST_SPREAD = 0.02  # nor is a leaf's rate from one window to the next: the same for what the baseline lets expect
RISE_SPREAD = 0.03  # a rise is never quite the same in all leaves: squared spread that is always allowed for
MIN_RISE, MIN_ODDS = 0.01, 1.4
EVERYWHERE = 0.8  # share of the traffic, by each dimension's values, that must have risen for the empty combination


@dataclass(frozen=True)
class Cause:
    """A responsible combination.

    `where` has one value for each dimension it names; `{}` means that everything rose alike, so that no combination is
    to blame. `explains` is the share of all excess failures inside it, 0..1 (shares of overlapping causes overlap);
    `confidence`, 0..1, falls with the evidence for the next best answer.
    """

    where: Mapping[str, str]
    explains: float
    confidence: float


def localize(leaves: Sequence[Leaf], *, max_causes: int = 3) -> list[Cause]:
    """Find the combinations of values that explain the excess failures, best first; [] when nothing is wrong.

    Any dimension names will do, also other ones from leaf to leaf. Numbers that are negative or not finite count as
    zero. The order of the leaves does not matter, and the same leaves give the same answer.
    """
    cube = Cube(leaves)
    if max_causes < 1 or not any(k > e for k, e in zip(cube.failures, cube.expected, strict=True)):
        return []
    search = _Search(cube)
    return search.answer()[:max_causes]


class _Search:
    """One search over one cube."""

    def __init__(self, cube: Cube) -> None:
        self.cube = cube
        self.whole = cube.sums(())
        self.dispersion, self.spread = 1.0, LEAST_SPREAD
        candidates = self._candidates(cube.groups(MOST_ATTRIBUTES))
        if self.whole.failures - self.whole.expected >= max(LEAST_EXCESS, MIN_RISE * self.whole.calls):
            candidates |= {()} if self._rose_everywhere() else set()
        self.candidates = list(_ordered(candidates))
        self.fits: dict[tuple[Key, ...], tuple[float, tuple[float, ...]]] = {}
        self.additions: dict[tuple[Key, ...], list[Key]] = {}

    def answer(self) -> list[Cause]:
        """Search, learn from the rest how wild the noise is and what else stands out, and search again."""
        found = self._search(())
        for _ in range(RESEARCHES):
            dispersion, spread = self._noise(found)
            more = self._candidates(self.cube.groups_with(self._explained(found))) if found else set()
            calm = dispersion < 1.05 * self.dispersion and spread <= self.spread + 0.01
            if calm and more <= set(self.candidates):
                break
            self.dispersion, self.spread = dispersion, spread
            self.candidates = list(_ordered({*self.candidates, *more}))
            self.additions.clear()
            found = self._search(found)
        return self._report(self._prune(self._settle(found)))

    # candidates

    def _candidates(self, groups: Iterable[Group]) -> set[Key]:
        """Pick the combinations worth a look: those whose own evidence pays their price, the best of each width."""
        scored: list[list[tuple[float, tuple[int, ...], Key]]] = [[] for _ in range(MOST_ATTRIBUTES + 1)]
        log = math.log
        for dimensions, code, k, e in groups:
            width = len(dimensions)
            score = k * log(k / e) - (k - e) - PER_CAUSE - PER_ATTRIBUTE * width
            if score > 0 and (key := self.cube.key(dimensions, code)) is not None:
                scored[width].append((score, _rank(key), key))
        return {key for same in scored for _, _, key in nlargest(CANDIDATES // MOST_ATTRIBUTES, same)}

    def _explained(self, causes: tuple[Key, ...]) -> dict[int, float]:
        """Failures that the causes let expect beyond the baseline's, by leaf."""
        explained: dict[int, float] = {}
        for key, rise in zip(causes, self._fit(causes)[1], strict=True):
            for leaf in self.cube.members(key):
                explained[leaf] = explained.get(leaf, 0.0) + rise * self.cube.room[leaf]
        return explained

    def _rose_everywhere(self) -> bool:
        """Whether, by every dimension, values with most of the traffic rose by half the overall rise or more."""
        rise = (self.whole.failures - self.whole.expected) / self.whole.calls
        for dimension, values in enumerate(self.cube.values):
            rose = 0.0
            for value in range(len(values)):
                inside = self.cube.sums(((dimension, value),))
                if inside.failures - inside.expected >= 0.5 * rise * inside.calls:
                    rose += inside.calls
            if rose < EVERYWHERE * self.whole.calls:
                return False
        return True

    # the likelihood of a set

    def _fit(self, keys: tuple[Key, ...]) -> tuple[float, tuple[float, ...]]:
        """Log-likelihood gain of a set, and the rise of each of its causes, fitted together."""
        known = self.fits.get(keys)
        if known is None:
            known = self.fits[keys] = fit(self._atoms(keys), len(keys), shares=self.cube.shares)
        return known

    def _atoms(self, keys: tuple[Key, ...]) -> dict[int, Sums]:
        """Sum the leaves by which of the causes (a bit mask) they lie in."""
        inside: dict[int, Sums] = {}
        for mask in range(1, 1 << len(keys)):
            common: Key | None = ()
            for bit, key in enumerate(keys):
                if mask >> bit & 1 and common is not None:
                    common = both(common, key)
            if common is not None and (sums := self.cube.sums(common)).calls > 0:
                inside[mask] = sums
        atoms = dict(inside)
        for mask in sorted(inside, key=int.bit_count, reverse=True):  # the innermost first, then what is around them
            for wider in inside:
                if wider != mask and wider & mask == mask:
                    atoms[mask] -= atoms[wider]
        return {mask: sums for mask, sums in atoms.items() if sums.room > 1e-9 and sums.expected > 1e-12}

    def _score(self, keys: tuple[Key, ...]) -> float:
        return self._fit(keys)[0] / self.dispersion - sum(PER_CAUSE + PER_ATTRIBUTE * len(key) for key in keys)

    # the search

    def _search(self, known: tuple[Key, ...]) -> tuple[Key, ...]:
        """Find the best set of at most `SOUGHT` causes, from several starts: one may be known."""
        best: tuple[Key, ...] = ()
        starts: list[tuple[Key, ...]] = [known] if known else []
        for width in range(MOST_ATTRIBUTES + 1):
            same = [(key,) for key in self.candidates if len(key) == width]
            if same:
                starts.append(max(same, key=self._score))
        seen: set[tuple[Key, ...]] = set()
        for start in sorted(starts, key=self._score, reverse=True):
            found = self._climb(start, seen)
            if self._score(found) > self._score(best) + 1e-9:
                best = found
        return best

    def _climb(self, causes: tuple[Key, ...], seen: set[tuple[Key, ...]]) -> tuple[Key, ...]:
        """Add, exchange, merge and remove causes while the score rises; stop where another climb has been."""
        while causes not in seen:
            seen.add(causes)
            better = max(self._moves(causes), key=self._score, default=causes)
            if self._score(better) <= self._score(causes) + 1e-9:
                break
            causes = better
        return causes

    def _moves(self, causes: tuple[Key, ...]) -> Iterator[tuple[Key, ...]]:
        if len(causes) < SOUGHT:
            yield from (_ordered((*causes, added)) for added in self._additions(causes))
        for leaving in causes:
            rest = tuple(key for key in causes if key != leaving)
            yield rest
            yield from (_ordered((*rest, added)) for added in self._additions(rest))
        for one, other in combinations(causes, 2):
            parent = tuple(pair for pair in one if pair in other)
            if parent or () in self.candidates:
                yield _ordered((*(key for key in causes if key not in (one, other)), parent))

    def _additions(self, causes: tuple[Key, ...]) -> list[Key]:
        """Return the candidates that promise most on top of `causes`, whose rises stay as they are."""
        known = self.additions.get(causes)
        if known is not None:
            return known
        rises = self._fit(causes)[1]
        promising = []
        for key in self.candidates:
            if key in causes:
                continue
            k, e = self._unexplained(key, causes, rises)
            if k - e >= LEAST_EXCESS:
                score = simple_gain(k, e) / self.dispersion - PER_ATTRIBUTE * len(key)
                if score > 0:
                    promising.append((score, _rank(key), key))
        best = [key for _, _, key in nlargest(2 * PROMISING, promising)]
        known = self.additions[causes] = [key for key in best if self._passes(key, causes)][:PROMISING]
        return known

    def _unexplained(self, key: Key, causes: Sequence[Key], rises: Sequence[float]) -> tuple[float, float]:
        """Failures inside `key`, and how many the other causes let expect."""
        own = self.cube.sums(key)
        expected = own.expected
        for cause, rise in zip(causes, rises, strict=True):
            common = both(key, cause)
            if common is not None:
                expected += rise * self.cube.sums(common).room
        return own.failures, expected

    def _noise(self, causes: tuple[Key, ...]) -> tuple[float, float]:
        """How wild the leaves outside the causes are: their dispersion, and the squared spread of their rates.

        The dispersion is their variance over what chance and the baseline allow; the spread is what each leaf's rate
        would have to vary by to explain it. The worst three tenths are left out (a cause not found yet would inflate
        both) and what trimming takes from a normal sample given back. Leaves with little to expect say nothing.
        """
        cube = self.cube
        inside = {leaf for key in causes if key for leaf in cube.members(key)}
        overall = next((rise for key, rise in zip(causes, self._fit(causes)[1], strict=True) if not key), 0.0)
        expected = [e + overall * room for e, room in zip(cube.expected, cube.room, strict=True)]
        rows = [
            ((k - e) ** 2, e, v)
            for leaf, (k, e, v) in enumerate(zip(cube.failures, expected, cube.variance, strict=True))
            if e >= 2 and leaf not in inside
        ]
        if len(rows) < 10:
            return 1.0, LEAST_SPREAD

        def trimmed(spread: float) -> float:
            squares = sorted([square / (e + v + spread * e * e) for square, e, v in rows])
            kept = squares[: len(squares) * 7 // 10]
            return sum(kept) / len(kept) / 0.31

        dispersion = trimmed(0.0)
        low, high = 0.0, 1.0
        if dispersion > 1:
            for _ in range(8):
                middle = (low + high) / 2
                low, high = (middle, high) if trimmed(middle) > 1 else (low, middle)
        return max(1.0, dispersion), max(low, LEAST_SPREAD)

    # after the search

    def _settle(self, causes: tuple[Key, ...]) -> tuple[Key, ...]:
        """Drop attributes whose siblings rose too, and add those whose siblings barely moved."""
        kept = list(causes)
        for place, key in enumerate(causes):
            others = _ordered(other for spot, other in enumerate(kept) if spot != place)
            wider = self._widened(key, others)
            kept[place] = wider if wider != key else self._narrowed(key, others)
        return _ordered(kept)

    def _widened(self, key: Key, others: tuple[Key, ...]) -> Key:
        while key:
            parents = [
                (share, _rank(parent), parent)
                for pair in key
                if (parent := tuple(p for p in key if p != pair)) or () in self.candidates
                if (share := self._sibling_share(key, parent, others)) >= SIBLINGS_ROSE
            ]
            if not parents:
                break
            key = max(parents)[2]
        return key

    def _narrowed(self, key: Key, others: tuple[Key, ...]) -> Key:
        children = [
            (-share, _rank(child), child)
            for child in self.candidates
            if len(child) == len(key) + 1 and set(key) < set(child) and child not in others
            if (share := self._sibling_share(child, key, others, least=SIBLINGS_EXPECTED)) <= SIBLINGS_STILL
        ]
        return max(children)[2] if children else key

    def _sibling_share(self, key: Key, parent: Key, others: tuple[Key, ...], *, least: float = 0.0) -> float:
        """Rise of the parent's other children over the rise of `key`; 1 when it has no other child.

        Also 1 when these would have had fewer than `least` failures too many, had they risen alike: too few to tell.
        """
        rises = self._fit(others)[1]
        k, e = self._unexplained(key, others, rises)
        parent_k, parent_e = self._unexplained(parent, others, rises)
        room, all_room = self.cube.sums(key).room, self.cube.sums(parent).room
        rise, siblings = (k - e) / room if room else 0.0, all_room - room
        if siblings <= 1e-9 * all_room or siblings * rise < least:
            return 1.0
        if rise <= 0:
            return 0.0
        return ((parent_k - k) - (parent_e - e)) / siblings / rise

    def _prune(self, causes: tuple[Key, ...]) -> tuple[Key, ...]:
        """Keep what passes the gates."""
        return tuple(key for key in causes if self._passes(key, tuple(other for other in causes if other != key)))

    def _passes(self, key: Key, others: tuple[Key, ...]) -> bool:
        """Whether what is left for `key` to explain is enough, matters, and is more than noise could do."""
        rises = self._fit(others)[1]
        k, e = self._unexplained(key, others, rises)
        own = self.cube.sums(key)
        if k - e < LEAST_EXCESS or k - e < MIN_RISE * own.calls:
            return False
        rate, before = k / own.calls, e / own.calls
        odds = k / e if max(rate, before) >= 0.99 else rate / (1 - rate) / (before / (1 - before))
        if odds < MIN_ODDS:
            return False
        explained = [0.0] * len(self.cube.calls) if others else []
        for other, rise in zip(others, rises, strict=True):
            if (common := both(key, other)) is not None:
                for leaf in self.cube.members(common):
                    explained[leaf] += rise * self.cube.room[leaf]
        expected = self.cube.expected
        variance = own.variance
        for leaf in self.cube.members(key):
            variance += self.spread * expected[leaf] ** 2
            if others:
                variance += max(self.spread, RISE_SPREAD) * explained[leaf] ** 2
        return certain_gain(k, e, variance) > CERTAIN + PER_ATTRIBUTE * len(key)

    def _report(self, causes: tuple[Key, ...]) -> list[Cause]:
        total = self.whole.failures - self.whole.expected
        if total <= 0:  # what rose is less than what fell elsewhere
            pairs = zip(self.cube.failures, self.cube.expected, strict=True)
            total = sum([k - e for k, e in pairs if k > e])
        answer = []
        for key in causes:
            others = tuple(other for other in causes if other != key)
            sums = self.cube.sums(key)
            explains = min(1.0, max(0.0, (sums.failures - sums.expected) / total))
            lost = self._score(causes) - self._score(others)
            answer.append((-lost, _rank(key), Cause(self.cube.where(key), explains, self._confidence(key, others))))
        return [cause for *_, cause in sorted(answer, key=lambda item: item[:2])]

    def _confidence(self, key: Key, others: tuple[Key, ...]) -> float:
        """From the lead over the best answer with another combination in its place."""
        own = self._score(_ordered((*others, key)))
        rivals = [other for other in self.candidates if other != key and other not in others and self._akin(key, other)]
        rival = max((self._score(_ordered((*others, other))) for other in rivals), default=self._score(others))
        return round(1 / (1 + math.exp(-min(50.0, max(-50.0, (own - rival) / 3)))), 3)

    def _akin(self, one: Key, other: Key) -> bool:
        """Whether two combinations share so many failures that one may stand for the other."""
        common = both(one, other)
        most = max(self.cube.sums(one).failures, self.cube.sums(other).failures)
        return common is not None and self.cube.sums(common).failures >= 0.5 * most


def _ordered(keys: Iterable[Key]) -> tuple[Key, ...]:
    return tuple(sorted(set(keys), key=lambda key: (len(key), key)))


def _rank(key: Key) -> tuple[int, ...]:
    """Greater is better: fewer attributes, then the alphabetically first. Ties must depend on the data alone."""
    return (-len(key), *(-number for pair in key for number in pair))
