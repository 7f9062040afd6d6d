"""How far a long read has come, for whoever waits: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

Advance = Callable[[int], None]
"""Takes the bytes done since the last call."""

Meter = Callable[[str, int], AbstractContextManager[Advance]]
"""Takes what is done and how many bytes that is; gives what to call while it goes on."""

_POLL_S = 0.2


def no_advance(_: int) -> None:
    """Show nothing."""


def no_meter(_: str, __: int) -> AbstractContextManager[Advance]:
    """Show nothing."""
    return nullcontext(no_advance)


@contextmanager
def following(con: duckdb.DuckDBPyConnection, total: int, advance: Advance) -> Iterator[None]:
    """Advance by DuckDB's own progress while its statement runs in this thread."""
    if advance is no_advance:
        yield
        return
    for setting in ("enable_progress_bar = true", "enable_progress_bar_print = false", "progress_bar_time = 0"):
        con.execute(f"set {setting}")  # without them query_progress() knows nothing
    done, told = threading.Event(), 0

    def poll() -> None:
        nonlocal told
        while not done.wait(_POLL_S):
            now = int(total * max(0.0, con.query_progress()) / 100)
            advance(max(0, now - told))
            told = max(told, now)

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        advance(total - told)
