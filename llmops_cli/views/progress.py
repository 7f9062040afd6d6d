"""A progress bar on stderr while something long is read: on a terminal only, and gone when it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from llmops_cli.views import colorful, repaints
from llmops_cli.views.clean import shown

Advance = Callable[[int], None]

PATIENCE_S = 0.5
"""Seconds without a bar: what is done by then needs none, and a flash of one is noise."""


@contextmanager
def progress(description: str, total: int, *, after: float = PATIENCE_S) -> Iterator[Advance]:
    """Show `description` and how much of `total` bytes is done; yield `advance(bytes)`.

    The bar appears with the first `advance` that comes `after` seconds or more from the start. Draws nothing, and does
    not import rich, when stderr is no terminal, is a dumb one, or `NO_COLOR` forbids escape sequences.
    """
    if not repaints(sys.stderr):
        yield lambda _: None
        return
    began = time.monotonic()
    done = 0
    draw: Advance | None = None
    with ExitStack() as stack:

        def advance(size: int) -> None:
            nonlocal done, draw
            done += size
            if draw is None and time.monotonic() - began >= after:
                draw = stack.enter_context(_bar(description, total))
            if draw is not None:
                draw(done)

        yield advance


@contextmanager
def _bar(description: str, total: int) -> Iterator[Advance]:
    """Show a bar and yield the function that sets how many bytes are done."""
    from rich.console import Console  # noqa: PLC0415 - rich only for those who wait
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(
        file=sys.stderr,
        force_terminal=True,
        color_system="standard" if colorful(sys.stderr) else None,
        highlight=False,
        markup=False,
    )
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with bar:
        task = bar.add_task(shown(description), total=total)
        yield lambda done: bar.update(task, completed=done)
