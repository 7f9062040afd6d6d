"""The JSON envelope has exactly the keys of the contract, and of the additions listed here."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from llmops_cli import views

from .reports import LONG, REPORTS, STATUS_REPORT, poisoned

ENVELOPE = "schema_version command generated_at window sources partial errors data"
WINDOW = "from to seconds anchored baseline"

# The table of the contract, nested keys in the same notation: "a b{c d} e[f g]".
DATA = {
    "status": "verdict calls failures failure_rate success_rate unparsed duration_ms{mean p50 p95 p99 max} "
    "tokens{input output total} qpm{mean peak} tpm{mean peak} rps_peak tps_peak "
    "feedback{ratings negative negative_rate} errors[status_code error_code family calls share retry cause remedy] "
    "water_levels[model workspace limit_source rpm{limit mean peak level} tpm{limit mean peak level} "
    "rps{limit mean peak level} tps{limit mean peak level} throttled level state exhausted_at] "
    "incidents[type severity started_at started_before scope drivers evidence hypothesis refuted_by runbook next] "
    "series[time calls failures total_tokens p95_ms]",
    "trace": "trace_id found calls[time level trace_id app module model workspace request_id status_code duration_ms "
    "input_tokens output_tokens total_tokens error_code error_message] lines[time level logger thread message] "
    "spans explanations[error_code family retry cause remedy] next",
    "trace-spans": "trace_id found calls lines spans[span_id parent_id name service start duration_ms status] explanations next",
    "drill": "by rows[value calls failures failure_rate failure_share p95_ms total_tokens baseline] "
    "causes[where explains confidence calls failures failure_rate elsewhere_failure_rate]",
    "quota": "rows[model workspace limit_source rpm{limit mean peak level} tpm{limit mean peak level} "
    "rps{limit mean peak level} tps{limit mean peak level} throttled level state exhausted_at] coverage",
    "recover": "incidents actions[name why command effect risk rollback] runbook",
    "throttle": "model workspace rps rpm tps tpm concurrency backoff{base_s max_s attempts jitter} "
    "replay{calls refused_before refused_after added_wait_ms{p50 p95 max}} settings{toml env json}",
    "expand": "fields missing lang text",
    "verify": "recovered checks[time verdict] recovered_at scorecard{detect_min locate_min recover_min}",
}
ADDED = {
    "status": "baseline{calls failures failure_rate p95_ms total_tokens negative_rate covered} "
    "feedback_series[time ratings negative] headline thresholds{failure_rate{warning critical} p95_ms{warning critical} "
    "water_level{warning critical} negative_rate{warning critical} min_calls} incidents[failures calls refused_at] unparsed_samples "
    "levels_command",
    "trace": "matches request_ids summary calls[started_at wait_ms] explanations[status_code source]",
    "trace-spans": "matches request_ids summary",
    "drill": "excess_failures paste next rows[where ratings negative] "
    "causes[family measure baseline_failure_rate notes started_at started_before drivers counted_from refused_at]",
    "quota": "next notes",
    "recover": "actions[incidents]",
    "throttle": "notes limit_source replay{others_before others_after}",
    "expand": "notes",
    "verify": "checks[calls failures reason] given_up",
}
FREE = {"scope", "drivers", "evidence", "next", "where", "fields", "notes"}
"""Keys whose values are maps of log values or lists of plain items."""


def parse(text):
    """`a b{c} d[e]` as nested dicts."""
    root, stack, word = {}, [], ""
    stack.append(root)
    for char in text + " ":
        if char in " {[}]":
            if word:
                stack[-1].setdefault(word, {})
                if char in "{[":
                    stack.append(stack[-1][word])
                word = ""
            if char in "}]":
                stack.pop()
        else:
            word += char
    return root


def merged(one, other):
    keys = one | {key: merged(one.get(key, {}), value) for key, value in other.items()}
    return {key: merged(one.get(key, {}), other.get(key, {})) for key in keys}


def check(found, keys, path):
    if isinstance(found, list):
        for item in found:
            check(item, keys, path)
    elif isinstance(found, dict) and keys:
        assert set(found) == set(keys), path
        for key, inner in keys.items():
            if key not in FREE:
                check(found[key], inner, f"{path}.{key}")


def loaded(name):
    text = views.render(REPORTS[name], "json")
    return json.loads(text)


@pytest.mark.parametrize("name", sorted(DATA))
def test_data_has_the_keys_of_the_contract(name):
    check(loaded(name)["data"], merged(parse(DATA[name]), parse(ADDED.get(name, ""))), name)


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_envelope(name):
    envelope = loaded(name)
    assert list(envelope) == ENVELOPE.split()
    assert envelope["schema_version"] == 1
    if envelope["window"]:
        assert list(envelope["window"])[:5] == WINDOW.split()
        assert set(envelope["window"]) == {*WINDOW.split(), "stepped_back", "timezone", "log_ends_at"}
    for source in envelope["sources"]:
        assert list(source) == ["name", "state", "detail"]
    for error in envelope["errors"]:
        assert list(error) == ["code", "message", "hint", "retryable", "request_id"]


def test_an_error_keeps_its_envelope():
    envelope = loaded("error")
    assert envelope["data"] is None
    assert envelope["errors"][0]["code"] == "file_missing"


def test_values_are_machine_data():
    envelope = loaded("status")
    assert envelope["generated_at"] == "2026-03-05T14:27:24.000+08:00"
    assert envelope["window"]["seconds"] == 900
    assert envelope["window"]["baseline"] == {
        "from": "2026-03-05T13:57:24.000+08:00",
        "to": "2026-03-05T14:12:24.000+08:00",
    }
    assert envelope["data"]["failure_rate"] == 452 / 3641
    assert envelope["data"]["incidents"][0]["started_at"] == "2026-03-05T14:15:08.000+08:00"
    assert envelope["data"]["incidents"][0]["evidence"][0].startswith("412 of 1,394 calls refused")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_null(bad):
    report = replace(STATUS_REPORT, data=replace(STATUS_REPORT.data, failure_rate=bad))
    assert json.loads(views.render(report, "json"))["data"]["failure_rate"] is None


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_hostile_text_survives_as_data_but_not_as_characters(name):
    report = poisoned(REPORTS[name], LONG)
    text = views.render(report, "json")
    assert not set(text) & set("\x1b\r\x9b\x7f\u202e\u2066\u2028\u200b\ufeff\ud800")
    text.encode()
    json.loads(text)


def test_text_is_unshortened_and_unescaped():
    call = replace(REPORTS["trace"].data.calls[0], error_message="限流 \u202e" + "x" * 5000)
    report = replace(REPORTS["trace"], data=replace(REPORTS["trace"].data, calls=(call,)))
    text = views.render(report, "json")
    assert "限流 \\u202e" in text
    assert json.loads(text)["data"]["calls"][0]["error_message"] == call.error_message


def test_secrets_are_hidden_in_values_and_keys():
    key = "sk-0123456789abcdef0123456789abcdef"
    report = replace(REPORTS["expand"], data=replace(REPORTS["expand"].data, fields={key: {"note": f"Bearer {key}"}}))
    for output in views.FORMATS:
        assert key not in views.render(report, output)


def test_prompts_are_hidden_unless_asked_for():
    assert "审核这份合同" not in views.render(REPORTS["trace"], "json")
    assert "审核这份合同" in views.render(REPORTS["trace"], "json", show_content=True)


@pytest.mark.parametrize("output", ["json", "markdown", "nagios"])
def test_only_tables_import_rich(output):
    program = (
        "import sys; from tests.views.reports import STATUS_REPORT; from llmops_cli import views; "
        f"views.render(STATUS_REPORT, {output!r}); sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False).returncode == 0
