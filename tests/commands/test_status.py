"""`status` on small logs by hand: what is said when nothing was found, and what an incident is called by."""

import json

import pytest

from tests.commands.logs import MINUTE, NOON_MS, call, iso, quiet, write

WINDOW = ("--from", iso(NOON_MS), "--to", iso(NOON_MS + 15 * MINUTE), "--timezone", "+08:00")


def status(llmops, log, *words, verb="status"):
    """What a verb says of fifteen minutes from noon: its `data`, and stderr."""
    ran = llmops(verb, "--log", log, *WINDOW, *words, "-o", "json")
    assert ran.code == 0
    return json.loads(ran.out)["data"], ran.err


def headline(llmops, log, *words):
    return llmops("status", "--log", log, *WINDOW, *words).out.splitlines()[0]


# --- failures among few calls, failures without a code ---------------------------------------------------------------


def failing(count, **values):
    return [call(NOON_MS + n * 20_000, **{"status": 500, **values}) for n in range(count)]


@pytest.mark.parametrize(
    ("lines", "lang", "first"),
    [
        (failing(19), "en", "all 19 calls failed, too few for a verdict (at least 20)"),
        (failing(19), "zh", "19 次调用全部失败，但次数太少，不足以定论（至少 20 次）"),
        (failing(1), "en", "1 of 1 calls failed, too few calls for a verdict (at least 20)"),
        ([*failing(15), *quiet(NOON_MS + 7, 1)], "en", "15 of 19 calls failed, too few calls for a verdict"),
        (quiet(NOON_MS, 1), "en", "4 calls are too few to judge (at least 20)"),
    ],
    ids=["all", "all-zh", "one", "most", "none"],
)
def test_few_calls_say_first_what_failed(llmops, tmp_path, lines, lang, first):
    log = write(tmp_path / "app.log", sorted(lines))
    assert first in headline(llmops, log, "--lang", lang)
    assert status(llmops, log)[0]["verdict"] == "unknown"


def test_few_calls_at_the_end_of_an_old_log_are_not_called_usual(llmops, tmp_path):
    log = write(tmp_path / "app.log", failing(19))
    said = llmops("status", "--log", log, "--timezone", "+08:00").out.splitlines()[0]
    assert said.startswith("UNKNOWN  all 19 calls failed, too few for a verdict")


@pytest.mark.parametrize(
    ("values", "lang", "line"),
    [
        ({"status": 500}, "en", "no error code (HTTP 500): 450 calls"),
        ({"status": 500}, "zh", "无错误码（HTTP 500）：450 次"),
        ({"status": ""}, "en", "no answer, no code: 450 calls"),
        ({"status": ""}, "zh", "无响应、无错误码：450 次"),
        ({"status": 500, "code": "InternalError"}, "en", "InternalError (500): 450 calls"),
    ],
)
def test_a_failure_without_a_code_is_called_so(llmops, tmp_path, values, lang, line):
    lines = [*quiet(NOON_MS - 15 * MINUTE, 15, per_minute=30), *quiet(NOON_MS, 15, per_minute=30, **values)]
    (found,) = status(llmops, write(tmp_path / "app.log", lines), "--lang", lang)[0]["incidents"]
    assert line in found["evidence"]


# --- filters that match nothing, patterns that fit nothing ------------------------------------------------------------


@pytest.fixture
def two_models(tmp_path):
    lines = quiet(NOON_MS - 20 * MINUTE, 35, per_minute=10)
    lines += quiet(NOON_MS + 7, 15, per_minute=5, model="qwen-max", app="desk")
    return write(tmp_path / "app.log", lines)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            ("--model", "qwen-plsu"),
            "no model qwen-plsu here, did you mean qwen-plus? This window has model qwen-plus, ",
        ),
        (("--model", "QWEN-MAX"), "no model QWEN-MAX here, did you mean qwen-max?"),
        (("--app", "zzz", "--model", "qwen-max"), "no app zzz here. This window has app shop, desk"),
        (("--app", "shop", "--model", "qwen-max"), "each of these is in this window, but not together"),
    ],
)
def test_a_filter_that_matches_nothing_is_a_hint_and_no_incident(llmops, two_models, words, hint):
    data, said = status(llmops, two_models, *words)
    assert (data["verdict"], data["incidents"]) == ("unknown", [])
    assert said.startswith("hint: no call matches the filters: ")
    assert hint in said
    assert "no call matches the filters" in headline(llmops, two_models, *words)
    data, said = status(llmops, two_models, *words, verb="drill")
    assert hint in said
    assert "no call matches the filters" in llmops("drill", "--log", two_models, *WINDOW, *words).out


def test_a_model_that_fell_silent_is_no_misspelling(llmops, tmp_path):
    lines = quiet(NOON_MS - 15 * MINUTE, 30, per_minute=10)
    lines += quiet(NOON_MS - 15 * MINUTE + 7, 14, per_minute=10, model="qwen-max")
    data, said = status(llmops, write(tmp_path / "app.log", lines), "--model", "qwen-max")
    assert [one["type"] for one in data["incidents"]] == ["no_data"]
    assert "did you mean" not in said
    assert "model qwen-max had calls before" in said


def test_a_pattern_that_no_line_has_is_said_first_and_is_no_incident(llmops, two_models):
    words = ("--pattern", "%d{yyyy/MM/dd HH:mm:ss} %p - %m%n")
    data, said = status(llmops, two_models, *words)
    assert (data["verdict"], data["incidents"], data["calls"]) == ("unknown", [], 0)
    assert headline(llmops, two_models, *words).startswith("UNKNOWN  no line begins with the header of the pattern")
    assert "--pattern" in said
    drilled = llmops("drill", "--log", two_models, *WINDOW, *words).out
    assert "no line begins with the header of the pattern" in drilled
    assert llmops("status", "--log", two_models, *WINDOW, *words, "--check").code == 3


# --- a question that was narrowed to the sick part --------------------------------------------------------------------


def test_a_narrowed_verdict_says_what_it_is_about(llmops, tmp_path):
    """Everything that was asked for fails, which is not everything."""
    lines = quiet(NOON_MS - 20 * MINUTE, 35, per_minute=10)
    lines += quiet(NOON_MS - 20 * MINUTE, 25, per_minute=10, app="desk")
    broken = {"status": 500, "code": "InternalError", "message": "An internal error has occured."}
    lines += quiet(NOON_MS + 5 * MINUTE, 10, per_minute=10, app="desk", **broken)
    log = write(tmp_path / "app.log", lines)
    data, _ = status(llmops, log, "--app", "desk")
    (incident,) = data["incidents"]
    assert incident["scope"] == {"app": "desk"}
    first = headline(llmops, log, "--app", "desk")
    assert "everything" not in first
    assert first.endswith("; judged on app desk alone")
    assert "alone" not in headline(llmops, log)
    assert not any("--by app" in step for step in incident["next"])
