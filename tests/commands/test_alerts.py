"""`llmops alerts test`: which rules would have fired over a log, when and for how long."""

import contextlib
import io
import re
import shlex
from collections import Counter

import pytest

from llmops_cli import app

END = "2025-07-09T14:30:00+08:00"
FIRES = {
    "healthy": set(),
    "rate-limit": {"qpm-level", "success-rate", "failure-count"},
    "token-limit": {"tpm-level", "success-rate", "failure-count"},
    "burst": {"success-rate", "failure-count"},
    "bad-key": {"success-rate", "failure-count"},
    "arrears": {"success-rate", "failure-count"},
    "moderation": {"success-rate", "failure-count"},
    "latency": {"response-time"},
    "server-error": {"success-rate", "failure-count"},
    "noisy-neighbour": {"qpm-level", "success-rate", "failure-count"},
    "traffic-drop": {"no-data"},
    "negative-feedback": {"negative-feedback"},
    "two-faults": {"success-rate", "failure-count", "qpm-level"},
}


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alerts")

    def write(name):
        log = folder / f"{name}.log"
        if not log.exists():
            words = ["demo", name, "--calls", "20000", "--out", str(log), "--no-walk", "--end", END]
            with contextlib.redirect_stdout(io.StringIO()):
                assert app.run([*words, "--timezone", "Asia/Shanghai"]) == 0
        return log

    return write


def tried(llmops, log, *words):
    ran = llmops("alerts", "test", "--config", log.with_suffix(".toml"), *words, "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    return ran.json()["data"]


@pytest.mark.parametrize("name", FIRES)
def test_a_fault_fires_its_rules_near_its_start_and_nothing_else(llmops, written, name):
    data = tried(llmops, written(name))
    assert {row["rule"] for row in data["firings"]} == FIRES[name]
    assert set(data["quiet"]) | FIRES[name] == {
        "failure-count", "success-rate", "response-time", "qpm-level", "tpm-level", "negative-feedback", "no-data",
    }  # fmt: skip
    for row in data["firings"]:
        assert "2025-07-09T14:19" <= row["started_at"] <= "2025-07-09T14:25"  # it began at 14:18
        assert row["ended_at"] is None
        assert row["seconds"] == row["evaluations"] * 60
    assert data["evaluations"] == 249


def test_what_a_firing_tells(llmops, written):
    (slow,) = tried(llmops, written("latency"))["firings"]
    assert (slow["rule"], slow["severity"], slow["unit"]) == ("response-time", "medium", "duration")
    assert slow["value"] > 5000
    assert (slow["runbook"], slow["scope"]) == ("latency", {"model": "qwen-plus"})
    assert slow["command"].startswith("llmops drill --by model ")
    assert re.fullmatch(r"qwen-plus: p95 \d+ ms over \d+ successful calls in 5 minutes", slow["summary"])


def test_an_alert_that_resolves_has_an_end_and_silence_is_told_while_it_lasts(llmops, written, tmp_path):
    lines = written("healthy").read_text().splitlines(keepends=True)
    log = tmp_path / "gap.log"
    log.write_text("".join(line for line in lines if not "12:00" <= line[11:16] < "12:20"))
    data = tried(llmops, written("healthy"), "--log", str(log))
    assert {row["rule"] for row in data["firings"]} == {"no-data"}
    assert {row["scope"]["app"] for row in data["firings"]} >= {"shop-assistant", "doc-qa"}
    for row in data["firings"]:
        assert row["started_at"] == "2025-07-09T12:05:00.000+08:00"
        assert row["ended_at"][:16] in {"2025-07-09T12:21", "2025-07-09T12:22"}


def test_a_quiet_log_pages_nobody(llmops, written, tmp_path):
    failed = [line for line in written("arrears").read_text().splitlines(keepends=True) if ",Arrearage," in line]
    log = tmp_path / "quiet.log"
    window = ("--log", str(log), "--from", "2025-07-09T14:15:00+08:00", "--to", "2025-07-09T14:30:00+08:00")
    log.write_text("".join(failed[:19]))
    assert tried(llmops, written("arrears"), *window)["firings"] == []
    log.write_text("".join(failed[:25]))
    assert tried(llmops, written("arrears"), *window)["firings"] != []


def test_filters_and_thresholds_of_the_profile_narrow_the_rules(llmops, written, tmp_path):
    log = written("bad-key")
    fired = tried(llmops, log)["firings"]
    ((failing, _),) = Counter(re.findall(r" - ([\w-]+),[^\n]*InvalidApiKey", log.read_text())).most_common(1)
    assert {row["rule"] for row in tried(llmops, log, "--app", failing)["firings"]} >= {"success-rate"}
    others = [app_ for app_ in ("shop-assistant", "risk-review", "doc-qa", "bailian-log") if app_ != failing]
    words = [word for name in others for word in ("--app", name)]
    assert tried(llmops, log, *words)["firings"] == []
    config = tmp_path / "lenient.toml"
    text = log.with_suffix(".toml").read_text()
    config.write_text(
        text.replace("log = [", f"log = [{str(log)!r}] #")
        + "\n[profiles.demo.thresholds]\nfailure_rate = { warning = 0.9, critical = 0.95 }\n"
    )
    lenient = llmops("alerts", "test", "--config", config, "-o", "json").json()["data"]["firings"]
    assert "success-rate" in {row["rule"] for row in fired} - {row["rule"] for row in lenient}


def test_a_window_is_tried_alone(llmops, written):
    data = tried(
        llmops, written("rate-limit"), "--from", "2025-07-09T14:00:00+08:00", "--to", "2025-07-09T14:25:00+08:00"
    )
    assert data["first_at"] == "2025-07-09T14:01:00.000+08:00"
    assert data["last_at"] == "2025-07-09T14:25:00.000+08:00"
    assert {row["rule"] for row in data["firings"]} == FIRES["rate-limit"]


def test_the_table_and_the_other_forms(llmops, written):
    config = written("latency").with_suffix(".toml")
    table = llmops("alerts", "test", "--config", config)
    assert "one alert would have fired, of 7 rules" in table.out
    assert re.search(
        r"^medium +response-time +model=qwen-plus +07-09 14:\d\d +\d+ min, still open", table.out, re.MULTILINE
    )
    assert "会触发一个告警" in llmops("alerts", "test", "--config", config, "--lang", "zh").out
    markdown = llmops("alerts", "test", "--config", config, "-o", "markdown").out
    assert "| medium | response-time |" in markdown


def test_what_is_missing_is_said_in_one_line(llmops, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = written("healthy")
    ran = llmops("alerts", "export", "--config", log.with_suffix(".toml"))
    assert (ran.code, ran.err.splitlines()[0]) == (2, "error: no project and logstore of Log Service are configured")
    config = tmp_path / "llmops.toml"
    config.write_text('[profiles.p]\n[profiles.p.sls]\nproject = "p"\nlogstore = "l"\n')
    ran = llmops("alerts", "test", "--profile", "p")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "error: alerts test reads log files")
    empty = tmp_path / "short.log"
    empty.write_text(log.read_text().splitlines(keepends=True)[0])
    assert "shorter than a minute" in llmops("alerts", "test", "--log", empty).out


def test_the_next_command_asks_for_the_same_calls(llmops, written, tmp_path, monkeypatch):
    log = written("latency")
    config = ("--config", log.with_suffix(".toml"))
    words = ("--profile", "demo", "--model", "qwen-plus", "--app", "it's", "--app", "shop-assistant")
    told = llmops("alerts", "test", *config, *words, "-o", "json").json()["data"]["firings"]
    options = f"--config {log.with_suffix('.toml')} --profile demo"
    for row in told:
        filters = "--app 'it'\"'\"'s' --app shop-assistant --model qwen-plus"
        assert row["command"] == f"llmops drill --by model {filters} {options}"
    assert told
    full = llmops("alerts", "test", *config, "--model", "qwen-plus", "--app", "shop-assistant", "--log", log)
    assert "--app shop-assistant --model qwen-plus" in full.out


def test_the_next_command_looks_at_an_alert_that_is_over(llmops, written, tmp_path):
    lines = written("bad-key").read_text().splitlines(keepends=True)
    mended = [line for line in lines if not (line[11:16] >= "14:24" and "InvalidApiKey" in line)]
    log = tmp_path / "mended.log"
    later = [line.replace("2025-07-09 10:", "2025-07-09 15:") for line in lines if line[11:13] == "10"]
    log.write_text("".join(mended + [line for line in later if re.match(r"\d{4}", line)]))
    config = ("--config", written("bad-key").with_suffix(".toml"), "--log", log)
    fired = llmops("alerts", "test", *config, "-o", "json").json()["data"]["firings"]
    (low,) = [row for row in fired if row["rule"] == "success-rate"]
    assert low["ended_at"]
    command = shlex.split(low["command"])
    assert command[command.index("--from") + 1] < low["started_at"] < command[command.index("--to") + 1]
    assert llmops(*command[1:], "-o", "json").json()["data"]["verdict"] == "critical"


def test_a_filter_that_matches_nothing_is_told(llmops, written):
    ran = llmops("alerts", "test", "--config", written("healthy").with_suffix(".toml"), "--app", "shop-asistant")
    assert ran.code == 0
    assert "no call matches the filters" in ran.err
    assert "shop-assistant" in ran.err
