"""Healthy traffic looks like traffic, and every log is the same again."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import timedelta
from statistics import quantiles
from zoneinfo import ZoneInfo

import pytest

from llmops_cli.demo.scenarios import SCENARIOS, generate
from llmops_cli.demo.writer import Formatter
from llmops_cli.evidence import DIMENSIONS, CallRecord, LogLine
from tests.demo.stories import END_MS, MINUTE, sent_ms, story, within

UTC = ZoneInfo("UTC")

# One digest over all scenarios: whoever changes the traffic on purpose changes it here too.
DIGEST = "c3109f747c08f03a"


def text(name, zone=UTC, **how):
    return "".join(map(Formatter(zone), generate(name, **({"seed": 1, "calls": 1000, "end_ms": END_MS} | how)).events))


def test_the_bytes_of_every_scenario_are_pinned():
    digest = hashlib.sha256()
    for name in SCENARIOS:
        digest.update(text(name).encode())
    assert digest.hexdigest()[:16] == DIGEST


def test_seed_and_end_decide_the_log_and_iterating_again_repeats_it():
    made = generate("healthy", seed=3, calls=1000, end_ms=END_MS)
    assert list(made.events) == list(made.events)
    assert text("healthy") != text("healthy", seed=2)
    assert text("healthy", end_ms=END_MS + 1) != text("healthy")


@pytest.mark.parametrize("name", SCENARIOS)
def test_events_are_in_order_and_inside_four_hours(name):
    times = [event.time_ms for event in story(name).events]
    assert times == sorted(times)
    assert END_MS - timedelta(hours=4, minutes=10) / timedelta(milliseconds=1) <= times[0]
    assert END_MS - 5_000 < times[-1] < END_MS


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_long_baseline_is_covered(name):
    """A two-hour window and the two hours before it are full of calls."""
    calls = story(name).calls
    hours = Counter((END_MS - call.time_ms) // (60 * MINUTE) for call in calls)
    assert all(hours[hour] > 3500 for hour in range(4))


@pytest.mark.parametrize("calls", [1000, 2000, 20_000, 40_000])
def test_the_pace_follows_from_calls(calls):
    assert len(story("healthy", calls=calls).calls) == pytest.approx(calls, rel=0.05)


def test_healthy_background():
    healthy = story("healthy", calls=40_000)
    failed = [call for call in healthy.calls if not call.ok]
    assert 0.002 < len(failed) / len(healthy.calls) < 0.004
    assert {call.status_code for call in failed} == {None, 400, 429, 500}
    assert all(len(within(failed, {"app": app})) / len(failed) > 0.0005 for app in {call.app for call in healthy.calls})
    assert 0.1 < len(healthy.ratings) / len(healthy.calls) < 0.2
    assert 0.03 < sum(rating.rating == "down" for rating in healthy.ratings) / len(healthy.ratings) < 0.05


def test_latency_tokens_and_shares_are_plausible():
    calls = [call for call in story("healthy").calls if call.ok]
    shares = Counter(tuple(getattr(call, name) for name in DIMENSIONS) for call in calls)
    busiest = sum(count for _, count in shares.most_common(len(shares) // 5))
    assert busiest > 0.42 * len(calls)  # heavy-tailed: a fifth of the combinations has nearly half of the traffic
    assert len({call.workspace for call in calls}) == 4
    assert len({call.app for call in calls}) == 4
    for model in {call.model for call in calls}:
        p95 = quantiles([call.duration_ms for call in within(calls, {"model": model})], n=20)[-1]
        assert 1500 < p95 < 4500
    assert all(call.input_tokens > 0 < call.output_tokens for call in calls)
    assert all(call.total_tokens == call.input_tokens + call.output_tokens for call in calls)


@pytest.mark.parametrize("dimension", ["module", "model", "workspace"])
def test_scopes_have_one_name(dimension):
    """No value belongs to one app alone, or an incident of that app could be called by either name."""
    calls = story("healthy").calls
    for value in {getattr(call, dimension) for call in calls}:
        assert len({call.app for call in within(calls, {dimension: value})}) > 1


@pytest.mark.parametrize(("calls", "seed"), [(5000, 1), (5000, 2), (20_000, 1), (20_000, 2), (40_000, 1)])
def test_healthy_minutes_stay_below_the_warning_level(calls, seed):
    healthy = story("healthy", seed, calls)
    requests, tokens = Counter(), Counter()
    for call in healthy.calls:
        requests[call.model, call.time_ms // MINUTE] += 1
        tokens[call.model, call.time_ms // MINUTE] += call.total_tokens
    limits = healthy.made.limits
    assert max(count / limits[model]["rpm"] for (model, _), count in requests.items()) < 0.7
    assert max(count / limits[model]["tpm"] for (model, _), count in tokens.items()) < 0.7


def test_arrivals_scatter_and_follow_the_hours_of_the_zone():
    def by_hour(zone):
        made = generate("healthy", seed=1, end_ms=END_MS, zone=zone)
        sent = [sent_ms(event) for event in made.events if isinstance(event, CallRecord)]
        return Counter((END_MS - ms) // (60 * MINUTE) for ms in sent)

    night = by_hour(ZoneInfo("America/New_York"))  # 22:13 to 02:23
    morning = by_hour(UTC)  # 02:13 to 06:23
    assert night[3] > 1.2 * night[0]
    assert morning[0] > morning[2]
    minutes = Counter(sent_ms(call) // MINUTE for call in story("healthy").calls)
    counts = [minutes[minute] for minute in sorted(minutes)[1:-1]]
    assert max(counts) > 1.2 * min(counts)


def test_traces_hold_several_lines_and_calls():
    events = story("rate-limit").events
    traces: dict[str, list] = {}
    for event in events:
        traces.setdefault(event.trace_id, []).append(event)
    calls = [[event for event in lines if isinstance(event, CallRecord)] for lines in traces.values()]
    assert any(first.status_code == 429 and last.ok for first, *_, last in (c for c in calls if len(c) > 1))
    assert any(len(of) > 1 and of[0].ok and of[0].module == "Agent" for of in calls)
    messages = [event.message for event in events if isinstance(event, LogLine)]
    for start in ("prompt:", "result:", "received ", "retry 1 in ", "request failed\njava.lang."):
        assert any(message.startswith(start) for message in messages)
    assert any("ERROR [traceId:" in message for message in messages if message.startswith("prompt:"))
    assert messages[0].startswith("llmops demo: made-up traffic, rate-limit, seed 1")


@pytest.mark.parametrize(
    ("name", "how", "error"),
    [
        ("nothing", {}, KeyError),
        ("healthy", {"calls": 999}, ValueError),
        ("healthy", {"age": timedelta(seconds=59)}, ValueError),
        ("healthy", {"age": timedelta(days=8)}, ValueError),
    ],
)
def test_what_cannot_be_generated(name, how, error):
    with pytest.raises(error):
        generate(name, **({"seed": 1, "end_ms": END_MS} | how))


def test_an_old_incident_has_a_longer_log_with_a_healthy_beginning():
    made = generate("bad-key", seed=1, calls=3000, end_ms=END_MS, age=timedelta(hours=5))
    calls = [event for event in made.events if isinstance(event, CallRecord)]
    healthy = [call for call in calls if call.time_ms < made.truths[0].started_ms]
    assert healthy[-1].time_ms - healthy[0].time_ms > 120 * MINUTE
    assert sum(call.ok for call in healthy) > 0.98 * len(healthy)


def test_daylight_saving_time_changes_the_header_only():
    berlin = ZoneInfo("Europe/Berlin")
    end_ms = 1_743_302_400_000  # 2025-03-30 02:40 UTC, forty minutes after the clocks went from 02:00 to 03:00
    stamps = [line[:13] for line in text("healthy", berlin, end_ms=end_ms).splitlines() if " INFO " in line[:32]]
    assert "2025-03-30 01" in stamps
    assert "2025-03-30 03" in stamps
    assert "2025-03-30 02" not in stamps
