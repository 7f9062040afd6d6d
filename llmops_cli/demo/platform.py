"""The platform as a caller meets it: limits that refuse exactly what exceeds them, and the errors it answers with.

Limits are those of Model Studio's rate limit page: per main account and model over all workspaces, per minute and per
second (RPM/60, TPM/60). Codes and messages are those of its error code page.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from llmops_cli.demo.traffic import Load

HEALTHY_LEVEL = 0.66
"""The water level that the busiest healthy minute may reach; a warning begins at 0.7."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A failure as it is logged. `status` None: no HTTP answer came. The call took `least_ms` to `most_ms`."""

    status: int | None
    code: str
    message: str
    least_ms: int = 18
    most_ms: int = 95


RATE = Reply(429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
ALLOCATION = Reply(429, "Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit.")
BURST = Reply(
    429,
    "Throttling.BurstRate",
    "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale "
    "requests more smoothly over time.",
)
BAD_KEY = Reply(401, "InvalidApiKey", "Invalid API-key provided.")
ARREARS = Reply(400, "Arrearage", "Access denied, please make sure your account is in good standing.")
INSPECTED_INPUT = Reply(400, "DataInspectionFailed", "Input data may contain inappropriate content.", 90, 340)
INSPECTED_OUTPUT = Reply(400, "DataInspectionFailed", "Output data may contain inappropriate content.", 600, 2400)
INTERNAL = Reply(
    500,
    "InternalError",
    "An internal error has occured, please try again later or contact service support.",
    200,
    2600,
)
ALGORITHM = Reply(500, "InternalError.Algo", "inference internal error.", 150, 1900)
UNAVAILABLE = Reply(503, "ModelUnavailable", "Model is unavailable, please try again later.", 40, 400)
TIMED_OUT = Reply(
    None,
    "SocketTimeoutException",
    'I/O error on POST request for "https://dashscope.aliyuncs.com/api/v1/services/aigc/text-generation/generation": '
    "timeout",
    30_001,
    30_040,
)
TOO_LONG = Reply(400, "InvalidParameter", "Range of input length should be [1, 129024]", 20, 120)
BAD_PARAMETER = Reply(400, "InvalidParameter", "Temperature should be in [0.0, 2.0)", 20, 90)

BACKGROUND = (
    (0.0011, INTERNAL),
    (0.0014, ALGORITHM),
    (0.0018, TIMED_OUT),
    (0.0023, INSPECTED_INPUT),
    (0.0026, TOO_LONG),
    (0.0028, BAD_PARAMETER),
    (0.0030, RATE),
)
"""What always fails a little, as a cumulative share of the calls: single ones, at no place in particular."""


@dataclass(slots=True)
class Bucket:
    """So many per minute, spread over its seconds: a token bucket, and never more in one minute of the clock.

    It is in debt after a large call and refuses until that is paid back: size does not decide who is refused.
    """

    per_minute: float
    burst: float
    level: float = field(init=False)
    at_ms: int = 0
    minute: int = -1
    used: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.burst

    def has_room(self, now_ms: int, least: float) -> bool:
        """Whether a call sent at `now_ms` is admitted; times never go back. `least`: what it costs at least."""
        self.level = min(self.burst, self.level + (now_ms - self.at_ms) * self.per_minute / 60_000)
        self.at_ms = now_ms
        minute = now_ms // 60_000
        if minute != self.minute:
            self.minute, self.used = minute, 0.0
        return self.level >= least and self.used + least <= self.per_minute

    def take(self, cost: float) -> None:
        """Book an admitted call."""
        self.level -= cost
        self.used += cost


@dataclass(slots=True)
class BurstGuard:
    """Refuses what comes much faster within three seconds than the last minute's mean lets expect.

    Twice the mean is let through, and as much as chance adds to it: four standard deviations of a Poisson count.
    """

    since_ms: int | None = None
    minute: deque[int] = field(default_factory=deque)
    admitted: deque[int] = field(default_factory=deque)

    def has_room(self, now_ms: int) -> bool:
        """Whether a call sent at `now_ms` is admitted, and book it. Nothing is refused in the first minute."""
        if self.since_ms is None:
            self.since_ms = now_ms
        while self.minute and self.minute[0] <= now_ms - 60_000:
            self.minute.popleft()
        while self.admitted and self.admitted[0] <= now_ms - 3_000:
            self.admitted.popleft()
        mean = len(self.minute) / 20
        self.minute.append(now_ms)
        if now_ms - self.since_ms >= 60_000 and len(self.admitted) >= 2 * mean + 4 * math.sqrt(mean) + 2:
            return False
        self.admitted.append(now_ms)
        return True


class Platform:
    """Admission by model; refused calls take nothing from a limit."""

    def __init__(self, limits: dict[str, dict[str, int]], guarded: str = "") -> None:
        """`limits`: model -> rpm and tpm. `guarded`: the model whose bursts are refused."""
        self._guarded = guarded
        self._guard = BurstGuard()
        self._requests = {name: Bucket(limit["rpm"], max(10.0, limit["rpm"] / 6)) for name, limit in limits.items()}
        self._tokens = {name: Bucket(limit["tpm"], limit["tpm"] / 3) for name, limit in limits.items()}

    def refuses(self, model: str, now_ms: int, tokens: int) -> Reply | None:
        """Return the refusal of a call sent at `now_ms`, None when it is admitted; times never go back."""
        if model == self._guarded and not self._guard.has_room(now_ms):
            return BURST
        requests, allocation = self._requests[model], self._tokens[model]
        if not requests.has_room(now_ms, 1):
            return RATE
        if not allocation.has_room(now_ms, 1):
            return ALLOCATION
        requests.take(1)
        allocation.take(tokens)
        return None


def limit_for(load: Load, peak: float) -> dict[str, int]:
    """RPM and TPM under which `load` is healthy also in its busiest minute, `peak` times the mean (1.0 and more).

    Arrivals scatter like a Poisson process, so a quiet model needs much more room above its mean than a busy one.
    """
    calls, tokens = load.calls * peak, load.tokens * peak
    rpm = calls + 4.8 * math.sqrt(calls) + 4
    tpm = tokens + 5.5 * math.sqrt(load.squares * peak) + 8 * load.tokens / load.calls
    return {"rpm": round_up(rpm / HEALTHY_LEVEL), "tpm": round_up(tpm / HEALTHY_LEVEL)}


def round_up(value: float) -> int:
    """Round up to two leading digits: 61.3 -> 62, 12,345 -> 13,000."""
    unit: int = 10 ** max(len(str(int(value))) - 2, 0)
    return math.ceil(value / unit) * unit
