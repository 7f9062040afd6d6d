"""Whatever shape a log has, it is read: files, globs, rotated sets, compressed, piped, from containers, in GBK."""

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import zstandard

from .logs import MINUTE, NOON_MS, call, event, quiet, write

WHERE = ("--timezone", "+08:00", "--from", str(NOON_MS), "--since", "15m")
LINES = quiet(NOON_MS, 15)
TEXT = "".join(f"{line}\n" for line in LINES)


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status(llmops, *logs, more=()):
    ran = llmops("status", *(word for log in logs for word in ("--log", log)), *WHERE, *more, "-o", "json")
    assert ran.code == 0, ran.err
    return ran.json()


def counts(answer):
    data = answer["data"]
    return data["calls"], data["failures"], data["unparsed"]


def test_the_two_lines_of_the_standard(llmops, here):
    """The samples to the letter: one blank after INFO, a result and a failure."""
    good = (
        "2025-07-09 14:23:24.748 INFO [traceId:41ea65e3-0b4c-4b65-8567-325a6128eddf] "
        "[c.a.c.s.i.ChatServiceImpl#chat():67] [http-nio-8080-exec-1] - bailian-log,Chat,qwen-plus,"
        "llm-6qtsrlugmu6wanfs,6c958db4-d489-9de8-b5d4-9fc872f24ce2,200,1141,24,9,33,,"
    )
    bad = (
        "2025-07-09 08:26:33.833 ERROR [traceId:63384a39-bbfe-489b-a290-6635975fc633] "
        "[c.a.c.s.i.ChatServiceImpl#chat():72] [http-nio-8080-exec-3] - bailian-log,Chat,qwen-plus,"
        "llm-6qtsrlugmu6wanfs,83a0cb5d-07f9-9fd2-9985-1c05b339f5d5,401,38,0,0,0,InvalidApiKey,"
        "Invalid API-key provided."
    )
    write(here / "app.log", [good, bad])
    words = ("--log", "app.log", "--timezone", "+08:00")
    ran = llmops("status", *words, "--from", "2025-07-09", "--to", "2025-07-10", "-o", "json").json()["data"]
    assert (ran["calls"], ran["failures"], ran["unparsed"]) == (2, 1, 0)
    assert ran["tokens"] == {"input": 24, "output": 9, "total": 33}
    assert ran["duration_ms"]["max"] == 1141
    (error,) = ran["errors"]
    assert (error["status_code"], error["error_code"], error["family"], error["retry"]) == (
        401,
        "InvalidApiKey",
        "auth",
        "no",
    )
    data = llmops("trace", "63384a39", *words, "-o", "json").json()["data"]
    assert data["calls"][0]["error_message"] == "Invalid API-key provided."
    assert data["lines"][0]["logger"] == "c.a.c.s.i.ChatServiceImpl"
    assert data["request_ids"] == ["83a0cb5d-07f9-9fd2-9985-1c05b339f5d5"]


def test_files_globs_and_directories_count_each_file_once(llmops, here):
    (here / "deep").mkdir()
    write(here / "a.log", LINES[:20])
    write(here / "b.log", LINES[20:])
    write(here / "deep" / "c.log", LINES)
    for logs in (["a.log", "b.log"], ["*.log"], ["."], ["a.log", "*.log", ".", str(here / "b.log")]):
        assert counts(status(llmops, *logs)) == (60, 0, 0), logs
    assert counts(status(llmops, "**/*.log"))[0] == 120


def test_a_rotated_set_is_one_log(llmops, here):
    write(here / "app.log", LINES[40:])
    write(here / "app.log.1", LINES[20:40])
    (here / "app.log.2.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in LINES[:20]).encode()))
    assert counts(status(llmops, ".")) == (60, 0, 0)
    assert counts(status(llmops, "app.log*")) == (60, 0, 0)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("name", ["app.log.gz", "app.log"])
def test_compressed_logs_are_known_by_their_bytes(llmops, here, pack, name):
    (here / name).write_bytes(pack(TEXT.encode()))
    assert counts(status(llmops, name)) == (60, 0, 0)


def piped(data):
    ran = subprocess.run(
        [sys.executable, "-m", "llmops_cli", "status", "--log", "-", *WHERE, "-o", "json"],
        input=data,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_standard_input():
    assert counts(piped(TEXT.encode())) == (60, 0, 0)


def test_compressed_standard_input():
    assert counts(piped(gzip.compress(TEXT.encode()))) == (60, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        TEXT.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode().rstrip(b"\n"),
        b"\0" * 4096 + TEXT.encode(),
        TEXT.encode("utf-16"),
    ],
    ids=["CRLF", "BOM", "torn", "NUL", "UTF-16"],
)
def test_bytes_that_are_not_quite_plain(llmops, here, data):
    (here / "app.log").write_bytes(data)
    words = ("--encoding", "utf-16") if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ()
    assert counts(status(llmops, "app.log", more=words)) == (60, 0, 0)


def test_gbk_by_option(llmops, here):
    lines = [call(NOON_MS + n, app="客服", status=429, code="Throttling", message="请求过于频繁") for n in range(30)]
    (here / "app.log").write_bytes("".join(f"{line}\n" for line in lines).encode("gbk"))
    data = status(llmops, "app.log", more=("--encoding", "gbk", "--app", "客服"))["data"]
    assert data["calls"] == 30
    trace_id = lines[7].partition("traceId:")[2].partition("]")[0]
    found = llmops(
        "trace", trace_id, "--log", "app.log", "--timezone", "+08:00", "--encoding", "gbk", "-o", "json"
    ).json()
    assert found["data"]["calls"][0]["error_message"] == "请求过于频繁"


@pytest.mark.parametrize(
    "codec",
    ["utf-8", "gb18030", "big5", "cp1252", "latin-1", "shift_jis", "euc-jp", "euc-kr", "utf-16", "utf-32"],
)
def test_the_usual_encodings_are_read(llmops, here, codec):
    lines = [call(NOON_MS + n, app="a\\b~c+d-", status=500) for n in range(30)]
    (here / "app.log").write_bytes("".join(f"{line}\n" for line in lines).encode(codec))
    assert counts(status(llmops, "app.log", more=("--encoding", codec, "--app", "a\\b~c+d-"))) == (30, 30, 0)


@pytest.mark.parametrize(
    "codec",
    ["utf-7", "utf_7", "U7", "punycode", "idna", "unicode_escape", "raw_unicode_escape", "hz", "iso2022_kr", "cp037"],
)
def test_an_encoding_whose_ascii_is_no_ascii_is_refused(llmops, here, codec):
    ran = llmops("status", "--log", "app.log", "--encoding", codec)
    assert (ran.code, ran.out) == (2, "")
    error, hint = ran.err.splitlines()
    assert codec in error
    assert "utf-8, gbk" in hint


def docker(line):
    return json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2025-07-09T04:00:00.0Z"})


@pytest.mark.parametrize(
    "wrap",
    [
        docker,
        lambda line: f"2025-07-09T04:00:00.000000000Z stdout F {line}",
        lambda line: f"[pod/chat-7d9f-x2x/app] {line}",
    ],
    ids=["docker", "cri", "kubectl --prefix"],
)
def test_container_output_needs_no_option(llmops, here, wrap):
    write(here / "app.log", map(wrap, LINES))
    assert counts(status(llmops, "app.log")) == (60, 0, 0)


def test_lines_that_look_like_calls_but_are_none_are_counted_and_shown(llmops, here):
    broken = LINES[5].replace(",200,900,", ",200,soon,")
    write(here / "app.log", [*LINES[:5], broken, *LINES[6:]])
    answer = status(llmops, "app.log")
    assert counts(answer) == (59, 0, 1)
    assert "1 line unparsed" in llmops("status", "--log", "app.log", *WHERE).out
    assert "1 line unparsed" in llmops("status", "--log", "app.log", *WHERE, "-o", "markdown").out


def test_what_only_quotes_a_call_is_none(llmops, here):
    quoted = LINES[0]
    write(
        here / "app.log",
        [
            *LINES[:10],
            event(NOON_MS + 1, f"prompt:what is wrong here: {quoted}", level="DEBUG"),
            event(NOON_MS + 2, "result:" + quoted.rpartition(" - ")[2], level="DEBUG"),
            event(NOON_MS + 3, "java.lang.IllegalStateException: oops", level="ERROR"),
            f"\tat x.Y.z(Y.java:1) {quoted}",
            "Caused by: a,b,c,d,e,200,1,2,3,4,,",
            event(NOON_MS + 4, "a, b, c and so on"),
            "x" * 1_000_000,
        ],
    )
    assert counts(status(llmops, "app.log"))[:2] == (10, 0)


def test_lines_out_of_order_are_counted_all_the_same(llmops, here):
    lines = LINES[:]
    lines[3], lines[50] = lines[50], lines[3]
    write(here / "app.log", [*quiet(NOON_MS - 60 * MINUTE, 60), *lines, *quiet(NOON_MS + 15 * MINUTE, 60)])
    assert counts(status(llmops, "app.log")) == (60, 0, 0)


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_bad_pattern_is_told_from_where_it_came(llmops, here, output):
    (here / "llmops.toml").write_text('[profiles.prod]\nlog = "app.log"\npattern = "%d{"\n')
    write(here / "app.log", quiet(NOON_MS, 1))
    ran = llmops("status", "--profile", "prod", "-o", output)
    said = ran.err if output == "table" else ran.json()["errors"][0]["message"]
    assert ran.code == 2
    assert f"{here}/llmops.toml:3: profiles.prod.pattern: column 3: " in said
    assert "--pattern" not in said
    ran = llmops("status", "--profile", "prod", "--pattern", "%nonsense", "-o", output)
    said = ran.err if output == "table" else ran.json()["errors"][0]["message"]
    assert ran.code == 2
    assert "--pattern: column 1" in said
    assert "llmops.toml" not in said


def test_a_pattern_of_ones_own(llmops, here):
    lines = []
    for n in range(40):
        ms = NOON_MS + n * 1000
        at = datetime.fromtimestamp(ms / 1000, UTC)
        body = call(ms).partition(" - ")[2]
        lines.append(f"{at:%d/%b/%Y:%H:%M:%S},{ms % 1000:03d}|INFO |t-{n:08d}|main| {body}")
    write(here / "app.log", lines)
    pattern = "%d{dd/MMM/yyyy:HH:mm:ss,SSS}|%-5level|%X{traceId:-none}|%thread| %msg%n"
    ran = llmops(
        "status", "--log", "app.log", "--timezone", "UTC", "--pattern", pattern, "--from", str(NOON_MS), "-o", "json",
        "--since", "15m",
    )  # fmt: skip
    assert ran.json()["data"]["calls"] == 40
    found = llmops("trace", "t-00000007", "--log", "app.log", "--timezone", "UTC", "--pattern", pattern, "-o", "json")
    assert found.json()["data"]["calls"][0]["time"] == "2025-07-09T04:00:07.000+00:00"


def test_unknown_codes_fall_back_to_the_family_of_their_status(llmops, here):
    statuses = {429: "rate_limit", 500: "server_error", 403: "permission", 404: "not_found", 400: "bad_request"}
    lines = [call(NOON_MS + n, status=s, code=f"NeverSeen{s}", message="?") for n, s in enumerate(statuses)]
    lines += [call(NOON_MS + 50 + n, status=s, code="SocketTimeoutException") for n, s in enumerate(("", "-1", "null"))]
    write(here / "app.log", lines)
    data = status(llmops, "app.log")["data"]
    assert (data["calls"], data["failures"], data["unparsed"]) == (8, 8, 0)
    for row in data["errors"]:
        if row["error_code"].startswith("NeverSeen"):
            assert row["family"].startswith(statuses[row["status_code"]])
        else:
            assert row["family"] in {"timeout", "network"}
