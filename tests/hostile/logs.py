"""Logs for the hostile tests: good calls, and whatever stands among them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

TRACE = "5e564fe1-2d7e-498a-acdc-6749e6e12617"
REPOSITORY = Path(__file__).parents[2]
FIELDS = {
    "app": "shop", "module": "Chat", "model": "qwen-plus", "workspace": "llm-6qtsrlugmu6wanfs",
    "request_id": "0c52ee8b-8bf6-9b6f-8a5e-8ce0e8e5f0f0", "status": "200", "duration": "1200", "input": "10",
    "output": "20", "total": "30", "code": "", "message": "",
}  # fmt: skip


def call(second: float = 0, stamp: str = "", **fields: str) -> str:
    """One call, `second` seconds after 14:00 on 2025-07-09, or at `stamp`."""
    minute, rest = divmod(round(second * 1000), 60_000)
    when = stamp or f"2025-07-09 14:{minute:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
    values = ",".join((FIELDS | fields).values())
    return f"{when} INFO  [traceId:{TRACE}] [c.a.c.s.i.ChatServiceImpl#chat():67] [http-nio-1] - {values}"


def good(calls: int = 20) -> list[str]:
    """Calls, one second apart."""
    return [call(second) for second in range(calls)]


def write(path: Path, lines: Sequence[str]) -> Path:
    """Write the lines as UTF-8; lone surrogates as they come."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))
    return path


def command(*args: object) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "llmops_cli", *map(str, args)]


def environment() -> dict[str, str]:
    """Return the environment of such a process, from any working directory."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}
