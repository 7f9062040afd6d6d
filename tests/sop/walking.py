"""A log asked as the command asks it: observe, and step back while the baseline is not healthy itself."""

from __future__ import annotations

from bisect import bisect_left

from llmops_cli.evidence import Observation, Span, Thresholds
from llmops_cli.report import StatusData
from llmops_cli.sop.baseline import has_changed, is_healthy, probe
from llmops_cli.sop.quota import find_limits
from llmops_cli.sop.status import assess
from tests.reference import observe

THRESHOLDS = Thresholds()


class Log:
    """Records in the order of their times."""

    def __init__(self, records):
        self.records = [r for r in records if hasattr(r, "duration_ms") or hasattr(r, "rating")]
        self.times = [r.time_ms for r in self.records]

    def observe(self, span: Span, baseline: Span | None, **options) -> Observation:
        first = min(s.start_ms for s in (span, baseline, options.get("between")) if s is not None)
        inside = self.records[bisect_left(self.times, first) : bisect_left(self.times, span.end_ms)]
        return observe([*self.records[:1], *inside], span, baseline, **options)


def look(log: Log, span: Span) -> Observation:
    """Observe a window; while the baseline is unhealthy step back, then find the last healthy window by bisection."""
    oldest, length = log.times[0], span.ms
    most = min(86_400_000 // length, (span.start_ms - oldest) // length)

    def candidate(steps: int) -> Span:
        return Span(span.start_ms - steps * length, span.start_ms - (steps - 1) * length)

    def healthy(steps: int) -> bool:
        baseline = candidate(steps)
        if not is_healthy(log.observe(span, baseline), THRESHOLDS):
            return False
        older = probe(baseline)
        return older.start_ms < oldest or not has_changed(log.observe(baseline, older), THRESHOLDS)

    steps = next((steps for steps in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32) if steps <= most and healthy(steps)), 1)
    if steps == 1:
        return log.observe(span, candidate(1))
    between = Span(candidate(steps).end_ms, span.start_ms)
    return log.observe(span, candidate(steps), between=between, stepped_back=True)


def status(log: Log, span: Span, limits) -> StatusData:
    """The answer of `status` for one window."""
    seen = look(log, span)
    return assess(seen, find_limits(seen.demand, limits, "cn-beijing"), THRESHOLDS, next_options="--log app.log")
