"""Log Service through its SDK, with this package's own patience: one deadline, at most six sends, retry by code.

The SDK (0.9) repeats a request ten times, a second apart, and an incomplete query five times; both are left by raising
exceptions that it does not know (`_Client`). Signatures are version 4.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aliyun.log import LogClient, LogItem, PutLogsRequest
from aliyun.log import LogException as _LogException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from llmops_cli.cloud.credentials import Chain, Identity
from llmops_cli.cloud.inflight import Deadline, InFlight, OverdueError, Pending
from llmops_cli.cloud.refusals import Place, Refusal, explained, shortened
from llmops_cli.errors import SourceError

MOST_SENDS = 6
"""Sends of one statement, the first included."""
MOST_ROWS = 1_000_000
"""The largest LIMIT of Log Service."""

Answer = TypeVar("Answer")
Log = tuple[int, list[tuple[str, str]]]
"""Epoch ms, and keys with their values."""

# The SDK describes a part of itself to type checkers; what is extended here it does not.
_LogClient: Any = LogClient
_LogItem: Any = LogItem
LogException: Any = _LogException


Read = Callable[[Sequence[Mapping[str, str]]], Sequence[Any]]
"""How rows are read, whose values all are text; it raises ValueError where they are no answer to what was asked."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query answered, as it was read; unread, every value is text, and `null` stands for none.

    `complete`: all data was looked at; otherwise `looked_at` logs of it were, as far as Log Service says.
    """

    rows: tuple[Any, ...]
    complete: bool = True
    looked_at: int | None = None


class _IncompleteError(Exception):
    """A query was answered from a part of the data."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = body


class _Client(_LogClient):  # type: ignore[misc]
    """The SDK's client without its own retries, and without redirects: another host would be shown the STS token."""

    def _getHttpResponse(self, *args: Any, **options: Any) -> Any:  # noqa: N802 - the SDK's name
        status, body, headers = super()._getHttpResponse(*args, **options)
        if 300 <= status < 400:
            to = shortened(headers.get("Location", "nowhere"))
            raise Refusal("Redirected", f"the endpoint redirects to {to}, which is not followed", status, "", {})
        return status, body, headers

    def _get_http_sender(self, method: str) -> Any:
        return partial(super()._get_http_sender(method), allow_redirects=False)

    def _sendRequest(self, *args: Any, **options: Any) -> Any:  # noqa: N802 - the SDK's name
        try:
            return super()._sendRequest(*args, **options)
        except LogException as error:
            status = error.get_resp_status()
            status = 0 if error.get_error_code() == "LogRequestError" and status == 200 else status
            code, said, request_id = error.get_error_code(), error.get_error_message(), error.get_request_id()
            raise Refusal(
                str(code or ""), str(said or ""), status, str(request_id or ""), error.resp_header or {}
            ) from error

    @staticmethod
    def _loadJson(status: int, headers: Any, body: Any, requestId: str) -> Any:  # noqa: N802, N803 - the SDK's names
        try:
            loaded = _LogClient._loadJson(status, headers, body, requestId)  # noqa: SLF001
        except LogException as error:  # a proxy's page, or a body cut short
            status = status if status >= 400 else 502
            raise Refusal("BadAnswer", _garbled(body), status, requestId, dict(headers)) from error
        meta = loaded.get("meta") if isinstance(loaded, dict) else None
        if isinstance(meta, dict) and meta.get("progress", "Complete") != "Complete":
            raise _IncompleteError(loaded)
        return loaded


def region_of(endpoint: str) -> str | None:
    """Name the region of a public endpoint, for which requests are signed; None where its name does not tell."""
    host = _PUBLIC.search(endpoint)
    return None if host is None else host["region"]


_PUBLIC = re.compile(
    r"(?:^|[./])(?P<region>[a-z]{2}-[a-z0-9-]+?)(?:-intranet|-internal|-share|-vpc)?\.log\.aliyuncs\.com"
)
"""Endpoints of Log Service: https://help.aliyun.com/zh/sls/developer-reference/endpoints."""


class LogService:
    """One endpoint of Log Service, asked with one identity. Safe to use from several threads.

    `region`: the profile's; an endpoint that names its own is signed for that.
    """

    def __init__(self, endpoint: str, region: str, credentials: Chain, *, timeout_s: float) -> None:
        self.endpoint, self.region = endpoint, region
        self._credentials, self._timeout_s = credentials, timeout_s
        self._in_flight = InFlight()
        address = endpoint if "://" in endpoint else f"https://{endpoint}"
        self.sdk = _Client(
            address,
            auth_version="v4",
            region=region_of(endpoint) or region,
            source="",
            credentials_provider=credentials,
        )
        self.sdk.timeout = (min(5.0, timeout_s / 2), timeout_s / 2)  # so that one answer that never comes is not all
        host = urlsplit(address).hostname or ""
        if host == "localhost" or _is_ip(host):
            self.sdk._isRowIp = True  # noqa: SLF001 - the SDK looks for a bare address only; PROJECT.127.0.0.1 is no host

    def asking(
        self,
        project: str,
        logstore: str,
        text: str,
        seconds: tuple[int, int],
        deadline: Deadline,
        *,
        line: int = 100,
        offset: int = 0,
        newest_first: bool = False,
        read: Read = tuple,
    ) -> Pending[Rows]:
        """Ask `search | select …`, or for a page of at most 100 logs, of `[from, to)` in unix seconds.

        Asks again while the answer is incomplete, or is none, and there is time, then gives what there is. Pass what it
        gives to `awaited`.
        """
        pending: Pending[Rows] = Pending()

        def send() -> Rows:
            try:
                body = self.sdk.get_log(
                    project, logstore, *seconds, query=text, size=line, offset=offset, reverse=newest_first
                ).get_body()
            except _IncompleteError as error:
                pending.so_far = _rows(error.body, read, complete=False)
                raise
            return _rows(body, read, complete=True)

        def task() -> Rows:
            try:
                return self._sent(send, project, logstore, deadline)
            except (_IncompleteError, SourceError):
                if pending.so_far is None:
                    raise
                return pending.so_far

        return self._in_flight.start(task, pending)

    def query(
        self, project: str, logstore: str, text: str, seconds: tuple[int, int], deadline: Deadline, **how: Any
    ) -> Rows:
        """Ask and wait; see `asking`. Raises `SourceError`."""
        return self.awaited(self.asking(project, logstore, text, seconds, deadline, **how), deadline)

    def write(self, project: str, logstore: str, logs: Sequence[Log], tags: Sequence[tuple[str, str]]) -> None:
        """Write a batch of logs, once: whether it was written when no answer came is for the caller to find out.

        Raises `Refusal`.
        """
        items = [_item(*log) for log in logs]
        request = PutLogsRequest(project, logstore, "", "llmops", items, logtags=list(tags))
        try:
            self._in_flight.start(lambda: _answered(lambda: self.sdk.put_logs(request))).result(
                Deadline(self._timeout_s)
            )
        except OverdueError:
            raise Refusal("LogRequestError", "timed out", 0, "", {}) from None

    def sent(self, send: Callable[[], Answer], project: str, logstore: str, deadline: Deadline) -> Answer:
        """Send a request until it succeeds, the deadline or `MOST_SENDS`. Raises `SourceError`.

        In a thread of its own: an answer that drips outlives every timeout of a socket.
        """
        return self.awaited(self._in_flight.start(lambda: self._sent(send, project, logstore, deadline)), deadline)

    def _sent(self, send: Callable[[], Answer], project: str, logstore: str, deadline: Deadline) -> Answer:
        def too_late(state: RetryCallState) -> bool:
            return state.upcoming_sleep >= deadline.left

        retrying = Retrying(
            retry=retry_if_exception(_passes),
            stop=stop_after_attempt(MOST_SENDS) | too_late,  # type: ignore[operator]
            wait=wait_random_exponential(0.3, max=4),
            reraise=True,
        )

        try:
            answer: Answer = retrying(_answered, send)
        except Refusal as refusal:
            raise explained(refusal, self.place(project, logstore)) from refusal
        return answer

    def identity(self) -> Identity:
        """Tell who asks. Raises `SourceError`."""
        return self._credentials.identity()

    def place(self, project: str, logstore: str) -> Place:
        """Name what was asked, and by whom."""
        try:
            identity = self._credentials.identity()
        except SourceError:
            return Place(self.endpoint, project, logstore)
        return Place(self.endpoint, project, logstore, f"{identity.shown} (from {identity.source})")

    def awaited(self, pending: Pending[Answer], deadline: Deadline) -> Answer:
        """Wait for an answer until the deadline. Raises what the task raised, or `SourceError` when it is overdue."""
        try:
            return pending.result(deadline)
        except OverdueError:
            raise self._overdue(deadline) from None

    def _overdue(self, deadline: Deadline) -> SourceError:
        """Say that no answer came in time."""
        return SourceError(
            "sls_overdue",
            f"{self.endpoint} gave no answer within {deadline.seconds:g} s",
            "give it longer with --timeout SECONDS, or ask for a shorter window",
            retryable=True,
        )


def _answered(send: Callable[[], Answer]) -> Answer:
    """Send, and tell an answer in pieces as what it is."""
    try:
        return send()
    except (Refusal, _IncompleteError, SourceError):
        raise
    except Exception as error:  # what the SDK does not foresee: a damaged compression, a length that is none
        raise Refusal("BadAnswer", f"not an answer of Log Service: {error}", 502, "", {}) from error


def _rows(body: Mapping[str, Any], read: Read, *, complete: bool) -> Rows:
    """Read the answer to a query. Raises ValueError where it has another shape, LookupError where it has no rows."""
    rows, looked_at = body["data"], (body.get("meta") or {}).get("processedRows")
    texts = {str, type(None)}
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and texts.issuperset(map(type, row.values())) for row in rows
    ):
        raise ValueError("rows of another shape")
    if not isinstance(looked_at, int | None):
        raise ValueError("a number of rows that is none")  # noqa: TRY004 - told as every other garbage is
    return Rows(tuple(read(rows)), complete, looked_at)


def _item(time_ms: int, contents: list[tuple[str, str]]) -> Any:
    seconds, ms = divmod(time_ms, 1000)
    item = _LogItem(1)
    item.timestamp, item.contents = seconds, contents  # the constructor takes 0 for now, and copies deeply
    item.set_time_nano_part(ms * 1_000_000)
    return item


def _passes(error: BaseException) -> bool:
    return isinstance(error, _IncompleteError) or (isinstance(error, Refusal) and error.passes)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _garbled(body: Any) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    return f"not an answer of Log Service: {' '.join(text.split())[:120]}"


__all__ = ["MOST_ROWS", "LogService", "Rows"]
