"""The truth that a scenario states is the truth of its events, counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from statistics import median

import pytest

from llmops_cli.demo.scenarios import SCENARIOS
from tests.demo.stories import AGE, END_MS, MINUTE, rate, sent_ms, story, within

SEEDS = [1, 2]
FAULTY = [name for name in SCENARIOS if name != "healthy"]
SURGES = ["rate-limit", "noisy-neighbour", "two-faults"]
REFUSED = {
    "rate-limit": ("Throttling.RateQuota", 0.15, 0.7),
    "noisy-neighbour": ("Throttling.RateQuota", 0.15, 0.7),
    "token-limit": ("Throttling.AllocationQuota", 0.15, 0.7),
    "burst": ("Throttling.BurstRate", 0.1, 0.5),
    "bad-key": ("InvalidApiKey", 1.0, 1.0),
    "arrears": ("Arrearage", 1.0, 1.0),
    "moderation": ("DataInspectionFailed", 0.3, 0.6),
    "server-error": (None, 0.3, 0.5),
}


def per_minute(calls, value=lambda _: 1):
    """By calendar minute of sending."""
    counts = Counter()
    for call in calls:
        counts[sent_ms(call) // MINUTE] += value(call)
    return counts


@pytest.mark.parametrize("name", SCENARIOS)
def test_truths_name_what_is_in_the_log(name):
    told = story(name)
    assert len(told.made.truths) == {"healthy": 0, "two-faults": 2}.get(name, 1)
    for truth in told.made.truths:
        assert within(told.calls, truth.scope)
        assert END_MS - AGE / timedelta(milliseconds=1) <= truth.started_ms < END_MS - 4 * MINUTE


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", REFUSED)
def test_failures_begin_with_the_incident_and_stay_in_its_scope(name, seed):
    told = story(name, seed)
    code, least, most = REFUSED[name]
    assert rate(told.earlier()) < 0.005
    assert least <= rate(told.sent(**told.truth.scope), code) <= most
    outside = [call for call in told.sent() if not within([call], told.truth.scope)]
    assert not outside or rate(outside) < 0.015


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", REFUSED)
def test_the_last_five_minutes_show_it_too(name, seed):
    told = story(name, seed)
    last = [call for call in within(told.calls, told.truth.scope) if call.time_ms >= END_MS - 5 * MINUTE]
    assert len(last) >= 40
    assert sum(not call.ok for call in last) >= 12


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SURGES)
def test_what_is_refused_is_what_exceeds_the_requests_per_minute(name, seed):
    told = story(name, seed)
    truth = told.made.truths[-1]
    limit = told.made.limits[truth.scope["model"]]["rpm"]
    reached = [call for call in within(told.calls, truth.scope) if call.error_code != "InvalidApiKey"]
    admitted = per_minute(call for call in reached if call.error_code != "Throttling.RateQuota")
    assert max(admitted.values()) <= limit
    whole = range(truth.started_ms // MINUTE + 1, END_MS // MINUTE)
    demand = per_minute(reached)
    assert sum(demand[minute] > limit for minute in whole) >= 0.9 * len(whole)  # arrivals scatter
    # Nothing is refused that had room.
    assert all(admitted[minute] > 0.85 * min(limit, demand[minute]) for minute in whole)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_refused_is_what_exceeds_the_tokens_per_minute(seed):
    told = story("token-limit", seed)
    model = told.truth.scope["model"]
    limit = told.made.limits[model]["tpm"]
    tokens = per_minute(told.sent(model=model), lambda call: call.total_tokens)
    largest = max(call.total_tokens for call in told.sent(model=model))
    assert max(tokens.values()) <= limit + largest
    assert max(per_minute(told.sent(model=model)).values()) < told.made.limits[model]["rpm"]
    grown = told.truth.driver["module"]
    before, after = (
        median(call.input_tokens for call in calls if call.ok and call.module == grown)
        for calls in (told.earlier(), told.sent())
    )
    assert after > 5 * before
    refused = [rate(told.sent(model=model, module=module)) for module in {c.module for c in told.sent(model=model)}]
    assert min(refused) > 0.5 * max(refused)  # the model is refused, not the module


@pytest.mark.parametrize("seed", SEEDS)
def test_a_noisy_neighbour_drives_and_all_are_refused(seed):
    told = story("noisy-neighbour", seed)
    scope, driver = told.truth.scope, told.truth.driver
    minutes = (END_MS - told.truth.started_ms) / MINUTE
    rise, refused = {}, []
    for workspace in {call.workspace for call in within(told.calls, scope)}:
        own = {**scope, "workspace": workspace}
        rise[workspace] = len(told.sent(**own)) / minutes - len(told.earlier(**own)) / (250 - minutes)
        if len(told.sent(**own)) >= 30:  # the smallest has a handful of calls
            refused.append(rate(told.sent(**own), "Throttling.RateQuota"))
    assert len(refused) >= 3
    assert min(refused) > 0.15
    assert rise[driver["workspace"]] > 0.75 * sum(rise.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_bursts_stay_below_the_limits_of_a_minute(seed):
    told = story("burst", seed)
    model = told.truth.scope["model"]
    assert max(per_minute(within(told.calls, {"model": model})).values()) < 0.7 * told.made.limits[model]["rpm"]
    seconds = Counter(sent_ms(call) // 1000 for call in told.sent(model=model))
    usual = len(told.earlier(model=model)) / (238 * 60)
    assert max(seconds.values()) > 8 * usual


def test_a_bad_key_hits_every_call_of_the_app_quickly():
    told = story("bad-key")
    assert all(call.status_code == 401 and call.duration_ms < 100 for call in told.sent(**told.truth.scope))
    assert not any(call.status_code == 401 for call in told.earlier())


@pytest.mark.parametrize("seed", SEEDS)
def test_moderation_is_app_and_module_together(seed):
    told = story("moderation", seed)
    app, module = told.truth.scope["app"], told.truth.scope["module"]
    assert rate([call for call in told.sent(app=app) if call.module != module]) < 0.02
    assert rate([call for call in told.sent(module=module) if call.app != app]) < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_latency_is_of_one_model_and_fails_nothing(seed):
    told = story("latency", seed)
    for model in told.made.limits:
        before, after = (
            median(call.duration_ms for call in calls if call.ok)
            for calls in (told.earlier(model=model), told.sent(model=model))
        )
        slower = 4 if model == told.truth.scope["model"] else 1
        assert after / before == pytest.approx(slower, rel=0.35)
    assert rate(told.sent()) < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_traffic_drops_for_one_large_app(seed):
    told = story("traffic-drop", seed)
    app = told.truth.scope["app"]
    assert len(told.earlier(app=app)) > 0.3 * len(told.earlier())
    for other in {call.app for call in told.calls}:
        before = len(told.earlier(app=other)) / 238
        now = len(told.sent(app=other)) / 12
        assert now < 0.06 * before if other == app else 0.7 * before < now < 1.3 * before


@pytest.mark.parametrize("seed", SEEDS)
def test_ratings_turn_negative_in_one_module(seed):
    told = story("negative-feedback", seed)
    down = defaultdict(list)
    for rating in told.ratings:
        within_scope = bool(within([rating], told.truth.scope))
        down[within_scope, rating.time_ms > told.truth.started_ms + 30_000].append(rating.rating == "down")
    share = {key: sum(values) / len(values) for key, values in down.items()}
    assert share[True, True] > 0.25
    assert max(share[True, False], share[False, False]) < 0.08
    recent = [rating for rating in within(told.ratings, told.truth.scope) if rating.time_ms >= END_MS - 15 * MINUTE]
    assert len(recent) >= 30


def test_two_faults_begin_one_after_the_other():
    told = story("two-faults")
    key, limit = told.made.truths
    assert key.started_ms + 2 * MINUTE < limit.started_ms
    own = within(told.calls, limit.scope)
    between = [
        call for call in own if key.started_ms <= sent_ms(call) < limit.started_ms and call.app != key.scope["app"]
    ]
    after = [call for call in own if sent_ms(call) >= limit.started_ms and call.app != key.scope["app"]]
    assert rate(between, "Throttling.RateQuota") < 0.02
    assert rate(after, "Throttling.RateQuota") > 0.15


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("age", [timedelta(minutes=35), timedelta(hours=3)])
def test_the_incident_is_as_old_as_asked(name, age):
    truth = story(name, calls=2000, age=age).truth
    assert END_MS - truth.started_ms == age / timedelta(milliseconds=1)


@pytest.mark.parametrize("name", REFUSED)
def test_a_quiet_log_tells_the_same_story(name):
    told = story(name, calls=2000)
    assert rate(told.sent(**told.truth.scope)) > 2 * rate(told.earlier(**told.truth.scope)) + 0.05
