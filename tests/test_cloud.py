"""The loopback Log Service is held honest by clients that none of this project wrote: `aliyunlog` and the SDK."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aliyun.log import GetHistogramsRequest, LogClient, LogException, LogItem, MachineGroupDetail, PutLogsRequest
from aliyun.log.logtail_config_detail import FullRegFileConfigDetail

from tests.cloud import SlsCloud, faults

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, from 3.12 on

START = 1_700_000_000
END = START + 3600
KEYS = {"id": "secret", "sts": "secret2"}
TEXT = {"type": "text", "token": [",", " ", ":"], "caseSensitive": False, "doc_value": True}
INDEX = {
    "line": {"token": [",", " ", ":", '"'], "caseSensitive": False},
    "keys": {
        "model": {**TEXT, "token": []},
        "message": TEXT,
        "trace_id": {**TEXT, "token": ["-"]},
        "duration_ms": {"type": "long", "doc_value": True},
        "rate": {"type": "double", "doc_value": True},
        "secret": {**TEXT, "doc_value": False},
        "__tag__:batch": {**TEXT, "token": []},
    },
}
LOGS = [
    {
        "__time__": START + at,
        "__source__": "10.0.0.1",
        "model": "qwen-plus" if at % 4 else "qwen-max",
        "message": f"Call number {at}: Throttling" if at % 10 == 0 else f"call number {at} done",
        "trace_id": f"a{at}-b",
        "duration_ms": at,
        "rate": at / 3,
        "secret": "s",
        "unindexed": "u",
    }
    for at in range(250)
]


@pytest.fixture
def cloud() -> Iterator[SlsCloud]:
    with SlsCloud(keys=KEYS) as cloud:
        cloud.create("shop", "llm", index=INDEX)
        cloud.put("shop", "llm", LOGS)
        yield cloud


def client(
    cloud: SlsCloud, version: str = "v4", key: str = "id", secret: str | None = None, token: str | None = None
) -> LogClient:
    made = LogClient(
        cloud.endpoint, key, secret or KEYS.get(key, ""), token, source="", auth_version=version, region="cn-hangzhou"
    )
    made._isRowIp = True  # the endpoint is an address: the project goes into Host only
    made.timeout = 5
    return made


def query(cloud: SlsCloud, text: str, **options: Any) -> list[dict[str, str]]:
    found = client(cloud).get_log("shop", "llm", START, END, query=text, **options)
    return [log.get_contents() for log in found.get_logs()]


def refused(cloud: SlsCloud, text: str) -> LogException:
    with pytest.raises(LogException) as caught:
        query(cloud, text)
    return caught.value


Aliyunlog = Callable[..., tuple[int, Any]]


@pytest.fixture
def aliyunlog(cloud: SlsCloud, tmp_path: Path) -> Aliyunlog:
    """Run the real command; answers its exit code and what it printed, as JSON where it is."""

    def run(verb: str, *options: str, secret: str = KEYS["id"]) -> tuple[int, Any]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "http_proxy": cloud.endpoint}
        done = subprocess.run(
            [Path(sys.executable).with_name("aliyunlog"), "log", verb, *options, "--access-id=id",
             f"--access-key={secret}", "--region-endpoint=http://sls.test"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, done.stdout + done.stderr

    return run


# ---- the aliyunlog command


def test_aliyunlog_creates_a_project_a_logstore_and_its_index(cloud: SlsCloud, aliyunlog: Aliyunlog) -> None:
    assert aliyunlog("create_project", "--project_name=other", "--project_des=for tests")[0] == 0
    assert aliyunlog("create_logstore", "--project_name=other", "--logstore_name=calls", "--ttl=7")[0] == 0
    index = json.dumps(INDEX)
    assert aliyunlog("create_index", "--project_name=other", "--logstore_name=calls", f"--index_detail={index}")[0] == 0
    logstore = cloud.projects["other"].logstores["calls"]
    assert logstore.settings["ttl"] == 7
    assert logstore.index is not None
    assert logstore.index["keys"]["duration_ms"] == {"type": "long", "doc_value": True}
    code, told = aliyunlog("get_index_config", "--project_name=other", "--logstore_name=calls")
    assert code == 0
    assert set(told["keys"]) == set(INDEX["keys"])
    code, told = aliyunlog("get_logstore", "--project_name=other", "--logstore_name=calls")
    assert (code, told["shardCount"]) == (0, 2)


@pytest.mark.parametrize("version", [(), ("--sign-version=v4", "--region-id=cn-hangzhou")], ids=["v1", "v4"])
def test_aliyunlog_searches_and_asks_sql(aliyunlog: Aliyunlog, version: tuple[str, ...]) -> None:
    where = ("--project=shop", "--logstore=llm", f"--from_time={START}", f"--to_time={END}", *version)
    code, rows = aliyunlog("get_log", *where, '--query=trace_id: "a17-b"')
    assert code == 0
    assert [(row["__time__"], row["duration_ms"], row["unindexed"]) for row in rows] == [(str(START + 17), "17", "u")]
    sql = (
        "* | select model, count(*) as calls, approx_percentile(duration_ms, 0.5) as p50 group by model order by calls"
    )
    code, rows = aliyunlog("get_log", *where, f"--query={sql}")
    assert code == 0
    assert rows == [
        {"model": "qwen-max", "calls": "63", "p50": "124"}, {"model": "qwen-plus", "calls": "187", "p50": "125"},
    ]  # fmt: skip


def test_aliyunlog_gets_histograms_and_project_sql(aliyunlog: Aliyunlog) -> None:
    asked = {"project": "shop", "logstore": "llm", "fromTime": START, "toTime": END, "query": "throttling"}
    code, told = aliyunlog("get_histograms", f"--request={json.dumps(asked)}")
    assert (code, sum(bar["count"] for bar in told)) == (0, 25)
    sql = f"select count(*) as calls from llm where __time__ >= {START + 200}"
    code, told = aliyunlog("execute_project_sql", "--project=shop", f"--sql={sql}", "--power_sql=False")
    assert (code, told) == (0, [{"calls": "50"}])


def test_aliyunlog_finds_the_dashboard_and_alert_it_created(cloud: SlsCloud, aliyunlog: Aliyunlog) -> None:
    dashboard = {"dashboardName": "calls", "displayName": "Calls", "attribute": {"type": "grid"}, "charts": []}
    alert = {"name": "failures", "displayName": "Failures", "type": "Alert", "status": "Enabled", "configuration": {}}
    assert aliyunlog("create_dashboard", "--project=shop", f"--detail={json.dumps(dashboard)}")[0] == 0
    assert aliyunlog("create_alert", "--project=shop", f"--detail={json.dumps(alert)}")[0] == 0
    assert cloud.projects["shop"].dashboards == {"calls": dashboard}
    assert aliyunlog("list_dashboard", "--project=shop")[1]["dashboards"] == ["calls"]
    assert aliyunlog("get_dashboard", "--project=shop", "--entity=calls") == (0, dashboard)
    assert aliyunlog("disable_alert", "--project_name=shop", "--job_name=failures")[0] == 0
    assert [held["status"] for held in aliyunlog("list_alert", "--project=shop")[1]["results"]] == ["Disabled"]


def test_aliyunlog_with_a_wrong_secret_is_refused(aliyunlog: Aliyunlog) -> None:
    code, told = aliyunlog("get_logstore", "--project_name=shop", "--logstore_name=llm", secret="wrong")  # noqa: S106 - no secret
    assert (code, told["errorCode"]) == (3, "SignatureNotMatch")


# ---- the SDK: who asks, and when


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_logs_written_with_the_sdk_are_read_back(cloud: SlsCloud, version: str) -> None:
    items = [LogItem(START + 1000, [("message", "café 中文"), ("duration_ms", "7")], 5)]
    for packed in (True, False):
        told = PutLogsRequest("shop", "llm", "topic", "host", items, compress=packed, logtags=[("batch", "b1")])
        client(cloud, version).put_logs(told)
    found = client(cloud, version).get_log("shop", "llm", START, END, query='__tag__:batch: "b1" and __topic__: topic')
    (log, again) = found.get_logs()
    assert log.get_contents() == again.get_contents()
    assert (log.get_time(), log.get_source()) == (START + 1000, "host")
    assert log.get_contents() == {
        "__topic__": "topic", "__tag__:batch": "b1", "__time_ns_part__": "5", "message": "café 中文", "duration_ms": "7",
    }  # fmt: skip


@pytest.mark.parametrize("version", ["v1", "v4"])
@pytest.mark.parametrize(
    ("key", "secret", "token", "code", "message"),
    [
        ("id", "wrong", None, "SignatureNotMatch", "not match"),
        ("nobody", "secret", None, "Unauthorized", "AccessKeyId not found: nobody"),
        ("sts", "secret2", "other", "Unauthorized", "The security token you provided is invalid."),
    ],
)
def test_who_is_not_known_is_refused(  # noqa: PLR0917 - pytest passes them by name
    cloud: SlsCloud, version: str, key: str, secret: str, token: str | None, code: str, message: str
) -> None:
    cloud.tokens["sts"] = "token"
    with pytest.raises(LogException) as caught:
        client(cloud, version, key, secret, token).list_logstore("shop")
    assert (caught.value.resp_status, caught.value.get_error_code()) == (401, code)
    assert message in caught.value.get_error_message()


def test_a_security_token_is_known_until_it_expires(cloud: SlsCloud) -> None:
    cloud.tokens["sts"] = "token"
    asked = client(cloud, "v4", "sts", None, "token")
    assert asked.list_logstore("shop").get_logstores() == ["llm"]
    cloud.tokens["sts"] = None
    with pytest.raises(LogException, match="The security token you provided has expired"):
        asked.list_logstore("shop")


@pytest.mark.parametrize("version", ["v1", "v4"])
@pytest.mark.parametrize("offset", [-1000, 1000])
def test_a_clock_that_is_off_is_refused(cloud: SlsCloud, version: str, offset: float) -> None:
    cloud.clock_offset = offset
    with pytest.raises(LogException) as caught:
        client(cloud, version).list_logstore("shop")
    assert (caught.value.resp_status, caught.value.get_error_code()) == (400, "RequestTimeExpired")


def test_a_denied_action_is_named(cloud: SlsCloud) -> None:
    cloud.denied["id"] = {"log:GetLogStoreLogs"}
    error = refused(cloud, "*")
    assert (error.resp_status, error.get_error_code()) == (401, "Unauthorized")
    assert "action: log:GetLogStoreLogs, resource: acs:log:cn-hangzhou:" in error.get_error_message()
    assert error.get_error_message().endswith("project/shop/logstore/llm")
    assert client(cloud).list_logstore("shop").get_logstores() == ["llm"]


# ---- what is kept


def test_what_does_not_exist_has_its_own_code(cloud: SlsCloud) -> None:
    cloud.create("shop", "bare")
    asked = client(cloud)
    for code, ask in {
        "ProjectNotExist": lambda: asked.list_logstore("nowhere"),
        "LogStoreNotExist": lambda: asked.get_log("shop", "nothing", START, END, query="*"),
        "IndexConfigNotExist": lambda: asked.get_log("shop", "bare", START, END, query="*"),
        "DashboardNotExist": lambda: asked.get_dashboard("shop", "none"),
        "JobNotExist": lambda: asked.get_alert("shop", "none"),
        "MachineGroupNotExist": lambda: asked.get_machine_group("shop", "none"),
    }.items():
        with pytest.raises(LogException) as caught:
            ask()
        assert (caught.value.resp_status, caught.value.get_error_code()) == (404, code)


def test_what_exists_is_not_created_again_but_updated(cloud: SlsCloud) -> None:
    asked = client(cloud)
    detail = {"dashboardName": "calls", "displayName": "Calls", "charts": []}
    asked.create_dashboard("shop", detail)
    with pytest.raises(LogException) as caught:
        asked.create_dashboard("shop", detail)
    assert (caught.value.resp_status, caught.value.get_error_code()) == (400, "DashboardAlreadyExist")
    asked.update_dashboard("shop", {**detail, "displayName": "All calls"})
    assert cloud.projects["shop"].dashboards["calls"]["displayName"] == "All calls"
    asked.delete_dashboard("shop", "calls")
    assert asked.list_dashboard("shop").get_entities() == []
    with pytest.raises(LogException) as caught:
        asked.create_logstore("shop", "llm")
    assert caught.value.get_error_code() == "LogStoreAlreadyExist"


def test_logtail_configurations_are_applied_to_machine_groups(cloud: SlsCloud) -> None:
    asked = client(cloud)
    asked.create_logtail_config(
        "shop",
        FullRegFileConfigDetail("llm", "calls", "/var/log/app", "*.log", "%Y", r"(\\S+)", ["time"], r"\\d+,", r"\\d+"),
    )
    asked.create_machine_group("shop", MachineGroupDetail("hosts", "userdefined", ["llm-hosts"]))
    asked.apply_config_to_machine_group("shop", "calls", "hosts")
    assert asked.get_machine_group_applied_configs("shop", "hosts").get_configs() == ["calls"]
    assert asked.get_config_applied_machine_groups("shop", "calls").get_machine_groups() == ["hosts"]
    assert asked.get_logtail_config("shop", "calls").logtail_config.logstore_name == "llm"
    assert asked.list_logtail_config("shop").get_configs() == ["calls"]
    assert cloud.projects["shop"].configs["calls"]["inputDetail"]["logPath"] == "/var/log/app"
    assert cloud.projects["shop"].machinegroups["hosts"]["machineList"] == ["llm-hosts"]


def test_projects_are_listed_and_told(cloud: SlsCloud) -> None:
    cloud.create("other")
    told = client(cloud).list_project().get_projects()
    assert sorted(project["projectName"] for project in told) == ["other", "shop"]
    assert client(cloud).get_project("shop").get_region() == "cn-hangzhou"


# ---- what a query finds


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("*", 250),
        ("", 250),
        ("model: qwen-max", 63),
        ('model: "QWEN-MAX"', 63),
        ("model: qwen", 0),
        ("model: qwen*", 250),
        ("not model: qwen-max", 187),
        ("duration_ms >= 245", 5),
        ("duration_ms > -1 and duration_ms < 3", 3),
        ("duration_ms: 7", 1),
        ("model: qwen-max and duration_ms < 8 or duration_ms: 9", 3),
        ("model: qwen-max and (duration_ms < 8 or duration_ms: 9)", 2),
        ("model: qwen-max duration_ms < 8", 2),
        ("throttling", 25),
        ('"number 20"', 1),
        ('message: "throttling call"', 25),
        ('message: #"throttling call"', 0),
        ('message: #"call number 20"', 1),
        ("trace_id: a17", 1),
        ('trace_id: "b-a17"', 1),
        ("secret: s and __source__: 10.0.0.1", 250),
        ('model: ""', 0),
    ],
)
def test_a_search_takes_the_logs_it_says(cloud: SlsCloud, search: str, count: int) -> None:
    assert query(cloud, f"{search} | select count(*) as n") == [{"n": str(count)}]
    assert len(query(cloud, search, size=-1)) == count


def test_a_search_answers_pages_in_the_order_of_time(cloud: SlsCloud) -> None:
    def durations(**options: Any) -> list[int]:
        return [int(row["duration_ms"]) for row in query(cloud, "*", **options)]

    assert durations() == list(range(100))
    assert durations(offset=240, size=20) == list(range(240, 250))
    assert durations(reverse=True, size=2) == [249, 248]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 / 2", "3"),
        ("7 / 2.0", "3.5"),
        ("max(duration_ms) / 2", "124"),
        ("avg(duration_ms)", "124.5"),
        ("max(duration_ms) * 100000.0", "2.49E7"),
        ("max(case when duration_ms > 1000 then 1 end)", "null"),
        ("approx_percentile(duration_ms, array[0.5, 0.95])", "[124, 237]"),
        ("approx_percentile(rate, array[0.5])", "[41.333333333333336]"),
        ("count_if(duration_ms > 1000)", "0"),
        ("approx_distinct(model)", "2"),
        ("max(split('a,b,c', ',', 2))", '["a", "b,c"]'),
        ("cardinality(max(split('a,b,c', ',')))", "3"),
        ("max(regexp_replace('a1b22', '[0-9]+', '#'))", "a#b#"),
        ("max(regexp_replace('ab', '(a)', '$1$1'))", "aab"),
        ("max(regexp_extract('ab', '[0-9]'))", "null"),
        ("bool_or(regexp_like(model, '^qwen'))", "true"),
        ("max(json_extract_scalar('{\"a\": {\"b\": 3}}', '$.a.b'))", "3"),
        ("max(json_extract_scalar('not json', '$.a'))", "null"),
        ("max(date_trunc('minute', __time__))", "2023-11-14 22:17:00.000"),
        ("max(date_format(from_unixtime(__time__), '%H:%i:%s'))", "22:17:29"),
        ("element_at(array[7, 8], 2)", "8"),
        ("transform(array[1, 2], x -> x * 2)", "[2, 4]"),
        ("max(concat(model, '/', 'x'))", "qwen-plus/x"),
        ("max_by(model, duration_ms)", "qwen-plus"),
        ("max(try_cast(message as bigint))", "null"),
    ],
)
def test_sql_means_what_presto_means(cloud: SlsCloud, expression: str, value: str) -> None:
    assert query(cloud, f"* | select {expression} as v from log limit 1") == [{"v": value}]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "select nothing",
            "line 1:8: Column 'nothing' cannot be resolved;please add the column in the index attribute",
        ),
        ("select secret", "Column 'secret' cannot be resolved"),
        ("select unindexed", "Column 'unindexed' cannot be resolved"),
        ("select duration_ms as a, a + 1 as b", "Column 'a' cannot be resolved"),
        ("select duration_ms as a where a > 1", "Column 'a' cannot be resolved"),
        ("select model, duration_ms group by model", "Column 'duration_ms' not in GROUP BY clause"),
        ("select duration_ms::varchar", "mismatched input ':'"),
        ("select model where model ilike 'q%'", "ilike"),
        ("select quantile_cont(duration_ms, 0.5)", "Function quantile_cont not registered"),
        ("select quantile_disc(duration_ms, 0.5)", "Function quantile_disc not registered"),
        ("select count(*) filter (where duration_ms > 1)", "filter"),
        ("select model where duration_ms = '5'", "cannot be applied to bigint, varchar"),
        ("select model where duration_ms in ('5')", "cannot be applied to bigint, varchar"),
        ("select model where model = 5", "cannot be applied to bigint, varchar"),
        ("select coalesce(duration_ms, '')", "must be the same type"),
        ("select case when duration_ms > 1 then 1 else '' end", "must be the same type"),
        ("select count(*);", "';'"),
        ("select 1 / (duration_ms - duration_ms)", "/ by zero"),
        ("select count(*) from (select 1)", "you are using nested sql"),
        ("select model limit 1000001", "1000000"),
        ("select count(*", "syntax error"),
        ("delete from log", "select"),
    ],
)
def test_sql_that_presto_refuses_is_refused(cloud: SlsCloud, sql: str, message: str) -> None:
    error = refused(cloud, f"* | {sql}")
    assert (error.resp_status, error.get_error_code()) == (400, "ParameterInvalid")
    assert message in error.get_error_message()


@pytest.mark.parametrize(
    "search", ["unindexed: u", "model > 5", "(model: x", " or ".join(["model: x"] * 31), "duration_ms: x"]
)
def test_a_search_that_is_not_understood_is_refused(cloud: SlsCloud, search: str) -> None:
    assert refused(cloud, search).get_error_code() == "ParameterInvalid"


def test_sql_answers_100_rows_unless_it_has_a_limit(cloud: SlsCloud) -> None:
    assert len(query(cloud, "* | select duration_ms")) == 100
    assert len(query(cloud, "* | select duration_ms from log limit 200")) == 200
    assert query(cloud, "* | select duration_ms order by duration_ms limit 10,2") == [
        {"duration_ms": "10"}, {"duration_ms": "11"},
    ]  # fmt: skip


def test_an_answer_tells_its_columns(cloud: SlsCloud) -> None:
    found = client(cloud).get_log(
        "shop", "llm", START, END, query="* | select model, count(*), avg(rate) r group by model"
    )
    meta = found.get_meta()._to_dict()
    assert (meta["keys"], meta["columnTypes"]) == (["model", "_col1", "r"], ["varchar", "bigint", "double"])
    assert (meta["progress"], meta["hasSQL"], meta["processedRows"]) == ("Complete", True, 250)


def test_logs_from_before_the_index_are_not_found(cloud: SlsCloud) -> None:
    cloud.create("shop", "late")
    cloud.put("shop", "late", LOGS[:10])
    cloud.create("shop", "late", index=INDEX)
    cloud.put("shop", "late", LOGS[10:12])
    found = client(cloud).get_log("shop", "late", START, END, query="* | select count(*) as n")
    assert [log.get_contents() for log in found.get_logs()] == [{"n": "2"}]


def test_logs_are_found_after_the_lag(cloud: SlsCloud) -> None:
    cloud.lag = 3600
    client(cloud).put_logs(PutLogsRequest("shop", "llm", "", "host", [LogItem(START, contents=[("model", "new")])]))
    assert query(cloud, "model: new") == []
    assert cloud.projects["shop"].logstores["llm"].logs[-1].fields["model"] == "new"


def test_a_batch_with_one_log_that_is_too_old_is_refused_whole(cloud: SlsCloud) -> None:
    cloud.oldest_s = 7 * 86400
    items = [LogItem(int(time.time()), contents=[("model", "new")]), LogItem(START, contents=[("model", "old")])]
    with pytest.raises(LogException) as caught:
        client(cloud).put_logs(PutLogsRequest("shop", "llm", "", "host", items))
    assert (caught.value.resp_status, caught.value.get_error_code()) == (400, "InvalidTimestamp")
    assert len(cloud.projects["shop"].logstores["llm"].logs) == len(LOGS)


def test_leaving_hangs_up_and_ends_every_thread() -> None:
    before = threading.active_count()
    with SlsCloud(keys=KEYS) as cloud:
        cloud.create("shop")
        cloud.fail(faults.Silence(), method="PUT")
        kept, silent = (http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=5) for _ in range(2))
        kept.request("GET", "/logstores", headers={"Host": "shop.127.0.0.1"})
        kept.getresponse().read()
        silent.request("PUT", "/", headers={"Host": "shop.127.0.0.1"})
        while len(cloud.requests) < 2:
            time.sleep(0.01)
    with contextlib.closing(kept), contextlib.closing(silent):
        assert silent.sock.recv(1) == kept.sock.recv(1) == b""
    while threading.active_count() > before:
        time.sleep(0.01)


# ---- faults


@pytest.mark.parametrize("fault", [faults.READ_QUOTA, faults.TOKEN_EXPIRED, faults.Status(400, "ParameterInvalid")])
def test_an_error_befalls_as_many_requests_as_told(cloud: SlsCloud, fault: faults.Status) -> None:
    rule = cloud.fail(fault, "/logs$", "POST", skip=1, times=2)
    assert query(cloud, "* | select count(*) as n") == [{"n": "250"}]
    for _ in range(2):
        error = refused(cloud, "*")
        assert (error.resp_status, error.get_error_code()) == (fault.status, fault.code)
    assert len(query(cloud, "*")) == 100
    assert (rule.hits, [request.status for request in cloud.asked("/logs$")]) == (
        2,
        [200, fault.status, fault.status, 200],
    )


def test_server_errors_are_what_the_sdk_sends_again(cloud: SlsCloud) -> None:
    cloud.fail(faults.BUSY, when=lambda request: "count" in request.text)
    assert query(cloud, "* | select count(*) as n") == [{"n": "250"}]
    assert [request.status for request in cloud.asked()] == [503, 200]


def test_a_reset_may_lose_the_answer_only(cloud: SlsCloud) -> None:
    rule = cloud.fail(faults.Reset(done=True), "/shards/lb", times=1)
    told = PutLogsRequest("shop", "llm", "", "host", [LogItem(START, contents=[("model", "new")])])
    with pytest.raises(LogException, match="onnection"):
        client(cloud).put_logs(told)
    assert (rule.hits, len(query(cloud, "model: new"))) == (1, 1)
    cloud.fail(faults.Reset(), "/shards/lb", times=1)
    with pytest.raises(LogException, match="onnection"):
        client(cloud).put_logs(told)
    assert len(query(cloud, "model: new")) == 1


def plain(cloud: SlsCloud, timeout: float) -> tuple[int, bytes]:
    """Send an unsigned request, which no client of the service would repeat."""
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", "/logstores", headers={"Host": "shop.127.0.0.1"})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("fault", [faults.Silence(), faults.Slow(60), faults.Drip(60, headers=True), faults.Drip(60)])
def test_a_client_that_waits_for_an_answer_waits_in_vain(cloud: SlsCloud, fault: faults.Fault) -> None:
    cloud.fail(fault)
    with pytest.raises(TimeoutError):
        plain(cloud, 0.3)


@pytest.mark.parametrize("headers", [True, False])
def test_a_drip_outlives_the_timeout_of_one_read(cloud: SlsCloud, headers: bool) -> None:
    cloud.fail(faults.Drip(0.01, headers=headers))
    status, body = plain(cloud, 0.6)
    assert (status, json.loads(body)["errorCode"]) == (400, "InvalidRequestTime")
    (request,) = cloud.requests
    assert request.answered is not None
    assert request.answered - request.received > 0.6


def test_a_reset_is_one(cloud: SlsCloud) -> None:
    cloud.fail(faults.Reset())
    with pytest.raises(ConnectionResetError):
        plain(cloud, 5)


@pytest.mark.parametrize("fault", [faults.GARBAGE, faults.BAD_GATEWAY])
def test_a_body_is_answered_as_told(cloud: SlsCloud, fault: faults.Body) -> None:
    cloud.fail(fault)
    assert plain(cloud, 5) == (fault.status, fault.body)


def test_incomplete_answers_a_part(cloud: SlsCloud) -> None:
    cloud.fail(faults.Incomplete(0.5), times=None)
    found = client(cloud).get_log("shop", "llm", START, END, query="* | select model, count(*) n group by model")
    assert (found.is_completed(), found.get_count()) == (False, 1)
    assert len(cloud.asked("/logs$")) == 5
    bars = client(cloud).get_histograms(GetHistogramsRequest("shop", "llm", START, END, query="*"))
    assert not bars.is_completed()
    cloud.heal()
    assert (
        client(cloud).get_histograms(GetHistogramsRequest("shop", "llm", START, END, query="*")).get_total_count()
        == 250
    )


def test_an_abandoned_request_is_not_in_flight(cloud: SlsCloud) -> None:
    cloud.fail(faults.Slow(60), times=2)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            plain(cloud, 0.3)
        while cloud.in_flight:
            time.sleep(0.01)
    assert plain(cloud, 5)[0] == 400
    assert cloud.most_in_flight == 1


def test_requests_in_flight_are_counted_and_late(cloud: SlsCloud) -> None:
    cloud.delay = 0.3
    began = time.monotonic()
    threads = [threading.Thread(target=query, args=(cloud, "* | select count(*)")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert cloud.most_in_flight == 5
    for request in cloud.asked("/logs$", "POST"):
        assert request.answered is not None
        assert began <= request.received < request.answered
        assert request.answered - request.received >= 0.3
        assert request.body["query"] == "* | select count(*)"
