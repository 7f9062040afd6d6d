"""The dashboard: what is the usage, is something wrong, and where does it come from.

One list of charts for every tool; `sls` here, Grafana in `grafana`, SQL for BI tools in `bi`. The shape of Log
Service's charts is that of its console (version 2 of a chart: `queryOptionMap` names the columns of the axes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from llmops_cli.evidence import DIMENSIONS, Filters, Limit, Message
from llmops_cli.knowledge.alert_rules import core_models
from llmops_cli.knowledge.sentences import sentence
from llmops_cli.provision.account import Account, Named
from llmops_cli.provision.alerts import Watched, chosen, inert, name_of, plain
from llmops_cli.provision.plan import Change
from llmops_cli.queries import charts
from llmops_cli.queries.dialect import Dialect
from llmops_cli.queries.relation import Relation
from llmops_cli.queries.statements import Statement

Kind = Literal["stat", "line", "lines", "pie", "table"]
_DASHBOARD = Named("dashboard", "Dashboard", "dashboardName")


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `x` is the column of the time, the name or the series' name; `y` are numbers, in `unit`.

    "lines" draws one line for each value of `x`, over the column `time`. `width` of 24 columns.
    """

    name: str
    section: str
    kind: Kind
    statement: Statement
    x: str
    y: tuple[str, ...]
    unit: str = "short"
    width: int = 12


@dataclass(frozen=True, slots=True)
class Shown:
    """A chart with its query for an engine."""

    chart: Chart
    query: str


def board(limits: tuple[Limit, ...]) -> tuple[Chart, ...]:
    """Give the charts in their order; a water level is shown for resources with a known limit."""
    found = [
        Chart("calls_total", "business", "stat", charts.total("calls"), "", ("calls",), width=6),
        Chart(
            "success_rate", "business", "stat", charts.total("success_rate"), "", ("success_rate",), "percentunit", 6
        ),
        Chart("p95", "business", "stat", charts.total("p95_ms"), "", ("p95_ms",), "ms", 6),
        Chart("tokens_total", "business", "stat", charts.total("total_tokens"), "", ("total_tokens",), width=6),
        Chart("calls_over_time", "business", "line", charts.CALLS, "time", ("calls", "failures")),
        Chart("durations", "business", "line", charts.DURATIONS, "time", ("p50_ms", "p95_ms", "p99_ms"), "ms"),
        Chart("errors", "business", "pie", charts.ERRORS, "error", ("calls",)),
        Chart("errors_over_time", "business", "lines", charts.ERRORS_OVER_TIME, "error", ("calls",)),
        Chart("qpm", "water_level", "line", charts.LOAD, "time", ("qpm",)),
        Chart("tpm", "water_level", "line", charts.LOAD, "time", ("tpm",)),
        Chart("qpm_by_model", "water_level", "lines", charts.LOAD_BY_MODEL, "model", ("qpm",)),
        Chart("tpm_by_model", "water_level", "lines", charts.LOAD_BY_MODEL, "model", ("tpm",)),
        Chart("qpm_by_workspace", "water_level", "lines", charts.LOAD_BY_WORKSPACE, "resource", ("qpm",)),
        Chart("tpm_by_workspace", "water_level", "lines", charts.LOAD_BY_WORKSPACE, "resource", ("tpm",)),
    ]
    for name, measure in (("qpm_level", "rpm"), ("tpm_level", "tpm")):
        level = charts.level(measure, limits)
        if level is not None:
            columns = ("workspace", "busiest", "upto", "water_level")
            found.append(Chart(name, "water_level", "table", level, "model", columns))
    ratings = charts.RATINGS_OVER_TIME
    found += [
        Chart("negative_rate", "feedback", "stat", charts.RATINGS, "", ("negative_rate",), "percentunit", 6),
        Chart("negative_over_time", "feedback", "line", ratings, "time", ("negative_rate",), "percentunit", 9),
        Chart("ratings_over_time", "feedback", "line", ratings, "time", ("ratings", "negative"), width=9),
    ]  # fmt: skip
    numbers = ("calls", "failures", "failure_rate", "p95_ms", "total_tokens")
    found += [Chart(f"by_{name}", "drill_down", "table", charts.by(name), name, numbers) for name in DIMENSIONS]
    return tuple(found)


def core(limits: tuple[Limit, ...], filters: Filters) -> tuple[str, ...]:
    """Name the core models: those asked for, else those with a limit, else the usual ones."""
    return filters.model or tuple(dict.fromkeys(limit.model for limit in limits)) or core_models()


def shown(watched: Watched, dialect: Dialect, *, clock: tuple[str, str] = ("(", ")")) -> tuple[Shown, ...]:
    """Give every chart with its statement; `clock` stands around unix seconds."""
    kept = charts.core(core(watched.limits, watched.filters))
    values = {"time": clock[0], "end": clock[1], "at": "cast(0 as bigint)", "core": kept}
    return tuple(
        Shown(chart, inert(charts.written(chart.statement, dialect, **values))) for chart in board(watched.limits)
    )


def relation(watched: Watched) -> Relation:
    """Give the logstore's calls, narrowed to what is watched."""
    return Relation(keys=dict(watched.keys), lacking=watched.lacking, filters=watched.filters)


def title(name: str, watched: Watched) -> str:
    """Give the title of a chart, a section or (`board`) of the whole."""
    return sentence(Message(f"chart.{name}"), watched.lang)


def board_title(watched: Watched) -> str:
    """Give the title of the whole, with what it is narrowed to."""
    return f"{title('board', watched)}: {', '.join([plain(watched.logstore), *chosen(watched)])}"


def dashboard(watched: Watched) -> dict[str, Any]:
    """Give the dashboard of Log Service, ready to be sent."""
    calls = relation(watched)
    # text, so that the axis reads as a time whatever the console makes of numbers
    shown_charts = shown(watched, calls, clock=("date_format(from_unixtime((", ")), '%m-%d %H:%i')"))
    placed: list[dict[str, Any]] = []
    x = y = 0
    section = ""
    for one in shown_charts:
        height = 5 if one.chart.kind == "stat" else 9
        if one.chart.section != section:
            section, x, y = one.chart.section, 0, y + (9 if placed else 0)
            placed.append(_row(section, y, watched))
            y += 1
        elif x + one.chart.width > _COLUMNS:
            x, y = 0, y + int(placed[-1]["display"]["height"])
        placed.append(_chart(one, calls.search(), watched, (x, y, one.chart.width, height)))
        x += one.chart.width
    return {
        "dashboardName": name_of("overview", watched),
        "displayName": board_title(watched),
        "description": title("made_by", watched),
        "attribute": {"type": "grid"},
        "charts": placed,
    }


_COLUMNS = 24
_TYPES = {"stat": "statpro", "line": "linepro", "lines": "aggpro", "pie": "piepro", "table": "tablepro"}


def _row(section: str, y: int, watched: Watched) -> dict[str, Any]:
    return {
        "title": f"llmops-{section.replace('_', '-')}",
        "type": "dashboardrow",
        "search": {"logstore": "", "topic": "", "query": "", "start": _START, "end": "now"},
        "action": {},
        "display": {
            "basicOptions": {"displayName": title(section, watched)},
            "xPos": 0, "yPos": y, "width": _COLUMNS, "height": 1, "version": "2",
        },
    }  # fmt: skip


_START = "-3600s"


def _chart(one: Shown, search: str, watched: Watched, at: tuple[int, int, int, int]) -> dict[str, Any]:
    query = f"{search} | {one.query}"
    asked = {
        "name": "A", "datasource": "logstore", "project": watched.project, "logstore": watched.logstore,
        "query": query, "tokenQuery": query,
    }  # fmt: skip
    x, y, width, height = at
    return {
        "title": f"llmops-{one.chart.name.replace('_', '-')}",
        "type": _TYPES[one.chart.kind],
        "search": {
            "logstore": watched.logstore, "topic": "", "query": query, "start": _START, "end": "now",
            "chartQueries": [asked],
        },
        "action": {},
        "display": {
            "basicOptions": {
                "displayName": title(one.chart.name, watched),
                "showTitle": True, "showBorder": True, "showBackground": True, "showTime": True,
            },
            "queryOptionMap": {"A": _axes(one.chart)},
            "xAxis": [one.chart.x] if one.chart.x else [],
            "yAxis": list(one.chart.y),
            "xPos": x, "yPos": y, "width": width, "height": height, "version": "2",
        },
    }  # fmt: skip


def _axes(chart: Chart) -> dict[str, Any]:
    """Name the columns that a chart shows, as its type asks for them."""
    columns = chart.statement.columns
    named: dict[str, dict[str, Any]] = {
        "stat": {"closedKeys": [name for name in columns if name not in chart.y], "yAxisKeys": list(chart.y)},
        "line": {"xAxisKey": chart.x, "yAxisKeys": list(chart.y)},
        "lines": {"xAxisKey": "time", "yAxisKey": chart.y[0], "aggField": chart.x},
        "pie": {"showFieldKey": chart.x, "numFieldKey": chart.y[0]},
        "table": {"closedKeys": [name for name in columns if name not in {chart.x, *chart.y}]},
    }
    return {"name": "A", **named[chart.kind]}


def plan(account: Account, watched: Watched) -> tuple[tuple[Change, ...], Callable[[Change], None]]:
    """Compare the dashboard that is there with the one wanted; also give what sends it. Raises `SourceError`."""
    return _DASHBOARD.planned(account, (dashboard(watched),))


__all__ = ["Chart", "Shown", "board", "board_title", "dashboard", "plan", "relation", "shown", "title"]
