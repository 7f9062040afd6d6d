"""`trace`: every line of one request in order, its calls as a table, the errors explained, what to hand to support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len

from llmops_cli.report import Report, TraceCall, TraceData, TraceLine
from llmops_cli.views.clean import SHOWN, bounded
from llmops_cli.views.figures import compact, count, milliseconds, timespan
from llmops_cli.views.heading import clock, note_texts, zone
from llmops_cli.views.saying import explained
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.page import STYLES, Page, Piece, padded, shortened
from llmops_cli.views.words import error_name, joined

LEVEL_WIDTH = 8
LINES_SHOWN = 12
"""Continuation lines (a stack trace) of one event on a terminal; a pipe gets all."""

WIDEST = 1_000_000
"""Cells: more than any line."""

CALLS = (
    Column("call", right=True),
    Column("sent"),
    Column("waited", right=True),
    Column("app_module", least=12),
    Column("model", least=12),
    Column("answer", least=16),
    Column("took", right=True),
    Column("tokens", right=True),
    Column("workspace"),
    Column("request_id"),
)
CALLS_DROP = ("request_id", "workspace", "app_module", "tokens", "took", "waited", "model")
SPANS = (Column("span", least=16), Column("service", least=12), Column("took", right=True), Column("status", least=6))
LEVEL_STYLES = {"ERROR": STYLES["critical"], "FATAL": STYLES["critical"], "WARN": STYLES["warning"]}


def draw(report: Report, page: Page) -> None:
    """Add the report of `trace` to the page."""
    data: TraceData = report.data
    if not data.found:
        _not_found(report, data, page)
        return
    page.flow([(data.trace_id, "bold"), *_extent(page, data)])
    page.heading(report)
    page.blank()
    _timeline(page, data)
    _calls(page, data.calls)
    _spans(page, data.spans)
    _explanations(page, data)
    summary = note_texts(data.summary, page.lang)
    if summary:
        page.blank()
        page.prose(joined(summary, page.lang))
    ids = data.request_ids or tuple(dict.fromkeys(call.request_id for call in data.calls if call.request_id))
    if ids:
        page.blank()
        page.line((page.word("view.request_ids"), "dim"))
        for one in ids:
            page.line("  ", one)
    if data.next:
        page.blank()
        page.commands(data.next)


def _not_found(report: Report, data: TraceData, page: Page) -> None:
    if data.matches:
        asked = " ".join(note_texts(data.summary, page.lang))
        page.prose(asked or page.word("view.begins", trace_id=data.trace_id, count=len(data.matches)))
        page.heading(report)
        page.blank()
        page.commands(data.next or [f"llmops trace {match}" for match in data.matches])
        return
    hints = note_texts(data.summary, page.lang) or [page.word("view.no_trace", trace_id=data.trace_id)]
    page.prose(hints[0])
    page.heading(report)
    page.notes(hints[1:], "hint", "dim")
    if data.next:
        page.blank()
        page.commands(data.next)


def _extent(page: Page, data: TraceData) -> list[tuple[str, str]]:
    if not data.lines and not data.calls:
        return []
    first, last = _began(data), max([line.time for line in data.lines] + [call.time for call in data.calls])
    return [
        (f"{first.date().isoformat()} {_exact(first)} – {_exact(last)} {zone(first)}", ""),
        (page.word("view.lasting", time=timespan((last - first).total_seconds() * 1000)), ""),
    ]


def _began(data: TraceData) -> datetime:
    """When the first line was logged or the first call sent: a call is logged when it ends."""
    return min([line.time for line in data.lines] + [call.started_at for call in data.calls])


def _exact(time: datetime) -> str:
    return f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}"


def _timeline(page: Page, data: TraceData) -> None:
    """One row per line; the line of a call shows the call instead of its comma-separated values."""
    if not data.lines:
        return
    start = _began(data)
    calls = dict(enumerate(data.calls, 1))
    offsets = [f"+{(line.time - start).total_seconds() * 1000:,.0f} ms" for line in data.lines]
    width = max(map(len, offsets))
    levels = min(max(cell_len(line.level) for line in data.lines), LEVEL_WIDTH)
    for offset, line in zip(offsets, data.lines, strict=True):
        number = next((n for n, call in calls.items() if _is_line_of(line, call)), None)
        label = f"{offset:>{width}}  {padded(shortened(line.level, levels), levels)}"
        room = page.width - cell_len(label) - 2 if page.terminal else WIDEST
        rows = line.message.split("\n")
        if number is not None:
            values, rest = rows[0].split(",", 11), rows[1:]
            rows = [_call_text(page, number, calls.pop(number), room), *(values[11:] if values[-1] else ()), *rest]
        _event(page, label, LEVEL_STYLES.get(line.level, ""), rows)


def _is_line_of(line: TraceLine, call: TraceCall) -> bool:
    return line.time == call.time and line.message.startswith(
        f"{call.app},{call.module},{call.model},{call.workspace},"
    )


def _call_text(page: Page, number: int, call: TraceCall, room: int) -> str:
    """Return the call in `room` cells: the table below has its tokens and its time, so those go first."""
    parts = [
        page.word("view.call", number=number),
        f"{call.app}/{call.module}",
        call.model,
        error_name(call.status_code, call.error_code, page.lang),
        milliseconds(call.duration_ms),
    ]
    if call.total_tokens:
        parts.append(page.word("view.tokens", input=count(call.input_tokens), output=count(call.output_tokens)))
    while len(parts) > 4 and cell_len("  ".join(parts)) > room:
        parts.pop()
    return "  ".join(parts)


def _event(page: Page, label: str, style: str, rows: Sequence[str]) -> None:
    """One event: its first row behind the label, its continuation (a message, a stack trace) below."""
    kept = rows[: LINES_SHOWN + 1] if page.terminal and len(rows) > LINES_SHOWN + 2 else rows
    if page.terminal:
        kept = [bounded(row, SHOWN) for row in kept]
    hang = cell_len(label) + 2
    page.prose(kept[0].expandtabs(4), label=(label, style), hang=hang)
    for row in kept[1:]:
        indent = len(row.expandtabs(4)) - len(row.expandtabs(4).lstrip())
        page.prose(row.strip(), indent=hang + min(indent, 8))
    if len(kept) < len(rows):
        page.line(" " * hang, (page.word("view.more_lines", count=len(rows) - len(kept)), "dim"))


def _calls(page: Page, calls: Sequence[TraceCall]) -> None:
    if not calls:
        return
    page.blank()
    rows: list[tuple[Piece, ...]] = [
        (
            str(number),
            f"{clock(call.started_at)}.{call.started_at.microsecond // 1000:03d}",
            "" if call.wait_ms is None else page.word("view.lasting", time=timespan(call.wait_ms)),
            f"{call.app}/{call.module}",
            call.model,
            (
                error_name(call.status_code, call.error_code, page.lang),
                "" if call.status_code == 200 and not call.error_code else STYLES["critical"],
            ),
            milliseconds(call.duration_ms),
            compact(call.total_tokens),
            call.workspace,
            call.request_id,
        )
        for number, call in enumerate(calls, 1)
    ]
    grid(page, CALLS, rows, drops=CALLS_DROP)


def _spans(page: Page, spans: Sequence[Mapping[str, Any]]) -> None:
    """Add the spans of the tracing product as a tree by indentation, in the order of their start."""
    if not spans:
        return
    page.blank()
    known = {str(span.get("span_id")): span for span in spans}
    rows = []
    for span in sorted(spans, key=lambda one: str(one.get("start") or "")):
        depth, parent, seen = 0, span.get("parent_id"), set[str]()
        while str(parent) in known and str(parent) not in seen:
            seen.add(str(parent))
            depth, parent = depth + 1, known[str(parent)].get("parent_id")
        took = span.get("duration_ms")
        rows.append(
            (
                "  " * min(depth, 12) + str(span.get("name") or ""),
                str(span.get("service") or ""),
                milliseconds(took) if isinstance(took, (int, float)) else "",
                str(span.get("status") or ""),
            )
        )
    grid(page, SPANS, rows, drops=("status", "took", "service"))


def _explanations(page: Page, data: TraceData) -> None:
    for known in data.explanations:
        page.blank()
        name, text = error_name(known.status_code, known.error_code, page.lang), explained(known, page.lang)
        page.prose(page.word("view.explained", name=name, text=text) if text else name)
