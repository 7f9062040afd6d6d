"""Bytes of a span, as DuckDB can parse them: the file itself where it is clean and wanted whole, else a clean copy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import IO

from llmops_cli.calls.framing import Carry
from llmops_cli.calls.pattern import STANDARD_PATTERN, compile_pattern
from llmops_cli.evidence import Span
from llmops_cli.sources.local import plain
from llmops_cli.sources.local.format import LogFormat
from llmops_cli.sources.local.logset import Entry
from llmops_cli.sources.local.meter import Advance
from llmops_cli.sources.local.plain import PlainFile
from llmops_cli.sources.local.unpack import path_of, temporary, write

_SAMPLE_BLOCKS, _SAMPLE_BLOCK = 24, 16 << 10


class Reader:
    """Hands DuckDB the bytes of a span: the file itself where it is clean and wanted whole, else a clean copy.

    Whether a file is clean to its end shows while it is parsed: `sound`. A pattern whose time DuckDB cannot read (a
    zone written as a name) is translated to the standard header, in UTC.
    """

    def __init__(self, log_format: LogFormat, *, copy: bool) -> None:
        self._own = log_format
        self._translates = not log_format.pattern.time.strptime
        self.format = LogFormat(compile_pattern(STANDARD_PATTERN), UTC) if self._translates else log_format
        self._copy = copy or self._translates
        self._files: list[IO[bytes]] = []
        self._aside = ThreadPoolExecutor(1)
        self._checks: list[Future[bool]] = []

    def parts(self, entries: Sequence[Entry], span: Span | None) -> list[tuple[PlainFile, int, int]]:
        """Give the byte ranges that hold `span` (None: everything)."""
        parts = []
        for entry in entries:
            if entry.plain is None or entry.timeline is None:
                continue
            seeks = span is not None and entry.sorted and entry.first_ms is not None
            start, end = entry.timeline.bytes_of(span) if span and seeks else (entry.plain.start, entry.plain.size)
            if start < end:
                parts.append((entry.plain, start, end))
        return parts

    @staticmethod
    def sample(parts: Sequence[tuple[PlainFile, int, int]]) -> Iterator[str]:
        """Give lines from all over the ranges."""
        for file, start, end in parts:
            step = max(_SAMPLE_BLOCK, (end - start) // (_SAMPLE_BLOCKS // len(parts) or 1))
            for at in range(start, end, step):
                block = file.read(at, min(end, at + _SAMPLE_BLOCK)).split(b"\n")[1:-1]
                yield from (file.text(line) for line in block)

    def path(self, file: PlainFile, start: int, end: int, advance: Advance) -> str:
        """Give a path under which DuckDB reads the clean text of a range."""
        if (start, end) == (0, file.size) and file.is_text and not self._copy and plain.starts_clean(file):
            self._checks.append(self._aside.submit(plain.all_clean, file))  # while DuckDB parses it
            # A descriptor of its own: that of the log may have to make room. And never the log's name: DuckDB reads
            # brackets as a pattern, and a suffix as a compression.
            self._files.append(os.fdopen(os.dup(file.fileno()), "rb"))
            return path_of(self._files[-1])
        return self._copied(file, start, end, advance)

    def sound(self) -> bool:
        """Tell whether every file that was handed out as it is could be: ask before what came of it is kept."""
        return all(check.result() for check in self._checks)

    def close(self) -> None:
        """Give files and temporary copies back."""
        self._aside.shutdown(cancel_futures=True)
        for file in self._files:
            file.close()

    def _copied(self, file: PlainFile, start: int, end: int, advance: Advance) -> str:
        copy = temporary()
        self._files.append(copy)
        if file.is_text and not self._copy and plain.copied_clean(file, start, end, copy, advance):
            return path_of(copy)
        copy.seek(0)
        copy.truncate()
        carry = Carry()
        for block in file.blocks(start, end, advance):
            data = (
                plain.clean(file, block, carry)
                if self._copy or not file.is_text or not plain.is_clean(block)
                else block
            )
            if self._translates:
                data = self._translated(data)
            write(copy, data)
        write(copy, "".join(f"{line}\n" for line in carry.rest()).encode("utf-8", "replace"))
        copy.flush()
        return path_of(copy)

    def _translated(self, data: bytes) -> bytes:
        return "".join(f"{self._standard(line)}\n" for line in data.decode("utf-8", "replace").split("\n")).encode()

    def _standard(self, line: str) -> str:
        header = self._own.header(line)
        time = self._own.time_ms(line)
        if header is None or time is None:
            return line
        at = datetime.fromtimestamp(time / 1000, UTC)
        stamp = f"{at:%Y-%m-%d %H:%M:%S}.{time % 1000:03d}"
        who = f"[traceId:{header.trace_id}] [#:] [{header.thread.replace(',', ' ')}]"
        return f"{stamp} {header.level.strip() or '-'} {who} - {header.message}"
