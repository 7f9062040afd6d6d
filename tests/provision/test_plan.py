"""Changes as data: what differs, what is shown of it, and what is said when one fails."""

import pytest

from llmops_cli.errors import SourceError
from llmops_cli.provision.plan import Change, carried_out, diff, same_where_wanted


def test_what_is_the_same_is_nothing_to_do_and_nothing_to_take_back():
    change = Change.towards("index", "calls", {"a": 1}, {"a": 1}, "undo it")
    assert (change.action, change.rollback, diff(change)) == ("none", "", ())


def test_the_diff_shows_only_what_changes_and_its_neighbours():
    before = {"keys": {f"k{n}": {"type": "text", "token": list(",;: ")} for n in range(40)}}
    after = {"keys": {**before["keys"], "k7": {"type": "long"}}}
    shown = diff(Change.towards("index", "calls", before, after))
    assert [line for line in shown if line[0] in "+-"] == [
        '-    "k7": {"token": ",;: ", "type": "text"}',
        '+    "k7": {"type": "long"}',
    ]
    assert len(shown) < 8


def test_what_the_service_adds_to_an_object_is_no_difference():
    held = {"name": "a", "lastModifyTime": 7, "detail": {"path": "/x", "extra": 1}, "list": [{"a": 1, "b": 2}]}
    wanted = {"name": "a", "detail": {"path": "/x"}, "list": [{"a": 1}]}
    assert same_where_wanted(held, wanted) == wanted


def test_the_first_failure_stops_and_says_what_was_done():
    changes = [Change.towards("thing", name, None, {"n": 1}, f"undo {name}") for name in ("one", "two", "three")]
    made = []

    def apply(change):
        if change.name == "two":
            raise SourceError("no", "refused", "ask for it", request_id="r1")
        made.append(change.name)

    with pytest.raises(SourceError) as raised:
        carried_out(changes, apply)
    assert made == ["one"]
    assert raised.value.message == "thing two: refused; done before: thing one"
    assert (raised.value.code, raised.value.hint, raised.value.request_id) == (
        "no", "ask for it. To take back what was done: undo one", "r1"
    )  # fmt: skip


def test_what_is_as_wanted_is_not_sent():
    made = []
    changes = [Change.towards("thing", "a", {"n": 1}, {"n": 1}), Change.towards("thing", "b", {"n": 1}, {"n": 2})]
    assert [one.name for one in carried_out(changes, made.append)] == ["b"]
    assert [one.name for one in made] == ["b"]
