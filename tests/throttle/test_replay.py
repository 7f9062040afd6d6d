"""A replay tells what a limiter would have made of a log: every number can be checked by hand or by brute force."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evidence import Arrival
from llmops_cli.throttle import RateLimits, replay

START = 1_752_041_040_000  # a full minute


def call(at_ms, tokens=100, duration_ms=1000, *, refused=False, model="qwen-plus", workspace="llm-a"):
    return Arrival(START + at_ms, model, workspace, 0 if refused else tokens, 40 if refused else duration_ms, refused)


def steady(count, every_ms, **how):
    return [call(i * every_ms, **how) for i in range(count)]


arrivals = st.lists(
    st.builds(
        call,
        st.integers(0, 180_000),
        st.integers(1, 5_000),
        st.integers(0, 30_000),
        refused=st.booleans(),
    ),
    max_size=150,
)


def test_three_calls_at_once_through_one_a_second():
    result = replay(steady(3, 0), RateLimits(rpm=60))
    assert (result.calls, result.refused_before, result.refused_after, result.given_up) == (3, 0, 0, 0)
    assert (result.p50_ms, result.p95_ms, result.max_ms) == (1000, 2000, 2000)


def test_nothing_to_replay():
    result = replay([], RateLimits(rpm=60), RateLimits(rpm=60))
    assert (result.calls, result.refused_after, result.p50_ms, result.max_ms, result.series) == (0, 0, 0, 0, ())


def test_demand_below_the_limit_does_not_wait():
    assert replay(steady(600, 400), RateLimits(rpm=200, tpm=50_000)).max_ms == 0


def test_order_of_the_log_does_not_matter():
    calls = steady(200, 137, tokens=700) + steady(50, 20)
    shuffled = random.Random(3).sample(calls, len(calls))
    limits = RateLimits(rpm=300, tpm=100_000, concurrency=5)
    assert replay(calls, limits, limits) == replay(shuffled, limits, limits)


def test_a_rate_limited_burst_is_spread_instead_of_refused():
    """100 calls in one second against 60 a minute: the platform takes one a second, the limiter spreads them."""
    burst = steady(50, 20)
    platform = RateLimits(rpm=60)
    result = replay(burst, RateLimits(rpm=54), platform)
    assert result.modelled_before == 49
    assert result.refused_after == 0
    assert result.max_ms == pytest.approx(49 * 60_000 / 54 - 49 * 20, abs=1)


def test_demand_above_the_limit_for_long_shows_as_refusals_not_as_endless_waits():
    calls = steady(6_000, 100)  # ten minutes at 600 a minute
    result = replay(calls, RateLimits(rpm=300), RateLimits(rpm=330))
    assert 2_600 < result.given_up < 3_000  # half of the demand, less the minute that may wait in the queue
    assert result.refused_after == result.given_up
    assert 59_000 < result.max_ms <= 60_000
    assert replay(calls, RateLimits(rpm=300), max_wait_s=1e9).given_up == 0


def test_refused_calls_count_with_the_tokens_and_duration_of_a_typical_one():
    calls = [
        call(0, tokens=900),
        call(1, tokens=1_000),
        call(2, tokens=5_000),
        call(10_000, refused=True),
        call(10_001),
    ]
    assert replay([calls[3]] * 9, RateLimits(tpm=1)).max_ms == 0  # none succeeded: nothing to estimate from
    known = replay(calls, RateLimits(tpm=6_000, concurrency=1), max_wait_s=1e9)
    # tokens one after the other at 100 a second, 10 in stock: 900, 1000, 5000, then 950 estimated (median of 4)
    assert known.max_ms == pytest.approx((900 + 1000 + 5000) * 10 + 950 * 10 - 10_001, abs=200)
    assert replay(calls, RateLimits()).refused_before == 1


def test_a_slot_is_held_as_long_as_the_call_took():
    result = replay(steady(4, 0, duration_ms=2_000), RateLimits(concurrency=2))
    assert (result.p50_ms, result.max_ms) == (0, 2_000)
    result = replay(steady(3, 0, duration_ms=50_000), RateLimits(concurrency=1))
    assert (result.given_up, result.max_ms) == (1, 50_000)


def test_a_long_prompt_passes_the_platform_once_and_blocks_those_behind():
    long = [call(0, tokens=90_000), call(30_000, tokens=10), call(60_500, tokens=10)]
    assert replay(long, RateLimits(), RateLimits(tpm=60_000)).refused_after == 1
    throttled = replay(long, RateLimits(tpm=54_000), RateLimits(tpm=60_000), max_wait_s=600)
    assert (throttled.refused_after, throttled.given_up) == (0, 0)


def test_a_call_one_window_ago_is_forgotten():
    for at_ms in range(0, 60_000, 97):
        minute = [call(at_ms), call(at_ms + 59_999), call(at_ms + 60_000)]
        assert replay(minute, RateLimits(), RateLimits(rpm=1, rps=5)).modelled_before == 1
        second = [call(0, model="other"), call(at_ms + 5_000), call(at_ms + 5_999), call(at_ms + 6_000)]
        assert replay(second, RateLimits(), RateLimits(rps=1)).modelled_before == 1


def test_who_cannot_be_served_in_time_is_told_at_once():
    result = replay(steady(200, 0), RateLimits(rpm=60))
    assert result.given_up == 139  # one now, sixty in the minute that follows
    assert result.series[0].given_up == 139


def test_tokens_of_a_call_that_the_platform_refused_come_back():
    calls = [call(0, tokens=1), call(200, tokens=5_000), call(2_000, tokens=100)]
    result = replay(calls, RateLimits(tpm=6_000), RateLimits(rps=1))
    assert result.refused_after == 1
    assert result.max_ms < 1_000


def test_others_use_up_the_same_limit():
    mine, theirs = steady(30, 2_000), steady(300, 200, workspace="llm-b")
    platform = RateLimits(rpm=300)
    alone = replay(mine, RateLimits(rpm=60), platform)
    beside = replay(mine, RateLimits(rpm=60), platform, background=theirs)
    assert alone.refused_after == 0
    assert beside.refused_after > 0
    assert beside.calls == 30
    assert (alone.others_before, alone.others_after) == (0, 0)


def test_a_noisy_caller_behind_a_limiter_leaves_room_for_the_others():
    noisy, quiet = steady(1_200, 50), steady(40, 1_490, workspace="llm-b")
    result = replay(noisy, RateLimits(rpm=240), RateLimits(rpm=300), background=quiet)
    assert result.others_before > 10
    assert result.others_after == 0
    assert replay(noisy, RateLimits(rpm=240), background=quiet).others_before == 0  # no platform, no refusals


def test_the_series_adds_up():
    calls = steady(500, 300) + steady(200, 10, refused=True)
    result = replay(calls, RateLimits(rpm=120), RateLimits(rpm=100))
    assert sum(m.arrived for m in result.series) == result.calls == 700
    assert sum(m.sent + m.given_up for m in result.series) == 700
    assert sum(m.refused + m.given_up for m in result.series) == result.refused_after
    assert max(m.longest_wait_ms for m in result.series) == result.max_ms
    assert [m.start_ms % 60_000 for m in result.series] == [0] * len(result.series)
    assert result.series[0].start_ms == START


@given(arrivals, st.integers(10, 2_000), st.integers(5_000, 1_000_000), st.sampled_from([None, 1, 10]))
def test_a_client_below_the_limit_is_never_refused_by_it(calls, rpm, tpm, concurrency):
    """The promise of the settings: 90 % of the limit, and the strict model of the platform refuses nothing."""
    client = RateLimits(rpm=rpm * 0.9, tpm=tpm * 0.9, concurrency=concurrency)
    result = replay(calls, client, RateLimits(rpm=rpm, tpm=tpm))
    assert result.refused_after == result.given_up
    assert sum(m.sent for m in result.series) + result.given_up == result.calls == len(calls)
    assert 0 <= result.p50_ms <= result.p95_ms <= result.max_ms <= 60_000.001


@given(arrivals, st.integers(5, 300), st.integers(5_000, 100_000))
def test_without_a_limiter_the_platform_refuses_what_its_windows_cannot_take(calls, rpm, tpm):
    """Brute force over every window, on calls whose tokens are known."""
    known = [c for c in calls if not c.refused]
    admitted, refused = [], 0
    for c in sorted(known, key=lambda c: (c.time_ms, c.total_tokens)):
        minute = [a for a in admitted if a.time_ms > c.time_ms - 60_000]
        second = [a for a in admitted if a.time_ms > c.time_ms - 1_000]
        full = (
            len(minute) >= rpm
            or len(second) >= math.ceil(rpm / 60)
            or sum(a.total_tokens for a in minute) >= tpm
            or sum(a.total_tokens for a in second) >= tpm / 60
        )
        refused += full
        if not full:
            admitted.append(c)
    result = replay(known, RateLimits(), RateLimits(rpm=rpm, tpm=tpm))
    assert result.modelled_before == result.refused_after == refused


def test_a_log_with_impossible_numbers_replays_all_the_same():
    odd = [call(0, tokens=-5, duration_ms=-9), call(0, tokens=10**12), Arrival(-5, "", "", 0, 0, refused=True)]
    result = replay(odd, RateLimits(rpm=60, tpm=1000, concurrency=1), RateLimits(rpm=60))
    assert result.calls == 3


def test_two_hundred_thousand_calls_of_a_queue_that_only_grows():
    calls = steady(200_000, 2)
    result = replay(calls, RateLimits(rpm=20_000), RateLimits(rpm=22_000))
    assert result.calls == 200_000
    assert result.given_up > 40_000
