"""The statements of alerts and of dashboard charts.

Neither says which time it is about: an alert's schedule and a dashboard's time picker do. Placeholders, filled by
`written`: `{log}`, `{ms}`, `{percentile}`, `{most}` as in `statements`; `{at}` (an alert: when it is evaluated, ms),
`{time}` and `{end}` (a chart: around the unix seconds of a bucket, so that they read as a time), `{core}` (see `core`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmops_cli.evidence import DIMENSIONS, Limit
from llmops_cli.queries.dialect import DUCKDB, Dialect
from llmops_cli.queries.statements import CALL, FAILED_CALL, GOOD_MS, SUCCESS, Statement

_MINUTE = "{ms} - {ms} % 60000"
_Z = 3.0
"""Standard deviations of a bound on a share: a rule looks 1,440 times a day, and is wrong once in 740 looks."""

SLS_AT = "cast(to_unixtime(date_trunc('minute', now())) * 1000 as bigint)"
"""When Log Service evaluates an alert: the whole minute at which its window ends, ms."""


def written(statement: Statement, dialect: Dialect, **values: str) -> str:
    """Give the text of a statement of this module for an engine, on one line; `values` are its own placeholders."""
    own = {"log": dialect.relation(statement.reads), "ms": dialect.ms, "percentile": dialect.percentile}
    one_line = " ".join(line.strip() for line in statement.sql.strip().split("\n"))
    return one_line.format(**{**own, "most": str(statement.most), **values})


@dataclass(frozen=True, slots=True)
class EveryMinute(Dialect):
    """DuckDB, evaluating an alert's statement at every whole minute at once: a call counts wherever it is in window.

    `window_ms`: how far back each evaluation looks; `first_ms`, `last_ms`: the first and last one.
    """

    ms: str = DUCKDB.ms
    message_kind: str = DUCKDB.message_kind
    window_ms: int = 300_000
    first_ms: int = 0
    last_ms: int = 0

    def relation(self, columns: Sequence[str]) -> str:
        """Give `event`: each call once for every evaluation that sees it, with the time of that as `at_ms`."""
        ends = f"range(time_ms - time_ms % 60000 + 60000, time_ms + {self.window_ms} + 1, 60000)"
        rows = f"select {', '.join(columns)}, unnest({ends}) as at_ms from log"
        return f"(select * from ({rows}) seen where at_ms >= {self.first_ms} and at_ms <= {self.last_ms}) event"


def _at_least(hits: str, trials: str) -> str:
    """Write the lower bound of a share (Wilson 1927): a rule fires on what is certain, not on the share itself."""
    z2 = _Z * _Z
    spread = f"sqrt({hits} * ({trials} - {hits}) / {trials} + {z2 / 4:.4f})"
    return f"({hits} + {z2 / 2:.4f} - {_Z} * {spread}) / ({trials} + {z2:.4f})"


# --- alerts: one row, or one for each model; `at_ms` first ------------------------------------------------------------

FAILURES = Statement(
    "failures",
    f"""
select at_ms, cast(calls as bigint) as calls, cast(failures as bigint) as failures,
  round(1 - failures / calls, 4) as success_rate, {_at_least("failures", "calls")} as failure_rate_low
from (
  select {{at}} as at_ms, cast(count(*) as double) as calls, cast(sum({FAILED_CALL}) as double) as failures
  from {{log}} where {CALL} group by 1
) counted limit {{most}}
""",
    ("at_ms", "calls", "failures", "success_rate", "failure_rate_low"),
)
"""Failed calls, the share of those that succeeded, and the failure rate that is certain."""


def latency(warning_ms: float, critical_ms: float) -> Statement:
    """Build the response time of the successful calls of each model, and the share of slow ones that is certain.

    A p95 is over a limit where one call in twenty is: `slow_low` (over `warning_ms`) or `very_slow_low` is 0.05.
    """
    slow = [
        f"cast(sum(case when duration_ms >= {limit:.0f} then 1 else 0 end) as double)"
        for limit in (warning_ms, critical_ms)
    ]
    return Statement(
        "latency",
        f"""
select at_ms, model, cast(calls as bigint) as calls, p95_ms, {_at_least("slow", "calls")} as slow_low,
  {_at_least("very_slow", "calls")} as very_slow_low
from (
  select {{at}} as at_ms, model, cast(count(*) as double) as calls, {{percentile}}(duration_ms, 0.95) as p95_ms,
    {slow[0]} as slow, {slow[1]} as very_slow
  from {{log}} where {CALL} and {SUCCESS} group by 1, 2
) counted order by 5 desc limit {{most}}
""",
        ("at_ms", "model", "calls", "p95_ms", "slow_low", "very_slow_low"),
        most=1000,
    )


NEGATIVE = Statement(
    "negative",
    f"""
select at_ms, cast(ratings as bigint) as ratings, cast(negative as bigint) as negative,
  round(negative / ratings, 4) as negative_rate, {_at_least("negative", "ratings")} as negative_rate_low
from (
  select {{at}} as at_ms, cast(count(*) as double) as ratings,
    cast(sum(case when rating = 'down' then 1 else 0 end) as double) as negative
  from {{log}} where rating is not null group by 1
) counted limit {{most}}
""",
    ("at_ms", "ratings", "negative", "negative_rate", "negative_rate_low"),
)
"""User ratings, and the negative rate that is certain."""

SILENCE = Statement(
    "silence",
    f"""
select at_ms, app, cast(earlier as bigint) as earlier, cast(recent as bigint) as recent,
  case when earlier > 0 then recent * 6 / earlier end as recent_share
from (
  select {{at}} as at_ms, app, cast(sum(case when {{ms}} < {{at}} - 300000 then 1 else 0 end) as double) as earlier,
    cast(sum(case when {{ms}} >= {{at}} - 300000 then 1 else 0 end) as double) as recent
  from {{log}} where {CALL} group by 1, 2
) counted order by 3 desc limit {{most}}
""",
    ("at_ms", "app", "earlier", "recent", "recent_share"),
    most=1000,
)
"""Calls of each application in the last five minutes of 35, against five usual ones of the thirty before."""

_MEASURED = {"rpm": "calls", "tpm": "tokens"}


def level(measure: str, limits: Sequence[Limit]) -> Statement | None:
    """Build the water level of each limited resource: its busiest minute against its limit.

    `measure` is "rpm" (calls) or "tpm" (tokens); None where no limit is known. An account's row of a model has an
    empty workspace.
    """
    known = [(limit, value) for limit in limits if (value := getattr(limit, measure))]
    if not known:
        return None
    used = _MEASURED[measure]
    whens = " ".join(f"when {_resource(limit, whole=True)} then {value:.1f}e0" for limit, value in known)
    of_models = [limit for limit, _ in known if not limit.workspace]
    of_workspaces = [limit for limit, _ in known if limit.workspace]
    parts = ([_busy(of_models, "''", "1, 2, 4")] if of_models else []) + (
        [_busy(of_workspaces, "workspace", "1, 2, 3, 4")] if of_workspaces else []
    )
    return Statement(
        f"{measure}_level",
        f"""
select at_ms, model, workspace, max({used}) as busiest, max(upto) as upto, max({used} / upto) as water_level,
  sum(calls) as calls
from (
  select at_ms, model, workspace, calls, tokens, case {whens} end as upto from ({" union all ".join(parts)}) busy
) measured group by 1, 2, 3 order by 6 desc limit {{most}}
""",
        ("at_ms", "model", "workspace", "busiest", "upto", "water_level", "calls"),
        most=1000,
    )


def _busy(limits: Sequence[Limit], workspace: str, places: str) -> str:
    """Count the calls and tokens of each minute on some resources."""
    return f"""
  select {{at}} as at_ms, model, {workspace} as workspace, {_MINUTE} as minute_ms, count(*) as calls,
    cast(sum(total_tokens) as bigint) as tokens
  from {{log}} where {CALL} and ({" or ".join(_resource(limit) for limit in limits)}) group by {places}"""


def _resource(limit: Limit, *, whole: bool = False) -> str:
    """Compare a row with a limited resource; `whole`: also where the workspace is that of all."""
    text = f"model = {_value(limit.model)}"
    return f"{text} and workspace = {_value(limit.workspace or '')}" if limit.workspace or whole else text


def _value(value: str) -> str:
    """Quote a name of the configuration for SQL, and for `str.format` after it."""
    return "'" + value.replace("'", "''").replace("{", "{{").replace("}", "}}") + "'"


# --- charts -----------------------------------------------------------------------------------------------------------

_TIME = f"{{time}}({_MINUTE}) / 1000{{end}}"
_LINE = "group by 1 order by 1 limit {most}"
_MOST_POINTS = 1440
"""Minutes of a day: more points than a screen shows."""


def _chart(name: str, sql: str, *columns: str, most: int = 1000) -> Statement:
    return Statement(name, sql, columns, most)


def _counted(*more: str) -> str:
    share = f"cast(sum({FAILED_CALL}) as double) / count(*)"
    return ", ".join(("count(*) as calls", f"sum({FAILED_CALL}) as failures", f"{share} as failure_rate", *more))


_TOTALS = {
    "calls": "count(*)",
    "success_rate": f"1 - cast(sum({FAILED_CALL}) as double) / count(*)",
    "p95_ms": f"{{percentile}}({GOOD_MS}, 0.95)",
    "total_tokens": "cast(sum(total_tokens) as bigint)",
}


def total(name: str) -> Statement:
    """Build one number over all calls: calls, success_rate, p95_ms or total_tokens."""
    return _chart(f"total_{name}", f"select {_TOTALS[name]} as {name} from {{log}} where {CALL} limit {{most}}", name)


CALLS = _chart(
    "calls",
    f"select {_TIME} as time, count(*) as calls, sum({FAILED_CALL}) as failures from {{log}} where {CALL} {_LINE}",
    "time", "calls", "failures", most=_MOST_POINTS,
)  # fmt: skip
ERRORS = _chart(
    "errors",
    f"select case when error_code <> '' then error_code else 'no code' end as error, count(*) as calls "
    f"from {{log}} where {CALL} and {FAILED_CALL} = 1 group by 1 order by 2 desc limit {{most}}",
    "error", "calls", most=20,
)  # fmt: skip
"""Where a call has no error code, it failed by its status, or had no answer."""
ERRORS_OVER_TIME = _chart(
    "errors_over_time",
    f"select {_TIME} as time, case when error_code <> '' then error_code else 'no code' end as error, "
    f"count(*) as calls from {{log}} where {CALL} and {FAILED_CALL} = 1 group by 1, 2 order by 1, 2 limit {{most}}",
    "time", "error", "calls", most=10_000,
)  # fmt: skip
DURATIONS = _chart(
    "durations",
    f"select {_TIME} as time, {{percentile}}(duration_ms, 0.5) as p50_ms, {{percentile}}(duration_ms, 0.95) as p95_ms, "
    f"{{percentile}}(duration_ms, 0.99) as p99_ms from {{log}} where {CALL} and {SUCCESS} {_LINE}",
    "time", "p50_ms", "p95_ms", "p99_ms", most=_MOST_POINTS,
)  # fmt: skip
LOAD = _chart(
    "load",
    f"select {_TIME} as time, count(*) as qpm, cast(sum(total_tokens) as bigint) as tpm "
    f"from {{log}} where {CALL} {_LINE}",
    "time", "qpm", "tpm", most=_MOST_POINTS,
)  # fmt: skip
LOAD_BY_MODEL = _chart(
    "load_by_model",
    f"select {_TIME} as time, model, count(*) as qpm, cast(sum(total_tokens) as bigint) as tpm "
    f"from {{log}} where {CALL} and {{core}} group by 1, 2 order by 1, 2 limit {{most}}",
    "time", "model", "qpm", "tpm", most=20_000,
)  # fmt: skip
LOAD_BY_WORKSPACE = _chart(
    "load_by_workspace",
    f"select time, model || ' @ ' || workspace as resource, qpm, tpm from ("
    f"select {_TIME} as time, model, workspace, count(*) as qpm, cast(sum(total_tokens) as bigint) as tpm "
    f"from {{log}} where {CALL} and {{core}} group by 1, 2, 3) loads order by 1, 2 limit {{most}}",
    "time", "resource", "qpm", "tpm", most=20_000,
)  # fmt: skip
RATINGS = _chart(
    "ratings",
    "select cast(sum(case when rating = 'down' then 1 else 0 end) as double) / count(*) as negative_rate "
    "from {log} where rating is not null limit {most}",
    "negative_rate",
)
RATINGS_OVER_TIME = _chart(
    "ratings_over_time",
    "select {time}({ms} - {ms} % 600000) / 1000{end} as time, count(*) as ratings, "
    "sum(case when rating = 'down' then 1 else 0 end) as negative, "
    "cast(sum(case when rating = 'down' then 1 else 0 end) as double) / count(*) as negative_rate "
    f"from {{log}} where rating is not null {_LINE}",
    "time", "ratings", "negative", "negative_rate", most=_MOST_POINTS,
)  # fmt: skip
"""In steps of ten minutes: ratings are few."""


def by(dimension: str) -> Statement:
    """Build the drill-down by one of `DIMENSIONS`: the worst values first."""
    if dimension not in DIMENSIONS:
        raise ValueError(f"not a dimension: {dimension}")
    return _chart(
        f"by_{dimension}",
        f"select {dimension}, {_counted()}, {{percentile}}({GOOD_MS}, 0.95) as p95_ms, "
        f"cast(sum(total_tokens) as bigint) as total_tokens "
        f"from {{log}} where {CALL} group by 1 order by 3 desc, 2 desc limit {{most}}",
        dimension, "calls", "failures", "failure_rate", "p95_ms", "total_tokens", most=100,
    )  # fmt: skip


def core(models: Sequence[str]) -> str:
    """Keep the rows of some models: the value of `{core}`."""
    return "model in ({})".format(", ".join("'" + model.replace("'", "''") + "'" for model in models))
