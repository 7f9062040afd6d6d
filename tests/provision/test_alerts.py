"""Alert rules on the loopback Log Service: what is sent runs there, and answers what the log file answers."""

import json
import shlex
import subprocess
import sys
import time
from datetime import UTC
from pathlib import Path

import pytest
from aliyun.log import LogClient

from llmops_cli.evidence import Filters, Limit, Span, Thresholds
from llmops_cli.provision.alerts import Watched, alerts, rules, watched_limits
from llmops_cli.queries import charts
from llmops_cli.sources.local import LocalSource
from tests.cloud import SlsCloud
from tests.cloud.asking import KEY_ID, REGION, SECRET, desk
from tests.cloud.filled import index, logs

NAMES = {"model": "modelName", "duration_ms": "cost", "error_code": "errCode", "rating": "vote"}
RAW = {"message": "message"}
RULES = ["failure-count", "success-rate", "response-time", "qpm-level", "tpm-level", "negative-feedback", "no-data"]
LIMITS = (Limit("qwen-plus", None, 140, 280_000), Limit("qwen-max", None, None, 70_000))


@pytest.fixture
def cloud():
    with SlsCloud(keys={KEY_ID: SECRET}, region=REGION) as cloud:
        yield cloud


@pytest.fixture
def here(tmp_path):
    return desk(tmp_path)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Write a demo log that ends now: an alert looks at the minutes before it is evaluated."""
    folder = tmp_path_factory.mktemp("now")
    log = folder / "now.log"
    ran = desk(folder).run("demo", "rate-limit", "--calls", "5000", "--out", str(log), "--no-walk", "--timezone", "UTC")
    assert ran.code == 0, ran.err
    return log


def client(cloud):
    sdk = LogClient(cloud.endpoint, KEY_ID, SECRET, source="")
    sdk._isRowIp = True
    return sdk


def watched(filters=Filters(), keys=(), limits=LIMITS):
    return Watched("app", "calls", REGION, filters, dict(keys), limits, Thresholds())


@pytest.mark.parametrize(
    ("keys", "raw"), [({}, False), (NAMES, False), (RAW, True)], ids=["fields", "other keys", "raw message"]
)
@pytest.mark.parametrize("filters", [Filters(), Filters(app=("shop-assistant",), model=("qwen-plus", "qwen-max"))])
def test_log_service_answers_each_rule_as_the_log_file_does(cloud, log, keys, raw, filters):
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
            minute, answer = in_one_minute(lambda minute, asked=asked: ask(cloud, asked, minute))
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


def ask(cloud, asked, minute):
    minutes = int(asked["start"].strip("-m"))
    answer = client(cloud).get_log("app", "calls", minute * 60 - minutes * 60, minute * 60, query=asked["query"])
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


def test_without_ratings_in_the_index_there_is_no_rule_about_them(cloud, here):
    cloud.create("app", "calls", index=index(without=("rating", "total_tokens")))
    here.profile(cloud)
    rows = here.run("alerts", "apply", "--yes", "-o", "json").json()["data"]["changes"]
    assert [row["name"].removeprefix("llmops-calls-") for row in rows] == [
        name for name in RULES if name not in {"negative-feedback", "tpm-level"}
    ]
    for job in cloud.projects["app"].jobs.values():
        (asked,) = job["configuration"]["queryList"]
        assert ask(cloud, asked, 1) == []


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


def aliyunlog(cloud, here, command):
    """Run a rollback as it was printed, by the real command."""
    words = shlex.split(command)
    assert words[:2] == ["aliyunlog", "log"]
    tool = [str(Path(sys.executable).with_name("aliyunlog")), *words[1:]]
    options = [f"--access-id={KEY_ID}", f"--access-key={SECRET}", "--region-endpoint=http://sls.test"]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(here.folder), "http_proxy": cloud.endpoint}
    done = subprocess.run([*tool, *options], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rollbacks_that_are_printed_take_the_changes_back(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    words = ("alerts", "apply", "--yes", "-o", "json")
    made = here.run(*words).json()["data"]["changes"]
    kept = cloud.projects["app"].jobs
    held = kept["llmops-calls-no-data"]
    kept["llmops-calls-no-data"] = by_hand = {**held, "displayName": "it's by hand: 告警"}
    (changed,) = [row for row in here.run(*words).json()["data"]["changes"] if row["action"] == "update"]
    assert kept["llmops-calls-no-data"]["displayName"] == held["displayName"]
    aliyunlog(cloud, here, changed["rollback"])
    assert kept["llmops-calls-no-data"] == by_hand
    for row in made:
        aliyunlog(cloud, here, row["rollback"])
    assert kept == {}
