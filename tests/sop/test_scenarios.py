"""Made-up incidents whose truth is known, asked as an engineer asks: soon after the start, and late; wide and narrow."""

from datetime import timedelta
from functools import cache

import pytest

from llmops_cli.demo.scenarios import SCENARIOS, generate
from llmops_cli.evidence import Span
from tests.sop.walking import Log, status

END_MS = 1_752_042_204_748
MINUTE = 60_000
TOLERANCE_S = 75
"""Limits are broken, and ratings given, a while after what led to it."""


@cache
def story(name, age, seed=1, calls=12_000, hour=0):
    end_ms = END_MS + hour * 60 * MINUTE
    made = generate(name, seed=seed, calls=calls, end_ms=end_ms, age=timedelta(minutes=age))
    return made.truths, made.limits, Log(made.events), end_ms


def asked(name, age, window, **options):
    truths, limits, log, end_ms = story(name, age, **options)
    return truths, status(log, Span(end_ms - window * MINUTE, end_ms), limits)


FAULTY = sorted(set(SCENARIOS) - {"healthy", "negative-feedback"})


@pytest.mark.parametrize(("age", "window"), [(12, 5), (12, 120), (35, 15)])
@pytest.mark.parametrize("name", FAULTY)
def test_the_incident_is_found_with_its_scope_start_and_driver(name, age, window):
    truths, answer = asked(name, age, window)
    assert {(i.type, tuple(i.scope.items())) for i in answer.incidents} == {
        (t.type, tuple(t.scope.items())) for t in truths
    }
    for truth in truths:
        found = next(incident for incident in answer.incidents if incident.type == truth.type)
        assert found.started_at.timestamp() == pytest.approx(truth.started_ms / 1000, abs=TOLERANCE_S)
        if truth.driver:
            assert truth.driver.items() <= dict(found.drivers[0].where).items()
    assert answer.verdict in ("warning", "critical")


def test_users_who_reject_answers_are_heard():
    truths, answer = asked("negative-feedback", 35, 120)
    assert [incident.type for incident in answer.incidents] == ["negative_feedback"]
    assert answer.incidents[0].scope.items() <= truths[0].scope.items()


@pytest.mark.parametrize(
    ("calls", "hour", "window"), [(20_000, 0, 15), (20_000, 12, 120), (2_000, 0, 120), (2_000, 18, 5)]
)
def test_healthy_logs_page_nobody(calls, hour, window):
    answer = asked("healthy", 12, window, calls=calls, hour=hour)[1]
    assert answer.incidents == ()
    assert answer.verdict in ("ok", "unknown")
