"""From findings to incidents: what is only a consequence is folded away, the rest is put in order and explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llmops_cli.evidence import DIMENSIONS, Message, Observation, Thresholds
from llmops_cli.knowledge.sentences import duration_text, scope_text
from llmops_cli.report import Incident, QuotaRow
from llmops_cli.sop import failures, feedback, latency, levels, traffic
from llmops_cli.sop.finding import Finding, clock, compatible, contains, named
from llmops_cli.sop.ledger import Ledger, asked
from llmops_cli.sop.steps import next_steps, refuting_step

SAME_START_MS = 150_000
"""Failures whose beginnings are nearer than this have one cause, when their scopes agree."""
SLACK_MS = 180_000
"""A consequence may seem to begin a little before its cause: both times are estimates."""
COMPANION = 0.5
"""A family with fewer failures than this part of another's, that began with it, is its companion."""
DAY_MS = 86_400_000
MOST_ALIKE = 3
"""From so many sibling scopes on, a family is one incident of their common scope."""

_PLATFORM = frozenset({"server_error", "timeout", "capacity", "network"})
_BY_YESTERDAY = frozenset({"traffic_drop", "traffic_surge"})
_LIMITED = frozenset({"rate_limit_requests", "rate_limit_tokens", "rate_limit_burst"})
_OTHER = frozenset({"latency", "water_level", "traffic_drop", "traffic_surge", "negative_feedback"})
_RANK = {"critical": 0, "warning": 1, "unknown": 2, "ok": 3}


def incidents(
    observation: Observation, rows: Sequence[QuotaRow], thresholds: Thresholds, next_options: str = ""
) -> tuple[Incident, ...]:
    """Find the incidents of a window, the worst first; `rows` are its water levels. Filters may match nothing."""
    if not observation.now.calls:
        return (_no_data(observation, next_options),) if observation.matched_by_filters else ()
    ledger = Ledger(observation.basis, thresholds)
    return tuple(
        _within_reach(_incident(ledger, finding, next_options), observation) for finding in findings(ledger, rows)
    )


def findings(ledger: Ledger, rows: Sequence[QuotaRow]) -> list[Finding]:
    """Apply every rule, fold consequences into their causes, and put the rest in order."""
    failed = [levels.explain(ledger, f, rows) if f.type in _LIMITED else f for f in failures.find(ledger)]
    failed = _fold_failures(_order(_together(failed)))
    moved = sorted(traffic.find(ledger), key=lambda f: -f.certainty)
    others = [*levels.find(ledger, rows), *latency.find(ledger), *moved, *feedback.find(ledger)]
    kept: list[Finding] = list(failed)
    for other in others:
        cause = next((f for f in kept if _follows(other, f)), None)
        if cause is None:
            kept.append(other)
        elif _says_more(other, cause):
            cause.evidence += other.evidence[:1]
    return _order(kept)


def _says_more(other: Finding, cause: Finding) -> bool:
    """Whether a consequence is worth a line among the facts of its cause."""
    if other.type == "water_level" or (other.type == "traffic_surge" and cause.drivers):
        return False  # the limit, and who drives demand to it, have been said with numbers
    # One line about traffic at most: calls that moved from one scope to another read like a contradiction.
    return not any(message.id == other.evidence[0].id for message in cause.evidence)


def _order(found: Sequence[Finding]) -> list[Finding]:
    return sorted(found, key=lambda f: (_RANK[f.severity], f.type in _OTHER, -f.failures, -f.certainty, f.type))


def _together(found: Sequence[Finding]) -> list[Finding]:
    """Many sibling scopes of one family are one incident of what they have in common."""
    answer = []
    for family in dict.fromkeys(f.type for f in found):
        own = [f for f in found if f.type == family]
        if len(own) < MOST_ALIKE or max(f.since_ms for f in own) - min(f.since_ms for f in own) > 2 * SAME_START_MS:
            answer += own
            continue
        common = {d: v for d, v in own[0].scope.items() if all(f.scope.get(d) == v for f in own)}
        first = min(own, key=lambda f: f.since_ms)
        answer.append(
            replace(
                max(own, key=lambda f: f.failures),
                scope=common,
                started_ms=first.started_ms,
                started_before_ms=first.started_before_ms,
                refused_ms=first.refused_ms,
                failures=sum(f.failures for f in own),
                calls=sum(f.calls for f in own),
                severity=min((f.severity for f in own), key=lambda severity: _RANK[severity]),
            )
        )
    return answer


def _fold_failures(found: Sequence[Finding]) -> list[Finding]:
    """Fold a smaller finding into a larger one with the same beginning, when they are of a kind or share a scope."""
    kept: list[Finding] = []
    for finding in sorted(found, key=lambda f: -f.failures):
        cause = next((larger for larger in kept if _same_cause(finding, larger)), None)
        if cause is None:
            kept.append(finding)
            continue
        values: dict[str, str | int | float | None] = {"calls": finding.failures, "family": _title(finding.type)}
        cause.evidence.append(Message("evidence.also_failing", values))
    return _order(kept)


def _title(family: str) -> str:
    return family.replace("_", " ")


def _same_cause(finding: Finding, larger: Finding) -> bool:
    of_a_kind = any(finding.type in kind and larger.type in kind for kind in (_PLATFORM, _LIMITED))
    if of_a_kind and compatible(finding.scope, larger.scope):
        return finding.since_ms >= larger.since_ms - SAME_START_MS
    # Of families that have nothing to do with each other only a common beginning tells, and none that is as large.
    if finding.started_ms is None or larger.started_ms is None or finding.failures >= COMPANION * larger.failures:
        return False
    return abs(finding.since_ms - larger.since_ms) <= SAME_START_MS and contains(larger.scope, finding.scope)


def _follows(finding: Finding, cause: Finding) -> bool:
    """Whether a finding that is no failure is a consequence, or the other side, of another finding."""
    if not compatible(finding.scope, cause.scope):
        return False
    failed = cause.type not in _OTHER
    after = finding.since_ms >= cause.since_ms - SLACK_MS
    causes = {
        "water_level": cause.type in _LIMITED,
        "traffic_surge": cause.type in _LIMITED or cause.type == "water_level" or (failed and after),
        "latency": cause.type in _PLATFORM | _LIMITED and after,
        "traffic_drop": failed and after,
        "negative_feedback": cause.type != "water_level" and after,
    }
    return causes.get(finding.type, False)


def _incident(ledger: Ledger, finding: Finding, next_options: str) -> Incident:
    window, filters = ledger.window, ledger.observation.filters
    driver = finding.drivers[0].where if finding.drivers else {}
    values: dict[str, str | int | float | None] = {
        "scope": named(finding.scope, filters),
        "driver": scope_text(driver) if driver else None,
        "model": finding.scope.get("model"),
        **finding.values,
    }
    evidence = list(finding.evidence)
    if finding.started_before_ms is not None:
        evidence.append(Message("evidence.started_before", {"at": clock(window, finding.started_before_ms)}))
    other = finding.hypothesis
    refuted = other if other and finding.type not in _LIMITED else finding.type
    return Incident(
        type=finding.type,
        severity=finding.severity,
        started_at=None if finding.started_ms is None else window.at(finding.started_ms),
        started_before=None if finding.started_before_ms is None else window.at(finding.started_before_ms),
        scope=dict(finding.scope) or asked(filters),  # "everything" is never a part of it
        drivers=finding.drivers,
        evidence=tuple(evidence),
        hypothesis=Message(f"hypothesis.{other}" if other else f"incident.{finding.type}.hypothesis", values),
        refuted_by=Message(
            f"refutation.{other}" if other else f"incident.{finding.type}.refuted_by",
            {"command": refuting_step(refuted, finding.scope, next_options, filters), "model": values["model"]},
        ),
        runbook=finding.type,
        # The runbook of its largest part would mislead about a mixture.
        next=next_steps("mixed" if other == "mixed" else finding.type, finding.scope, next_options, filters),
        failures=finding.failures,
        calls=finding.calls,
        refused_at=None if finding.refused_ms is None else window.at(finding.refused_ms),
    )


def _within_reach(incident: Incident, observation: Observation) -> Incident:
    """Offer the comparison with yesterday only where the log reaches back that far; else say what it takes."""
    begins, window = observation.begins_ms, observation.window
    if incident.type not in _BY_YESTERDAY or begins is None or begins <= window.span.start_ms - DAY_MS:
        return incident
    values = incident.refuted_by.values
    begun = {"command": None, "begins": clock(window, begins)}
    return replace(
        incident,
        refuted_by=replace(incident.refuted_by, values={**values, **begun}),
        next=tuple(line for line in incident.next if line != values["command"]),
    )


def _no_data(observation: Observation, next_options: str) -> Incident:
    """No call in the window: they stopped, or nothing was ever logged. Which one is said."""
    window, newest = observation.window, observation.newest_call_ms
    evidence: list[Message] = []
    started = None
    if newest is not None and not observation.filters and newest < window.span.end_ms:
        started = window.at(newest)
        since, log_ends = clock(window, newest), clock(window, window.log_ends_ms or window.span.end_ms)
        values: dict[str, str | int | float | None] = {
            "since": since,
            "for": duration_text(window.span.end_ms - newest),
            "log_ends": None if log_ends == since else log_ends,
        }
        evidence.append(Message("evidence.silence", values))
    else:
        before = observation.before.calls if observation.before is not None else None
        evidence.append(Message("evidence.traffic", {"calls": 0, "before_calls": before, "change": None}))
    if observation.unparsed:
        evidence.append(Message("note.unparsed", {"count": observation.unparsed, "sample": None}))
    scope = {
        dimension: kept[0] for dimension in DIMENSIONS if len(kept := getattr(observation.filters, dimension)) == 1
    }
    return Incident(
        type="no_data",
        severity="unknown",
        started_at=started,
        started_before=None,
        scope=scope,
        drivers=(),
        evidence=tuple(evidence),
        hypothesis=Message("incident.no_data.hypothesis", {"scope": scope_text(scope), "driver": None, "model": None}),
        refuted_by=Message("incident.no_data.refuted_by", {"command": None}),
        runbook="no_data",
        next=next_steps("no_data", scope, next_options),
    )
