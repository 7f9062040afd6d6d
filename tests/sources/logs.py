"""Random but reproducible logs in the standard's format, with the records they hold."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from llmops_cli.evidence import CallRecord, FeedbackRecord

START = datetime(2025, 7, 9, 6, 0, tzinfo=UTC)
MINUTE = 60_000
START_MS = int(START.timestamp() * 1000)

Record = CallRecord | FeedbackRecord

_FAILURES = [
    (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    (401, "InvalidApiKey", "Invalid API-key provided."),
    (400, "InvalidParameter", 'Range of input length should be [1, 129024], request 6f1d2a, "quoted" - ] - x'),
    (None, "SocketTimeoutException", "timeout"),
    (200, "Odd", "status 200 with a code"),
    (500, "", ""),
]


def uid(rand: random.Random) -> str:
    h = f"{rand.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def records(seed: int, calls: int = 2000, minutes: int = 60) -> list[Record]:
    rand = random.Random(seed)
    out: list[Record] = []
    for _ in range(calls):
        time = START_MS + rand.randrange(minutes * MINUTE)
        app, module = rand.choice(["shop", "risk-review"]), rand.choice(["Chat", "RAG"])
        model, workspace = rand.choice(["qwen-plus", "qwen-max"]), rand.choice(["llm-aaaabbbbccccdddd", ""])
        trace, request = uid(rand), uid(rand)
        if rand.random() < 0.1:
            rating = "down" if rand.random() < 0.3 else "up"
            out.append(FeedbackRecord(time, trace, app, module, model, workspace, request, rating, "slow, wrong"))
        ok = rand.random() > 0.2
        status, code, message = (200, "", "") if ok else rand.choice(_FAILURES)
        tokens = (rand.randrange(1, 3000), rand.randrange(1, 900)) if ok else (0, 0)
        out.append(
            CallRecord(
                time, "INFO" if ok else "ERROR", trace, app, module, model, workspace, request, status,
                rand.randrange(20, 9000), *tokens, sum(tokens), code, message,
            )
        )  # fmt: skip
    return sorted(out, key=lambda record: record.time_ms)


def line(record: Record, zone: tzinfo = UTC) -> str:
    at = datetime.fromtimestamp(record.time_ms / 1000, zone)
    level = record.level if isinstance(record, CallRecord) else "INFO"
    head = (
        f"{at:%Y-%m-%d %H:%M:%S}.{record.time_ms % 1000:03d} {level:<5} [traceId:{record.trace_id}] "
        "[c.a.c.s.i.ChatServiceImpl#chat():67] [http-nio-8080-exec-1] - "
    )
    who = f"{record.app},{record.module},{record.model},{record.workspace},{record.request_id}"
    if isinstance(record, FeedbackRecord):
        return f"{head}feedback:{who},{record.rating},{record.comment}"
    status = "" if record.status_code is None else record.status_code
    tokens = f"{record.input_tokens},{record.output_tokens},{record.total_tokens}"
    return f"{head}{who},{status},{record.duration_ms},{tokens},{record.error_code},{record.error_message}"


def write(path: Path, items: Iterable[Record], zone: tzinfo = UTC) -> Path:
    path.write_text("".join(line(item, zone) + "\n" for item in items), encoding="utf-8")
    return path


def minutes(count: float) -> int:
    return int(timedelta(minutes=count).total_seconds() * 1000)
