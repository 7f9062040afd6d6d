import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.sop.significance import certain, heaviest, standing_out, wilson


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.278), (1, 10, 0.018, 0.404), (50, 100, 0.404, 0.596), (10, 10, 0.722, 1.0)],
)
def test_wilson_bounds_as_in_the_tables(hits, trials, low, high):
    z = NormalDist().inv_cdf(0.975)
    assert wilson(hits, trials, z) == pytest.approx((low, high), abs=0.001)


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0.1, 6))
def test_wilson_bounds_hold_the_share_and_stay_shares(hits, misses, z):
    low, high = wilson(hits, hits + misses, z)
    assert 0 <= low <= high <= 1
    if hits + misses:
        assert low - 1e-9 <= hits / (hits + misses) <= high + 1e-9


def test_nothing_tried_says_nothing():
    assert wilson(0, 0, 2) == (0.0, 1.0)
    assert certain(0, 0, 0.1) == 0


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.001, 0.9))
def test_certainty_grows_only_above_the_usual_share(hits, misses, usual):
    score = certain(hits, hits + misses, usual)
    assert score >= 0
    assert (score > 1e-12) == (hits / (hits + misses) > usual + 1e-12) or math.isclose(
        hits / (hits + misses), usual, rel_tol=1e-4
    )


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.integers(0, 11))
def test_the_heaviest_stretch_is_that_of_an_exhaustive_search(weights, last):
    best = max(
        (sum(weights[i:j]) for i in range(len(weights)) for j in range(i + 1, len(weights) + 1) if j > last),
        default=0.0,
    )
    found = heaviest(weights, last)
    if found is None:
        assert best <= 1e-6
    else:
        assert found.end > last
        assert found.score == pytest.approx(best, abs=1e-6)
        assert sum(weights[found.start : found.end]) == pytest.approx(found.score, abs=1e-6)


def test_a_short_burst_in_a_long_timeline_is_found_where_it_is():
    hits = [0] * 40 + [9, 10, 8] + [0] * 17
    found = standing_out(hits, [10] * 60, 0.005, 30)
    assert (found.start, found.end) == (40, 43)
    assert found.score > 100


def test_background_does_not_stand_out():
    hits = [1 if slot % 6 == 0 else 0 for slot in range(60)]
    assert (standing_out(hits, [55] * 60, 0.005, 30) or (0, 0, 0))[2] < 5
