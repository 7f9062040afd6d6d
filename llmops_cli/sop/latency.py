"""Slow answers: more calls than usual above their model's p95 of the baseline, or a p95 above the threshold."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from llmops_cli.evidence import Message, Severity, Slice
from llmops_cli.knowledge.thresholds import LATENCY_DISPERSION, LONGER_ANSWERS, SLOW_SHARE, USUAL_SLOW_SHARE
from llmops_cli.sop.finding import Finding
from llmops_cli.sop.ledger import Ledger, asked
from llmops_cli.sop.onset import LOOK_BACK, began, known_from, moments
from llmops_cli.sop.rises import Bar, Rise, rises
from llmops_cli.sop.significance import share_likelihood

_PREFER = ("model", "app", "module", "workspace")
LEAST_SCORE = 18.0
"""After `LATENCY_DISPERSION`: as much evidence as failures need, and half of it again."""
LEAST_CONTRAST = 8.0
"""Against the baseline's own answers: chance does this in one of 3,000 comparisons."""
LEAST_ANSWERS = 100
"""Fewer answers than this do not show a p95."""


def find(ledger: Ledger) -> list[Finding]:
    """Find slow answers that are incidents."""
    has_baseline = ledger.before_minutes > 0
    bar = Bar(
        floor=2 * USUAL_SLOW_SHARE,
        factor=2.0,
        ceiling=1.0 if has_baseline else USUAL_SLOW_SHARE,
        part_ceiling=1.0 if has_baseline else USUAL_SLOW_SHARE,
        least_trials=ledger.thresholds.min_calls,
        least_hits=10,
        least_share=SLOW_SHARE if has_baseline else USUAL_SLOW_SHARE,
        dispersion=LATENCY_DISPERSION,
        least_score=ledger.strictness * LEAST_SCORE,
        prefer=_PREFER,
    )
    found = [
        _finding(ledger, rise)
        for rise in rises(ledger.answers, bar, ledger.first_now, has_baseline=has_baseline)
        if not rise.before_trials or _contrast(rise) >= ledger.strictness * LEAST_CONTRAST
    ]
    return found or _absolute(ledger)


def _contrast(rise: Rise) -> float:
    """Log-likelihood ratio of two shares against one common share: a p95 of few answers is a guess itself."""
    apart = share_likelihood(rise.hits, rise.trials) + share_likelihood(rise.before_hits, rise.before_trials)
    return apart - share_likelihood(rise.hits + rise.before_hits, rise.trials + rise.before_trials)


def _finding(ledger: Ledger, rise: Rise) -> Finding:
    found = moments(
        ledger,
        ledger.within(rise.scope),
        ledger.slots[max(0, rise.start - LOOK_BACK)].start_ms,
        ledger.slots[rise.end - 1].end_ms,
        lambda cell: (cell.calls, cell.slow) if cell.ok else (0, 0),
    )
    began_ms = began(found, rise.share, rise.usual)
    if began_ms is None:
        began_ms = ledger.slots[rise.start].start_ms
    started_ms, before_ms = known_from(ledger, began_ms, 2 * ledger.observation.bucket_ms)
    slow: dict[str, str | int | float | None] = {
        "slow": rise.hits, "calls": rise.trials, "rate": rise.share,
        "limit_ms": None if ledger.before_minutes else ledger.thresholds.p95_ms.warning,
    }  # fmt: skip
    longer = _longer(ledger, rise.scope)
    evidence = [
        Message("evidence.slow_share" if ledger.before_minutes else "evidence.slow_over", slow),
        *_percentiles(ledger, rise.scope),
        *longer,
    ]
    return Finding(
        type="latency",
        scope=rise.scope,
        severity=_severity(ledger, _p95(ledger, rise.scope, began_ms)),
        started_ms=started_ms,
        started_before_ms=before_ms,
        evidence=evidence,
        calls=rise.trials,
        certainty=rise.score / LATENCY_DISPERSION,
        hypothesis="answers_longer" if longer else "",
    )


def _percentiles(ledger: Ledger, scope: Mapping[str, str]) -> list[Message]:
    """Give the p95 of a scope, now and before; nothing where only that of everything is known, which says less."""
    observation, band = ledger.observation, ledger.thresholds.p95_ms
    if (own := _measured(ledger, scope)) is not None:
        now_ms, before_ms = own.p95_ms, own.before_p95_ms
    elif not scope:
        before = observation.before
        now_ms, before_ms = observation.now.durations.p95, before.durations.p95 if before else None
    else:
        return []
    values: dict[str, str | int | float | None] = {
        "p95_ms": now_ms,
        "before_p95_ms": before_ms,
        "limit_ms": band.warning if now_ms is not None and now_ms >= band.warning else None,
    }
    return [Message("evidence.latency", values)]


def _measured(ledger: Ledger, scope: Mapping[str, str]) -> Slice | None:
    scope = dict(scope) or asked(ledger.observation.filters)
    return next((one for one in ledger.observation.slow if dict(one.where) == scope), None)


def _longer(ledger: Ledger, scope: Mapping[str, str]) -> list[Message]:
    """Say so when answers became longer: then the service may be as quick as ever."""
    tokens = {"now": 0, "before": 0}
    answers = {"now": 0, "before": 0}
    for cell in ledger.within(scope):
        if cell.ok and cell.period != "between":
            tokens[cell.period] += cell.output_tokens
            answers[cell.period] += cell.calls
    if not answers["now"] or not answers["before"] or not tokens["before"]:
        return []
    now, before = tokens["now"] / answers["now"], tokens["before"] / answers["before"]
    if now < LONGER_ANSWERS * before:
        return []
    return [Message("evidence.tokens_out", {"tokens": now, "before_tokens": before})]


def _p95(ledger: Ledger, scope: Mapping[str, str], from_ms: int) -> float:
    """Give the p95 of a scope since it became slow, ms; else the median of the buckets' p95 of all since then."""
    own = _measured(ledger, scope)
    if own is not None and own.p95_ms is not None:
        return own.p95_ms
    points = [p.p95_ms for p in ledger.observation.points if p.period == "now" and p.start_ms >= from_ms and p.p95_ms]
    return median(points) if points else ledger.observation.now.durations.p95 or 0.0


def _severity(ledger: Ledger, p95_ms: float) -> Severity:
    return "critical" if p95_ms >= ledger.thresholds.p95_ms.critical else "warning"


def _absolute(ledger: Ledger) -> list[Finding]:
    """Judge the p95 of everything: above the threshold in most of the window is too slow, whatever was before."""
    observation, band = ledger.observation, ledger.thresholds.p95_ms
    p95_ms, answers = observation.now.durations.p95, observation.now.calls - observation.now.failures
    if p95_ms is None or p95_ms < band.warning or answers < max(LEAST_ANSWERS, ledger.thresholds.min_calls):
        return []
    least = max(1, answers // (4 * len([p for p in observation.points if p.period == "now"]) or 1))
    full = [p for p in observation.points if p.period == "now" and p.p95_ms and p.calls - p.failures >= least]
    above = sum((p.p95_ms or 0) >= band.warning for p in full)
    # A bucket's p95 is above its true value about every other time: half of them above is the threshold itself.
    if not full or above < 0.65 * len(full):
        return []
    before = observation.before
    old = before is not None and (before.durations.p95 or 0) >= 0.8 * p95_ms
    return [
        Finding(
            type="latency",
            scope={},
            severity=_severity(ledger, p95_ms),
            started_ms=None if old or before is None else ledger.span.start_ms,
            started_before_ms=ledger.start_ms if old or before is None else None,
            evidence=[*_percentiles(ledger, {}), *_longer(ledger, {})],
            calls=answers,
            certainty=float(above),
        )
    ]
