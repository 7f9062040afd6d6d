"""Numbers as people read them: nothing rounds into a claim that is not true."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.views.figures import (
    ASCII,
    bar,
    change,
    compact,
    milliseconds,
    percent,
    shares,
    sparkline,
    timespan,
)


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (compact, 0, "0"),
        (compact, 9_999, "9,999"),
        (compact, 212_345, "212 k"),
        (compact, 999_600, "1 M"),
        (compact, 5_000_000, "5 M"),
        (compact, 1_250_000, "1.25 M"),
        (compact, 3.8, "3.8"),
        (percent, 0.124, "12.4 %"),
        (percent, 0, "0 %"),
        (percent, 1, "100 %"),
        (percent, 0.0001, "<0.1 %"),
        (percent, 0.9999, ">99.9 %"),
        (percent, 1.31, "131.0 %"),
        (percent, None, "–"),
        (percent, math.nan, "–"),
        (milliseconds, 2914.4, "2,914 ms"),
        (milliseconds, None, "–"),
        (milliseconds, 300_000, "5 min"),
        (timespan, 38, "38 ms"),
        (timespan, 8_100, "8.1 s"),
        (timespan, 59_700, "1 min"),
        (timespan, 90_000, "1 min 30 s"),
        (timespan, 735_000, "12 min"),
        (timespan, 5_400_000, "1 h 30 min"),
        (timespan, 502 * 86_400_000, "502 d"),
    ],
)
def test_reads_as_people_say_it(function, value, text):
    assert function(value) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (3641, 2902, "+25 %"),
        (97, 100, "-3 %"),
        (0.124, 0.003, "×41"),
        (250, 100, "×2.5"),
        (5, 0, "new"),
        (0, 0, ""),
        (0, 5, "-100 %"),
        (100, 100, "same"),
        (None, 1, ""),
        (1, None, ""),
    ],
)
def test_change(now, before, text):
    assert change(now, before) == text


def test_a_sparkline_starts_at_zero():
    assert sparkline([0, 50, 100]) == "▁▄█"
    assert sparkline([100, 98, 100]) == "███"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([None, math.nan, 1]) == "  █"
    assert sparkline([2900, 2900], calm=True) == "▄▄"


@given(st.lists(st.none() | st.floats()), st.booleans())
def test_one_block_for_each_value(values, calm):
    assert len(sparkline(values, calm=calm)) == len(values)


@given(st.none() | st.floats(), st.integers(1, 40))
def test_a_bar_fills_its_cells_exactly(level, cells):
    assert len(bar(level, cells)) == cells


def test_bar():
    assert bar(1.31, 4) == "████"
    assert bar(0.5, 4) == "██  "
    assert bar(0.001, 4) == "▏   "
    assert bar(0, 4) == "    "


@given(st.integers(0, 500), st.integers(1, 200))
def test_shares_cover_all_points_in_order(sizes, cells):
    groups = shares(sizes, cells)
    assert [n for a, b in groups for n in range(a, b)] == list(range(sizes))
    assert len(groups) <= cells


def test_ascii_replaces_one_by_one():
    assert all(len(sign) == 1 and sign.isascii() for sign in ASCII.values())
