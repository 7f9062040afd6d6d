"""The fields of the expansion request come from evidence, and what evidence does not give is named."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evidence import CallStats, Cell, Demand, Limit, Message, Observation, Span, Where, Window
from llmops_cli.knowledge.request import FIELDS, expansion_request
from llmops_cli.report import Incident, Level, QuotaRow
from llmops_cli.sop.expansion import expansion_fields, round_up

START = 1_752_041_040_000  # 2025-07-09 14:04:00 +08:00
MODEL = "qwen-plus"
RPM_REFUSED = (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
TPM_REFUSED = (429, "Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit.")
UNPAID = (429, "PrepaidBillOverdue", "The prepaid bill is overdue.")
CHINA = timezone(timedelta(hours=8))


def cell(minute, calls, outcome=(200, "", ""), *, tokens=0, app="shop", module="Chat", workspace="llm-a", period="now"):
    at = START + minute * 60_000
    where = Where(app, module, MODEL, workspace)
    return Cell(period, at, where, *outcome, calls, 0, 0, 0, tokens, at, at + 59_000)


def observe(cells, demand=(), minutes=15):
    window = Window(Span(START, START + minutes * 60_000), None, CHINA)
    return Observation(
        window=window,
        bucket_ms=60_000,
        read_from_ms=START,
        now=CallStats(),
        before=None,
        points=(),
        cells=tuple(cells),
        demand=tuple(demand),
        feedback=(),
    )


def demand(calls, rpm, tpm, workspace=None, minute=5):
    return Demand(MODEL, workspace, calls, 0, calls / 15, rpm, tpm / 2, tpm, 9, 999, START + minute * 60_000)


def incident(type_="rate_limit_requests", *, started_at=None, started_before=None, scope=None):
    empty = Message("")
    return Incident(
        type_, "critical", started_at, started_before, scope or {"model": MODEL}, (), (), empty, empty, "runbook", ()
    )


def fields(observation, limit=None, **given_):
    given_ = {"uid": "1234567890123456", "region": "cn-beijing", "contact": "on call", **given_}
    return expansion_fields(
        model=MODEL,
        observation=observation,
        limit=limit or Limit(MODEL, None, 228, 5_000_000, "configuration"),
        **given_,
    )


def refused_for_requests():
    """Busiest minute: 298 requests of which 70 were refused; the 228 others had 1,000 tokens each."""
    cells = [cell(m, 200, tokens=200_000) for m in range(15) if m not in (5, 6)]
    cells += [cell(m, 228, tokens=228_000) for m in (5, 6)]
    cells += [cell(5, 70, RPM_REFUSED), cell(6, 50, RPM_REFUSED, app="search", module="Rank")]
    return observe(cells, [demand(13 * 200 + 576, 298, 228_000)])


def test_everything_that_evidence_gives_is_filled_in():
    begun = datetime(2025, 7, 9, 14, 9, 8, tzinfo=CHINA)
    found, missing = fields(
        refused_for_requests(),
        incidents=[incident(started_at=begun)],
        request_ids=["r1", "r2", "r1", "", *(f"x{i}" for i in range(20))],
        impact="Checkout answers are cut off.",
    )
    assert missing == ()
    assert list(found) == [name for name in FIELDS if name in found]
    assert found["workspace"] == "all workspaces of the account"
    assert (found["current_rpm"], found["current_tpm"], found["limit_source"]) == (228, 5_000_000, "configuration")
    assert (found["peak_rpm"], found["peak_tpm"]) == (298, 298_000)  # refused calls counted with 1,000 tokens each
    assert (found["wanted_rpm"], found["wanted_tpm"]) == (390, 5_000_000)  # 298 × 1.3 = 387; tokens are no bottleneck
    assert (found["calls"], found["failures"], found["failure_rate"]) == (3176, 120, 120 / 3176)
    assert found["window"] == "2025-07-09 14:04:00 – 14:19:00 +08:00"
    assert found["peak_window"] == ["2025-07-09 14:09:00 – 14:11:00 +08:00"]
    assert found["request_ids"] == ["r1", "r2", *(f"x{i}" for i in range(8))]
    assert found["reason"].startswith("calls are refused; wanted RPM")
    assert found["business_impact"] == (
        "Checkout answers are cut off. 120 of 3,176 calls (3.8 %) were refused in this window; refusals began 2025-07-09 14:09:00+08:00; "
        "hit: shop/Chat, search/Rank"
    )


def test_the_text_is_complete_in_both_languages():
    for lang in ("en", "zh"):
        found, missing = fields(refused_for_requests(), request_ids=["r1"], lang=lang)
        text = expansion_request(found, missing, lang)
        assert "[TO FILL IN" not in text
        assert "待补充" not in text
        assert "390" in text
    assert found["workspace"] == "账号下全部业务空间"
    assert "120" in found["business_impact"]
    assert "were refused" not in found["business_impact"]


def test_what_is_missing_is_named_in_the_order_of_the_text():
    found, missing = expansion_fields(
        model=MODEL, observation=refused_for_requests(), limit=Limit(MODEL, None, None, None), workspace=None
    )
    assert missing == ("uid", "region", "current_rpm", "current_tpm", "request_ids", "contact")
    assert not set(missing) & set(found)
    assert (found["wanted_rpm"], found["wanted_tpm"]) == (390, 390_000)


def test_one_half_of_a_limit_is_enough():
    found, missing = fields(refused_for_requests(), Limit(MODEL, None, 228, None, "live"), request_ids=["r"])
    assert missing == ()
    assert "current_tpm" not in found


def test_an_empty_window_claims_nothing():
    found, missing = fields(observe([]))
    assert found["calls"] == found["failures"] == 0
    assert "failure_rate" not in found
    assert found["wanted_rpm"] == 228
    assert missing == ("expected_growth", "peak_rpm", "peak_tpm", "peak_window", "business_impact")


def test_refused_below_the_known_limit_asks_for_more_than_the_limit():
    """Callers outside this log use the same limit: the log's own peak proves nothing."""
    cells = [cell(0, 40, tokens=40_000), cell(0, 10, TPM_REFUSED)]
    found, _ = fields(observe(cells, [demand(50, 50, 40_000)]), Limit(MODEL, None, 600, 1_000_000, "live"))
    assert (found["wanted_rpm"], found["wanted_tpm"]) == (600, 1_300_000)
    assert found["peak_tpm"] == 50_000
    assert "TPM" in found["reason"]
    assert "RPM" not in found["reason"]


def test_refused_far_below_a_published_limit_leaves_the_present_one_open():
    cells = [cell(0, 40, tokens=40_000), cell(0, 10, TPM_REFUSED)]
    published = Limit(MODEL, None, 600, 1_000_000, "table 2026-05 (cn-beijing)")
    found, missing = fields(observe(cells, [demand(50, 50, 40_000)]), published)
    assert "current_tpm" not in found
    assert "current_tpm" in missing
    assert (found["current_rpm"], found["wanted_rpm"], found["wanted_tpm"]) == (600, 600, 65_000)
    assert "1,000,000" in found["reason"]


def test_a_bill_is_no_reason_for_a_higher_limit():
    cells = [cell(0, 100, tokens=100_000), cell(1, 100, UNPAID)]
    found, missing = fields(observe(cells, [demand(200, 100, 100_000)]))
    assert found["failures"] == 0
    assert found["wanted_rpm"] == 228
    assert "reason" not in found
    assert "request_ids" not in missing


def test_demand_near_the_limit_is_a_reason_before_anything_is_refused():
    found, missing = fields(observe([cell(m, 210, tokens=210_000) for m in range(15)], [demand(3150, 210, 210_000)]))
    assert found["wanted_rpm"] == 280
    assert found["reason"].startswith("demand comes near")
    assert "92 % of the limit" in found["business_impact"]
    assert missing == ()
    text = expansion_request(found, missing)
    assert (
        "No call was refused for it in the time observed; the busiest minute used 92.1 % of the present limit." in text
    )
    assert "request IDs" not in text


def test_a_peak_is_not_near_a_limit_that_nobody_knows():
    quiet = observe([cell(m, 210, tokens=210_000) for m in range(15)], [demand(3150, 210, 210_000)])
    for limit in (Limit(MODEL, None, None, None), Limit(MODEL, None, 30_000, None, "live")):
        found, missing = fields(quiet, limit)
        assert "reason" not in found
        assert "expected_growth" in missing
    found, missing = fields(refused_for_requests(), Limit(MODEL, None, None, None))
    assert "expected_growth" not in missing


def test_one_workspace_counts_its_own_calls_only():
    cells = [
        cell(0, 100, tokens=1_000, workspace="a"),
        cell(0, 50, RPM_REFUSED, workspace="b"),
        cell(0, 9, workspace="b"),
    ]
    found, _ = fields(observe(cells, [demand(100, 100, 1_000, "a"), demand(159, 159, 1_000)]), workspace="a")
    assert (found["workspace"], found["calls"], found["failures"], found["peak_rpm"]) == ("a", 100, 0, 100)


def test_the_baseline_and_other_models_are_not_counted():
    other = cell(1, 7, RPM_REFUSED)._replace(where=Where("a", "b", "qwen-max", "w"))
    found, _ = fields(observe([cell(0, 5, tokens=50), cell(1, 3, RPM_REFUSED, period="before"), other]))
    assert (found["calls"], found["failures"]) == (5, 0)


def test_a_quota_row_stands_in_for_missing_demand():
    row = QuotaRow(MODEL, None, "live", Level(228, 250, 1.1), Level(None, 9_000, None), Level(4, 9, 2), Level(9, 9, 1), 3, 1.1,
                   "critical", None)  # fmt: skip
    found, _ = fields(observe([]), quota_rows=[row])
    assert (found["peak_rpm"], found["peak_tpm"], found["wanted_rpm"]) == (250, 9_000, 330)


def test_since_is_the_earliest_incident_that_a_limit_explains():
    early, late = (datetime(2025, 7, 9, 6, m, tzinfo=UTC) for m in (1, 9))
    incidents = [
        incident(started_at=late),
        incident(started_before=early),
        incident("latency", started_at=early - timedelta(hours=1)),
        incident(started_at=early - timedelta(hours=2), scope={"model": "qwen-max"}),
    ]
    found, _ = fields(refused_for_requests(), incidents=incidents)
    assert "refusals began 2025-07-09 14:01:00+08:00" in found["business_impact"]


def test_separate_peaks_are_listed_largest_three_in_order():
    cells = [cell(m, 100 if m in (1, 2, 3, 5, 8, 9, 11) else 10) for m in range(15)]
    found, _ = fields(observe(cells))
    assert [p[11:30] for p in found["peak_window"]] == [
        "14:05:00 – 14:08:00",
        "14:09:00 – 14:10:00",
        "14:12:00 – 14:14:00",
    ]


def test_a_window_over_midnight_shows_both_dates():
    found, _ = fields(observe([], minutes=24 * 60))
    assert found["window"] == "2025-07-09 14:04:00 – 2025-07-10 14:04:00 +08:00"


def test_many_callers_are_named_by_the_largest():
    cells = [cell(0, 10 + i, RPM_REFUSED, app=f"app{i}") for i in range(6)]
    found, _ = fields(observe(cells))
    assert found["business_impact"].endswith("hit: app5/Chat, app4/Chat, app3/Chat and 3 more")


@pytest.mark.parametrize(
    ("number", "rounded"),
    [
        (0.4, 1),
        (7.2, 8),
        (10, 10),
        (10.5, 11),
        (308.1, 310),
        (400, 400),
        (401, 410),
        (999, 1000),
        (1_234_567, 1_300_000),
    ],
)
def test_round_numbers(number, rounded):
    assert round_up(number) == rounded


@given(st.floats(1, 1e12))
def test_rounding_up_never_goes_down_nor_far(number):
    assert number * (1 - 1e-6) <= round_up(number) <= max(number * 1.1, number + 1)


def test_the_first_refusal_is_not_the_rise_of_demand_before_it():
    rose = datetime(2025, 7, 9, 14, 8, 10, tzinfo=CHINA)
    found, _ = fields(refused_for_requests(), incidents=[incident(started_at=rose)])
    said = "refusals began 2025-07-09 14:09:00+08:00 (demand rose at 2025-07-09 14:08:10+08:00)"
    assert said in found["business_impact"]
