"""Step four of the SOP: where does it come from. A table by the dimensions asked for, and the causes found without."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from llmops_cli.evidence import DIMENSIONS, Filters, Message, Observation, Slice, Where
from llmops_cli.knowledge.errors import family_title, is_rate_limit
from llmops_cli.knowledge.sentences import scope_text
from llmops_cli.report import BaselineSlice, CauseRow, DrillData, DrillRow
from llmops_cli.sop.causes import compared, excess_failures, find_causes
from llmops_cli.sop.commandline import command, option, scope_options
from llmops_cli.sop.finding import named
from llmops_cli.sop.inside import rose_text, since_text
from llmops_cli.sop.ledger import asked
from llmops_cli.sop.measured import Counts, Measured, scale_of

JOINED = " × "
STEADY = 1.2
"""A rate that grew by less than this is as it was."""


def drill(
    observation: Observation,
    slices: Sequence[Slice],
    by: tuple[str, ...],
    *,
    causes: Sequence[CauseRow] | None = None,
    next_options: str = "",
) -> DrillData:
    """Compare each value of `by` with its baseline, and tell which combinations explain the change.

    `slices` are the calls per combination of `by`. Without `by` the most telling dimension is taken and named in the
    answer; its rows come from `slices` when these are by that dimension (see `telling_dimension`), else from the
    cells, and then have no p95. `causes` are those of `find_causes`, sought here when they are not given.
    `next_options` (as it stands in a shell) is appended to every next command. Narrowed to error codes, every call seen
    is a failure: then there are counts, and neither rates nor causes.
    """
    counted = bool(observation.filters.error_code)
    if counted:
        causes = ()
    causes = find_causes(observation) if causes is None else tuple(causes)
    data = compared(observation, [cause.started_at for cause in causes])
    if not by:
        by = (telling_dimension(observation, causes),)
        if any(tuple(one.where) != by for one in slices) or not slices:
            slices = _slices(data, by[0])
    return DrillData(
        by=by,
        rows=_rows(observation, slices, by, measure=_measure(causes, by)),
        causes=causes,
        excess_failures=0 if counted else round(excess_failures(data)),
        paste=_paste(observation, causes),
        next=_whole(observation.filters, next_options)
        if counted
        else _next(causes, by, observation.filters, next_options),
    )


def telling_dimension(observation: Observation, causes: Sequence[CauseRow] | None = None) -> str:
    """Return the dimension one of whose values explains most: what `drill` shows when it is not asked for one.

    It is that of who drives the first cause, else one of those that the cause names, if there is one. Each value is
    scored by the likelihood of its rise against all the rest; without any failure, by its calls' rise.
    """
    counted = bool(observation.filters.error_code)
    causes = find_causes(observation) if causes is None and not counted else causes or ()
    data = compared(observation, [cause.started_at for cause in causes])
    named = tuple(causes[0].where) if causes else ()
    if causes and causes[0].drivers:
        named = tuple(causes[0].drivers[0].where)
    if causes and causes[0].measure == "negative" and named:
        return named[-1]  # an app's modules tell more than the app
    narrowed = asked(observation.filters)
    free = [name for name in named or DIMENSIONS if name not in narrowed]
    free = free or [name for name in DIMENSIONS if name not in narrowed] or ["error_code"]
    return free[0] if len(free) == 1 else _most_telling(data, free, by_rate=not counted)


def _most_telling(data: Measured, dimensions: Sequence[str], *, by_rate: bool) -> str:
    best, best_score = "model" if "model" in dimensions else dimensions[0], 0.0
    for dimension in dimensions:
        now, before = _by_value(data.now, dimension), _by_value(data.before, dimension)
        calls, failures = _total(now)
        score = 0.0
        for value, (n, k) in now.items():
            if len(now.keys() | before.keys()) < 2:
                continue
            if failures and by_rate:
                was_n, was_k = before.get(value, (0, 0))
                rest = n * (failures - k) / (calls - n) if calls > n else 0.0
                score = max(score, _gain(k, max(rest, n * was_k / was_n if was_n else 0.0, 0.5)))
            else:
                score = max(score, _gain(n, max(before.get(value, (0, 0))[0] * data.scale, 1.0)))
        if score > best_score + 1e-9:
            best, best_score = dimension, score
    return best


def _gain(seen: float, expected: float) -> float:
    return seen * math.log(seen / expected) - (seen - expected) if seen > expected else 0.0


def _by_value(period: Mapping[Where, Counts], dimension: str) -> dict[str, tuple[int, int]]:
    sums: dict[str, tuple[int, int]] = {}
    for where, counts in period.items():
        value = where[DIMENSIONS.index(dimension)]
        calls, failures = sums.get(value, (0, 0))
        sums[value] = (calls + counts.calls, failures + counts.failures[""])
    return dict(sorted(sums.items()))


def _total(sums: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    return sum(calls for calls, _ in sums.values()), sum(failures for _, failures in sums.values())


def _slices(data: Measured, dimension: str) -> list[Slice]:
    now, before = _by_value(data.now, dimension), _by_value(data.before, dimension)
    tokens, tokens_before = _tokens(data.now, dimension), _tokens(data.before, dimension)
    return [
        Slice(
            {dimension: value},
            *now.get(value, (0, 0)),
            None,
            tokens[value],
            *before.get(value, (0, 0)),
            None,
            tokens_before[value],
        )
        for value in sorted(now.keys() | before.keys())
    ]


def _tokens(period: Mapping[Where, Counts], dimension: str) -> Counter[str]:
    sums: Counter[str] = Counter()
    for where, counts in period.items():
        sums[getattr(where, dimension)] += counts.total_tokens
    return sums


# --- the table --------------------------------------------------------------------------------------------------------


def _measure(causes: Sequence[CauseRow], by: tuple[str, ...]) -> str:
    """Choose what the rows are sorted by: what the first cause counts, or the demand of who drives it."""
    if causes and causes[0].drivers and by == tuple(causes[0].drivers[0].where):
        return "tokens" if causes[0].drivers[0].tokens else "calls"
    return causes[0].measure if causes else "failures"


def _rows(
    observation: Observation, slices: Sequence[Slice], by: tuple[str, ...], *, measure: str
) -> tuple[DrillRow, ...]:
    """Sort by who explains the change: excess failures, then excess calls, then calls.

    Where the change is that answers became slow, first by how much longer they take, times how many they are; where
    ratings turned negative, by these; where demand changed, by how many calls are missing or came on top.
    """
    by_code = "error_code" in by
    if by_code:  # the calls that succeeded are no value of this dimension
        slices = [one for one in slices if one.failures or one.before_failures]
    counted = bool(observation.filters.error_code)
    failures = sum(one.failures for one in slices)
    calls = sum(one.calls for one in slices)
    before_calls = sum(one.before_calls for one in slices)
    has_baseline, scale = observation.before is not None, scale_of(observation, observation.window.span.start_ms)
    # Without a baseline, a value is compared with all values together.
    usual = sum(one.before_failures for one in slices) / before_calls if before_calls else failures / max(1, calls)
    rated = _rated(observation, by)
    ranked = []
    for one in slices:
        more_calls = one.calls - one.before_calls * scale if has_baseline else 0.0
        ratings, negative = rated.get(tuple(one.where.get(name, "") for name in by), (0, 0))
        if by_code or counted:
            excess = one.failures - one.before_failures * scale if has_baseline else float(one.failures)
        elif measure == "slow":
            excess = one.calls * ((one.p95_ms or 0.0) - (one.before_p95_ms or one.p95_ms or 0.0))
        elif measure == "negative":
            excess = float(negative)
        elif measure in ("calls", "tokens"):
            excess = abs(more_calls) if measure == "calls" else float(one.total_tokens)
        else:
            rate = one.before_failures / one.before_calls if one.before_calls else usual
            excess = one.failures - one.calls * rate
        row = replace(_row(one, by, failures, compared=has_baseline), ratings=ratings, negative=negative)
        row = _without_rates(row) if counted else row
        ranked.append((-excess, -more_calls, -one.calls, row.value, row))
    return tuple(row for *_, row in sorted(ranked, key=lambda item: item[:4]))


def _rated(observation: Observation, by: tuple[str, ...]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Ratings, and the negative ones of them, of each value in the window."""
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    if set(by) <= set(DIMENSIONS):
        for row in observation.feedback:
            if row.period == "now":
                key = tuple(getattr(row.where, name) for name in by)
                ratings, negative = sums.get(key, (0, 0))
                sums[key] = (ratings + row.up + row.down, negative + row.down)
    return sums


def _row(one: Slice, by: tuple[str, ...], failures: int, *, compared: bool) -> DrillRow:
    before_rate = one.before_failures / one.before_calls if one.before_calls else None
    before = BaselineSlice(one.before_calls, before_rate, one.before_p95_ms, one.before_total_tokens)
    return DrillRow(
        value=JOINED.join(one.where.get(name, "") for name in by),
        calls=one.calls,
        failures=one.failures,
        failure_rate=one.failures / one.calls if one.calls else None,
        failure_share=one.failures / failures if failures else 0.0,
        p95_ms=one.p95_ms,
        total_tokens=one.total_tokens,
        baseline=before if compared else None,
        where={name: one.where.get(name, "") for name in by},
    )


def _without_rates(row: DrillRow) -> DrillRow:
    return replace(row, failure_rate=None, baseline=row.baseline and replace(row.baseline, failure_rate=None))


# --- to paste, and where to go on -------------------------------------------------------------------------------------


def _paste(observation: Observation, causes: Sequence[CauseRow]) -> Message:
    """One paragraph for the incident channel: the first two causes, and how many more there are."""
    if not causes:
        now = observation.now
        if not now.calls:
            return Message("drill.paste_no_calls" if observation.matched_by_filters else "headline.no_match")
        if observation.filters.error_code:
            before = observation.before.failures if observation.before is not None else None
            return Message("drill.paste_counted", {"failures": now.failures, "before_failures": before})
        return Message("drill.paste_nothing", {"calls": now.calls, "rate": now.failure_rate})
    values: dict[str, str | int | float | None] = {"more": len(causes) - 2 if len(causes) > 2 else None}
    for number, row in enumerate(causes[:2], start=1):
        values |= {
            f"what_{number}": _what(row),
            f"scope_{number}": _scope(row.where, observation.filters),
            f"explains_{number}": row.explains if _rose(row) else None,
            f"failures_{number}": row.failures,
            f"calls_{number}": row.calls,
            f"rate_{number}": row.failure_rate,
            f"elsewhere_{number}": row.elsewhere_failure_rate,
            f"since_{number}": since_text(observation, row),
            f"rose_{number}": rose_text(observation, row),
            f"in_{number}": "in the window" if row.counted_from is None else None,
            f"from_{number}": None if row.counted_from is None else f"{row.counted_from:%H:%M:%S}",
            f"driver_{number}": scope_text(row.drivers[0].where) if row.drivers else None,
        }
    kind = causes[0].measure
    # What the first note says with numbers, the paragraph needs too.
    first = causes[0].notes[0].values if causes[0].notes and kind in ("calls", "slow") else {}
    return Message(f"drill.paste_{'demand' if kind == 'calls' else kind}", {**first, **values})


def _rose(row: CauseRow) -> bool:
    """Whether there is an excess that a cause can have a part of: failures may be many and steady."""
    return row.baseline_failure_rate is None or (row.failure_rate or 0.0) > STEADY * row.baseline_failure_rate


def _what(row: CauseRow) -> str:
    """Return the error's own name where one code stands out, else the family's."""
    code, calls = next(
        ((n.values["code"], n.values.get("calls", row.failures)) for n in row.notes if "code" in n.values), (None, 0)
    )
    if isinstance(code, str) and (row.family or float(calls or 0) >= 0.5 * row.failures):
        return code
    return family_title(row.family) if row.family else "failures of several kinds"


def _scope(where: Mapping[str, str], filters: Filters) -> str:
    return named(where, filters) if where or filters else ""


def _next(causes: Sequence[CauseRow], by: tuple[str, ...], filters: Filters, next_options: str) -> tuple[str, ...]:
    """Give the commands that go on from here: never the one that was just asked, nor a table of one row."""
    just_asked = command("drill", *scope_options({}, filters), *_by(*by), options=next_options)
    commands = []
    for row in causes[:2]:
        options = scope_options(row.where, filters)
        missing = [name for name in DIMENSIONS if name not in {**asked(filters), **row.where}]
        commands.append(command("status", *options, options=next_options))
        if row.measure == "failures":
            commands.append(command("drill", *options, *_by("error_code"), options=next_options))
        elif missing:
            commands.append(command("drill", *options, *_by(missing[0]), options=next_options))
        if is_rate_limit(row.family):
            model = option("model", row.where["model"]) if row.where.get("model") else ()
            commands.append(command("quota", *model, options=next_options))
        if row.family:
            commands.append(command("recover", "--runbook", row.family))
    return tuple(one for one in dict.fromkeys(commands) if one != just_asked)


def _whole(filters: Filters, next_options: str) -> tuple[str, ...]:
    """Give the same question with the calls that succeeded: only among all of them failures have a rate."""
    return (command("drill", *scope_options({}, replace(filters, error_code=())), options=next_options),)


def _by(*dimensions: str) -> tuple[str, ...]:
    return tuple(word for name in dimensions for word in ("--by", name))
