"""What was sent of a log, in a small private file: so that an upload goes on where it stopped, even after a crash."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from llmops_cli.errors import SourceError


@dataclass(frozen=True, slots=True)
class Batch:
    """Logs sent with one request: `digest` is its tag, `from_s` and `to_s` its first and last unix second.

    `logs` counts the events that it brings to their end, `length` the characters of the last one's message.
    """

    digest: str
    logs: int
    from_s: int
    to_s: int
    length: int | None = None


class UploadState:
    """How far a log was sent to a logstore: `logs` of it, with the digest of all of them; `doubt` was under way.

    `length`: characters of the last event's message as it was sent, None where that is not known. `until_s`: the latest
    unix second that was sent; `place`: a digest of where the log stands. A context: while it lasts no other process
    sends the same log to the same logstore. Every change is on the disk before the call returns. Nothing of the log's
    content stands in it.
    """

    def __init__(self, path: Path, name: str, place: str = "") -> None:
        self.path, self.name, self.place = path, name, place
        self.logs = 0
        self.digest = ""
        self.length: int | None = None
        self.until_s = 0
        self.doubt: Batch | None = None
        self._lock = -1

    @classmethod
    def of(cls, target: str, log: str, name: str, file: str = "") -> Self:
        """Give the state of a log, by the digest of its first event, for a logstore (`target`).

        `file`: the full path of the log, empty for standard input.
        """
        from platformdirs import user_state_path  # noqa: PLC0415 - start-up: needed once something is sent

        key = _digest(target, log)
        return cls(user_state_path("llmops") / "uploads" / f"{key}.json", name, _digest(target, file) if file else "")

    def former(self) -> Self | None:
        """Give the state of the log that stood in this file before: the latest, while nothing of this one was sent."""
        if self.logs or self.doubt or not self.place:
            return None
        states = []
        for path in self.path.parent.glob("*.json"):
            one = type(self)(path, self.name)
            try:
                one._read()  # noqa: SLF001 - of this class
            except SourceError:
                continue
            if one.logs and one.place == self.place:
                states.append(one)
        return max(states, key=lambda one: one.until_s, default=None)

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
        return self._another("differs in them")

    def check_length(self, logs: int) -> None:
        """Make sure that the log has as many logs as were sent. Raises `SourceError`."""
        if logs < self.logs:
            raise self._another(f"has {logs:,} only")

    def _another(self, how: str) -> SourceError:
        return SourceError(
            "upload_changed",
            f"{self.name} begins like a log of which {self.logs:,} events were sent, but {how}",
            f"is --pattern, --timezone or --encoding another? To send it from its start: "
            f"rm {shlex.quote(str(self.path))}",
        )

    def _read(self) -> None:
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
            self.logs, self.digest = _whole(held["logs"]), str(held["digest"])
            self.length = None if held.get("length") is None else _whole(held["length"])
            self.until_s, self.place = _whole(held.get("until_s", 0)), self.place or str(held.get("place", ""))
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
            "doubt": None if self.doubt is None else asdict(self.doubt),
        }
        draft = self.path.with_suffix(".draft")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(held, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
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
