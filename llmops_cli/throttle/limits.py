"""Rate limits as numbers: per minute, per second, and how many calls may be under way at once."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What may be sent. None = unlimited; every other number is above 0.

    `rpm`, `rps`: requests per minute and second; `tpm`, `tps`: tokens (input and output) per minute and second;
    `concurrency`: calls under way at once. `rps` and `tps` default to a sixtieth of `rpm` and `tpm`, because Model
    Studio enforces its limits per second as well (https://help.aliyun.com/zh/model-studio/rate-limit). `math.inf` for
    one of them says: per minute only. Raises ValueError for numbers that limit nothing sensibly (0, negative, NaN).
    """

    rpm: float | None = None
    tpm: float | None = None
    rps: float | None = None
    tps: float | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "rps", "tps", "concurrency"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value}; leave it out for no limit")
        for per_minute, per_second in (("rpm", "rps"), ("tpm", "tps")):
            minute = getattr(self, per_minute)
            if minute == math.inf:
                object.__setattr__(self, per_minute, None)
            elif minute is not None and getattr(self, per_second) is None:
                object.__setattr__(self, per_second, minute / 60)
