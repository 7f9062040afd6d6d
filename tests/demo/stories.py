"""Stories of the demo, played once per test run and taken apart."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from llmops_cli.demo.scenarios import Generated, generate
from llmops_cli.evidence import CallRecord, FeedbackRecord

END_MS = int(datetime(2025, 7, 9, 6, 23, 24, 748_000, tzinfo=UTC).timestamp() * 1000)
AGE = timedelta(minutes=12)
MINUTE = 60_000


@dataclass(frozen=True)
class Story:
    made: Generated
    events: list
    calls: list[CallRecord]
    ratings: list[FeedbackRecord]

    @property
    def truth(self):
        return self.made.truths[0]

    def sent(self, **scope) -> list[CallRecord]:
        """Calls in scope that were sent after the (first) incident began."""
        start = self.truth.started_ms
        return within([call for call in self.calls if sent_ms(call) >= start], scope)

    def earlier(self, **scope) -> list[CallRecord]:
        start = self.truth.started_ms
        return [call for call in within(self.calls, scope) if sent_ms(call) < start]


@cache
def story(name: str, seed: int = 1, calls: int = 20_000, age: timedelta = AGE) -> Story:
    made = generate(name, seed=seed, calls=calls, end_ms=END_MS, age=age)
    events = list(made.events)
    gc.freeze()  # a million events that stay: the collector need not look at them again and again
    return Story(
        made,
        events,
        [event for event in events if isinstance(event, CallRecord)],
        [event for event in events if isinstance(event, FeedbackRecord)],
    )


def sent_ms(call: CallRecord) -> int:
    return call.time_ms - call.duration_ms


def within(records, scope):
    kept = list(records)
    for name, value in scope.items():
        kept = [record for record in kept if getattr(record, name) == value]
    return kept


def rate(calls, code: str | None = None) -> float:
    failed = sum(not call.ok if code is None else call.error_code == code for call in calls)
    return failed / len(calls)
