"""What every view says of an answer in the same words: a headline, a cause, an action, how a watch stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llmops_cli.views.figures import compact, count, percent, timespan
from llmops_cli.views.words import joined, phrase, say, scope, sentences, several, term, told, where, word

if TYPE_CHECKING:
    from llmops_cli.evidence import Severity
    from llmops_cli.report import (
        Action,
        Backoff,
        CauseRow,
        ChangesData,
        DoctorData,
        Driver,
        Explanation,
        Incident,
        Level,
        Scorecard,
        StatusData,
        VerifyData,
        Waits,
    )

_NOTHING = frozenset({"recovery.no_risk", "recovery.no_rollback"})
"""Sentences that say that there is nothing to say; JSON has them all the same."""


def headline(data: StatusData, lang: str = "en") -> str:
    """Return the whole answer in one sentence, without its severity; of several incidents the first, and how many."""
    found = len(data.incidents)
    if data.headline.id:
        first = say(data.headline, lang)
        if found < 2 or not data.headline.id.startswith("incident."):
            return first
        kinds = ", ".join(dict.fromkeys(incident.type for incident in data.incidents[1:]))
        return word("headline.more", lang, first=first, count=found - 1, kinds=kinds)
    return several("view.incidents", found, lang) if found else word("view.no_incident", lang, calls=count(data.calls))


def message_of(line: str) -> str:
    """Return a line of the log without its header, where it has one: what is wrong with it stands behind that."""
    return line.partition(" - ")[2] or line


def refutation(incident: Incident, lang: str = "en") -> tuple[str, str]:
    """Return what would refute a hypothesis, and apart from it the command that shows it, to be pasted as it is."""
    message = incident.refuted_by
    text = say(replace(message, values={**message.values, "command": None}), lang)
    return (word("view.if", lang, text=text) if text else ""), str(message.values.get("command") or "")


def driver(one: Driver, lang: str = "en") -> str:
    """`workspace llm-… +1,020 calls (83 % of the rise)`; under a token limit, `module RAG +2.1 M tokens (…)`."""
    who, share = where(one.where, lang) or word("scope.everything", lang), percent(one.share, 0)
    if one.tokens:
        return word("view.driver_tokens", lang, who=who, more=f"+{compact(one.tokens)}", share=share)
    return word("view.driver_calls", lang, who=who, more=f"{one.calls:+,}", share=share)


def inside(cause: CauseRow, lang: str = "en") -> str:
    """`412 of 1,394 calls fail in the window (29.6 %), before 0 %`; empty where the measure has no rate."""
    if cause.failure_rate is None:
        return ""
    before = None if cause.baseline_failure_rate is None else percent(cause.baseline_failure_rate)
    since = None if cause.counted_from is None else f"{cause.counted_from:%H:%M:%S}"
    span = word("view.in_window", lang) if since is None else word("view.counted_from", lang, time=since)
    values = {"bad": count(cause.failures), "all": count(cause.calls), "rate": percent(cause.failure_rate)}
    return word(f"view.inside_{_measure(cause)}", lang, **values, span=span, before=before)


def elsewhere(cause: CauseRow, lang: str = "en") -> str:
    """`1.8 % of the calls fail`; empty where nothing is known of them."""
    if cause.elsewhere_failure_rate is None:
        return ""
    return word(f"view.elsewhere_{_measure(cause)}", lang, rate=percent(cause.elsewhere_failure_rate))


def _measure(cause: CauseRow) -> str:
    return cause.measure if cause.measure in {"slow", "negative"} else "failures"


def of_limit(level: Level, lang: str = "en") -> str:
    """`298 of 228`, `265 k of 5 M`; `31 of ?` where the limit is not known."""
    limit = "?" if level.limit is None else compact(level.limit)
    return word("view.of", lang, part=compact(level.peak), whole=limit)


def client_limit(value: float | None, lang: str = "en") -> str:
    """Return a limit for the client, with three digits where it is small; "unknown" where it is."""
    if value is None:
        return word("word.unknown", lang)
    return f"{value:.3g}" if value < 100 else compact(value)


def retries(backoff: Backoff, lang: str = "en") -> str:
    """Return how calls are repeated."""
    base, most, jitter = f"{backoff.base_s:g}", f"{backoff.max_s:g}", term("jitter", backoff.jitter, lang)
    return word("view.retries", lang, attempts=backoff.attempts, base=base, most=most, jitter=jitter)


def added_wait(waits: Waits, lang: str = "en") -> str:
    """Return how long calls wait for their turn."""
    return word("view.added_wait", lang, p50=timespan(waits.p50), p95=timespan(waits.p95), longest=timespan(waits.max))


def action_title(action: Action, lang: str = "en") -> str:
    """Return what an action is called; its name where it has no title."""
    return phrase(f"recovery.{action.name}.title", lang) or action.name


def action_incidents(action: Action, found: Sequence[Incident], lang: str = "en") -> list[str]:
    """Name the incidents that an action is for, as in `2 auth, app shop`; none where that is clear: it is for all."""
    if not 0 < len(action.incidents) < len(found):
        return []
    about = ((number, found[number - 1]) for number in action.incidents)
    return [joined([f"{number} {one.type}", scope(one, lang)], lang) for number, one in about]


def action_lines(action: Action, lang: str = "en") -> list[tuple[str, str]]:
    """Return why, effect, risk and undo with their labels, without those that say that there is nothing to say."""
    parts = (("why", action.why), ("effect", action.effect), ("risk", action.risk), ("undo", action.rollback))
    said = ((name, say(message, lang)) for name, message in parts if message.id not in _NOTHING)
    return [(word(f"label.{name}", lang), text) for name, text in said if text]


def runbooks(incidents: Sequence[Incident]) -> tuple[str, ...]:
    """Return the commands that print the incidents' runbooks, each once."""
    names = dict.fromkeys(incident.runbook for incident in incidents if incident.runbook)
    return tuple(f"llmops recover --runbook {name}" for name in names)


def checked(data: VerifyData, lang: str = "en") -> tuple[Severity, str]:
    """Return how things stand in a watch, and in words."""
    if data.recovered:
        at = None if data.recovered_at is None else f"{data.recovered_at:%H:%M:%S}"
        return "ok", word("view.recovered", lang, time=at)
    if not data.checks:
        return "unknown", word("view.not_checked", lang)
    last = data.checks[-1].verdict
    return ("warning" if last == "ok" else last), word("view.not_recovered", lang)


def steps_taken(card: Scorecard, lang: str = "en") -> list[str]:
    """Return the steps of the 1-5-10 method whose times are known, as in `recovered in 10 min`."""
    steps = (("detected", card.detect_min), ("located", card.locate_min), ("recovered", card.recover_min))
    return [
        word(f"view.{name}_in", lang, time=timespan(minutes * 60_000)) for name, minutes in steps if minutes is not None
    ]


def explained(known: Explanation, lang: str = "en") -> str:
    """Return what the catalogue says of an error, as sentences: the cause, the remedy, whether a retry can help."""
    retried = phrase(f"retry_sentence.{known.retry}", lang)
    return sentences(told(known.cause, lang), told(known.remedy, lang), retried)


def changes_verdict(data: ChangesData, lang: str = "en") -> str:
    """Return whether the account was changed, is yet to be, or need not be."""
    if all(row.action == "none" for row in data.changes):
        return word("provision.nothing_to_do", lang)
    return word("provision.changed" if data.applied else "provision.not_changed", lang)


def doctor_verdict(data: DoctorData, lang: str = "en") -> str:
    """Say in one line how many checks are well."""
    amiss = sum(check.state != "ok" for check in data.checks)
    return word("doctor.amiss" if amiss else "doctor.well", lang, count=len(data.checks), amiss=amiss)
