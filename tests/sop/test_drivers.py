"""Who drives a rise: only who grew more than everyone else, never merely the biggest."""

from tests.sop.records import BEFORE, MINUTE, NOW, T0, judged, one, steady

FIVE = T0 + 5 * MINUTE
BUSY = {"fail_every": 3, "error": "rate_limit_requests"}


def demand(before, after):
    """Calls per minute of each app, before and after the sixth minute; from then on every third one is refused."""
    records = []
    for app, pace in before.items():
        records += steady(BEFORE.start_ms, FIVE, pace, app=app, workspace=f"llm-{app}")
        if after[app]:
            records += steady(FIVE, NOW.end_ms, after[app], app=app, workspace=f"llm-{app}", **BUSY)
    return records


def test_one_who_grew_alone_is_the_driver():
    found = one(judged(demand({"shop": 40, "docs": 40, "desk": 20}, {"shop": 240, "docs": 40, "desk": 20})))
    (driver,) = found.drivers
    assert driver.where == {"app": "shop"}
    assert driver.share > 0.95
    assert "app shop" in found.hypothesis.values["driver"]


def test_the_biggest_of_many_who_grew_alike_is_no_driver():
    found = one(judged(demand({"shop": 60, "docs": 30, "desk": 10}, {"shop": 360, "docs": 180, "desk": 60})))
    assert found.drivers == ()
    assert found.hypothesis.values["driver"] is None


def test_one_who_fell_silent_makes_nobody_else_a_driver():
    """Its share of the demand grew, but only because another one stopped: the others grew as much as it did."""
    for desk in (0, 20):
        found = one(judged(demand({"shop": 40, "docs": 30, "desk": 20}, {"shop": 240, "docs": 180, "desk": desk})))
        assert found.drivers == ()


def test_a_small_caller_who_grew_is_the_driver():
    found = one(judged(demand({"shop": 60, "docs": 40, "desk": 4}, {"shop": 60, "docs": 40, "desk": 120})))
    assert [dict(driver.where) for driver in found.drivers] == [{"app": "desk"}]
