import pytest

from llmops_cli.evidence import Filters, Span, Thresholds
from llmops_cli.knowledge.errors import FAMILIES
from tests.sop.records import BEFORE, ERRORS, MINUTE, NOW, T0, call, four_apps, healthy, judged, one, since, steady

FIVE = T0 + 5 * MINUTE
"""Incidents here begin five minutes into the window."""


def faulty(key, family, *, fail_every=1, begin=FIVE, end=NOW.end_ms, per_minute=30):
    """Healthy calls, but those of `key` (app, model, workspace) fail from `begin` on."""
    special = {key: {"fail_every": fail_every, "error": family}}
    return [
        *four_apps(BEFORE.start_ms, begin, per_minute),
        *four_apps(begin, end, per_minute, special=special),
        *four_apps(end, NOW.end_ms, per_minute),
    ]


def test_a_healthy_log_is_ok():
    answer = judged(healthy())
    assert (answer.verdict, answer.incidents) == ("ok", ())


@pytest.mark.parametrize("family", ["auth", "billing", "server_error", "content_moderation", "timeout", "network"])
def test_a_family_is_an_incident_of_its_type_scope_and_start(family):
    found = one(judged(faulty(("shop", None, None), family)))
    assert (found.type, found.scope, found.runbook) == (family, {"app": "shop"}, family)
    assert since(found) == pytest.approx(5, abs=0.1)
    assert found.failures == found.calls == 4 * 30 * 10


@pytest.mark.parametrize(
    ("key", "scope"),
    [
        ((None, None, None), {}),
        ((None, "qwen-max", None), {"model": "qwen-max"}),
        ((None, None, "llm-b"), {"workspace": "llm-b"}),
        (("docs", "qwen-max", None), {"app": "docs", "model": "qwen-max"}),
        (("docs", "qwen-max", "llm-a"), {"app": "docs", "model": "qwen-max", "workspace": "llm-a"}),
    ],
)
def test_the_scope_is_the_smallest_combination(key, scope):
    assert one(judged(faulty(key, "server_error", fail_every=3))).scope == scope


def test_a_limit_belongs_to_the_model_whoever_is_refused():
    found = one(judged(faulty((None, "qwen-max", None), "rate_limit_requests", fail_every=4)))
    assert (found.type, found.scope) == ("rate_limit_requests", {"model": "qwen-max"})


def test_a_limit_belongs_to_the_model_also_when_there_is_only_one():
    records = steady(BEFORE.start_ms, FIVE, 60) + steady(
        FIVE, NOW.end_ms, 60, fail_every=3, error="rate_limit_requests"
    )
    assert one(judged(records)).scope == {"model": "qwen-plus"}


def test_background_failures_page_nobody():
    records = steady(BEFORE.start_ms, NOW.end_ms, 600, fail_every=333, error="server_error")
    assert judged(records).verdict == "ok"


def test_one_failing_call_of_a_few_pages_nobody():
    records = [*steady(BEFORE.start_ms, NOW.end_ms, 2), *(call(FIVE + i, error="server_error") for i in range(3))]
    assert judged(records).incidents == ()


def one_second(per_minute):
    """Thirty failures in a row within three seconds, among steady calls."""
    return [
        *steady(BEFORE.start_ms, NOW.end_ms, per_minute),
        *(call(FIVE + 100 * i, error="server_error") for i in range(30)),
    ]


def test_one_trace_that_retries_in_a_second_pages_nobody():
    assert "server_error" not in [i.type for i in judged(one_second(60)).incidents]


def test_a_second_that_spoils_the_whole_window_is_told_and_that_it_is_over():
    found = one(judged(one_second(10)))
    assert (found.type, found.severity) == ("server_error", "warning")
    assert "evidence.recovered" in [message.id for message in found.evidence]


@pytest.mark.parametrize("baseline", [BEFORE, None])
@pytest.mark.parametrize("kinds", [("auth",), ("auth", "server_error", "timeout", "billing", "network")])
def test_every_call_failing_is_never_ok_however_short(baseline, kinds):
    records = [call(NOW.end_ms - 2000 + 30 * i, error=kinds[i % len(kinds)]) for i in range(30)]
    answer = judged(records, baseline=baseline)
    assert (answer.verdict, answer.failure_rate) == ("critical", 1)
    if len(kinds) == 1:
        assert one(answer).type == "auth"


def test_too_few_calls_are_unknown_not_ok():
    answer = judged(steady(BEFORE.start_ms, NOW.end_ms, 1))
    assert (answer.verdict, answer.incidents) == ("unknown", ())
    assert answer.headline.values["needed"] == 20


def test_minutes_of_an_outage_in_two_hours_are_not_diluted():
    end = T0 + 120 * MINUTE
    records = [
        *four_apps(T0 - 120 * MINUTE, end - 12 * MINUTE, 4),
        *four_apps(end - 12 * MINUTE, end, 4, special={("docs", "qwen-max", None): {"fail_every": 1, "error": "auth"}}),
    ]
    found = one(judged(records, Span(T0, end), Span(T0 - 120 * MINUTE, T0)))
    assert (found.type, found.scope, found.severity) == ("auth", {"app": "docs", "model": "qwen-max"}, "critical")
    assert since(found) == pytest.approx(108, abs=0.5)


def test_what_ended_is_reported_as_over():
    found = one(judged(faulty(("shop", None, None), "auth", end=T0 + 9 * MINUTE)))
    assert found.severity == "warning"
    recovered = next(message for message in found.evidence if message.id == "evidence.recovered")
    assert recovered.values["since"].startswith("06:08:5")
    assert recovered.values["calls"] > 0


def test_what_ended_before_the_window_is_not_an_incident_now():
    assert judged(faulty(("shop", None, None), "auth", begin=T0 - 10 * MINUTE, end=T0 - 2 * MINUTE)).verdict == "ok"


def test_without_a_baseline_too_much_is_too_much():
    records = four_apps(T0, NOW.end_ms, 30, special={("shop", None, None): {"fail_every": 2, "error": "auth"}})
    found = one(judged(records, baseline=None))
    assert (found.type, found.scope, found.severity) == ("auth", {"app": "shop"}, "critical")
    assert found.started_at is None
    assert found.started_before.timestamp() * 1000 == T0


def test_a_baseline_as_bad_excuses_nothing():
    special = {("shop", None, None): {"fail_every": 2, "error": "auth"}}
    answer = judged(four_apps(BEFORE.start_ms, NOW.end_ms, 30, special=special))
    assert answer.verdict == "critical"
    assert one(answer).started_at is None
    assert one(answer).started_before.timestamp() * 1000 == BEFORE.start_ms


def test_many_small_families_are_too_many_failures_together():
    records = []
    for n, family in enumerate(("auth", "server_error", "timeout", "content_moderation", "network")):
        records += steady(BEFORE.start_ms + n, NOW.end_ms, 100, fail_every=170, error=family)
    assert judged(records, thresholds=Thresholds()).verdict == "ok"
    records = []
    for n, family in enumerate(("auth", "server_error", "timeout", "content_moderation", "network")):
        records += steady(BEFORE.start_ms + n, NOW.end_ms, 200, fail_every=25, error=family)
    found = one(judged(records))
    assert found.scope == {}
    assert found.evidence[0].id == "evidence.mixed"


UNRELATED = ("auth", "server_error", "content_moderation", "billing")


@pytest.mark.parametrize("begin", [BEFORE.start_ms, FIVE])
def test_unrelated_families_of_a_size_are_an_incident_each(begin):
    """Nothing but their beginning, or that they were always there, is common to them: none speaks for the others."""
    records = [
        call(ms, error=UNRELATED[i // 8 % 4] if i % 8 == 0 and ms >= begin else "")
        for i, ms in enumerate(range(BEFORE.start_ms, NOW.end_ms, 250))
    ]
    answer = judged(records)
    # Moderation is always there: it is an incident of its own only from many calls on.
    assert {incident.type for incident in answer.incidents} >= {*UNRELATED} - {"content_moderation"}
    assert {incident.runbook for incident in answer.incidents} == {incident.type for incident in answer.incidents}


def test_a_small_companion_of_an_outage_stays_a_line_in_it():
    records = [
        call(ms, error="" if ms < FIVE or i % 2 else "billing" if i % 20 else "auth")
        for i, ms in enumerate(range(BEFORE.start_ms, NOW.end_ms, 250))
    ]
    found = one(judged(records))
    assert found.type == "billing"
    assert "evidence.also_failing" in [message.id for message in found.evidence]


def test_two_codes_of_one_family_are_one_incident():
    records = faulty(("shop", None, None), "server_error", fail_every=2)
    other = (500, "InternalError.Algo", "inference internal error.")
    records += [call(FIVE + 500 + i * 400, app="shop", error=other) for i in range(1400)]
    found = one(judged(records))
    assert [m.values["code"] for m in found.evidence if m.id == "evidence.code"] == [
        "InternalError.Algo",
        "InternalError",
    ]


def test_two_faults_are_two_incidents_the_larger_first():
    special = {
        ("docs", None, None): {"fail_every": 1, "error": "auth"},
        ("shop", "qwen-max", None): {"fail_every": 3, "error": "rate_limit_requests"},
    }
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]
    answer = judged(records)
    assert [(i.type, i.scope) for i in answer.incidents] == [
        ("auth", {"app": "docs"}),
        ("rate_limit_requests", {"model": "qwen-max"}),
    ]


def test_one_family_in_two_places_is_two_incidents():
    special = {
        ("docs", "qwen-max", "llm-a"): {"fail_every": 1, "error": "auth"},
        ("shop", "qwen-plus", "llm-b"): {"fail_every": 1, "error": "auth"},
    }
    records = [*four_apps(BEFORE.start_ms, FIVE, 30), *four_apps(FIVE, NOW.end_ms, 30, special=special)]
    scopes = [i.scope for i in judged(records).incidents]
    assert len(scopes) == 2
    assert {"app": "docs", "model": "qwen-max", "workspace": "llm-a"} in scopes


def test_a_platform_that_fails_in_several_ways_is_one_incident():
    records = faulty((None, "qwen-max", None), "server_error", fail_every=2)
    records += [
        call(FIVE + 500 + i * 1500, model="qwen-max", app="docs", error="timeout", duration=30_000) for i in range(400)
    ]
    found = one(judged(records))
    assert (found.type, found.scope) == ("server_error", {"model": "qwen-max"})
    assert "evidence.also_failing" in [message.id for message in found.evidence]


def test_moderation_of_a_part_is_a_warning_an_outage_is_critical():
    assert one(judged(faulty(("shop", "qwen-max", "llm-a"), "content_moderation", fail_every=2))).severity == "warning"
    assert one(judged(faulty(("shop", "qwen-max", "llm-a"), "auth"))).severity == "critical"
    assert one(judged(faulty(("shop", "qwen-max", "llm-a"), "server_error", fail_every=5))).severity == "warning"


def test_an_incident_that_began_in_the_baseline_has_its_start_there():
    found = one(judged(faulty(("shop", None, None), "auth", begin=T0 - 2 * MINUTE)))
    assert since(found) == pytest.approx(-2, abs=0.1)


def test_an_incident_that_began_in_between_has_its_start_there():
    begin = T0 - 20 * MINUTE
    records = [
        *four_apps(T0 - 60 * MINUTE, begin, 30),
        *four_apps(begin, NOW.end_ms, 30, special={("shop", None, None): {"fail_every": 1, "error": "auth"}}),
    ]
    baseline = Span(T0 - 45 * MINUTE, T0 - 30 * MINUTE)
    for between in (Span(baseline.end_ms, T0), Span(baseline.end_ms, T0 - 15 * MINUTE)):
        found = one(judged(records, NOW, baseline, between=between, stepped_back=True))
        assert since(found) == pytest.approx(-20, abs=0.1)


def test_hostile_values_and_messages_stay_values():
    ugly = "\x1b[31m[/red]{calls}\u202e=cmd()"
    records = four_apps(BEFORE.start_ms, NOW.end_ms, 30)
    records += steady(BEFORE.start_ms, FIVE, 60, app=ugly)
    records += [call(FIVE + i * 1000, app=ugly, error=(401, "InvalidApiKey", ugly * 1000)) for i in range(600)]
    found = one(judged(records))
    assert found.scope == {"app": ugly}
    sample = next(message for message in found.evidence if message.id == "evidence.sample")
    assert len(sample.values["message"]) <= 200


def test_every_family_can_be_told_apart_by_type():
    assert set(ERRORS) <= set(FAMILIES)


def test_narrowed_to_error_codes_only_a_rise_can_be_seen():
    records = faulty(("shop", None, None), "auth", fail_every=3)
    records += steady(BEFORE.start_ms, NOW.end_ms, 30, fail_every=60, error="auth", app="docs")
    answer = judged(records, filters=Filters(error_code=("InvalidApiKey",)))
    assert answer.failure_rate == 1.0
    assert (one(answer).type, one(answer).severity, one(answer).scope) == ("auth", "warning", {"app": "shop"})
    steadily = steady(BEFORE.start_ms, NOW.end_ms, 60, fail_every=3, error="auth")
    calm = judged(steadily, filters=Filters(error_code=("InvalidApiKey",)))
    assert (calm.verdict, calm.incidents) == ("unknown", ())


def test_a_small_workspace_that_is_down_is_named_though_its_calls_are_few():
    """Sixteen calls are too few to judge alone; amid three hundred that are well they are not "everything"."""
    records = [
        *steady(BEFORE.start_ms, NOW.end_ms, 10, workspace="llm-a"),
        *steady(BEFORE.start_ms, NOW.end_ms, 10, workspace="llm-b"),
        *steady(BEFORE.start_ms, NOW.start_ms, 1.1, workspace="llm-c"),
        *steady(NOW.start_ms, NOW.end_ms, 1.1, workspace="llm-c", fail_every=1, error="auth"),
    ]
    found = one(judged(records))
    assert (found.type, found.scope) == ("auth", {"workspace": "llm-c"})
