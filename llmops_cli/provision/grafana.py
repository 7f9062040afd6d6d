"""The same charts as a Grafana dashboard, for the Log Service data source.

Plugin: https://github.com/aliyun/aliyun-log-grafana-datasource-plugin (`aliyun-log-service-datasource`). Its query has
`xcol` (a time column in unix seconds, or `stat`, `pie`, empty for a table) and `ycol` (columns, or `name#:#number` for
one line each); an import asks for the data source.
"""

from __future__ import annotations

from typing import Any

from llmops_cli.provision.alerts import PREFIX, Watched, digest
from llmops_cli.provision.dashboard import Chart, Shown, board_title, relation, shown, title

PLUGIN = "aliyun-log-service-datasource"
_SOURCE = {"type": PLUGIN, "uid": "${DS_SLS}"}
_TYPES = {"stat": "stat", "line": "timeseries", "lines": "timeseries", "pie": "piechart", "table": "table"}


def grafana(watched: Watched) -> dict[str, Any]:
    """Give the dashboard as Grafana imports it."""
    calls = relation(watched)
    panels: list[dict[str, Any]] = []
    x = y = 0
    section = ""
    for one in shown(watched, calls):
        height = 4 if one.chart.kind == "stat" else 8
        if one.chart.section != section:
            section, x, y = one.chart.section, 0, y + (8 if panels else 0)
            panels.append(_row(section, y, len(panels) + 1, watched))
            y += 1
        elif x + one.chart.width > _COLUMNS:
            x, y = 0, y + int(panels[-1]["gridPos"]["h"])
        place = {"x": x, "y": y, "w": one.chart.width, "h": height}
        panels.append(_panel(one, calls.search(), len(panels) + 1, place, watched))
        x += one.chart.width
    return {
        "__inputs": [
            {"name": "DS_SLS", "label": "Log Service", "type": "datasource", "pluginId": PLUGIN, "pluginName": PLUGIN}
        ],
        "__requires": [{"type": "datasource", "id": PLUGIN, "name": PLUGIN, "version": "2.30"}],
        "uid": f"{PREFIX}{digest(watched, logstore=True)[:32]}",
        "title": board_title(watched),
        "description": title("made_by", watched),
        "tags": ["llmops"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-1h", "to": "now"},
        "panels": panels,
    }


_COLUMNS = 24


def _row(section: str, y: int, number: int, watched: Watched) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": title(section, watched),
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }


def _panel(one: Shown, search: str, number: int, place: dict[str, int], watched: Watched) -> dict[str, Any]:
    xcol, ycol = _columns(one.chart)
    return {
        "id": number,
        "type": _TYPES[one.chart.kind],
        "title": title(one.chart.name, watched),
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": one.chart.unit}, "overrides": []},
        "targets": [
            {
                "refId": "A", "datasource": _SOURCE, "logstore": watched.logstore,
                "query": f"{search} | {one.query}", "xcol": xcol, "ycol": ycol,
            }
        ],
    }  # fmt: skip


def _columns(chart: Chart) -> tuple[str, str]:
    if chart.kind == "line":
        return chart.x, ",".join(chart.y)
    if chart.kind == "lines":
        return "time", f"{chart.x}#:#{chart.y[0]}"
    if chart.kind == "table":
        return "", ",".join((chart.x, *chart.y))
    return ("pie", f"{chart.x},{chart.y[0]}") if chart.kind == "pie" else ("stat", ",".join(chart.y))
