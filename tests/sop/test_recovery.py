"""The plan: what can be done, in which order, and never what would make it worse."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from llmops_cli.evidence import Message
from llmops_cli.knowledge.sentences import INCIDENT_TYPES, phrase, sentence
from llmops_cli.report import Driver, Incident, Level, QuotaRow, Replay, Waits
from llmops_cli.sop.recovery import ACTIONS, left_out, plan, throttled


def incident(kind, drivers=(), runbook=None, failures=12, **scope):
    return Incident(
        type=kind,
        severity="critical",
        started_at=datetime(2025, 7, 9, 14, 15, tzinfo=UTC),
        started_before=None,
        scope=scope,
        drivers=drivers,
        evidence=(),
        hypothesis=Message(""),
        refuted_by=Message(""),
        runbook=kind if runbook is None else runbook,
        next=(),
        failures=failures,
        calls=100,
    )


def quota(model, level, workspace=None, limit=228.0):
    rpm = Level(limit, (level or 0) * limit, level)
    unknown = Level(None, 5, None)
    return QuotaRow(model, workspace, "configuration", rpm, unknown, unknown, unknown, 0, level, "ok", None)


def names(data):
    return [action.name for action in data.actions]


def action(data, name):
    return next(one for one in data.actions if one.name == name)


def test_without_incidents_there_is_nothing_to_do():
    data = plan([], [])
    assert (data.incidents, data.actions, data.runbook) == ((), (), None)


@pytest.mark.parametrize("kind", INCIDENT_TYPES)
def test_every_incident_type_has_a_plan_that_ends_with_verify(kind):
    data = plan([incident(kind, model="qwen-plus")], [])
    assert kind in ACTIONS
    assert len(data.actions) >= 2
    assert names(data)[-1] == "verify"
    assert data.runbook == kind


@pytest.mark.parametrize("kind", INCIDENT_TYPES)
@pytest.mark.parametrize("rich", [True, False])
def test_every_sentence_exists_and_misses_no_value(kind, rich):
    drivers = (Driver({"workspace": "llm-p3"}, 1020, 0.83),) if rich else ()
    scope = {"model": "qwen-plus", "app": "shop"} if rich else {}
    rows = [quota("qwen-plus", 1.31), quota("qwen-turbo", 0.1)] if rich else []
    for one in plan([incident(kind, drivers, failures=12 if rich else 0, **scope)], rows).actions:
        for message in (one.why, one.effect, one.risk, one.rollback):
            assert phrase(message.id) is not None, message.id
            if rich:
                assert "?" not in sentence(message)
            assert "{" not in sentence(message)


def test_an_unknown_type_still_leads_to_its_runbook():
    data = plan([incident("sunspots", runbook="latency")], [])
    assert names(data) == ["read_runbook", "verify"]
    assert action(data, "read_runbook").command == "llmops recover --runbook latency"


@pytest.mark.parametrize("kind", ["billing", "auth", "permission", "bad_request", "not_found", "content_moderation"])
def test_what_cannot_succeed_is_never_answered_with_a_retry(kind):
    data = plan([incident(kind)], [])
    assert not {"back_off", "throttle", "queue_on_server"} & set(names(data))
    assert "stop_retries" in names(data)
    for one in data.actions:
        said = " ".join(sentence(part) for part in (one.why, one.effect))
        assert "back off" not in said
        assert "retry" not in said


def test_throttling_names_the_workspace_that_drives_not_the_one_that_is_hit():
    drivers = (Driver({"module": "Chat"}, 20, 0.1), Driver({"workspace": "llm-loud"}, 1020, 0.83))
    data = plan([incident("rate_limit_requests", drivers, model="qwen-plus")], [quota("qwen-plus", 1.31)])
    assert shlex.split(action(data, "throttle").command)[1:] == [
        "recover", "throttle", "--model", "qwen-plus", "--workspace", "llm-loud",
    ]  # fmt: skip
    assert names(data)[:2] == ["throttle", "workspace_limits"]
    assert "299 requests in the busiest minute, 228 allowed" in sentence(action(data, "throttle").why)
    assert action(data, "expand").command == "llmops recover expand --model qwen-plus"


def test_workspace_limits_need_a_workspace_that_drives():
    assert "workspace_limits" not in names(plan([incident("rate_limit_requests", model="qwen-plus")], []))


def test_a_fallback_names_models_with_room_only():
    rows = [quota("qwen-plus", 1.3), quota("a-full", 0.9), quota("b-small", 0.1, limit=30), quota("c-unknown", None)]
    rows += [quota("d-half", 0.4), quota("e-empty", 0.2), quota("f-large", 0.3, limit=6000)]
    data = plan([incident("rate_limit_tokens", model="qwen-plus")], rows)
    assert action(data, "fallback_model").why.values["others"] == "f-large 4,200, e-empty 182, d-half 136"
    assert "in calls per minute: f-large 4,200, e-empty 182" in sentence(action(data, "fallback_model").why)


def test_an_action_that_serves_two_incidents_stands_once():
    data = plan(
        [incident("rate_limit_requests", model="qwen-plus"), incident("rate_limit_tokens", model="qwen-plus")], []
    )
    assert len(names(data)) == len(set(names(data)))
    assert data.runbook == "rate_limit_requests"


def test_the_same_remedy_in_two_places_stands_twice():
    data = plan([incident("auth", app="a"), incident("auth", app="b")], [])
    assert names(data).count("rotate_key") == 2
    assert names(data).count("verify") == 1


def test_the_gravest_incident_comes_first():
    data = plan([incident("billing"), incident("latency", model="m")], [])
    assert names(data)[0] in ACTIONS["billing"]
    assert data.runbook == "billing"


def test_hostile_names_stay_one_shell_word_and_options_are_appended():
    evil = "$(reboot)'\"; --apply"
    data = plan([incident("water_level", model=evil, workspace="-x")], [], next_options="--log 'a b.log'")
    words = shlex.split(action(data, "throttle").command)
    assert words[:2] == ["llmops", "recover"]
    assert evil in words
    assert "--workspace=-x" in words
    assert words[-2:] == ["--log", "a b.log"]


def test_what_is_done_elsewhere_has_no_command_and_the_watch_keeps_the_window():
    data = plan([incident("no_data")], [], next_options="--since 30m")
    assert action(data, "check_collection").command == ""
    assert action(data, "verify").command == "llmops recover verify --since 30m"


def test_no_action_applies_anything():
    for kind in INCIDENT_TYPES:
        drivers = (Driver({"workspace": "w"}, 5, 0.9),)
        for one in plan([incident(kind, drivers, model="m")], []).actions:
            assert "--apply" not in one.command
            assert "--yes" not in one.command


def replayed(before, after, others=(0, 0)):
    return Replay(100, before, after, Waits(1_000.0, 2_000.0, 9_000.0), *others)


def limited(replay, workspace=None, kind="rate_limit_requests", level=1.31):
    drivers = (Driver({"workspace": workspace}, 1020, 0.83),) if workspace else ()
    found = incident(kind, drivers, model="qwen-plus")
    return plan([found], [quota("qwen-plus", level)], replays={("qwen-plus", workspace): replay} if replay else {})


@pytest.mark.parametrize(
    ("replay", "first"),
    [(replayed(40, 0), True), (replayed(40, 20), True), (replayed(40, 21), False), (replayed(40, 40), False),
     (replayed(0, 0), True), (None, True)],
)  # fmt: skip
def test_throttling_comes_first_only_where_it_avoids_the_refusals(replay, first):
    data = limited(replay)
    if first:
        assert names(data)[0] == "throttle"
        assert action(data, "throttle").why.id == "recovery.throttle.why"
    else:
        assert names(data) == ["fallback_model", "expand", "throttle", "verify"]
        assert action(data, "throttle").why.id == "recovery.throttle.why_alone"
        assert "what makes room comes first" in sentence(action(data, "throttle").why)


def test_throttling_that_refuses_more_than_before_is_no_step_and_why_is_said():
    one = replace(incident("rate_limit_requests", model="qwen-plus"), next=(
        "llmops drill --model qwen-plus", "llmops recover",
    ))  # fmt: skip
    replays = {("qwen-plus", None): replayed(40, 60)}
    data = plan([one], [quota("qwen-plus", 1.31)], replays=replays)
    assert names(data) == ["fallback_model", "expand", "verify"]
    assert data.incidents[0].next == ("llmops drill --model qwen-plus",)
    (why,) = left_out([one], replays)
    assert "refuses 60 calls of qwen-plus instead of 40" in sentence(why)
    assert left_out([one], {("qwen-plus", None): replayed(40, 39)}) == ()


def test_what_a_replay_found_is_the_effect():
    effect = sentence(action(limited(replayed(40, 4)), "throttle").effect)
    assert "4 of 100 calls refused instead of 40" in effect
    assert "half of the calls wait 1 s, 95 % at most 2 s" in effect
    assert "the other workspaces" not in effect
    assert "replayed" not in sentence(action(limited(None), "throttle").effect)


def test_a_loud_workspace_is_throttled_first_where_that_protects_the_others():
    quiet, loud = limited(replayed(40, 60, (30, 2)), "llm-loud"), limited(replayed(40, 60, (30, 20)), "llm-loud")
    assert names(quiet)[:2] == ["throttle", "workspace_limits"]
    assert "of the other workspaces' calls the replay refuses 2 instead of 30" in sentence(
        action(quiet, "throttle").effect
    )
    assert names(loud)[0] == "workspace_limits"
    assert "throttle" not in names(loud)


def test_what_would_be_throttled_is_named_once():
    loud = incident("rate_limit_tokens", (Driver({"workspace": "llm-loud"}, 5, 0.9),), model="a")
    found = [loud, loud, incident("water_level", model="b", workspace="llm-2"), incident("auth", model="c")]
    assert throttled(found) == (("a", "llm-loud"), ("b", "llm-2"))
    assert throttled([incident("rate_limit_requests")]) == ()


def test_each_reason_is_the_one_that_holds():
    burst = limited(None, kind="rate_limit_burst", level=0.33)
    assert action(burst, "throttle").why.id == "recovery.throttle.why_burst"
    assert "expand" not in names(burst)  # no lack of quota
    below = limited(None, level=0.4)
    assert {action(below, name).why.id for name in ("throttle", "expand")} == {
        "recovery.throttle.why_below",
        "recovery.expand.why_below",
    }
    near = limited(None, kind="water_level", level=0.8)
    assert "comes near the limit" in sentence(action(near, "throttle").why)
    assert "will reach the limit" in sentence(action(near, "expand").why)


@pytest.mark.parametrize("kind", ["capacity", "server_error", "latency", "timeout", "billing", "permission", "content_moderation",
                                  "auth", "not_found", "network"])  # fmt: skip
def test_what_only_support_can_end_leads_to_a_ticket(kind):
    data = plan([incident(kind, app="shop")], [], next_options="--since 30m")
    ticket = action(data, "ticket")
    assert ticket.command == f"llmops recover ticket --incident {kind} --app shop --since 30m"
    assert names(data)[-2:] == ["ticket", "verify"]


def test_a_rate_limit_has_a_letter_of_its_own():
    assert "ticket" not in names(limited(None))


def test_no_step_divides_by_what_the_incident_is_already_narrowed_to():
    for scope in ({"app": "shop"}, {"app": "shop", "module": "Chat"}, {"workspace": "llm-a"}):
        data = plan([incident("content_moderation", **scope), incident("traffic_surge", **scope)], [])
        for action in data.actions:
            words = (action.command or "").split()
            divided = {words[at + 1] for at, word in enumerate(words) if word == "--by"}
            assert not divided & set(scope), action.command


def test_no_fallback_takes_other_input_or_gives_other_output():
    others = [
        "qwen-vl-max",
        "qwen-vl-ocr",
        "qwen-audio-turbo",
        "qwen3-omni-flash",
        "text-embedding-v4",
        "gte-rerank-v2",
    ]
    others += ["qwen3-tts-flash", "qwen3-asr-flash", "qwen-image-plus", "wan2.2-t2i-plus", "cosyvoice-v2"]
    rows = [quota("qwen-plus", 1.3), quota("qwen-turbo", 0.1), *(quota(name, 0.1) for name in others)]
    data = plan([incident("rate_limit_requests", model="qwen-plus")], rows)
    assert action(data, "fallback_model").why.values["others"] == "qwen-turbo 205"
    seeing = plan([incident("rate_limit_requests", model="qwen-vl-max")], [*rows, quota("qwen3-vl-plus", 0.1)])
    assert action(seeing, "fallback_model").why.values["others"] == "qwen3-vl-plus 205"


@pytest.mark.parametrize(
    ("source", "hypothesis", "named"),
    [
        ("table 2026-05 (cn-beijing)", "hypothesis.limit_elsewhere", None),
        ("table 2026-05 (cn-beijing)", "incident.rate_limit_burst.hypothesis", "qwen-turbo 205"),
        ("configuration", "hypothesis.limit_elsewhere", "qwen-turbo 205"),
    ],
)
def test_a_table_that_is_disproved_tells_no_room(source, hypothesis, named):
    rows = [replace(quota(model, 0.1), limit_source=source) for model in ("qwen-plus", "qwen-turbo")]
    found = replace(incident("rate_limit_burst", model="qwen-plus"), hypothesis=Message(hypothesis))
    assert action(plan([found], rows), "fallback_model").why.values["others"] == named


def test_a_bill_is_settled_first():
    assert names(plan([incident("billing")], []))[0] == "pay_bill"
