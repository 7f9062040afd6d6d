import math

import pytest

from llmops_cli.evidence import Filters, Span
from tests.sop.records import BEFORE, MINUTE, NOW, T0, call, four_apps, healthy, judged, one, since, steady

SIX = T0 + 6 * MINUTE


def changed(key, per_minute, *, usual=20):
    return [
        *four_apps(BEFORE.start_ms, SIX, usual),
        *four_apps(SIX, NOW.end_ms, usual, special={key: {"per_minute": per_minute}}),
    ]


@pytest.mark.parametrize(
    ("key", "scope"),
    [
        ((None, None, None), {}),
        (("shop", None, None), {"app": "shop"}),
        ((None, "qwen-max", None), {"model": "qwen-max"}),
    ],
)
def test_calls_that_stop_coming(key, scope):
    found = one(judged(changed(key, 1)))
    assert (found.type, found.scope) == ("traffic_drop", scope)
    assert since(found) == pytest.approx(6, abs=0.6)
    assert found.severity == ("critical" if not scope else "warning")


def test_calls_that_stop_coming_for_good():
    records = [*four_apps(BEFORE.start_ms, SIX, 20), call(NOW.end_ms - 1)]
    assert one(judged(records)).type == "traffic_drop"


def test_a_pause_that_is_over_says_so():
    records = [*four_apps(BEFORE.start_ms, SIX, 20), *four_apps(SIX + 2 * MINUTE, NOW.end_ms, 20)]
    data = judged(records)
    found = one(data)
    assert (found.type, found.severity) == ("traffic_drop", "warning")
    assert "evidence.traffic_back" in [message.id for message in found.evidence]
    assert data.headline.id == "headline.traffic_back"


def test_calls_that_only_move_to_another_model_page_nobody():
    special = {(None, "qwen-plus", None): {"per_minute": 0.01}, (None, "qwen-max", None): {"per_minute": 40}}
    records = [*four_apps(BEFORE.start_ms, SIX, 20), *four_apps(SIX, NOW.end_ms, 20, special=special)]
    assert judged(records).verdict == "ok"


def test_several_times_the_calls():
    found = one(judged(changed(("shop", None, None), 120)))
    assert (found.type, found.scope, found.severity) == ("traffic_surge", {"app": "shop"}, "warning")
    assert since(found) == pytest.approx(6, abs=0.6)


@pytest.mark.parametrize("factor", [0.55, 0.8, 1.3, 2.0])
def test_ordinary_changes_page_nobody(factor):
    assert judged(changed((None, None, None), 20 * factor)).verdict == "ok"


def test_a_small_job_that_starts_pages_nobody():
    records = healthy() + steady(SIX, NOW.end_ms, 20, app="batch")
    assert judged(records).verdict == "ok"


def test_the_slope_of_an_evening_pages_nobody():
    hour = 60 * MINUTE
    span = Span(T0, T0 + 2 * hour)
    records = []
    for minute in range(-120, 120):
        pace = 100 * (0.55 + 0.45 * math.cos(math.pi * (minute + 120) / 240))
        records += steady(T0 + minute * MINUTE, T0 + (minute + 1) * MINUTE, pace)
    assert judged(records, span, Span(T0 - 2 * hour, T0)).verdict == "ok"


def test_traffic_in_clumps_is_compared_with_its_own_clumps():
    records = []
    for minute in range(-15, 15):
        if minute % 5 == 0 and minute != 10:  # a job that skips one of its six runs
            records += steady(T0 + minute * MINUTE, T0 + (minute + 1) * MINUTE, 200)
    assert judged(records).incidents == ()


def test_seconds_without_calls_at_the_end_page_nobody():
    records = four_apps(BEFORE.start_ms, NOW.end_ms - 20_000, 300)
    assert judged(records).verdict == "ok"


def test_a_failing_app_that_gives_up_is_one_incident():
    records = [
        *four_apps(BEFORE.start_ms, SIX, 20),
        *four_apps(
            SIX, NOW.end_ms, 20, special={("shop", None, None): {"per_minute": 4, "fail_every": 1, "error": "auth"}}
        ),
    ]
    found = one(judged(records))
    assert (found.type, found.scope) == ("auth", {"app": "shop"})
    assert "evidence.traffic" in [message.id for message in found.evidence]


def test_an_app_that_falls_silent_beside_another_that_fails_is_its_own_incident():
    special = {("shop", None, None): {"per_minute": 1}, ("docs", None, None): {"fail_every": 1, "error": "auth"}}
    records = [*four_apps(BEFORE.start_ms, SIX, 20), *four_apps(SIX, NOW.end_ms, 20, special=special)]
    assert [(i.type, i.scope) for i in judged(records).incidents] == [
        ("auth", {"app": "docs"}),
        ("traffic_drop", {"app": "shop"}),
    ]


def test_traffic_that_moved_is_told_once():
    """Calls of one app stop, those of another triple, and both fail: two lines would read like a contradiction."""
    special = {
        ("shop", None, None): {"per_minute": 1, "fail_every": 2, "error": "server_error"},
        ("docs", None, None): {"per_minute": 150, "fail_every": 2, "error": "server_error"},
    }
    records = [*four_apps(BEFORE.start_ms, SIX, 30), *four_apps(SIX, NOW.end_ms, 30, special=special)]
    found = next(incident for incident in judged(records).incidents if incident.type == "server_error")
    assert [message.id for message in found.evidence].count("evidence.traffic") == 1


def test_no_baseline_no_traffic_incident():
    assert judged(changed((None, None, None), 1), baseline=None).incidents == ()
    assert judged(changed((None, None, None), 1), filters=Filters(error_code=("X",))).incidents == ()


def test_a_baseline_that_is_half_covered_is_no_surge():
    records = four_apps(T0 - 3 * MINUTE, NOW.end_ms, 20)
    assert judged(records).verdict == "ok"
