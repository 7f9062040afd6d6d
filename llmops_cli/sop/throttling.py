"""Client-side limits for one model: what `recover throttle` proposes, and what they would have made of the window.

Rules, and where they come from:

- Requests and tokens per minute: the limit × `headroom`. Limits hold for the whole account, are enforced per second as
  well, and others may share them (https://help.aliyun.com/zh/model-studio/rate-limit), so a client stays below.
- One workspace gets its max-min fair share: every other workspace is given what it asked for in its busiest minute
  (refused calls included), as far as that is no more than an equal share; the rest belongs to this one. So a noisy
  workspace makes room for the quiet ones, and never gets less than limit / workspaces. A workspace's own limit is its
  own: nothing is subtracted from it.
- Concurrency by Little's law (calls under way = rate × time): the rate that the limits let through × the p95 of the
  successful calls' durations. The p95 rather than the mean, so that slots never hold back what the rates allow.
- Unknown limits are read off the log. While calls are refused, what is still admitted per minute is the limit at work:
  the median over the minutes with refusals. Without refusals the busiest minute was safe, and nothing more is known.
- Bursts are another matter: what passes between them is no limit. The busiest minute, spread evenly, has none.
- A known limit that explains next to none of the refusals is not the one at work: others use it too, or it is lower.
  Then, too, what is still admitted is what there is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from llmops_cli.evidence import Arrival, Limit, Message
from llmops_cli.report import Backoff, Replay, ThrottleData, Waits
from llmops_cli.sop.throttle_settings import settings
from llmops_cli.throttle import BackoffPolicy, RateLimits, Replayed, replay
from llmops_cli.throttle.replay import MAX_WAIT_S, Typical, typical

HEADROOM = 0.9
"""Share of a limit to use: a tenth is left for callers that this log does not show, and for bursts."""

ASSUMED_SECONDS = 5.0
"""Duration of a call when the window has no successful one: the p95 from which a warning is due by default."""

_LEAST_CONCURRENCY = 2
"""One slow call must not hold up all others."""

_EXPLAINS_NOTHING = 0.1
"""A limit that would have refused less than this share of what was refused is not what refused it."""


@dataclass(frozen=True, slots=True)
class _Resource:
    """What is to be throttled, and everything that the log shows of it."""

    model: str
    workspace: str | None
    own: Sequence[Arrival]
    others: Sequence[Arrival]
    like: Typical | None
    headroom: float
    busiest: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class _Found:
    """Limits to plan with, before any share; `safe` ones are used in full, others times the headroom."""

    rpm: float | None
    tpm: float | None
    source: str
    safe: bool
    notes: tuple[Message, ...]


def throttle_settings(
    model: str,
    workspace: str | None,
    arrivals: Sequence[Arrival],
    limit: Limit,
    *,
    headroom: float = HEADROOM,
    busiest: tuple[int, int] | None = None,
    refused_for: Collection[str] = ("rpm", "tpm"),
) -> ThrottleData:
    """Plan the client's limits for `model` (in `workspace`; None: all of them together) and replay them.

    `arrivals`: the window's calls of that model in all workspaces, in any order; other models are left aside.
    `headroom`: share of the limit to use, above 0 and at most 1 (ValueError otherwise). `busiest`: requests and tokens
    of the resource's busiest minute, as `peaks.busiest_minute` gives them; `refused_for`: the halves of the limit that
    refused calls (`peaks.refused_for`). Every assumption is a note.
    """
    if not 0 < headroom <= 1:
        raise ValueError(f"headroom is a share above 0 and at most 1, not {headroom}")
    known = [a for a in arrivals if a.model == model]
    own = [a for a in known if workspace is None or a.workspace == workspace]
    own_limit = limit.workspace is not None
    others = [] if own_limit or workspace is None else [a for a in known if a.workspace != workspace]
    like = typical(known).get(model)
    resource = _Resource(model, workspace, own, others, like, headroom, busiest)

    sharers = own if own_limit else known
    found = _limits(limit, sharers, like, refused_for)
    plan, replayed = _plan(resource, found)
    if _explains_nothing(replayed):
        observed = _observed(sharers, like, refused_for)
        note = observed.notes[0] if observed.safe else _disproved(found, observed, replayed.refused_before)
        # A half that nothing was refused for stays as it is known.
        rpm, tpm = observed.rpm or found.rpm, observed.tpm or found.tpm
        plan, _ = _plan(resource, replace(observed, rpm=rpm, tpm=tpm, notes=(note,)))
    return plan


def _plan(resource: _Resource, found: _Found) -> tuple[ThrottleData, Replayed]:
    model, workspace, own, others, like = (
        resource.model, resource.workspace, resource.own, resource.others, resource.like
    )  # fmt: skip
    share = 1.0 if found.safe else resource.headroom
    demands = _demands(others, like)
    rpm = _whole(_fair(found.rpm, share, [d.calls for d in demands.values()]))
    tpm = _whole(_fair(found.tpm, share, [d.tokens for d in demands.values()]))

    limits = RateLimits(rpm=rpm, tpm=tpm)
    seconds, tokens, latency_notes = _call_size(own or others, like)
    limits = RateLimits(
        rpm=rpm,
        tpm=tpm,
        rps=_floor3(limits.rps),
        tps=_floor3(limits.tps),
        concurrency=_concurrency(limits, seconds, tokens, own, like),
    )
    # Rates that passed are no limit: with those alone there is nothing the platform could be said to refuse.
    modelled = not found.safe and (found.rpm is not None or found.tpm is not None)
    platform = RateLimits(rpm=found.rpm, tpm=found.tpm) if modelled else None
    replayed = replay(own, limits, platform, background=others)
    backoff = BackoffPolicy()
    policy = Backoff(backoff.base_s, backoff.max_s, backoff.attempts, backoff.jitter)
    plan = ThrottleData(
        model=model,
        workspace=workspace,
        rps=limits.rps,
        rpm=limits.rpm,
        tps=limits.tps,
        tpm=limits.tpm,
        concurrency=limits.concurrency or _LEAST_CONCURRENCY,
        backoff=policy,
        replay=Replay(
            calls=replayed.calls,
            refused_before=replayed.refused_before,
            refused_after=replayed.refused_after,
            added_wait_ms=Waits(replayed.p50_ms, replayed.p95_ms, replayed.max_ms),
            others_before=replayed.others_before,
            others_after=replayed.others_after,
        ),
        settings=settings(model, workspace, limits, policy),
        notes=(
            *found.notes,
            *_share_notes(workspace, found, share, demands, limits),
            *latency_notes,
            *_replay_notes(own, others, like, limits, replayed, resource.busiest, known_platform=modelled),
        ),
        limit_source=found.source,
    )
    return plan, replayed


# --- the limit --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Load:
    """Demand of a minute; refused calls are counted with the tokens of a typical one."""

    calls: int
    tokens: int


def _tokens(arrival: Arrival, like: Typical | None) -> int:
    if arrival.refused and arrival.total_tokens <= 0:
        return like.tokens if like else 0
    return max(0, arrival.total_tokens)


def _minutes(arrivals: Sequence[Arrival], like: Typical | None) -> dict[int, _Load]:
    """Load per calendar minute."""
    calls: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    for arrival in arrivals:
        minute = arrival.time_ms // 60_000
        calls[minute] += 1
        tokens[minute] += _tokens(arrival, like)
    return {minute: _Load(count, tokens[minute]) for minute, count in calls.items()}


def _limits(limit: Limit, arrivals: Sequence[Arrival], like: Typical | None, refused_for: Collection[str]) -> _Found:
    rpm, tpm = ((half if half is not None and 0 < half < math.inf else None) for half in (limit.rpm, limit.tpm))
    if rpm is not None or tpm is not None:
        notes = () if rpm and tpm else (Message("throttle.half_unknown", {"half": "tpm" if rpm else "rpm"}),)
        return _Found(rpm, tpm, limit.source, safe=False, notes=notes)
    if not arrivals:
        return _Found(None, None, "unknown", safe=False, notes=())
    return _observed(arrivals, like, refused_for)


def _observed(arrivals: Sequence[Arrival], like: Typical | None, refused_for: Collection[str]) -> _Found:
    """Read a limit off calls, of which there is one at least."""
    refused = {a.time_ms // 60_000 for a in arrivals if a.refused}
    if refused and not refused_for:
        busiest = float(max(load.calls for load in _minutes(arrivals, like).values()))
        note = Message("throttle.burst_unknown", {"rpm": busiest})
        return _Found(busiest, None, "observed", safe=True, notes=(note,))
    admitted = _minutes([a for a in arrivals if not a.refused], like)
    if refused:
        # The first and the last minute of a stretch are usually throttled for a part of it only.
        inner = {m for m in refused if m - 1 in refused and m + 1 in refused} or refused
        loads = [admitted.get(minute, _Load(0, 0)) for minute in sorted(inner)]
        rpm = max(1.0, median(load.calls for load in loads)) if "rpm" in refused_for else None
        tpm = median(load.tokens for load in loads) or None if "tpm" in refused_for else None
        if rpm is None and tpm is None:  # not one token passed
            rpm = 1.0
        note = Message("throttle.limit_unknown_refused", {"rpm": rpm, "tpm": tpm, "minutes": len(loads)})
        return _Found(rpm, tpm, "observed", safe=False, notes=(note,))
    calls, tokens = max(load.calls for load in admitted.values()), max(load.tokens for load in admitted.values())
    note = Message("throttle.limit_unknown", {"rpm": calls, "tpm": tokens})
    return _Found(calls, tokens or None, "observed", safe=True, notes=(note,))


def _explains_nothing(replayed: Replayed) -> bool:
    modelled, logged = replayed.modelled_before, replayed.refused_before
    return modelled is not None and modelled <= _EXPLAINS_NOTHING * logged and _differ(modelled, logged, replayed.calls)


def _disproved(found: _Found, observed: _Found, refused: int) -> Message:
    values = {"limit_rpm": found.rpm, "limit_tpm": found.tpm, "source": found.source, "refused": refused}
    return Message("throttle.limit_disproved", {**values, **observed.notes[0].values})


# --- the share --------------------------------------------------------------------------------------------------------


def _demands(others: Sequence[Arrival], like: Typical | None) -> dict[str, _Load]:
    """Count calls and tokens of each other workspace in its busiest minutes."""
    by_workspace: dict[str, list[Arrival]] = {}
    for arrival in others:
        by_workspace.setdefault(arrival.workspace, []).append(arrival)
    found = {}
    for workspace, calls in by_workspace.items():
        loads = _minutes(calls, like).values()
        found[workspace] = _Load(max(load.calls for load in loads), max(load.tokens for load in loads))
    return found


def _fair(limit: float | None, share: float, demands: Sequence[int]) -> float | None:
    """Max-min fair share of limit × share for one that takes all it can get, beside `demands`."""
    if limit is None:
        return None
    left, claimants = limit * share, len(demands) + 1
    for demand in sorted(demands):
        if demand > left / claimants:
            break
        left -= demand
        claimants -= 1
    return left / claimants


def _whole(per_minute: float | None) -> float | None:
    """Whole numbers downwards; limits below one a minute stay as they are."""
    if per_minute is None or per_minute < 1:
        return per_minute
    return math.floor(per_minute + 1e-9)


def _floor3(per_second: float | None) -> float | None:
    """Three decimals downwards, as it is printed; a rate below that stays as it is."""
    if per_second is None:
        return None
    return math.floor(per_second * 1000 + 1e-9) / 1000 or per_second


def _share_notes(
    workspace: str | None, found: _Found, share: float, demands: Mapping[str, _Load], limits: RateLimits
) -> tuple[Message, ...]:
    if not demands:
        return ()
    values = {
        "workspace": workspace,
        "others": len(demands),
        "rpm": limits.rpm,
        "whole_rpm": None if found.rpm is None else _whole(found.rpm * share),
        "tpm": limits.tpm,
        "whole_tpm": None if found.tpm is None else _whole(found.tpm * share),
    }
    return (Message("throttle.share", values),)


# --- concurrency ------------------------------------------------------------------------------------------------------


def _call_size(arrivals: Sequence[Arrival], like: Typical | None) -> tuple[float, float, tuple[Message, ...]]:
    """Seconds (p95) and tokens (mean) of a successful call."""
    done = [a for a in arrivals if not a.refused and a.total_tokens > 0]
    if not done:
        seconds = like.duration_ms / 1000 if like else ASSUMED_SECONDS
        note = Message("throttle.latency_unknown", {"duration_ms": seconds * 1000})
        return seconds, float(like.tokens if like else 0), (note,)
    durations = sorted(a.duration_ms for a in done)
    p95 = durations[math.ceil(0.95 * len(durations)) - 1]
    return max(0, p95) / 1000, fmean(a.total_tokens for a in done), ()


def _concurrency(
    limits: RateLimits, seconds: float, tokens: float, arrivals: Sequence[Arrival], like: Typical | None
) -> int:
    """Little's law at the highest rate that requests and tokens both allow; without limits at the busiest minute's."""
    rates = [limits.rps] if limits.rps is not None else []
    if limits.tps is not None and tokens > 0:
        rates.append(limits.tps / tokens)
    if not rates:
        rates.append(max((load.calls for load in _minutes(arrivals, like).values()), default=0) / 60)
    return max(_LEAST_CONCURRENCY, math.ceil(min(rates) * seconds - 1e-9))


# --- what the reader must know ----------------------------------------------------------------------------------------


def _replay_notes(  # noqa: PLR0917 - one call, in one place
    own: Sequence[Arrival],
    others: Sequence[Arrival],
    like: Typical | None,
    limits: RateLimits,
    replayed: Replayed,
    busiest: tuple[int, int] | None,
    *,
    known_platform: bool,
) -> tuple[Message, ...]:
    if not own:
        return (Message("throttle.no_calls", {}),)
    notes = []
    estimated = sum(a.refused and a.total_tokens <= 0 for a in own)
    if estimated:
        id_ = "throttle.tokens_estimated" if like else "throttle.tokens_unknown"
        notes.append(Message(id_, {"calls": estimated, "tokens": like.tokens if like else None}))
    if replayed.given_up:
        rpm, tpm = busiest or (None, None)
        values: dict[str, float | None] = {
            "calls": replayed.given_up,
            "wait_ms": MAX_WAIT_S * 1000,
            "rpm": rpm,
            "limit_rpm": limits.rpm,
            "tpm": tpm,
            "limit_tpm": limits.tpm,
        }
        notes.append(Message("throttle.given_up", values))
    still = replayed.refused_after - replayed.given_up
    if still:
        notes.append(Message("throttle.still_refused", {"calls": still}))
    if replayed.others_before:
        logged = sum(a.refused for a in others)
        counts = {"before": replayed.others_before, "after": replayed.others_after, "logged": logged}
        notes.append(Message("throttle.others", counts))
    if not known_platform:
        notes.append(Message("throttle.not_modelled", {}))
    elif replayed.modelled_before is not None and _differ(replayed.modelled_before, replayed.refused_before, len(own)):
        counts = {"modelled": replayed.modelled_before, "logged": replayed.refused_before}
        notes.append(Message("throttle.model_differs", counts))
    return tuple(notes)


def _differ(modelled: int, logged: int, calls: int) -> bool:
    """More than a twentieth of the calls, and more than by half of the larger number: worth a word."""
    gap = abs(modelled - logged)
    return gap > max(5, 0.05 * calls) and gap > 0.5 * max(modelled, logged)
