"""Recovered is three healthy minutes with none of the others between; no data is never healthy."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evidence import Thresholds
from llmops_cli.knowledge.sentences import sentence
from llmops_cli.report import (
    Check,
    DurationSummary,
    ErrorRow,
    FeedbackSummary,
    RateSummary,
    Scorecard,
    StatusData,
    TokenSummary,
)
from llmops_cli.sop.verification import Verification, minute_verdict, scorecard

T0 = datetime(2025, 7, 9, 14, 30, tzinfo=UTC)
LETTERS = {"o": "ok", "w": "warning", "c": "critical", "u": "unknown"}


def watch(letters):
    state = Verification()
    for minute, letter in enumerate(letters):
        state = state.after(Check(T0 + timedelta(minutes=minute), LETTERS[letter]))
    return state


@pytest.mark.parametrize(
    ("seen", "first"),
    [("ooo", 0), ("ccooo", 2), ("oowooo", 3), ("ouoo", 0), ("uuouuouuo", 2), ("oocoouo", 3), ("ocooo", 2)],
)
def test_recovery_dates_to_the_first_of_three_healthy_minutes(seen, first):
    state = watch(seen)
    assert state.recovered
    assert state.done
    assert state.recovered_at == T0 + timedelta(minutes=first)
    assert state.verdict == "ok"


@pytest.mark.parametrize("seen", ["", "oo", "uuuuuu", "oocoo", "oouu", "owowowo", "ccc"])
def test_anything_less_is_not_recovered(seen):
    state = watch(seen)
    assert not state.recovered
    assert not state.done
    assert state.recovered_at is None
    assert state.verdict != "ok"


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [("", "unknown"), ("uuu", "unknown"), ("oo", "unknown"), ("coo", "unknown"), ("ooc", "critical"), ("cw", "warning"),
     ("ccu", "critical")],
)  # fmt: skip
def test_a_watch_that_gave_up_is_as_bad_as_its_newest_minute(seen, verdict):
    state = watch(seen).give_up()
    assert state.done
    assert state.given_up
    assert state.verdict == verdict


def test_a_recovery_is_not_given_up_and_later_minutes_do_not_undo_it():
    state = watch("ooo")
    assert state.give_up() == state
    assert state.after(Check(T0 + timedelta(minutes=9), "critical")) == state


@given(st.text("owcu", max_size=20))
def test_the_rule_word_for_word(letters):
    """Leave out the minutes without data: recovered as soon as, and only if, three in a row are healthy."""
    known = [(i, letter) for i, letter in enumerate(letters) if letter != "u"]
    runs = [i for i in range(len(known) - 2) if all(letter == "o" for _, letter in known[i : i + 3])]
    state = watch(letters)
    assert state.recovered == bool(runs)
    if runs:
        assert state.recovered_at == T0 + timedelta(minutes=known[runs[0]][0])
        assert len(state.checks) == known[runs[0] + 2][0] + 1
    else:
        assert len(state.checks) == len(letters)


def test_data_of_the_verb():
    data = watch("cooo").data(scorecard(T0 - timedelta(minutes=9), recovered_at=watch("cooo").recovered_at))
    assert data.recovered
    assert len(data.checks) == 4
    assert data.recovered_at == T0 + timedelta(minutes=1)
    assert data.scorecard == Scorecard(None, None, 10.0)
    assert watch("").data().scorecard == Scorecard()


def test_scorecard_knows_what_it_does_not_know():
    assert scorecard(None, T0, T0, T0) == Scorecard()
    assert scorecard(T0, T0 + timedelta(seconds=54), T0 - timedelta(seconds=1), None) == Scorecard(0.9, None, None)


def test_each_answer_has_its_sentence():
    for state in (watch("o"), watch("ouoo"), watch("oc").give_up(), watch("uu").give_up(), watch("").give_up()):
        text = sentence(state.message)
        assert not text.startswith("verify.")
        assert "?" not in text


def test_a_watch_without_a_check_says_so_and_names_no_number():
    text = sentence(watch("").give_up().message)
    assert "nothing was checked" in text
    assert not any(char.isdigit() for char in text)


def minute(calls, failures, family, verdict="ok"):
    errors = (ErrorRow(500, "X", family, failures, 1.0, "no", "", ""),) if failures else ()
    return StatusData(
        verdict, calls, failures, failures / calls, 1 - failures / calls, 0,
        DurationSummary(None, None, None, None, None), TokenSummary(0, 0, 0), RateSummary(calls, calls), RateSummary(0, 0),
        0, 0, FeedbackSummary(0, 0, None), errors, (), (), (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("calls", "failures", "family", "verdict"),
    [
        (40, 40, "server_error", "critical"),
        (40, 8, "rate_limit_requests", "critical"),
        (40, 1, "server_error", "ok"),
        (400, 4, "timeout", "ok"),
        (40, 20, "bad_request", "ok"),
        (40, 0, "", "ok"),
    ],
)
def test_a_minute_in_which_many_calls_fail_is_not_healthy(calls, failures, family, verdict):
    assert minute_verdict(minute(calls, failures, family), Thresholds()) == verdict


@pytest.mark.parametrize("verdict", ["warning", "critical", "unknown"])
def test_a_minute_is_never_better_than_its_status(verdict):
    assert minute_verdict(minute(40, 0, "", verdict), Thresholds()) == verdict
