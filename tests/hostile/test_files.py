"""Files as they are found: wrongly named, torn, growing and shrinking while they are read."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
from datetime import UTC
from pathlib import Path

import pytest
import zstandard

from llmops_cli.evidence import Filters, Span, Window
from llmops_cli.knowledge.thresholds import DEFAULT_THRESHOLDS
from llmops_cli.sources.local import LocalSource
from tests.hostile.logs import TRACE, call, command, environment, good, write


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


def unlike(calls):
    """Calls that do not compress to nothing, as bytes."""
    ids = (f"{at * 2654435761 % 2**32:08x}-8bf6" for at in range(calls))
    return "".join(call(at / 100, request_id=each) + "\n" for at, each in enumerate(ids)).encode()


def gzipped(data):
    return gzip.compress(data, mtime=0)


PACKERS = pytest.mark.parametrize("pack", [gzipped, zstandard.compress])


@PACKERS
def test_a_torn_archive_is_never_whole(asked, tmp_path, pack):
    packed = pack(unlike(20_000))
    (tmp_path / "x.log").write_bytes(packed[: len(packed) * 2 // 3])
    envelope = asked(tmp_path / "x.log").json()
    assert envelope["partial"]
    assert "damaged or incomplete" in envelope["sources"][0]["detail"]
    assert 5000 < envelope["data"]["calls"] < 20_000


@PACKERS
@pytest.mark.parametrize("cut", [1, 4, 9])
def test_an_archive_without_its_last_bytes_is_never_whole(asked, tmp_path, pack, cut):
    (tmp_path / "x.log").write_bytes(pack(unlike(5000))[:-cut])
    envelope = asked(tmp_path / "x.log").json()
    assert envelope["partial"]
    assert "damaged or incomplete" in envelope["sources"][0]["detail"]


@PACKERS
@pytest.mark.parametrize("rubbish", [b"no archive any more", b"\0" * 7 + b"x"])
def test_an_archive_with_rubbish_behind_it_is_read_and_doubted(asked, tmp_path, pack, rubbish):
    (tmp_path / "x.log").write_bytes(pack(unlike(50)) + rubbish)
    envelope = asked(tmp_path / "x.log").json()
    assert (envelope["data"]["calls"], envelope["partial"]) == (50, True)


@PACKERS
def test_archives_one_after_the_other_are_one_log(asked, tmp_path, pack):
    half = unlike(2000).splitlines(keepends=True)
    parts = (b"".join(half[:900]), b"", b"".join(half[900:1000]), b"".join(half[1000:]))
    (tmp_path / "x.log").write_bytes(b"".join(map(pack, parts)))
    envelope = asked(tmp_path / "x.log").json()
    assert (envelope["data"]["calls"], envelope["partial"]) == (2000, False)


def test_a_skippable_frame_of_zstd_is_skipped(asked, tmp_path):
    skipped = b"\x50\x2a\x4d\x18\x05\0\0\0hello"
    lines = unlike(50)
    (tmp_path / "x.log.zst").write_bytes(zstandard.compress(lines) + skipped + zstandard.compress(lines) + skipped)
    envelope = asked(tmp_path / "x.log.zst").json()
    assert (envelope["data"]["calls"], envelope["partial"]) == (100, False)


SHRINKS = """
import os, sys
from datetime import UTC
from llmops_cli.evidence import Filters, Span, Window
from llmops_cli.knowledge.thresholds import DEFAULT_THRESHOLDS
from llmops_cli.sources.local import LocalSource

with LocalSource([sys.argv[1]], zone=UTC) as source:
    end = source.newest_ms() + 1
    os.truncate(sys.argv[1], int(sys.argv[2]))
    window = Window(Span(end - 60_000, end), None, UTC)
    print(source.bytes_of(window.span) >= 0, source.observe(window, Filters(), DEFAULT_THRESHOLDS).now.calls)
    print(len(source.trace("ffffffff-2d7e-498a-acdc-6749e6e12617", None).lines))
    print(source.states()[0].state, source.states()[0].detail)
"""


@pytest.mark.parametrize("size", [0, 5000, 9_000_000])
@pytest.mark.parametrize("lines", [2000, 40_000])
def test_a_log_that_shrinks_under_the_reader_ends(tmp_path, lines, size):
    """The shorter log is read whole, the longer one is searched."""
    log = write(tmp_path / "x.log", [call(at / 20) for at in range(lines)])
    size = min(size, log.stat().st_size - 1000)
    ran = subprocess.run(
        [sys.executable, "-c", SHRINKS, str(log), str(size)],
        env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    read, trace, state = ran.stdout.splitlines()
    assert read.startswith("True ")
    assert trace == "0"
    assert state.startswith("partial ")
    assert "shrank" in state


TRUNCATED_WHILE_SEARCHED = """
import contextlib, os, sys
from datetime import UTC
from llmops_cli.sources.local import LocalSource

@contextlib.contextmanager
def meter(*_):
    os.truncate(sys.argv[1], {size})
    yield lambda _: None

source = LocalSource([sys.argv[1]], zone=UTC, meter=meter)
print(len(source.trace("ffffffff-2d7e-498a-acdc-6749e6e12617", None).lines))
"""


@pytest.mark.parametrize("size", [0, 5000])
def test_a_log_truncated_before_it_is_searched_has_no_such_trace(tmp_path, size):
    log = write(tmp_path / "x.log", good(2000))
    ran = subprocess.run(
        [sys.executable, "-c", TRUNCATED_WHILE_SEARCHED.format(size=size), str(log)],
        env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout.strip()) == (0, "0"), ran.stderr


def few_files():
    """Limit this process to fewer open files than a directory has logs."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


@pytest.mark.parametrize("suffix", [".log", ".log.gz", ".log.zst"])
def test_more_files_than_the_process_may_open(tmp_path, suffix):
    pack = {".log": bytes, ".log.gz": gzipped, ".log.zst": zstandard.compress}[suffix]
    trace = "ffffffff-2d7e-498a-acdc-6749e6e12617"
    for at in range(100):
        line = call(at).replace(TRACE, trace) if at in (3, 97) else call(at)
        (tmp_path / f"x{at}{suffix}").write_bytes(pack(line.encode() + b"\n"))

    def ask(*args):
        ran = subprocess.run(
            command(*args, "--log", tmp_path, "-o", "json"),
            env=environment(), capture_output=True, text=True, check=False, preexec_fn=few_files,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    envelope = ask("status", "--since", "1h")
    assert (envelope["data"]["calls"], envelope["partial"]) == (100, False)
    assert len(ask("trace", trace)["data"]["calls"]) == 2


ROTATED = """
import os, sys
from datetime import UTC
from pathlib import Path
from llmops_cli.evidence import Filters, Span, Window
from llmops_cli.knowledge.thresholds import DEFAULT_THRESHOLDS
from llmops_cli.sources.local import LocalSource

with LocalSource([sys.argv[1]], zone=UTC) as source:
    end = source.newest_ms() + 1
    for log in Path(sys.argv[1]).glob("*.log"):
        log.rename(log.with_suffix(".1"))
        log.write_text(sys.argv[2])
    print(source.observe(Window(Span(end - 600_000, end), None, UTC), Filters(), DEFAULT_THRESHOLDS).now.calls)
    print(source.states()[0].state, source.states()[0].detail)
"""


def test_a_successor_of_a_log_that_was_closed_is_never_taken_for_it(tmp_path):
    for at in range(40):
        write(tmp_path / f"x{at:02}.log", [call(at)])
    ran = subprocess.run(
        [sys.executable, "-c", ROTATED, str(tmp_path), call(50, app="another") + "\n"],
        env=environment(), capture_output=True, text=True, check=False, preexec_fn=few_files,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    calls, state = ran.stdout.splitlines()
    assert 0 < int(calls) < 40, "what was open was read to its end, the rest is missing"
    assert state.startswith("partial ")
    assert ".log: was replaced while it was read" in state


def test_one_file_under_two_names_is_one_log(asked, tmp_path):
    """As a rotation makes it, when it renames a log while its directory is read."""
    log = write(tmp_path / "x.log", good(20))
    (tmp_path / "x.log.1").hardlink_to(log)
    assert asked(tmp_path).json()["data"]["calls"] == 20


def test_a_directory_where_everything_is_amiss_is_told_of_in_short(asked, tmp_path):
    write(tmp_path / "x.log", good(20))
    for at in range(300):
        (tmp_path / f"y{at}.log.gz").write_bytes(b"\x1f\x8b\x08\x00x")
    envelope = asked(tmp_path).json()
    assert (envelope["data"]["calls"], envelope["partial"]) == (20, True)
    assert envelope["sources"][0]["detail"].endswith("and 295 more")


@pytest.mark.parametrize(
    "name", ["new\nline.log", "quo'te\".log", "[0-9].log", "*.log", "?.log", "back\\slash.log", "{a,b}.log", " a.log"]
)
def test_a_name_is_a_name(asked, tmp_path, name):
    write(tmp_path / "7.log", good(20))
    for named in (write(tmp_path / "sub" / name, good(5)), tmp_path / "sub"):
        assert asked(named).json()["data"]["calls"] == 5


def test_links_that_lead_nowhere(asked, tmp_path):
    (tmp_path / "loop.log").symlink_to("loop.log")
    (tmp_path / "gone.log").symlink_to("nowhere")
    for name in ("loop.log", "gone.log"):
        ran = asked(tmp_path / name)
        assert ran.code == 3
        assert "a link that leads to no file" in ran.json()["errors"][0]["message"]


def test_a_folder_that_contains_itself_is_read_once(asked, tmp_path):
    write(tmp_path / "x.log", good(20))
    (tmp_path / "self").symlink_to(tmp_path)
    envelope = asked(tmp_path / "**" / "*.log").json()
    assert envelope["data"]["calls"] == 20
    assert "/self/" not in envelope["sources"][0]["detail"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="Linux has such files")
def test_a_file_that_the_system_makes_up_has_a_content_and_no_size(tmp_path):
    said = "\n" + "\n".join(good(20)) + "\n"
    ran = subprocess.run(
        command("status", "--log", "/proc/self/environ", "--since", "1h", "-o", "json"),
        env={**environment(), "A_LOG": said}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert json.loads(ran.stdout)["data"]["calls"] == 20


@pytest.mark.parametrize("size", [5000, 70 << 20], ids=["5 kB", "70 MB"])
@pytest.mark.parametrize("before", [0, 20])
@pytest.mark.parametrize("line_break", [b"", b"\n"])
def test_a_hole_in_a_log_hides_nothing(asked, tmp_path, before, line_break, size):
    """A log that is truncated under its writer begins with one, a crash leaves one in the middle."""
    log = tmp_path / "x.log"
    with log.open("wb") as out:
        out.write("".join(line + "\n" for line in good(before)).encode())
        out.truncate(out.tell() + size)
        out.seek(0, os.SEEK_END)
        out.write(line_break + ("\n".join(call(at) for at in range(30, 40)) + "\n").encode())
    data = asked(log).json()["data"]
    assert (data["calls"], data["unparsed"]) == (before + 10, 0)


@pytest.mark.parametrize("filler", [b"x", b"x" * 40 + b"\n", b"\tat com.example.X.y(X.java:1)\n"])
def test_what_stands_behind_a_long_stretch_without_a_call_is_read(asked, tmp_path, filler):
    log = tmp_path / "x.log"
    lines = ("\n".join(good(20)) + "\n").encode()
    log.write_bytes(lines + filler * ((70 << 20) // len(filler)) + b"\n" + call(30).encode() + b"\n")
    assert asked(log).json()["data"]["calls"] == 21


@pytest.mark.parametrize("spoil", ["\r", "\0", "\0" * 5000])
def test_what_is_amiss_late_in_a_log_that_begins_well_is_mended(asked, tmp_path, spoil):
    """The read has begun by then; it begins again, and nothing counts twice."""
    forged = f"{spoil}{call(60, app='forged')}"
    lines = [call(at / 100, status="500", code="E", message="x" * 100 + forged * (at == 9000)) for at in range(10_000)]
    log = write(tmp_path / "x.log", lines)
    data = asked(log).json()["data"]
    assert (data["calls"], data["failures"], data["unparsed"]) == (10_000, 10_000, 0)


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
def test_millions_of_blank_lines_are_no_call_and_no_error(asked, tmp_path, line_break):
    lines = b"".join(line.encode() + line_break for line in good(20))
    (tmp_path / "x.log").write_bytes(lines + line_break * 3_000_000 + call(30).encode() + line_break)
    data = asked(tmp_path / "x.log").json()["data"]
    assert (data["calls"], data["unparsed"]) == (21, 0)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_utf_16_without_a_byte_order_mark(asked, tmp_path, codec):
    log = tmp_path / "x.log"
    lines = [call(at, app="客服", status="500", code="InternalError", message="系统错误，请稍后") for at in range(5)]
    log.write_bytes(("\n".join(lines) + "\n").encode(codec))
    ran = asked(log)
    assert ran.code == 3
    assert "--encoding utf-16" in ran.json()["errors"][0]["hint"]
    envelope = asked(log, "--encoding", codec, "--app", "客服").json()
    assert (envelope["data"]["calls"], envelope["data"]["failures"], envelope["partial"]) == (5, 5, False)


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
