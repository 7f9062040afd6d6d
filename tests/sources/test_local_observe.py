"""The DuckDB engine answers what the plain reference answers, whatever the log looks like."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import zstandard

from llmops_cli.evidence import Filters, Observation, Span, Thresholds, Window
from llmops_cli.sources.local import LocalSource
from tests.reference import message_kind, observe
from tests.sources.logs import MINUTE, START_MS, line, records, write

NOW = Span(START_MS + 40 * MINUTE, START_MS + 55 * MINUTE)
BEFORE = Span(START_MS + 25 * MINUTE, START_MS + 40 * MINUTE)


def comparable(seen: Observation) -> Observation:
    """Leave out what may differ: the order of rows, which message of a kind is the sample, the baseline's peaks."""
    before = seen.before and replace(seen.before, qpm_peak=0, tpm_peak=0, rps_peak=0, tps_peak=0)
    return replace(
        seen,
        before=before,
        points=tuple(sorted(seen.points, key=repr)),
        cells=tuple(sorted((c._replace(error_message=message_kind(c.error_message)) for c in seen.cells), key=repr)),
        demand=tuple(sorted(seen.demand, key=repr)),
        feedback=tuple(sorted(seen.feedback, key=repr)),
        newest_call_ms=None,
        unparsed_samples=(),
    )


def look(path: Path | str, filters: Filters = Filters(), zone=UTC, **options) -> Observation:
    with LocalSource([str(path)], zone=zone, **options) as source:
        return source.observe(Window(NOW, BEFORE, UTC), filters, Thresholds())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equals_the_reference(tmp_path, seed):
    items = records(seed)
    seen = look(write(tmp_path / "app.log", items))
    assert comparable(seen) == comparable(observe(items, NOW, BEFORE))
    assert seen.now.calls > 300


@pytest.mark.parametrize(
    "filters",
    [
        Filters(model=("qwen-plus",)),
        Filters(app=("shop", "risk-review"), workspace=("",)),
        Filters(error_code=("InvalidApiKey",)),
        Filters(app=("nobody'; drop table calls; --",)),
    ],
)
def test_filters_equal_the_reference(tmp_path, filters):
    items = records(4)
    seen = look(write(tmp_path / "app.log", items), filters)
    assert comparable(seen) == comparable(observe(items, NOW, BEFORE, filters=filters))


def test_between_is_read_too(tmp_path):
    items = records(5)
    path = write(tmp_path / "app.log", items)
    window = Window(NOW, Span(START_MS, START_MS + 15 * MINUTE), UTC, stepped_back=True)
    between = Span(START_MS + 15 * MINUTE, START_MS + 30 * MINUTE)
    with LocalSource([str(path)], zone=UTC) as source:
        seen = source.observe(window, Filters(), Thresholds(), between)
    assert comparable(seen) == comparable(
        observe(items, window.span, window.baseline, between=between, stepped_back=True)
    )


def test_one_source_answers_for_many_windows(tmp_path):
    items = records(6)
    with LocalSource([str(write(tmp_path / "app.log", items))], zone=UTC) as source:
        for start in (10, 40, 20, 12, 0):
            span = Span(START_MS + start * MINUTE, START_MS + (start + 10) * MINUTE)
            before = Span(span.start_ms - 10 * MINUTE, span.start_ms)
            seen = source.observe(Window(span, before, UTC), Filters(), Thresholds())
            assert comparable(seen) == comparable(observe(items, span, before))


def _gzip(path: Path, data: bytes) -> Path:
    path = path.with_suffix(".log.gz")
    path.write_bytes(gzip.compress(data))
    return path


def _zstd(path: Path, data: bytes) -> Path:
    path = path.with_suffix(".log.zst")
    half = data.find(b"\n", len(data) // 2) + 1
    pack = zstandard.ZstdCompressor().compress
    path.write_bytes(pack(data[:half]) + pack(data[half:]))
    return path


def _plain(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _framed(text: str, frame) -> bytes:
    return "".join(frame(at, each) for at, each in enumerate(text.splitlines())).encode()


def _docker(_: int, text: str) -> str:
    return json.dumps({"log": text + "\n", "stream": "stdout", "time": "2025-07-09T06:00:00.000000000Z"}) + "\n"


DISGUISES = {
    "gzip": lambda path, text: _gzip(path, text.encode()),
    "zstd, two frames": lambda path, text: _zstd(path, text.encode()),
    "CRLF": lambda path, text: _plain(path, text.replace("\n", "\r\n").encode()),
    "byte order mark": lambda path, text: _plain(path, b"\xef\xbb\xbf" + text.encode()),
    "UTF-16": lambda path, text: _plain(path, text.encode("utf-16")),
    "no line break at the end": lambda path, text: _plain(path, text.rstrip("\n").encode()),
    "blocks of NUL": lambda path, text: _plain(path, text.replace("\n", "\n\0\0\0\0").encode()),
    "a torn line": lambda path, text: _plain(path, text.encode() + b"2025-07-09 06:59:59.99"),
    "a megabyte line": lambda path, text: _plain(path, b"x" * 3_000_000 + b"\n" + text.encode()),
    "a lone carriage return": lambda path, text: _plain(path, text.encode() + b"progress 1\rprogress 2\n"),
    "bytes that are not UTF-8": lambda path, text: _plain(path, text.encode() + b"\xff\xfe\x80 noise\n"),
    "kubectl": lambda path, text: _plain(path, _framed(text, lambda n, t: f"[pod/chat-{n % 2}/main] {t}\n")),
    "CRI": lambda path, text: _plain(path, _framed(text, lambda n, t: f"2025-07-09T06:00:00.1Z stdout F {t}\n")),
    "Docker": lambda path, text: _plain(path, _framed(text, _docker)),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_every_disguise_reads_the_same(tmp_path, disguise):
    items = records(7)
    text = "".join(line(item) + "\n" for item in items)
    path = DISGUISES[disguise](tmp_path / "app.log", text)
    assert comparable(look(path)) == comparable(observe(items, NOW, BEFORE))


def test_other_lines_are_not_calls(tmp_path):
    items = records(8)
    fake = line(items[0])
    noise = [
        fake.split(" - ")[0] + " - prompt:" + fake,
        fake.split(" - ")[0] + " - result:" + fake.split(" - ", 1)[1],
        fake.split(" - ")[0] + " - received a, b, c, d, e, f, g, h, i, j, k, l, m",
        "java.lang.IllegalStateException: boom, a, b, c, d, e, f, g, h, i, j, k, l",
        "\tat com.example.Chat.call(Chat.java:42)",
        "",
    ]
    mixed = [text for item in items for text in (line(item), *noise)]
    path = tmp_path / "app.log"
    path.write_text("\n".join(mixed), encoding="utf-8")
    assert comparable(look(path)) == comparable(observe(items, NOW, BEFORE))


def test_a_call_that_does_not_parse_is_counted(tmp_path):
    items = [item for item in records(9) if NOW.start_ms <= item.time_ms < NOW.end_ms]
    broken = line(next(item for item in items if hasattr(item, "duration_ms")))
    parts = broken.split(",")
    parts[6] = "soon"
    path = write(tmp_path / "app.log", items)
    with path.open("a", encoding="utf-8") as file:
        file.write(",".join(parts) + "\n" + broken[: broken.rindex(parts[4]) + 36] + "\n")
    seen = look(path)
    assert seen.unparsed == 2
    assert "soon" in "".join(seen.unparsed_samples)
    assert seen.now == observe(items, NOW, None).now


def test_a_thread_with_commas_is_still_a_call(tmp_path):
    items = records(10)
    text = "".join(line(item).replace("http-nio-8080-exec-1", "pool, worker, 7") + "\n" for item in items)
    path = tmp_path / "app.log"
    path.write_text(text, encoding="utf-8")
    assert comparable(look(path)) == comparable(observe(items, NOW, BEFORE))


def test_java_null_and_blanks(tmp_path):
    head = line(records(1)[0]).split(" - ")[0].replace("06:", "06:")
    stamp = "2025-07-09 06:45:00.000"
    text = (
        f"{stamp}{head[23:]} - shop,Chat,qwen-plus,null,null,-1,12,null,,null,null,null\n"
        f"{stamp}{head[23:]} -  shop , Chat,qwen-plus,,id,OK,12,0,0,0,ConnectException,refused, really\n"
    )
    path = tmp_path / "app.log"
    path.write_text(text)
    seen = look(path)
    assert (seen.now.calls, seen.now.failures, seen.unparsed) == (2, 2, 0)
    assert {(c.where.app, c.where.workspace, c.status_code, c.error_code) for c in seen.cells} == {
        ("shop", "", None, ""),
        ("shop", "", None, "ConnectException"),
    }


@pytest.mark.parametrize("name", ["America/New_York", "Asia/Shanghai", "Australia/Lord_Howe"])
def test_zone_of_times_without_one(tmp_path, name):
    zone = ZoneInfo(name)
    items = records(11)
    seen = look(write(tmp_path / "app.log", items, zone), zone=zone)
    assert comparable(seen) == comparable(observe(items, NOW, BEFORE))


def test_other_patterns(tmp_path):
    items = records(12)
    zone = ZoneInfo("Asia/Shanghai")
    iso = [line(item).replace(".", ",", 1) for item in items]
    path = tmp_path / "iso.log"
    path.write_text("\n".join(iso))
    pattern = "%d %-5p [traceId:%X{traceId}] [%c{3}#%method():%L] [%thread] - %m%n"
    assert comparable(look(path, pattern=pattern)) == comparable(observe(items, NOW, BEFORE))
    zoned = [line(item, zone)[:23] + "+08:00" + line(item, zone)[23:] for item in items]
    path.write_text("\n".join(zoned))
    pattern = "%d{yyyy-MM-dd HH:mm:ss.SSSXXX} %-5p [traceId:%X{traceId}] [%c{3}#%method():%L] [%thread] - %m%n"
    assert comparable(look(path, pattern=pattern)) == comparable(observe(items, NOW, BEFORE))
    named = [line(item, zone)[:23] + " CST" + line(item, zone)[23:] for item in items]
    path.write_text("\n".join(named))
    pattern = "%level{5} %m%n"
