"""Where evidence is read. Every source of calls answers the same questions, whatever engine is behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from llmops_cli.evidence import (
    Arrival,
    CallRecord,
    Filters,
    LogLine,
    Observation,
    Slice,
    SourceState,
    Span,
    Thresholds,
    Window,
)

__all__ = ["CallSource", "Refused", "TraceLines"]

Refused = Callable[[int | None, str, str], bool]
"""Tells from status, code and message whether a failed call was refused by a rate limit."""


@dataclass(frozen=True, slots=True)
class TraceLines:
    """What was found for an id: the full trace id and its lines, or the ids that an ambiguous prefix matches."""

    trace_id: str
    lines: tuple[LogLine, ...]
    matches: tuple[str, ...] = ()


class CallSource(Protocol):
    """A log of model calls; a context manager, so that files and connections are given back."""

    remote: bool
    """Whether every question is a round trip: ask no more of them than needed."""

    def __enter__(self) -> Self:
        """Use the source in a `with` block."""

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def newest_ms(self) -> int | None:
        """Time of the newest line with a header; None when no line has one. Raises `SourceError`."""

    def oldest_ms(self) -> int | None:
        """Time of the oldest line with a header."""

    def observe(
        self,
        window: Window,
        filters: Filters,
        thresholds: Thresholds,
        between: Span | None = None,
        *,
        brief: bool = False,
    ) -> Observation:
        """Read everything `status` decides from. `between` is a span to read besides the window and its baseline.

        `brief` leaves out `points` and `demand`, for a look at a possible baseline.
        """

    def bytes_of(self, span: Span) -> int:
        """Estimate what reading `span` costs, in bytes of log; 0 where an index makes it cheap."""

    def slices(self, window: Window, filters: Filters, by: Sequence[str]) -> tuple[Slice, ...]:
        """Count calls and failures per combination of the values of `by`, in the window and its baseline."""

    def arrivals(self, window: Window, filters: Filters, refused: Refused) -> tuple[Arrival, ...]:
        """Give every call of the window as a rate limiter meets it, by time sent."""

    def failures(self, window: Window, filters: Filters, limit: int) -> tuple[CallRecord, ...]:
        """Give the newest failed calls of the window, newest first."""

    def slowest(self, window: Window, filters: Filters, limit: int) -> tuple[CallRecord, ...]:
        """Give the successful calls of the window that took longest, the longest first; fewer where one has no text."""

    def trace(self, trace_id: str, window: Window | None) -> TraceLines:
        """Find a trace by its id, by a prefix of at least 8 characters, or by the request id of one of its calls."""

    def states(self) -> tuple[SourceState, ...]:
        """Say how far the answers so far can be trusted."""
