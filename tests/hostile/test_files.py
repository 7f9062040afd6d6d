"""Files as they are found: wrongly named, torn, growing and shrinking while they are read."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import zlib
from datetime import UTC

import pytest
import zstandard

from llmops_cli.evidence import Filters, Span, Window
from llmops_cli.knowledge.thresholds import DEFAULT_THRESHOLDS
from llmops_cli.sources.local import LocalSource, plain, timeline
from tests.hostile.logs import call, command, environment, good, write


@pytest.fixture
def asked(llmops):
    """Ask `status` about a file, and return what it did."""

    def ask(path, *args):
        return llmops("status", "--log", path, "--since", "1h", "-o", "json", *args)

    return ask


def test_brackets_in_a_name_lead_to_no_other_file(asked, tmp_path):
    write(tmp_path / "app1.log", good(20))
    data = asked(write(tmp_path / "app[1].log", good(5))).json()["data"]
    assert data["calls"] == 5


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_plain_text_under_the_name_of_an_archive_is_text(asked, tmp_path, suffix):
    ran = asked(write(tmp_path / f"x.log{suffix}", good(5)))
    assert ran.code == 0, ran.err
    assert ran.json()["data"]["calls"] == 5


def test_a_name_that_is_not_utf8_can_be_read(asked, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/x\xff.log")
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - the name is no text
            file.write("\n".join(good(5)))
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    ran = asked(path)
    assert ran.code == 0, ran.err
    assert ran.json()["data"]["calls"] == 5


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda data: zlib.compress(data, wbits=31), id="gzip"),
        pytest.param(
            zstandard.compress,
            id="zstd",
            marks=pytest.mark.xfail(strict=True, reason="the end of a torn frame reads like the end of the file"),
        ),
    ],
)
def test_a_torn_archive_is_never_whole(asked, tmp_path, pack):
    text = "\n".join(call(at / 100, request_id=f"{at * 2654435761 % 2**32:08x}-8bf6") for at in range(20_000))
    packed = pack(text.encode())
    (tmp_path / "x.log").write_bytes(packed[: len(packed) * 2 // 3])
    envelope = asked(tmp_path / "x.log").json()
    assert envelope["partial"]


def test_a_log_that_shrinks_under_the_reader_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(timeline, "SMALL", 0)
    log = write(tmp_path / "x.log", good(2000))
    real, empty = os.pread, 0

    def pread(*args):
        nonlocal empty
        block = real(*args)
        empty += not block
        assert empty < 1000, "reads nothing, again and again"
        return block

    with LocalSource([str(log)], zone=UTC) as source:
        newest = source.newest_ms() or 0
        os.truncate(log, 0)
        monkeypatch.setattr(plain.os, "pread", pread)
        assert source.bytes_of(Span(newest - 1000, newest + 1)) >= 0


TRUNCATED_WHILE_SEARCHED = """
import contextlib, os, sys
from datetime import UTC
from llmops_cli.sources.local import LocalSource

@contextlib.contextmanager
def meter(*_):
    os.truncate(sys.argv[1], {size})
    yield lambda _: None

source = LocalSource([sys.argv[1]], zone=UTC)
source._meter = meter
print(len(source.trace("ffffffff-2d7e-498a-acdc-6749e6e12617", None).lines))
"""


@pytest.mark.parametrize("size", [0, 5000])
def test_a_log_truncated_before_it_is_searched_has_no_such_trace(tmp_path, size):
    log = write(tmp_path / "x.log", good(2000))
    ran = subprocess.run(
        [sys.executable, "-c", TRUNCATED_WHILE_SEARCHED.format(size=size), str(log)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout.strip()) == (0, "0"), ran.stderr


@pytest.mark.xfail(strict=True, reason="every file of a directory is held open")
def test_more_files_than_the_process_may_open(tmp_path):
    for at in range(100):
        write(tmp_path / f"x{at}.log", [call(at)])
    ran = subprocess.run(
        command("status", "--log", tmp_path, "--since", "1h", "-o", "json"),
        env=environment(), capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )  # fmt: skip
    assert "internal error" not in ran.stderr
    assert ran.returncode in {0, 3}


def test_utf_16_without_a_byte_order_mark_is_one_clear_line(llmops, tmp_path):
    ran = llmops("status", "--log", write(tmp_path / "x.log", good(5)), "--encoding", "utf-16")
    assert "internal error" not in ran.err


@pytest.mark.parametrize(
    "path",
    [
        *("/dev/zero", "/dev/null", "[", "/proc/self/mem"),
        "~nobody-of-that-name/x.log",
    ],
)
def test_no_path_is_an_internal_error(asked, path):
    ran = asked(path)
    assert ran.code == 3
    assert ran.json()["errors"][0]["code"] != "internal"


@pytest.mark.parametrize("successor", [None, "one line of the next log"])
def test_a_log_rotated_between_opening_and_reading_is_read_to_its_end(tmp_path, successor):
    log = write(tmp_path / "x.log", good(20))
    with LocalSource([str(log)], zone=UTC) as source:
        end = (source.newest_ms() or 0) + 1
        log.rename(tmp_path / "x.log.1")
        if successor:
            write(log, [successor])
        window = Window(Span(end - 60_000, end), None, UTC)
        assert source.observe(window, Filters(), DEFAULT_THRESHOLDS).now.calls == 20
