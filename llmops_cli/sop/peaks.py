"""The demand of the busiest minute: one number for `quota`, `recover throttle` and `recover expand`.

A minute is one of the clock, and a call belongs to that in which it was logged, as in the water levels. A refused call
is demand, but it is logged with 0 tokens: where calls were refused, the busiest minute's requests count with the mean
tokens of the successful ones (the mean, not the median: what is estimated is a sum), unless more was logged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from llmops_cli.evidence import Observation
from llmops_cli.knowledge.errors import is_rate_limit
from llmops_cli.sop.ledger import family_of

Half = Literal["rpm", "tpm"]
_HALVES: tuple[Half, ...] = ("rpm", "tpm")
_HALF_OF: Mapping[str, Half] = {"rate_limit_requests": "rpm", "rate_limit_tokens": "tpm"}
_LEAST_SHARE = 0.1
"""Fewer of the refusals than this do not make a half the limit at work."""


def busiest_minute(observation: Observation, model: str, workspace: str | None = None) -> tuple[int, int] | None:
    """Return requests and tokens of a resource's busiest minute, refused calls included; None without its demand."""
    demand = next((one for one in observation.demand if (one.model, one.workspace) == (model, workspace)), None)
    if demand is None:
        return None
    refused = calls = tokens = 0
    for cell in observation.cells:
        if cell.period != "now" or cell.where.model != model or workspace not in {None, cell.where.workspace}:
            continue
        if cell.ok:
            calls, tokens = calls + cell.calls, tokens + cell.total_tokens
        elif is_rate_limit(family_of(cell)):
            refused += cell.calls
    estimated = math.ceil(demand.rpm_peak * tokens / calls) if refused and calls else 0
    return demand.rpm_peak, max(demand.tpm_peak, estimated)


def refused_for(observation: Observation, model: str) -> tuple[Half, ...]:
    """Tell which half of the limit calls of the window were refused for; both where no refusal says it, none if bursts.

    What passes while bursts are refused says nothing of a minute.
    """
    counts: Counter[Half] = Counter()
    bursts = 0
    for cell in observation.cells:
        if cell.period == "now" and cell.where.model == model and not cell.ok:
            family = family_of(cell)
            bursts += cell.calls if family == "rate_limit_burst" else 0
            if (half := _HALF_OF.get(family)) is not None:
                counts[half] += cell.calls
    if bursts > counts.total():
        return ()
    enough = _LEAST_SHARE * counts.total()
    return tuple(half for half in _HALVES if counts[half] >= enough)
