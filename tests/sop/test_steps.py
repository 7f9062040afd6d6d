"""What would refute an incident, and the command that shows it: each one is about what that command's answer has."""

import shlex

import pytest

from llmops_cli import app
from llmops_cli.evidence import Filters
from llmops_cli.knowledge.sentences import INCIDENT_TYPES, phrase
from llmops_cli.sop.steps import refuting_step

SCOPE = {"app": "shop", "module": "Chat", "model": "qwen-plus", "workspace": "llm-a"}
SHOWN = {
    "the busiest minute": "quota",
    "the limit shown": "quota",
    "only one app or module": "drill --by app --by module",
    "apps and modules": "drill --by app --by module",
    "every app and module": "drill --by app --by module",
    "calls of the same app, module and workspace": "drill --by app --by module --by workspace",
    "the same workspace still uses the same model": "drill --by workspace --by model",
    "the same model answers in other workspaces": "drill --by model --by workspace",
    "other models": "drill --by model",
    "another model": "drill --by model",
    "tokens in the busiest minute": "quota",
    "tokens rose": "status",
    "as quick as before": "status",
    "of yesterday": "drill --by app --by module --by model --by workspace --baseline 1d",
    "ratings elsewhere": "drill",
}
"""What a sentence speaks of, and the answer that has it."""
OUTSIDE = ("console", "trace")
"""Where no command of ours can look."""


@pytest.mark.parametrize("kind", INCIDENT_TYPES)
def test_the_command_shows_what_the_sentence_speaks_of(kind):
    said = phrase(f"incident.{kind}.refuted_by")
    step = refuting_step(kind, SCOPE)
    if step is None:
        assert any(word in said for word in OUTSIDE), said
        return
    wanted = max((words for words in SHOWN if words in said), key=len)
    assert step.startswith(f"llmops {SHOWN[wanted]}"), (said, step)
    if "other" in said or "elsewhere" in said or "every" in said:  # the scope would hide the others
        assert "qwen-plus" not in step
    assert app.run([*shlex.split(step)[1:], "--help"]) == 0


def test_a_scope_without_a_model_has_no_limit_to_look_up():
    assert refuting_step("rate_limit_requests", {"workspace": "llm-a"}) is None


def test_values_are_compared_where_the_question_is_not_narrowed_to_one_of_them():
    filters = Filters(app=("shop",), module=("Chat",), workspace=("llm-a",))
    assert refuting_step("bad_request", {}, filters=filters) == ("llmops drill --by app --by module --workspace llm-a")


def test_yesterday_is_shown_beside_what_went_on():
    """An application whose calls stopped has too few of them to be judged by itself."""
    assert refuting_step("traffic_drop", {}, filters=Filters(app=("shop",), model=("a", "b"))) == (
        "llmops drill --by app --baseline 1d --model a --model b"
    )
    assert refuting_step("traffic_drop", {}) == "llmops status --baseline 1d"
