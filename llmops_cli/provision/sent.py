"""What was sent of a log, in a small private file: so that an upload goes on where it stopped, even after a crash."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from llmops_cli.errors import SourceError
from llmops_cli.private import write_private


@dataclass(frozen=True, slots=True)
class Batch:
    """Logs sent with one request: `digest` is its tag, `from_s` and `to_s` its first and last unix second.

    `logs` counts the events that it brings to their end, `length` the characters of the last one's message.
    `late_until`: where its answer timed out, the unix time until which it may still arrive.
    """

    digest: str
    logs: int
    from_s: int
    to_s: int
    length: int | None = None
    late_until: float | None = None


HEAD_BYTES = 1 << 16
"""What is compared of a log's first bytes."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a log begins: digests of its first events' first lines (one at least), and its first bytes as they stand.

    Neither changes while the log grows, is rotated or packed; only more of it may be there.
    """

    lines: tuple[str, ...]
    head: bytes


class UploadState:
    """How far a log was sent to a logstore: `logs` of it, with the digest of all of them; `doubt` was under way.

    `length`: characters of the last event's message as it was sent, None where that is not known. `until_s`: the latest
    unix second that was sent; `place`: a digest of where the log stands. A context: while it lasts no other process
    sends a log with the same first line to the same logstore. Every change is on the disk before the call returns.
    Nothing of the log's content stands in it.

    Logs may share their first line ("Starting app"). So `lines` holds digests of some more, and each such log has a
    file of its own. `head`: how many of its first bytes were seen, and their digest.
    """

    def __init__(self, path: Path, name: str, place: str = "") -> None:
        self.path, self.name, self.place = path, name, place
        self.target = ""
        self.lines: tuple[str, ...] = ()
        self.head: tuple[int, str] = (0, "")
        self._beginning = Beginning((), b"")
        self.logs = 0
        self.digest = ""
        self.length: int | None = None
        self.until_s = 0
        self.doubt: Batch | None = None
        self._lock = -1

    @classmethod
    def of(cls, target: str, beginning: Beginning, name: str, file: str) -> Self:
        """Give the state of a log for a logstore (`target`); `file` tells where it stands."""
        from platformdirs import user_state_path  # noqa: PLC0415 - start-up: needed once something is sent

        key = _digest(target, beginning.lines[0])
        state = cls(user_state_path("llmops") / "uploads" / f"{key}.json", name, _digest(target, file))
        state.target, state._beginning = target, beginning
        return state

    @property
    def fresh(self) -> bool:
        """Whether nothing of the log was sent, nor tried to be."""
        return not self.logs and self.doubt is None

    def former(self) -> Self | None:
        """Give the state of the log that stood in this file before: the latest, while nothing of this one was sent."""
        if not self.fresh:
            return None
        states = [one for one in self._others() if one.logs and one.place == self.place]
        return max(states, key=lambda one: one.until_s, default=None)

    def check_reading(self) -> None:
        """Make sure that this log, while nothing was sent of it, was not sent read otherwise. Raises `SourceError`.

        One with another first event, and yet the same first bytes, was.
        """
        if not self.fresh:
            return
        for one in self._others():
            size, digest = one.head
            if size and not one.fresh and not self._shares_line(one) and self._head(size) == digest:
                raise SourceError(
                    "upload_read_otherwise",
                    f"{self.name} was sent already, and its events were read otherwise then: nothing was sent now",
                    "is --timezone, --pattern or --encoding another? Give the former ones; to send all of it once "
                    f"more as it is read now, beside what was sent: rm {shlex.quote(str(one.path))}",
                )

    def _others(self) -> list[Self]:
        """Give every state that can be read."""
        states = []
        for path in sorted(self.path.parent.glob("*.json")):
            one = type(self)(path, self.name)
            try:
                one._read()  # noqa: SLF001 - of this class
            except SourceError:
                continue
            states.append(one)
        return states

    def _shares_line(self, other: Self) -> bool:
        return other.path.stem.partition("-")[0] == self.path.stem.partition("-")[0]

    def _head(self, size: int) -> str:
        return _digest(self.target, hashlib.sha256(self._beginning.head[:size]).hexdigest())

    def _choose(self) -> None:
        """Find the file of this log among those of logs with the same first line; a new one where there is none.

        The one that it has most lines in common with is it, as far as both go, and rather one of the same place.
        """
        fitting, taken = [], set()
        for path in sorted(self.path.parent.glob(f"{self.path.stem}*.json")):
            one = type(self)(path, self.name)
            one._read()  # noqa: SLF001 - of this class
            taken.add(path)
            if all(mine == its for mine, its in zip(self._beginning.lines, one.lines, strict=False)):
                fitting.append(one)
        if fitting:
            best = max(fitting, key=lambda one: (len(one.lines), one.place == self.place, one.logs))
            self.path = best.path
        elif taken:
            numbered = (self.path.with_stem(f"{self.path.stem}-{number}") for number in itertools.count(2))
            self.path = next(path for path in numbered if path not in taken)

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._choose()
            self._read()
        except BlockingIOError:
            os.close(self._lock)
            raise SourceError(
                "upload_busy", f"{self.name} is being sent by another process", "wait for it to end"
            ) from None
        except OSError as error:  # a file system without locks
            os.close(self._lock)
            raise self._unwritable(error) from error
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def begin(self, batch: Batch) -> None:
        """Note that a batch is about to be sent. Raises `SourceError`."""
        self.doubt = batch
        self.lines = max(self.lines, self._beginning.lines, key=len)
        size = len(self._beginning.head)
        if size >= self.head[0]:
            self.head = size, self._head(size)
        self._write()

    def done(self, batch: Batch) -> None:
        """Note that a batch is written. Raises `SourceError`."""
        self.logs, self.digest, self.doubt = self.logs + batch.logs, batch.digest, None
        self.length, self.until_s = batch.length, max(self.until_s, batch.to_s)
        self._write()

    def forget(self) -> None:
        """Note that the batch in doubt was not written. Raises `SourceError`."""
        self.doubt = None
        self._write()

    def changed(self) -> SourceError:
        """Say that the log begins otherwise than what was sent."""
        return SourceError(
            "upload_changed",
            f"{self.name} begins like a log of which {self.logs:,} events were sent, but differs in them",
            f"is --pattern, --timezone or --encoding another? To send it from its start: "
            f"rm {shlex.quote(str(self.path))}",
        )

    def _read(self) -> None:
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
            self.logs, self.digest = _whole(held["logs"]), str(held["digest"])
            self.length = None if held.get("length") is None else _whole(held["length"])
            self.until_s, self.place = _whole(held.get("until_s", 0)), self.place or str(held.get("place", ""))
            size, digest = held.get("head") or (0, "")
            self.head, self.lines = (_whole(size), str(digest)), tuple(map(str, held.get("lines") or ()))
            self.doubt = None if held["doubt"] is None else Batch(**held["doubt"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(
                "upload_state",
                f"{self.path} cannot be read: it says what was sent of {self.name}; nothing was sent now",
                f"bring it back from a backup; after rm {shlex.quote(str(self.path))} the log is sent from its start, "
                "and what was sent stands twice",
            ) from error

    def _write(self) -> None:
        held = {
            "log": self.name,
            "logs": self.logs,
            "digest": self.digest,
            "length": self.length,
            "until_s": self.until_s,
            "place": self.place,
            "lines": self.lines,
            "head": self.head,
            "doubt": None if self.doubt is None else asdict(self.doubt),
        }
        try:
            write_private(self.path, json.dumps(held), over=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> SourceError:
        return SourceError(
            "upload_state",
            f"cannot write {self.path}: {(error.strerror or str(error)).lower()}",
            "an upload notes there what was sent; free room, or set XDG_STATE_HOME to a folder of yours",
        )


def _digest(target: str, what: str) -> str:
    return hashlib.sha256(f"{target}\n{what}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _whole(value: object) -> int:
    """Take a count; raise ValueError for anything else."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
