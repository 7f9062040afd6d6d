"""Negative ratings: more of them than usual, or too many."""

from __future__ import annotations

from llmops_cli.evidence import Message
from llmops_cli.knowledge.thresholds import MIN_RATINGS, MIN_RISE
from llmops_cli.sop.finding import Finding
from llmops_cli.sop.ledger import Ledger, inside
from llmops_cli.sop.onset import LOOK_BACK, Moment, began, known_from
from llmops_cli.sop.rises import Bar, Rise, rises
from llmops_cli.sop.significance import wilson

LEAST_SCORE = 7.5
"""Ratings are few: the score asked of calls would need hundreds of them. The floor below leaves room instead."""


def find(ledger: Ledger) -> list[Finding]:
    """Find negative feedback that is an incident."""
    band = ledger.thresholds.negative_rate
    bar = Bar(
        floor=1.5 * band.warning,
        factor=MIN_RISE,
        ceiling=max(1.5 * band.warning, band.critical / 2),
        part_ceiling=band.critical,
        least_trials=MIN_RATINGS,
        least_hits=4,
        least_share=band.warning,
        dispersion=1.0,
        z=1.96,
        least_score=ledger.strictness * LEAST_SCORE,
        cheap=("app", "module"),
        prefer=("app", "module", "model", "workspace"),
    )
    has_baseline = bool(ledger.before_minutes)
    return [
        _finding(ledger, rise) for rise in rises(ledger.feedback(), bar, ledger.first_now, has_baseline=has_baseline)
    ]


def _finding(ledger: Ledger, rise: Rise) -> Finding:
    from_ms, to_ms = ledger.slots[max(0, rise.start - LOOK_BACK)].start_ms, ledger.slots[rise.end - 1].end_ms
    found: dict[int, Moment] = {}
    for row in ledger.observation.feedback:
        known = row.period != "before" or ledger.adjacent
        if known and from_ms - ledger.observation.bucket_ms < row.bucket_ms < to_ms and inside(row.where, rise.scope):
            end_ms = row.bucket_ms + ledger.observation.bucket_ms
            moment = found.setdefault(row.bucket_ms, Moment(row.bucket_ms, end_ms))
            moment.trials += row.up + row.down
            moment.hits += row.down
            if row.first_down_ms is not None:
                moment.first_ms = min(row.first_down_ms, moment.first_ms or row.first_down_ms)
    began_ms = began([found[ms] for ms in sorted(found)], rise.share, rise.usual)
    started_ms, before_ms = known_from(
        ledger, ledger.slots[rise.start].start_ms if began_ms is None else began_ms, 2 * ledger.observation.bucket_ms
    )
    low = wilson(rise.hits, rise.trials, 1.96)[0]
    values: dict[str, str | int | float | None] = {
        "negative": rise.hits,
        "ratings": rise.trials,
        "rate": rise.share,
        "before_negative": rise.before_hits if rise.before_trials else None,
        "before_ratings": rise.before_trials or None,
    }
    return Finding(
        type="negative_feedback",
        scope=rise.scope,
        severity="critical" if low >= ledger.thresholds.negative_rate.critical else "warning",
        started_ms=started_ms,
        started_before_ms=before_ms,
        evidence=[Message("evidence.negative", values)],
        failures=rise.hits,
        calls=rise.trials,
        certainty=rise.score,
    )
