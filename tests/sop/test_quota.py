import shlex
from dataclasses import replace

import pytest

from llmops_cli.evidence import Demand, Filters, Limit, Span, Thresholds
from llmops_cli.knowledge.sentences import sentence
from llmops_cli.sop.quota import find_limits, quota, rising, water_levels
from llmops_cli.views import saying
from tests.sop.records import BEFORE, MINUTE, NOW, T0, call, four_apps, healthy, judged, one, seen, since, steady

FIVE = T0 + 5 * MINUTE


def demand(model="qwen-plus", workspace=None, **values):
    numbers = {
        "calls": 900,
        "total_tokens": 90_000,
        "rpm_mean": 60.0,
        "rpm_peak": 80,
        "tpm_mean": 6000.0,
        "tpm_peak": 8000,
    }
    return Demand(model, workspace, **{**numbers, "rps_peak": 4, "tps_peak": 900, "peak_ms": T0, **values})


def test_limits_fall_back_field_by_field():
    table = find_limits([demand()], {}, "cn-beijing")[0]
    assert table.rpm > 0
    assert table.tpm > 0
    assert table.source.startswith("table 20")
    assert "cn-beijing" in table.source
    half = find_limits([demand()], {"qwen-plus": {"rpm": 100, "tpm": None}}, "cn-beijing")[0]
    assert (half.rpm, half.tpm) == (100, table.tpm)
    assert half.source == f"rpm: configuration, tpm: {table.source}"
    whole = find_limits([demand()], {"qwen-plus": {"rpm": 100, "tpm": 200}}, "cn-beijing")[0]
    assert whole == Limit("qwen-plus", None, 100, 200, "configuration")
    assert find_limits([demand("my-own")], {}, "cn-beijing") == (Limit("my-own", None, None, None, "unknown"),)
    assert find_limits([demand()], {}, "nowhere")[0].source == "unknown"


def test_a_workspace_has_a_limit_only_where_one_is_configured():
    rows = [demand(), demand(workspace="llm-a"), demand(workspace="llm-b")]
    found = find_limits(rows, {"qwen-plus@llm-a": {"rpm": 70}}, "cn-beijing")
    assert [(limit.workspace, limit.rpm) for limit in found[1:]] == [("llm-a", 70), ("llm-b", None)]


def test_levels_of_the_busiest_minute_refused_calls_included():
    records = steady(T0, NOW.end_ms, 60, fail_every=2, error="rate_limit_requests", tokens=50)
    observation = seen(records, baseline=None)
    limits = [Limit("qwen-plus", None, 100, 10_000, "configuration")]
    account, workspace = water_levels(observation, limits, Thresholds())
    assert (account.model, account.workspace, workspace.workspace) == ("qwen-plus", None, "llm-a")
    assert (account.rpm.peak, account.rpm.level, account.level, account.state) == (60, 0.6, 0.6, "ok")
    assert (account.tpm.peak, account.tpm.level) == (1500, 0.15)
    assert account.rps.limit == pytest.approx(100 / 60)
    assert account.throttled == 450
    assert workspace.limit_source == "account, configuration"


@pytest.mark.parametrize(("rpm", "state"), [(100, "ok"), (80, "warning"), (66, "critical"), (None, "unknown")])
def test_states(rpm, state):
    observation = seen(steady(T0, NOW.end_ms, 60), baseline=None)
    assert water_levels(observation, [Limit("qwen-plus", None, rpm, None)], Thresholds())[0].state == state


def test_seconds_are_shown_but_are_no_incident():
    records = healthy() + [call(T0 + 90_000 + i, tokens=5000) for i in range(30)]
    answer = judged(records, limits={"qwen-plus": {"rpm": 600, "tpm": 600_000}})
    row = answer.water_levels[0]
    assert row.rps.level > 1
    assert row.tps.level > 1
    assert answer.verdict == "ok"


def test_a_few_long_prompts_in_one_minute_page_nobody():
    records = steady(BEFORE.start_ms, NOW.end_ms, 4) + [call(FIVE + i, tokens=25_000) for i in range(3)]
    answer = judged(records, limits={"qwen-plus": {"rpm": 100, "tpm": 100_000}})
    assert answer.water_levels[0].state == "warning"
    assert answer.verdict == "ok"


def test_a_high_water_level_is_an_incident_with_its_limit_and_source():
    found = one(judged(healthy(), limits={"qwen-plus": {"rpm": 140}, "qwen-max": {"rpm": 1000}}))
    assert (found.type, found.scope, found.severity) == ("water_level", {"model": "qwen-plus"}, "warning")
    busiest = next(message for message in found.evidence if message.id == "evidence.busiest_minute_rpm")
    assert (busiest.values["peak"], busiest.values["limit"], busiest.values["source"]) == (120, 140, "configuration")


def test_a_workspace_near_its_own_limit():
    limits = {"qwen-plus": {"rpm": 1000}, "qwen-plus@llm-b": {"rpm": 62}}
    found = one(judged(healthy(), limits=limits))
    assert (found.scope, found.severity) == ({"model": "qwen-plus", "workspace": "llm-b"}, "critical")


def test_rising_demand_reaches_the_limit():
    records = []
    for minute in range(15):
        records += steady(T0 + minute * MINUTE, T0 + (minute + 1) * MINUTE, 20 + 4 * minute)
    observation = seen(records, baseline=None)
    row = water_levels(observation, [Limit("qwen-plus", None, 200, None)], Thresholds())[0]
    # 76 in the last minute and 4 more each minute: 200 after 31 more.
    assert (row.exhausted_at.timestamp() * 1000 - NOW.end_ms) / MINUTE == pytest.approx(31, abs=1.5)
    flat = seen(steady(T0, NOW.end_ms, 60), baseline=None)
    assert water_levels(flat, [Limit("qwen-plus", None, 200, None)], Thresholds())[0].exhausted_at is None
    far = water_levels(observation, [Limit("qwen-plus", None, 2_000_000, None)], Thresholds())[0]
    assert far.exhausted_at is None


def test_a_trend_needs_points_that_rise():
    assert rising([(float(x), 2.0 * x + 1) for x in range(10)]) == pytest.approx(2)
    assert rising([(float(x), 5.0) for x in range(10)]) is None
    assert rising([(float(x), float(x)) for x in range(3)]) is None
    assert rising([(float(x), float(-x)) for x in range(10)]) is None


def refused(growth, limits, **special):
    """`qwen-plus` grows fivefold five minutes into the window and every third call of it is refused."""
    grown = {
        ("docs" if growth == "docs" else None, "qwen-plus", None): {
            "per_minute": 150,
            "fail_every": 3,
            "error": "rate_limit_requests",
        }
    }
    grown |= (
        {("shop", "qwen-plus", None): {"fail_every": 3, "error": "rate_limit_requests"}} if growth == "docs" else {}
    )
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=grown)]
    return judged(records, limits=limits, next_options="--log app.log", **special)


def test_who_drives_a_limit_is_named():
    found = one(refused("docs", {"qwen-plus": {"rpm": 250}}))
    assert (found.type, found.scope) == ("rate_limit_requests", {"model": "qwen-plus"})
    assert [dict(driver.where) for driver in found.drivers] == [{"app": "docs"}]
    assert found.drivers[0].share == pytest.approx(1, abs=0.02)
    assert since(found) == pytest.approx(5, abs=0.2)
    assert found.hypothesis.values["driver"] == "app docs"


def test_who_drives_a_token_limit_is_told_in_tokens():
    """As many calls as ever, but five times as large: the rise is one of tokens."""
    larger = {("docs", "qwen-plus", None): {"tokens": 500, "fail_every": 3, "error": "rate_limit_tokens"}}
    larger |= {("shop", "qwen-plus", None): {"fail_every": 3, "error": "rate_limit_tokens"}}
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=larger)]
    (driver,) = one(judged(records, limits={"qwen-plus": {"tpm": 20_000}})).drivers
    assert (dict(driver.where), driver.calls) == ({"app": "docs"}, 0)
    # Ten minutes of 60 calls a minute, 400 tokens more for each; a refused one counts as large as the others.
    assert driver.tokens == pytest.approx(240_000, rel=0.02)
    assert saying.driver(driver).startswith("app docs +240 k tokens (")


def test_when_all_rise_alike_nobody_drives():
    assert one(refused("all", {"qwen-plus": {"rpm": 400}})).drivers == ()


def test_a_limit_that_is_not_reached_changes_the_hypothesis():
    found = one(refused("docs", {"qwen-plus": {"rpm": 10_000}}))
    assert found.hypothesis.id == "hypothesis.limit_elsewhere"
    assert found.refuted_by.id == "refutation.limit_elsewhere"
    assert "evidence.limit_not_reached" in [message.id for message in found.evidence]
    reached = one(refused("docs", {"qwen-plus": {"rpm": 250}}))
    assert reached.hypothesis.id == "incident.rate_limit_requests.hypothesis"
    unknown = one(refused("docs", {}))
    assert "evidence.limit_unknown" in [message.id for message in unknown.evidence]


def test_the_level_that_explains_an_incident_is_that_of_its_own_time():
    """The log ends ten seconds into the window: the limit was reached in the minutes before it."""
    grown = {(None, "qwen-plus", None): {"per_minute": 60, "fail_every": 3, "error": "rate_limit_requests"}}
    span, baseline = Span(T0, T0 + 5 * MINUTE), Span(T0 - 20 * MINUTE, T0 - 15 * MINUTE)
    records = four_apps(baseline.start_ms, T0 - 10 * MINUTE, 30)
    records += four_apps(T0 - 10 * MINUTE, T0 + 10_000, 30, special=grown)
    between = Span(baseline.end_ms, T0)
    found = one(judged(records, span, baseline, between=between, stepped_back=True, limits={"qwen-plus": {"rpm": 200}}))
    facts = {message.id: message.values for message in found.evidence}
    assert facts["evidence.busiest_minute_rpm"]["peak"] == 240
    assert "evidence.limit_not_reached" not in facts
    assert found.hypothesis.id == "incident.rate_limit_requests.hypothesis"
    # 833 calls in the incident, 43 in the window: it is said since when they are counted.
    assert "since 05:50:00" in sentence(next(message for message in found.evidence if message.id == "evidence.refused"))


def test_a_part_of_the_demand_does_not_tell_that_a_limit_is_not_reached():
    found = one(refused("docs", {"qwen-plus": {"rpm": 1000}}, filters=Filters(app=("docs",))))
    assert "evidence.limit_not_reached" not in {message.id for message in found.evidence}
    assert found.hypothesis.id == "incident.rate_limit_requests.hypothesis"


def test_under_a_workspace_limit_the_scope_is_the_workspace():
    special = {(None, "qwen-plus", "llm-b"): {"per_minute": 100, "fail_every": 3, "error": "rate_limit_requests"}}
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]
    limits = {"qwen-plus": {"rpm": 5000}, "qwen-plus@llm-b": {"rpm": 120}}
    found = one(judged(records, limits=limits))
    assert (found.type, found.scope) == ("rate_limit_requests", {"model": "qwen-plus", "workspace": "llm-b"})
    assert one(judged(records, limits={"qwen-plus": {"rpm": 250}})).scope == {"model": "qwen-plus"}


def test_next_commands_can_be_pasted():
    found = one(refused("docs", {"qwen-plus": {"rpm": 250}}))
    assert found.next == (
        "llmops drill --model qwen-plus --log app.log",
        "llmops recover --log app.log",
        "llmops quota --model qwen-plus --log app.log",
        "llmops recover --runbook rate_limit_requests",
    )


@pytest.mark.parametrize("model", ["it's", "--help", "$(reboot)", "a b;c", "模型"])
def test_hostile_names_are_quoted(model):
    records = [
        *steady(BEFORE.start_ms, FIVE, 60),
        *steady(BEFORE.start_ms, FIVE, 60, model=model),
        *steady(FIVE, NOW.end_ms, 60),
        *steady(FIVE, NOW.end_ms, 60, model=model, fail_every=3, error="rate_limit_requests"),
    ]
    found = [command for command in one(judged(records)).next if command.startswith(("llmops drill", "llmops quota"))]
    assert len(found) == 2
    for command in found:
        words = shlex.split(command)
        assert words[0] == "llmops"
        assert f"--model={model}" in words or words[words.index("--model") + 1] == model


def test_the_answer_of_quota():
    observation = seen(healthy())
    limits = find_limits(observation.demand, {"qwen-plus": {"rpm": 140}}, "nowhere")
    data = quota(observation, limits, Thresholds(), next_options="--log app.log")
    assert data.rows[0].model == "qwen-plus"
    assert data.coverage
    assert data.next[0] == "llmops drill --model qwen-plus --log app.log"
    calm = quota(observation, find_limits(observation.demand, {}, "nowhere"), Thresholds())
    assert calm.next == ()


def test_windows_shorter_than_a_minute_have_levels_too():
    span = Span(T0, T0 + 10_000)
    observation = seen(steady(T0, T0 + 10_000, 600), span, None)
    assert water_levels(observation, [Limit("qwen-plus", None, 1000, None)], Thresholds())[0].rpm.peak == 100


def test_a_second_above_its_share_is_explained_and_judges_nothing():
    """Three calls in one second of a limit of 56 a minute: less than one a second is no limit that can be kept."""
    records = [*steady(BEFORE.start_ms, NOW.end_ms, 10), *(call(T0 + 5 * MINUTE + i) for i in range(3))]
    observation = seen(records)
    data = quota(observation, find_limits(observation.demand, {"qwen-plus": {"rpm": 56}}, "nowhere"), Thresholds())
    (account, *_) = data.rows
    assert (account.rps.limit, account.rps.peak >= 3, account.state) == (1, True, "ok")
    assert "does not change the state" in data.coverage
    calm = seen(steady(BEFORE.start_ms, NOW.end_ms, 10))
    limits = find_limits(calm.demand, {"qwen-plus": {"rpm": 56}}, "nowhere")
    assert "state" not in quota(calm, limits, Thresholds()).coverage


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("rate_limit_tokens", "rate_limit_tokens"),
        ((429, "Throttling.BurstRate", "Request rate increased too quickly."), "rate_limit_burst"),
    ],
)
def test_what_to_do_about_a_limit_follows_the_type_of_its_refusals(error, kind):
    observation = seen(steady(T0, NOW.end_ms, 60, fail_every=3, error=error), baseline=None)
    found = quota(observation, [Limit("qwen-plus", None, 60, 6000)], Thresholds(), next_options="--log app.log").next
    assert found[-1] == f"llmops recover --runbook {kind}"
    assert found[1:-1] == ("llmops recover --log app.log",)  # the plan, which knows what would help


def test_refusals_far_below_the_token_limit_have_another_hypothesis():
    """A third is refused, with 0 tokens in the log; even with those of the others the limit is far."""
    special = {(None, "qwen-plus", None): {"tokens": 400, "fail_every": 2, "error": "rate_limit_tokens"}}
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]
    found = one(judged(records, limits={"qwen-plus": {"tpm": 1_000_000}}))
    assert found.hypothesis.id == "hypothesis.limit_elsewhere"
    (level,) = (m.values["level"] for m in found.evidence if m.id == "evidence.limit_not_reached_estimated")
    assert level == pytest.approx(120 * 400 / 1_000_000, rel=0.05)
    near = one(judged(records, limits={"qwen-plus": {"tpm": 50_000}}))  # 24,000 logged in the busiest minute
    assert near.hypothesis.id == "incident.rate_limit_tokens.hypothesis"


def test_a_second_far_below_its_share_is_no_burst_of_this_log():
    burst = (429, "Throttling.BurstRate", "Request rate increased too quickly.")
    special = {(None, "qwen-plus", None): {"fail_every": 3, "error": burst}}
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]
    far = one(judged(records, limits={"qwen-plus": {"rpm": 30_000}}))
    assert (far.type, far.hypothesis.id) == ("rate_limit_burst", "hypothesis.limit_elsewhere")
    assert "evidence.share_not_reached" in [message.id for message in far.evidence]
    near = one(judged(records, limits={"qwen-plus": {"rpm": 300}}))
    assert near.hypothesis.id == "incident.rate_limit_burst.hypothesis"


@pytest.mark.parametrize(("refused", "told"), [(1, False), (4, False), (5, True)])
def test_a_refusal_or_two_is_no_reason_to_act(refused, told):
    records = [*steady(T0, NOW.end_ms, 20), *(call(T0 + n * 999, error="rate_limit_requests") for n in range(refused))]
    observation = seen(records, baseline=None)
    found = quota(observation, [Limit("qwen-plus", None, 60_000, None)], Thresholds())
    assert bool(found.next) is told
    many = seen([*records, *steady(T0, NOW.end_ms, 200)], baseline=None)
    assert quota(many, [Limit("qwen-plus", None, 60_000, None)], Thresholds()).next == ()


def test_what_is_full_will_not_be_full_at_a_time_to_come():
    """Requests are above their limit, tokens rise towards theirs; and a log that ended long ago has no future."""
    records = []
    for minute in range(15):
        records += steady(T0 + minute * MINUTE, T0 + (minute + 1) * MINUTE, 20 + 4 * minute)
    observation = seen(records, baseline=None)
    rising_too = Limit("qwen-plus", None, 70, 9_000)
    assert water_levels(observation, [rising_too], Thresholds())[0].exhausted_at is None
    room = Limit("qwen-plus", None, 200, 9_000)
    assert water_levels(observation, [room], Thresholds())[0].exhausted_at is not None
    ended = replace(observation, window=replace(observation.window, anchored=True))
    assert water_levels(ended, [room], Thresholds())[0].exhausted_at is None
