import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evidence import Where
from llmops_cli.sop.scope import RESOURCE_PATTERNS, Group, smallest
from llmops_cli.sop.significance import count_likelihood, share_likelihood

GRID = [Where(*w) for w in itertools.product(("a1", "a2", "a3"), ("m1", "m2"), ("q1", "q2", "q3"), ("w1", "w2"))]


def inside(where, scope):
    return all(getattr(where, d) == v for d, v in scope.items())


def planted(scope, *, trials=40, share=1.0, background=0.0):
    return [Group(w, trials, trials * (share if inside(w, scope) else background)) for w in GRID]


scopes = st.fixed_dictionaries(
    {},
    optional={
        "app": st.sampled_from(("a1", "a2", "a3")),
        "module": st.sampled_from(("m1", "m2")),
        "model": st.sampled_from(("q1", "q2", "q3")),
        "workspace": st.sampled_from(("w1", "w2")),
    },
)


@given(scopes, st.floats(0.2, 1), st.floats(0, 0.02))
def test_a_planted_scope_is_named_exactly(scope, share, background):
    assert smallest(planted(scope, trials=400, share=share, background=background), share_likelihood) == scope


@given(scopes)
def test_lost_traffic_is_named_exactly(scope):
    groups = [Group(w, 40.0, 1.0 if inside(w, scope) else 41.0) for w in GRID]
    assert smallest(groups, count_likelihood, down=True) == scope


def test_what_always_comes_together_is_named_once():
    groups = [Group(Where(f"a{i}", "m", "q", f"w{i}"), 50, 50 if i == 1 else 0) for i in range(1, 5)]
    assert smallest(groups, share_likelihood, prefer=("app", "workspace", "module", "model")) == {"app": "a1"}
    assert smallest(groups, share_likelihood, prefer=("workspace", "app", "module", "model")) == {"workspace": "w1"}


def test_a_rate_limit_belongs_to_a_model():
    groups = planted({"model": "q2"}, share=0.3)
    assert smallest(groups, share_likelihood, patterns=RESOURCE_PATTERNS, everywhere=False) == {"model": "q2"}
    only = [group for group in groups if group.where.model == "q2"]
    assert smallest(only, share_likelihood, patterns=RESOURCE_PATTERNS, everywhere=False) == {"model": "q2"}


def test_siblings_hit_alike_widen_the_scope():
    groups = [Group(w, 40, {"a1": 30, "a2": 24, "a3": 27}[w.app] if w.model == "q1" else 0) for w in GRID]
    assert smallest(groups, share_likelihood) == {"model": "q1"}


@pytest.mark.parametrize("value", ["", "--model", "a,b", "\x1b[31m", "[/red]"])
def test_hostile_values_are_values(value):
    groups = [Group(Where(app, "m", "q", "w"), 50, 50 if app == value else 0) for app in (value, "x", "y")]
    assert smallest(groups, share_likelihood) == {"app": value}


def test_thousands_of_workspaces():
    groups = [Group(Where("a", "m", f"q{i % 3}", f"w{i}"), 10, 10 if i % 3 == 1 else 0) for i in range(6000)]
    assert smallest(groups, share_likelihood) == {"model": "q1"}


def test_nothing_at_all():
    assert smallest([], share_likelihood) == {}
