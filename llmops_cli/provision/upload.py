"""`collect upload`: a local log into the logstore, every event once, whatever interrupts it.

PutLogs has no idempotency key. So each batch carries a tag (`__tag__:llmops_batch`) that is the SHA-256 of the whole
log up to its end, and with it of its content and its place. Before a batch is sent, a small private file says so; when
its answer is known, the file says that it is done. A batch whose answer never came, in this run or in one that was
killed, is looked up by its tag and sent again only when it is not found: Log Service finds new logs within some three
seconds, and writes a batch whole or not at all.

A log is known by its first event, not by its name: rotated, renamed or compressed it is the same log.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from llmops_cli.calls.line import FEEDBACK_FIELDS, FIELDS
from llmops_cli.cloud.inflight import Deadline
from llmops_cli.cloud.refusals import Refusal, explained
from llmops_cli.errors import SourceError
from llmops_cli.evidence import LogLine
from llmops_cli.provision.account import Account
from llmops_cli.provision.index import BATCH_KEY, BATCH_TAG
from llmops_cli.provision.sent import Batch, UploadState
from llmops_cli.redact import redact

MOST_LOGS = 4096
MOST_BYTES = 3 << 20
"""Of one batch; Log Service takes 10 MB: https://help.aliyun.com/zh/sls/developer-reference/api-putlogs."""
SETTLE_S = 5.0
"""How long a batch in doubt is looked for: new logs are found within some 3 s."""
_LOOK_AGAIN_S = 0.3
_LONGEST_WAIT_S = 4.0
_LAST_S = 1 << 32
_PER_LOG_BYTES = 200
"""What the names of a log's fields and its frame take."""
_NOT_WRITTEN = frozenset(
    {"WriteQuotaExceed", "ShardWriteQuotaExceed", "ProjectQuotaExceed", "ExceedQPS", "ShardNotReady"}
)
"""Refusals after which nothing was written: sent again without a look."""

Contents = list[tuple[str, str]]


@dataclass(slots=True)
class Tally:
    """What a log holds, event by event. `known` of the `logs` were sent by an earlier run. Times are epoch ms."""

    logs: int = 0
    calls: int = 0
    feedback: int = 0
    known: int = 0
    batches: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, event: LogLine) -> None:
        """Count an event."""
        self.logs += 1
        self.calls += event.call is not None
        self.feedback += event.feedback is not None
        self.first_ms = event.time_ms if self.first_ms is None else min(self.first_ms, event.time_ms)
        self.last_ms = event.time_ms if self.last_ms is None else max(self.last_ms, event.time_ms)


@dataclass(frozen=True, slots=True)
class Uploader:
    """Sends logs to one logstore. `fields` maps canonical names to its keys; with `message` it holds raw lines.

    `most`: logs of a batch. `settle_s`: how long a batch in doubt is looked for.
    """

    account: Account
    fields: Mapping[str, str]
    most: int = MOST_LOGS
    settle_s: float = SETTLE_S

    def check(self) -> None:
        """Make sure that a batch in doubt can be looked up. Raises `SourceError`."""
        account = self.account
        held = account.read(lambda: account.sdk.get_index_config(account.project, account.logstore))
        if BATCH_KEY not in (held.get("keys") or {}):
            raise SourceError(
                "sls_index",
                f'the index of logstore "{account.logstore}" has no {BATCH_KEY}: a batch without an answer could not '
                "be looked up",
                "llmops collect init completes the index",
            )

    def count(self, events: Iterator[LogLine], name: str) -> Tally:
        """Count what would be sent, and send nothing. Raises `SourceError`."""
        first = next(events, None)
        if first is None:
            return Tally()
        tally = Tally()
        with UploadState.of(self._target, _key(first), name) as state:
            running = hashlib.sha256()
            for event in itertools.chain([first], events):
                tally.add(event)
                _hash(running, event)
                if tally.logs == state.logs:
                    state.check(running.hexdigest())
            tally.known = state.logs
            state.check_length(tally.logs)
        return tally

    def send(self, events: Iterator[LogLine], name: str) -> Tally:
        """Send the events of a log that were not sent yet; `name` is for the reader. Raises `SourceError`."""
        first = next(events, None)
        if first is None:
            return Tally()
        with UploadState.of(self._target, _key(first), name) as state:
            return self._send(itertools.chain([first], events), state)

    @property
    def _target(self) -> str:
        account = self.account
        return f"{account.service.endpoint}/{account.project}/{account.logstore}"

    def _send(self, events: Iterable[LogLine], state: UploadState) -> Tally:
        if state.doubt is not None:
            if self._landed(state.doubt):
                state.done(state.doubt)
            else:
                state.forget()
        tally, running = Tally(known=state.logs), hashlib.sha256()
        pending: list[tuple[int, Contents]] = []
        size = 0
        for event in events:
            tally.add(event)
            _hash(running, event)
            if tally.logs <= tally.known:
                if tally.logs == tally.known:
                    state.check(running.hexdigest())
                continue
            contents = self._contents(event)
            pending.append((event.time_ms, contents))
            size += _PER_LOG_BYTES + sum(len(value) * 3 if not value.isascii() else len(value) for _, value in contents)
            if len(pending) >= self.most or size >= MOST_BYTES:
                self._deliver(pending, tally, running.hexdigest(), state)
                pending, size = [], 0
        state.check_length(tally.logs)
        if pending:
            self._deliver(pending, tally, running.hexdigest(), state)
        return tally

    def _deliver(self, pending: list[tuple[int, Contents]], tally: Tally, digest: str, state: UploadState) -> None:
        seconds = [time_ms // 1000 for time_ms, _ in pending]
        batch = Batch(digest, len(pending), min(seconds), max(seconds))
        if batch.from_s < 0 or batch.to_s >= _LAST_S:
            raise SourceError(
                "upload_time",
                f"{state.name} has events before 1970 or after 2105, and Log Service has no such times",
                "mend --pattern, or take the lines of a clock that was not set out of a copy and send that",
            )
        state.begin(batch)
        self._put(batch, pending)
        state.done(batch)
        tally.batches += 1

    def _put(self, batch: Batch, pending: list[tuple[int, Contents]]) -> None:
        account = self.account
        deadline, wait_s = Deadline(account.timeout_s), 0.3
        while True:
            try:
                account.service.write(account.project, account.logstore, pending, [(BATCH_TAG, batch.digest)])
            except Refusal as error:
                refusal = error
                if not refusal.passes:
                    raise self._refused(refusal, batch) from refusal
            else:
                return
            if refusal.code not in _NOT_WRITTEN and self._landed(batch):
                return
            pause_s = random.uniform(0, wait_s)  # noqa: S311 - jitter
            if pause_s >= deadline.left:
                raise self._refused(refusal, batch) from refusal
            time.sleep(pause_s)
            wait_s = min(_LONGEST_WAIT_S, 2 * wait_s)

    def _landed(self, batch: Batch) -> bool:
        """Look for a batch by its tag until it is found or had time to be. Raises `SourceError` when none can tell."""
        account, end = self.account, time.monotonic() + self.settle_s
        text, seconds = f'{BATCH_KEY}: "{batch.digest}"', (batch.from_s, batch.to_s + 1)
        while True:
            late = time.monotonic() >= end
            deadline = Deadline(account.timeout_s)
            rows = account.service.query(account.project, account.logstore, text, seconds, deadline, line=1)
            if rows.rows:
                return True
            if late:
                if rows.complete:
                    return False
                raise SourceError(
                    "upload_doubt",
                    "Log Service cannot tell yet whether the last batch was written",
                    "run the same command again in a minute: it goes on where this one stopped",
                    retryable=True,
                )
            time.sleep(min(_LOOK_AGAIN_S, self.settle_s))

    def _refused(self, refusal: Refusal, batch: Batch) -> SourceError:
        if refusal.code == "InvalidTimestamp":
            day = datetime.fromtimestamp(batch.from_s, UTC).date().isoformat()
            return SourceError(
                "upload_too_old",
                f"Log Service takes no logs as old as these (from {day} on): {refusal.message}",
                "send newer files",
                request_id=refusal.request_id or None,
            )
        if refusal.passes and refusal.status:
            return SourceError(
                "upload_stopped",
                f"Log Service did not take the next {batch.logs:,} logs in time ({refusal.code}): {refusal.message}",
                "run the same command again: it goes on where this one stopped; more shards take more",
                retryable=True,
                request_id=refusal.request_id or None,
            )
        account = self.account
        return explained(refusal, account.service.place(account.project, account.logstore))

    def _contents(self, event: LogLine) -> Contents:
        """Give an event under the logstore's keys, without what is empty."""
        said = event.call or event.feedback
        values = {"level": event.level, "trace_id": event.trace_id, "logger": event.logger, "thread": event.thread}
        if said is None or "message" in self.fields:
            values["message"] = event.message
        else:
            values |= {name: getattr(said, name) for name in (FIELDS if event.call else FEEDBACK_FIELDS)}
        key: Callable[[str, str], str] = self.fields.get
        return [
            (key(name, name), redact(str(value)) if name in _PROSE else str(value))
            for name, value in values.items()
            if value not in (None, "")
        ]


_PROSE = frozenset({"message", "error_message", "comment"})
"""Where a key or a token may be quoted."""


def _key(event: LogLine) -> str:
    running = hashlib.sha256()
    _hash(running, event)
    return running.hexdigest()


def _hash(running: hashlib._Hash, event: LogLine) -> None:
    parts = (str(event.time_ms), event.level, event.trace_id, event.logger, event.thread, event.message)
    running.update("\x1f".join(parts).encode("utf-8", "replace") + b"\x1e")
