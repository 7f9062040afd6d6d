import pytest

from tests.sop.records import BEFORE, MINUTE, NOW, T0, healthy, judged, one, rating, since

FIVE = T0 + 5 * MINUTE


def ratings(start_ms, end_ms, per_minute, down_every, **where):
    step = MINUTE // per_minute
    return [
        rating(ms, down_every and i % down_every == 0, **where) for i, ms in enumerate(range(start_ms, end_ms, step))
    ]


def usual(start_ms, end_ms):
    """One rating in 25 is negative, in both apps and modules."""
    return [
        r
        for app in ("shop", "docs")
        for module in ("Chat", "RAG")
        for r in ratings(start_ms + 1, end_ms, 6, 25, app=app, module=module)
    ]


def test_ratings_as_always_page_nobody():
    answer = judged(healthy() + usual(BEFORE.start_ms, NOW.end_ms))
    assert answer.verdict == "ok"
    assert answer.feedback.ratings == 4 * 6 * 15
    assert answer.feedback.negative_rate == pytest.approx(0.04, abs=0.01)
    assert sum(point.ratings for point in answer.feedback_series) == answer.feedback.ratings


def test_users_who_reject_the_answers_of_one_module():
    records = healthy() + usual(BEFORE.start_ms, FIVE)
    records += [r for r in usual(FIVE, NOW.end_ms) if (r.app, r.module) != ("shop", "Chat")]
    records += ratings(FIVE, NOW.end_ms, 6, 2, app="shop", module="Chat")
    found = one(judged(records))
    assert (found.type, found.scope, found.severity) == (
        "negative_feedback",
        {"app": "shop", "module": "Chat"},
        "critical",
    )
    assert since(found) == pytest.approx(5, abs=0.4)
    assert found.evidence[0].values["ratings"] == pytest.approx(60, abs=2)


def test_a_handful_of_ratings_says_nothing():
    records = healthy() + [rating(FIVE + i * MINUTE, down=True) for i in range(5)]
    assert judged(records).verdict == "ok"


def test_no_ratings_no_rate():
    answer = judged(healthy())
    assert (answer.feedback.ratings, answer.feedback.negative_rate, answer.feedback_series) == (0, None, ())
