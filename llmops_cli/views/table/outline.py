"""Any other answer as indented names and values: nothing that a verb says is lost for want of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from llmops_cli.evidence import Message
from llmops_cli.report import Report
from llmops_cli.views.table.page import Page
from llmops_cli.views.words import say, word


def draw(report: Report, page: Page) -> None:
    """Add whatever the report holds to the page."""
    page.heading(report)
    page.blank()
    _outline(page, "", report.data, 0)


def _outline(page: Page, name: str, value: Any, indent: int) -> None:
    if is_dataclass(value) and not isinstance(value, (type, Message)):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    label = (f"{name}  " if name else "", "dim")
    if isinstance(value, Mapping):
        _nested(page, name, [(str(key), item) for key, item in value.items()], indent)
    elif isinstance(value, (tuple, list)):
        _nested(page, name, [("-", item) for item in value], indent)
    else:
        page.prose(_text(value, page.lang), label=label, indent=indent, hang=indent + len(label[0]))


def _nested(page: Page, name: str, items: list[tuple[str, Any]], indent: int) -> None:
    if name:
        page.line(" " * indent, (name, "dim"))
    for key, item in items:
        _outline(page, key, item, indent + 2 * bool(name))


def _text(value: Any, lang: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, Message):
        return say(value, lang)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return word("word.yes" if value else "word.no", lang) if isinstance(value, bool) else str(value)
