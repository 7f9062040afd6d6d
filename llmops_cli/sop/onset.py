"""When an incident began: not when a threshold was crossed, and to the second where the log allows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from llmops_cli.evidence import Cell
from llmops_cli.sop.ledger import Ledger
from llmops_cli.sop.significance import heaviest

LOOK_BACK = 2
"""Slots before the stretch that are looked at too: an incident often begins late in a slot that looks healthy."""
HALF = 0.5
LEAST_PART = 0.1
"""A smaller part of a bucket is chance."""
LOCAL_BUCKETS = 3
LOCAL_MS = 900_000
AFTER_MS = 120_000
"""How far back demand is called "right before" a change."""


@dataclass(slots=True)
class Moment:
    """One bucket of a scope: trials, hits, and the time of the first hit where it is known."""

    start_ms: int
    end_ms: int
    trials: float = 0.0
    hits: float = 0.0
    first_ms: int | None = None


def moments(
    ledger: Ledger, cells: Iterable[Cell], from_ms: int, to_ms: int, count: Callable[[Cell], tuple[float, float]]
) -> list[Moment]:
    """Buckets of `cells` between two times, in order; `count(cell)` gives trials and hits."""
    found: dict[int, Moment] = {}
    for cell in cells:
        start_ms = cell.bucket_ms
        # The log may begin inside a bucket: the timeline begins there, the bucket's cells do not.
        if not from_ms - ledger.observation.bucket_ms < start_ms < to_ms or ledger.on_timeline(cell) is None:
            continue
        moment = found.get(start_ms)
        if moment is None:
            end_ms = min(start_ms + ledger.observation.bucket_ms, _period_end(ledger, cell))
            moment = found[start_ms] = Moment(start_ms, end_ms)
        trials, hits = count(cell)
        moment.trials += trials
        moment.hits += hits
        if hits and not cell.ok:
            moment.first_ms = cell.first_ms if moment.first_ms is None else min(moment.first_ms, cell.first_ms)
    return [found[start] for start in sorted(found)]


def _period_end(ledger: Ledger, cell: Cell) -> int:
    if cell.period == "before" and ledger.baseline is not None:
        return ledger.baseline.end_ms
    return ledger.span.end_ms if cell.period == "now" else ledger.span.start_ms


def began(found: Sequence[Moment], share: float, usual: float) -> int | None:
    """When the share rose from `usual` to `share`, ms; None without any hit."""
    # Half the share: an incident may begin with a few quiet calls, and its first hit is worth more than its steadiest.
    level = min(0.98, max(HALF * share, 1.5 * usual))
    gain, loss = math.log(level / usual), math.log((1 - level) / (1 - usual))
    stretch = heaviest([moment.hits * (gain - loss) + moment.trials * loss for moment in found], 0)
    if stretch is None:
        return None
    first = found[stretch.start]
    if first.first_ms is None:
        parts = [(m.hits / m.trials - usual / 2) / (share - usual / 2) if m.trials else 0.0 for m in found]
        return _mixed(found, stretch.start, parts)
    start_ms, later = _first(first, first.first_ms, share), first
    for moment in reversed(found[max(0, stretch.start - LOOK_BACK) : stretch.start]):
        # What began in the bucket before goes on from the very start of this one.
        gap_ms = (later.end_ms - later.start_ms) / max(share * later.trials, 1e-9)
        if start_ms - later.start_ms > 3 * gap_ms or moment.first_ms is None:
            break
        if _first(moment, moment.first_ms, share) != moment.first_ms:
            break
        start_ms, later = moment.first_ms, moment
    return start_ms


def _first(moment: Moment, first_ms: int, share: float) -> int:
    """Place a beginning inside a bucket: at its first hit, unless that is a stray one.

    The mixture of before and after tells when the hits should have begun; a first hit long before that is not of them.
    """
    length, whole = moment.end_ms - moment.start_ms, max(share * moment.trials, 1e-9)
    likely_ms = moment.end_ms - length * min(1.0, moment.hits / whole)
    scatter_ms = length * math.sqrt(moment.hits + 1) / whole
    return first_ms if likely_ms - first_ms <= 2 * scatter_ms else round(likely_ms)


def _mixed(found: Sequence[Moment], start: int, parts: Sequence[float]) -> int:
    """Place a change by mixtures: `parts` tell how much of each bucket lies after it."""
    moment = found[start]
    changed_ms = min(1.0, max(0.1, parts[start])) * (moment.end_ms - moment.start_ms)
    if start and found[start - 1].end_ms == moment.start_ms and parts[start - 1] > LEAST_PART:
        before = found[start - 1]
        changed_ms += min(1.0, parts[start - 1]) * (before.end_ms - before.start_ms)
    return round(moment.end_ms - changed_ms)


def jumped(found: Sequence[Moment], usual: float, now: float) -> tuple[int, float] | None:
    """When a count went from `usual` to `now` (per ms, by the `hits` of moments), ms, and how sure that is.

    `found` must hold empty buckets too: silence is evidence here. None when it did not change, or before all of them.
    """
    if usual <= 0 or now == usual:
        return None
    ratio = max(now / usual, 0.01)
    weights = [m.hits * math.log(ratio) - usual * (m.end_ms - m.start_ms) * (ratio - 1) for m in found]
    stretch = heaviest(weights, 0)
    if stretch is None or stretch.start == 0:
        return None
    after = found[stretch.start + 1 :][: max(LOCAL_BUCKETS, AFTER_MS // (found[0].end_ms - found[0].start_ms))]
    if after:
        now = sum(moment.hits for moment in after) / sum(moment.end_ms - moment.start_ms for moment in after)
    if now == usual:
        return found[stretch.start].start_ms, stretch.score
    parts = [(m.hits / (m.end_ms - m.start_ms) - usual) / (now - usual) for m in found]
    return _mixed(found, stretch.start, parts), stretch.score


def pace(found: Sequence[Moment], until_ms: int) -> float | None:
    """Give a count per ms, of the last buckets that end by `until_ms`; None when there are too few of them."""
    before = [moment for moment in found if moment.end_ms <= until_ms]
    length = before[0].end_ms - before[0].start_ms if before else 1
    before = before[-max(LOCAL_BUCKETS, LOCAL_MS // length) :]
    if len(before) < 2:
        return None
    return sum(moment.hits for moment in before) / sum(moment.end_ms - moment.start_ms for moment in before)


def known_from(ledger: Ledger, began_ms: int, slack_ms: int) -> tuple[int | None, int | None]:
    """Split a beginning: known, or only "before", at the start of all that was read or right after a gap in it."""
    ends = [ledger.start_ms, *(later.start_ms for one, later in pairwise(ledger.spans) if one.end_ms < later.start_ms)]
    unread = next((ms for ms in ends if 0 <= began_ms - ms <= slack_ms), None)
    return (began_ms, None) if unread is None else (None, unread)


def silent_too(ledger: Ledger, cells: Iterable[Cell], from_ms: int, weigh: Callable[[Cell], float]) -> list[Moment]:
    """All buckets of the timeline from a time on, those without a call too; `weigh` gives the hits of a cell."""
    step = ledger.observation.bucket_ms
    found: dict[int, Moment] = {}
    for span in ledger.spans:
        for ms in range(span.start_ms, span.end_ms, step):
            if ms >= from_ms and ms + step > ledger.observation.read_from_ms:
                found[ms] = Moment(ms, min(ms + step, span.end_ms))
    for cell in cells:
        moment = found.get(cell.bucket_ms)
        if moment is not None:
            moment.hits += weigh(cell)
    return [found[ms] for ms in sorted(found)]
