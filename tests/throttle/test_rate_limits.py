"""Limits and backoff are numbers that make sense, or an error at once."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.throttle import BackoffPolicy, RateLimits


def test_per_second_limits_are_a_sixtieth_unless_given():
    limits = RateLimits(rpm=1200, tpm=1_000_000)
    assert limits.rps == 20
    assert limits.tps == pytest.approx(16_666.67, rel=1e-6)
    assert RateLimits(rpm=1200, rps=50).rps == 50
    assert RateLimits(rpm=1200, rps=math.inf).rps == math.inf


def test_nothing_given_limits_nothing():
    assert RateLimits() == RateLimits(rpm=None, tpm=None, rps=None, tps=None, concurrency=None)
    assert RateLimits(rpm=math.inf).rpm is None
    assert RateLimits(rpm=math.inf).rps is None


@pytest.mark.parametrize("name", ["rpm", "tpm", "rps", "tps", "concurrency"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_limit_that_lets_nothing_pass_is_an_error_that_names_it(name, value):
    with pytest.raises(ValueError, match=name):
        RateLimits(**{name: value})


@given(st.integers())
def test_the_advised_backoff_has_five_random_delays_of_1_to_60_seconds(seed):
    delays = list(BackoffPolicy().delays(Random(seed)))
    assert len(delays) == 5
    for n, delay in enumerate(delays, 1):
        assert 1 <= delay <= min(60, 2**n)


def test_already_the_first_delay_differs_between_clients():
    assert len({next(BackoffPolicy().delays(Random(seed))) for seed in range(50)}) == 50


def test_delays_stop_growing_at_the_maximum():
    assert list(BackoffPolicy(base_s=1, max_s=10, attempts=7, jitter="none").delays(Random(1))) == [2, 4, 8, 10, 10, 10]
    assert list(BackoffPolicy(attempts=1).delays(Random(1))) == []


@pytest.mark.parametrize("bad", [{"base_s": 0}, {"base_s": 70}, {"attempts": 0}, {"max_s": math.nan}])
def test_a_backoff_that_cannot_be_is_an_error(bad):
    with pytest.raises(ValueError, match=r"backoff|attempts"):
        BackoffPolicy(**bad)
