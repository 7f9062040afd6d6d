"""A ticket claims what the numbers show, and nothing else."""

import pytest

from llmops_cli.evidence import Thresholds
from llmops_cli.knowledge.request import TICKET_FIELDS
from llmops_cli.sop.ticket import chosen, ticket_fields

from .records import BEFORE, NOW, four_apps, healthy, judged, seen

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


def test_a_window_without_calls_has_no_impact_to_tell():
    records = four_apps(BEFORE.start_ms, BEFORE.end_ms, 15)
    fields, missing = ticket_fields(
        incident=None, observation=seen(records), around=seen(records), thresholds=Thresholds()
    )
    assert "business_impact" in missing
    assert fields["calls"] == 0
