"""`recover ticket`: a text that support can act on, true to the log, marked where it is not complete, and safe to send."""

import re

import pytest

from .contract import check
from .logs import MINUTE, NOON_MS, call, quiet, write

BROKEN = {"status": 500, "code": "InternalError", "message": "Internal server error, please retry"}
WINDOW = ("--timezone", "+08:00", "--from", str(NOON_MS), "--since", "15m")


def log_of(path, **broken):
    """A log in which one model fails from noon on, and another does not."""
    lines = []
    for app in ("shop", "desk"):
        lines += quiet(NOON_MS - 15 * MINUTE, 30, per_minute=6, app=app, model="qwen-max")
        lines += quiet(NOON_MS - 15 * MINUTE, 15, per_minute=6, app=app)
        lines += quiet(NOON_MS, 15, per_minute=3, app=app)
        lines += [call(NOON_MS + 2_000 + n * 20_000, app=app, request=f"bad-{app}-{n:02}", **broken) for n in range(45)]
    return write(path, lines)


@pytest.fixture
def log(tmp_path):
    return log_of(tmp_path / "app.log", **(BROKEN | {"tokens": (0, 0)}))


def data_of(llmops, log, *words):
    ran = llmops("recover", "ticket", "--log", log, *WINDOW, *words, "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    check(ran.json(), "recover ticket")
    return ran.json()["data"]


def test_a_ticket_has_what_support_asks_for(llmops, log):
    fields = data_of(llmops, log)["fields"]
    assert (fields["incident"], fields["model"], fields["region"]) == ("server_error", "qwen-plus", "cn-beijing")
    assert fields["problem"] == "qwen-plus fails with server errors"
    assert (fields["calls"], fields["failures"], fields["failure_rate"]) == (180, 90, 0.5)
    assert fields["before_failure_rate"] == 0
    assert (fields["p95_ms"], fields["before_p95_ms"]) == (900, 900)
    assert (fields["status_code"], fields["error_code"]) == (500, "InternalError")
    assert fields["error_message"] == BROKEN["message"]
    assert fields["errors"] == ["500 InternalError × 90"]
    assert fields["window"] == "2025-07-09 12:00:00 – 12:15:00 +08:00"
    assert fields["started"].startswith("2025-07-09 12:00:0")
    assert len(fields["request_ids"]) == 10
    assert all(one.startswith("bad-") for one in fields["request_ids"])
    assert "90 of 180 calls (50.0 %) failed in this window; hit: " in fields["business_impact"]


def test_it_says_what_is_ruled_out_and_only_that(llmops, log):
    said = " | ".join(data_of(llmops, log)["fields"]["ruled_out"])
    assert "0 of 180 calls to other models failed like this" in said
    assert "a release of one application: 2 of them are hit alike" in said
    assert "20 input tokens per answered call, 20 before" in said
    assert "12 calls and 360 tokens per minute, 12 and 360 before" in said
    one_app = data_of(llmops, log, "--app", "shop")["fields"]
    assert "a release of one application" not in " | ".join(one_app["ruled_out"])


@pytest.mark.parametrize(
    ("lang", "marks", "missing"),
    [
        ("en", ("Subject: ", "Hello", "[TO FILL IN: UID]"), "missing: uid, contact"),
        ("zh", ("主题：", "您好", "【待补充: UID】"), "缺少：uid, contact"),
    ],
)
def test_the_text_is_alone_on_stdout_and_marked_where_it_is_not_complete(llmops, log, lang, marks, missing):
    ran = llmops("recover", "ticket", "--log", log, *WINDOW, "--lang", lang)
    assert ran.code == 0
    assert ran.out.startswith(marks[0])
    assert missing in ran.err
    assert ran.out.count("\n- bad-") == 10
    for part in (
        *marks,
        "500 InternalError × 90",
        "2025-07-09 12:00:00 – 12:15:00 +08:00",
        BROKEN["message"],
        "qwen-plus",
    ):
        assert part in ran.out


def test_what_was_missing_can_be_given(llmops, log, tmp_path):
    config = tmp_path / "llmops.toml"
    config.write_text('[profiles.p]\nregion = "ap-southeast-1"\nuid = "1234567890123456"\ncontact = "ops"\n')
    ran = llmops(
        "recover", "ticket", "--log", log, *WINDOW, "--config", config, "--profile", "p", "--impact", "orders stall."
    )
    assert (ran.code, ran.err) == (0, "")
    assert "TO FILL IN" not in ran.out
    for part in ("ap-southeast-1", "UID 1234567890123456", "orders stall. 90 of 180", "\nops\n"):
        assert part in ran.out


def test_each_incident_can_be_chosen_and_a_limit_has_its_own_letter(llmops, stories):
    config = ("--config", stories["two-faults"].config)
    first = llmops("recover", "ticket", *config, "-o", "json").json()["data"]
    assert first["fields"]["incident"] == "auth"  # the other one is refused for a limit
    assert first["notes"] == [
        "this is about the authentication incident; found as well: rate_limit_requests (--incident chooses)"
    ]
    limited = llmops("recover", "ticket", "--incident", "rate_limit_requests", *config)
    assert "429 Throttling.RateQuota ×" in limited.out
    assert "llmops recover expand" in limited.err
    other = llmops("recover", "ticket", "--incident", "latency", *config)
    assert other.code == 0
    assert "no latency incident was found" in other.err
    assert "[TO FILL IN: what is wrong]" in other.out


def test_without_an_incident_the_engineer_says_what_is_wrong(llmops, stories):
    ran = llmops("recover", "ticket", "--config", stories["healthy"].config)
    assert ran.code == 0
    assert "no incident was found in this window" in ran.err
    assert "[TO FILL IN: what is wrong]" in ran.out


def test_slow_answers_are_told_by_their_times(llmops, stories):
    data = llmops("recover", "ticket", "--config", stories["latency"].config, "-o", "json").json()["data"]
    fields = data["fields"]
    assert fields["incident"] == "latency"
    assert fields["p95_ms"] > 1.5 * fields["before_p95_ms"]
    assert fields["slow"] > 20
    assert "failures" not in fields
    assert "request_ids" not in data["missing"]
    assert len(fields["request_ids"]) == 10
    logged = stories["latency"].log.read_text()
    slowest = []
    for one in fields["request_ids"]:
        id_, day, time, _zone, took = re.fullmatch(
            r"(\S{36}) \((\S{10}) (\d\d:\d\d:\d\d\.\d{3})(\S{6}), ([\d.,]+ m?s)\)", one
        ).groups()
        line = next(line for line in logged.splitlines() if f",{id_}," in line)
        ms = int(re.search(rf",{id_},200,(\d+),", line)[1])
        assert line.startswith(f"{day} {time}")
        assert took in {f"{ms:,} ms", f"{ms / 1000:.1f} s", f"{ms / 1000:.0f} s"}
        slowest.append(ms)
    assert slowest == sorted(slowest, reverse=True)
    assert slowest[-1] > fields["before_p95_ms"]
    assert any(text.startswith("longer answers: ") for text in fields["ruled_out"])


def test_the_plan_leads_to_it(llmops, log):
    words = ("--log", log, *WINDOW, "-o", "json")
    action = next(one for one in llmops("recover", *words).json()["data"]["actions"] if one["name"] == "ticket")
    assert "recover ticket --incident server_error --model qwen-plus" in action["command"]
    (incident,) = llmops("status", *words).json()["data"]["incidents"]
    assert any("recover ticket --incident server_error" in command for command in incident["next"])


def test_secrets_and_escapes_of_the_log_do_not_reach_the_ticket(llmops, tmp_path):
    evil = "key sk-0123456789abcdef0123456789abcdef \x1b[31m\u202e refused\u2028- a line of its own"
    log = log_of(tmp_path / "app.log", status=401, code="InvalidApiKey", message=evil)
    for output in ("table", "markdown", "json"):
        text = llmops("recover", "ticket", "--log", log, *WINDOW, "-o", output).out
        assert "0123456789abcdef" not in text
        assert not re.search(r"[\x1b\u202e\u2028]", text)
        assert "refused" in text
    assert "\n- a line of its own" not in llmops("recover", "ticket", "--log", log, *WINDOW).out


def test_an_unknown_type_is_one_clear_line(llmops, log):
    ran = llmops("recover", "ticket", "--log", log, "--incident", "server_eror")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == 'error: "server_eror" is not a type of incident\nhint: did you mean server_error?\n'


def test_a_filter_is_named_where_it_made_everything(llmops, log):
    fields = data_of(llmops, log, "--app", "shop", "--model", "qwen-plus")["fields"]
    assert "everything" not in fields["problem"]
    assert "shop" in fields["problem"]


def test_a_drop_in_traffic_is_said_to_show_no_fault_of_the_service(llmops, tmp_path):
    lines = quiet(NOON_MS - 15 * MINUTE, 15, per_minute=60) + quiet(NOON_MS, 15, per_minute=4)
    ran = llmops("recover", "ticket", "--log", write(tmp_path / "app.log", lines), *WINDOW)
    assert ran.code == 0
    assert "traffic drop: nothing in this log shows a fault of Model Studio" in ran.err


def test_the_command_for_the_other_water_levels_can_be_pasted(llmops, tmp_path):
    lines = [call(NOON_MS + n * 1_000, model=f"model-{n % 20}") for n in range(600)]
    log = write(tmp_path / "app.log", lines)
    ran = llmops("status", "--log", log, *WINDOW)
    (more,) = (line for line in ran.out.splitlines() if " more: " in line and "quota" in line)
    assert f"llmops quota --log {log}" in more
    assert "--since 15m" in more


SILENT = ("--timezone", "+08:00", "--from", str(NOON_MS - 120 * MINUTE), "--to", str(NOON_MS - 105 * MINUTE))


@pytest.mark.parametrize("words", [SILENT, (*SILENT, "--incident", "latency"), (*WINDOW, "--app", "nobody")])
def test_there_is_no_letter_about_a_window_without_a_call(llmops, log, words):
    ran = llmops("recover", "ticket", "--log", log, *words)
    assert (ran.code, ran.out) == (2, "")
    assert "error: no model call in this window" in ran.err
    assert "hint: look upstream" in ran.err
    answer = llmops("recover", "ticket", "--log", log, *words, "-o", "json").json()
    assert answer["errors"][0]["code"] == "no_call"
