#!/usr/bin/env python3
"""Speed and memory as ratios, each to a reference measured in the same run: `make bench`.

Absolute times say more about a machine than about a program, so none is printed. Candidate and reference run in turn,
and the ratio is that of their medians. The logs are written once into the system's temporary folder and reused.

LLMOPS_BENCH_CALLS  calls of the day's log (default 2,000,000: 500 MB)
LLMOPS_BENCH_GB     size of the large log (default 5, or what the disk has room for)
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(tempfile.gettempdir()) / "llmops-bench"
PYTHON = sys.executable
LLMOPS = [str(Path(PYTHON).with_name("llmops"))]

CALLS = int(os.environ.get("LLMOPS_BENCH_CALLS", "2000000"))
DAY = date(2025, 7, 9)
"""The day that make_log.py writes."""
TAIL_BYTES = 50_000_000
MOST_RSS = 1.5e9
DELAY_S = 0.3
ROOM_LEFT = 5e9
"""Bytes of the disk that stay free whatever is asked for."""


Rows = Iterator[tuple[str, float, float]]
"""What was compared, the ratio, and the most it should be."""


class FailedError(Exception):
    """A measured command failed; its last line says why."""


@dataclass(frozen=True, slots=True)
class Run:
    """Wall time in seconds and peak resident memory in bytes of one run."""

    seconds: float
    peak: float


def run(command: list[str]) -> Run:
    """Run one command to its end, away from anyone's configuration."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LLMOPS_")}
    environ |= {"XDG_CONFIG_HOME": str(CACHE / "none"), "COLUMNS": "80"}
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=CACHE, env=environ)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise FailedError(f"{' '.join(command[:3])} …: exit code {process.returncode}: {last[0]}")
    return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def in_turn(times: int, *commands: list[str]) -> list[Run]:
    """Run the commands in turn and return the medians of each; a first round, which warms the page cache, is dropped."""
    rounds = [[run(command) for command in commands] for _ in range(times + 1)][1:]
    columns = list(zip(*rounds, strict=True))
    return [
        Run(statistics.median(one.seconds for one in column), max(one.peak for one in column)) for column in columns
    ]


def day_log() -> Path:
    """Return the log of one day, written on first use."""
    path = CACHE / f"day-{CALLS}.log"
    if not path.exists():
        say(f"writing {CALLS:,} calls, once: {path}")
        draft = path.with_suffix(".draft")
        subprocess.run([PYTHON, str(HERE / "make_log.py"), str(CALLS), str(draft)], check=True)
        draft.replace(path)
    return path


def large_log(day: Path) -> Path:
    """Return a log of many such days, in order, written on first use. Only the dates differ from day to day."""
    size = day.stat().st_size
    wanted = float(os.environ.get("LLMOPS_BENCH_GB", "5")) * 1e9
    path = CACHE / f"large-{CALLS}-{max(1, round(wanted / size))}.log"
    if path.exists():
        return path
    days = max(1, round(min(wanted, shutil.disk_usage(CACHE).free - ROOM_LEFT) / size))
    path = CACHE / f"large-{CALLS}-{days}.log"
    if not path.exists():
        say(f"writing {days} days, once: {path}")
        draft = path.with_suffix(".draft")
        with draft.open("wb") as out:
            for number in range(days):
                shifted(day, f"{DAY + timedelta(days=number)} ".encode(), out)
        draft.replace(path)
    return path


def shifted(day: Path, stamp: bytes, out) -> None:
    """Append the day's text to `out` with another date. A block that ends inside a date is put together first."""
    old = f"{DAY} ".encode()
    with day.open("rb") as source:
        rest = b""
        while block := source.read(1 << 24):
            head, newline, rest_next = (rest + block).rpartition(b"\n")
            out.write((head + newline).replace(old, stamp))
            rest = rest_next
        out.write(rest.replace(old, stamp))


def tail_log(large: Path) -> Path:
    """Return the last 50 MB of a log, from the start of a line."""
    path = large.with_name(large.stem + "-tail.log")
    if not path.exists():
        with large.open("rb") as source:
            source.seek(max(0, large.stat().st_size - TAIL_BYTES))
            if source.tell():
                source.readline()
            path.write_bytes(source.read())
    return path


def trace_id(log: Path, *, share: float) -> str:
    """Return the trace id of the first whole line after this share of the file."""
    with log.open("rb") as source:
        source.seek(int(log.stat().st_size * share))
        source.readline()
        return source.readline().split(b"traceId:")[1][:36].decode()


def start_up() -> Rows:
    """`llmops --help` against the smallest Typer program there is."""
    ours, bar = in_turn(15, [*LLMOPS, "--help"], [PYTHON, str(HERE / "hello_typer.py"), "--help"])
    yield "llmops --help / hello_typer.py --help", ours.seconds / bar.seconds, 1.2


def whole_file() -> Rows:
    """`status` over the whole day against one hand-written statement, and its memory."""
    day = day_log()
    window = ["--from", str(DAY), "--to", str(DAY + timedelta(days=1)), "--timezone", "UTC"]
    ours, bar = in_turn(
        7, [*LLMOPS, "status", "--log", str(day), *window], [PYTHON, str(HERE / "raw_scan.py"), str(day)]
    )
    yield "status, whole file / raw_scan.py", ours.seconds / bar.seconds, 2.0
    yield "status, whole file: peak memory / 1.5 GB", ours.peak / MOST_RSS, 1.0


def windows() -> Rows:
    """Each windowed verb on the large log against the same command on its last 50 MB."""
    large = large_log(day_log())
    tail = tail_log(large)
    verbs = {
        "status": ["status"],
        "drill": ["drill"],
        "quota": ["quota"],
        "trace": ["trace", trace_id(tail, share=0.99)],
    }
    for name, words in verbs.items():
        options = ["--since", "15m", "--timezone", "UTC"]
        ours, bar = in_turn(
            5, [*LLMOPS, *words, "--log", str(large), *options], [*LLMOPS, *words, "--log", str(tail), *options]
        )
        size = f"{large.stat().st_size / 1e9:.1f} GB"
        yield f"{name} --since 15m, {size} / last 50 MB", ours.seconds / bar.seconds, 1.3


def needle() -> Rows:
    """`trace ID` over the whole day against grep, three times over, and the command's own start on one line."""
    day = day_log()
    wanted = trace_id(day, share=0.5)
    one_line = CACHE / "one-line.log"
    with day.open("rb") as source:
        one_line.write_bytes(source.readline())
    trace = [*LLMOPS, "trace", wanted, "--timezone", "UTC", "--log"]
    ours, grep, start = in_turn(5, [*trace, str(day)], ["grep", "-F", wanted, str(day)], [*trace, str(one_line)])
    yield "trace ID, whole file / (3 × grep -F + start-up)", ours.seconds / (3 * grep.seconds + start.seconds), 1.0


def log_service() -> Rows:
    """`status` on Log Service where each answer takes 300 ms, against one that answers at once and 600 ms."""
    sys.path.insert(0, str(HERE.parent))
    from tests.cloud import SlsCloud  # noqa: PLC0415 - only this part needs it
    from tests.cloud.asking import CREDENTIALS, KEY_ID, REGION, SECRET, desk  # noqa: PLC0415
    from tests.cloud.filled import index, logs  # noqa: PLC0415

    os.environ.update(CREDENTIALS | {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"})
    log = CACHE / "rate-limit.log"
    end = ["--end", "2025-07-09T14:30:00Z", "--timezone", "UTC"]
    run([*LLMOPS, "demo", "rate-limit", "--seed", "7", "--no-walk", "--force", "--out", str(log), *end])
    window = ["--from", "2025-07-09T14:15:00Z", "--to", "2025-07-09T14:30:00Z"]
    with (
        SlsCloud(keys={KEY_ID: SECRET}, region=REGION) as cloud,
        SlsCloud(keys={KEY_ID: SECRET}, region=REGION) as late,
    ):
        commands = []
        for name, one in (("at-once", cloud), ("late", late)):
            one.create("app", "calls", index=index())
            one.put("app", "calls", list(logs(log, UTC)))
            desk(CACHE / name).profile(one)
            commands.append([*LLMOPS, "status", "--config", str(CACHE / name / "llmops.toml"), *window])
        late.delay = DELAY_S
        at_once, ours = in_turn(5, *commands)
    yield "status, 300 ms an answer / (at once + 2 × 300 ms)", ours.seconds / (at_once.seconds + 2 * DELAY_S), 1.0


def say(text: str) -> None:
    """Tell a waiting reader what takes so long; the table alone stands on stdout."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print one row per ratio."""
    CACHE.mkdir(exist_ok=True)
    parts: dict[str, Callable[[], Rows]] = {
        "start-up": start_up,
        "whole-file": whole_file,
        "windows": windows,
        "needle": needle,
        "log-service": log_service,
    }
    chosen = sys.argv[1:] or list(parts)
    if unknown := [name for name in chosen if name not in parts]:
        sys.exit(f"error: no part {unknown[0]}; there are {', '.join(parts)}")
    print(f"{'ratio':>6} {'target':>7}")
    for name in chosen:
        try:
            for what, ratio, target in parts[name]():
                print(f"{ratio:6.2f} {target:7.2f}  {'' if ratio <= target else 'over':4}  {what}", flush=True)
        except FailedError as error:
            print(f"{'-':>6} {'':>7}  failed  {error}", flush=True)


if __name__ == "__main__":
    main()
