"""The account as this room reads and changes it: objects as JSON, and a word for what is not there."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from llmops_cli.cloud.inflight import Deadline
from llmops_cli.cloud.refusals import Refusal
from llmops_cli.cloud.sls import LogService
from llmops_cli.errors import SourceError
from llmops_cli.private import write_private
from llmops_cli.provision.plan import Change, same_where_wanted

NO_PROJECT = ("ProjectNotExist", "ProjectNotExists")
NO_LOGSTORE = ("LogStoreNotExist",)
NO_INDEX = ("IndexConfigNotExist",)
_LOOK_AGAIN_S = 0.5
_NOT_IN_A_NAME = re.compile(r"[^\w.-]", re.ASCII)


class Json:
    """A value for methods of the SDK that want an object with `to_json`: nothing of it is renamed or left out."""

    def __init__(self, value: Mapping[str, Any], **names: str) -> None:
        self._value = value
        for name, text in names.items():
            setattr(self, name, text)

    def to_json(self) -> dict[str, Any]:
        """Give the value."""
        return dict(self._value)


class Account:
    """One project and logstore of a Log Service. `timeout_s`: seconds of patience for each request, retries included.

    `sdk` is the SDK's client, to be used inside `read` and `change` only.
    """

    def __init__(self, service: LogService, project: str, logstore: str, timeout_s: float) -> None:
        self.service, self.project, self.logstore, self.timeout_s = service, project, logstore, timeout_s
        self.sdk = service.sdk

    def read(self, send: Callable[[], Any], *absent: str) -> Any:
        """Read an object as JSON; None where the answer is one of the codes `absent`. Raises `SourceError`."""
        try:
            answer = self.service.sent(send, self.project, self.logstore, Deadline(self.timeout_s))
        except SourceError as error:
            if _code(error) in absent:
                return None
            raise
        return answer.get_body()

    def change(self, send: Callable[[], Any], *, awaited: tuple[str, ...] = (), exists: tuple[str, ...] = ()) -> bool:
        """Send a change; False where the answer is that it is there already. Raises `SourceError`.

        `awaited`: codes that mean that what was created a moment ago is not known everywhere yet; asked again until
        the deadline. `exists`: the codes of what is there already, which is no error: a retry of a request whose
        answer was lost gets one.
        """
        deadline = Deadline(self.timeout_s)
        while True:
            try:
                self.service.sent(send, self.project, self.logstore, deadline)
            except SourceError as error:
                if _code(error) in exists:
                    return False
                if _code(error) not in awaited or deadline.left < _LOOK_AGAIN_S:
                    raise
                time.sleep(_LOOK_AGAIN_S)
            else:
                return True

    def create(
        self,
        send: Callable[[], Any],
        held: Callable[[], Mapping[str, Any] | None],
        wanted: Mapping[str, Any],
        *,
        exists: tuple[str, ...],
        awaited: tuple[str, ...] = (),
    ) -> None:
        """Send what creates an object; see `change`. Raises `SourceError`.

        Where it is there already, either the answer to our own request was lost, or somebody else was quicker: `held`
        reads it, and it is well if it is as `wanted`.
        """
        if self.change(send, awaited=awaited, exists=exists):
            return
        there = held()
        if there is None or same_where_wanted(there, wanted) != wanted:
            raise meanwhile("somebody else made it a moment ago, and otherwise")


def meanwhile(what: str) -> SourceError:
    """Say what somebody else did between the plan and the change."""
    return SourceError("made_meanwhile", what, "run the command again: it shows what differs")


@dataclass(frozen=True, slots=True)
class Former:
    """An object as it was before an update, and the file from which the undo command takes it.

    The undo is a command line, and an object may be longer than a terminal or a shell takes.
    """

    held: Mapping[str, Any]
    path: Path

    @classmethod
    def of(cls, account: Account, name: str, held: Mapping[str, Any]) -> Self:
        """Name the file: what was there earlier has another one."""
        from platformdirs import user_state_path  # noqa: PLC0415 - start-up: needed for an update only

        told = json.dumps([account.service.endpoint, account.project, name, held], sort_keys=True)
        digest = hashlib.sha256(told.encode()).hexdigest()[:12]
        file = f"{_NOT_IN_A_NAME.sub('_', name)[:100]}-{digest}.json"
        return cls(held, user_state_path("llmops") / "undo" / file)

    @property
    def address(self) -> str:
        """The file as `aliyunlog` takes it, quoted for a shell."""
        return shlex.quote(f"file://{self.path}")

    def keep(self) -> None:
        """Write the file, whole or not at all, for its owner alone; in ASCII, for tools of any locale.

        Raises `SourceError`.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(self.path, json.dumps(self.held, indent=2), over=True)
        except OSError as error:
            raise SourceError(
                "undo_unwritable",
                f"cannot write {self.path}: {(error.strerror or str(error)).lower()}; it was left as it is",
                "what an update replaces is kept there; free room, or set XDG_STATE_HOME to a folder of yours",
            ) from error


@dataclass(frozen=True, slots=True)
class Named:
    """A sort of object that a project keeps whole, by name: an alert, a dashboard.

    `kind` is what `Change`, the SDK and `aliyunlog` call it, `noun` what the error codes do; `key` is where its JSON
    has its name.
    """

    kind: str
    noun: str
    key: str

    def held(self, account: Account, name: str) -> Mapping[str, Any] | None:
        """Give an object as the service keeps it; None where there is none. Raises `SourceError`."""
        get = getattr(account.sdk, f"get_{self.kind}")
        try:
            found: Mapping[str, Any] = account.read(lambda: get(account.project, name))
        except SourceError as error:
            cause = error.__cause__
            if isinstance(cause, Refusal) and cause.status == 404 and not cause.code.startswith("Project"):
                return None
            raise
        return found

    def planned(
        self,
        account: Account,
        wanted: Sequence[Mapping[str, Any]],
        kept: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] = lambda _held, wanted: wanted,
    ) -> tuple[tuple[Change, ...], Callable[[Change], None]]:
        """Compare what is there with what is wanted: give the changes, and the function that sends one of them.

        `kept` takes over, from what is there into what is wanted, what its owner decides. What an update replaces is
        written to a file first, from which its rollback takes it. Both functions raise `SourceError`.
        """
        before = {one[self.key]: self.held(account, one[self.key]) for one in wanted}
        changes = []
        for one in wanted:
            held = before[one[self.key]]
            changes.append(self._change(account, held, one if held is None else kept(held, one)))

        def send(change: Change) -> None:
            if (held := before[change.name]) is not None:
                Former.of(account, change.name, held).keep()
            self._send(account, change)

        return tuple(changes), send

    def delete(self, account: Account, name: str) -> str:
        """Give the command that deletes an object."""
        return f"aliyunlog log delete_{self.kind} --project={shlex.quote(account.project)} --entity={shlex.quote(name)}"

    def _change(self, account: Account, held: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Change:
        name = wanted[self.key]
        if held is None:
            return Change.towards(self.kind, name, None, wanted, self.delete(account, name))
        detail = Former.of(account, name, held).address
        undo = f"aliyunlog log update_{self.kind} --project={shlex.quote(account.project)} --detail={detail}"
        return Change.towards(self.kind, name, same_where_wanted(held, wanted), wanted, undo)

    def _send(self, account: Account, change: Change) -> None:
        send = getattr(account.sdk, f"{change.action}_{self.kind}")
        body = json.dumps(change.after, ensure_ascii=False)  # as text: the SDK encodes a dict as Latin-1
        account.create(
            lambda: send(account.project, body),
            lambda: self.held(account, change.name),
            change.after,
            exists=(f"{self.noun}AlreadyExist",),
        )


def _code(error: SourceError) -> str:
    return error.__cause__.code if isinstance(error.__cause__, Refusal) else ""
