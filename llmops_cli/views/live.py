"""Answers that follow each other: repainted in place on a terminal, one block after the other on a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from llmops_cli import views
from llmops_cli.report import Report


def draw(reports: Iterable[Report], output: str, stream: TextIO, **shown: Any) -> Report | None:
    """Show every report as it comes and return the last one; None when there was none.

    A table on a terminal is repainted in place, cut at the bottom when it is higher than the terminal; its last state
    stays. Anything else is written as blocks, one blank line apart. `shown` goes to `views.render`. A report without
    data shows its errors and does not end the watch.
    """
    if output == "table" and views.is_terminal(stream) and views.repaints(stream):
        return _repaint(reports, stream, **shown)
    last: Report | None = None
    for report in reports:
        text = _block(report, output, stream, **shown)
        if not views.put(text if last is None else "\n" + text, stream):
            break
        last = report
    return last


def follow(reports: Iterable[Report], stream: TextIO, **shown: Any) -> Report | None:
    """Show a watch that ends (`recover verify`) as a table and return its last report.

    On a terminal it is repainted in place; anywhere else each check is one line as it comes, and the end sums them up.
    """
    if views.is_terminal(stream) and views.repaints(stream):
        return _repaint(reports, stream, **shown)
    last: Report | None = None
    for report in reports:
        last = report
        if not views.put(views.draw(report, "table", stream, part="step", **shown), stream):
            return last
    if last is not None:
        views.put("\n" + views.draw(last, "table", stream, part="end", **shown), stream)
    return last


def watch(
    produce: Callable[[], Report], seconds: float, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Report]:
    """Yield what `produce` returns, again and again with `seconds` between the end of one and the next."""
    while True:
        yield produce()
        sleep(seconds)


def _repaint(reports: Iterable[Report], stream: TextIO, **shown: Any) -> Report | None:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    color = views.colorful(stream)
    console = Console(
        file=stream,
        force_terminal=True,
        color_system="standard" if color else None,
        width=views.columns(stream),
        highlight=False,
        markup=False,
        _environ={},
    )
    last: Report | None = None
    with Live(
        console=console,
        auto_refresh=False,
        vertical_overflow="crop",
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        for report in reports:
            last = report
            console.width = views.columns(stream)
            text = Text.from_ansi(_block(report, "table", stream, **shown), no_wrap=True, overflow="ignore")
            live.update(text, refresh=True)
    return last


def _block(report: Report, output: str, stream: TextIO, **shown: Any) -> str:
    text = views.draw(report, output, stream, **shown)
    return text or "".join(views.render_error(problem) for problem in report.errors)
