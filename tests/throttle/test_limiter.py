"""The limiter as a client uses it: reserve, wait, send, settle; time only passes when the test says so."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmops_cli.throttle import Limiter, RateLimits

EPOCH = 1_752_041_004.748  # clients may well use the wall clock


class Clock:
    def __init__(self, now=EPOCH):
        self.now = now

    def __call__(self):
        return self.now


def drive(limits, calls, clock=None):
    """Send calls (gap in s, tokens) through a limiter, each as soon as it may; return the times they were granted."""
    clock = clock or Clock()
    limiter = Limiter(limits, clock)
    granted, waiting = {}, []

    def collect():
        while waiting and limiter.wait_s(waiting[0][1]) == 0:
            granted[waiting.pop(0)[0]] = clock.now

    def sleep_until(end):
        steps = 0
        collect()
        while waiting and clock.now + (wait := limiter.wait_s(waiting[0][1])) <= end:
            assert wait > 0
            clock.now += wait
            collect()
            steps += 1
            assert steps < 10_000, "the limiter never lets this call through"
        if end < math.inf:
            clock.now = max(clock.now, end)

    for index, (gap, tokens) in enumerate(calls):
        sleep_until(clock.now + gap)
        waiting.append((index, limiter.reserve(tokens)))
    sleep_until(math.inf)
    assert len(granted) == len(calls)
    return [granted[index] for index in range(len(calls))]


def most_in_a_window(times, amounts, seconds):
    """The largest sum of amounts in any half-open window [t, t + seconds)."""
    most = first = total = 0
    for time, amount in zip(times, amounts, strict=True):
        total += amount
        while times[first] <= time - seconds:
            total -= amounts[first]
            first += 1
        most = max(most, total)
    return most


gaps = st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 90))
some_calls = st.lists(st.tuples(gaps, st.integers(0, 20_000)), max_size=120)
rpms = st.one_of(st.floats(1, 60), st.floats(60, 5000))
tpms = st.one_of(st.none(), st.floats(1_000, 5_000_000))


@given(rpms, some_calls)
def test_never_more_requests_than_the_limit_in_any_minute_or_second(rpm, calls):
    times = drive(RateLimits(rpm=rpm), calls)
    burst = max(1, 0.1 * rpm / 60)
    for seconds in (1, 60):
        assert most_in_a_window(times, [1] * len(times), seconds) <= burst + rpm / 60 * seconds + 1e-3


@given(st.floats(1, 300), st.floats(1, 20), some_calls)
def test_a_separate_limit_per_second_allows_a_burst_but_no_more_per_minute(rpm, factor, calls):
    rps = rpm / 60 * factor
    times = drive(RateLimits(rpm=rpm, rps=rps), calls)
    assert most_in_a_window(times, [1] * len(times), 60) <= rpm + max(1, min(rpm, rps)) + 1e-3
    assert most_in_a_window(times, [1] * len(times), 1) <= rps + max(1, 0.1 * rps) + 1e-3


@given(st.floats(1_000, 5_000_000), some_calls)
def test_tokens_stay_within_the_limit_but_for_the_debt_of_one_call(tpm, calls):
    times = drive(RateLimits(tpm=tpm), calls)
    amounts = [tokens for _, tokens in calls]
    burst = max(1, 0.1 * tpm / 60)
    debt = max(0, max(amounts, default=0) - burst)
    for seconds in (1, 60):
        assert most_in_a_window(times, amounts, seconds) <= burst + tpm / 60 * seconds + debt + 1


@given(rpms, tpms, some_calls)
def test_calls_pass_in_order_never_early_and_nobody_starves(rpm, tpm, calls):
    clock = Clock()
    start = clock.now
    times = drive(RateLimits(rpm=rpm, tpm=tpm), calls, clock)
    arrivals, now = [], start
    for gap, _ in calls:
        now += gap
        arrivals.append(now)
    assert times == sorted(times)
    assert all(time >= arrival - 1e-5 for time, arrival in zip(times, arrivals, strict=True))
    if calls:
        # Work is conserved: the last one waits no longer than everybody's requests and tokens take, one by one.
        tokens = sum(tokens for _, tokens in calls)
        spent = len(calls) / (rpm / 60) + (0 if tpm is None else (tokens + max(1, tpm / 600)) / (tpm / 60))
        assert times[-1] <= arrivals[-1] + spent + 1e-3


@given(rpms, tpms, st.lists(st.integers(0, 20_000), max_size=60), st.floats(0, 10))
def test_a_promised_wait_is_never_too_long(rpm, tpm, tokens, gap):
    clock = Clock()
    limiter = Limiter(RateLimits(rpm=rpm, tpm=tpm), clock)
    promised = []
    for amount in tokens:
        reservation = limiter.reserve(amount)
        assert reservation.wait_s >= 0
        promised.append((reservation, clock.now + reservation.wait_s))
        clock.now += gap / len(tokens)
    while waiting := [r for r, _ in promised if not r.granted]:
        clock.now += limiter.wait_s(waiting[0])
        for reservation, earliest in promised:
            if reservation in waiting and limiter.wait_s(reservation) == 0:
                assert clock.now >= earliest - 1e-4


@given(st.data())
def test_whatever_is_given_back_no_bucket_holds_more_than_its_burst(data):
    clock = Clock()
    limits = RateLimits(rpm=data.draw(st.floats(60, 6000)), tpm=data.draw(st.floats(6_000, 600_000)))
    limiter = Limiter(limits, clock)
    open_ = []
    for _ in range(data.draw(st.integers(0, 40))):
        what = data.draw(st.sampled_from(["reserve", "settle", "cancel", "release", "sleep", "again"]))
        if what == "reserve":
            open_.append(limiter.reserve(data.draw(st.integers(0, 5_000))))
        elif what == "sleep":
            clock.now += data.draw(st.floats(0, 30))
        elif open_:
            reservation = open_[data.draw(st.integers(0, len(open_) - 1))]
            if what == "settle":
                limiter.settle(reservation, data.draw(st.integers(0, 5_000)))
            elif what == "release":
                limiter.release(reservation)
            else:
                limiter.cancel(reservation)
    for reservation in open_:
        limiter.cancel(reservation)
    assert limiter.waiting == 0
    assert limiter.under_way == 0
    at_once = sum(limiter.reserve(1).granted for _ in range(1000))
    assert at_once <= min(max(1, 0.1 * limits.rps), max(1, 0.1 * limits.tps)) + 1e-6


def test_requests_are_spaced_evenly():
    assert drive(RateLimits(rpm=60), [(0, 0)] * 4, Clock(0)) == pytest.approx([0, 1, 2, 3])


def test_a_full_minute_of_demand_is_used_to_the_last_request():
    times = drive(RateLimits(rpm=228), [(0, 0)] * 600)
    assert most_in_a_window(times, [1] * len(times), 59.999) == 228
    assert times[-1] - times[0] == pytest.approx(599 / 228 * 60)


def test_a_call_larger_than_the_limit_passes_and_pays_its_debt():
    clock = Clock(0)
    limiter = Limiter(RateLimits(tpm=60_000), clock)
    long = limiter.reserve(180_000)  # three minutes' worth
    assert long.granted
    following = limiter.reserve(10)
    assert following.wait_s == pytest.approx(179.91)  # less the tenth of a second that the bucket held
    assert not following.granted
    clock.now += following.wait_s
    assert limiter.wait_s(following) == 0


def test_nothing_passes_while_tokens_are_owed_not_even_calls_without_tokens():
    clock = Clock(0)
    limiter = Limiter(RateLimits(tpm=60_000), clock)
    limiter.reserve(10_000)
    assert limiter.reserve(0).wait_s == pytest.approx(9.9)


def test_unused_tokens_come_back_to_those_who_wait():
    clock = Clock(0)
    limiter = Limiter(RateLimits(tpm=60_000), clock)
    first, second = limiter.reserve(30_100), limiter.reserve(100)
    assert second.wait_s == pytest.approx(30.1)
    limiter.settle(first, 1_100)
    assert limiter.wait_s(second) == pytest.approx(1.1)


def test_tokens_used_beyond_the_reservation_delay_those_who_wait():
    clock = Clock(0)
    limiter = Limiter(RateLimits(tpm=60_000), clock)
    first, second = limiter.reserve(100), limiter.reserve(100)
    assert limiter.wait_s(second) == pytest.approx(0.1)
    limiter.settle(first, 10_100)
    assert limiter.wait_s(second) == pytest.approx(10.1)


def test_a_call_that_is_not_sent_gives_its_request_back():
    limiter = Limiter(RateLimits(rpm=60), Clock(0))
    limiter.cancel(limiter.reserve(5))
    assert limiter.reserve(5).granted


def test_a_refused_call_has_used_its_request_but_no_tokens():
    limiter = Limiter(RateLimits(rpm=60, tpm=6_000), Clock(0))
    limiter.settle(limiter.reserve(5_000), 0)
    assert limiter.reserve(10).wait_s == pytest.approx(1)


def test_leaving_the_queue_lets_the_next_one_move_up():
    clock = Clock(0)
    limiter = Limiter(RateLimits(rpm=60), clock)
    _, second, third = (limiter.reserve(0) for _ in range(3))
    assert limiter.wait_s(third) == pytest.approx(2)
    limiter.cancel(second)
    assert limiter.waiting == 1
    assert limiter.wait_s(third) == pytest.approx(1)


def test_leaving_from_the_middle_shortens_the_wait_behind():
    limiter = Limiter(RateLimits(rpm=60, tpm=600_000), Clock(0))
    calls = [limiter.reserve(30_000) for _ in range(5)]
    assert limiter.wait_s(calls[4]) == pytest.approx(12.0 - 0.1 + 0.1)
    limiter.cancel(calls[2])
    assert limiter.waiting == 3
    assert limiter.wait_s(calls[4]) == pytest.approx(9)


def test_leaving_from_the_end_of_the_queue_leaves_no_gap():
    limiter = Limiter(RateLimits(rpm=60), Clock(0))
    limiter.reserve(0)
    for _ in range(5):
        limiter.cancel(limiter.reserve(0))
    assert limiter.reserve(0).wait_s == pytest.approx(1)


def test_ending_twice_gives_back_once():
    limiter = Limiter(RateLimits(tpm=60_000, concurrency=2), Clock(0))
    limiter.reserve(10_000)
    late = limiter.reserve(1)
    limiter.cancel(late)
    limiter.cancel(late)
    limiter.settle(late, 0)
    limiter.release(late)
    assert limiter.under_way == 1
    assert limiter.reserve(1).wait_s == pytest.approx(9.901)


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_never_more_under_way_than_slots(slots, steps):
    limiter = Limiter(RateLimits(concurrency=slots), Clock())
    calls = []
    for arrive in steps:
        if arrive:
            calls.append(limiter.reserve(10))
        elif granted := [c for c in calls if c.granted]:
            limiter.release(granted[0])
        under_way = sum(c.granted for c in calls)
        assert under_way == limiter.under_way <= slots
        assert (limiter.waiting == 0) or under_way == slots


def test_only_a_free_slot_helps_so_the_wait_has_no_end_of_its_own():
    limiter = Limiter(RateLimits(concurrency=1), Clock())
    first, second = limiter.reserve(1), limiter.reserve(1)
    assert limiter.wait_s(second) == math.inf
    limiter.release(first)
    assert second.granted
    assert limiter.wait_s(second) == 0


def test_a_caller_that_vanished_does_not_block_those_behind():
    clock = Clock(0)
    limiter = Limiter(RateLimits(rpm=60), clock)
    limiter.reserve(0)
    limiter.reserve(0)  # never asked for again
    third = limiter.reserve(0)
    clock.now = 1
    assert limiter.wait_s(third) == pytest.approx(1)
    clock.now = 2
    assert limiter.wait_s(third) == 0


@given(st.floats(-1e6, 1e6), st.floats(0.1, 5))
def test_a_clock_that_jumps_neither_starves_nor_floods(jump, after):
    assume(abs(jump) > 1e-3)
    clock = Clock(1e9)
    limiter = Limiter(RateLimits(rpm=60), clock)
    waiting = [limiter.reserve(0) for _ in range(10)]
    clock.now += jump
    limiter.wait_s(waiting[-1])
    assert sum(r.granted for r in waiting) <= 2  # the first one, and at most one for any time that seems to have passed
    before = sum(r.granted for r in waiting)
    clock.now += 1.001
    limiter.wait_s(waiting[-1])
    assert sum(r.granted for r in waiting) == before + 1


def test_negative_tokens_are_an_error():
    with pytest.raises(ValueError, match="-5 tokens"):
        Limiter(RateLimits(), Clock()).reserve(-5)


def test_without_limits_everything_passes():
    limiter = Limiter(RateLimits(), Clock())
    assert all(limiter.reserve(10**9).granted for _ in range(1000))
