"""What a rule found, before it becomes an incident: facts as numbers and messages, still open to be folded away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from llmops_cli.evidence import Filters, Message, Severity, Window
from llmops_cli.knowledge.sentences import scope_text
from llmops_cli.report import Driver
from llmops_cli.sop.ledger import asked

Kind = TypeVar("Kind", bound=Hashable)


@dataclass(slots=True)
class Finding:
    """One thing that is wrong. Times are ms since the epoch; `ended_ms` is set when it was over within the window.

    `failures` and `calls` are those of its scope while it lasted; `certainty` is a log-likelihood ratio.
    `hypothesis` names another one than that of the type, where the facts speak for it (tables `hypothesis`,
    `refutation` of the sentences); `values` are what its sentence takes besides. `refused_ms`: the first refusal, where
    demand rose (`started_ms`) before it.
    """

    type: str
    scope: Mapping[str, str]
    severity: Severity
    started_ms: int | None
    started_before_ms: int | None
    evidence: list[Message]
    failures: int = 0
    calls: int = 0
    certainty: float = 0.0
    ended_ms: int | None = None
    drivers: tuple[Driver, ...] = ()
    hypothesis: str = ""
    values: Mapping[str, str | int | float | None] = field(default_factory=dict)
    refused_ms: int | None = None

    @property
    def since_ms(self) -> int:
        """When it began, as far as known."""
        return self.started_ms if self.started_ms is not None else self.started_before_ms or 0


def ranked(counts: Counter[Kind]) -> list[tuple[Kind, int]]:
    """Rank by count, equals by name: an answer must not change with the order in which a source gives its rows."""
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))


def named(scope: Mapping[str, str], filters: Filters) -> str:
    """Name a scope; what the question was narrowed to belongs to it, so that "everything" is never a part of it."""
    return scope_text({**asked(filters), **scope})


def clock(window: Window, ms: int) -> str:
    """`ms` as a reader of the window says it: "14:15:08", with the date when that is another day."""
    at, end = window.at(ms), window.at(window.span.end_ms - 1)
    return _time(at) if at.date() == end.date() else f"{at:%Y-%m-%d} {_time(at)}"


def _time(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


def compatible(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether some call can lie in both scopes."""
    return all(other.get(dimension, value) == value for dimension, value in one.items())


def contains(outer: Mapping[str, str], inner: Mapping[str, str]) -> bool:
    """Whether every call of `inner` lies in `outer`."""
    return all(inner.get(dimension) == value for dimension, value in outer.items())
