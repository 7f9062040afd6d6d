"""Which alert rules would have fired over a log: the statements of the alerts, evaluated at every minute of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_cli.evidence import Filters, Span
from llmops_cli.knowledge.alert_rules import AlertRule
from llmops_cli.provision.alerts import Judged
from llmops_cli.queries import charts

Run = Callable[[str, Span, Filters], Sequence[tuple[Any, ...]]]
"""Runs a text of DuckDB over the calls of a span, narrowed to filters."""
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that would have been open: from its first evaluation to the one that resolved it, ms.

    `end_ms` is None where it was still open at the last evaluation. `severity` is the gravest, `worst` the row of the
    statement behind it; `group` the values of the rule's `by`.
    """

    rule: AlertRule
    group: Mapping[str, str]
    start_ms: int
    end_ms: int | None
    severity: int
    worst: Mapping[str, Any]
    evaluations: int


def evaluations(span: Span) -> Span:
    """Give the first and the last whole minute at which rules are evaluated over a log's span."""
    return Span(span.start_ms - span.start_ms % MINUTE_MS + MINUTE_MS, span.end_ms - span.end_ms % MINUTE_MS)


def firings(rules: Iterable[Judged], span: Span, run: Run) -> tuple[Firing, ...]:
    """Evaluate rules at every whole minute of `span`; the earliest first."""
    minutes = evaluations(span)
    if minutes.end_ms < minutes.start_ms:
        return ()
    found = [one for judged in rules for one in _of_rule(judged, minutes, run)]
    return tuple(sorted(found, key=lambda one: (one.start_ms, -one.severity, one.rule.name, *one.group.values())))


def _of_rule(judged: Judged, minutes: Span, run: Run) -> Iterator[Firing]:
    rule, statement = judged.rule, judged.statement
    window_ms = rule.minutes * MINUTE_MS
    dialect = charts.EveryMinute(window_ms=window_ms, first_ms=minutes.start_ms, last_ms=minutes.end_ms)
    # every evaluation answers rows of its own: the cap is one of each
    text = charts.written(statement, dialect, at="at_ms", most=str(10_000_000))
    rows = [
        dict(zip(statement.columns, row, strict=True))
        for row in run(text, Span(minutes.start_ms - window_ms, minutes.end_ms), judged.filters)
    ]
    fired: dict[tuple[str, ...], list[tuple[int, int, Mapping[str, Any]]]] = {}
    for row in rows:
        severity = rule.severity(row)
        if severity is not None:
            fired.setdefault(tuple(row[name] for name in rule.by), []).append((int(row["at_ms"]), severity, row))
    for values, events in fired.items():
        group = dict(zip(rule.by, values, strict=True))
        for stretch in _stretches(sorted(events, key=lambda event: event[0])):
            if len(stretch) < rule.lasting:
                continue
            first, last = stretch[rule.lasting - 1][0], stretch[-1][0]
            worst = max(stretch, key=lambda event: (event[1], _badness(rule, event[2])))
            yield Firing(
                rule=rule,
                group=group,
                start_ms=first,
                end_ms=None if last >= minutes.end_ms else last + MINUTE_MS,
                severity=worst[1],
                worst=worst[2],
                evaluations=len(stretch) - rule.lasting + 1,
            )


def _badness(rule: AlertRule, row: Mapping[str, Any]) -> float:
    _, test = rule.levels[0]
    return float(row[test.column]) * (1 if test.op == ">=" else -1)


def _stretches(
    events: Sequence[tuple[int, int, Mapping[str, Any]]],
) -> Iterator[list[tuple[int, int, Mapping[str, Any]]]]:
    """Split evaluations that fired into runs of minutes that follow each other."""
    run: list[tuple[int, int, Mapping[str, Any]]] = []
    for event in events:
        if run and event[0] != run[-1][0] + MINUTE_MS:
            yield run
            run = []
        run.append(event)
    if run:
        yield run
