"""The envelope of schema version 1 as JSON: machine data, unshortened, with keys and tokens redacted.

Imports neither rich nor anything heavy: a script that polls pays for nothing else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any

from llmops_cli.evidence import Message, Span, Window
from llmops_cli.report import SCHEMA_VERSION, Report, TraceLine
from llmops_cli.views.clean import DECEIVING, hidden, redacted
from llmops_cli.views.words import plain, told

_TOLD = frozenset({"cause", "remedy", "coverage", "rollback"})
"""Fields that are sentences of ours, not data: they come in the language that was asked for."""

_ESCAPED = re.compile(f"[{DECEIVING}]")


def to_json(report: Report, lang: str = "en", *, show_content: bool = False) -> str:
    r"""Return the report's envelope, indented by two, without a final line break.

    Text stays readable (no ASCII escapes) except for control, bidirectional and invisible characters, which are
    written as `\uXXXX`. NaN and infinities become null.
    """
    convert = partial(_plain, lang=lang, show_content=show_content)
    envelope = {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        "generated_at": convert(report.generated_at),
        "window": None if report.window is None else _window(report.window),
        "sources": convert(report.sources),
        "partial": report.partial,
        "errors": convert(report.errors),
        "data": convert(report.data),
    }
    text = json.dumps(envelope, indent=2, ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


def _window(window: Window) -> dict[str, Any]:
    seconds = window.span.ms / 1000
    return {
        **_span(window, window.span),
        "seconds": int(seconds) if seconds.is_integer() else seconds,
        "anchored": window.anchored,
        "baseline": None if window.baseline is None else _span(window, window.baseline),
        "stepped_back": window.stepped_back,
        "timezone": str(window.timezone),
        "log_ends_at": None if window.log_ends_ms is None else _time(window.at(window.log_ends_ms)),
    }


def _span(window: Window, span: Span) -> dict[str, str]:
    return {"from": _time(window.at(span.start_ms)), "to": _time(window.at(span.end_ms))}


def _time(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def _plain(value: Any, *, lang: str, show_content: bool) -> Any:  # noqa: C901, PLR0911 - one line per kind of value
    if isinstance(value, str):
        return redacted(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Message):
        return redacted(plain(value, lang))
    convert = partial(_plain, lang=lang, show_content=show_content)
    if is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, TraceLine) and not show_content:
            value = replace(value, message=hidden(value.message, lang))
        return {
            field.name: convert(told(one, lang) if field.name in _TOLD and isinstance(one, str) else one)
            for field in fields(value)
            for one in (getattr(value, field.name),)
        }
    if isinstance(value, Mapping):
        return {redacted(str(key)): convert(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [convert(item) for item in value]
    return redacted(str(value))
