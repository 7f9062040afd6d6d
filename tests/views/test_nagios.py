"""One line by the Monitoring Plugins guidelines, whose state is the exit code's."""

import re
from dataclasses import replace

import pytest

from llmops_cli import views
from llmops_cli.commands.question import exit_code
from llmops_cli.evidence import Message

from .reports import EVIL, NO_DATA, REPORTS, STATUS_REPORT, poisoned, window

PERF = re.compile(r"(?:'(?:[^'=]|'')+'|[^\s'=]+)=(?:U|-?\d+(?:\.\d+)?(?:s|ms|%|B|c)?(?:;[\d.]*){0,4})")


def nagios(report, **shown):
    return views.render(report, "nagios", **shown)


def state(report, **shown):
    return re.match(r"LLMOPS (\w+) - ", nagios(report, **shown))[1]


def test_status():
    text, perf = nagios(STATUS_REPORT).rstrip("\n").split(" | ")
    assert (
        text
        == "LLMOPS CRITICAL - qwen-plus is refused for requests per minute since 14:15:08 (12 min), and 1 more: auth"
    )
    assert perf.startswith("failure_rate=12.41%;1;5;0;100 p95=2914ms;5000;15000;0 calls=3641;;;0 ")
    assert "'level qwen-plus'=130.7%;70;90;0" in perf


def test_without_thresholds_the_places_stay_empty():
    report = replace(STATUS_REPORT, data=replace(STATUS_REPORT.data, thresholds=None))
    assert "failure_rate=12.41%;;;0;100" in nagios(report)


def test_what_is_not_known_is_undetermined():
    assert "failure_rate=U p95=U calls=0" in nagios(NO_DATA)


@pytest.mark.parametrize("name", sorted(REPORTS))
@pytest.mark.parametrize("text", ["", EVIL, " it's a=b|c"], ids=["plain", "evil", "quotes"])
def test_one_line_one_pipe_and_valid_performance_data(name, text):
    line = nagios(poisoned(REPORTS[name], text) if text else REPORTS[name])
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert line.count("|") <= 1
    said, _, perf = line.rstrip("\n").partition(" | ")
    assert re.match(r"LLMOPS (OK|WARNING|CRITICAL|UNKNOWN) - \S", said)
    assert PERF.sub("", perf).strip() == ""


def test_an_error_is_unknown_with_its_reason():
    assert nagios(REPORTS["error"]).startswith("LLMOPS UNKNOWN - app.log: no such file")


def test_stale_and_partial_data_are_never_ok():
    healthy = REPORTS["status-healthy"]
    unknown = replace(healthy.data, verdict="unknown", headline=Message("headline.anchored", {"calls": 9, "rate": 0.0}))
    stale = window(anchored=True, log_ends_ms=0)
    assert state(healthy) == "OK"
    assert state(replace(healthy, partial=True)) == "UNKNOWN"
    assert state(replace(STATUS_REPORT, partial=True)) == "CRITICAL"
    assert state(replace(STATUS_REPORT, window=stale)) == "UNKNOWN"
    assert state(replace(STATUS_REPORT, window=stale), allow_stale=True) == "CRITICAL"
    assert state(replace(healthy, data=unknown, window=stale), allow_stale=True) == "OK"
    assert state(replace(REPORTS["status-empty"], partial=False), allow_stale=True) == "UNKNOWN"


def test_the_state_is_that_of_the_exit_code():

    words = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}
    for name in ("status", "status-empty", "status-healthy", "status-no-data", "quota", "verify", "verify-not"):
        for partial in (False, True):
            for anchored in (False, True):
                for allow_stale in (False, True):
                    report = replace(REPORTS[name], partial=partial, window=window(anchored=anchored))
                    code = exit_code(report, check=True, allow_stale=allow_stale)
                    assert state(report, allow_stale=allow_stale) == words[code], (name, partial, anchored, allow_stale)


def test_verify():
    assert nagios(REPORTS["verify"]).startswith(
        "LLMOPS OK - recovered since 14:29:24 (3 of 5 checks healthy) | checks=5"
    )
    assert state(REPORTS["verify-not"]) == "CRITICAL"
    assert "not recovered yet; qwen-max is refused for its API key since 14:15:08 (0 of 2 checks healthy)" in nagios(
        REPORTS["verify-not"]
    )


def test_the_text_is_ascii_where_it_is_ours():
    report = replace(STATUS_REPORT, data=replace(STATUS_REPORT.data, headline=Message("×41 – more… · 限流")))
    assert "- x41 - more~ / 限流 |" in nagios(report)
