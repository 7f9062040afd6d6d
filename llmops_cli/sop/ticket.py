"""What a ticket to Alibaba Cloud says of an incident: the fields of `recover ticket`, filled in from evidence.

Support asks what fails, since when and how much, with which code, message and request ids; and what the account has
ruled out on its own side (`exclusion.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmops_cli.errors import UsageError
from llmops_cli.evidence import Cell, Filters, Message, Observation, Thresholds
from llmops_cli.knowledge.request import MAX_REQUEST_IDS, TICKET_FIELDS
from llmops_cli.knowledge.sentences import sentence
from llmops_cli.report import Incident, QuotaRow
from llmops_cli.sop.exclusion import Case, Tally, families_of, is_bad, of_scope, ruled_out, tally
from llmops_cli.sop.expansion import from_to, named, with_impact
from llmops_cli.sop.finding import named as scope_named
from llmops_cli.sop.finding import ranked
from llmops_cli.sop.steps import LIMITED
from llmops_cli.sop.trace import error_name

_CODES = 3
_SAMPLE = 300
_OPTIONAL = frozenset(
    {"before_failure_rate", "slow", "slow_rate", "p95_ms", "before_p95_ms", "status_code", "ruled_out", "incident"}
)
_OF_FAILURES = frozenset({"failures", "failure_rate", "error_code", "error_message", "errors"})
_WITHOUT_IDS = frozenset({"traffic_drop", "traffic_surge", "no_data", "water_level", "negative_feedback", "network"})
"""Incidents that no single call shows, or whose calls never reached what gives them an id."""

_NO_FAULT = frozenset({"traffic_drop", "traffic_surge", "negative_feedback", "no_data"})
"""Incidents that show nothing wrong with the service: its answers are as they were, or it was not asked."""


def ticket_fields(
    *,
    incident: Incident | None,
    observation: Observation,
    around: Observation,
    thresholds: Thresholds,
    quota_rows: Sequence[QuotaRow] = (),
    uid: str | None = None,
    region: str | None = None,
    request_ids: Iterable[str] = (),
    contact: str | None = None,
    impact: str | None = None,
    lang: str = "en",
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the fields that evidence gives and the names of those that are missing, both in the order of the text.

    `observation` is of the incident's scope, `around` of everything that was asked for; without an incident both are
    the same, and every failure counts. `request_ids` are of failed calls. Sentences are in `lang`, latencies ms. Raises
    `UsageError` where no call was seen: there is nothing that support could look up.
    """
    if not around.now.calls:
        raise UsageError(
            "no_call",
            "no model call in this window: there is nothing to write to Alibaba Cloud about",
            "look upstream, at your own side, first (llmops recover --runbook no_data), or widen the window (--since)",
        )
    scope = incident.scope if incident else {}
    families = families_of(incident)
    now, before = (tally(of_scope(observation, scope, period), families) for period in ("now", "before"))
    codes, sample = _codes(of_scope(observation, scope, "now"), families)
    case = Case(incident, families, observation, around, now, before, quota_rows, thresholds)
    at = observation.window.at
    slow = now.slow if incident and incident.type == "latency" else 0
    values: dict[str, Any] = {
        "uid": uid,
        "region": region,
        "model": scope.get("model") or _most("model", observation, scope, families, lang),
        "workspace": scope.get("workspace") or _most("workspace", observation, scope, families, lang),
        "incident": incident.type if incident else None,
        "problem": _problem(incident, around.filters, lang),
        "started": _started(incident, observation, lang),
        "window": from_to(at, observation.window.span.start_ms, observation.window.span.end_ms),
        "calls": now.calls,
        "failures": now.bad or None,
        "failure_rate": now.bad / now.calls if now.bad else None,
        "before_failure_rate": before.bad / before.calls if now.bad and before.calls else None,
        "slow": slow or None,
        "slow_rate": slow / now.calls if slow else None,
        "p95_ms": observation.now.durations.p95,
        "before_p95_ms": observation.before.durations.p95 if observation.before else None,
        "status_code": codes[0][0].status_code if codes else None,
        "error_code": codes[0][0].error_code if codes else None,
        "error_message": sample[:_SAMPLE],
        "errors": [
            sentence(Message("ticket.error", {"error": error_name(cell), "calls": calls}), lang)
            for cell, calls in codes[:_CODES]
        ],
        "request_ids": list(dict.fromkeys(i for i in request_ids if i))[:MAX_REQUEST_IDS],
        "ruled_out": [sentence(message, lang) for message in ruled_out(case, lang)],
        "business_impact": _impact(impact, now, slow, lang),
        "contact": contact,
    }
    fields = {name: values[name] for name in TICKET_FIELDS if values[name] not in (None, "", [])}
    return fields, _missing(fields, incident)


def chosen(incidents: Sequence[Incident], kind: str | None) -> tuple[Incident | None, tuple[Message, ...]]:
    """Choose what a ticket is about: the first incident of the type asked for, else the gravest that has no letter.

    What may be the service's fault comes before what shows none; a rate limit, which has a letter of its own
    (`recover expand`), comes last. Returns the notes that say what else there would be.
    """
    wanted = [one for one in incidents if kind in (None, one.type)]
    about = min(wanted, key=lambda one: (one.type in LIMITED, one.type in _NO_FAULT), default=None)
    if about is None:
        return None, (Message("ticket.no_incident", {"kind": kind}),)
    # A burst is no lack of quota: a higher limit does not end it.
    own_letter = about.type in LIMITED and about.type != "rate_limit_burst"
    notes = [Message("ticket.own_letter")] if own_letter else []
    if about.type in _NO_FAULT:
        notes.append(Message("ticket.no_fault", {"kind": about.type}))
    others = dict.fromkeys(one.type for one in incidents if one is not about)
    if others and kind is None:
        notes.append(Message("ticket.others", {"kind": about.type, "others": ", ".join(others)}))
    return about, tuple(notes)


def _missing(fields: Mapping[str, Any], incident: Incident | None) -> tuple[str, ...]:
    """Without failures there is no error to name, and some incidents no single call can show."""
    complete = set(_OPTIONAL)
    if "failures" not in fields:
        complete |= _OF_FAILURES
    if (incident is None and "failures" not in fields) or (incident is not None and incident.type in _WITHOUT_IDS):
        complete.add("request_ids")
    return tuple(name for name in TICKET_FIELDS if name not in fields and name not in complete)


def _problem(incident: Incident | None, filters: Filters, lang: str) -> str | None:
    """Say what happens, and to what: where filters narrowed the question, it is known of what they let through only."""
    if incident is None:
        return None
    values = {"scope": scope_named(incident.scope, filters), "since": None, "for": None}
    return sentence(Message(f"incident.{incident.type}.headline", values), lang)


def _started(incident: Incident | None, observation: Observation, lang: str) -> str | None:
    """Say when it began; of an incident older than all that was read, before when."""
    moment = (incident.started_at or incident.started_before) if incident else None
    if incident is None or moment is None:
        return None
    text = moment.astimezone(observation.window.timezone).isoformat(" ", "seconds")
    return text if incident.started_at else sentence(Message("view.before", {"time": text}), lang)


# --- what was seen ----------------------------------------------------------------------------------------------------


def _codes(cells: Iterable[Cell], families: frozenset[str]) -> tuple[list[tuple[Cell, int]], str]:
    """Return one cell and the calls of each error, the most frequent first, and a message of the first."""
    counts: Counter[tuple[int | None, str]] = Counter()
    one: dict[tuple[int | None, str], Cell] = {}
    messages: dict[tuple[int | None, str], Counter[str]] = defaultdict(Counter)
    for cell in cells:
        if is_bad(cell, families):
            kind = cell.status_code, cell.error_code
            counts[kind] += cell.calls
            one[kind] = cell
            if cell.error_message:
                messages[kind][cell.error_message] += cell.calls
    kinds = ranked(counts)
    sample = ranked(messages[kinds[0][0]])[:1] if kinds else []
    return [(one[kind], calls) for kind, calls in kinds], sample[0][0] if sample else ""


def _most(
    dimension: str, observation: Observation, scope: Mapping[str, str], families: frozenset[str], lang: str
) -> str:
    """Name the values that are hit most; all of the account's where nothing failed."""
    counts: Counter[str] = Counter()
    for cell in of_scope(observation, scope, "now"):
        if is_bad(cell, families) and (value := getattr(cell.where, dimension)):
            counts[value] += cell.calls
    if not counts:
        return sentence(Message("ticket.all_models" if dimension == "model" else "expand.all_workspaces"), lang)
    names, more = named([name for name, _ in ranked(counts)], lang)
    return sentence(Message("ticket.several", {"names": names, "more": more}), lang)


def _impact(impact: str | None, now: Tally, slow: int, lang: str) -> str | None:
    who, more = named([app for app, _ in ranked(now.bad_apps or now.apps)], lang)
    values: dict[str, str | int | float | None] = {"calls": now.calls, "who": who, "more": more}
    if slow:
        shown = Message("ticket.impact_slow", {**values, "slow": slow, "rate": slow / now.calls})
    elif now.bad:
        shown = Message("ticket.impact", {**values, "failures": now.bad, "rate": now.bad / now.calls})
    elif now.calls:
        shown = Message("ticket.impact_calls", values)
    else:
        return with_impact(impact, None, lang)
    return with_impact(impact, shown, lang)
