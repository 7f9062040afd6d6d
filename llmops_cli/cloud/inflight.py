"""Requests side by side, all of them until one deadline.

Threads are daemons and nobody joins them: a socket that drips a byte a second outlives any timeout of its own, and
must neither hold up an answer nor the end of the program.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

MOST = 5
"""Requests in flight at once. Log Service lets a project run 15 queries; a tool must not add to an incident."""

Answer = TypeVar("Answer")


class Deadline:
    """The end of all patience, in seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())


class OverdueError(Exception):
    """No answer came before the deadline."""


class Pending(Generic[Answer]):
    """An answer that may still be under way. `so_far`: a part of it, which is given when the deadline passes first."""

    def __init__(self) -> None:
        self.so_far: Answer | None = None
        self._box: SimpleQueue[tuple[Answer | None, BaseException | None]] = SimpleQueue()
        self._outcome: tuple[Answer | None, BaseException | None] | None = None

    def put(self, answer: Answer | None, error: BaseException | None) -> None:
        """Hand over the outcome, once."""
        self._box.put((answer, error))

    def result(self, deadline: Deadline) -> Answer:
        """Wait for the answer. Raises what the task raised, and OverdueError when the deadline passes first."""
        if self._outcome is None:
            try:
                self._outcome = self._box.get(timeout=deadline.left or 0.001)
            except Empty:
                if self.so_far is None:
                    raise OverdueError from None
                return self.so_far
        answer, error = self._outcome
        if error is not None:
            raise error
        return answer  # type: ignore[return-value]


class InFlight:
    """Runs tasks in threads of their own, never more than `MOST` at once: one that outlives its deadline counts."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(MOST)

    def start(self, task: Callable[[], Answer], pending: Pending[Answer] | None = None) -> Pending[Answer]:
        """Start a task as soon as there is room for it. `pending`: where a task that has parts of it puts them."""
        pending = pending or Pending()

        def run() -> None:
            with self._slots:
                try:
                    answer = task()
                except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
                    pending.put(None, error)
                else:
                    pending.put(answer, None)

        threading.Thread(target=run, daemon=True).start()
        return pending
