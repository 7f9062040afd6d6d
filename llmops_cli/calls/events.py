"""Lines of a log into events, one at a time: the careful reader, and the reference for every faster one.

A line with a header, whose date exists, starts an event; lines without one continue it (stack traces, prompts of
several lines). Lines before the first header belong to no event. No text raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo

from llmops_cli.calls.line import CallFields, FeedbackFields, parse_call, parse_feedback
from llmops_cli.calls.pattern import Header, Pattern
from llmops_cli.evidence import CallRecord, FeedbackRecord, LogLine

LONGEST_EVENT = 64 * 1024
"""Characters of one event's message that are kept."""

CUT = " …[cut]"
"""What stands behind a message that was longer."""

_BEFORE_A_LINE = "\ufeff\0"
"""A byte order mark, and the NUL bytes that a log truncated while it was written begins with."""


def read_events(
    lines: Iterable[str],
    pattern: Pattern,
    zone: tzinfo,
    *,
    file: str = "",
    on_dropped: Callable[[str], None] | None = None,
) -> Iterator[LogLine]:
    """Read events from lines, with or without their line breaks.

    `zone` is for times that carry none. `on_dropped` gets each line that stands before the first header.
    """
    event: _Event | None = None
    for raw in lines:
        line = raw.rstrip("\r\n").lstrip(_BEFORE_A_LINE)
        header = pattern.header(line)
        time = pattern.time.to_epoch_ms(header.time_text, zone) if header else None
        if header is not None and time is not None:
            if event is not None:
                yield event.done(file)
            event = _Event(header, time)
        elif event is not None:
            event.add(line)
        elif on_dropped is not None:
            on_dropped(line)
    if event is not None:
        yield event.done(file)


class _Event:
    """An event that may still grow."""

    def __init__(self, header: Header, time_ms: int) -> None:
        self.header = header
        self.time_ms = time_ms
        self.parts = [header.message[:LONGEST_EVENT]]
        self.room = LONGEST_EVENT - len(header.message)

    def add(self, line: str) -> None:
        """Append a continuation line, as far as there is room."""
        if self.room > 0:
            self.parts.append(line[: self.room - 1])
        self.room -= len(line) + 1

    def done(self, file: str) -> LogLine:
        """Make the finished event, told apart: a call, a rating, or any other line."""
        message = "\n".join(self.parts) + (CUT if self.room < 0 else "")
        call, feedback = parse_call(message), parse_feedback(message)
        return LogLine(
            time_ms=self.time_ms,
            level=self.header.level,
            trace_id=self.header.trace_id,
            logger=self.header.logger,
            thread=self.header.thread,
            message=message,
            file=file,
            call=self._call(call) if call else None,
            feedback=self._feedback(feedback) if feedback else None,
        )

    def _call(self, call: CallFields) -> CallRecord:
        return CallRecord(
            time_ms=self.time_ms,
            level=self.header.level,
            trace_id=self.header.trace_id,
            app=call.app,
            module=call.module,
            model=call.model,
            workspace=call.workspace,
            request_id=call.request_id,
            status_code=call.status_code,
            duration_ms=call.duration_ms,
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
            total_tokens=call.total_tokens,
            error_code=call.error_code,
            error_message=call.error_message,
        )

    def _feedback(self, feedback: FeedbackFields) -> FeedbackRecord:
        return FeedbackRecord(
            time_ms=self.time_ms,
            trace_id=self.header.trace_id,
            app=feedback.app,
            module=feedback.module,
            model=feedback.model,
            workspace=feedback.workspace,
            request_id=feedback.request_id,
            rating=feedback.rating,
            comment=feedback.comment,
        )
