"""Log Service at its worst, with every verb that asks it: too much, too slow, never, and with keys that must not show."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from tests.cloud import faults
from tests.cloud.asking import KEY_ID, SECRET
from tests.cloud.filled import CALL, TRACE, index

TOKEN = "CAISloopbackTokenOfAnHour0123456789abcdef"  # noqa: S105 - of no account
LOGS = "/logs$"
ASKING = (
    ("status",), ("drill",), ("drill", "--by", "model"), ("trace", TRACE), ("quota",), ("recover",),
    ("recover", "throttle", "--model", "qwen-plus"), ("recover", "expand", "--model", "qwen-plus"), ("recover", "ticket"),
)  # fmt: skip
CHANGING = (
    ("doctor",), ("collect", "init", "--yes"), ("collect", "logtail", "--path", "/var/log/app", "--machine-ip", "10.0.0.7", "--yes"), ("dashboard", "apply", "--yes"),
    ("alerts", "apply", "--yes"), ("collect", "upload", "app.log", "--yes"),
)  # fmt: skip


@pytest.fixture
def calls(cloud, here):
    """A logstore with a few calls, some refused, the profile that names it, and a log file beside it."""
    cloud.create("app", "calls", index=index())
    cloud.put("app", "calls", [CALL] * 3 + [{**CALL, "status_code": 401, "error_code": "InvalidApiKey"}] * 60)
    here.profile(cloud)
    line = f"[traceId:{TRACE}] [c.a.S#chat():67] [main] - shop,Chat,qwen-plus,llm-1,r1,200,800,10,5,15,,"
    (here.folder / "app.log").write_text(f"{time.strftime('%Y-%m-%d %H:%M:%S')}.000 INFO  {line}\n")
    return cloud


def side_by_side(here, verbs, *more, **environ):
    """Run verbs side by side; give each verb with how it ended."""
    with ThreadPoolExecutor(4) as threads:
        ended = threads.map(lambda verb: here.run(*verb, *more, **environ), verbs)
        return list(zip(verbs, ended, strict=True))


def test_more_groups_than_are_read_is_said(calls, here):
    calls.put("app", "calls", [{**CALL, "workspace": f"llm-{number}"} for number in range(21_000)])
    ran = here.run("status", "-o", "json")
    assert (ran.code, ran.json()["partial"]) == (0, True)
    assert "demand: only the 40,000 largest groups were read" in ran.json()["sources"][0]["detail"]
    assert ran.json()["data"]["calls"] == 21_063


class Elsewhere(BaseHTTPRequestHandler):
    """Sends whoever asks to another host, and keeps what that host is shown."""

    def do_POST(self):
        self.server.shown.append(dict(self.headers))
        self.send_response(307)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.do_POST()

    def log_message(self, *_):
        """Say nothing."""


@pytest.mark.parametrize("verb", [("status",), ("trace", TRACE), ("collect", "init")], ids=lambda verb: verb[0])
def test_no_redirect_is_followed(here, verb):
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        server.shown = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        here.profile(SimpleNamespace(endpoint=f"http://127.0.0.1:{server.server_port}"))
        ran = here.run(*verb, ALIBABA_CLOUD_SECURITY_TOKEN=TOKEN)
        server.shutdown()
        thread.join(10)
    assert ran.code == 3
    assert f"redirects to http://localhost:{server.server_port}/elsewhere, which is not followed" in ran.err
    assert not [shown for shown in server.shown if shown["Host"].startswith("localhost")]
    assert len(server.shown) <= 5


@pytest.mark.parametrize("message", ["null", "7", "[1]", '{"a": 1}'])
def test_a_refusal_may_have_any_message(calls, here, message):
    calls.fail(faults.Body(f'{{"errorCode": "Odd", "errorMessage": {message}}}'.encode(), 400), times=None)
    ran = here.run("status")
    assert (ran.code, "internal" in ran.err) == (3, False)
    assert "Odd (400)" in ran.err


def test_what_a_look_back_does_not_learn_in_time_is_said(calls, here):
    """The baseline is unhealthy, too, so that more is asked; nothing more comes."""
    now = int(time.time())
    failed = {**CALL, "status_code": 500, "error_code": "InternalError"}
    calls.put("app", "calls", [{**failed, "__time__": now - ago} for ago in range(0, 3000, 5)])
    calls.fail(faults.Silence(), LOGS, times=None)
    calls.fail(faults.Slow(0.01), LOGS, times=5)
    ran = here.run("status", "-o", "json", "--timeout", "3")
    envelope = ran.json()
    assert (ran.code, envelope["partial"], envelope["data"]["verdict"]) == (0, True, "critical")
    assert "not everything was asked" in envelope["sources"][0]["detail"]


def test_no_verb_waits_for_an_answer_that_drips(calls, here):
    calls.fail(faults.Drip(1), times=None)
    for verb, ran in side_by_side(here, (*ASKING, *CHANGING), "-o", "json", "--timeout", "2"):
        said = ran.out + ran.err
        assert ran.code in (0, 3), (verb, said)
        assert "within 2 s" in said or "no answer in time" in said, (verb, said)
        assert "Traceback" not in said


@pytest.mark.parametrize("verb", [("status",), ("trace", TRACE), ("doctor",), ("collect", "init", "--dry-run")])
def test_ctrl_c_ends_every_verb(calls, here, verb):
    calls.fail(faults.Silence(), times=None)
    with here.start(*verb, "--timeout", "60") as process:
        for _ in range(200):
            if calls.requests:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in out + err


def test_a_temporary_key_is_used_with_its_token(calls, here):
    calls.tokens[KEY_ID] = TOKEN
    assert here.run("status", "-o", "json", ALIBABA_CLOUD_SECURITY_TOKEN=TOKEN).json()["data"]["calls"] == 63
    assert {request.headers.get("x-acs-security-token") for request in calls.asked(LOGS)} == {TOKEN}
    for token in ("", "another"):
        ran = here.run("status", "-o", "json", ALIBABA_CLOUD_SECURITY_TOKEN=token)
        [problem] = ran.json()["errors"]
        assert (ran.code, problem["code"]) == (3, "credentials_expired")
        assert "ALIBABA_CLOUD_SECURITY_TOKEN" in problem["hint"]


@pytest.mark.parametrize(
    "fault",
    [
        None,
        faults.Status(401, "Unauthorized", f"denied {KEY_ID} {TOKEN}"),
        faults.Body(f"<html>{KEY_ID} {TOKEN}</html>".encode(), 502),
    ],
    ids=["well", "refused", "garbage"],
)
def test_no_secret_is_shown_or_kept(calls, here, fault):
    calls.tokens[KEY_ID] = TOKEN
    if fault is not None:
        calls.fail(fault, times=None)
    before = set(here.folder.rglob("*"))
    environ = {"ALIBABA_CLOUD_SECURITY_TOKEN": TOKEN, "LLMOPS_DEBUG": "1"}
    more = ("--timeout", "1") if fault else ()
    ran = side_by_side(here, (*ASKING, *CHANGING), *more, **environ)
    ran += side_by_side(here, ASKING[:2] + CHANGING[:1], "-o", "json", *more, **environ)
    kept = [path for path in set(here.folder.rglob("*")) - before if path.is_file()]
    for text in [one.out + one.err for _, one in ran] + [path.read_text(errors="replace") for path in kept]:
        for secret in (KEY_ID, SECRET, TOKEN):
            assert secret not in text
    if fault is None:
        assert all(one.code == 0 for _, one in ran), [(verb, one.err) for verb, one in ran if one.code]
