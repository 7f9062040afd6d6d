"""How the few expressions are written that SLS and DuckDB do not share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmops_cli.evidence import Period, Span


@dataclass(frozen=True, slots=True)
class Dialect:
    """The engine's side of a statement.

    `ms` is an expression for the event's time in ms since the epoch; `message_kind` reduces an error message to what
    it shares with others of its kind (numbers and ids become `#`).
    """

    ms: str
    message_kind: str
    percentile: str = "approx_percentile"

    def relation(self, columns: Sequence[str]) -> str:  # noqa: ARG002 - engines that have no such table build it
        """Give the relation, called `event`, with at least these canonical columns."""
        return "log event"

    def period(self, spans: dict[Period, Span]) -> str:
        """Tell which span a row belongs to: 'now', 'before' or 'between'."""
        whens = " ".join(f"when {self.inside(span)} then '{name}'" for name, span in spans.items())
        return f"case {whens} end"

    def start(self, spans: dict[Period, Span]) -> str:
        """Give the start of the span a row belongs to, ms."""
        whens = " ".join(f"when {self.inside(span)} then {span.start_ms}" for span in spans.values())
        return f"case {whens} end"

    def inside(self, span: Span) -> str:
        """Tell whether a row lies in `span`."""
        return f"({self.ms} >= {span.start_ms} and {self.ms} < {span.end_ms})"

    def any_of(self, spans: dict[Period, Span]) -> str:
        """Tell whether a row lies in one of `spans`."""
        return "(" + " or ".join(self.inside(span) for span in spans.values()) + ")"


DUCKDB = Dialect(
    ms="time_ms",
    message_kind="regexp_replace(error_message, '[0-9A-Fa-f]*[0-9][0-9A-Fa-f-]*', '#', 'g')",
)
"""Local tables keep milliseconds; `approx_percentile` is a macro of the local engine, by nearest rank."""
