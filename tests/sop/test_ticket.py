"""A ticket claims what the numbers show, and nothing else."""

import pytest

from llmops_cli.errors import UsageError
from llmops_cli.evidence import Filters, Thresholds
from llmops_cli.knowledge.request import TICKET_FIELDS
from llmops_cli.sop.ticket import chosen, ticket_fields

from .records import BEFORE, NOW, four_apps, healthy, judged, seen
from .test_recovery import incident

FAILING = {"fail_every": 2, "error": "server_error"}
GENEROUS = {name: {"rpm": 6000, "tpm": 6_000_000} for name in ("qwen-plus", "qwen-max")}
BEFORE_ALL = four_apps(BEFORE.start_ms, BEFORE.end_ms, 15)


def asked(special, limits=None, per_minute=15):
    """The fields of a ticket about the first incident of a window in which `special` happens, and what is missing."""
    records = BEFORE_ALL + four_apps(NOW.start_ms, NOW.end_ms, per_minute, special=special)
    status = judged(records, limits=limits or GENEROUS)
    about, _ = chosen(status.incidents, None)
    observation = seen(records)
    return ticket_fields(
        incident=about,
        observation=observation,
        around=observation,
        thresholds=Thresholds(),
        quota_rows=status.water_levels,
    )


def excluded(special, limits=None, per_minute=15):
    return [text.partition(":")[0] for text in asked(special, limits, per_minute)[0]["ruled_out"]]


def test_everything_that_is_well_is_ruled_out():
    assert excluded({(None, "qwen-plus", None): FAILING}) == [
        "our rate limit of qwen-plus",
        "our network and our key",
        "a release of one application",
        "larger requests",
        "more demand",
    ]


@pytest.mark.parametrize(
    ("special", "limits", "per_minute", "gone"),
    [
        ({(None, "qwen-plus", None): FAILING}, {"qwen-plus": {"rpm": 70}}, 15, "our rate limit of qwen-plus"),
        ({(None, None, None): FAILING}, None, 15, "our network and our key"),
        ({("shop", "qwen-plus", None): FAILING}, None, 15, "a release of one application"),
        ({(None, "qwen-plus", None): FAILING | {"tokens": 150}}, None, 15, "larger requests"),
        ({(None, "qwen-plus", None): FAILING | {"per_minute": 30}}, None, 15, "more demand"),
    ],
)
def test_what_is_not_well_or_not_known_is_not_claimed(special, limits, per_minute, gone):
    said = excluded(special, limits, per_minute)
    assert gone not in said
    assert said


def test_an_unknown_limit_is_not_ruled_out():
    records = BEFORE_ALL + four_apps(NOW.start_ms, NOW.end_ms, 15, special={(None, "qwen-plus", None): FAILING})
    status = judged(records)  # no limits at all
    fields, _ = ticket_fields(
        incident=status.incidents[0], observation=seen(records), around=seen(records), thresholds=Thresholds(),
        quota_rows=status.water_levels,
    )  # fmt: skip
    assert not any("limit" in text for text in fields["ruled_out"])


def test_fields_and_missing_ones_stand_in_the_order_of_the_text():
    fields, missing = asked({(None, "qwen-plus", None): FAILING})
    assert list(fields) == [name for name in TICKET_FIELDS if name in fields]
    assert missing == ("uid", "region", "request_ids", "contact")
    assert fields["model"] == "qwen-plus"
    assert fields["workspace"] == "llm-a, llm-b"


def test_only_failures_of_its_kind_are_counted():
    fields, _ = asked(
        {("shop", "qwen-plus", None): FAILING, ("docs", "qwen-plus", "llm-a"): {"fail_every": 9, "error": "timeout"}}
    )
    assert fields["errors"] == ["500 InternalError × 226"]


def test_a_healthy_window_leaves_the_problem_to_the_engineer():
    records = healthy()
    fields, missing = ticket_fields(
        incident=None,
        observation=seen(records),
        around=seen(records),
        thresholds=Thresholds(),
        uid="1",
        region="r",
        contact="c",
    )
    assert missing == ("problem", "started")
    assert "ruled_out" not in fields
    assert fields["calls"] == 3600


def test_a_window_without_calls_has_nothing_to_tell():
    silent = seen(four_apps(BEFORE.start_ms, BEFORE.end_ms, 15))
    with pytest.raises(UsageError, match="no model call in this window"):
        ticket_fields(incident=None, observation=silent, around=silent, thresholds=Thresholds())


LARGER = {"fail_every": 3, "error": "rate_limit_tokens", "tokens": 400}


def test_demand_is_ruled_out_only_where_neither_calls_nor_tokens_rose():
    """As many calls as before, each four times as large; the refused ones are logged with 0 tokens."""
    limits = {"qwen-plus": {"tpm": 15_000}}
    fields, _ = asked({(None, "qwen-plus", None): LARGER}, limits)
    assert fields["incident"] == "rate_limit_tokens"
    assert not any(text.startswith("more demand") for text in fields["ruled_out"])
    assert "not ruled out: larger requests: 400 input tokens per answered call, 100 before" in fields["ruled_out"]
    usual, _ = asked({(None, "qwen-plus", None): LARGER | {"tokens": 100}}, limits)
    assert "more demand: 60 calls and 6,000 tokens per minute, 60 and 6,000 before" in usual["ruled_out"]
    assert not any(text.startswith("not ruled out") for text in usual["ruled_out"])


def test_a_rate_limit_is_not_ruled_out_by_a_part_of_the_demand():
    refused = {("docs", "qwen-plus", None): {"fail_every": 3, "error": "rate_limit_requests"}}
    keyless = {("shop", None, None): {"fail_every": 2, "error": "auth"}}
    records = BEFORE_ALL + four_apps(NOW.start_ms, NOW.end_ms, 15, special=refused | keyless)
    for filters in (Filters(app=("shop",)), Filters(workspace=("llm-a",), app=("shop",)), Filters()):
        status = judged(records, limits=GENEROUS, filters=filters)
        (about,) = (one for one in status.incidents if one.type == "auth")
        observation = seen(records, filters=filters)
        fields, _ = ticket_fields(
            incident=about, observation=observation, around=observation, thresholds=Thresholds(),
            quota_rows=status.water_levels,
        )  # fmt: skip
        assert not any("rate limit" in text for text in fields.get("ruled_out", ()))


def test_a_ticket_is_about_what_may_be_the_services_fault_first():
    found = [incident("rate_limit_requests"), incident("traffic_drop"), incident("latency")]
    assert [chosen(found[:n], None)[0].type for n in (1, 2, 3)] == ["rate_limit_requests", "traffic_drop", "latency"]
    assert chosen(found, "traffic_drop")[0].type == "traffic_drop"


def test_slow_answers_have_one_figure():
    slow = {(None, "qwen-plus", None): {"slow_every": 2, "fail_every": 59, "error": "server_error"}}
    fields, _ = asked(slow)
    assert fields["incident"] == "latency"
    assert fields["slow_rate"] == fields["slow"] / fields["calls"]
    assert fields["business_impact"].startswith(f"{fields['slow']} of {fields['calls']} calls (")
