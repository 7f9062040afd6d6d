"""The statements behind `status`, `drill` and `quota`.

Placeholders, filled by `Statement.text`: `{log}` (the relation), `{ms}`, `{period}`, `{start}`, `{scope}` (inside one
of the spans), `{now}`, `{before}` (inside that span; `{before}` is false without a baseline), `{bucket}` (ms),
`{percentile}`, `{kind}`, `{most}` (rows). Sums are cast to bigint: DuckDB adds bigints up to hugeints, which are ten
times slower to fetch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llmops_cli.evidence import DIMENSIONS, Period, Span
from llmops_cli.queries.dialect import Dialect

SUCCESS = "(status_code = 200 and error_code = '')"
"""A call succeeded when its status is 200 and it has no error code."""

COLUMNS = (
    *DIMENSIONS, "trace_id", "request_id", "level", "status_code", "duration_ms", "input_tokens", "output_tokens",
    "total_tokens", "error_code", "error_message", "rating",
)  # fmt: skip
"""The canonical columns of the relation, besides `time_ms`."""

CALL = "duration_ms is not null"
"""A row is a call when it took time."""
GOOD_MS = f"case when {SUCCESS} then duration_ms end"
"""The duration of a successful call."""
FAILED_CALL = f"case when {SUCCESS} then 0 else 1 end"
"""1 for a call that failed, 0 for another."""
_TOKENS = "cast(sum(total_tokens) as bigint)"


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL text with placeholders; `columns` names what it answers, in order, and `most` caps how many rows.

    `parts`: the statements that it asks as one (`joined`).
    """

    name: str
    sql: str
    columns: tuple[str, ...]
    most: int = 100_000
    parts: tuple[Statement, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The canonical columns that the text names: a relation needs no others."""
        return ("time_ms", *(name for name in COLUMNS if re.search(rf"\b{name}\b", self.sql)))

    def text(self, dialect: Dialect, spans: dict[Period, Span], bucket_ms: int = 1, slow_ms: float = 0) -> str:
        """Fill in an engine's expressions and the times asked for."""
        before = spans.get("before")
        return self.sql.format(
            log=dialect.relation(self.reads),
            ms=dialect.ms,
            period=dialect.period(spans),
            start=dialect.start(spans),
            scope=dialect.any_of(spans),
            now=dialect.inside(spans["now"]),
            before=dialect.inside(before) if before else "1 = 0",
            bucket=bucket_ms,
            slow=slow_ms,
            percentile=dialect.percentile,
            kind=dialect.message_kind,
            most=self.most,
        )


TOTALS = Statement(
    "totals",
    f"""
select {{period}} as period, count(*) as calls, sum({FAILED_CALL}) as failures,
  avg({GOOD_MS}) as mean_ms, {{percentile}}({GOOD_MS}, array[0.5, 0.95, 0.99]) as percentiles_ms,
  max({GOOD_MS}) as max_ms,
  sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, {_TOKENS} as total_tokens
from {{log}} where {CALL} and {{scope}} group by 1 limit 10
""",
    (
        "period", "calls", "failures", "mean_ms", "percentiles_ms", "max_ms", "input_tokens", "output_tokens",
        "total_tokens",
    ),
)  # fmt: skip
"""One row a period: what the calls of the window and of the baseline add up to; latency over successful calls.
`percentiles_ms`: p50, p95 and p99 together, so that the durations are put in order once."""

POINTS = Statement(
    "points",
    f"""
select {{period}} as period, {{ms}} - ({{ms}} - {{start}}) % {{bucket}} as start_ms, count(*) as calls,
  sum({FAILED_CALL}) as failures, {_TOKENS} as total_tokens,
  {{percentile}}({GOOD_MS}, 0.95) as p95_ms
from {{log}} where {CALL} and {{scope}} group by 1, 2 order by 1, 2 limit {{most}}
""",
    ("period", "start_ms", "calls", "failures", "total_tokens", "p95_ms"),
)
"""The time series behind the sparklines. Buckets are counted from the start of their own period."""

CELLS = Statement(
    "cells",
    f"""
select {{period}} as period, {{ms}} - ({{ms}} - {{start}}) % {{bucket}} as bucket_ms,
  event.app, event.module, event.model, event.workspace, event.status_code, event.error_code,
  max(event.error_message) as message, count(*) as calls,
  cast(sum(case when {SUCCESS} and duration_ms > coalesce(cast(usual.p95_ms as double), {{slow}}) then 1 else 0 end)
    as bigint) as slow,
  cast(sum(event.input_tokens) as bigint) as input_tokens, cast(sum(event.output_tokens) as bigint) as output_tokens,
  cast(sum(event.total_tokens) as bigint) as total_tokens,
  min({{ms}}) as first_ms, max({{ms}}) as last_ms
from {{log}} left join (
  select model, {{percentile}}({GOOD_MS}, 0.95) as p95_ms from {{log}} where {CALL} and {{before}} group by 1
) usual on usual.model = event.model
where {CALL} and {{scope}}
group by 1, 2, 3, 4, 5, 6, 7, 8, case when {SUCCESS} then '' else {{kind}} end
order by calls desc limit {{most}}
""",
    (
        "period", "bucket_ms", "app", "module", "model", "workspace", "status_code", "error_code", "message", "calls",
        "slow", "input_tokens", "output_tokens", "total_tokens", "first_ms", "last_ms",
    ),
    most=200_000,
)  # fmt: skip
"""The grain from which rules decide. `slow` compares with the model's own p95 of the baseline."""

_LOAD = f"""
select {{model}} as model, {{workspace}} as workspace, {{unit}} as unit, cast(sum(calls) as bigint) as calls,
  cast(sum(tokens) as bigint) as tokens, max(calls) as calls_peak, max(tokens) as tokens_peak,
  max_by(start_ms, calls * 100000000 - start_ms / {{unit}}) as peak_ms
from (
  select {{columns}} {{{{ms}}}} - {{{{ms}}}} % {{unit}} as start_ms, count(*) as calls, {_TOKENS} as tokens
  from {{{{log}}}} where {CALL} and {{{{now}}}} group by {{places}}
) busy group by 1, 2
"""
_NONE = "cast(null as varchar)"
_LEVELS = (
    {"model": "model", "workspace": "workspace", "columns": "model, workspace,", "places": "1, 2, 3"},
    {"model": "model", "workspace": _NONE, "columns": "model,", "places": "1, 2"},
    {"model": _NONE, "workspace": _NONE, "columns": "", "places": "1"},
)

DEMAND = Statement(
    "demand",
    "union all".join(_LOAD.format(unit=unit, **level) for unit in (60_000, 1000) for level in _LEVELS)
    + "order by calls desc, model, workspace limit {most}",
    ("model", "workspace", "unit", "calls", "tokens", "calls_peak", "tokens_peak", "peak_ms"),
    most=40_000,
)
"""Load per minute and per second: on each model × workspace, on each model (workspace null), on all (both null).
A resource's two rows have the same calls: the cap takes both or, once, one."""

FEEDBACK = Statement(
    "feedback",
    """
select {period} as period, {ms} - ({ms} - {start}) % {bucket} as bucket_ms, app, module, model, workspace,
  sum(case when rating = 'up' then 1 else 0 end) as up, sum(case when rating = 'down' then 1 else 0 end) as down,
  min(case when rating = 'down' then {ms} end) as first_down_ms
from {log} where rating is not null and {scope} group by 1, 2, 3, 4, 5, 6 limit {most}
""",
    ("period", "bucket_ms", "app", "module", "model", "workspace", "up", "down", "first_down_ms"),
)
"""User ratings."""


_RECORD = (
    "time_ms", "level", "trace_id", "app", "module", "model", "workspace", "request_id", "status_code", "duration_ms",
    "input_tokens", "output_tokens", "total_tokens", "error_code", "error_message",
)  # fmt: skip

FAILED = Statement(
    "failed",
    f"""
select {", ".join(_RECORD)} from {{log}}
where {CALL} and {{now}} and (status_code is null or status_code <> 200 or error_code <> '')
order by time_ms desc limit {{most}}
""",
    _RECORD,
    most=1000,
)
"""The newest failed calls, whole."""

SLOWEST = Statement(
    "slowest",
    f"""
select {", ".join(_RECORD)} from {{log}} where {CALL} and {{now}} and {SUCCESS}
order by duration_ms desc, time_ms limit {{most}}
""",
    _RECORD,
    most=10,
)
"""The successful calls that took longest, whole."""

ARRIVALS = Statement(
    "arrivals",
    f"""
select {{ms}} - duration_ms as sent_ms, model, workspace, total_tokens, duration_ms, status_code, error_code,
  error_message
from {{log}} where {CALL} and {{now}} order by 1 limit {{most}}
""",
    ("sent_ms", "model", "workspace", "total_tokens", "duration_ms", "status_code", "error_code", "error_message"),
    most=200_000,
)
"""Every call of the window by the time it was sent, for the replay of a limit."""


def slices(by: Sequence[str]) -> Statement:
    """Build the statement of `drill --by`: one row for each combination of values and period.

    `by` holds names of `DIMENSIONS` or `error_code`; anything else is a programming error.
    """
    if not set(by) <= {*DIMENSIONS, "error_code"}:
        raise ValueError(f"not a dimension: {by}")
    names = ", ".join(by)
    places = ", ".join(str(number + 2) for number in range(len(by)))
    return Statement(
        "slices",
        f"""
select {{period}} as period, {names}, count(*) as calls, sum({FAILED_CALL}) as failures,
  {{percentile}}({GOOD_MS}, 0.95) as p95_ms, {_TOKENS} as total_tokens
from {{log}} where {CALL} and {{scope}} group by 1, {places} order by calls desc limit {{most}}
""",
        ("period", *by, "calls", "failures", "p95_ms", "total_tokens"),
    )


def joined(name: str, *parts: Statement) -> Statement:
    """Ask statements as one; `part` names whose row it is, and what only the others answer is null in it."""
    columns = tuple(dict.fromkeys(column for part in parts for column in part.columns))

    def text(part: Statement) -> str:
        answered = ", ".join(column if column in part.columns else f"null as {column}" for column in columns)
        sql = part.sql.replace("{most}", str(part.most))
        return f"select '{part.name}' as part, {answered} from ({sql}) {part.name}"

    sql = " union all ".join(map(text, parts)) + " limit {most}"
    return Statement(name, sql, ("part", *columns), sum(part.most for part in parts), parts)
