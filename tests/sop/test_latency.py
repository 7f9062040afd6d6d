from dataclasses import replace

import pytest

from llmops_cli.evidence import Thresholds
from tests.sop.records import BEFORE, MINUTE, NOW, T0, call, four_apps, healthy, judged, one, since, steady

FIVE = T0 + 5 * MINUTE


def slowed(key, **options):
    special = {key: {"slow_every": 2, "slow": 4000, **options}}
    return [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]


@pytest.mark.parametrize(
    ("key", "scope"),
    [
        ((None, None, None), {}),
        ((None, "qwen-max", None), {"model": "qwen-max"}),
        (("shop", None, None), {"app": "shop"}),
    ],
)
def test_answers_that_became_slow(key, scope):
    found = one(judged(slowed(key)))
    assert (found.type, found.scope, found.severity) == ("latency", scope, "warning")
    assert since(found) == pytest.approx(5, abs=0.6)


def test_very_slow_is_critical():
    assert one(judged(slowed((None, None, None), slow=20_000))).severity == "critical"


def test_a_few_slow_answers_page_nobody():
    assert judged(slowed((None, None, None), slow_every=12)).verdict == "ok"


def test_failures_do_not_count_as_quick_or_slow():
    special = {(None, "qwen-max", None): {"fail_every": 2, "error": "auth", "duration": 30}}
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]
    assert [i.type for i in judged(records).incidents] == ["auth"]


def test_without_a_baseline_the_threshold_decides():
    records = steady(T0, NOW.end_ms, 60, slow_every=5, slow=8000)
    found = one(judged(records, baseline=None))
    assert (found.type, found.severity) == ("latency", "warning")
    assert judged(steady(T0, NOW.end_ms, 60, slow_every=30, slow=8000), baseline=None).verdict == "ok"
    assert one(judged(steady(T0, NOW.end_ms, 60, slow_every=5, slow=18_000), baseline=None)).severity == "critical"


def test_a_baseline_as_slow_excuses_nothing():
    records = steady(BEFORE.start_ms, NOW.end_ms, 60, duration=6000)
    found = one(judged(records))
    assert (found.type, found.started_at) == ("latency", None)
    relaxed = Thresholds(p95_ms=type(Thresholds().p95_ms)(10_000, 30_000))
    assert judged(records, thresholds=relaxed).verdict == "ok"


@pytest.mark.parametrize(("before", "types"), [(2, []), (20, ["latency"])])
def test_a_p95_of_two_answers_accuses_nobody(before, types):
    """A model with two answers before: that most are slower than both shows little, than twenty of them much."""
    records = steady(BEFORE.start_ms, NOW.end_ms, 60)
    records += [call(BEFORE.start_ms + i * 40_000, model="qwen-vl-max", duration=800) for i in range(before)]
    records += steady(T0, NOW.end_ms, 4, model="qwen-vl-max", slow_every=3, slow=700, duration=1500)
    assert [incident.type for incident in judged(records).incidents] == types


def test_answers_that_became_longer_are_said_to_be():
    special = {(None, "qwen-max", None): {"slow_every": 2, "slow": 4000}}
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]
    longer = [replace(r, output_tokens=400 if r.time_ms >= FIVE and r.model == "qwen-max" else 100) for r in records]
    assert one(judged(longer)).hypothesis.id == "hypothesis.answers_longer"
    assert one(judged(records)).hypothesis.id == "incident.latency.hypothesis"


def test_slow_calls_of_a_failing_model_are_part_of_its_incident():
    special = {(None, "qwen-max", None): {"fail_every": 3, "error": "server_error", "duration": 4000}}
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]
    found = one(judged(records))
    assert (found.type, found.scope) == ("server_error", {"model": "qwen-max"})
    assert "evidence.slow_share" in [message.id for message in found.evidence]


def test_healthy_is_healthy():
    assert judged(healthy(per_minute=100)).verdict == "ok"
