"""Values of Log Service as values of Python: all of them come as text, and `null` stands for none.

Some are what an application logged, and may be anything; the others are Log Service's own, or no answer at all.
"""

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


_MAY_LACK = frozenset({"mean_ms", "max_ms", "p95_ms", "status_code", "first_down_ms"})
"""Numbers that a row may have none of."""
_TOO_LARGE = 1 << 63
_TOO_LARGE_LOGGED = 1 << 31
"""From here on a logged number is none: `calls.line` says so too."""


def rows_of(statement: Statement, rows: Sequence[Mapping[str, str]]) -> list[tuple[Any, ...]]:
    """Read the rows of a statement, in the order of its columns. Raises ValueError where they are of none.

    A row of a joined statement is the name of its part, then the columns of that.
    """
    readers = {part.name: [(name, _reader(name)) for name in part.columns] for part in statement.parts or (statement,)}
    if not statement.parts:
        return [tuple(read(row.get(name)) for name, read in readers[statement.name]) for row in rows]
    read_rows = []
    for row in rows:
        if (part := row.get("part")) not in readers:
            raise ValueError("a row of no statement")
        read_rows.append((part, *(read(row.get(name)) for name, read in readers[part])))
    return read_rows


def _reader(name: str) -> Callable[[str | None], Any]:
    if name in _TEXTS:
        return _text
    return _percentiles if name == "percentiles_ms" else _number if name in _MAY_LACK else _needed


def _text(value: str | None) -> str | None:
    return None if value is None or value == "null" else value


def _number(value: str | None) -> int | float | None:
    """Read a number; what is none (`null`, `NaN`, 400 digits) is None."""
    return _whole(_json(value))


def _needed(value: str | None) -> int | float:
    read = _number(value)
    if read is None:
        raise ValueError("a number that is none")
    return read


def _percentiles(value: str | None) -> list[Any] | None:
    """Read the three percentiles that were asked for; None where there was nothing to measure."""
    read = _json(value)
    return [_whole(one) for one in read] if isinstance(read, list) and len(read) == 3 else None


def _logged(value: str | None) -> int | None:
    """Read a number that an application logged: whole, not negative, of a size that a call may have; else None."""
    read = _number(value)
    return None if read is None or not 0 <= read < _TOO_LARGE_LOGGED else int(read + 0.5)


def _json(value: str | None) -> Any:
    try:
        return json.loads(value) if value else None
    except (ValueError, RecursionError):
        return None


def _whole(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _TOO_LARGE:  # nor NaN
        return None
    return int(value) if float(value).is_integer() else float(value)


def log_line(row: Mapping[str, str], key: Keys, store: str) -> LogLine:
    """Read one log as an event of a trace: a call and a rating as the standard writes them, else its message.

    Raises ValueError where it has no time.
    """

    def text(name: str) -> str:
        return _text(row.get(key(name))) or ""

    seconds, ns = _needed(row.get("__time__")), _logged(row.get("__time_ns_part__")) or 0
    if not 0 <= seconds < _TOO_LARGE_LOGGED:
        raise ValueError("a time that is none")
    time_ms = int(seconds) * 1000 + ns // 1_000_000
    message, call, feedback = text("message"), None, None
    if (duration := _logged(row.get(key("duration_ms")))) is not None:
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


def _call(text: Callable[[str], str], row: Mapping[str, str], key: Keys, duration_ms: int) -> CallFields:
    def count(name: str) -> int:
        return _logged(row.get(key(name))) or 0

    status = _logged(row.get(key("status_code")))
    return CallFields(
        app=text("app"),
        module=text("module"),
        model=text("model"),
        workspace=text("workspace"),
        request_id=text("request_id"),
        status_code=status if status is not None and 100 <= status <= 599 else None,
        duration_ms=duration_ms,
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
