"""A model of how the platform enforces its limits: what it would refuse.

Model Studio documents limits per minute that are enforced per second as well, summed over everything one account sends
to a model (https://help.aliyun.com/zh/model-studio/rate-limit), but not how it measures. The model is the strict
reading: rolling windows of 60 s and 1 s. A call is refused when the calls already admitted inside one of them reach its
limit, or their tokens do; so 3.8 requests per second let four pass, and one long prompt passes on its own, however long
it is. Tokens are counted in full when the call is sent. A refused call uses up nothing.
"""

from __future__ import annotations

from collections import deque

from llmops_cli.throttle.limits import RateLimits

_CLOSE_S = 1e-6
"""Times are floats: a call exactly one window ago is out of it, whatever the last bits say."""


class _Rolling:
    """What was admitted in the last `seconds`: a sum that must stay below `limit` for the next call to pass."""

    __slots__ = ("_entries", "limit", "seconds", "used")

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.used = 0
        self._entries: deque[tuple[float, int]] = deque()

    def full(self, now: float) -> bool:
        entries, since = self._entries, now - self.seconds + _CLOSE_S
        while entries and entries[0][0] <= since:
            self.used -= entries.popleft()[1]
        return self.used >= self.limit

    def add(self, now: float, amount: int) -> None:
        self._entries.append((now, amount))
        self.used += amount


class EnforcedLimits:
    """Takes calls in the order of time and says which of them pass `limits`; their `concurrency` is not enforced."""

    def __init__(self, limits: RateLimits) -> None:
        requests = ((limits.rpm, 60.0), (limits.rps, 1.0))
        tokens = ((limits.tpm, 60.0), (limits.tps, 1.0))
        self._requests = tuple(_Rolling(limit, seconds) for limit, seconds in requests if limit is not None)
        self._tokens = tuple(_Rolling(limit, seconds) for limit, seconds in tokens if limit is not None)

    def admit(self, now: float, tokens: int) -> bool:
        """Whether a call of so many tokens, sent at `now` (seconds, never going back), is let through."""
        for window in self._requests:
            if window.full(now):
                return False
        for window in self._tokens:
            if window.full(now):
                return False
        for window in self._requests:
            window.add(now, 1)
        for window in self._tokens:
            window.add(now, tokens)
        return True
