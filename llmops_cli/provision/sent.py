"""What was sent of a log, in a small private file: so that an upload goes on where it stopped, even after a crash."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from llmops_cli.errors import SourceError


@dataclass(frozen=True, slots=True)
class Batch:
    """Logs sent with one request: `digest` is its tag, `from_s` and `to_s` its first and last unix second."""

    digest: str
    logs: int
    from_s: int
    to_s: int


class UploadState:
    """How far a log was sent to a logstore: `logs` of it, with the digest of all of them; `doubt` was under way.

    A context: while it lasts no other process sends the same log to the same logstore. Every change is on the disk
    before the call returns.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.logs = 0
        self.digest = ""
        self.doubt: Batch | None = None
        self._lock = -1

    @classmethod
    def of(cls, target: str, log: str, name: str) -> Self:
        """Give the state of a log, by the digest of its first event, for a logstore (`target`)."""
        from platformdirs import user_state_path  # noqa: PLC0415 - start-up: needed once something is sent

        key = hashlib.sha256(f"{target}\n{log}".encode()).hexdigest()[:32]
        return cls(user_state_path("llmops") / "uploads" / f"{key}.json", name)

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
        self._write()

    def forget(self) -> None:
        """Note that the batch in doubt was not written. Raises `SourceError`."""
        self.doubt = None
        self._write()

    def check(self, digest: str) -> None:
        """Make sure that the log begins with what was sent. Raises `SourceError`."""
        if digest != self.digest:
            raise self._another("differs in them")

    def check_length(self, logs: int) -> None:
        """Make sure that the log has as many logs as were sent. Raises `SourceError`."""
        if logs < self.logs:
            raise self._another(f"has {logs:,} only")

    def _another(self, how: str) -> SourceError:
        return SourceError(
            "upload_changed",
            f"{self.name} begins like a log of which {self.logs:,} events were sent, but {how}",
            f"is --pattern, --timezone or --encoding another? To send it from its start: rm {self.path}",
        )

    def _read(self) -> None:
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
            self.logs, self.digest = int(held["logs"]), str(held["digest"])
            self.doubt = None if held["doubt"] is None else Batch(**held["doubt"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(
                "upload_state",
                f"{self.path} cannot be read: it says what was sent of {self.name}",
                "mend it; without it the log is sent from its start, and what was sent stands twice",
            ) from error

    def _write(self) -> None:
        held = {
            "log": self.name,
            "logs": self.logs,
            "digest": self.digest,
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
