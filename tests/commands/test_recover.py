"""What `recover` prints can be used as it stands: settings, the request in both languages, runbooks, the plan."""

import json
import re
import shlex
import tomllib

import pytest

from llmops_cli.knowledge.runbooks import runbook_names

from .conftest import END
from .logs import MINUTE, NOON_MS, call, quiet, write


@pytest.fixture
def config(stories):
    return ("--config", stories["rate-limit"].config)


def test_throttle_settings_mean_the_same_in_three_notations(answers):
    data = answers("rate-limit", "recover", "throttle", "--model", "qwen-plus")["data"]
    settings = data["settings"]
    table = tomllib.loads(settings["toml"])["throttle"]["qwen-plus"]
    assert (table["rpm"], table["tpm"], table["concurrency"]) == (data["rpm"], data["tpm"], data["concurrency"])
    assert table["backoff"]["attempts"] == data["backoff"]["attempts"]
    environment = dict(line.split("=", 1) for line in settings["env"].splitlines())
    assert float(environment["LLMOPS_THROTTLE_RPM"]) == data["rpm"]
    assert environment["LLMOPS_THROTTLE_MODEL"] == "qwen-plus"
    assert shlex.split(settings["env"]) == settings["env"].splitlines()
    parsed = json.loads(settings["json"])
    assert str(data["rpm"]).removesuffix(".0") in json.dumps(parsed)


def test_throttle_replays_the_calls_that_were_made(answers):
    throttle = answers("rate-limit", "recover", "throttle", "--model", "qwen-plus")["data"]
    quota = answers("rate-limit", "quota", "--model", "qwen-plus")["data"]["rows"][0]
    rows = answers("rate-limit", "drill", "--by", "model")["data"]["rows"]
    assert throttle["replay"]["calls"] == next(row["calls"] for row in rows if row["value"] == "qwen-plus")
    assert throttle["replay"]["refused_before"] == quota["throttled"] > 50
    assert throttle["rpm"] <= 0.9 * quota["rpm"]["limit"]
    assert throttle["rps"] == pytest.approx(throttle["rpm"] / 60, abs=0.001)
    waits = throttle["replay"]["added_wait_ms"]
    assert waits["p50"] <= waits["p95"] <= waits["max"]
    half = answers("rate-limit", "recover", "throttle", "--model", "qwen-plus", "--headroom", "0.5")["data"]
    assert half["rpm"] <= 0.5 * quota["rpm"]["limit"]


def test_throttle_finds_the_model_of_the_incident_itself(answers):
    assert answers("rate-limit", "recover", "throttle")["data"]["model"] == "qwen-plus"
    assert answers("rate-limit", "recover", "expand")["data"]["fields"]["model"] == "qwen-plus"


def test_without_a_limit_incident_the_model_has_to_be_named(llmops, stories):
    ran = llmops("recover", "throttle", "--config", stories["healthy"].config)
    assert ran.code == 2
    assert "--model NAME" in ran.err
    ran = llmops("recover", "throttle", "--config", stories["healthy"].config, "--model", "qwen-plus", "-o", "json")
    assert ran.code == 0
    assert ran.json()["data"]["replay"]["refused_before"] == 0


@pytest.mark.parametrize(("lang", "mark", "greeting"), [("en", "[TO FILL IN:", "Hello"), ("zh", "【待补充", "您好")])
def test_the_expansion_request_is_the_text_alone(llmops, config, lang, mark, greeting):
    ran = llmops("recover", "expand", *config, "--lang", lang)
    assert ran.code == 0
    assert greeting in ran.out
    assert "qwen-plus" in ran.out
    assert "cn-beijing" in ran.out
    assert mark in ran.out
    assert len(re.findall(r"^- [0-9a-f-]{36}$", ran.out, re.MULTILINE)) == 10
    assert ran.out.splitlines()[0].startswith(("Subject", "主题"))
    assert {"en": "missing: ", "zh": "缺少："}[lang] in ran.err
    assert "uid" in ran.err
    assert "contact" in ran.err
    assert {"en": "log ends", "zh": "日志停在"}[lang] in ran.err


def test_what_was_missing_can_be_given(llmops, stories, tmp_path):
    text = stories["rate-limit"].config.read_text()
    text = text.replace('region = "cn-beijing"', 'region = "cn-beijing"\nuid = "1234567890123456"')
    config = tmp_path / "with-uid.toml"
    config.write_text(text.replace('["rate-limit.log"]', json.dumps([str(stories["rate-limit"].log)])))
    words = ("recover", "expand", "--config", config, "--contact", "ops on call", "--impact", "orders stall")
    ran = llmops(*words)
    assert "missing" not in ran.err
    assert "TO FILL IN" not in ran.out
    for given in ("1234567890123456", "ops on call", "orders stall"):
        assert given in ran.out
    data = llmops(*words, "-o", "json").json()["data"]
    assert data["missing"] == []
    assert data["fields"]["uid"] == "1234567890123456"
    assert "1234567890123456" in data["text"]


@pytest.mark.parametrize(("lang", "warning"), [("en", "a higher limit will not help"), ("zh", "提升额度无济于事")])
def test_a_limit_that_is_not_the_trouble_is_said_beside_the_request(llmops, stories, lang, warning):
    words = ("recover", "expand", "--model", "qwen-max", "--config", stories["two-faults"].config, "--lang", lang)
    ran = llmops(*words)
    assert ran.code == 0
    assert ran.out.startswith(("Subject", "主题"))
    assert warning in ran.err
    assert warning not in ran.out
    assert warning in llmops(*words, "-o", "markdown").out
    (note,) = llmops(*words, "-o", "json").json()["data"]["notes"]
    assert warning in note
    assert "qwen-max" in note


@pytest.mark.parametrize(
    ("lang", "says", "claimed"),
    [
        (
            "en",
            (
                "No call was refused for it in the time observed; the busiest minute used 2.5 % of the present limit.",
                "Wanted: [TO FILL IN: expected growth and the limits it needs]",
            ),
            "are refused",
        ),
        (
            "zh",
            (
                "统计时段内尚无调用被限流，最忙的一分钟用了当前额度的 2.5 %；",
                "期望额度：【待补充: 预计的业务增长及所需额度】",
            ),
            "即将被限流",
        ),
    ],
)
def test_a_request_for_a_healthy_model_claims_no_refusals(llmops, tmp_path, lang, says, claimed):
    log = write(tmp_path / "app.log", quiet(NOON_MS, 15, per_minute=30))
    config = tmp_path / "llmops.toml"
    config.write_text("[profiles.p.limits.qwen-plus]\nrpm = 1200\n")
    words = ("--log", log, "--config", config, "--profile", "p", "--timezone", "+08:00", "--from", str(NOON_MS))
    ran = llmops("recover", "expand", *words, "--since", "15m", "--model", "qwen-plus", "--lang", lang)
    assert ran.code == 0
    assert all(text in ran.out for text in says)
    assert claimed not in ran.out
    assert "request id" not in ran.out.lower()
    assert "expected_growth" in ran.err


def test_no_doubt_is_raised_where_calls_are_refused_or_the_level_is_high(llmops, config):
    assert llmops("recover", "expand", *config, "-o", "json").json()["data"]["notes"] == []


def test_the_settings_are_the_applications_not_of_llmops_toml(llmops, config, tmp_path):
    out = llmops("recover", "throttle", *config).out
    assert "# for the rate limiter in your application, as TOML (not for llmops.toml)\n[throttle" in out


def test_throttling_that_refuses_more_than_before_is_no_step(answers):
    replay = answers("rate-limit", "recover", "throttle", "--model", "qwen-plus")["data"]["replay"]
    assert replay["refused_after"] > replay["refused_before"]
    plan = answers("rate-limit", "recover")["data"]
    names = [action["name"] for action in plan["actions"]]
    assert "expand" in names
    assert "throttle" not in names
    assert not any("recover throttle" in line for incident in plan["incidents"] for line in incident["next"])


def test_the_request_ids_are_those_of_refused_calls(llmops, config, stories):
    text = stories["rate-limit"].log.read_text()
    out = llmops("recover", "expand", *config).out
    for one in re.findall(r"^- ([0-9a-f-]{36})$", out, re.MULTILINE):
        assert re.search(rf",qwen-plus,[^,]*,{one},429,", text)


def test_a_runbook_is_printed_in_the_language_asked_for(llmops):
    ran = llmops("recover", "--runbook", "auth", "--lang", "zh")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("# API Key 被拒绝\n")
    assert (
        llmops("recover", "--runbook", "auth", "--lang", "zh", "-o", "json").json()["data"]["title"] == "API Key 被拒绝"
    )


@pytest.mark.parametrize("name", runbook_names())
def test_every_runbook_is_printed_without_a_log(llmops, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ran = llmops("recover", "--runbook", name)
    assert (ran.code, ran.err) == (0, "")
    for section in ("Symptoms", "Checks", "Actions", "Rollback", "Verification", "Escalation"):
        assert f"## {section}" in ran.out


def test_the_plan_follows_the_incident(answers):
    data = answers("two-faults", "recover")["data"]
    names = [action["name"] for action in data["actions"]]
    assert names[-1] == "verify"
    assert {"rotate_key", "expand"} <= set(names)
    assert len(names) == len(set(zip(names, (action["command"] for action in data["actions"]), strict=True)))
    assert data["runbook"] == data["incidents"][0]["type"]
    for action in data["actions"]:
        assert all(action[part] for part in ("why", "effect", "risk", "rollback"))


def test_a_bill_that_is_not_paid_is_never_answered_with_a_retry(llmops, tmp_path):
    log = write(
        tmp_path / "app.log",
        [
            *quiet(NOON_MS - 15 * MINUTE, 15, per_minute=30),
            *quiet(
                NOON_MS,
                15,
                per_minute=30,
                status=429,
                code="PostpaidBillOverdue",
                message="The postpaid bill is overdue.",
            ),
        ],
    )
    words = ("--log", log, "--timezone", "+08:00", "--from", str(NOON_MS), "--since", "15m", "-o", "json")
    data = llmops("recover", *words).json()["data"]
    assert data["incidents"][0]["type"] == "billing"
    names = [action["name"] for action in data["actions"]]
    assert names[:2] == ["pay_bill", "stop_retries"]
    assert not {"throttle", "back_off", "expand"} & set(names)
    (error,) = llmops("status", *words).json()["data"]["errors"]
    assert (error["family"], error["retry"]) == ("billing", "no")


def test_unknown_limits_say_so_and_how_to_set_them(llmops, tmp_path):
    log = write(tmp_path / "app.log", [call(NOON_MS + n * 1000, model="my-own-model") for n in range(60)])
    words = ("--log", log, "--timezone", "+08:00", "--from", str(NOON_MS), "--since", "15m")
    row = llmops("quota", *words, "-o", "json").json()["data"]["rows"][0]
    assert (row["limit_source"], row["rpm"]["limit"], row["level"], row["state"]) == ("unknown", None, None, "unknown")
    assert row["rpm"]["peak"] == 60
    out = llmops("quota", *words).out
    assert "not known for my-own-model" in out
    assert '[profiles.NAME.limits."my-own-model"]' in out
    config = tmp_path / "llmops.toml"
    config.write_text('[profiles.p.limits."my-own-model"]\nrpm = 100\n')
    row = llmops("quota", *words, "--config", config, "--profile", "p", "-o", "json").json()["data"]["rows"][0]
    assert (row["limit_source"], row["rpm"]["limit"], row["level"]) == ("configuration", 100, 0.6)
    assert row["tpm"]["limit"] is None


def test_the_plan_checks_the_calls_that_were_asked_for(llmops, stories):
    log = stories["rate-limit"].log
    place = ("--log", log, "--timezone", "Asia/Shanghai")
    window = ("--since", "20m")
    both = ("--app", "doc-qa", "--app", "shop-assistant", "--model", "qwen-plus")
    for filters in (both, ("--error-code", "Throttling.RateQuota"), ()):
        actions = llmops("recover", *filters, *place, *window, "-o", "json").json()["data"]["actions"]
        assert shlex.split(actions[-1]["command"]) == ["llmops", "recover", "verify", *filters, *map(str, place)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--model", "nosuch"), "no call of nosuch in this window"),
        (("--model", "qwen-plus", "--workspace", "nosuch"), "no call of qwen-plus in nosuch in this window"),
    ],
)
def test_no_settings_are_given_for_what_nobody_called(llmops, stories, words, told):
    ask = ("recover", "throttle", "--config", stories["rate-limit"].config, *words)
    for output in ("table", "markdown"):
        ran = llmops(*ask, "-o", output)
        assert (ran.code, ran.out.partition(":")[0]) == (0, told)
        assert "rpm" not in ran.out
        assert "throttle." not in ran.out
        assert len(ran.err.splitlines()) == 1
        assert "This window has model qwen-plus, " in ran.err
    data = llmops(*ask, "-o", "json").json()["data"]
    known = llmops(*ask[:4], "--model", "qwen-plus", "-o", "json").json()["data"]
    assert data.keys() == known.keys()
    assert [data[name] for name in ("rps", "rpm", "tps", "tpm", "concurrency")] == [None] * 5
    assert data["settings"] == {"toml": None, "env": None, "json": None}


def test_the_other_commands_of_the_plan_stay_within_the_question(llmops, stories):
    words = ("--config", stories["latency"].config, "--app", "doc-qa")
    actions = llmops("recover", *words, "-o", "json").json()["data"]["actions"]
    (ticket,) = (one["command"] for one in actions if one["name"] == "ticket")
    assert "--app doc-qa" in ticket


@pytest.mark.parametrize("name", ["rate-limit", "token-limit"])
def test_the_busiest_minute_is_the_same_in_each_answer_about_a_limit(llmops, tmp_path, name):
    llmops("demo", name, "--calls", "8000", "--out", tmp_path / "app.log", "--no-walk", "--end", END)
    words = ("--config", tmp_path / "app.toml", "--model", "qwen-plus", "-o", "json")
    fields, quota, throttle = (
        llmops(*verb, *words).json()["data"] for verb in (("recover", "expand"), ("quota",), ("recover", "throttle"))
    )
    (row,) = (row for row in quota["rows"] if row["workspace"] is None)
    requests, tokens = fields["fields"]["peak_rpm"], fields["fields"]["peak_tpm"]
    assert row["rpm"]["peak"] == requests
    assert row["tpm"]["peak"] < tokens
    in_short = f"{tokens / 1000:.0f} k"
    (told,) = quota["notes"]
    assert f"needs {in_short} instead of" in told
    (above,) = (note for note in throttle["notes"] if "busiest minute" in note)
    assert f"busiest minute {requests} requests, {in_short} tokens, refused calls included" in above


def test_a_limit_that_explains_no_refusal_promises_nothing(llmops, stories, tmp_path):
    """Without the profile the table's limit counts, which is a hundred times what refuses this story's calls."""
    log = tmp_path / "app.log"
    log.write_bytes(stories["rate-limit"].log.read_bytes())
    asked = ("--log", log, "--timezone", "Asia/Shanghai", "--since", "30m", "-o", "json")
    throttle = llmops("recover", "throttle", *asked).json()["data"]
    known = llmops("quota", "--model", "qwen-plus", *asked).json()["data"]["rows"][0]
    assert throttle["limit_source"] == "observed"
    assert throttle["rpm"] < known["rpm"]["limit"] / 50
    assert throttle["replay"]["refused_after"] > 0.5 * throttle["replay"]["refused_before"] > 0
    plan = llmops("recover", *asked).json()
    assert "throttle" not in [action["name"] for action in plan["data"]["actions"]][:1]
    letter = llmops("recover", "expand", *asked).json()["data"]
    assert "current_rpm" in letter["missing"]
    assert letter["fields"]["wanted_rpm"] < 2 * known["rpm"]["peak"]
    assert f"{known['rpm']['limit']:,.0f}" in letter["fields"]["reason"]
