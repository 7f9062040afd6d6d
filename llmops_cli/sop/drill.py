"""Step four of the SOP: where does it come from. A table by the dimensions asked for, and the causes found without."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from llmops_cli.evidence import DIMENSIONS, Filters, Message, Observation, Slice, Where
from llmops_cli.knowledge.errors import family_title, is_rate_limit
from llmops_cli.report import BaselineSlice, CauseRow, DrillData, DrillRow
from llmops_cli.sop.causes import clock_text, excess_failures, find_causes, since_ms
from llmops_cli.sop.commandline import command, option, scope_options
from llmops_cli.sop.finding import named
from llmops_cli.sop.measured import Counts, Measured, measured

JOINED = " × "


def drill(
    observation: Observation, slices: Sequence[Slice], by: tuple[str, ...], *, next_options: str = ""
) -> DrillData:
    """Compare each value of `by` with its baseline, and find the combinations that explain the change.

    `slices` are the calls per combination of `by`. Without `by` the most telling dimension is taken and named in the
    answer; its rows come from `slices` when these are by that dimension (see `telling_dimension`), else from the
    cells, and then have no p95. `next_options` (as it stands in a shell) is appended to every next command.
    """
    data = measured(observation)
    causes = find_causes(observation, data)
    if not by:
        by = (telling_dimension(observation),)
        if any(tuple(one.where) != by for one in slices) or not slices:
            slices = _slices(data, by[0])
    return DrillData(
        by=by,
        rows=_rows(observation, data, slices, by, slow=bool(causes) and causes[0].measure == "slow"),
        causes=causes,
        excess_failures=round(excess_failures(data)),
        paste=_paste(observation, causes),
        next=_next(causes, observation.filters, next_options),
    )


def telling_dimension(observation: Observation) -> str:
    """Return the dimension one of whose values explains most: what `drill` shows when it is not asked for one.

    It is one of those that the first cause names, if there is one. Each value is scored by the likelihood of its rise
    against all the rest; without any failure, by its calls' rise.
    """
    data = measured(observation)
    causes = find_causes(observation, data)
    named = tuple(causes[0].where) if causes else ()
    return named[0] if len(named) == 1 else _most_telling(data, named or DIMENSIONS)


def _most_telling(data: Measured, dimensions: Sequence[str]) -> str:
    best, best_score = "model" if "model" in dimensions else dimensions[0], 0.0
    for dimension in dimensions:
        now, before = _by_value(data.now, dimension), _by_value(data.before, dimension)
        calls, failures = _total(now)
        score = 0.0
        for value, (n, k) in now.items():
            if len(now.keys() | before.keys()) < 2:
                continue
            if failures:
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
    tokens: dict[str, int] = defaultdict(int)
    for where, counts in data.now.items():
        tokens[getattr(where, dimension)] += counts.total_tokens
    return [
        Slice(
            {dimension: value},
            *now.get(value, (0, 0)),
            None,
            tokens[value],
            *before.get(value, (0, 0)),
            None,
        )
        for value in sorted(now.keys() | before.keys())
    ]


# --- the table --------------------------------------------------------------------------------------------------------


def _rows(
    observation: Observation, data: Measured, slices: Sequence[Slice], by: tuple[str, ...], *, slow: bool
) -> tuple[DrillRow, ...]:
    """Sort by who explains the change: excess failures, then excess calls, then calls.

    Where the change is that answers became `slow`, first by how much longer they take, times how many they are.
    """
    by_code = "error_code" in by
    if by_code:  # the calls that succeeded are no value of this dimension
        slices = [one for one in slices if one.failures or one.before_failures]
    failures = sum(one.failures for one in slices)
    calls = sum(one.calls for one in slices)
    before_calls = sum(one.before_calls for one in slices)
    compared = observation.before is not None
    # Without a baseline, a value is compared with all values together.
    usual = sum(one.before_failures for one in slices) / before_calls if before_calls else failures / max(1, calls)
    ranked = []
    for one in slices:
        more_calls = one.calls - one.before_calls * data.scale if compared else 0.0
        if by_code:
            excess = one.failures - one.before_failures * data.scale if compared else float(one.failures)
        else:
            rate = one.before_failures / one.before_calls if one.before_calls else usual
            excess = one.failures - one.calls * rate
        if slow and not by_code:
            excess = one.calls * ((one.p95_ms or 0.0) - (one.before_p95_ms or one.p95_ms or 0.0))
        row = _row(one, by, failures, compared=compared)
        ranked.append((-excess, -more_calls, -one.calls, row.value, row))
    return tuple(row for *_, row in sorted(ranked, key=lambda item: item[:4]))


def _row(one: Slice, by: tuple[str, ...], failures: int, *, compared: bool) -> DrillRow:
    before_rate = one.before_failures / one.before_calls if one.before_calls else None
    return DrillRow(
        value=JOINED.join(one.where.get(name, "") for name in by),
        calls=one.calls,
        failures=one.failures,
        failure_rate=one.failures / one.calls if one.calls else None,
        failure_share=one.failures / failures if failures else 0.0,
        p95_ms=one.p95_ms,
        total_tokens=one.total_tokens,
        baseline=BaselineSlice(one.before_calls, before_rate, one.before_p95_ms) if compared else None,
        where={name: one.where.get(name, "") for name in by},
    )


# --- to paste, and where to go on -------------------------------------------------------------------------------------


def _paste(observation: Observation, causes: Sequence[CauseRow]) -> Message:
    """One paragraph for the incident channel: the first two causes, and how many more there are."""
    if not causes:
        now = observation.now
        if not now.calls:
            return Message("drill.paste_no_calls", {})
        return Message("drill.paste_nothing", {"calls": now.calls, "rate": now.failure_rate})
    values: dict[str, str | int | float | None] = {"more": len(causes) - 2 if len(causes) > 2 else None}
    for number, row in enumerate(causes[:2], start=1):
        values |= {
            f"what_{number}": _what(row),
            f"scope_{number}": _scope(row.where, observation.filters),
            f"explains_{number}": row.explains,
            f"failures_{number}": row.failures,
            f"calls_{number}": row.calls,
            f"rate_{number}": row.failure_rate,
            f"elsewhere_{number}": row.elsewhere_failure_rate,
            f"since_{number}": clock_text(observation, since_ms(observation, row)),
        }
    kind = causes[0].measure
    if kind == "calls":
        return Message("drill.paste_demand", values | dict(causes[0].notes[0].values))
    return Message(f"drill.paste_{kind}", values)


def _what(row: CauseRow) -> str:
    """Return the error's own name where one code stands out, else the family's."""
    code = next((note.values.get("code") for note in row.notes if "code" in note.values), None)
    if isinstance(code, str):
        return code
    return family_title(row.family) if row.family else "failures of several kinds"


def _scope(where: Mapping[str, str], filters: Filters) -> str:
    return named(where, filters) if where or filters else ""


def _next(causes: Sequence[CauseRow], filters: Filters, next_options: str) -> tuple[str, ...]:
    commands = []
    for row in causes[:2]:
        options = scope_options(row.where, filters)
        missing = [name for name in DIMENSIONS if name not in row.where]
        commands.append(command("status", *options, options=next_options))
        if row.measure == "failures":
            commands.append(command("drill", *options, "--by", "error_code", options=next_options))
        elif missing:
            commands.append(command("drill", *options, "--by", missing[0], options=next_options))
        if is_rate_limit(row.family):
            model = option("model", row.where["model"]) if row.where.get("model") else ()
            commands.append(command("quota", *model, options=next_options))
        if row.family:
            commands.append(command("recover", "--runbook", row.family))
    return tuple(dict.fromkeys(commands))
