"""The scenarios of `llmops demo`: made-up incidents whose truth is known. Same arguments, same events, everywhere.

made = generate("rate-limit", seed=1, calls=20_000, end_ms=1_752_042_204_748)
made.truths   # what `status` should find
made.limits   # {"qwen-plus": {"rpm": 140, "tpm": 280000}, ...}: what belongs into the configuration
for event in made.events: ...  # in the order of the log; may be iterated again
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from random import Random

from llmops_cli.demo import platform
from llmops_cli.demo.plan import Effect, Plan, Stage, Surge, Truth
from llmops_cli.demo.platform import limit_for
from llmops_cli.demo.simulation import Event, play
from llmops_cli.demo.traffic import ASKED, Load, rhythm, traffic

__all__ = ["SCENARIOS", "Event", "Generated", "Scenario", "Truth", "generate"]

SPAN = timedelta(hours=4, minutes=10)
"""How much traffic a log holds at least: a two-hour window, its baseline, and a margin."""
OVER = 1.3
"""Demand over the limit that it breaks, before clients try again."""
PROMPTS_GROW = 16
"""How many times as long the prompts of `token-limit` get at most: whole documents where passages stood."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story: its name, a sentence, and how it changes a healthy situation."""

    name: str
    summary: str
    plan: Callable[[Stage], Plan]


@dataclass(frozen=True, slots=True)
class _Events:
    name: str
    seed: int
    calls: int
    end_ms: int
    start_ms: int
    began_ms: int
    zone: tzinfo

    def stage(self) -> tuple[Random, list[float], Plan, Stage]:
        rng = Random(f"llmops demo/{self.name}/{self.seed}")  # noqa: S311 - a story must be the same again
        minutes = (self.end_ms - self.start_ms) // 60_000
        drawn = traffic(rng)
        shape = rhythm(rng, self.start_ms, minutes, self.zone)
        stage = Stage(drawn, self.seed, self.began_ms, self.end_ms, self.calls / minutes, max(shape))
        return rng, shape, SCENARIOS[self.name].plan(stage), stage

    def __iter__(self) -> Iterator[Event]:
        rng, shape, plan, stage = self.stage()
        return play(
            rng,
            stage.traffic,
            shape,
            plan,
            name=self.name,
            seed=self.seed,
            calls=self.calls,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
        )


@dataclass(frozen=True, slots=True)
class Generated:
    """A story's truth, the rate limits it plays under (model -> rpm and tpm), and its events in the log's order.

    Iterating over `events` again starts anew and gives the same events.
    """

    truths: tuple[Truth, ...]
    limits: dict[str, dict[str, int]]
    events: _Events


def generate(
    name: str,
    *,
    seed: int,
    calls: int = 20_000,
    end_ms: int,
    age: timedelta = timedelta(minutes=12),
    zone: tzinfo = UTC,
) -> Generated:
    """Make up about `calls` calls that end at `end_ms`; the incident began `age` before that.

    `calls` is the healthy demand over four hours and ten minutes (longer, when `age` is over two hours), so the pace
    follows from it; an incident adds or takes away. `zone` only decides where the busy hours of the day are. Unknown
    names raise KeyError; fewer than 1,000 calls or an age that is not between one minute and seven days, ValueError.
    """
    if name not in SCENARIOS:
        raise KeyError(name)
    if calls < 1000:
        raise ValueError("a scenario needs 1,000 calls or more")
    if not timedelta(minutes=1) <= age <= timedelta(days=7):
        raise ValueError("the age of an incident must be between 1 minute and 7 days")
    span = max(SPAN, age + timedelta(hours=2, minutes=10))
    minutes = -(-span // timedelta(minutes=1))
    began_ms = end_ms - age // timedelta(milliseconds=1)
    events = _Events(name, seed, calls, end_ms, end_ms - minutes * 60_000, began_ms, zone)
    plan = events.stage()[2]
    return Generated(plan.truths, plan.limits, events)


def _healthy(stage: Stage) -> Plan:
    return Plan(stage.limits())


def _surge(stage: Stage, model: str, began_ms: int, **only: str) -> tuple[Surge, dict[str, dict[str, int]]]:
    """Demand for `model` that breaks its RPM, from the combinations that `only` leaves; and the limits."""
    limits = stage.limits()
    usual = stage.load(model)
    per_minute = OVER * limits[model]["rpm"] - usual.calls
    growth = (usual.calls + per_minute) / usual.calls
    # Only requests are short: the token limit has room for the grown demand, as far as requests are let through.
    limits[model]["tpm"] = limit_for(_times(usual, growth), stage.peak)["tpm"]
    combinations = stage.traffic.within({"model": model, **only})
    return Surge(began_ms, per_minute, tuple(combinations)), limits


def _times(load: Load, factor: float) -> Load:
    return Load(load.calls * factor, load.tokens * factor, load.squares * factor)


def _rate_limit(stage: Stage) -> Plan:
    model = stage.pick("qwen-plus", "qwen3-max", "qwen-turbo")
    surge, limits = _surge(stage, model, stage.began_ms)
    return Plan(limits, (Truth("rate_limit_requests", {"model": model}, stage.began_ms),), surges=(surge,))


def _noisy_neighbour(stage: Stage) -> Plan:
    model, place = stage.pick(("qwen-plus", 3), ("qwen3-max", 2), ("qwen-turbo", 2))
    workspace = stage.traffic.workspaces[place]
    surge, limits = _surge(stage, model, stage.began_ms, workspace=workspace)
    truth = Truth("rate_limit_requests", {"model": model}, stage.began_ms, {"workspace": workspace})
    return Plan(limits, (truth,), surges=(surge,))


def _token_limit(stage: Stage) -> Plan:
    """One module's prompts grow; of the models it uses, only one is so near its TPM that it is refused."""
    module, model = stage.pick(("RAG", "qwen-plus"), ("Summarize", "qwen-turbo"))
    limits = stage.limits()
    usual, prompts = stage.load(model).tokens, _prompts(stage, model, module)
    longer = min(1 + (OVER * limits[model]["tpm"] - usual) / prompts, PROMPTS_GROW)
    for name, limit in limits.items():
        grown = _grown(stage, name, module, longer)
        short = math.floor(grown.tokens / OVER)
        limit["tpm"] = min(limit["tpm"], short) if name == model else limit_for(grown, stage.peak)["tpm"]
    effect = Effect(stage.began_ms, {"module": module}, longer=longer)
    truth = Truth("rate_limit_tokens", {"model": model}, stage.began_ms, {"module": module})
    return Plan(limits, (truth,), (effect,))


def _prompts(stage: Stage, model: str, module: str) -> float:
    """Input tokens per minute that `module` usually sends to `model`."""
    own = [stage.traffic.combinations[index] for index in stage.traffic.within({"model": model, "module": module})]
    return stage.per_minute * math.fsum(combination.share * combination.prompt for combination in own)


def _grown(stage: Stage, model: str, module: str, longer: float) -> Load:
    """Load of `model` when the prompts of `module` are so many times as long."""
    usual = stage.load(model)
    tokens = usual.tokens + _prompts(stage, model, module) * (longer - 1)
    # The spread is at most that of a load which has grown as a whole.
    return Load(usual.calls, tokens, usual.squares * (tokens / usual.tokens) ** 2)


def _burst(stage: Stage) -> Plan:
    """Every minute a job sends twenty times the usual calls within three seconds; the minute stays low."""
    model = stage.pick("qwen-plus", "qwen3-max", "qwen-turbo")
    usual = stage.load(model)
    per_minute = max(0.9 * usual.calls, 15.0)
    limits = stage.limits()
    limits[model] = limit_for(_times(usual, 1.3 * (1 + per_minute / usual.calls)), stage.peak)
    surge = Surge(stage.began_ms, per_minute, tuple(stage.traffic.within({"model": model})), pulse_ms=3_000)
    truth = Truth("rate_limit_burst", {"model": model}, stage.began_ms)
    return Plan(limits, (truth,), surges=(surge,), guarded=model)


def _bad_key(stage: Stage) -> Plan:
    app = stage.pick("shop-assistant", "risk-review", "doc-qa", "bailian-log")
    effect = Effect(stage.began_ms, {"app": app}, (platform.BAD_KEY,), unseen=True)
    return Plan(stage.limits(), (Truth("auth", {"app": app}, stage.began_ms),), (effect,))


def _arrears(stage: Stage) -> Plan:
    effect = Effect(stage.began_ms, {}, (platform.ARREARS,), unseen=True)
    return Plan(stage.limits(), (Truth("billing", {}, stage.began_ms),), (effect,))


def _moderation(stage: Stage) -> Plan:
    app, module = stage.pick(("shop-assistant", "Chat"), ("doc-qa", "RAG"), ("risk-review", "Agent"))
    scope = {"app": app, "module": module}
    replies = (platform.INSPECTED_INPUT, platform.INSPECTED_INPUT, platform.INSPECTED_OUTPUT)
    effect = Effect(stage.began_ms, scope, replies, share=0.45)
    return Plan(stage.limits(), (Truth("content_moderation", scope, stage.began_ms),), (effect,))


def _latency(stage: Stage) -> Plan:
    model = stage.pick("qwen-plus", "qwen3-max", "qwen-turbo", "qwen-max")
    effect = Effect(stage.began_ms, {"model": model}, slower=4.0)
    return Plan(stage.limits(), (Truth("latency", {"model": model}, stage.began_ms),), (effect,))


def _server_error(stage: Stage) -> Plan:
    model = stage.pick("qwen3-max", "qwen-plus", "qwen-turbo", "qwen-max")
    replies = (platform.INTERNAL, platform.INTERNAL, platform.ALGORITHM, platform.UNAVAILABLE)
    effect = Effect(stage.began_ms, {"model": model}, replies, share=0.4)
    return Plan(stage.limits(), (Truth("server_error", {"model": model}, stage.began_ms),), (effect,))


def _traffic_drop(stage: Stage) -> Plan:
    scope = {"app": "shop-assistant"}
    effect = Effect(stage.began_ms, scope, kept=0.02)
    return Plan(stage.limits(), (Truth("traffic_drop", scope, stage.began_ms),), (effect,))


def _negative_feedback(stage: Stage) -> Plan:
    scope = {"app": ASKED[0], "module": ASKED[1]}
    effect = Effect(stage.began_ms, scope, negative=0.8)
    return Plan(stage.limits(), (Truth("negative_feedback", scope, stage.began_ms),), (effect,))


def _two_faults(stage: Stage) -> Plan:
    """Revoke a key, and later break a rate limit, which the calls with the bad key never reach."""
    app, model = stage.pick(("bailian-log", "qwen-plus"), ("doc-qa", "qwen3-max"), ("risk-review", "qwen-turbo"))
    later = stage.began_ms + (stage.now_ms - stage.began_ms) // 3
    surge, limits = _surge(stage, model, later)
    others = [index for index in surge.combinations if stage.traffic.combinations[index].where.app != app]
    surge = Surge(surge.start_ms, surge.per_minute + stage.load(model).calls, tuple(others))
    effect = Effect(stage.began_ms, {"app": app}, (platform.BAD_KEY,), unseen=True)
    truths = (
        Truth("auth", {"app": app}, stage.began_ms),
        Truth("rate_limit_requests", {"model": model}, later),
    )
    return Plan(limits, truths, (effect,), (surge,))


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("healthy", "nothing is wrong: a few single failures, as always", _healthy),
        Scenario("rate-limit", "demand for one model exceeds its requests per minute", _rate_limit),
        Scenario("token-limit", "longer prompts exceed one model's tokens per minute", _token_limit),
        Scenario("burst", "a job sends its calls all at once, well below the limits of a minute", _burst),
        Scenario("bad-key", "one application calls with a revoked key", _bad_key),
        Scenario("arrears", "the account has an overdue bill: every call is refused", _arrears),
        Scenario("moderation", "content inspection refuses nearly half of one module's calls", _moderation),
        Scenario("latency", "one model answers four times as slowly", _latency),
        Scenario("server-error", "one model fails on the platform's side", _server_error),
        Scenario(
            "noisy-neighbour", "one workspace fills the account's limit, the others are refused too", _noisy_neighbour
        ),
        Scenario("traffic-drop", "one application's requests stop coming", _traffic_drop),
        Scenario("negative-feedback", "users reject the answers of one module", _negative_feedback),
        Scenario("two-faults", "a revoked key in one application, then a rate limit on one model", _two_faults),
    )
}
"""All scenarios by name, in the order in which they are listed."""
