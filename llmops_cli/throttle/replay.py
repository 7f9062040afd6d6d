"""The window's real arrivals, sent once more through a limiter on a simulated clock.

What is assumed, because a log cannot tell:

- Calls that were refused show 0 tokens and the few milliseconds of the refusal. Let through, they are taken to be like
  their model's successful calls: the median of their tokens and of their durations.
- The log's calls arrive when they did. Where the application retried after a refusal, these retries arrive too, though
  with a limiter most would not have happened: demand, and waits, are rather over- than underestimated.
- The tokens of a call are known when it is sent. A client that reserves its input only takes the rest when it settles.
- A call that would wait longer than `max_wait_s` is given up, at once where the queue already says so: its user gets
  an error, so it counts as refused after. Demand above the limit for long shows as refusals, not as endless waits.
- A call that the platform refuses after all is counted as refused; it is not retried.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median

from llmops_cli.evidence import Arrival
from llmops_cli.throttle.enforced import EnforcedLimits
from llmops_cli.throttle.limiter import Limiter, Reservation
from llmops_cli.throttle.limits import RateLimits

MAX_WAIT_S = 60.0
"""Longest wait for a turn, seconds: the longest delay of the advised backoff. After a minute limits have recovered."""


@dataclass(frozen=True, slots=True)
class Minute:
    """One calendar minute of a replay: calls that arrived, were sent, were refused by the platform, were given up.

    `longest_wait_ms` is over the calls sent in it.
    """

    start_ms: int
    arrived: int = 0
    sent: int = 0
    refused: int = 0
    given_up: int = 0
    longest_wait_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the limiter would have made of the window.

    `refused_before`: refused in the log. `modelled_before`: refused by the model of the platform's limits without a
    limiter, to be held against it (None without a platform). `refused_after`: still refused by that model behind the
    limiter, and `given_up` on the way. `others_before` and `others_after`: how many calls of the background the same
    model refuses without and with the limiter. Waits (ms) are over the calls that were sent: nearest rank.
    """

    calls: int
    refused_before: int
    modelled_before: int | None
    refused_after: int
    given_up: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    series: tuple[Minute, ...]
    others_before: int = 0
    others_after: int = 0


@dataclass(frozen=True, slots=True)
class Typical:
    """Median tokens and duration (ms) of the calls that were let through."""

    tokens: int
    duration_ms: int


def typical(arrivals: Sequence[Arrival]) -> dict[str, Typical]:
    """Tell what a call of each model is like; a model whose calls were all refused is missing."""
    seen: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        if not arrival.refused and arrival.total_tokens > 0:
            seen.setdefault(arrival.model, []).append(arrival)
    return {
        model: Typical(round(median(a.total_tokens for a in calls)), round(median(a.duration_ms for a in calls)))
        for model, calls in seen.items()
    }


_BY_TIME = attrgetter("time_ms", "total_tokens", "duration_ms", "refused")
"""Calls of the same millisecond in an order of their own, so that a log replays alike however it was read."""


@dataclass(slots=True)
class _Call:
    at: float
    tokens: int
    seconds: float


def _calls(arrivals: Sequence[Arrival], like: dict[str, Typical], origin_ms: int) -> list[_Call]:
    found = []
    for arrival in sorted(arrivals, key=_BY_TIME):
        tokens, duration_ms = max(0, arrival.total_tokens), max(0, arrival.duration_ms)
        if arrival.refused and tokens == 0 and arrival.model in like:
            tokens, duration_ms = like[arrival.model].tokens, like[arrival.model].duration_ms
        found.append(_Call((arrival.time_ms - origin_ms) / 1000, tokens, duration_ms / 1000))
    return found


class _Platform:
    """The platform's limits with everything else that is sent against them (`others`, in the order of time)."""

    def __init__(self, limits: RateLimits | None, others: Sequence[_Call]) -> None:
        self._limits = None if limits is None else EnforcedLimits(limits)
        self._others = deque(others)
        self.others_refused = 0

    def admit(self, now: float, tokens: int) -> bool:
        if self._limits is None:
            return True
        self.pass_others(now)
        return self._limits.admit(now, tokens)

    def pass_others(self, until: float) -> None:
        """Let the others send what they send until then."""
        while self._limits is not None and self._others and self._others[0].at <= until:
            other = self._others.popleft()
            self.others_refused += not self._limits.admit(other.at, other.tokens)


class _Run:
    """One replay: the simulated clock, the queue in front of the limiter, and what became of each call."""

    def __init__(self, calls: list[_Call], client: RateLimits, platform: _Platform, max_wait_s: float) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.sent: list[tuple[float, float, bool]] = []
        self.given_up: list[float] = []
        self._calls = calls
        self._platform = platform
        self._max_wait_s = max_wait_s
        self._limiter = Limiter(client, lambda: self.now)
        self._slots = client.concurrency is not None
        self._turn = math.inf
        self._waiting: deque[tuple[_Call, Reservation]] = deque()
        self._ends: list[tuple[float, int, Reservation, int]] = []

    def run(self) -> None:
        following, last = 0, len(self._calls)
        while following < last or self._waiting:
            arrives = self._calls[following].at if following < last else math.inf
            ends = self._ends[0][0] if self._ends else math.inf
            self.now = max(self.now, min(arrives, ends, self._turn))
            if ends <= self.now:
                _, _, reservation, tokens = heapq.heappop(self._ends)
                self._limiter.settle(reservation, tokens)
            elif self._turn > self.now:
                self._arrive(self._calls[following])
                following += 1
                if len(self._waiting) > 1:
                    continue  # it joined the end of the queue: nothing changes for the first in it
            self._send()

    def _arrive(self, call: _Call) -> None:
        reservation = self._limiter.reserve(call.tokens)
        if reservation.wait_s > self._max_wait_s:
            self._limiter.cancel(reservation)
            self.given_up.append(call.at)
        else:
            self._waiting.append((call, reservation))

    def _send(self) -> None:
        """Send every call whose turn it is, and note when that of the first in the queue comes (or it gives up)."""
        while self._waiting:
            call, reservation = self._waiting[0]
            wait = self._limiter.wait_s(reservation)
            if wait > 0:
                patience = call.at + self._max_wait_s
                if self.now < patience:
                    self._turn = min(self.now + wait, patience)
                    return
                self._limiter.cancel(reservation)
                self.given_up.append(self.now)
            else:
                passed = self._platform.admit(self.now, call.tokens)
                self.sent.append((self.now, self.now - call.at, passed))
                if not passed:
                    self._limiter.settle(reservation, 0)
                elif self._slots:  # otherwise nothing depends on when it ends
                    heapq.heappush(self._ends, (self.now + call.seconds, len(self.sent), reservation, call.tokens))
            self._waiting.popleft()
        self._turn = math.inf


def replay(
    arrivals: Sequence[Arrival],
    client: RateLimits,
    platform: RateLimits | None = None,
    *,
    background: Sequence[Arrival] = (),
    max_wait_s: float = MAX_WAIT_S,
) -> Replayed:
    """Send `arrivals` (in any order) through a limiter with `client`'s limits, then through `platform`'s.

    `background` is what others send against the same limits of the platform, unthrottled. Takes time in proportion to
    n log n. Without `platform` the limits are unknown: then only calls that were given up count as refused after.
    """
    everything = (*arrivals, *background)
    origin_ms = min((a.time_ms for a in everything), default=0)
    like = typical(everything)
    calls, others = _calls(arrivals, like, origin_ms), _calls(background, like, origin_ms)

    before, after = _Platform(platform, others), _Platform(platform, others)
    modelled = None if platform is None else sum(not before.admit(call.at, call.tokens) for call in calls)
    run = _Run(calls, client, after, max_wait_s)
    run.run()
    before.pass_others(math.inf)
    after.pass_others(math.inf)

    waits = sorted(wait for _, wait, _ in run.sent)
    return Replayed(
        calls=len(calls),
        refused_before=sum(a.refused for a in arrivals),
        modelled_before=modelled,
        refused_after=len(run.given_up) + sum(not passed for _, _, passed in run.sent),
        given_up=len(run.given_up),
        p50_ms=_rank(waits, 0.5),
        p95_ms=_rank(waits, 0.95),
        max_ms=_rank(waits, 1.0),
        series=_series(calls, run, origin_ms),
        others_before=before.others_refused,
        others_after=after.others_refused,
    )


def _rank(ordered_s: list[float], share: float) -> float:
    """Nearest-rank percentile of seconds, in ms to the microsecond; 0 of nothing."""
    if not ordered_s:
        return 0.0
    return round(1000 * ordered_s[max(0, math.ceil(share * len(ordered_s)) - 1)], 3)


def _series(calls: list[_Call], run: _Run, origin_ms: int) -> tuple[Minute, ...]:
    def minute(at: float) -> int:
        return (origin_ms + round(at * 1000)) // 60_000 * 60_000

    arrived: dict[int, int] = {}
    for call in calls:
        arrived[minute(call.at)] = arrived.get(minute(call.at), 0) + 1
    sent: dict[int, list[tuple[float, float, bool]]] = {}
    for entry in run.sent:
        sent.setdefault(minute(entry[0]), []).append(entry)
    given_up: dict[int, int] = {}
    for at in run.given_up:
        given_up[minute(at)] = given_up.get(minute(at), 0) + 1
    return tuple(
        Minute(
            start_ms=start,
            arrived=arrived.get(start, 0),
            sent=len(here := sent.get(start, [])),
            refused=sum(not passed for _, _, passed in here),
            given_up=given_up.get(start, 0),
            longest_wait_ms=_rank([max((wait for _, wait, _ in here), default=0.0)], 1.0),
        )
        for start in sorted(arrived.keys() | sent.keys() | given_up.keys())
    )
