"""The few words that views add to the sentences of `knowledge`: labels, families, scopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmops_cli.evidence import DIMENSIONS, Filters, Message
from llmops_cli.views.clean import shown
from llmops_cli.views.figures import change

if TYPE_CHECKING:
    from types import ModuleType

    from llmops_cli.report import Incident, Problem

_LIMITED = frozenset({"rate_limit_requests", "rate_limit_tokens", "rate_limit_burst", "water_level"})


def _knowledge() -> ModuleType:
    from llmops_cli.knowledge import sentences  # noqa: PLC0415 - read when the first sentence is said

    return sentences


def plain(message: Message, lang: str = "en") -> str:
    """Return the sentence of a message as it is; empty for the empty message."""
    return str(_knowledge().sentence(message, lang)) if message.id else ""


def say(message: Message, lang: str = "en") -> str:
    """Return the sentence of a message on one line, safe to show."""
    return shown(plain(message, lang)).replace("\t", " ")


def word(id: str, lang: str = "en", **values: str | float | None) -> str:  # noqa: A002 - as in `Message`
    """Return a label, a title or a phrase of the views by its id in `knowledge`, on one line, safe to show."""
    return say(Message(id, values), lang)


def several(id: str, number: int, lang: str = "en", **values: str | float | None) -> str:  # noqa: A002 - as above
    """Return the phrase for a number of things; `ID_one` for a single one."""
    return word(f"{id}_one" if number == 1 else id, lang, count=number, **values)


def told(text: str, lang: str = "en") -> str:
    """Return a text of the catalogue in another language, if that has it."""
    return str(_knowledge().told(text, lang))


def phrase(id: str, lang: str = "en") -> str:  # noqa: A002 - as above
    """Return a text without values; empty where there is none."""
    return str(_knowledge().phrase(id, lang) or "")


def term(table: str, name: str, lang: str = "en") -> str:
    """Return what a name of ours is called: of a `family`, `retry`, `severity`, `source_name`, `source_state` …"""
    return phrase(f"{table}.{name}", lang) or name.replace("_", " ")


def source(name: str, lang: str = "en") -> str:
    """Return where a limit comes from."""
    return str(_knowledge().source_text(name, lang))


def dimension(name: str, lang: str = "en") -> str:
    """Return what a dimension is called."""
    return str(_knowledge().dimension_text(name, lang))


def error_name(status_code: int | None, error_code: str, lang: str = "en") -> str:
    """`429 Throttling.RateQuota`; `no answer` when neither is known."""
    known = " ".join(filter(None, ("" if status_code is None else str(status_code), error_code)))
    return known or word("word.no_answer", lang)


def valued(value: str, lang: str = "en") -> str:
    """Return a value of a dimension; an empty one is said to be empty."""
    return value or word("word.empty", lang)


def where(scope: Mapping[str, str], lang: str = "en") -> str:
    """`app shop, model qwen-plus`; an empty value is said to be empty."""
    known = [name for name in DIMENSIONS if name in scope] + [name for name in scope if name not in DIMENSIONS]
    return listed([f"{dimension(name, lang)} {valued(scope[name], lang)}" for name in known], lang)


def listed(items: Sequence[str], lang: str = "en") -> str:
    """Return items with the language's own comma between them."""
    return str(_knowledge().listed(items, lang))


def joined(clauses: Sequence[str], lang: str = "en") -> str:
    """Return clauses with the language's own semicolon between them."""
    return str(_knowledge().listed(clauses, lang, by="view.clauses"))


def scope(incident: Incident, lang: str = "en") -> str:
    """Where an incident is: the limited resource by its name, everything else with its dimensions."""
    if not incident.scope:
        return word("scope.everything", lang)
    if incident.type in _LIMITED and "model" in incident.scope:
        model, workspace = valued(incident.scope["model"], lang), incident.scope.get("workspace")
        if workspace is None:
            return word("view.all_workspaces", lang, model=model)
        return place(incident.scope["model"], workspace, lang)
    return where(incident.scope, lang)


def place(model: str, workspace: str | None, lang: str = "en") -> str:
    """Return a limited resource: a model, or a model in a workspace."""
    if workspace is None:
        return valued(model, lang)
    return word("view.in_workspace", lang, model=valued(model, lang), workspace=valued(workspace, lang))


def narrowed(filters: Filters, lang: str = "en") -> str:
    """Return what the question was narrowed to: `only model qwen-plus or qwen-max, app shop`; empty without filters."""
    parts = []
    for name in (*DIMENSIONS, "error_code"):
        if values := getattr(filters, name):
            text = values[0]
            for value in values[1:]:
                text = word("view.or", lang, one=text, other=value)
            parts.append(f"{dimension(name, lang)} {text}")
    return word("view.only", lang, what=listed(parts, lang)) if parts else ""


def render_error(problem: Problem) -> str:
    """One or two lines for stderr: `error: what, where`, and `hint: how to mend` when there is one."""
    lines = [f"error: {shown(problem.message)}"]
    if problem.request_id:
        lines[0] += f" (request id {shown(problem.request_id)})"
    if problem.hint:
        lines.append(f"hint: {shown(problem.hint)}")
    return "\n".join(lines) + "\n"


def shown_hint(text: str) -> str:
    """`hint: …` for stderr, on one line, safe to show."""
    return f"hint: {shown(text)}\n"


def pairs(where: Mapping[str, str], lang: str = "en") -> str:
    """`model=qwen-plus, app=shop`, as options name them; `everything` for the empty combination."""
    names = [name for name in DIMENSIONS if name in where] + [name for name in where if name not in DIMENSIONS]
    shown_pairs = ", ".join(f"{name}={valued(where[name], lang)}" for name in names)
    return shown_pairs or word("scope.everything", lang)


def sure(confidence: float, lang: str = "en") -> str:
    """How certain a cause is, in one word."""
    return word("word.sure" if confidence >= 0.9 else "word.likely" if confidence >= 0.6 else "word.possible", lang)


def changed(now: float | None, before: float | None, lang: str = "en") -> str:
    """Return how `now` compares with `before`, as `figures.change` has it, "new" and "same" in the language."""
    text = change(now, before)
    return word(f"word.{text}", lang) if text in {"new", "same"} else text


def sentences(*texts: str) -> str:
    """Join texts of the catalogue as sentences: the first goes on after a colon, each later one begins anew."""
    whole = ""
    for text in filter(None, texts):
        said = text if text.endswith((".", "!", "?", "。", "！", "？")) else f"{text}."
        if whole:
            whole += said if whole.endswith(("。", "！", "？")) else f" {said[:1].upper()}{said[1:]}"
        else:
            whole = said
    return whole
