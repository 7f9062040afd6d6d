"""The dashboard on the loopback Log Service: every statement of every export runs, and counts what the log holds."""

import json
import re
from datetime import UTC, datetime

import pytest

from llmops_cli.evidence import Filters, Limit, Span, Thresholds
from llmops_cli.provision.alerts import Watched
from llmops_cli.provision.bi import sql
from llmops_cli.provision.dashboard import dashboard, shown
from llmops_cli.provision.grafana import grafana
from llmops_cli.queries import DUCKDB
from llmops_cli.sources.local import LocalSource
from tests.cloud.asking import REGION, desk
from tests.cloud.filled import index, logs

END = datetime(2025, 7, 9, 14, 30, tzinfo=UTC)
SPAN = Span(round(END.timestamp() * 1000) - 3_600_000, round(END.timestamp() * 1000))
SECONDS = SPAN.start_ms // 1000, SPAN.end_ms // 1000
NAMES = {"model": "modelName", "duration_ms": "cost", "error_code": "errCode", "rating": "vote"}
LIMITS = (Limit("qwen-plus", None, 140, 280_000), Limit("qwen-plus", "llm-6qtsrlugmu6wanfs", 60, None))
SHAPES = pytest.mark.parametrize(
    ("keys", "raw"),
    [({}, False), (NAMES, False), ({"message": "message"}, True)],
    ids=["fields", "other keys", "raw message"],
)
WHOM = pytest.mark.parametrize("filters", [Filters(), Filters(app=("shop-assistant", "doc-qa"), model=("qwen-plus",))])


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("charts")
    words = ("demo", "rate-limit", "--calls", "5000", "--out", str(folder / "app.log"), "--no-walk")
    assert desk(folder).run(*words, "--end", END.isoformat(), "--timezone", "UTC").code == 0
    return folder / "app.log"


def fill(cloud, log, keys, raw):
    cloud.create("app", "calls", index=index(names=None if raw else keys))
    cloud.put("app", "calls", list(logs(log, UTC, names=None if raw else keys, raw=raw)))


def watched(filters=Filters(), keys=(), lang="en"):
    return Watched("app", "calls", REGION, filters, dict(keys), LIMITS, Thresholds(), lang=lang)


def counted(log, wanted):
    """Give what the log file answers for each chart, by its name."""
    with LocalSource([str(log)], zone=UTC) as source:
        return {
            one.chart.name: comparable(source.run(one.query, SPAN, wanted.filters), one.chart.statement.columns)
            for one in shown(wanted, DUCKDB)
        }


def comparable(rows, columns):
    """Give rows without their order, numbers as numbers, whatever they were written as."""
    listed = [row if isinstance(row, tuple) else tuple(row[name] for name in columns) for row in rows]
    return sorted((tuple(plain(value) for value in row) for row in listed), key=repr)


def plain(value):
    try:
        return float(f"{float(value):.9g}")
    except (TypeError, ValueError):
        return None if value == "null" else value


@SHAPES
@WHOM
def test_every_chart_runs_on_log_service_and_counts_what_the_log_holds(cloud, sdk, log, *, keys, raw, filters):
    fill(cloud, log, keys, raw)
    wanted = watched(filters, keys)
    local = counted(log, wanted)
    assert all(local.values())
    charts = {one.chart.name: one.chart for one in shown(wanted, DUCKDB)}
    panels = {panel["title"]: panel for panel in grafana(wanted)["panels"] if panel["type"] != "row"}
    placed = [chart for chart in dashboard(wanted)["charts"] if chart["type"] != "dashboardrow"]
    assert len(placed) == len(panels) == len(charts)
    for chart, panel, placed_chart in zip(charts.values(), panels.values(), placed, strict=True):
        rows = sdk.get_log("app", "calls", *SECONDS, query=panel["targets"][0]["query"]).get_body()["data"]
        assert comparable(rows, chart.statement.columns) == local[chart.name], chart.name
        (asked,) = placed_chart["search"]["chartQueries"]
        rows = sdk.get_log("app", "calls", *SECONDS, query=asked["query"]).get_body()["data"]
        assert len(rows) == len(local[chart.name]), chart.name
        assert "time" not in rows[0] or re.fullmatch(r"\d\d-\d\d \d\d:\d\d", rows[0]["time"])


@SHAPES
@WHOM
def test_every_statement_for_bi_says_its_own_time_and_runs(cloud, sdk, log, *, keys, raw, filters):
    fill(cloud, log, keys, raw)
    wanted = watched(filters, keys)
    local = counted(log, wanted)
    text = sql(wanted, SPAN, END, "cn-beijing-intranet.log.aliyuncs.com")
    statements = [block.partition("\n")[2] for block in text.strip().split("\n\n")[1:]]
    assert len(statements) == len(local)
    for statement, (name, wanted_rows) in zip(statements, local.items(), strict=True):
        assert f"where __time__ >= {SECONDS[0]} and __time__ < {SECONDS[1]}" in statement
        body = statement.removesuffix(";")
        assert ";" not in body
        rows = sdk.execute_project_sql("app", body, False).get_body()
        rows = rows.get("data", rows) if isinstance(rows, dict) else rows
        columns = next(one.chart.statement.columns for one in shown(wanted, DUCKDB) if one.chart.name == name)
        assert comparable(rows, columns) == wanted_rows, name


def test_the_board_answers_the_article_and_fits_its_grid():
    for board, place in (
        (
            [(one["type"], one["display"]) for one in dashboard(watched())["charts"]],
            ("xPos", "yPos", "width", "height"),
        ),
        ([(one["type"], one["gridPos"]) for one in grafana(watched())["panels"]], ("x", "y", "w", "h")),
    ):
        taken = set()
        for kind, where in board:
            x, y, width, height = (where[name] for name in place)
            cells = {(a, b) for a in range(x, x + width) for b in range(y, y + height)}
            assert x + width <= 24, kind
            assert not cells & taken, kind
            taken |= cells
    titles = [one["display"]["basicOptions"]["displayName"] for one in dashboard(watched())["charts"]]
    for part in ("Error distribution", "QPM, overall", "TPM by core model", "QPM by core model and workspace",
                 "Negative feedback rate", "By application", "By module", "By model", "By workspace"):  # fmt: skip
        assert part in titles
    names = [one["title"] for one in dashboard(watched())["charts"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,98}[a-z0-9]", name) for name in names)
    assert "错误分布" in json.dumps(dashboard(watched(lang="zh")), ensure_ascii=False)


def test_grafana_takes_the_plugins_columns():
    panels = {panel["title"]: panel for panel in grafana(watched())["panels"]}
    columns = {
        title: (one["targets"][0]["xcol"], one["targets"][0]["ycol"])
        for title, one in panels.items()
        if one.get("targets")
    }
    assert columns["Calls"] == ("stat", "calls")
    assert columns["Calls and failures per minute"] == ("time", "calls,failures")
    assert columns["QPM by core model"] == ("time", "model#:#qpm")
    assert columns["Error distribution"] == ("pie", "error,calls")
    assert columns["By module"][0] == ""
    whole = grafana(watched())
    assert whole["__inputs"][0]["pluginId"] == "aliyun-log-service-datasource"
    assert {panel["datasource"]["uid"] for panel in whole["panels"] if panel.get("targets")} == {"${DS_SLS}"}


def test_apply_asks_for_yes_does_it_once_and_touches_no_other(cloud, here):
    cloud.create("app", "calls", index=index())
    cloud.projects["app"].dashboards["mine"] = {"dashboardName": "mine"}
    here.profile(cloud)
    for words, code in ((("--dry-run",), 0), ((), 2)):
        ran = here.run("dashboard", "apply", *words)
        assert (ran.code, set(cloud.projects["app"].dashboards)) == (code, {"mine"}), ran.err
    made = here.run("dashboard", "apply", "--yes", "-o", "json").json()["data"]["changes"]
    assert [(row["name"], row["action"]) for row in made] == [("llmops-calls-overview", "create")]
    assert "delete_dashboard" in made[0]["rollback"]
    held = cloud.projects["app"].dashboards
    assert set(held) == {"mine", "llmops-calls-overview"}
    held["llmops-calls-overview"]["createTime"] = 1
    (row,) = here.run("dashboard", "apply", "--yes", "-o", "json").json()["data"]["changes"]
    assert row["action"] == "none"
    held["llmops-calls-overview"]["displayName"] = "changed by hand"
    (row,) = here.run("dashboard", "apply", "--yes", "-o", "json").json()["data"]["changes"]
    assert (row["action"], held["llmops-calls-overview"]["displayName"]) == ("update", "LLM calls: calls")
    assert row["before"]["displayName"] == "changed by hand"


def test_exports_are_files_for_their_tools_and_need_no_account(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    exported = {to: here.run("dashboard", "export", "--to", to, "--app", "it's") for to in ("sls", "grafana", "sql")}
    assert {(ran.code, ran.err) for ran in exported.values()} == {(0, "")}
    assert cloud.requests == []
    assert json.loads(exported["grafana"].out)["panels"]
    assert "-P 10005" in exported["sql"].out
    assert "'it''s'" in exported["sql"].out
    assert here.run("dashboard", "apply", "--yes", "--app", "it's").code == 0
    (sent,) = [request.body for request in cloud.asked("/dashboards$", "POST")]
    assert sent == json.loads(exported["sls"].out)
    assert here.run("dashboard", "export", "--to", "sql", "--out", "charts.sql").code == 0
    assert (here.folder / "charts.sql").read_text().startswith("-- ")
    again = here.run("dashboard", "export", "--to", "sql", "--out", "charts.sql")
    assert (again.code, "--force" in again.err) == (2, True)


def test_what_the_index_lacks_leaves_the_other_charts_alone(cloud, here, sdk, log):
    cloud.create("app", "calls", index=index(without=("rating", "module")))
    cloud.put("app", "calls", list(logs(log, UTC)))
    here.profile(cloud)
    assert here.run("dashboard", "apply", "--yes").code == 0
    for chart in cloud.projects["app"].dashboards["llmops-calls-overview"]["charts"]:
        for asked in chart["search"].get("chartQueries", ()):
            sdk.get_log("app", "calls", *SECONDS, query=asked["query"])  # raises what Log Service refuses
