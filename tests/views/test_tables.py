"""Tables: what they look like, and what holds for every one of them at every width."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len

from llmops_cli import views
from llmops_cli.evidence import Message
from llmops_cli.report import Action

from .reports import REPORTS, REQUEST, STATUS_REPORT, WORKSPACE, poisoned
from .snapshot import same_as_snapshot

COMMAND = re.compile(r"^\s*(next|run|book|runbook)?\s*llmops ")
IDS = re.compile(r"llm-[0-9a-z…]+|[0-9a-f]{8}-[0-9a-f]{4}[0-9a-f…-]*")
WHOLE_IDS = re.compile(r"llm-[0-9a-z]{16}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BARE = {"expand", "runbook"}


def table(name, width=80, *, terminal=True, color=False):
    return views.render(REPORTS[name], "table", width=width, terminal=terminal, color=color)


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"error"}))
@pytest.mark.parametrize("shape", ["terminal-80", "terminal-200", "pipe"])
def test_looks_as_before(name, shape):
    width = 200 if shape == "terminal-200" else 80
    same_as_snapshot(f"{name}.{shape}", table(name, width, terminal=shape != "pipe"))


@pytest.mark.parametrize("name", ["status", "trace", "drill", "verify"])
def test_looks_as_before_in_colour(name):
    same_as_snapshot(f"{name}.terminal-80-colour", table(name, color=True).replace("\x1b", "\\x1b"))


@pytest.mark.parametrize("name", sorted(set(REPORTS) - BARE))
@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_but_commands(name, width):
    for line in table(name, width).splitlines():
        if not COMMAND.match(line) and not (width < 80 and IDS.search(line)):
            assert cell_len(line) <= width, line


@pytest.mark.parametrize("name", sorted(REPORTS))
@pytest.mark.parametrize("width", [80, 200])
def test_ids_are_whole(name, width):
    for terminal in (True, False):
        for found in IDS.findall(table(name, width, terminal=terminal)):
            assert WHOLE_IDS.fullmatch(found) or name == "trace-ambiguous", found


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_colour_changes_nothing_but_colour(name):
    plain, coloured = table(name), table(name, color=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_pipe_gets_everything_whatever_the_width(name):
    assert table(name, 40, terminal=False) == table(name, 80, terminal=False)
    assert "…" not in re.sub(r"sha256 \w+…", "", table(name, terminal=False))


def test_a_pipe_gets_the_whole_stack_trace():
    assert "step39" in table("trace", terminal=False)
    assert "step39" not in table("trace")
    assert "(28 more lines)" in table("trace")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_next_command_stands_on_one_line(width):
    lines = table("status", width).splitlines()
    for incident in STATUS_REPORT.data.incidents:
        for command in incident.next:
            assert any(line.removesuffix(command) != line for line in lines), command


def test_wide_characters_are_aligned():
    # 通义千问 is eight cells wide; the columns right of it must not move.
    rows = [line for line in table("drill", 200).splitlines() if " llm-" in line]
    assert len({cell_len(row[: row.index("llm-")]) for row in rows}) == 1
    assert len({cell_len(row) for row in rows}) == 1


def test_columns_go_from_the_right():
    header = next(line for line in table("drill", 80).splitlines() if line.startswith("model "))
    wide = next(line for line in table("drill", 200).splitlines() if line.startswith("model "))
    kept, all_titles = header.split("  "), wide.split("  ")
    kept, all_titles = [t.strip() for t in kept if t], [t.strip() for t in all_titles if t]
    assert kept == all_titles[: len(kept)]
    assert len(kept) < len(all_titles)


def test_status_shows_the_levels_that_are_not_well_and_counts_the_rest():
    well = replace(STATUS_REPORT.data.water_levels[0], state="ok", level=0.1)
    rows = tuple(replace(well, model=f"model-{n}") for n in range(30))
    hot = replace(STATUS_REPORT.data.water_levels[1], model="model-29")
    report = replace(STATUS_REPORT, data=replace(STATUS_REPORT.data, water_levels=(*rows, hot)))
    for terminal in (True, False):
        text = views.render(report, "table", width=80, terminal=terminal)
        assert "  llm-p3xk9d0c7v2m1b8q  ███    75 %" in text
        assert "26 more: llmops quota" in text


def test_a_wide_terminal_shows_more_history():

    first = STATUS_REPORT.data.series[0]
    series = tuple(replace(first, time=first.time + timedelta(seconds=30 * n), calls=n) for n in range(120))
    report = replace(STATUS_REPORT, data=replace(STATUS_REPORT.data, series=series))

    def blocks(width):
        text = views.render(report, "table", width=width, terminal=True)
        return len(re.search(r"^calls .*?([▁-█]+)$", text, re.MULTILINE)[1])

    assert 25 <= blocks(80) <= 40
    assert blocks(200) == 120


def test_severity_is_a_word_and_the_first():
    assert table("status").startswith("CRITICAL  ")
    assert table("status-healthy").startswith("OK  ")
    assert table("status-empty").startswith("UNKNOWN  ")


def test_doubts_stand_above_the_numbers():
    top = table("status-empty").split("\n\n")[0]
    for doubt in ("log ends 502 d ago", "local partial: 2 of 3 files were read", "no baseline", "only app shop"):
        assert doubt in " ".join(top.split())
    assert "3 lines unparsed" in table("status").split("\n\n")[0]


def test_prompts_are_hidden_unless_asked_for():
    hidden = views.render(REPORTS["trace"], "table", width=80)
    shown = views.render(REPORTS["trace"], "table", width=80, show_content=True)
    assert "审核这份合同" not in hidden
    assert "--show-content" in hidden
    assert "审核这份合同" in shown


def test_expansion_text_is_alone_on_stdout():
    assert table("expand", 40) == REPORTS["expand"].data.text
    assert views.aside(REPORTS["expand"], "table").startswith("missing: uid\n")
    assert views.aside(REPORTS["status"], "table") == ""


def test_long_values_are_bounded_and_the_rest_is_counted():
    text = views.render(poisoned(STATUS_REPORT, "W" * 10_000), "table", width=80, terminal=False)
    assert max(map(len, text.splitlines())) < 12_000  # commands stay whole
    assert re.search(r"W… \([\d,]+ more\)", text)


def test_an_answer_without_a_table_is_an_outline():

    odd = replace(
        STATUS_REPORT, data={"identity": {"type": "ak", "source": "env"}, "checks": [{"name": "sls", "ok": True}]}
    )
    text = views.render(odd, "table", width=80, terminal=True)
    assert "identity" in text
    assert "source  env" in text
    assert "ok  yes" in text


def test_an_error_leaves_stdout_empty():
    assert table("error") == ""


def test_a_failed_call_shows_its_message_and_its_stack_trace():
    stack = "\n".join(f"\tat c.e.Chat.step{n}(Chat.java:{n})" for n in range(40))
    trace = REPORTS["trace"].data
    lines = tuple(
        replace(one, message=one.message + "\n" + stack) if one.level == "ERROR" else one for one in trace.lines
    )
    report = replace(REPORTS["trace"], data=replace(trace, lines=lines))
    narrow, whole = (views.render(report, "table", width=80, terminal=terminal) for terminal in (True, False))
    below = narrow[narrow.index("call 1") :].splitlines()[1:4]
    assert [row.strip() for row in below] == [
        "Requests rate limit exceeded, please try again later.",
        "at c.e.Chat.step0(Chat.java:0)",
        "at c.e.Chat.step1(Chat.java:1)",
    ]
    assert "more lines)" in narrow
    assert "step39" not in narrow[: narrow.index("retrying")]
    assert "step39" in whole[: whole.index("retrying")]


def test_a_trace_takes_as_long_as_its_calls():
    call = replace(REPORTS["trace"].data.calls[1], wait_ms=None, duration_ms=4_200)
    call = replace(call, started_at=call.time - timedelta(milliseconds=4_200))
    lines = REPORTS["trace"].data.lines[-1:]
    trace = replace(REPORTS["trace"].data, calls=(call,), lines=lines, explanations=(), summary=())
    text = views.render(replace(REPORTS["trace"], data=trace), "table", width=80, terminal=True)
    assert " · 4.2 s" in text
    assert "13:39:40.807 – 13:39:45.007" in text
    assert re.search(r"^\+4,200 ms  INFO  call 1", text, re.MULTILINE)


def test_each_incident_of_a_plan_leads_to_its_own_runbook():
    found = (*REPORTS["recover"].data.incidents, STATUS_REPORT.data.incidents[1])
    report = replace(REPORTS["recover"], data=replace(REPORTS["recover"].data, incidents=found))
    for output in ("table", "markdown"):
        text = views.render(report, output, width=80, terminal=True)
        for name in ("rate_limit_requests", "auth"):
            assert text.count(f"llmops recover --runbook {name}\n") >= 1


def test_a_headline_counts_and_names_the_other_incidents():
    assert table("status", 200).splitlines()[0].endswith("(12 min), and 1 more: auth")
    alone = replace(STATUS_REPORT.data, incidents=STATUS_REPORT.data.incidents[:1])
    assert views.render(replace(STATUS_REPORT, data=alone), "table").splitlines()[0].endswith("(12 min)")


def test_what_would_refute_an_incident_is_a_command_of_its_own():
    lines = [line.strip() for line in table("status").splitlines()]
    assert lines.count("llmops quota --model qwen-plus") == 1
    assert "`llmops quota --model qwen-plus`" in views.render(STATUS_REPORT, "markdown")


def test_a_line_that_does_not_parse_is_shown():
    header = "2026-03-05 14:20:00.000 INFO  [traceId:1] [c.e.Chat#chat():67] [exec-1] - "
    body = f"shop,Chat,qwen-plus,{WORKSPACE},{REQUEST},200,fast\x1b[31m,20,10,30,,"
    report = replace(STATUS_REPORT, data=replace(STATUS_REPORT.data, unparsed_samples=(header + body,)))
    (shown,) = [line for line in views.render(report, "table", width=80, terminal=True).splitlines() if "fast" in line]
    assert shown == r"unparsed  shop,Chat,qwen-plus,…,…,200,fast\x1b[31m,20,10,30,,"
    for output in ("table", "markdown"):
        text = views.render(report, output, width=80)
        assert body.replace("\x1b", r"\x1b") in text
        assert "-o json has such lines whole" in text
    long = replace(STATUS_REPORT.data, unparsed_samples=(header + "x" * 9_000,))
    assert "(8," in views.render(replace(STATUS_REPORT, data=long), "table", width=80)


def test_a_plan_leaves_out_what_there_is_nothing_to_say_about():
    quiet = Message("recovery.no_risk"), Message("recovery.no_rollback")
    action = Action("verify", Message("recovery.verify.why"), "", Message("recovery.verify.effect"), *quiet)
    report = replace(REPORTS["recover"], data=replace(REPORTS["recover"].data, actions=(action,)))
    for output in ("table", "markdown"):
        text = views.render(report, output, width=80)
        assert "verify that it is over" in text
        assert "risk" not in text
        assert "undo" not in text
    assert "none, it only reads" in views.render(report, "json")


@pytest.mark.parametrize("name", ["verify", "verify-not"])
def test_a_watch_in_steps_says_each_thing_once(name):
    report = REPORTS[name]
    step, end = (views.render(report, "table", part=part) for part in ("step", "end"))
    (line,) = step.splitlines()
    assert line.startswith(f"{report.data.checks[-1].time:%H:%M:%S}  {report.data.checks[-1].verdict}")
    assert line not in end
    assert end.startswith("OK  recovered" if report.data.recovered else "CRITICAL  not recovered yet")


def test_settings_say_where_they_belong():
    for output in ("table", "markdown"):
        text = views.render(REPORTS["throttle"], output, width=80, terminal=True)
        above = text[: text.index("[throttle]")].rstrip().removesuffix("```toml").rstrip().splitlines()[-1]
        assert above.endswith("for the rate limiter in your application, as TOML (not for llmops.toml)")
