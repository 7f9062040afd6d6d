"""The plan of `recover throttle`: limits with headroom and fair shares, settings that read back, an honest replay."""

import json
import math
import shlex
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evidence import Arrival, Limit
from llmops_cli.knowledge.sentences import sentence
from llmops_cli.sop.throttling import throttle_settings

START = 1_752_041_040_000  # a full minute
MODEL = "qwen-plus"


def call(at_ms, tokens=100, duration_ms=1000, *, refused=False, workspace="llm-a", model=MODEL):
    return Arrival(START + at_ms, model, workspace, 0 if refused else tokens, 40 if refused else duration_ms, refused)


def per_minute(count, minutes=5, **how):
    return [call(m * 60_000 + i * 60_000 // count, **how) for m in range(minutes) for i in range(count)]


def limit(rpm=None, tpm=None, workspace=None, source="configuration"):
    return Limit(MODEL, workspace, rpm, tpm, "unknown" if rpm is None and tpm is None else source)


def ids(plan):
    return [note.id for note in plan.notes]


def note(plan, id_):
    return next(n for n in plan.notes if n.id == id_).values


def test_a_known_limit_leaves_a_tenth_of_headroom():
    plan = throttle_settings(MODEL, None, per_minute(60), limit(228, 1_000_000))
    assert (plan.rpm, plan.tpm) == (205, 900_000)
    assert (plan.rps, plan.tps) == (3.416, 15_000)
    assert plan.limit_source == "configuration"
    assert (plan.backoff.base_s, plan.backoff.max_s, plan.backoff.attempts, plan.backoff.jitter) == (1, 60, 6, "full")
    assert plan.notes == ()
    assert throttle_settings(MODEL, None, per_minute(60), limit(228), headroom=0.5).rpm == 114


@pytest.mark.parametrize("headroom", [0, -1, 1.01, math.nan])
def test_headroom_is_a_share(headroom):
    with pytest.raises(ValueError, match="headroom"):
        throttle_settings(MODEL, None, [], limit(228), headroom=headroom)


def test_a_rate_limited_log_is_refused_no_more_when_it_is_throttled():
    # 300 a minute for two minutes against 228, what is beyond refused; then quiet, so that the queue can empty
    busy = [call(i * 200, refused=i % 300 >= 228) for i in range(600)]
    plan = throttle_settings(MODEL, None, busy + [call(120_000 + i * 1_000) for i in range(180)], limit(228))
    assert plan.replay.calls == 780
    assert plan.replay.refused_before == 144
    assert plan.replay.refused_after == 0
    assert 0 < plan.replay.added_wait_ms.p50 <= plan.replay.added_wait_ms.p95 <= plan.replay.added_wait_ms.max < 60_000
    assert note(plan, "throttle.tokens_estimated") == {"calls": 144, "tokens": 100}


def test_demand_far_above_the_limit_is_not_talked_away():
    plan = throttle_settings(MODEL, None, per_minute(600, minutes=10), limit(228), busiest=(600, 60_000))
    assert plan.replay.refused_after > 3_000
    values = note(plan, "throttle.given_up")
    assert values["calls"] == plan.replay.refused_after
    assert (values["rpm"], values["limit_rpm"]) == (600, 205)


def test_concurrency_by_littles_law():
    # 10 calls a second let through × a p95 of 4 s; nineteen of twenty take 1 s
    calls = [call(i * 200, duration_ms=4_000 if i % 20 < 2 else 1_000) for i in range(1_000)]
    plan = throttle_settings(MODEL, None, calls, limit(600), headroom=1)
    assert plan.concurrency == 40
    tokens_bind = throttle_settings(MODEL, None, calls, limit(600, 30_000), headroom=1)
    assert tokens_bind.concurrency == 20  # 500 tokens a second are 5 calls of 100
    assert throttle_settings(MODEL, None, [call(0)], limit(60)).concurrency == 2  # never one alone


def test_a_quiet_workspace_keeps_what_it_asked_for_and_the_noisy_one_gets_the_rest():
    calls = per_minute(400, workspace="noisy") + per_minute(30, workspace="quiet") + per_minute(20, workspace="small")
    plan = throttle_settings(MODEL, "noisy", calls, limit(300, 600_000), headroom=1)
    assert plan.rpm == 250
    assert plan.tpm == 595_000
    assert plan.replay.calls == 2_000
    assert note(plan, "throttle.share")["others"] == 2
    quiet = throttle_settings(MODEL, "quiet", calls, limit(300), headroom=1)
    assert quiet.rpm == 140  # (300 - 20) shared with the noisy one in equal parts


def test_throttling_oneself_does_not_help_against_a_noisy_neighbour():
    calls = per_minute(30, workspace="mine") + per_minute(900, workspace="noisy")
    plan = throttle_settings(MODEL, "mine", calls, limit(300))
    assert plan.replay.refused_after > 50
    assert note(plan, "throttle.still_refused") == {"calls": plan.replay.refused_after}


def test_a_noisy_workspace_is_told_what_its_throttling_does_for_the_others():
    calls = [call(i * 1_997, workspace="quiet") for i in range(150)] + per_minute(900, workspace="noisy")
    counts = note(throttle_settings(MODEL, "noisy", calls, limit(300)), "throttle.others")
    assert counts["before"] > 50
    assert counts["after"] < counts["before"] / 5


def test_refused_calls_of_others_are_demand_too():
    calls = (
        per_minute(10, workspace="mine") + per_minute(40, workspace="b") + per_minute(20, workspace="b", refused=True)
    )
    assert throttle_settings(MODEL, "mine", calls, limit(300), headroom=1).rpm == 240


def test_a_workspaces_own_limit_is_not_shared():
    calls = per_minute(100, workspace="a") + per_minute(100, workspace="b")
    plan = throttle_settings(MODEL, "a", calls, limit(120, workspace="a"), headroom=1)
    assert plan.rpm == 120
    assert "throttle.share" not in ids(plan)
    assert plan.replay.refused_after == 0  # b's calls do not count against it


@given(st.lists(st.integers(1, 500), max_size=6), st.integers(10, 2_000))
def test_a_fair_share_is_never_less_than_an_equal_one_nor_more_than_all(demands, rpm):
    calls = [call(i, workspace=f"w{w}") for w, demand in enumerate(demands) for i in range(demand)]
    plan = throttle_settings(MODEL, "mine", calls, limit(rpm), headroom=1)
    others = len(demands)
    assert math.floor(rpm / (others + 1)) <= plan.rpm <= rpm
    assert plan.rpm >= math.floor(rpm - sum(demands))


def test_other_models_are_left_aside():
    calls = per_minute(10) + per_minute(500, model="qwen-max", refused=True)
    plan = throttle_settings(MODEL, None, calls, limit(60))
    assert (plan.replay.calls, plan.replay.refused_before) == (50, 0)


def test_an_unknown_limit_is_what_still_passed_while_calls_were_refused():
    calls = [
        call(m * 60_000 + i * 150, tokens=50, refused=2 <= m <= 6 and i >= 200) for m in range(8) for i in range(300)
    ]
    plan = throttle_settings(MODEL, None, calls, limit())
    assert plan.limit_source == "observed"
    assert plan.rpm == 180  # 200 × 0.9
    assert plan.tpm == 9_000
    assert note(plan, "throttle.limit_unknown_refused") == {"rpm": 200, "tpm": 10_000, "minutes": 3}


def test_an_unknown_limit_without_refusals_keeps_to_the_busiest_minute():
    plan = throttle_settings(MODEL, None, per_minute(50) + [call(300_000 + i) for i in range(80)], limit())
    assert (plan.rpm, plan.tpm, plan.limit_source) == (80, 8_000, "observed")
    assert {"throttle.limit_unknown", "throttle.not_modelled"} == set(ids(plan))
    assert plan.replay.refused_after == 0  # nothing was refused, and no limit is known that would


def test_half_a_limit_throttles_half_and_says_so():
    plan = throttle_settings(MODEL, None, per_minute(50), limit(rpm=60))
    assert (plan.rpm, plan.tpm, plan.tps) == (54, None, None)
    assert note(plan, "throttle.half_unknown") == {"half": "tpm"}
    assert "tpm" not in plan.settings.toml
    assert "TPM" not in plan.settings.env


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_a_limit_that_cannot_be_counts_as_unknown(bad):
    plan = throttle_settings(MODEL, None, per_minute(50), limit(rpm=bad))
    assert plan.limit_source == "observed"


def test_no_calls_still_give_settings():
    plan = throttle_settings(MODEL, "llm-z", [], limit(60))
    assert plan.rpm == 54
    assert (plan.replay.calls, plan.replay.refused_after, plan.replay.added_wait_ms.max) == (0, 0, 0)
    assert {"throttle.no_calls", "throttle.latency_unknown"} <= set(ids(plan))
    nothing = throttle_settings(MODEL, None, [], limit())
    assert (nothing.rpm, nothing.tpm, nothing.limit_source) == (None, None, "unknown")


def test_only_refusals_are_replayed_with_a_warning():
    plan = throttle_settings(MODEL, None, per_minute(50, refused=True), limit())
    assert {"throttle.tokens_unknown", "throttle.latency_unknown"} <= set(ids(plan))
    assert plan.rpm == 0.9  # one a minute is the least that could have passed


def test_a_model_of_the_platform_that_disagrees_with_the_log_says_so():
    calls = [call(i * 500, refused=i % 20 == 0) for i in range(600)]  # 30 refused, where the limit would refuse half
    assert note(throttle_settings(MODEL, None, calls, limit(60)), "throttle.model_differs")["logged"] == 30


def test_a_known_limit_that_explains_no_refusal_gives_way_to_what_still_passed():
    calls = [call(i * 500, tokens=50, refused=i % 2 == 0) for i in range(600)]  # half refused, far below the limit
    plan = throttle_settings(MODEL, None, calls, limit(6_000, 900_000), refused_for=("rpm",))
    assert (plan.rpm, plan.tpm, plan.limit_source) == (54, 810_000, "observed")  # 60 passed in each minute
    said = note(plan, "throttle.limit_disproved")
    assert (said["limit_rpm"], said["refused"], said["rpm"], said["tpm"]) == (6_000, 300, 60, None)
    assert plan.replay.refused_after > 0  # the effect promised is that of the limit at work


def test_bursts_are_spread_over_the_busiest_minute():
    calls = [call(m * 60_000 + i * 20, refused=i >= 30) for m in range(4) for i in range(60)]  # all in 1.2 s
    plan = throttle_settings(MODEL, None, calls, limit(6_000), refused_for=())
    assert (plan.rpm, plan.rps, plan.limit_source) == (60, 1, "observed")
    assert plan.replay.refused_after < 0.05 * plan.replay.refused_before
    assert note(plan, "throttle.burst_unknown") == {"rpm": 60}


def test_refusals_for_tokens_do_not_limit_requests():
    calls = [call(i * 500, tokens=500, refused=i % 2 == 0) for i in range(600)]
    plan = throttle_settings(MODEL, None, calls, limit(), refused_for=("tpm",))
    assert (plan.rpm, plan.tpm) == (None, 27_000)


names = st.text(st.characters(blacklist_categories=("Cs",)), max_size=30)


@given(names, st.one_of(st.none(), names), st.integers(1, 100_000), st.one_of(st.none(), st.integers(100, 10**7)))
def test_every_notation_reads_back_whatever_the_names(model, workspace, rpm, tpm):
    plan = throttle_settings(model, workspace, [], Limit(model, None, rpm, tpm, "configuration"))
    numbers = {"rpm": plan.rpm, "tpm": plan.tpm, "rps": plan.rps, "tps": plan.tps, "concurrency": plan.concurrency}
    numbers = {key: value for key, value in numbers.items() if value is not None}
    backoff = {"base_s": 1, "max_s": 60, "attempts": 6, "jitter": "full"}

    name = model if workspace is None else f"{model}@{workspace}"
    assert tomllib.loads(plan.settings.toml) == {"throttle": {name: {**numbers, "backoff": backoff}}}

    as_json = json.loads(plan.settings.json)
    assert as_json == {"model": model, "workspace": workspace, **numbers, "backoff": backoff}

    lines = plan.settings.env.splitlines()
    read = dict(word.split("=", 1) for line in lines for word in shlex.split(line))
    assert all(line.startswith("LLMOPS_THROTTLE_") for line in lines)
    assert {key: float(read[f"LLMOPS_THROTTLE_{key.upper()}"]) for key in numbers} == numbers
    assert read["LLMOPS_THROTTLE_BACKOFF_ATTEMPTS"] == "6"
    if model.isprintable():
        assert read["LLMOPS_THROTTLE_MODEL"] == model


def test_settings_look_like_what_one_would_write_by_hand():
    plan = throttle_settings(MODEL, "llm-6qtsrlugmu6wanfs", [], limit(1_200, 1_000_000))
    assert plan.settings.toml == (
        '[throttle."qwen-plus@llm-6qtsrlugmu6wanfs"]\n'
        "rpm = 1080\ntpm = 900000\nrps = 18\ntps = 15000\nconcurrency = 90\n\n"
        '[throttle."qwen-plus@llm-6qtsrlugmu6wanfs".backoff]\n'
        'base_s = 1\nmax_s = 60\nattempts = 6\njitter = "full"\n'
    )
    assert "LLMOPS_THROTTLE_RPM=1080\n" in plan.settings.env
    assert json.loads(plan.settings.json)["rps"] == 18


def test_every_note_has_its_sentence():
    scenes = [
        (None, per_minute(600, minutes=10), limit(228)),
        (None, per_minute(50, refused=True), limit()),
        (None, per_minute(50), limit()),
        (None, [], limit()),
        (None, [call(i * 500, refused=i % 2 == 0) for i in range(600)], limit(6_000)),
        (None, [call(i * 500, refused=i % 2 == 0) for i in range(600)], limit()),
        ("llm-a", per_minute(50) + per_minute(500, workspace="b"), limit(60)),
    ]
    seen = {}
    for workspace, calls, known in scenes:
        for message in throttle_settings(MODEL, workspace, calls, known).notes:
            seen[message.id] = sentence(message)
    assert len(seen) >= 8
    for id_, text in seen.items():
        assert not text.startswith("throttle."), id_
        assert "?" not in text, (id_, text)
