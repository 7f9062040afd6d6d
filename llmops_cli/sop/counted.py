"""Failures without their calls: when only some error codes were asked for, every call seen is a failure.

Rates mean nothing then. What can be told is whether such failures became more than they were.
"""

from __future__ import annotations

import math

from llmops_cli.evidence import Message
from llmops_cli.knowledge.thresholds import BACKGROUND_RATE, MIN_FAILURES, SURGE_RATIO, TRAFFIC_DISPERSION
from llmops_cli.sop.finding import Finding
from llmops_cli.sop.ledger import Ledger
from llmops_cli.sop.onset import jumped, known_from, silent_too
from llmops_cli.sop.rises import LEAST_SCORE
from llmops_cli.sop.scope import Group, smallest
from llmops_cli.sop.significance import count_likelihood


def find(ledger: Ledger) -> list[Finding]:
    """Find families with clearly more failures than before; none without a baseline."""
    if not ledger.before_minutes:
        return []
    return [finding for family in ledger.families if (finding := _finding(ledger, family)) is not None]


def _finding(ledger: Ledger, family: str) -> Finding | None:
    cells = [cell for cell in ledger.families[family] if cell.period == "now"]
    failures = sum(cell.calls for cell in cells)
    before = sum(cell.calls for cell in ledger.families[family] if cell.period == "before")
    scale = ledger.span.minutes / ledger.before_minutes
    usual = max(before * scale, 1.0)
    certainty = (failures * math.log(failures / usual) - failures + usual) / TRAFFIC_DISPERSION if failures else 0.0
    if failures < max(MIN_FAILURES, SURGE_RATIO * usual) or certainty < LEAST_SCORE:
        return None
    wheres = dict.fromkeys(cell.where for cell in ledger.families[family])
    groups = [
        Group(
            where,
            sum(c.calls for c in ledger.families[family] if c.where == where and c.period == "before") * scale
            + BACKGROUND_RATE,
            sum(c.calls for c in cells if c.where == where),
        )
        for where in wheres
    ]
    found = silent_too(ledger, ledger.families[family], ledger.start_ms, lambda cell: cell.calls)
    span_ms = ledger.span.ms
    jump = jumped(found, usual / span_ms, failures / span_ms)
    first_ms = min(cell.first_ms for cell in cells)
    started_ms, before_ms = known_from(ledger, max(jump[0], 0) if jump else first_ms, ledger.observation.bucket_ms)
    return Finding(
        type=family,
        scope=smallest(groups, count_likelihood),
        severity="warning",
        started_ms=started_ms,
        started_before_ms=before_ms,
        evidence=[Message("evidence.failed_count", {"failures": failures, "before_failures": before})],
        failures=failures,
        calls=failures,
        certainty=certainty,
    )
