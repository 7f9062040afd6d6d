"""The observation as the rules read it: one timeline of slots, and counts per combination on it.

The timeline holds the baseline when it lies right before the window, or right before what was read "between" the two;
else the window alone. It may have one gap, of time that nobody read. An incident that began before the window is
judged on all its calls, not on those of the window only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llmops_cli.evidence import DIMENSIONS, Cell, Filters, Observation, Span, Thresholds, Where
from llmops_cli.knowledge.errors import classify

MOST_SLOTS_BETWEEN = 120
"""A long way back is looked at in coarser slots; `onset` goes back to the buckets."""

Row = list[int]


@dataclass(slots=True)
class Tally:
    """Trials and hits (calls and failures, answers and slow ones, ratings and bad ones) of each combination.

    `trials` and `hits` are rows of one number a slot; `before_*` are the sums of the baseline.
    """

    slots: int
    trials: dict[Where, Row] = field(default_factory=dict)
    hits: dict[Where, Row] = field(default_factory=dict)
    before_trials: dict[Where, int] = field(default_factory=dict)
    before_hits: dict[Where, int] = field(default_factory=dict)
    _by_value: dict[bool, dict[tuple[int, str], list[Where]]] = field(default_factory=dict, repr=False, compare=False)

    def members(self, scope: Mapping[str, str], *, before: bool = False) -> list[Where]:
        """Give the combinations in a scope; those of the baseline with `before`. Ask when all are counted.

        By an index: every value is tried as a scope, and there may be thousands.
        """
        wheres = self.before_trials if before else self.trials
        if not scope:
            return list(wheres)
        index = self._by_value.get(before)
        if index is None:
            index = self._by_value[before] = defaultdict(list)
            for where in wheres:
                for place, value in enumerate(where):
                    index[place, value].append(where)
        values = [(DIMENSIONS.index(name), value) for name, value in scope.items()]
        first, *others = sorted((index.get(value, []) for value in values), key=len)
        return [where for where in first if inside(where, scope)] if others else first

    def without(self, wheres: Iterable[Where]) -> Tally:
        """Leave some combinations out."""
        gone = set(wheres)
        return Tally(
            self.slots,
            {where: row for where, row in self.trials.items() if where not in gone},
            {where: row for where, row in self.hits.items() if where not in gone},
            {where: count for where, count in self.before_trials.items() if where not in gone},
            {where: count for where, count in self.before_hits.items() if where not in gone},
        )


def inside(where: Where, scope: Mapping[str, str]) -> bool:
    """Whether a combination lies in a scope."""
    return all(getattr(where, dimension) == value for dimension, value in scope.items())


def asked(filters: Filters) -> dict[str, str]:
    """Give the scope that a question was narrowed to: the dimensions that may have one value only."""
    return {name: values[0] for name in DIMENSIONS if len(values := getattr(filters, name)) == 1}


def total(rows: Iterable[Row], slots: int) -> Row:
    """Add rows up, slot by slot."""
    return [sum(column) for column in zip(*rows, strict=True)] or [0] * slots


class Ledger:
    """Counts of one observation, made in one pass over its cells."""

    def __init__(self, observation: Observation, thresholds: Thresholds, strictness: float = 1.0) -> None:
        """`strictness` scales the evidence that rules ask for: less is enough to distrust a baseline."""
        self.observation = observation
        self.strictness = strictness
        self.thresholds = thresholds
        self.window = observation.window
        self.span = observation.window.span
        self.baseline = observation.window.baseline if observation.before is not None else None
        self.between = observation.between
        self.adjacent = self._adjacent()
        self.slots = self._slots()
        self.first_now = next(i for i, slot in enumerate(self.slots) if slot.end_ms > self.span.start_ms)
        self._starts = [slot.start_ms for slot in self.slots]
        self._slot_of: dict[int, int | None] = {}
        self.cells: dict[Where, list[Cell]] = {}
        self.families: dict[str, list[Cell]] = defaultdict(list)
        self.calls, self.answers = self._count()

    @property
    def before_minutes(self) -> float:
        """How much of the baseline was covered by the log."""
        return 0.0 if self.baseline is None else self.observation.baseline_read_ms / 60_000

    @property
    def start_ms(self) -> int:
        """Where the timeline begins."""
        return self.slots[0].start_ms

    @property
    def spans(self) -> list[Span]:
        """The stretches of time that the timeline is made of, in order."""
        baseline = self.baseline if self.adjacent else None
        return [span for span in (baseline, self.between, self.span) if span is not None]

    def slot(self, cell_ms: int) -> int | None:
        """Give the slot of a bucket's start; None when it is not on the timeline."""
        known = self._slot_of.get(cell_ms, -1)
        if known != -1:
            return known
        found = bisect_right(self._starts, cell_ms) - 1
        answer = found if found >= 0 else 0 if cell_ms + self.observation.bucket_ms > self._starts[0] else None
        if answer is not None and cell_ms >= self.span.end_ms:
            answer = None
        self._slot_of[cell_ms] = answer
        return answer

    def on_timeline(self, cell: Cell) -> int | None:
        """Give the slot of a cell; None for a baseline that stands apart."""
        if cell.period == "before" and not self.adjacent:
            return None
        return self.slot(cell.bucket_ms)

    def failures(self, family: str) -> Tally:
        """All calls as trials, and those that failed in one family as hits."""
        tally = Tally(len(self.slots), self.calls.trials, {}, self.calls.before_trials, {})
        self._hit(tally, self.families[family])
        return tally

    def within(self, scope: Mapping[str, str]) -> list[Cell]:
        """All cells in a scope."""
        return [cell for where in self.calls.members(scope) for cell in self.cells[where]]

    def _hit(self, tally: Tally, cells: Iterable[Cell]) -> None:
        for cell in cells:
            slot = self.on_timeline(cell)
            if slot is not None:
                row = tally.hits.get(cell.where)
                if row is None:
                    row = tally.hits[cell.where] = [0] * tally.slots
                row[slot] += cell.calls
            if cell.period == "before":
                tally.before_hits[cell.where] = tally.before_hits.get(cell.where, 0) + cell.calls

    def _count(self) -> tuple[Tally, Tally]:
        """Sort the cells by combination and family, and count them: tens of thousands, so in one plain loop."""
        slots = len(self.slots)
        calls, answers = Tally(slots), Tally(slots)
        rows: dict[Where, tuple[list[Cell], Row, Row, Row, Row]] = {}
        failed: list[Cell] = []
        known, apart = self._slot_of, not self.adjacent
        for cell in self.observation.cells:
            period, bucket_ms, where, status, code, _, count, slow_count, *_ = cell
            row = rows.get(where)
            if row is None:
                row = rows[where] = ([], [0] * slots, [0] * slots, [0] * slots, [0, 0, 0])
            of_where, every, good, slow, before = row
            of_where.append(cell)
            ok = status == 200 and not code
            if period == "before":
                before[0] += count
                if ok:
                    before[1] += count
                    before[2] += slow_count
            if not ok:
                failed.append(cell)
            if apart and period == "before":
                continue
            slot = known[bucket_ms] if bucket_ms in known else self.slot(bucket_ms)
            if slot is not None:
                every[slot] += count
                if ok:
                    good[slot] += count
                    slow[slot] += slow_count
        self._sort(failed)
        for where, (of_where, every, good, slow, before) in rows.items():
            self.cells[where] = of_where
            calls.trials[where], calls.before_trials[where] = every, before[0]
            answers.trials[where], answers.hits[where] = good, slow
            answers.before_trials[where], answers.before_hits[where] = before[1], before[2]
        return calls, answers

    def _sort(self, failed: Iterable[Cell]) -> None:
        """Sort failed cells into their families; each kind of failure is looked up once."""
        kinds: dict[tuple[int | None, str, str], list[Cell]] = {}
        for cell in failed:
            kind = cell.status_code, cell.error_code, cell.error_message
            of_kind = kinds.get(kind)
            if of_kind is None:
                of_kind = kinds[kind] = self.families[family_of(cell)]
            of_kind.append(cell)

    def _adjacent(self) -> bool:
        """Whether the timeline reaches back through the baseline: it lies right before the window or "between"."""
        if self.baseline is None or self.before_minutes == 0:
            return False
        return self.between is not None or self.baseline.end_ms == self.span.start_ms

    def _slots(self) -> list[Span]:
        step = self.observation.bucket_ms
        slots: list[Span] = []
        if self.adjacent and self.baseline is not None:
            slots += _cut(self.baseline, step)
        if self.between is not None:
            coarser = -(-self.between.ms // (step * MOST_SLOTS_BETWEEN))
            slots += _cut(self.between, step * max(1, coarser))
        slots += _cut(self.span, step)
        # Nothing is known of the time before the log begins: calls that are missing there were not expected either.
        from_ms = min(self.observation.read_from_ms, slots[-1].start_ms)
        return [Span(max(slot.start_ms, from_ms), slot.end_ms) for slot in slots if slot.end_ms > from_ms]

    def feedback(self) -> Tally:
        """Ratings as trials, negative ones as hits."""
        tally = Tally(len(self.slots))
        for row in self.observation.feedback:
            ratings = row.up + row.down
            if row.period != "before" or self.adjacent:
                slot = self.slot(row.bucket_ms)
                if slot is not None:
                    tally.trials.setdefault(row.where, [0] * tally.slots)[slot] += ratings
                    tally.hits.setdefault(row.where, [0] * tally.slots)[slot] += row.down
            if row.period == "before":
                tally.before_trials[row.where] = tally.before_trials.get(row.where, 0) + ratings
                tally.before_hits[row.where] = tally.before_hits.get(row.where, 0) + row.down
        return tally


def family_of(cell: Cell) -> str:
    """Name the family of a failed cell."""
    return classify(cell.status_code, cell.error_code, cell.error_message).family


def values_of(wheres: Iterable[Where]) -> list[dict[str, str]]:
    """Every single value as a scope, and `{}` first."""
    seen = {(dimension, getattr(where, dimension)): None for where in wheres for dimension in DIMENSIONS}
    return [{}, *({dimension: value} for dimension, value in seen)]


def at(values: Sequence[int], start: int, end: int) -> int:
    """Sum over slots `[start, end)`."""
    return sum(values[start:end])


def _cut(span: Span, step: int) -> list[Span]:
    return [Span(ms, min(ms + step, span.end_ms)) for ms in range(span.start_ms, span.end_ms, step)]
