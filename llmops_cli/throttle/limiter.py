"""A rate limiter for model calls: FIFO, tokens reserved before and settled after, and the clock comes from outside.

Why our own: a replay needs an injected clock, and a model call needs refunds (its tokens are known only afterwards).
No kept library has both (looked at November 2026). pyrate-limiter 4.5 takes a clock, but what was put into a bucket
cannot be given back, and an item heavier than its limit never passes. token-throttle 14 refunds, but reads `time`
itself, and needs Python 3.12. limits 5.8, aiolimiter 1.3, throttled-py 3.5 and token-bucket 0.4 have neither.

How it limits: one bucket per limit, refilled continuously, a call passes when every bucket holds what it needs.

- Per second: a bucket refilled at `rps` (`tps`) that holds a tenth of a second's worth, at least one. So calls are
  spaced evenly, as Model Studio advises against refusals per second, with room for the imprecision of timers: in any
  T seconds at most `rps` × (T + 0.1) calls, or `rps` × T + 1 where that is more. With `rps` = `rpm`/60 that keeps the
  limit per minute as well (at most `rpm` × 60.1/60, or `rpm` + 1, in any 60 s).
- Per minute, where `rps` allows more than `rpm`/60: a second bucket, refilled at `rpm`/60, that holds one second at
  `rps` (`rpm` when `rps` is inf). In any 60 s at most `rpm` plus that.
- Tokens alike. A call with more tokens than the bucket holds waits until it is full and goes into debt: it always
  passes, and nothing follows until the debt is paid.
- What was reserved and not used comes back, but no bucket ever holds more than its capacity.

A Limiter is as safe as its caller: under threads, hold one lock around every call of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Literal

from llmops_cli.throttle.limits import RateLimits

BURST_S = 0.1
"""Seconds' worth of calls and tokens that may go at once: settings of 90 % of a limit stay below 99 % of it so."""

_CLOSE_S = 1e-6
"""Closer than this is now: an epoch time as a float is exact to 0.24 µs, so that smaller waits would never end."""


class Reservation:
    """One call's place in the queue; made by `Limiter.reserve`, good for one attempt."""

    __slots__ = ("_tokens_before", "_turn", "state", "tokens", "wait_s")

    def __init__(self, tokens: int, turn: int, tokens_before: int) -> None:
        self.tokens = tokens
        """Tokens that were reserved."""
        self.state: Literal["waiting", "granted", "ended"] = "waiting"
        self.wait_s = 0.0
        """Seconds to wait as the rates stood when it was made; a lower bound. Ask `Limiter.wait_s` afterwards."""
        self._turn = turn
        self._tokens_before = tokens_before

    @property
    def granted(self) -> bool:
        """It is this call's turn: send it."""
        return self.state == "granted"


class _Bucket:
    """Refilled at `rate` per second up to `capacity`; it holds `rate` × (time since `empty_at`), negative in debt."""

    __slots__ = ("capacity", "empty_at", "fill_s", "rate")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self.rate = rate
        self.capacity = capacity
        self.fill_s = capacity / rate
        self.empty_at = now - self.fill_s

    def holds(self, amount: float, ahead: float) -> float:
        """When it can serve `amount` after `ahead` was taken out."""
        return self.empty_at + (ahead + min(amount, self.capacity)) / self.rate

    def take(self, amount: float, now: float) -> None:
        """Take out `amount`, or put it back when negative; what overflowed until now is lost."""
        self.empty_at = max(now - self.fill_s, self.empty_at) + amount / self.rate


def _buckets(per_minute: float | None, per_second: float | None, now: float) -> tuple[_Bucket, ...]:
    second = math.inf if per_second is None else per_second
    found = []
    if second < math.inf:
        found.append(_Bucket(second, max(1.0, BURST_S * second), now))
    if per_minute is not None and second > per_minute / 60:
        found.append(_Bucket(per_minute / 60, max(1.0, min(per_minute, second)), now))
    return tuple(found)


class Limiter:
    """Lets calls pass in the order of their reservations, as fast as `limits` allow.

    `clock` returns seconds; any origin will do. When it jumps back no time has passed, when it jumps ahead the buckets
    are full: neither starves a call nor lets more than a burst through.

        reservation = limiter.reserve(tokens)
        while (wait := limiter.wait_s(reservation)) > 0:
            sleep(wait)                      # inf: only a `release`, `settle` or `cancel` can change it
        answer = send()
        limiter.settle(reservation, answer.total_tokens)
    """

    def __init__(self, limits: RateLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._skipped = 0.0
        self._last = clock()
        self._requests = _buckets(limits.rpm, limits.rps, self._last)
        self._tokens = _buckets(limits.tpm, limits.tps, self._last)
        self._slots = math.inf if limits.concurrency is None else limits.concurrency
        self._under_way = 0
        self._queue: deque[Reservation] = deque()
        self._joined = self._left = 0
        self._joined_tokens = self._left_tokens = 0
        self._gone = self._gone_tokens = 0  # cancelled while waiting, still in the queue

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._queue) - self._gone

    @property
    def under_way(self) -> int:
        """Calls that were granted and have not ended: the slots in use."""
        return self._under_way

    def reserve(self, tokens: int) -> Reservation:
        """Join the queue with a call of so many tokens; it may be granted at once.

        Give what you know before the call, its input tokens, or better what you expect in total: `settle` corrects it
        either way, but a debit that comes late can only slow down the calls behind. Raises ValueError below 0.
        """
        if tokens < 0:
            raise ValueError(f"a call cannot have {tokens} tokens")
        now = self._now()
        reservation = Reservation(tokens, self._joined, self._joined_tokens)
        self._queue.append(reservation)
        self._joined += 1
        self._joined_tokens += tokens
        self._grant(now)
        if reservation.state == "waiting":
            reservation.wait_s = self._rate_wait(reservation, now)
        return reservation

    def wait_s(self, reservation: Reservation) -> float:
        """Seconds after which to ask again; 0 when the call may be sent, inf when only a freed slot can help.

        Never more than the true wait (as far as it can be known: calls ahead may end, be cancelled or be settled), so
        that no turn is slept through.
        """
        now = self._now()
        self._grant(now)
        if reservation.state != "waiting":
            return 0.0
        wait = self._rate_wait(self._queue[0], now)
        if reservation is not self._queue[0]:
            wait = max(wait, self._rate_wait(reservation, now))
        return wait if wait > _CLOSE_S else math.inf

    def settle(self, reservation: Reservation, actual_tokens: int) -> None:
        """Take the answer: what was reserved too much comes back, what was used on top is taken; frees the slot.

        Settle a refused call with 0 tokens: its request stays spent, as on the platform's side.
        """
        if reservation.state == "granted":
            now = self._now()
            for bucket in self._tokens:
                bucket.take(actual_tokens - reservation.tokens, now)
            self._end(reservation, now)

    def release(self, reservation: Reservation) -> None:
        """Free the slot of a call whose tokens stay unknown (no answer came): what was reserved counts as used."""
        if reservation.state == "granted":
            self._end(reservation, self._now())

    def cancel(self, reservation: Reservation) -> None:
        """Leave the queue, or give everything back: the call is not going to be sent. One that ended is ignored."""
        now = self._now()
        if reservation.state == "waiting":
            reservation.state = "ended"
            self._gone += 1
            self._gone_tokens += reservation.tokens
            while self._queue and self._queue[-1].state == "ended":
                last = self._queue.pop()
                self._forget(last)
                self._joined -= 1
                self._joined_tokens -= last.tokens
            self._grant(now)
        elif reservation.state == "granted":
            for bucket in self._requests:
                bucket.take(-1, now)
            for bucket in self._tokens:
                bucket.take(-reservation.tokens, now)
            self._end(reservation, now)

    def _now(self) -> float:
        now = self._clock() + self._skipped
        if now < self._last:  # the clock was set back: go on from where we were
            self._skipped += self._last - now
            return self._last
        self._last = max(self._last, now)  # in this order a NaN is passed over
        return self._last

    def _grant(self, now: float) -> None:
        """Let everyone pass whose turn has come."""
        queue, soon = self._queue, now + _CLOSE_S
        while queue:
            head = queue[0]
            if head.state == "waiting":
                if self._under_way >= self._slots:
                    return
                for bucket in self._requests:
                    if bucket.holds(1, 0) > soon:
                        return
                for bucket in self._tokens:
                    if bucket.holds(head.tokens, 0) > soon:
                        return
                for bucket in self._requests:
                    bucket.take(1, now)
                for bucket in self._tokens:
                    bucket.take(head.tokens, now)
                head.state = "granted"
                self._under_way += 1
            else:
                self._forget(head)
            queue.popleft()
            self._left += 1
            self._left_tokens += head.tokens

    def _rate_wait(self, reservation: Reservation, now: float) -> float:
        """Seconds until the rates allow it, those ahead first: a lower bound, since both rates may alternate."""
        ahead = max(0, reservation._turn - self._left - self._gone)  # noqa: SLF001 - its turn is ours to read
        tokens = max(0, reservation._tokens_before - self._left_tokens - self._gone_tokens)  # noqa: SLF001 - likewise
        at = now
        for bucket in self._requests:
            at = max(at, bucket.holds(1, ahead))
        for bucket in self._tokens:
            at = max(at, bucket.holds(reservation.tokens, tokens))
        return at - now

    def _end(self, reservation: Reservation, now: float) -> None:
        reservation.state = "ended"
        self._under_way -= 1
        self._grant(now)

    def _forget(self, cancelled: Reservation) -> None:
        self._gone -= 1
        self._gone_tokens -= cancelled.tokens
