"""The healthy traffic that every story starts from: who calls which model, how often, how long, how large.

Only numbers that are exactly the same everywhere are used: `random.Random.random` and `getrandbits`, additions and
multiplications, and tables rounded to six digits. `exp` and `log` of one platform's C library may differ from
another's in the last bit, and the bytes of a log must not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from random import Random
from statistics import NormalDist
from string import ascii_lowercase, digits

from llmops_cli.evidence import Where

STEPS = 2048
"""Values in a table of quantiles; a draw takes one of them, each as likely as the next."""


def _lognormal(sigma: float) -> tuple[float, ...]:
    normal = NormalDist()
    return tuple(round(math.exp(sigma * normal.inv_cdf((step + 0.5) / STEPS)), 6) for step in range(STEPS))


LATENCY = _lognormal(0.5)
"""Latency over its median: p95 is 2.3 times the median."""
SIZE = _lognormal(0.6)
"""Tokens over their median; the mean is 1.2 times the median."""
SIZE_MEAN = math.fsum(SIZE) / STEPS
SIZE_SQUARE = math.fsum(size * size for size in SIZE) / STEPS

FOLLOW_UP = 0.35
"""How likely an agent, after an answer, calls the model again in the same trace; at most twice."""
AGENT_CALLS = 1 + FOLLOW_UP + FOLLOW_UP**2

MEDIAN_MS = {
    "qwen-plus": 1150,
    "qwen3-max": 1600,
    "qwen-turbo": 850,
    "qwen-max": 1400,
    "deepseek-v3": 1550,
    "qwen-vl-max": 1500,
}
"""Median latency of a successful call, ms: p95 between 2 and 4 s, as chat models have it."""

TOKENS = {
    "Chat": (360, 190),
    "RAG": (2700, 320),
    "Summarize": (1600, 200),
    "Agent": (1100, 250),
    "Extract": (1250, 150),
}
"""Median input and output tokens per module."""

RATED = 0.08
"""Share of the answers that users rate, where nothing asks them to."""
RATED_WHERE_ASKED = 0.5
"""Share of rated answers where the page asks for a rating."""
ASKED = ("shop-assistant", "Chat")
NEGATIVE = 0.04
"""Share of the ratings that are negative in healthy times."""

_HOURS = (62, 58, 55, 54, 55, 58, 64, 72, 82, 91, 97, 98, 92, 93, 98, 100, 99, 95, 91, 90, 91, 88, 79, 70)
"""Traffic by local hour, percent of the busiest: an office day with an evening."""


@dataclass(frozen=True, slots=True)
class _App:
    share: float
    modules: dict[str, tuple[float, dict[str, float]]]
    workspaces: tuple[float, ...]


# Every workspace, model and module serves several apps, and every app uses several of each, so that the scope of an
# incident has one name: what only one app used could be called by the name of either.
_APPS = {
    "shop-assistant": _App(
        0.38,
        {
            "Chat": (0.50, {"qwen-plus": 0.60, "qwen-turbo": 0.25, "qwen3-max": 0.15}),
            "RAG": (0.30, {"qwen-plus": 0.50, "qwen3-max": 0.30, "deepseek-v3": 0.20}),
            "Summarize": (0.20, {"qwen-turbo": 0.70, "qwen-plus": 0.30}),
        },
        (0.68, 0.24, 0.08, 0.0),
    ),
    "risk-review": _App(
        0.25,
        {
            "Agent": (0.45, {"qwen3-max": 0.45, "qwen-plus": 0.35, "deepseek-v3": 0.20}),
            "Extract": (0.35, {"qwen-turbo": 0.38, "qwen-plus": 0.30, "qwen-max": 0.22, "qwen-vl-max": 0.10}),
            "Chat": (0.20, {"qwen-plus": 0.50, "qwen-max": 0.50}),
        },
        (0.54, 0.31, 0.0, 0.15),
    ),
    "doc-qa": _App(
        0.22,
        {
            "RAG": (0.52, {"qwen-plus": 0.55, "deepseek-v3": 0.25, "qwen-max": 0.20}),
            "Summarize": (0.28, {"qwen-turbo": 0.55, "qwen-plus": 0.45}),
            "Extract": (0.20, {"qwen-vl-max": 0.60, "qwen-plus": 0.40}),
        },
        (0.21, 0.58, 0.21, 0.0),
    ),
    "bailian-log": _App(
        0.15,
        {
            "Chat": (0.70, {"qwen-plus": 0.50, "qwen-max": 0.30, "qwen3-max": 0.20}),
            "Agent": (0.30, {"qwen3-max": 0.60, "deepseek-v3": 0.40}),
        },
        (0.50, 0.0, 0.30, 0.20),
    ),
}


@dataclass(frozen=True, slots=True)
class Combination:
    """One app × module × model × workspace: `share` of all calls (0..1), medians in tokens and ms."""

    where: Where
    share: float
    input_tokens: int
    output_tokens: int
    median_ms: int
    rated: float

    @property
    def tokens(self) -> float:
        """Mean total tokens of a call."""
        return (self.input_tokens + self.output_tokens) * SIZE_MEAN

    @property
    def prompt(self) -> float:
        """Mean input tokens of a call."""
        return self.input_tokens * SIZE_MEAN

    @property
    def traces(self) -> float:
        """Share of the traces: an agent's trace holds several calls."""
        return self.share / AGENT_CALLS if self.where.module == "Agent" else self.share


@dataclass(frozen=True, slots=True)
class Traffic:
    """The combinations of one seed, and its workspaces with the busiest first."""

    combinations: tuple[Combination, ...]
    workspaces: tuple[str, ...]

    def within(self, scope: dict[str, str]) -> list[int]:
        """List the indexes of the combinations that lie in `scope` (dimension -> value; empty: all)."""
        return [
            index
            for index, combination in enumerate(self.combinations)
            if all(getattr(combination.where, dimension) == value for dimension, value in scope.items())
        ]


def traffic(rng: Random) -> Traffic:
    """Draw a seed's traffic: the same apps and models, shares that differ by a tenth, workspace ids of its own."""
    alphabet = ascii_lowercase + digits
    workspaces = tuple("llm-" + "".join(alphabet[int(rng.random() * 36)] for _ in range(16)) for _ in range(4))
    weights: list[tuple[Where, float]] = []
    for name, app in _APPS.items():
        app_share = app.share * _about(rng)
        for module, (module_share, models) in app.modules.items():
            for model, model_share in models.items():
                share = app_share * module_share * model_share * _about(rng)
                weights += [
                    (Where(name, module, model, workspace), share * part)
                    for workspace, part in zip(workspaces, app.workspaces, strict=True)
                    if part
                ]
    total = math.fsum(weight for _, weight in weights)
    return Traffic(tuple(_combination(where, weight / total) for where, weight in weights), workspaces)


def _about(rng: Random) -> float:
    return 0.9 + 0.2 * rng.random()


def _combination(where: Where, share: float) -> Combination:
    input_tokens, output_tokens = TOKENS[where.module]
    rated = RATED_WHERE_ASKED if (where.app, where.module) == ASKED else RATED
    return Combination(where, share, input_tokens, output_tokens, MEDIAN_MS[where.model], rated)


def rhythm(rng: Random, start_ms: int, minutes: int, zone: tzinfo) -> list[float]:
    """Say how busy each minute from `start_ms` is, 1 on average: the hours of the day in `zone`, and noise of 6 %."""
    shape = [_of_day(start_ms + minute * 60_000, zone) * (0.94 + 0.12 * rng.random()) for minute in range(minutes)]
    mean = math.fsum(shape) / minutes
    return [value / mean for value in shape]


def _of_day(ms: int, zone: tzinfo) -> float:
    at = datetime.fromtimestamp(ms // 1000, zone)
    here, after = _HOURS[at.hour], _HOURS[(at.hour + 1) % 24]
    return here + (after - here) * at.minute / 60


@dataclass(frozen=True, slots=True)
class Load:
    """What one model bears per minute: calls, tokens, and the sum of squared tokens (for their spread)."""

    calls: float
    tokens: float
    squares: float


def load(combinations: Sequence[Combination], model: str, per_minute: float) -> Load:
    """Add up the mean load of `model` when `per_minute` calls come in all."""
    own = [combination for combination in combinations if combination.where.model == model]
    ratio = SIZE_SQUARE / (SIZE_MEAN * SIZE_MEAN)
    return Load(
        calls=per_minute * math.fsum(combination.share for combination in own),
        tokens=per_minute * math.fsum(combination.share * combination.tokens for combination in own),
        squares=per_minute * math.fsum(combination.share * combination.tokens**2 * ratio for combination in own),
    )
