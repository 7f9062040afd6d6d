"""`status` on small logs by hand: what is said when nothing was found, and what an incident is called by."""

import json

import pytest

from tests.commands.logs import MINUTE, NOON_MS, iso, quiet, write

WINDOW = ("--from", iso(NOON_MS), "--to", iso(NOON_MS + 15 * MINUTE), "--timezone", "+08:00")


def status(llmops, log, *words, verb="status"):
    """What a verb says of fifteen minutes from noon: its `data`, and stderr."""
    ran = llmops(verb, "--log", log, *WINDOW, *words, "-o", "json")
    assert ran.code == 0
    return json.loads(ran.out)["data"], ran.err


def headline(llmops, log, *words):
    return llmops("status", "--log", log, *WINDOW, *words).out.splitlines()[0]


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
