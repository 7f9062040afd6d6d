"""A Log Service on 127.0.0.1 that the real SDK and the real `aliyunlog` command talk to.

    with SlsCloud(keys={"id": "secret"}) as cloud:
        cloud.create("shop", "llm", index={"keys": {"model": {"type": "text", "token": [], "doc_value": True}}})
        cloud.put("shop", "llm", [{"__time__": 1_700_000_000, "model": "qwen-plus"}])
        client = LogClient(cloud.endpoint, "id", "secret", source="")
        client._isRowIp = True  # or: endpoint http://sls.test through http_proxy=cloud.endpoint

The project is the first label of the Host header. Every part is in its own room: `signing`, `faults`, `routing`,
`operations` (what is created and changed), `querying` with `search` and `sql` (logs), `state` (what is kept).
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import lz4.block
from aliyun.log.proto import LogGroup

from tests.cloud import operations, querying, signing  # noqa: F401 - the first two register what they do
from tests.cloud.faults import Body, Drip, Fault, Reset, Rule, Silence, Slow, Status
from tests.cloud.refused import Refused, invalid
from tests.cloud.routing import carry_out, regex
from tests.cloud.sql import Engine
from tests.cloud.state import LOGSTORE_DEFAULTS, Logstore, Project

LONGEST_SILENCE_S = 120


@dataclass(eq=False)
class Request:
    """One request as it came in, and how it went. Times are of `time.monotonic()`."""

    method: str
    path: str
    """Decoded."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    raw: bytes
    project: str
    received: float
    answered: float | None = None
    """None until the answer is sent, and for one that never was."""
    status: int | None = None
    fault: Fault | None = None

    @cached_property
    def body(self) -> Any:
        """Give the body: a LogGroup for protobuf, the JSON's value otherwise, None where there is none."""
        raw = self._unpacked()
        if not raw:
            return None
        if self.headers.get("content-type") == "application/x-protobuf":
            return LogGroup.FromString(raw)
        try:
            return json.loads(raw)
        except ValueError as error:
            raise Refused(400, "PostBodyInvalid", "The request body is not valid JSON object.") from error

    def _unpacked(self) -> bytes:
        packing = self.headers.get("x-log-compresstype", "")
        if packing == "lz4":
            return lz4.block.decompress(self.raw, uncompressed_size=int(self.headers["x-log-bodyrawsize"]))
        if packing == "deflate":
            return zlib.decompress(self.raw)
        if packing:
            raise Refused(400, "InvalidCompressType", f"x-log-compresstype {packing} is unsupported.")
        return self.raw

    @property
    def text(self) -> str:
        """Give the query of a GetLogs, a histogram or a project's SQL; empty for anything else."""
        body = self.body if self.headers.get("content-type") == "application/json" else None
        return str(body.get("query", "")) if isinstance(body, dict) and "query" in body else self.query.get("query", "")


class SlsCloud:
    """The loopback Log Service. What it keeps, counts and delays may be read and changed while it runs."""

    def __init__(self, keys: Mapping[str, str] | None = None, *, region: str = "cn-hangzhou") -> None:
        """Start with the access keys (id → secret) that it knows."""
        self.keys = dict(keys or {})
        self.tokens: dict[str, str | None] = {}
        """Security tokens of temporary keys (id → token); None: it has expired."""
        self.denied: dict[str, set[str]] = {}
        """RAM actions that a key may not do, as `log:GetLogStoreLogs`; `*` for all."""
        self.region = region
        self.projects: dict[str, Project] = {}
        self.requests: list[Request] = []
        self.most_in_flight = 0
        self.delay = 0.0
        """Seconds by which every answer is late."""
        self.lag = 0.0
        """Seconds after which written logs are found by queries (the real service: up to 3)."""
        self.oldest_s: float | None = None
        """How old a log may be for PutLogs to take it, seconds; None: of any age. Once 7 days, and not said since."""
        self.clock_offset = 0.0
        """Seconds by which the server's clock is ahead."""
        self.mistakes: list[Exception] = []
        """What went wrong in this server itself; leaving the `with` block raises it."""
        self.engine = Engine()
        self.closing = threading.Event()
        self.lock = threading.RLock()
        self._rules: list[Rule] = []
        self.in_flight = 0
        self._counting = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join(timeout=5)
        self.engine.close()
        if self.mistakes and kind is None:
            raise self.mistakes[0]

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """Give `http://127.0.0.1:PORT`: an endpoint for the SDK, or a proxy."""
        return f"http://127.0.0.1:{self.port}"

    def create(
        self, project: str, logstore: str | None = None, *, index: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        """Create a project and, if told, a logstore with its index, without a request. What exists is kept."""
        with self.lock:
            held = self.projects.setdefault(project, Project(project, {"projectName": project}))
            if logstore is None:
                return
            made = {"logstoreName": logstore, **LOGSTORE_DEFAULTS, **settings}
            store = held.logstores.setdefault(logstore, Logstore(logstore, made))
            if index is not None:
                store.put_index(index)

    def put(self, project: str, logstore: str, logs: Sequence[Mapping[str, Any]]) -> None:
        """Write logs without a request; they are found at once. `__time__`: unix seconds, default now."""
        with self.lock:
            self.projects[project].logstore(logstore).add(logs)

    def fail(
        self,
        fault: Fault,
        path: str = "",
        method: str | None = None,
        *,
        when: Callable[[Request], bool] | None = None,
        times: int | None = 1,
        skip: int = 0,
    ) -> Rule:
        """Let requests fail: those whose path matches the regex `path`, with `method`, for which `when` holds.

        `times`: how many (None: all); the first `skip` go well. The newest rule that fits is taken.
        """
        rule = Rule(fault, method, regex(path), when, times, skip)
        self._rules.insert(0, rule)
        return rule

    def heal(self) -> None:
        """Forget all faults."""
        self._rules.clear()

    def fault_for(self, request: Request) -> Fault | None:
        """Tell how `request` is to fail."""
        return next((rule.fault for rule in list(self._rules) if rule.befalls(request)), None)

    def asked(self, path: str = "", method: str | None = None) -> list[Request]:
        """Give the requests so far whose path matches the regex `path`."""
        pattern = regex(path)
        return [held for held in self.requests if pattern.search(held.path) and method in {None, held.method}]

    def begin(self, request: Request) -> None:
        """Note that a request came in."""
        with self._counting:
            self.requests.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def end(self) -> None:
        """Note that a request is done with."""
        with self._counting:
            self.in_flight -= 1

    def clock(self) -> float:
        """Give the server's time, unix seconds."""
        return time.time() + self.clock_offset


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, cloud: SlsCloud) -> None:
        self.cloud = cloud
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def hang_up(self) -> None:
        """End the connections that clients keep alive, so that their threads end too."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what went wrong here; a client that goes away is part of the tests."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.cloud.mistakes.append(error)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class named it
        """Say nothing on stderr."""

    def _handle(self) -> None:
        cloud = self.server.cloud
        target = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        raw = self.rfile.read(int(headers.get("content-length", 0)))
        host = headers.get("host", "").partition(":")[0]
        project = "" if regex(r"^[\d.]+$").match(host) else host.partition(".")[0]
        path = unquote(target.path) or "/"
        query = {key: values[-1] for key, values in parse_qs(target.query, keep_blank_values=True).items()}
        request = Request(self.command, path, query, headers, raw, project, time.monotonic())
        signed = signing.Signed(self.command, path, target.query, headers, raw)
        cloud.begin(request)
        try:
            self._carry_out(cloud, request, signed)
        finally:
            cloud.end()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815 - http.server finds them by these names

    def _carry_out(self, cloud: SlsCloud, request: Request, signed: signing.Signed) -> None:
        request.fault = fault = cloud.fault_for(request)
        if cloud.delay:
            self._wait(cloud, cloud.delay)
        match fault:
            case Reset(done=False):
                self._reset()
                return
            case Silence(done=False):
                self._say_nothing(cloud)
                return
            case Status(status, code, message):
                answer = _error(Refused(status, code, message))
            case Body(body, status, content_type):
                answer = _Answer(status, body, content_type=content_type)
            case _:
                answer = _work(cloud, request, signed)
        match fault:
            case Reset():
                self._reset()
            case Silence():
                self._say_nothing(cloud)
            case Slow(seconds):
                self._wait(cloud, seconds)
                self._send(request, answer)
            case Drip(interval, headers):
                self._drip(cloud, request, answer, interval, headers=headers)
            case _:
                self._send(request, answer)

    def _head(self, answer: _Answer) -> bytes:
        cloud = self.server.cloud
        told = {
            "server": "loopback",
            "content-type": answer.content_type,
            "content-length": str(len(answer.body)),
            "date": formatdate(cloud.clock(), usegmt=True),
            "x-log-requestid": f"{time.monotonic_ns():024X}",
            "x-log-time": str(int(cloud.clock())),
            **answer.headers,
        }
        lines = [f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in told.items()), "", ""]).encode()

    def _send(self, request: Request, answer: _Answer) -> None:
        request.status = answer.status
        request.answered = time.monotonic()
        with contextlib.suppress(OSError):
            self.wfile.write(self._head(answer) + answer.body)

    def _drip(self, cloud: SlsCloud, request: Request, answer: _Answer, interval: float, *, headers: bool) -> None:
        head = self._head(answer)
        request.status = answer.status
        self.close_connection = True
        with contextlib.suppress(OSError):
            if not headers:
                self.wfile.write(head)
            *most, last = (head if headers else b"") + answer.body
            for byte in most:
                self.wfile.write(bytes([byte]))
                if cloud.closing.wait(interval):
                    return
            request.answered = time.monotonic()
            self.wfile.write(bytes([last]))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _say_nothing(self, cloud: SlsCloud) -> None:
        self.close_connection = True
        self._wait(cloud, LONGEST_SILENCE_S)

    def _wait(self, cloud: SlsCloud, seconds: float) -> None:
        """Let time pass, but not after the client hung up: an abandoned request is no longer in flight."""
        end = time.monotonic() + seconds
        while not cloud.closing.is_set() and (left := end - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.1))
            try:
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    return
            except OSError:
                return
            if readable:
                cloud.closing.wait(min(left, 0.1))


def _work(cloud: SlsCloud, request: Request, signed: signing.Signed) -> _Answer:
    try:
        key = signing.check(signed, cloud.keys, cloud.tokens, cloud.clock())
        done = carry_out(cloud, request, key)
    except Refused as refused:
        return _error(refused)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _error(invalid(f"the request is not understood: {error!r}"))
    except Exception as mistake:  # noqa: BLE001 - told at the end of the test, not lost in a thread
        cloud.mistakes.append(mistake)
        return _error(Refused(400, "LoopbackMistake", f"the loopback Log Service itself is wrong: {mistake!r}"))
    body = b"" if done.body is None else json.dumps(done.body, ensure_ascii=False).encode()
    if body and "lz4" in request.headers.get("accept-encoding", ""):
        packed = {"x-log-compresstype": "lz4", "x-log-bodyrawsize": str(len(body))}
        return _Answer(200, lz4.block.compress(body, store_size=False), done.headers | packed)
    return _Answer(200, body, done.headers)


def _error(refused: Refused) -> _Answer:
    body = {"errorCode": refused.code, "errorMessage": refused.message}
    return _Answer(refused.status, json.dumps(body).encode())
