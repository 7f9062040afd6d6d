"""The account as this room reads and changes it: objects as JSON, and a word for what is not there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from llmops_cli.cloud.inflight import Deadline
from llmops_cli.cloud.refusals import Refusal
from llmops_cli.cloud.sls import LogService
from llmops_cli.errors import SourceError

NO_PROJECT = ("ProjectNotExist", "ProjectNotExists")
NO_LOGSTORE = ("LogStoreNotExist",)
NO_INDEX = ("IndexConfigNotExist",)
_LOOK_AGAIN_S = 0.5


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

    def change(self, send: Callable[[], Any], *, awaited: tuple[str, ...] = (), exists: tuple[str, ...] = ()) -> None:
        """Send a change. Raises `SourceError`.

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
                    return
                if _code(error) not in awaited or deadline.left < _LOOK_AGAIN_S:
                    raise
                time.sleep(_LOOK_AGAIN_S)
            else:
                return


def _code(error: SourceError) -> str:
    return error.__cause__.code if isinstance(error.__cause__, Refusal) else ""
