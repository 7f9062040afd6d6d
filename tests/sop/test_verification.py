"""Recovered is three healthy minutes with none of the others between; no data is never healthy."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evidence import Span, Thresholds
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
from llmops_cli.sop.remaining import known, remains
from llmops_cli.sop.verification import Evidence, Verification, judge, minute_verdict, scorecard

from .records import BEFORE, MINUTE, NOW, four_apps, judged, rating, seen

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
        (400, 12, "server_error", "warning"),
        (40, 1, "server_error", "unknown"),
        (400, 4, "timeout", "unknown"),
        (400, 3, "timeout", "ok"),
        (40, 20, "bad_request", "critical"),
        (40, 0, "", "ok"),
    ],
)
def test_a_minute_in_which_many_calls_fail_is_not_healthy(calls, failures, family, verdict):
    assert minute_verdict(minute(calls, failures, family), Thresholds()) == verdict


@pytest.mark.parametrize("verdict", ["warning", "critical", "unknown"])
def test_a_minute_is_never_better_than_its_status(verdict):
    assert minute_verdict(minute(40, 0, "", verdict), Thresholds()) == verdict


WATCH = Span(NOW.end_ms, NOW.end_ms + MINUTE)
QWEN_MAX = (None, "qwen-max", None)
FAILING = {"fail_every": 6, "error": "server_error"}
MODERATED = {"fail_every": 6, "error": "content_moderation"}
SLOW = {"slow_every": 2, "slow": 4_000}


def story(ill, after, minutes=1, per_minute=10):
    """A quiet quarter of an hour, one in which qwen-max is `ill`, and then some minutes in which it is `after`."""
    end_ms = NOW.end_ms + minutes * MINUTE
    return (
        four_apps(BEFORE.start_ms, NOW.start_ms, per_minute)
        + four_apps(NOW.start_ms, NOW.end_ms, per_minute, special={QWEN_MAX: ill})
        + four_apps(NOW.end_ms, end_ms, per_minute, special={QWEN_MAX: after})
    )


def watched(log, minutes=1):
    """The verdict of `verify` on the last of some minutes after the incident, and why."""
    incidents = known(seen(log), judged(log).incidents)
    so_far = Span(NOW.end_ms, NOW.end_ms + minutes * MINUTE)
    newest = Span(so_far.end_ms - MINUTE, so_far.end_ms)
    evidence = Evidence(judged(log, newest, None), judged(log, so_far, BEFORE), seen(log, so_far, BEFORE))
    return judge(evidence, incidents, Thresholds())


@pytest.mark.parametrize("ill", [FAILING, MODERATED, SLOW, {"per_minute": 2}])
def test_an_incident_that_goes_on_is_never_healthy(ill):
    verdict, why = watched(story(ill, ill))
    assert verdict in {"warning", "critical"}
    assert "qwen-max" in sentence(why)
    assert "?" not in sentence(why)


@pytest.mark.parametrize("ill", [FAILING, MODERATED, SLOW, {"per_minute": 2}])
def test_an_incident_that_is_gone_is_healthy(ill):
    assert watched(story(ill, {}, minutes=3), minutes=3) == ("ok", None)


def test_an_incident_whose_scope_has_no_calls_is_not_known_to_be_gone():
    log = [one for one in story(FAILING, {}) if one.time_ms < NOW.end_ms or one.model != "qwen-max"]
    assert watched(log)[0] != "ok"


def test_few_calls_show_neither():
    log = story({"fail_every": 10, "error": "server_error"}, {}, per_minute=2)
    assert watched(log)[0] == "unknown"


@pytest.mark.parametrize(("bad", "verdict"), [(2, "warning"), (0, "ok")])
def test_bad_ratings_are_gone_when_ratings_say_so(bad, verdict):
    log = story({}, {})
    log += [rating(BEFORE.start_ms + n * 15_000, down=False) for n in range(60)]
    log += [rating(NOW.start_ms + n * 15_000, down=n % 2 == 0) for n in range(60)]
    log += [rating(NOW.end_ms + n * 2_000, down=bool(bad) and n % bad == 0) for n in range(30)]
    incidents = known(seen(log), judged(log).incidents)
    assert [one.incident.type for one in incidents] == ["negative_feedback"]
    severity, _ = remains(incidents[0], seen(log, WATCH, BEFORE), Thresholds())
    assert (severity == "ok") == (verdict == "ok")


def test_without_a_known_incident_the_baseline_tells():
    log = four_apps(BEFORE.start_ms, NOW.end_ms, 30) + four_apps(
        NOW.end_ms, NOW.end_ms + 3 * MINUTE, 30, special={QWEN_MAX: SLOW | {"slow": 9_000}}
    )
    assert judged(log).incidents == ()
    assert watched(log, minutes=3)[0] in {"warning", "critical"}
