"""How long to wait before a refused call is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Random exponential backoff: 1 to 60 s, 6 attempts, as Model Studio advises for 429, 5xx and connection errors.

    Source: https://help.aliyun.com/zh/model-studio/rate-limiting-best-practices. Never for a billing 429, and each
    retry takes a rate token again. `attempts` counts the first try: 6 attempts are 5 delays. Raises ValueError for
    times or counts that make no sense.
    """

    base_s: float = 1.0
    max_s: float = 60.0
    attempts: int = 6
    jitter: Literal["full", "none"] = "full"

    def __post_init__(self) -> None:
        if not 0 < self.base_s <= self.max_s:
            raise ValueError(f"backoff needs 0 < base_s <= max_s, not {self.base_s} and {self.max_s}")
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {self.attempts}")

    def delays(self, random: Random) -> Iterator[float]:
        """Seconds to wait before the second, third … attempt.

        The n-th delay is drawn evenly from `base_s` to `base_s` × 2ⁿ, at most `max_s`; already the first is random, so
        that clients refused together do not come back together. `jitter="none"` takes the upper end.
        """
        upper = self.base_s
        for _ in range(self.attempts - 1):
            upper = min(self.max_s, upper * 2)
            yield upper if self.jitter == "none" else random.uniform(self.base_s, upper)
