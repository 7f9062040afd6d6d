"""Values of Log Service as values of Python: all of them come as text, and `null` stands for none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmops_cli.calls.line import (
    FEEDBACK_FIELDS,
    FIELDS,
    CallFields,
    FeedbackFields,
    format_call,
    format_feedback,
    parse_call,
    parse_feedback,
)
from llmops_cli.evidence import CallRecord, FeedbackRecord, LogLine
from llmops_cli.queries import Statement

_TEXTS = frozenset(
    {
        "period", "app", "module", "model", "workspace", "error_code", "error_message", "message", "level", "trace_id",
        "request_id",
    }
)  # fmt: skip

Keys = Callable[[str], str]
"""Gives the logstore's key of a canonical field."""


def rows_of(statement: Statement, rows: Sequence[Mapping[str, str]]) -> list[tuple[Any, ...]]:
    """Read the rows of a statement, in the order of its columns."""
    readers = [(name, _text if name in _TEXTS else number) for name in statement.columns]
    return [tuple(read(row.get(name)) for name, read in readers) for row in rows]


def _text(value: str | None) -> str | None:
    return None if value is None or value == "null" else value


def number(value: str | None) -> Any:
    """Read a number, or an array of them; what is neither (`null`, `NaN`) is None."""
    try:
        read = json.loads(value) if value else None
    except ValueError:
        return None
    if isinstance(read, list):
        return [_whole(one) for one in read]
    return _whole(read)


def _whole(value: Any) -> Any:
    if not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return None
    return int(value) if float(value).is_integer() else float(value)


def log_line(row: Mapping[str, str], key: Keys, store: str) -> LogLine:
    """Read one log as an event of a trace: a call and a rating as the standard writes them, else its message."""

    def text(name: str) -> str:
        return _text(row.get(key(name))) or ""

    time_ms = int(row.get("__time__") or 0) * 1000 + int(row.get("__time_ns_part__") or 0) // 1_000_000
    message, call, feedback = text("message"), None, None
    if (duration := number(row.get(key("duration_ms")))) is not None:
        call = _call(text, row, key, duration)
        message = format_call(call)
    elif text("rating"):
        feedback = FeedbackFields(*map(text, FEEDBACK_FIELDS))
        message = format_feedback(feedback)
    else:
        call, feedback = parse_call(message), parse_feedback(message)
    level, trace_id = text("level"), text("trace_id")
    return LogLine(
        time_ms=time_ms,
        level=level,
        trace_id=trace_id,
        logger=row.get("logger") or row.get("location") or "",
        thread=row.get("thread") or "",
        message=message,
        file=store,
        call=None if call is None else _record(time_ms, level, trace_id, call),
        feedback=None if feedback is None else _rating(time_ms, trace_id, feedback),
    )


def _call(text: Callable[[str], str], row: Mapping[str, str], key: Keys, duration: float) -> CallFields:
    def count(name: str) -> int:
        return max(0, round(number(row.get(key(name))) or 0))

    status = number(row.get(key("status_code")))
    return CallFields(
        app=text("app"),
        module=text("module"),
        model=text("model"),
        workspace=text("workspace"),
        request_id=text("request_id"),
        status_code=status if isinstance(status, int) and 100 <= status <= 599 else None,
        duration_ms=max(0, round(duration)),
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        total_tokens=count("total_tokens"),
        error_code=text("error_code"),
        error_message=text("error_message"),
    )


def _record(time_ms: int, level: str, trace_id: str, call: CallFields) -> CallRecord:
    values = {name: getattr(call, name) for name in FIELDS}
    return CallRecord(time_ms=time_ms, level=level, trace_id=trace_id, **values)


def _rating(time_ms: int, trace_id: str, rated: FeedbackFields) -> FeedbackRecord:
    values = {name: getattr(rated, name) for name in FEEDBACK_FIELDS}
    return FeedbackRecord(time_ms=time_ms, trace_id=trace_id, **values)
