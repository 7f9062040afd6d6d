"""What a story changes: the parts that scenarios are written in and that the simulation plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from llmops_cli.demo.platform import Reply, limit_for
from llmops_cli.demo.traffic import Load, Traffic, load

Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True)
class Truth:
    """One incident that is in the log: its type and scope as `status` should name them, and when it began.

    `driver` says who causes the demand, where that is not the scope itself.
    """

    type: str
    scope: dict[str, str]
    started_ms: int
    driver: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens from `start_ms` on to the calls in `scope` (dimension -> value; empty: all calls).

    `replies` refuse a `share` of them; `unseen` ones never reach a limit. `slower` multiplies the duration, `longer`
    the input tokens; `negative` is the share of negative ratings; `kept` the share of the requests that still come.
    """

    start_ms: int
    scope: Mapping[str, str]
    replies: tuple[Reply, ...] = ()
    share: float = 1.0
    unseen: bool = False
    slower: float = 1.0
    longer: float = 1.0
    negative: float | None = None
    kept: float = 1.0


@dataclass(frozen=True, slots=True)
class Surge:
    """Further calls from `start_ms` on, `per_minute` of them, shared by `combinations` (indexes) as their usual ones.

    `pulse_ms`: all of a minute's calls come within its first so many ms; 60,000 spreads them evenly.
    """

    start_ms: int
    per_minute: float
    combinations: tuple[int, ...]
    pulse_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One story of one seed: `limits` are model -> rpm and tpm; `guarded` is the model whose bursts are refused."""

    limits: dict[str, dict[str, int]]
    truths: tuple[Truth, ...] = ()
    effects: tuple[Effect, ...] = ()
    surges: tuple[Surge, ...] = ()
    guarded: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """The healthy situation in which a story begins at `began_ms`; it is `now_ms` at the end of the log.

    `per_minute` is the mean of all calls; `peak` the busiest minute over the mean, before chance is added.
    """

    traffic: Traffic
    seed: int
    began_ms: int
    now_ms: int
    per_minute: float
    peak: float

    def pick(self, *choices: Choice) -> Choice:
        """One of the choices: the first for seed 1, the next for seed 2 and so on."""
        return choices[(self.seed - 1) % len(choices)]

    def load(self, model: str) -> Load:
        """Mean healthy load of one model."""
        return load(self.traffic.combinations, model, self.per_minute)

    def limits(self) -> dict[str, dict[str, int]]:
        """Limits of all models under which the healthy traffic is healthy."""
        models = dict.fromkeys(combination.where.model for combination in self.traffic.combinations)
        return {model: limit_for(self.load(model), self.peak) for model in models}
