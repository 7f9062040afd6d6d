"""A log file as the logs of a logstore, the way `collect upload` and Logtail write them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import Any

from llmops_cli.calls.events import read_events
from llmops_cli.calls.line import FEEDBACK_FIELDS, FIELDS
from llmops_cli.calls.pattern import STANDARD_PATTERN, compile_pattern

_TOKEN = [
    ",",
    " ",
    "'",
    '"',
    ";",
    "=",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "?",
    "@",
    "&",
    "<",
    ">",
    "/",
    ":",
    "\n",
    "\t",
    "\r",
]
NUMBERS = frozenset({"status_code", "duration_ms", "input_tokens", "output_tokens", "total_tokens"})
TRACE = "5e564fe1-2d7e-498a-acdc-6749e6e12617"
CALL = {
    "trace_id": TRACE, "app": "shop", "module": "Chat", "model": "qwen-plus", "workspace": "llm-1",
    "request_id": "43f9169b", "status_code": 200, "duration_ms": 800, "input_tokens": 10, "output_tokens": 5,
    "total_tokens": 15,
}  # fmt: skip
"""One call that went well, as the fields of a log."""


def index(*, without: tuple[str, ...] = (), names: dict[str, str] | None = None) -> dict[str, Any]:
    """Give the index of a logstore for calls; `without` lists fields that it lacks, `names` other keys of fields."""
    fields = ("level", "trace_id", *FIELDS, "rating", "comment", "message", "logger", "thread")
    text = {"type": "text", "token": _TOKEN, "caseSensitive": False, "doc_value": True}
    keys = {
        (names or {}).get(name, name): {"type": "long", "doc_value": True} if name in NUMBERS else text
        for name in fields
        if name not in without
    }
    return {"line": {"token": _TOKEN, "caseSensitive": False}, "keys": keys}


def logs(
    path: Path, zone: tzinfo, *, names: dict[str, str] | None = None, raw: bool = False
) -> Iterator[dict[str, Any]]:
    """Read a log file as logs; `raw`: the message of each event as it was written, instead of fields."""
    names = names or {}
    with path.open(encoding="utf-8") as lines:
        for event in read_events(lines, compile_pattern(STANDARD_PATTERN), zone):
            log: dict[str, Any] = {"level": event.level, "trace_id": event.trace_id}
            log |= {"logger": event.logger, "thread": event.thread}
            said = event.call or event.feedback
            if said is None or raw:
                log["message"] = event.message
            else:
                fields = FIELDS if event.call else FEEDBACK_FIELDS
                log |= {name: value for name in fields if (value := getattr(said, name)) not in {None, ""}}
            seconds, ms = divmod(event.time_ms, 1000)
            yield {"__time__": seconds, "__time_ns_part__": ms * 1_000_000} | {
                names.get(name, name): value for name, value in log.items()
            }
