"""`collect upload`: a local log into the logstore, every event once, whatever interrupts it.

PutLogs has no idempotency key. So each batch carries a tag (`__tag__:llmops_batch`) that is the SHA-256 of the whole
log up to its end, and with it of its content and its place. Before a batch is sent, a small private file says so; when
its answer is known, the file says that it is done. A batch whose answer never came, in this run or in one that was
killed, is looked up by its tag and sent again only when it is not found: Log Service finds new logs within some three
seconds, and writes a batch whole or not at all. A request whose answer timed out may still be on its way. It is looked
for far longer, and never sent again by the same run, with whose end its connection ends. One that the network delivers
later still counts twice: nothing on this side of it can tell.

A log is known by the first lines of its first events, not by its name: rotated, renamed or compressed it is the same.

An application may still write to the last event (a stack trace, line by line). So the last event goes only when whoever
reads the log calls it whole; where it grew all the same after it was sent, what was added follows as a line of its own,
with the event's header: nothing is lost, and no call counts twice.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from llmops_cli.calls.keys import PROSE
from llmops_cli.calls.line import FEEDBACK_FIELDS, FIELDS
from llmops_cli.cloud.inflight import Deadline
from llmops_cli.cloud.refusals import Refusal, explained
from llmops_cli.cloud.sls import region_of
from llmops_cli.errors import SourceError
from llmops_cli.evidence import LogLine
from llmops_cli.provision.account import Account
from llmops_cli.provision.index import BATCH_KEY, BATCH_TAG
from llmops_cli.provision.sent import HEAD_BYTES, Batch, Beginning, UploadState
from llmops_cli.redact import redact

MOST_LOGS = 4096
MOST_BYTES = 3 << 20
"""Of one batch; Log Service takes 10 MB: https://help.aliyun.com/zh/sls/developer-reference/api-putlogs."""
SETTLE_S = 5.0
"""How long a batch in doubt is looked for: new logs are found within some 3 s."""
_LATE = 3
"""How many times the timeout a request that timed out is looked for."""
_LATEST_S = 3600.0
"""The longest rest of that time that a later run believes: clocks are set."""
_LOOK_AGAIN_S, _LOOK_LATE_S = 0.3, 1.0
_LONGEST_WAIT_S = 4.0
_LAST_S = 1 << 32
_ROTATION_S = 2
"""How far the first event after a rotation may be older than the last before it: threads write at once."""
_KNOWN_BY = 16
"""Events whose first lines tell a log from another that begins with the same one."""
_PER_LOG_BYTES = 200
"""What the names of a log's fields and its frame take."""
_NOT_WRITTEN = frozenset(
    {"WriteQuotaExceed", "ShardWriteQuotaExceed", "ProjectQuotaExceed", "ExceedQPS", "ShardNotReady"}
)
"""Refusals after which nothing was written: sent again without a look."""

Contents = list[tuple[str, str]]


@dataclass(slots=True)
class Tally:
    """What a log holds, event by event. `known` of the `logs` were sent by an earlier run. Times are epoch ms.

    `batches`: requests that send the rest. `grew`: the last event that was sent before went on, and its new lines are
    sent. `kept_back`: the last event is not whole yet, and neither sent nor counted. `former`: events that were sent of
    another log from this file (it was rotated since), None where there was none. `fewer_than`: events that were sent of
    this log, where it holds fewer (it may be a copy that is not complete yet).
    """

    logs: int = 0
    calls: int = 0
    feedback: int = 0
    known: int = 0
    batches: int = 0
    grew: bool = False
    kept_back: bool = False
    former: int | None = None
    fewer_than: int | None = None
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
class Log:
    """A log to be sent: its events in their order, its name for the reader, its full path (empty: standard input).

    `whole`: asked of the last event, and whether it is the first one too, gives what of it will not change any more;
    None while that is nothing. `head`: gives the log's first bytes, as many.
    """

    events: Iterator[LogLine]
    name: str
    file: str = ""
    whole: Callable[[LogLine, bool], LogLine | None] = lambda event, _: event
    head: Callable[[int], bytes] = lambda _: b""


@dataclass(frozen=True, slots=True)
class Uploader:
    """Sends logs to one logstore. `fields` maps canonical names to its keys; with `message` it holds raw lines.

    `most`: logs of a batch. `settle_s`: how long a batch in doubt is looked for. `say` tells the reader, at once, what
    is not to wait for the end.
    """

    account: Account
    fields: Mapping[str, str]
    most: int = MOST_LOGS
    settle_s: float = SETTLE_S
    say: Callable[[str], None] = lambda _: None

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

    def count(self, log: Log) -> Tally:
        """Count what would be sent, and send nothing. Raises `SourceError`."""
        return self._opened(log, send=False)

    def send(self, log: Log) -> Tally:
        """Send the events of a log that were not sent yet. Raises `SourceError`."""
        return self._opened(log, send=True)

    @property
    def _target(self) -> str:
        """Name the logstore: however its endpoint is spelled, inside or outside of its region."""
        account, service = self.account, self.account.service
        return f"{region_of(service.endpoint.lower()) or service.region}/{account.project}/{account.logstore}"

    def _opened(self, log: Log, *, send: bool) -> Tally:
        first = list(itertools.islice(log.events, _KNOWN_BY + 1))
        if not first:
            return Tally()
        beginning = Beginning(tuple(map(_key, first[: max(1, len(first) - 1)])), log.head(HEAD_BYTES))
        with UploadState.of(self._target, beginning, log.name, log.file or "-") as state:
            state.check_reading()
            former = state.former()
            if former is not None:
                self._check_overlap(first[0], former, log)
            if send and state.doubt is not None:
                if self._landed(state.doubt):
                    state.done(state.doubt)
                else:
                    state.forget()
            tally = Tally(known=state.logs, former=former.logs if former and log.file else None)
            self._walk(itertools.chain(first, log.events), log.whole, state, _Parcel(tally, send=send))
            if tally.logs < tally.known:
                tally.fewer_than, tally.known = tally.known, tally.logs
        return tally

    def _check_overlap(self, first: LogLine, former: UploadState, log: Log) -> None:
        """Make sure that a file which begins anew does not begin in the midst of what was sent. Raises `SourceError`.

        What comes through a pipe may be any other log: there it is said only.
        """
        if log.file:
            _check_rotated(first, former)
        elif first.time_ms // 1000 <= former.until_s:
            until = datetime.fromtimestamp(former.until_s, UTC).isoformat()
            self.say(
                f"standard input begins before the last event that was sent from it ({until}): if it is the same log, "
                "what both windows hold is sent twice; upload the log's files instead"
            )

    def _walk(
        self,
        events: Iterator[LogLine],
        whole: Callable[[LogLine, bool], LogLine | None],
        state: UploadState,
        parcel: _Parcel,
    ) -> None:
        """Go through a log: past what was sent, then batch by batch."""
        tally, running, event = parcel.tally, hashlib.sha256(), None
        for one, last in _looking_ahead(events):
            new = tally.logs >= tally.known
            settled = whole(one, tally.logs == 0) if new and last else one
            if settled is None:
                tally.kept_back = True
                break
            event, before = settled, running.copy() if tally.logs == tally.known - 1 else running
            _hash(running, event)
            tally.add(event)
            if new:
                parcel.add(event, self._contents(event))
            elif tally.logs == tally.known and (rest := _grown(event, before.copy(), running, state)) is not None:
                settled = whole(event, False) if last else event
                if settled is None:
                    tally.kept_back = True
                    break
                if settled is not event:
                    event, running = settled, before.copy()
                    _hash(running, event)
                    rest = _grown(event, before, running, state)
                if rest is not None:
                    tally.grew = True
                    parcel.add(rest, self._contents(rest))
            if len(parcel.logs) >= self.most or parcel.size >= MOST_BYTES:
                self._deliver(parcel, running.hexdigest(), event, state)
        if parcel.logs and event is not None:
            self._deliver(parcel, running.hexdigest(), event, state)

    def _deliver(self, parcel: _Parcel, digest: str, last: LogLine, state: UploadState) -> None:
        seconds = [time_ms // 1000 for time_ms, _ in parcel.logs]
        batch = Batch(digest, parcel.tally.logs - state.logs, min(seconds), max(seconds), len(last.message))
        if batch.from_s < 0 or batch.to_s >= _LAST_S:
            raise SourceError(
                "upload_time",
                f"{state.name} has events before 1970 or after 2105, and Log Service has no such times",
                "mend --pattern, or take the lines of a clock that was not set out of a copy and send that",
            )
        if parcel.send:
            state.begin(batch)
            self._put(batch, parcel.logs, state)
            state.done(batch)
        parcel.tally.batches += 1
        parcel.logs, parcel.size = [], 0

    def _put(self, batch: Batch, pending: list[tuple[int, Contents]], state: UploadState) -> None:
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
            late = _may_arrive(refusal)
            if late:  # noted, so that a run after this one waits as well
                batch = replace(batch, late_until=time.time() + _LATE * account.timeout_s)
                state.begin(batch)
            if refusal.code not in _NOT_WRITTEN and self._landed(batch):
                return
            if late:
                raise SourceError(
                    "upload_unanswered",
                    f"{account.service.endpoint} gave no answer to a batch of {batch.logs:,} logs in time, and it was "
                    "not written since",
                    "run the same command again: it looks once more and goes on; over a slow line with a longer "
                    "--timeout, or a smaller --batch",
                    retryable=True,
                ) from refusal
            pause_s = random.uniform(0, wait_s)  # noqa: S311 - jitter
            if pause_s >= deadline.left:
                raise self._refused(refusal, batch) from refusal
            time.sleep(pause_s)
            wait_s = min(_LONGEST_WAIT_S, 2 * wait_s)

    def _landed(self, batch: Batch) -> bool:
        """Look for a batch by its tag until it is found or had time to be. Raises `SourceError` when none can tell."""
        account, start = self.account, time.monotonic()
        settled = start + self.settle_s
        end = max(settled, start + min(_LATEST_S, (batch.late_until or 0) - time.time()))
        told = False
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
            if not told and time.monotonic() >= settled:
                told = True
                self.say(f"a batch had no answer and may still arrive: it is looked for, {end - settled:.0f} s at most")
            time.sleep(min(_LOOK_LATE_S if told else _LOOK_AGAIN_S, self.settle_s))

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
            (key(name, name), redact(str(value)) if name in PROSE else str(value))
            for name, value in values.items()
            if value not in (None, "")
        ]


@dataclass(slots=True)
class _Parcel:
    """The logs of the next batch, with what they weigh about, bytes; without `send` they are counted only."""

    tally: Tally
    send: bool
    logs: list[tuple[int, Contents]] = field(default_factory=list)
    size: int = 0

    def add(self, event: LogLine, contents: Contents) -> None:
        """Put an event in."""
        self.logs.append((event.time_ms, contents))
        self.size += _PER_LOG_BYTES + sum(
            len(value) * 3 if not value.isascii() else len(value) for _, value in contents
        )


def _looking_ahead(events: Iterator[LogLine]) -> Iterator[tuple[LogLine, bool]]:
    """Give each event, and whether it is the last."""
    held = next(events, None)
    for event in events:
        if held is not None:
            yield held, False
        held = event
    if held is not None:
        yield held, True


def _grown(event: LogLine, before: hashlib._Hash, running: hashlib._Hash, state: UploadState) -> LogLine | None:
    """Give what was added to the last event that was sent, as a line of its own; None where it is as it was.

    `before` is the digest of all events in front of it, `running` with it. Raises `SourceError` for another log.
    """
    if running.hexdigest() == state.digest:
        return None
    if state.length is None:
        raise state.changed()
    _hash(before, replace(event, message=event.message[: state.length]))
    if before.hexdigest() != state.digest:
        raise state.changed()
    rest = event.message[state.length :].strip("\n")
    return replace(event, message=rest, call=None, feedback=None) if rest.strip() else None


def _may_arrive(refusal: Refusal) -> bool:
    """Tell an answer that timed out: the request was sent, and nothing tells where it is."""
    said = refusal.message.lower()
    if refusal.code == "LogRequestError" and refusal.status == 0:
        return ("timed out" in said or "timeout" in said) and "connect timeout" not in said
    return refusal.status == 504  # a proxy waits no longer


def _check_rotated(first: LogLine, former: UploadState) -> None:
    """Make sure that a file which begins anew does not begin in the midst of what was sent. Raises `SourceError`."""
    if first.time_ms // 1000 >= former.until_s - _ROTATION_S:
        return
    until = datetime.fromtimestamp(former.until_s, UTC).isoformat()
    raise SourceError(
        "upload_overlap",
        f"{former.name} begins otherwise than when {former.logs:,} events of it were sent, and before the last of them "
        f"({until}): they could be sent twice",
        "was its beginning cut off, or is --pattern or --timezone another? Send its rotated files instead; "
        f"if it is another log, to send all of it: rm {shlex.quote(str(former.path))}",
    )


def _key(event: LogLine) -> str:
    """Give the digest of an event's first line: the rest may still be written."""
    running = hashlib.sha256()
    _hash(running, replace(event, message=event.message.partition("\n")[0]))
    return running.hexdigest()


def _hash(running: hashlib._Hash, event: LogLine) -> None:
    parts = (str(event.time_ms), event.level, event.trace_id, event.logger, event.thread, event.message)
    running.update("\x1f".join(parts).encode("utf-8", "replace") + b"\x1e")
