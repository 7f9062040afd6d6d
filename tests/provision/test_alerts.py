"""Alert rules on the loopback Log Service: what is sent runs there, and answers what the log file answers."""

import json
import re
import shlex
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from llmops_cli.evidence import Filters, Limit, Span, Thresholds
from llmops_cli.provision.alerts import Watched, alerts, rules, watched_limits
from llmops_cli.provision.bi import sql
from llmops_cli.provision.dashboard import dashboard
from llmops_cli.provision.grafana import grafana
from llmops_cli.queries import charts
from llmops_cli.sources.local import LocalSource
from tests.cloud.asking import REGION, desk
from tests.cloud.faults import Reset, Status
from tests.cloud.filled import index, logs

NAMES = {"model": "modelName", "duration_ms": "cost", "error_code": "errCode", "rating": "vote"}
RAW = {"message": "message"}
RULES = ["failure-count", "success-rate", "response-time", "qpm-level", "tpm-level", "negative-feedback", "no-data"]
LIMITS = (Limit("qwen-plus", None, 140, 280_000), Limit("qwen-max", None, None, 70_000))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Write a demo log that ends now: an alert looks at the minutes before it is evaluated."""
    folder = tmp_path_factory.mktemp("now")
    log = folder / "now.log"
    ran = desk(folder).run("demo", "rate-limit", "--calls", "5000", "--out", str(log), "--no-walk", "--timezone", "UTC")
    assert ran.code == 0, ran.err
    return log


def watched(filters=Filters(), keys=(), limits=LIMITS):
    return Watched("app", "calls", REGION, filters, dict(keys), limits, Thresholds())


@pytest.mark.parametrize(
    ("keys", "raw"), [({}, False), (NAMES, False), (RAW, True)], ids=["fields", "other keys", "raw message"]
)
@pytest.mark.parametrize("filters", [Filters(), Filters(app=("shop-assistant",), model=("qwen-plus", "qwen-max"))])
def test_log_service_answers_each_rule_as_the_log_file_does(cloud, sdk, log, *, keys, raw, filters):
    cloud.create("app", "calls", index=index(names=None if raw else keys))
    cloud.put("app", "calls", list(logs(log, UTC, names=None if raw else keys, raw=raw)))
    limits = (*LIMITS, Limit("qwen-plus", "llm-6qtsrlugmu6wanfs", 60, None))
    judged, _ = rules(Thresholds(), limits, filters)
    sent = alerts(watched(filters, keys, limits))
    assert [
        alert["name"].split("-", 2)[2][: len(one.rule.name)] for one, alert in zip(judged, sent, strict=True)
    ] == RULES
    with LocalSource([str(log)], zone=UTC) as source:
        for one, alert in zip(judged, sent, strict=True):
            (asked,) = alert["configuration"]["queryList"]
            minute, answer = in_one_minute(lambda minute, asked=asked: ask(sdk, asked, minute))
            at_ms, length = minute * 60_000, one.rule.minutes * 60_000
            dialect = charts.EveryMinute(window_ms=length, first_ms=at_ms, last_ms=at_ms)
            text = charts.written(one.statement, dialect, at="at_ms")
            local = [
                dict(zip(one.statement.columns, row, strict=True))
                for row in source.run(text, Span(at_ms - length, at_ms), one.filters)
            ]
            assert answer, one.rule.name
            assert by_group(one.rule, answer) == by_group(one.rule, local)


def by_group(rule, rows):
    """Give the numbers of each row by the group it is about."""
    return {
        tuple(row[name] for name in rule.by): {
            name: None if value in {None, "null"} else pytest.approx(float(value), rel=1e-6)
            for name, value in row.items()
            if name not in {*rule.by, "__source__", "__time__"}
        }
        for row in rows
    }


def in_one_minute(ask):
    """Ask within one minute of the clock."""
    for _ in range(3):
        minute = int(time.time()) // 60
        answer = ask(minute)
        if int(time.time()) // 60 == minute:
            return minute, answer
    raise AssertionError("a query takes a minute")


def ask(sdk, asked, minute):
    minutes = int(asked["start"].strip("-m"))
    answer = sdk.get_log("app", "calls", minute * 60 - minutes * 60, minute * 60, query=asked["query"])
    return answer.get_body()["data"]


def test_apply_shows_the_diff_and_asks_for_yes_then_does_it_once(cloud, here):
    cloud.create("app", "calls", index=index())
    cloud.projects["app"].jobs["llmops-other"] = other = {"name": "llmops-other", "type": "Alert"}
    here.profile(cloud)
    for words, code in ((("--dry-run",), 0), ((), 2)):
        ran = here.run("alerts", "apply", *words)
        assert (ran.code, set(cloud.projects["app"].jobs)) == (code, {"llmops-other"}), ran.err
        assert '+  "name": "llmops-calls-success-rate"' in ran.out
    assert "--yes" in ran.err
    ran = here.run("alerts", "apply", "--yes", "-o", "json")
    assert ran.code == 0, ran.err
    rows = ran.json()["data"]["changes"]
    assert [row["name"] for row in rows] == [f"llmops-calls-{name}" for name in RULES]
    assert all("delete_alert" in row["rollback"] for row in rows)
    jobs = cloud.projects["app"].jobs
    assert set(jobs) == {"llmops-other", *(row["name"] for row in rows)}
    assert jobs["llmops-other"] is other
    again = here.run("alerts", "apply", "--yes", "-o", "json").json()["data"]
    assert {row["action"] for row in again["changes"]} == {"none"}
    assert cloud.asked("/jobs", "PUT") == []


def test_apply_updates_what_changed_and_leaves_a_rule_off_that_was_switched_off(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    assert here.run("alerts", "apply", "--yes").code == 0
    jobs = cloud.projects["app"].jobs
    jobs["llmops-calls-no-data"] |= {"state": "Disabled", "createTime": 1_700_000_000}
    here.profile(cloud, more="[profiles.prod.thresholds]\nfailure_rate = { warning = 0.02, critical = 0.2 }\n")
    rows = here.run("alerts", "apply", "--yes", "-o", "json").json()["data"]["changes"]
    changed = {row["name"]: row for row in rows if row["action"] != "none"}
    assert list(changed) == ["llmops-calls-success-rate"]
    assert any(
        line.startswith("+") and "failure_rate_low >= 0.2 " in line
        for line in changed["llmops-calls-success-rate"]["diff"]
    )
    conditions = jobs["llmops-calls-success-rate"]["configuration"]["severityConfigurations"]
    assert [one["severity"] for one in conditions] == [10, 6]
    assert conditions[0]["evalCondition"]["condition"] == "failure_rate_low >= 0.2 && calls >= 20 && failures >= 5"
    assert jobs["llmops-calls-no-data"]["state"] == "Disabled"


def test_a_scope_has_alerts_of_its_own(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    scoped = ("--app", "it's", "--model", "qwen-plus")
    assert here.run("alerts", "apply", "--yes").code == 0
    assert here.run("alerts", "apply", "--yes", *scoped).code == 0
    jobs = cloud.projects["app"].jobs
    assert len(jobs) == 2 * len(RULES)
    (own,) = [job for name, job in jobs.items() if name.startswith("llmops-calls-success-rate-")]
    assert "'it''s'" in own["configuration"]["queryList"][0]["query"]
    told = {one["key"]: one["value"] for one in own["configuration"]["annotations"]}
    assert told["command"] == "llmops status --since 15m --profile prod --app 'it'\"'\"'s' --model qwen-plus"
    assert told["runbook"] == "llmops recover --runbook server_error"
    assert "${failures}" in told["desc"]


def test_without_ratings_in_the_index_there_is_no_rule_about_them(cloud, here, sdk):
    cloud.create("app", "calls", index=index(without=("rating", "total_tokens")))
    here.profile(cloud)
    rows = here.run("alerts", "apply", "--yes", "-o", "json").json()["data"]["changes"]
    assert [row["name"].removeprefix("llmops-calls-") for row in rows] == [
        name for name in RULES if name not in {"negative-feedback", "tpm-level"}
    ]
    for job in cloud.projects["app"].jobs.values():
        (asked,) = job["configuration"]["queryList"]
        assert ask(sdk, asked, 1) == []


def test_what_is_not_made_any_more_is_told_and_never_deleted(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    assert here.run("alerts", "apply", "--yes").code == 0
    cloud.projects["app"].logstores["calls"].put_index(index(without=("rating",)))
    ran = here.run("alerts", "apply", "--yes", "-o", "json")
    data = ran.json()["data"]
    delete = "aliyunlog log delete_alert --project=app --entity=llmops-calls-negative-feedback"
    assert data["next"] == [delete]
    assert "negative-feedback" in str(data["notes"][0])
    assert delete in here.run("alerts", "apply").out
    assert "llmops-calls-negative-feedback" in cloud.projects["app"].jobs


def test_export_is_what_apply_sends(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    words = ("--runbooks", "https://example.com/runbooks/", "--action-policy", "on-call")
    exported = here.run("alerts", "export", "--to", "sls", *words)
    assert (exported.code, exported.err) == (0, "")
    written = here.run("alerts", "export", *words, "--out", "alerts.json")
    assert (written.code, written.out) == (0, "written: alerts.json\n")
    assert (here.folder / "alerts.json").read_text() == exported.out
    assert here.run("alerts", "apply", "--yes", *words).code == 0
    sent = [request.body for request in cloud.asked("/jobs$", "POST")]
    assert sent == json.loads(exported.out)
    policy = sent[0]["configuration"]["policyConfiguration"]
    assert policy["actionPolicyId"] == "on-call"
    runbook = [one["value"] for one in sent[0]["configuration"]["annotations"] if one["key"] == "runbook"]
    assert runbook == ["https://example.com/runbooks/server_error.md"]
    wrapped = here.run("alerts", "export", *words, "-o", "json").json()
    assert (wrapped["command"], wrapped["data"]["to"], wrapped["data"]["content"]) == ("alerts export", "sls", sent)


def test_limits_are_the_configurations_then_the_tables():
    own = (Limit("qwen-plus", None, 120, None), Limit("qwen-plus", "llm-1", None, 9), Limit("qwen-max", "llm-2", 7, 7))
    found = {(one.model, one.workspace): one for one in watched_limits(own, Filters(), "cn-beijing")}
    assert found["qwen-plus", None].rpm == 120
    assert found["qwen-plus", None].tpm > 1000
    assert found["qwen-plus", "llm-1"].tpm == 9
    assert found["qwen-max", None].rpm > 7
    narrowed = watched_limits(own, Filters(model=("qwen-max",), workspace=("llm-2",)), "cn-beijing")
    assert [(one.model, one.workspace) for one in narrowed] == [("qwen-max", "llm-2")]
    assert [one.model for one in watched_limits((), Filters(model=("no-such-model",)), "cn-beijing")] == []
    assert "qwen-plus" in [one.model for one in watched_limits((), Filters(), "cn-beijing")]


# --- what alerts and the dashboard share: names, answers that are lost, the way back ----------------------------------

VERBS = pytest.mark.parametrize(
    ("verb", "path", "noun", "name"),
    [("alerts", "jobs", "Job", "no-data"), ("dashboard", "dashboards", "Dashboard", "overview")],
)


@VERBS
def test_the_rollbacks_that_are_printed_take_the_changes_back(cloud, here, *, aliyunlog, verb, path, noun, name):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    words = (verb, "apply", "--yes", "-o", "json")
    made = here.run(*words).json()["data"]["changes"]
    kept = cloud.projects["app"].objects[path]
    held = kept[f"llmops-calls-{name}"]
    kept[f"llmops-calls-{name}"] = by_hand = {**held, "displayName": "it's by hand: 告警", "createTime": 1}
    planned = here.run(verb, "apply", "--dry-run", "-o", "json").json()["data"]["changes"]
    assert not (here.folder / ".local").exists()
    (changed,) = [row for row in here.run(*words).json()["data"]["changes"] if row["action"] == "update"]
    assert kept[f"llmops-calls-{name}"]["displayName"] == held["displayName"]
    assert changed["rollback"] in [row["rollback"] for row in planned]
    assert len(changed["rollback"].replace(str(here.folder), "")) < 200
    (file,) = (here.folder / ".local/state/llmops/undo").iterdir()
    assert (file.stat().st_mode & 0o777, json.loads(file.read_text())) == (0o600, by_hand)
    aliyunlog(changed["rollback"])
    assert kept[f"llmops-calls-{name}"] == by_hand
    aliyunlog(made[-1]["rollback"])
    assert set(kept) == {row["name"] for row in made[:-1]}


@VERBS
def test_nothing_is_replaced_that_could_not_be_put_back(cloud, here, *, verb, path, noun, name):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    assert here.run(verb, "apply", "--yes").code == 0
    kept = cloud.projects["app"].objects[path]
    kept[f"llmops-calls-{name}"] = by_hand = {**kept[f"llmops-calls-{name}"], "displayName": "by hand"}
    (here.folder / "state").write_text("no folder")
    ran = here.run(verb, "apply", "--yes", XDG_STATE_HOME=str(here.folder / "state"))
    assert (ran.code, kept[f"llmops-calls-{name}"]) == (3, by_hand)
    assert "cannot write" in ran.err
    assert "XDG_STATE_HOME" in ran.err


@VERBS
def test_a_change_whose_answer_is_lost_is_made_once_and_well(cloud, here, *, verb, path, noun, name):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    lost = cloud.fail(Reset(done=True), f"/{path}$", "POST")
    ran = here.run(verb, "apply", "--yes")
    assert (ran.code, ran.err, lost.hits) == (0, "", 1)
    kept = cloud.projects["app"].objects[path]
    kept[f"llmops-calls-{name}"]["displayName"] = "by hand"
    lost = cloud.fail(Reset(done=True), f"/{path}/", "PUT")
    ran = here.run(verb, "apply", "--yes")
    assert (ran.code, ran.err, lost.hits) == (0, "", 1)
    again = here.run(verb, "apply", "--dry-run", "-o", "json").json()["data"]["changes"]
    assert {row["action"] for row in again} == {"none"}


@VERBS
def test_what_somebody_else_made_meanwhile_is_not_taken_for_ours(cloud, here, *, verb, path, noun, name):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    kept = cloud.projects["app"].objects[path]

    def made(request):
        theirs = {**request.body, "displayName": "theirs"}
        return kept.setdefault(theirs.get("name") or theirs["dashboardName"], theirs) is not None

    cloud.fail(Status(400, f"{noun}AlreadyExist", "already exists"), f"/{path}$", "POST", when=made)
    ran = here.run(verb, "apply", "--yes")
    assert ran.code == 3
    assert "somebody else made it a moment ago, and otherwise" in ran.err
    assert [one["displayName"] for one in kept.values()] == ["theirs"]


@VERBS
def test_logstores_of_one_project_do_not_overwrite_each_other(cloud, here, *, verb, path, noun, name):
    for store in ("llm-calls", "llm_calls"):
        cloud.create("app", store, index=index())
        rows = here.profile(cloud, logstore=store).run(verb, "apply", "--yes", "-o", "json").json()["data"]["changes"]
        assert {row["action"] for row in rows} == {"create"}
    assert len(cloud.projects["app"].objects[path]) == 2 * len(rows)


def test_every_logstore_and_scope_has_names_of_its_own_that_log_service_takes():
    long = ("x" * 40 + "-1", "x" * 40 + "-2", "x" * 28, "x" * 27 + "-", "llm-calls-" + "y" * 60)
    stores = ("llm-calls", "llm_calls", "llm-calls_", "LLM-calls", "llm.calls", "llm calls", "模型", *long)
    names, uids = set(), set()
    for store in stores:
        for filters in (Filters(), Filters(app=("a",)), Filters(app=("a", "b")), Filters(app=("a&app=b",))):
            wanted = replace(watched(filters), logstore=store)
            made = [one["name"] for one in alerts(wanted)] + [dashboard(wanted)["dashboardName"]]
            assert not names & set(made)
            names |= set(made)
            uids |= {grafana(wanted)["uid"], grafana(replace(wanted, project="other"))["uid"]}
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{2,61}[a-z0-9]", name) for name in names)
    assert len(uids) == len(stores) * 4 * 2
    assert all(re.fullmatch(r"[a-z0-9-]{9,40}", uid) for uid in uids)


@VERBS
def test_a_scope_has_one_name_in_whatever_order_it_is_given(cloud, here, *, verb, path, noun, name):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)

    def names(*words):
        exported = json.loads(here.run(verb, "export", *words).out)
        return {one.get("name") or one["dashboardName"] for one in (exported if verb == "alerts" else [exported])}

    both = names("--app", "a", "--app", "b")
    assert names("--app", "b", "--app", "a", "--app", "b") == both
    others = (names(), names("--app", "a"), names("--app", "a&app=b"), names("--model", "a", "--model", "b"))
    assert not any(both & other for other in others)


# --- alerts of their owner ---------------------------------------------------------------------------------------------


def test_a_region_that_is_not_the_projects_is_told_before_anything_is_made(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    toml = here.folder / "llmops.toml"
    toml.write_text(toml.read_text().replace(REGION, "cn-hangzhou", 1))
    ran = here.run("alerts", "apply", "--yes")
    assert (ran.code, ran.out.strip(), cloud.projects["app"].jobs) == (2, "", {})
    first, hint = ran.err.splitlines()
    assert first == "error: project app is in cn-beijing, and the region configured is cn-hangzhou"
    assert 'write region = "cn-beijing" into the profile' in hint
    # without the right to read the project, the configuration counts
    cloud.fail(Status(401, "Unauthorized", "denied by sts or ram, action: log:GetProject"), "^/$", "GET")
    assert here.run("alerts", "apply", "--yes").code == 0
    assert {asked_region(job) for job in cloud.projects["app"].jobs.values()} == {"cn-hangzhou"}


def asked_region(alert):
    (asked,) = alert["configuration"]["queryList"]
    return asked["region"]


def policies(cloud):
    return {
        name.removeprefix("llmops-calls-"): job["configuration"]["policyConfiguration"]["actionPolicyId"]
        for name, job in cloud.projects["app"].jobs.items()
    }


def test_an_alert_keeps_its_action_policy_until_another_is_asked_for(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    assert here.run("alerts", "apply", "--yes", "--action-policy", "on-call").code == 0
    del cloud.projects["app"].jobs["llmops-calls-no-data"]
    here.profile(cloud, more="[profiles.prod.thresholds]\nfailure_rate = { warning = 0.02, critical = 0.2 }\n")
    ran = here.run("alerts", "apply", "--yes", "-o", "json").json()["data"]
    assert [row["name"] for row in ran["changes"] if row["action"] == "update"] == ["llmops-calls-success-rate"]
    assert policies(cloud) == {**dict.fromkeys(RULES, "on-call"), "no-data": "sls.builtin"}
    assert "alerts keep their action policy (on-call); --action-policy ID sets another" in str(ran["notes"])
    assert here.run("alerts", "apply", "--yes", "--action-policy", "sls.builtin").code == 0
    assert set(policies(cloud).values()) == {"sls.builtin"}
    for hostile in ("${x}", "on call", "a\nb", "'", ""):
        ran = here.run("alerts", "apply", "--yes", "--action-policy", hostile)
        assert (ran.code, "is not the id of an action policy" in ran.err) == (2, True), hostile


def test_an_update_leaves_a_rule_off_and_muted(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    assert here.run("alerts", "apply", "--yes").code == 0
    held = cloud.projects["app"].jobs["llmops-calls-success-rate"]
    held |= {"state": "Disabled", "status": "DISABLED"}
    held["configuration"]["muteUntil"] = 1_900_000_000
    here.profile(cloud, more="[profiles.prod.thresholds]\nfailure_rate = { warning = 0.02, critical = 0.2 }\n")
    assert here.run("alerts", "apply", "--yes").code == 0
    now = cloud.projects["app"].jobs["llmops-calls-success-rate"]
    assert "failure_rate_low >= 0.2 " in str(now)
    assert (now["state"], now["status"], now["configuration"]["muteUntil"]) == ("Disabled", "DISABLED", 1_900_000_000)


def test_apply_is_for_log_service_and_says_what_grafana_takes(cloud, here):
    here.profile(cloud)
    ran = here.run("dashboard", "apply", "--to", "grafana")
    assert (ran.code, ran.err.splitlines()) == (
        2,
        [
            "error: apply is for Log Service; Grafana takes a file",
            "hint: llmops dashboard export --to grafana --out dashboard.json",
        ],
    )
    assert "llmops dashboard export --to sql --out charts.sql" in here.run("dashboard", "apply", "--to", "sql").err
    assert "'grafana' is not one of 'sls'" in here.run("alerts", "apply", "--to", "grafana").err
    assert cloud.requests == []


# --- hostile values ----------------------------------------------------------------------------------------------------

HOSTILE = (
    "${failures}", "$model", "${DS_SLS}", "[[model]]", "{{alert.project}}", "{%x%}", "a'b", 'a"b', "a\\", "\\'; drop",
    "a\nb", "a\u2028b", "a | select 1", "') or ('1'='1", "-- x", ":app", "$$", "{}", "{most}", "%s", "*", "a or b",
)  # fmt: skip
TEMPLATES = re.compile(r"\$[\w{\[(]|\[\[|\{\{|\{[%#]|\\|[\x00-\x1f]")


def hostile_calls(now):
    for app in (*HOSTILE, "shop"):
        log = {"app": app, "module": "m", "model": app, "workspace": "w", "status_code": 500, "duration_ms": 10}
        for at in range(25):
            yield {**log, "error_code": "InternalError", "total_tokens": 1, "__time__": now - 90 - at}


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_a_value_in_every_statement(cloud, sdk, value):
    now = int(time.time())
    cloud.create("app", "calls", index=index())
    cloud.put("app", "calls", list(hostile_calls(now)))
    limits = (Limit(value, None, 60, 60),) if value.isprintable() else ()
    judged, _ = rules(Thresholds(), limits, Filters(app=(value,), model=(value, "shop")))
    wanted = watched(Filters(app=(value,), model=(value, "shop")), limits=limits)
    counts = {}
    for one, alert in zip(judged, alerts(wanted), strict=True):
        (asked,) = alert["configuration"]["queryList"]
        assert not TEMPLATES.search(asked["query"])
        rows = sdk.get_log("app", "calls", now - 600, now + 60, query=asked["query"]).get_body()["data"]
        counts[one.rule.name] = [float(row["calls"]) for row in rows if "calls" in row]
    assert counts["failure-count"] == counts["success-rate"] == [25]
    if limits:
        assert sum(counts["qpm-level"]) == 25
    for board in (dashboard(wanted), grafana(wanted)):
        queries = re.findall(r'"query": ("(?:[^"\\]|\\.)*")', json.dumps(board))
        for query in {json.loads(query) for query in queries} - {""}:
            assert not TEMPLATES.search(query)
            rows = sdk.get_log("app", "calls", now - 600, now + 60, query=query).get_body()["data"]
            assert {int(row["calls"]) for row in rows if set(row) >= {"app", "calls"}} <= {25}
    (total,) = [chart for chart in dashboard(wanted)["charts"] if chart["title"] == "llmops-calls-total"]
    (row,) = sdk.get_log("app", "calls", now - 600, now + 60, query=total["search"]["query"]).get_body()["data"]
    assert row["calls"] == "25"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_no_template_in_what_people_read(value):
    def again(filters):
        return shlex.join(word for app in filters.app for word in ("--app", app))

    wanted = replace(watched(Filters(app=(value,))), command_options=again, runbooks="https://x.test/${failures}/")
    for one, alert in zip(rules(Thresholds(), LIMITS, wanted.filters)[0], alerts(wanted), strict=True):
        assert len(alert["displayName"]) <= 64
        assert not TEMPLATES.search(alert["displayName"].replace("\\", ""))
        told = {said["key"]: said["value"] for said in alert["configuration"]["annotations"]}
        assert told["title"] == alert["displayName"]
        assert not re.search(r"\$\{|\[\[|\{\{|\{[%#]", told["command"] + told["runbook"])
        ran = subprocess.run(
            ["/bin/sh", "-c", f"printf '%s\\0' {told['command']}"], capture_output=True, text=True, check=True
        )
        options = ["--app", value] if one.filters.app else []
        assert ran.stdout.split("\0")[:-1] == ["llmops", *one.rule.command.split(), *options]
    for board in (dashboard(wanted)["displayName"], grafana(wanted)["title"]):
        assert not TEMPLATES.search(board.replace("\\", ""))


def test_a_statement_for_bi_is_one_statement_whatever_is_in_its_values(cloud, sdk):
    now = int(time.time())
    cloud.create("app", "calls", index=index())
    cloud.put("app", "calls", list(hostile_calls(now)))
    span = Span((now - 600) * 1000, (now + 60) * 1000)
    for value in HOSTILE:
        text = sql(watched(Filters(app=(value,)), limits=()), span, datetime.fromtimestamp(now, UTC), "sls.test")
        statements = [block.partition("\n")[2] for block in text.strip().split("\n\n")[1:]]
        assert all(one.count(";") == 1 and one.endswith(";") and "\n" not in one for one in statements)
        assert not any(TEMPLATES.search(one) or re.search(r":\w", one) for one in statements)
        answer = sdk.execute_project_sql("app", statements[0].removesuffix(";"), False).get_body()
        rows = answer.get("data", answer) if isinstance(answer, dict) else answer
        assert [row["calls"] for row in rows] == ["25"], value
