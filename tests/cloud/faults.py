"""The ways in which the loopback Log Service can be told to fail, and for which requests."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cloud.sls import Request


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this error in the service's own form."""

    status: int
    code: str
    message: str = "told to fail"


@dataclass(frozen=True, slots=True)
class Body:
    """Answer with these bytes instead of JSON: garbage, or a proxy's HTML page."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection; with `done` the request is carried out first, and only its answer is lost."""

    done: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Never answer; with `done` the request is carried out first."""

    done: bool = False


@dataclass(frozen=True, slots=True)
class Slow:
    """Answer rightly, this many seconds late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drip:
    """Answer rightly, one byte every `interval` seconds: from the first byte of the headers, or of the body only."""

    interval: float
    headers: bool = False


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Answer a query with `progress` Incomplete and only this part of the rows that it has found so far."""

    part: float = 0.5


Fault = Status | Body | Reset | Silence | Slow | Drip | Incomplete

SERVER_ERROR = Status(500, "InternalServerError", "Internal server error")
BUSY = Status(503, "ServerBusy", "the server is busy, please try again later")
READ_QUOTA = Status(403, "ReadQuotaExceed", "shard read quota exceed")
WRITE_QUOTA = Status(403, "WriteQuotaExceed", "shard write quota exceed")
PROJECT_QUOTA = Status(403, "ProjectQuotaExceed", "project quota exceed")
TOKEN_EXPIRED = Status(401, "SecurityTokenExpired", "The security token you provided has expired.")
GARBAGE = Body(b"\x00\xff{not json")
BAD_GATEWAY = Body(b"<html><body><h1>502 Bad Gateway</h1></body></html>", 502, "text/html")


@dataclass(eq=False)
class Rule:
    """A fault and the requests that it befalls: `times` of them (None: all), after the first `skip`."""

    fault: Fault
    method: str | None
    path: re.Pattern[str]
    when: Callable[[Request], bool] | None
    times: int | None
    skip: int
    hits: int = 0
    """How many requests it has befallen."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def befalls(self, request: Request) -> bool:
        """Tell whether this request fails, and count it."""
        if self.method not in {None, request.method} or not self.path.search(request.path):
            return False
        if self.when and not self.when(request):
            return False
        with self._lock:
            if self.skip:
                self.skip -= 1
                return False
            if self.times is not None and self.hits >= self.times:
                return False
            self.hits += 1
            return True
