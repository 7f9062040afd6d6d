"""Tables: what they look like, and what holds for every one of them at every width."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len

from llmops_cli import views

from .reports import REPORTS, STATUS_REPORT, poisoned
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
        assert "  llm-p3xk9d0c7v2m1b8q  ████▌    75 %" in text
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
