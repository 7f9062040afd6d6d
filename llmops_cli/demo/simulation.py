"""Plays a plan: requests arrive, the platform admits or refuses, clients retry, and everything is logged in order.

One pass over time with two heaps: calls still to be sent (retries, an agent's next step), and events not yet logged
(a call is logged when it ends). Memory follows the calls in flight, not the length of the log.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import accumulate
from math import fsum
from random import Random
from typing import NamedTuple

from llmops_cli.demo import lines
from llmops_cli.demo.plan import Effect, Plan, Surge
from llmops_cli.demo.platform import BACKGROUND, Platform, Reply
from llmops_cli.demo.traffic import FOLLOW_UP, LATENCY, NEGATIVE, SIZE, STEPS, Traffic
from llmops_cli.evidence import CallRecord, FeedbackRecord, LogLine

Event = CallRecord | FeedbackRecord | LogLine

VERBOSE = 0.10
"""Share of the traces whose request, prompts and results are logged."""
RETRIES = 3
EARLY_MS = 20
"""How much before a call's start the lines of its request are logged at most."""

_AT_ONCE = 100_000
"""Requests dealt out to minutes in one go, so that millions of them need no memory."""


class _Sent(NamedTuple):
    """A call at the moment it is sent. `attempt` counts the retries, `step` the follow-ups of an agent."""

    ms: int
    order: int
    combination: int
    trace_id: str
    verbose: bool
    attempt: int = 0
    step: int = 0


def play(
    rng: Random,
    traffic: Traffic,
    shape: list[float],
    plan: Plan,
    *,
    name: str,
    seed: int,
    calls: int,
    start_ms: int,
    end_ms: int,
) -> Iterator[Event]:
    """All events logged in `[start_ms, end_ms)`, in the order of their times; `shape` has one value per minute."""
    yield lines.opening(start_ms, name, seed, calls)
    story = _Story(rng, traffic, plan, end_ms)
    for minute in _arrivals(rng, traffic, shape, plan, calls=calls, start_ms=start_ms, end_ms=end_ms):
        for ms, combination in minute:
            yield from story.until(ms)
            story.request(ms, combination)
    yield from story.until(end_ms)
    yield from story.logged(end_ms)


def _arrivals(
    rng: Random, traffic: Traffic, shape: list[float], plan: Plan, *, calls: int, start_ms: int, end_ms: int
) -> Iterator[list[tuple[int, int]]]:
    """Draw the requests (ms, combination) minute by minute, in order: a Poisson process, given its total."""
    shares = list(accumulate(combination.traces for combination in traffic.combinations))
    every = range(len(shares))
    counts = [0] * len(shape)
    busy, left = list(accumulate(shape)), round(calls * shares[-1])
    while left:
        for minute in rng.choices(range(len(shape)), cum_weights=busy, k=min(left, _AT_ONCE)):
            counts[minute] += 1
        left -= min(left, _AT_ONCE)
    further = [
        _further(rng, traffic, surge, minutes=len(shape), start_ms=start_ms, end_ms=end_ms) for surge in plan.surges
    ]
    drops = [(effect, set(traffic.within(dict(effect.scope)))) for effect in plan.effects if effect.kept < 1]
    for minute, count in enumerate(counts):
        first = start_ms + minute * 60_000
        chosen = rng.choices(every, cum_weights=shares, k=count)
        arrived = [(first + int(rng.random() * 60_000), combination) for combination in chosen]
        for effect, dropped in drops:
            arrived = [
                (ms, combination)
                for ms, combination in arrived
                if ms < effect.start_ms or combination not in dropped or rng.random() < effect.kept
            ]
        for surge in further:
            arrived += surge[minute]
        arrived.sort()
        yield arrived


def _further(
    rng: Random, traffic: Traffic, surge: Surge, *, minutes: int, start_ms: int, end_ms: int
) -> list[list[tuple[int, int]]]:
    """Draw a surge's requests, by minute of the log."""
    combinations = [traffic.combinations[index] for index in surge.combinations]
    traces = fsum(combination.traces for combination in combinations)
    per_minute = surge.per_minute * traces / fsum(combination.share for combination in combinations)
    shares = list(accumulate(combination.traces for combination in combinations))
    by_minute: list[list[tuple[int, int]]] = [[] for _ in range(minutes)]
    rounds = (end_ms - surge.start_ms) / 60_000
    for combination in rng.choices(surge.combinations, cum_weights=shares, k=round(per_minute * rounds)):
        since = int(rng.random() * rounds * 60_000)
        if surge.pulse_ms < 60_000:
            since = since // 60_000 * 60_000 + int(rng.random() * surge.pulse_ms)
        ms = surge.start_ms + since
        if ms < end_ms:
            by_minute[(ms - start_ms) // 60_000].append((ms, combination))
    return by_minute


class _Story:
    """The state of one pass."""

    def __init__(self, rng: Random, traffic: Traffic, plan: Plan, end_ms: int) -> None:
        self._rng = rng
        self._random = rng.random
        self._combinations = traffic.combinations
        self._platform = Platform(plan.limits, plan.guarded)
        self._end_ms = end_ms
        self._effects: list[tuple[Effect, ...]] = [() for _ in traffic.combinations]
        for effect in plan.effects:
            for index in traffic.within(dict(effect.scope)):
                self._effects[index] += (effect,)
        self._to_send: list[_Sent] = []
        self._to_log: list[tuple[int, int, Event]] = []
        self._order = 0

    def until(self, ms: int) -> Iterator[Event]:
        """Send what is due before `ms`, and give what has been logged for certain."""
        while self._to_send and self._to_send[0].ms < ms:
            sent = heapq.heappop(self._to_send)
            yield from self.logged(sent.ms - EARLY_MS)
            self._call(sent)
        yield from self.logged(ms - EARLY_MS)

    def logged(self, ms: int) -> Iterator[Event]:
        """Give the events before `ms`."""
        pending = self._to_log
        while pending and pending[0][0] < ms:
            yield heapq.heappop(pending)[2]

    def request(self, ms: int, combination: int) -> None:
        """Take a user's request: the first call of a trace."""
        trace_id, verbose = self._uuid(), self._random() < VERBOSE
        if verbose:
            where = self._combinations[combination].where
            early = 4 + int(self._random() * (EARLY_MS - 5))
            self._log(ms - early, lines.received(self._rng, ms - early, trace_id, where))
        self._call(_Sent(ms, 0, combination, trace_id, verbose))

    def _uuid(self) -> str:
        text = f"{self._rng.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _log(self, ms: int, event: Event) -> None:
        if ms < self._end_ms:
            self._order += 1
            heapq.heappush(self._to_log, (ms, self._order, event))

    def _send(self, after: _Sent, ms: int, *, attempt: int, step: int) -> None:
        if ms < self._end_ms:
            self._order += 1
            heapq.heappush(self._to_send, after._replace(ms=ms, order=self._order, attempt=attempt, step=step))

    def _call(self, sent: _Sent) -> None:
        """Send a call, log it when it ends, and decide what the client does next."""
        random = self._random
        combination = self._combinations[sent.combination]
        effects = tuple(effect for effect in self._effects[sent.combination] if sent.ms >= effect.start_ms)
        size, latency = SIZE[int(random() * STEPS)], LATENCY[int(random() * STEPS)]
        tokens_in, duration = combination.input_tokens * size, combination.median_ms * latency
        tokens_out = combination.output_tokens * SIZE[int(random() * STEPS)]
        for effect in effects:
            tokens_in *= effect.longer
            duration *= effect.slower
        used = (int(tokens_in) + 1, int(tokens_out) + 1)
        if sent.verbose and not sent.attempt:
            self._log(sent.ms - 1, lines.prompt(self._rng, sent.ms - 1, sent.trace_id, combination.where))
        reply = self._reply(combination.where.model, effects, sent.ms, sum(used))
        if reply is None:
            self._answered(sent, int(duration) + 1, used, effects)
        else:
            self._failed(sent, reply)

    def _reply(self, model: str, effects: tuple[Effect, ...], ms: int, tokens: int) -> Reply | None:
        """Decide how the call fails; None when it is answered."""
        random = self._random
        chance = random()
        for effect in effects:
            if effect.unseen and effect.replies and chance < effect.share:
                return effect.replies[int(random() * len(effect.replies))]
        refusal = self._platform.refuses(model, ms, tokens)
        if refusal is not None:
            return refusal
        for effect in effects:
            if effect.replies and chance < effect.share:
                return effect.replies[int(random() * len(effect.replies))]
        chance = random()
        if chance < BACKGROUND[-1][0]:
            return next(reply for share, reply in BACKGROUND if chance < share)
        return None

    def _record(self, sent: _Sent, duration_ms: int, used: tuple[int, int], reply: Reply | None) -> CallRecord:
        where = self._combinations[sent.combination].where
        tail = (200, "", "") if reply is None else (reply.status, reply.code, reply.message)
        return CallRecord(
            sent.ms + duration_ms,
            "INFO" if reply is None else "ERROR",
            sent.trace_id,
            *where,
            "" if reply is not None and reply.status is None else self._uuid(),
            tail[0],
            duration_ms,
            used[0],
            used[1],
            used[0] + used[1],
            tail[1],
            tail[2],
        )

    def _answered(self, sent: _Sent, duration_ms: int, used: tuple[int, int], effects: tuple[Effect, ...]) -> None:
        random = self._random
        call = self._record(sent, duration_ms, used, None)
        self._log(call.time_ms, call)
        if sent.verbose:
            self._log(call.time_ms, lines.result(self._rng, call))
        if call.module == "Agent" and sent.step < 2 and random() < FOLLOW_UP:
            self._send(sent, call.time_ms + 80 + int(random() * 500), attempt=0, step=sent.step + 1)
        if random() < self._combinations[sent.combination].rated:
            self._rate(call, next((e.negative for e in effects if e.negative is not None), NEGATIVE))

    def _rate(self, call: CallRecord, negative: float) -> None:
        """Have the user rate the answer, some seconds later."""
        random = self._random
        ms = call.time_ms + 2_000 + int(random() * 28_000)
        rating, comments = ("down", lines.COMMENTS_DOWN) if random() < negative else ("up", lines.COMMENTS_UP)
        comment = comments[int(random() * len(comments))]
        where = (call.app, call.module, call.model, call.workspace)
        self._log(ms, FeedbackRecord(ms, call.trace_id, *where, call.request_id, rating, comment))

    def _failed(self, sent: _Sent, reply: Reply) -> None:
        random = self._random
        duration_ms = reply.least_ms + int(random() * (reply.most_ms - reply.least_ms))
        call = self._record(sent, duration_ms, (0, 0), reply)
        self._log(call.time_ms, call)
        passing = reply.status in (429, 500, 503)
        if passing and sent.attempt < RETRIES and random() < (0.5 if reply.status == 429 else 0.4):
            # Random exponential backoff, as the platform's guide on rate limits asks for: about 1, 2 and 4 s.
            wait_ms = int(1000 * 2**sent.attempt * (0.5 + random()))
            self._log(call.time_ms, lines.retrying(call.time_ms, call, wait_ms, sent.attempt + 1))
            self._send(sent, call.time_ms + wait_ms, attempt=sent.attempt + 1, step=sent.step)
        elif random() < 0.05:
            self._log(call.time_ms, lines.stack_trace(call))
