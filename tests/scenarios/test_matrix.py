"""Every story as an engineer meets it: a log file, first asked 12 or 35 minutes late, with narrow and wide windows.

More seeds: `python -m tests.scenarios.sweep`.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from llmops_cli.commands.gather import assessed, look, open_source
from llmops_cli.demo.scenarios import SCENARIOS
from tests.scenarios.asking import ask, forget, question, shortcoming, tell, told_as

DAY = 1440
"""Longer than the log: nothing lies before this window."""
WINDOWS = (5, 15, 120, DAY)
FAULTY = [name for name in SCENARIOS if name != "healthy"]


@pytest.fixture
def story(tmp_path):
    """Write a story, and give its place back."""
    told = []

    def write(name, **how):
        told.append(tell(tmp_path, name, **how))
        return told[-1]

    yield write
    for one in told:
        forget(one)


@pytest.mark.parametrize("age", [12, 35])
@pytest.mark.parametrize("name", FAULTY)
def test_the_first_incident_has_type_scope_start_and_driver(story, name, age):
    told = story(name, age=age, seed=1 + FAULTY.index(name) % 4)
    for window in WINDOWS:
        answer = ask(told, window)
        found = answer.status.incidents
        assert not shortcoming(told, found, window), (window, *map(told_as, found))
        assert answer.status.verdict in ("warning", "critical")
        # What `drill` names, and what `recover` plans for, is the same incident. Among the calls of two hours, a caller
        # who came with the incident stands out more than those whom it hit for a few minutes.
        for incident in found:
            causes = [cause for cause in answer.causes if cause.family == incident.type]
            scopes, starts = [cause.where for cause in causes], {cause.started_at for cause in causes}
            first = incident.scope
            assert any(first == where or (window > 60 and first.items() <= where.items()) for where in scopes), scopes
            assert incident.started_at in starts
            assert incident.drivers in [cause.drivers for cause in causes]
        assert answer.plan.runbook == found[0].type
        assert [incident.scope for incident in answer.plan.incidents] == [incident.scope for incident in found]


@pytest.mark.parametrize(("seed", "calls"), [*((seed, 2_000) for seed in range(1, 13)), (1, 20_000), (8, 60_000)])
def test_healthy_logs_page_nobody(story, seed, calls):
    """Seeds end at other hours: by day and by night."""
    told = story("healthy", seed=seed, calls=calls)
    for window in WINDOWS:
        answer = ask(told, window).status
        assert not answer.incidents, (window, *map(told_as, answer.incidents))
        assert answer.verdict in ("ok", "unknown")


@pytest.mark.parametrize(("name", "seed"), [("moderation", 2), ("moderation", 3), ("server-error", 3)])
def test_the_order_of_a_sources_rows_changes_no_answer(story, name, seed):
    """Engines give groups in any order; these stories hold kinds of failure with equally many calls."""
    asked = question(story(name, seed=seed, calls=4_000), 15)
    with open_source(asked) as source:
        seen = look(asked, source)
        answer = assessed(asked, source, seen)
        for turn in range(5):
            cells = random.Random(turn).sample(seen.cells, len(seen.cells))
            assert assessed(asked, source, replace(seen, cells=tuple(cells))) == answer
