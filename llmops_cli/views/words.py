"""The few words that views add to the sentences of `knowledge`: labels, families, scopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmops_cli.evidence import DIMENSIONS, Filters
from llmops_cli.views.clean import shown
from llmops_cli.views.figures import compact, percent

if TYPE_CHECKING:
    from types import ModuleType

    from llmops_cli.evidence import Message
    from llmops_cli.report import Driver, Incident, Problem, StatusData

RETRIES = {"backoff": "back off"}
RETRY_SENTENCES = {
    "yes": "A retry can help.",
    "backoff": "A retry can help, with random exponential backoff.",
    "once": "Retry once; if it fails again, act.",
    "no": "A retry cannot help.",
}
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


def family(name: str, lang: str = "en") -> str:
    """Return an error family as people say it."""
    return str(_knowledge().phrase(f"family.{name}", lang) or name.replace("_", " "))


def retry(name: str) -> str:
    """Whether to retry, in one word."""
    return RETRIES.get(name, name)


def error_name(status_code: int | None, error_code: str) -> str:
    """`429 Throttling.RateQuota`; `no answer` when neither is known."""
    return " ".join(filter(None, ("" if status_code is None else str(status_code), error_code))) or "no answer"


def where(scope: Mapping[str, str], *, separator: str = ", ") -> str:
    """`app shop, model qwen-plus`; an empty value is said to be empty."""
    known = [name for name in DIMENSIONS if name in scope] + [name for name in scope if name not in DIMENSIONS]
    return separator.join(f"{name} {scope[name] or '(empty)'}" for name in known)


def scope(incident: Incident) -> str:
    """Where an incident is: the limited resource by its name, everything else with its dimensions."""
    if not incident.scope:
        return "everything"
    if incident.type in _LIMITED and "model" in incident.scope:
        model = incident.scope["model"] or "(empty)"
        workspace = incident.scope.get("workspace")
        return f"{model}, all workspaces" if workspace is None else f"{model} in workspace {workspace or '(empty)'}"
    return where(incident.scope)


def narrowed(filters: Filters) -> str:
    """Return what the question was narrowed to: `only model qwen-plus or qwen-max, app shop`; empty without filters."""
    names = (*DIMENSIONS, "error_code")
    parts = [f"{name} {' or '.join(values)}" for name in names if (values := getattr(filters, name))]
    return f"only {', '.join(parts)}" if parts else ""


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


DOES = {"slow": "are slow", "negative": "are negative"}
"""What the bad ones of a cause's measure do; failures fail."""


def driver(one: Driver) -> str:
    """`workspace llm-… +1,020 calls (83 % of the rise)`; under a token limit, `module RAG +2.1 M tokens (…)`."""
    more = f"+{compact(one.tokens)} tokens" if one.tokens else f"{one.calls:+,} calls"
    return f"{where(one.where) or 'everything'} {more} ({percent(one.share, 0)} of the rise)"


def headline(data: StatusData, lang: str = "en") -> str:
    """Return the whole answer in one sentence, without its severity."""
    if data.headline.id:
        return say(data.headline, lang)
    found = len(data.incidents)
    return f"{found} incident{'' if found == 1 else 's'} found" if found else f"no incident in {data.calls:,} calls"


def pairs(where: Mapping[str, str]) -> str:
    """`model=qwen-plus, app=shop`; `everything` for the empty combination."""
    names = [name for name in DIMENSIONS if name in where] + [name for name in where if name not in DIMENSIONS]
    return ", ".join(f"{name}={where[name] or '(empty)'}" for name in names) or "everything"


def sure(confidence: float) -> str:
    """How certain a cause is, in one word."""
    return "sure" if confidence >= 0.9 else "likely" if confidence >= 0.6 else "possible"


def sentences(*texts: str) -> str:
    """Join texts of the catalogue as sentences: the first goes on after a colon, each later one begins anew."""
    said = [text if text.endswith((".", "!", "?", "。")) else f"{text}." for text in texts if text]
    return " ".join([*said[:1], *(text[:1].upper() + text[1:] for text in said[1:])])
