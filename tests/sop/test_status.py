from datetime import UTC, timedelta, timezone

import pytest

from llmops_cli.evidence import Filters, Span, Thresholds
from llmops_cli.knowledge.sentences import INCIDENT_TYPES, sentence
from llmops_cli.sop.baseline import has_changed, history, ill_since, is_healthy, probe
from tests.sop.records import BEFORE, MINUTE, NOW, T0, call, four_apps, healthy, judged, one, seen, steady


def test_the_figures_of_a_window():
    records = [
        *healthy(),
        call(T0 + 1000, error="auth"),
        call(T0 + 2000, error="server_error"),
        call(T0 + 3000, error="auth"),
    ]
    answer = judged(records)
    assert (answer.calls, answer.failures) == (8 * 30 * 15 + 3, 3)
    assert answer.failure_rate + answer.success_rate == pytest.approx(1)
    assert answer.qpm.mean == pytest.approx(answer.calls / 15)
    assert answer.qpm.peak == 243
    assert answer.tokens.total == 100 * 3600
    assert answer.duration_ms.p95 == 1000
    assert [(row.error_code, row.calls, row.family) for row in answer.errors] == [
        ("InvalidApiKey", 2, "auth"),
        ("InternalError", 1, "server_error"),
    ]
    assert answer.errors[0].share == pytest.approx(2 / 3)
    assert answer.errors[0].retry == "no"
    assert answer.baseline.calls == 3600


def test_the_series_has_every_bucket_the_empty_ones_too():
    answer = judged([call(T0), call(NOW.end_ms - 1)], baseline=None)
    assert len(answer.series) == 30
    assert [point.calls for point in answer.series] == [1, *[0] * 28, 1]
    assert answer.series[1].time - answer.series[0].time == timedelta(seconds=30)


def test_times_are_in_the_windows_zone():
    east = timezone(timedelta(hours=8))
    answer = judged(healthy(), timezone=east)
    assert answer.series[0].time.utcoffset() == timedelta(hours=8)
    assert judged(healthy(), timezone=UTC).series[0].time == answer.series[0].time


def test_an_anchored_window_is_never_ok():
    assert judged(healthy(), anchored=True, log_ends_ms=NOW.end_ms - 1).verdict == "unknown"
    bad = four_apps(BEFORE.start_ms, NOW.end_ms, 30, special={("shop", None, None): {"fail_every": 1, "error": "auth"}})
    assert judged(bad, anchored=True, log_ends_ms=NOW.end_ms - 1).verdict == "critical"
    assert judged(healthy(), explicit=True).verdict == "ok"


def test_no_call_is_no_data_and_says_since_when():
    answer = judged(four_apps(BEFORE.start_ms, T0 - 60_000, 30))
    found = one(answer)
    assert (answer.verdict, found.type, found.severity, answer.failure_rate) == ("unknown", "no_data", "unknown", None)
    assert found.evidence[0].id == "evidence.silence"
    assert found.started_at.timestamp() * 1000 < T0 - 60_000
    assert answer.headline.id == "headline.no_calls"


def test_an_empty_log_is_no_data():
    answer = judged([], unparsed=3)
    assert (answer.verdict, one(answer).type, one(answer).started_at) == ("unknown", "no_data", None)
    assert "note.unparsed" in [message.id for message in one(answer).evidence]


def test_filters_that_match_nothing_are_no_incident():
    answer = judged(healthy(), filters=Filters(model=("qwen-typo",)))
    assert (answer.verdict, answer.incidents) == ("unknown", ())
    assert answer.headline.id == "headline.no_match"


def test_filters_stay_in_the_next_commands():
    records = four_apps(
        BEFORE.start_ms, NOW.end_ms, 30, special={("shop", "qwen-max", None): {"fail_every": 1, "error": "auth"}}
    )
    found = one(judged(records, filters=Filters(model=("qwen-max",))))
    assert found.next[0] == "llmops drill --app shop --model qwen-max"


def test_the_headline_is_the_worst_incident():
    records = four_apps(
        BEFORE.start_ms, NOW.end_ms, 30, special={("shop", None, None): {"fail_every": 1, "error": "auth"}}
    )
    assert sentence(judged(records).headline) == "app shop is refused for its API key"
    assert sentence(judged(healthy()).headline) == "nothing unusual in 3,600 calls, 0 % failed"


def test_each_incident_leads_to_its_own_runbook():
    special = {
        ("shop", "qwen-plus", None): {"fail_every": 1, "error": "auth"},
        ("docs", "qwen-max", None): {"fail_every": 2, "error": "server_error"},
    }
    records = [*four_apps(BEFORE.start_ms, T0, 30), *four_apps(T0, NOW.end_ms, 30, special=special)]
    answer = judged(records)
    assert len(answer.incidents) == 2
    assert [incident.next[-1] for incident in answer.incidents] == [
        f"llmops recover --runbook {incident.type}" for incident in answer.incidents
    ]


def test_every_sentence_of_an_answer_can_be_said():
    special = {
        ("shop", None, None): {"fail_every": 2, "error": "server_error"},
        (None, "qwen-max", None): {"per_minute": 90, "fail_every": 3, "error": "rate_limit_requests"},
    }
    records = [*four_apps(BEFORE.start_ms, T0, 30), *four_apps(T0, NOW.end_ms, 30, special=special)]
    answer = judged(records, limits={"qwen-max": {"rpm": 200}})
    assert answer.incidents
    for incident in answer.incidents:
        assert incident.type in INCIDENT_TYPES
        for message in (*incident.evidence, incident.hypothesis):
            for lang in ("en", "zh"):
                text = sentence(message, lang)
                assert "?" not in text
                assert "{" not in text
                assert not text.startswith(message.id)


@pytest.mark.parametrize("length", [1, 59_999, 60_000, 15 * MINUTE + 1, 26 * 60 * MINUTE])
def test_odd_windows_do_not_break(length):
    span = Span(T0, T0 + length)
    records = steady(T0 - length, T0 + length, max(0.05, 600 * MINUTE / length / 10), fail_every=7, error="auth")
    assert judged(records, span, Span(T0 - length, T0)).calls <= len(records)


# --- baselines --------------------------------------------------------------------------------------------------------


def test_a_healthy_baseline():
    assert is_healthy(seen(healthy()), Thresholds())
    assert is_healthy(seen(healthy(), baseline=None), Thresholds())


@pytest.mark.parametrize("minutes", [2, 8, 15])
def test_a_baseline_that_holds_an_outage_is_unhealthy(minutes):
    begin = T0 - minutes * MINUTE
    special = {("shop", "qwen-max", None): {"fail_every": 1, "error": "auth"}}
    records = [*four_apps(BEFORE.start_ms, begin, 30), *four_apps(begin, NOW.end_ms, 30, special=special)]
    assert not is_healthy(seen(records), Thresholds())


def test_steady_background_is_how_an_application_is():
    records = steady(BEFORE.start_ms, NOW.end_ms, 300, fail_every=33, error="server_error")
    assert is_healthy(seen(records), Thresholds())


@pytest.mark.parametrize(
    ("special", "changed"),
    [
        ({}, False),
        ({("shop", None, None): {"per_minute": 1}}, True),
        ({(None, "qwen-max", None): {"slow_every": 2, "slow": 4000}}, True),
        ({("shop", None, None): {"fail_every": 4, "error": "auth"}}, True),
        ({("shop", None, None): {"per_minute": 24}}, False),
    ],
)
def test_a_baseline_that_drifted_is_told_from_an_older_one(special, changed):
    older = probe(NOW)
    records = [*four_apps(older.start_ms, older.end_ms, 30), *four_apps(NOW.start_ms, NOW.end_ms, 30, special=special)]
    assert has_changed(seen(records, NOW, older), Thresholds()) == changed


def test_a_baseline_without_calls_is_changed():
    older = probe(NOW)
    assert has_changed(seen(four_apps(older.start_ms, older.end_ms, 30), NOW, older), Thresholds())
    assert not has_changed(seen(four_apps(NOW.start_ms, NOW.end_ms, 30), NOW, older), Thresholds())


def test_a_steady_mixture_is_one_warning_that_claims_no_family():
    kinds = ("auth", "server_error", "content_moderation", "timeout", "network")
    records = [
        call(BEFORE.start_ms + i * 300, error=kinds[i // 40 % len(kinds)] if i % 40 == 0 else "") for i in range(6000)
    ]
    answer = judged(records)
    found = one(answer)
    assert (answer.verdict, found.scope, found.started_at) == ("warning", {}, None)
    assert found.started_before.timestamp() * 1000 == BEFORE.start_ms
    assert answer.headline.id == "headline.mixed"
    said = sentence(answer.headline)
    assert said == "2.5 % of the calls fail, for 5 different reasons; steadily: 2.5 % before"
    likely = sentence(found.hypothesis)
    assert "several kinds" in likely
    assert likely.count(" 20 %") == 4
    assert "authentication 20 %, " in likely
    assert is_healthy(seen(records), Thresholds())


def test_a_log_that_begins_inside_a_bucket_misses_no_calls_from_before():
    """A week of buckets, of which the log holds the last half minute: nothing was expected before its first line."""
    week = Span(T0, T0 + 7 * 1440 * MINUTE)
    begin = T0 - 5 * MINUTE
    records = steady(begin, week.end_ms, 5, fail_every=30, error="server_error")
    answer = judged(records, week, Span(T0 - week.ms, T0))
    assert [incident.type for incident in answer.incidents] == ["server_error"]
    assert "evidence.traffic" not in [message.id for message in one(answer).evidence]
    assert one(answer).started_before.timestamp() * 1000 == begin


def test_a_history_is_as_long_as_the_log_allows():
    window, baseline = NOW, BEFORE
    whole = history(window, baseline, None)
    assert whole.asked == Span(baseline.start_ms, window.end_ms)
    assert (whole.between.ms, whole.before.ms) == (60 * MINUTE, 60 * MINUTE)
    assert (whole.before.end_ms, whole.between.end_ms) == (whole.between.start_ms, baseline.start_ms)
    assert history(window, baseline, baseline.start_ms - 40 * MINUTE).before.ms == 20 * MINUTE
    assert history(window, baseline, baseline.start_ms - 20 * MINUTE) is None


def test_a_history_tells_since_when_it_is_ill():
    """Forty minutes ago every tenth call began to fail: baseline and window look alike, the past does not."""
    past = history(NOW, BEFORE, None)
    began = T0 - 25 * MINUTE
    records = [
        *four_apps(past.before.start_ms, began, 10),
        *four_apps(began, NOW.end_ms, 10, special={("shop", None, None): {"fail_every": 10, "error": "auth"}}),
    ]
    asked = seen(records, past.asked, past.before, between=past.between)
    assert ill_since(asked, Thresholds(), T0) == pytest.approx(began, abs=MINUTE)
    assert ill_since(asked, Thresholds(), began - MINUTE) is None
    healthy_past = four_apps(past.before.start_ms, NOW.end_ms, 10)
    assert ill_since(seen(healthy_past, past.asked, past.before, between=past.between), Thresholds(), T0) is None
