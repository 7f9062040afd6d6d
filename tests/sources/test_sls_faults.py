"""What goes wrong between here and Log Service: what is asked again, what is not, and what the reader is told."""

import re
import time
from dataclasses import dataclass, field

import pytest

from tests.cloud import faults
from tests.cloud.asking import KEY_ID
from tests.cloud.filled import index

NOW = int(time.time())
LOGS = "/logs$"


@pytest.fixture
def busy(cloud, here):
    """A logstore with a call every second of the last half hour, and the profile that names it."""
    cloud.create("app", "calls", index=index())
    call = {"app": "shop", "module": "Chat", "model": "qwen-plus", "workspace": "llm-1", "duration_ms": 800,
            "input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "status_code": 200}  # fmt: skip
    now = int(time.time())
    cloud.put("app", "calls", [{**call, "__time__": now - ago, "trace_id": f"t{ago:08}"} for ago in range(1800)])
    here.profile(cloud)
    return cloud


@dataclass(frozen=True)
class Passing:
    """A fault that passes: `sends` of a statement at least, and the answer is whole."""

    fault: faults.Fault
    times: int = 1


@pytest.mark.parametrize(
    "passing",
    [
        Passing(faults.SERVER_ERROR, 3),
        Passing(faults.BUSY, 2),
        Passing(faults.READ_QUOTA, 3),
        Passing(faults.PROJECT_QUOTA, 2),
        Passing(faults.Reset(), 2),
        Passing(faults.GARBAGE, 2),
        Passing(faults.BAD_GATEWAY, 2),
        Passing(faults.Incomplete(), 3),
        Passing(faults.Slow(0.5), 5),
        Passing(faults.Silence(), 1),
    ],
    ids=lambda passing: f"{passing.fault}"[:40],
)
def test_what_passes_is_asked_again(busy, here, passing):
    busy.fail(passing.fault, LOGS, times=passing.times)
    ran = here.run("status", "-o", "json", "--timeout", "8")
    assert (ran.code, ran.err) == (0, "")
    envelope = ran.json()
    assert (envelope["partial"], envelope["sources"][0]["state"]) == (False, "ok")
    assert envelope["data"]["calls"] == pytest.approx(900, abs=5)
    assert busy.most_in_flight <= 5


@dataclass(frozen=True)
class Lasting:
    """What a reader is told of a fault that stays."""

    code: str
    said: str
    hint: str
    fault: faults.Fault | None = None
    change: dict = field(default_factory=dict)
    environ: dict = field(default_factory=dict)
    most_sends: int = 1
    exit: int = 3


DENIED = faults.Status(
    401, "Unauthorized", "denied by sts or ram, action: log:GetLogStoreLogs, resource: acs:log:cn-beijing:1:project/app"
)
LASTING = {
    "wrong secret": Lasting(
        "credentials_refused", "the secret is not that of LTAI…ey01 (from environment)", "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        environ={"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another"},
    ),
    "wrong region": Lasting(
        "credentials_refused", "or region in llmops.toml is not that of", "set region",
        environ={"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another"},
    ),
    "unknown key": Lasting(
        "credentials_refused", "LTAI", "llmops doctor", environ={"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tSomebodyElse00"}
    ),
    "expired token": Lasting("credentials_expired", "STS token", "ALIBABA_CLOUD_SECURITY_TOKEN", faults.TOKEN_EXPIRED),
    "expired token, as documented": Lasting(
        "credentials_expired", "STS token", "ALIBABA_CLOUD_SECURITY_TOKEN",
        faults.Status(401, "Unauthorized", "The security token you provided has expired."),
    ),
    "no permission": Lasting("no_permission", "may not", "log:GetLogStoreLogs", DENIED),
    "no project": Lasting("sls_project", 'no project "gone"', "sls.project", change={"project": "gone"}),
    "no logstore": Lasting("sls_logstore", 'no logstore "gone"', "sls.logstore", change={"logstore": "gone"}),
    "no index": Lasting(
        "sls_index", "no index", "collect init", faults.Status(404, "IndexConfigNotExist", "logstore without index config")
    ),
    "no credentials": Lasting(
        "no_credentials", "no Alibaba Cloud credentials", "ALIBABA_CLOUD_ACCESS_KEY_ID",
        environ={"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ""}, most_sends=0,
    ),
    "down": Lasting("sls_unavailable", "InternalServerError", "ask again", faults.SERVER_ERROR, most_sends=6),
    "throttled": Lasting("sls_unavailable", "ReadQuotaExceed", "ask again", faults.READ_QUOTA, most_sends=6),
    "reset": Lasting("sls_unreachable", "the connection was cut", "sls.endpoint", faults.Reset(), most_sends=6),
    "garbage": Lasting("sls_unavailable", "not an answer of Log Service", "ask again", faults.GARBAGE, most_sends=6),
    "silence": Lasting("sls_overdue", "no answer within 3 s", "--timeout", faults.Silence(), most_sends=6),
    "dripping body": Lasting("sls_overdue", "no answer within 3 s", "--timeout", faults.Drip(0.5), most_sends=6),
    "dripping headers": Lasting(
        "sls_overdue", "no answer within 3 s", "--timeout", faults.Drip(0.5, headers=True), most_sends=6
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LASTING)
def test_what_stays_is_one_line_with_the_setting_to_mend(busy, here, name):
    lasting = LASTING[name]
    if lasting.fault is not None:
        busy.fail(lasting.fault, LOGS, times=None)
    here.profile(busy, **lasting.change)
    ran = here.run("status", "-o", "json", "--timeout", "3", **lasting.environ)
    assert ran.code == lasting.exit
    [problem] = ran.json()["errors"]
    assert problem["code"] == lasting.code
    assert lasting.said in problem["message"]
    assert lasting.hint in problem["hint"]
    assert "\n" not in problem["message"]
    assert KEY_ID not in ran.out + ran.err
    sends = {}
    for request in busy.asked(LOGS):
        sends[request.text] = sends.get(request.text, 0) + 1
    assert max(sends.values(), default=0) <= lasting.most_sends
    assert problem["retryable"] is (lasting.most_sends > 1)
    assert busy.most_in_flight <= 5


def test_one_line_on_a_terminal_too(busy, here):
    busy.fail(DENIED, LOGS, times=None)
    ran = here.run("status")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("error: ")
    assert "log:GetLogStoreLogs" in ran.err


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_a_wrong_clock_is_recognised(busy, here, ahead_s):
    busy.clock_offset = ahead_s
    [problem] = here.run("status", "-o", "json").json()["errors"]
    assert problem["code"] == "clock_skew"
    assert f"60 min {'behind' if ahead_s > 0 else 'ahead of'}" in problem["message"]
    assert "NTP" in problem["hint"]


def test_an_incomplete_answer_is_partial_in_the_end(busy, here):
    busy.fail(faults.Incomplete(0.5), LOGS, times=None)
    ran = here.run("status", "-o", "json", "--timeout", "3")
    envelope = ran.json()
    assert (ran.code, envelope["partial"], envelope["sources"][0]["state"]) == (0, True, "partial")
    assert re.search(r"totals: only [\d,]+ logs were looked at before the deadline", envelope["sources"][0]["detail"])
    assert here.run("status", "--check", "--timeout", "3").code == 3


def test_what_was_covered_is_told_even_if_nothing_more_comes(busy, here):
    asked = set()

    def first_time(request):
        return request.text not in asked and not asked.add(request.text)

    busy.fail(faults.Silence(), LOGS, times=None)
    busy.fail(faults.Incomplete(0.5), LOGS, when=first_time, times=None)
    envelope = here.run("status", "-o", "json", "--timeout", "4").json()
    assert envelope["partial"]
    assert envelope["data"]["calls"] > 0
    assert envelope["data"]["verdict"] != "ok"
    assert busy.most_in_flight <= 5


def test_one_statement_that_fails_does_not_hide_the_rest(busy, here):
    busy.fail(faults.SERVER_ERROR, LOGS, when=lambda request: "unit" in request.text, times=None)
    ran = here.run("status", "-o", "json", "--timeout", "3")
    envelope = ran.json()
    assert (ran.code, envelope["partial"]) == (0, True)
    assert "demand: " in envelope["sources"][0]["detail"]
    assert envelope["data"]["calls"] > 800


@pytest.mark.parametrize("key", ["model name", "it's", "模型", "a.b", "x) y"])
def test_a_key_of_any_name_that_the_index_lacks_is_left_out(busy, here, key):
    here.profile(busy, more=f'fields = {{ model = "{key}" }}\n')
    ran = here.run("status", "-o", "json")
    assert (ran.code, ran.json()["errors"]) == (0, [])
    assert ran.json()["data"]["calls"] > 800


def test_status_sends_five_statements_at_once(busy, here):
    busy.delay = 0.3
    assert here.run("status", "-o", "json").code == 0
    sent = busy.asked(LOGS)
    assert len(sent) == 5 == busy.most_in_flight
    assert max(request.received for request in sent) < min(request.answered for request in sent)


def test_ctrl_c_ends_at_once(busy, here):
    busy.fail(faults.Silence(), LOGS, times=None)
    with here.start("status", "--timeout", "60") as process:
        for _ in range(100):
            if busy.asked(LOGS):
                break
            time.sleep(0.1)
        process.send_signal(2)
        process.communicate(timeout=10)
    assert process.returncode == 130


def test_a_local_log_loads_no_sdk(here):
    log = here.folder / "app.log"
    log.write_text("")
    ran = here.run("status", "--log", str(log), PYTHONPROFILEIMPORTTIME="1")
    assert "duckdb" in ran.err
    assert "aliyun" not in ran.err
    assert "alibabacloud" not in ran.err
