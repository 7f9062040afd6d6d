"""What stands in a log must not decide whether the log can be read: one line costs that line, and is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hostile.logs import call, good, write

LOST = pytest.mark.xfail(strict=True, reason="a line that is meant as a call is lost in silence")


@pytest.fixture
def seen(llmops, tmp_path):
    """Ask `status` about lines, and return the whole envelope."""

    def ask(lines, *args):
        ran = llmops("status", "--log", write(tmp_path / "x.log", lines), "--since", "1h", "-o", "json", *args)
        envelope = ran.json()
        assert ran.code == 0, envelope["errors"]
        return envelope

    return ask


@pytest.mark.parametrize(
    "number",
    [
        *("1e308", "-5", "NaN", "Infinity", "٣٤", "2147483648", "1783999999000", "9223372036854775807"),
        "9223372036854775808",
    ],
)
@pytest.mark.parametrize("field", ["duration", "input", "total"])
def test_one_absurd_number_costs_one_line_at_most(seen, number, field):
    data = seen([*good(20), call(10, **{field: number})])["data"]
    assert data["calls"] + data["unparsed"] == 21
    assert data["calls"] >= 20


@pytest.mark.xfail(strict=True, reason="the quick parser takes every number that DuckDB takes")
@pytest.mark.parametrize("number", ["0x10", "1_000"])
def test_the_quick_parser_reads_the_numbers_of_the_reference(seen, number):
    assert seen([*good(20), call(10, duration=number)])["data"]["unparsed"] == 1


@pytest.mark.parametrize(
    "field",
    [
        *("app", "module", "model", "workspace", "message"),
    ],
)
def test_a_control_character_is_a_value_like_any_other(llmops, tmp_path, field):
    odd = call(10, **({"status": "500", "code": "InternalError"} | {field: "\x02"}))
    log = write(tmp_path / "x.log", [*good(20), odd])
    data = llmops("status", "--log", log, "--since", "1h", "-o", "json").json()["data"]
    assert (data["calls"], data["failures"], data["unparsed"]) == (21, 1, 0)
    assert llmops("drill", "--by", "app" if field == "message" else field, "--log", log, "--since", "1h").code == 0


@pytest.mark.parametrize(
    "stamp",
    [
        *("1900-01-01 00:00:00.000", "1969-12-31 23:59:59.999", "2025-02-30 00:00:00.000", "2025-07-09 14:00:60.000"),
        "0001-01-01 00:00:00.000",
        "9999-12-31 23:59:59.999",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_time_at_the_edge_of_the_calendar_spoils_no_log(llmops, tmp_path, stamp, first):
    odd, calls = [call(stamp=stamp)], good(20)
    log = write(tmp_path / "x.log", [*odd, *calls] if first else [*calls, *odd])
    ran = llmops(
        *("status", "--log", log, "--timezone", "UTC", "-o", "json"),
        *("--from", "2025-07-09T14:00:00", "--to", "2025-07-09T15:00:00"),
    )
    assert ran.code == 0, ran.err
    assert ran.json()["data"]["calls"] == 20


@pytest.mark.xfail(strict=True, reason="one line of a broken clock keeps the window at an empty now")
def test_a_line_from_the_future_does_not_hide_the_log(seen):
    envelope = seen([*good(20), call(stamp="2999-01-01 00:00:00.000")])
    assert envelope["window"]["anchored"]
    assert envelope["data"]["calls"] == 20


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda line: " " + line, id="blank"),
        pytest.param(lambda line: line.replace(",1200,", ",1200ms,"), id="unit"),
        pytest.param(lambda line: "[pod/shop-1/app] " + line, id="kubectl", marks=LOST),
        pytest.param(
            lambda line: json.dumps({"log": line + "\n", "stream": "stdout", "time": "2025-07-09T14:00:00Z"}),
            id="docker",
            marks=LOST,
        ),
        pytest.param(lambda line: "\x1b[32m" + line, id="colour", marks=LOST),
        pytest.param(lambda line: "\ufeff" + line, id="byte-order-mark", marks=LOST),
        pytest.param(lambda line: line.replace("shop", "s" * 65), id="long-app", marks=LOST),
    ],
)
def test_a_spoilt_call_among_good_ones_is_read_or_counted(seen, spoil):
    lines = [line if at % 3 else spoil(line) for at, line in enumerate(good(21))]
    data = seen([*lines, call(30)])["data"]
    assert data["calls"] + data["unparsed"] == 22


@pytest.mark.xfail(strict=True, reason="every line break but the last is made a blank")
def test_calls_with_carriage_returns_between_them_are_read_or_counted(seen):
    data = seen(["\r".join(good(20))])["data"]
    assert data["calls"] + data["unparsed"] >= 20


@pytest.mark.xfail(strict=True, reason="more than 20,000 rows of load lose the second half of a pair")
def test_ten_thousand_workspaces_are_answered(seen):
    data = seen([call(at / 10, workspace=f"llm-{at:016d}") for at in range(11_000)])["data"]
    assert data["calls"] == 11_000


def test_hostile_names_reach_no_sink(llmops, tmp_path: Path):
    names = ["'; drop table calls; --", "[red]x[/red]", "\x1b[31mred", "\u202eevil", "\x9b31m", "\u2028", "|a|", "%s"]
    lines = [call(at, model=name, code=name, status="429", message=name) for at, name in enumerate(names * 25)]
    log = write(tmp_path / "x.log", lines)
    for output in ("table", "markdown", "json"):
        for verb in (("status",), ("drill", "--by", "model", "--by", "error_code"), ("quota",), ("recover",)):
            ran = llmops(*verb, "--log", log, "--since", "1h", "-o", output)
            assert ran.code == 0, ran.err
            assert not set(ran.out) & set("\x1b\x9b\u202e\u2028"), (verb, output)
