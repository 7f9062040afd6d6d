"""Who asks: each source of the standard chain that no other test covers, and what is said when none has a key."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cloud.asking import KEY_ID, SECRET

ROLE = "chat-reader"
TOKEN = "a-token-nobody-may-see"  # noqa: S105 - no secret


class Metadata(BaseHTTPRequestHandler):
    """The metadata service of an ECS instance, reached as through a proxy: no address but the loopback is used."""

    def do_PUT(self):
        self._answer(200, TOKEN)

    def do_GET(self):
        path = self.path.removeprefix("http://100.100.100.200")
        listing = "/latest/meta-data/ram/security-credentials/"
        if self.headers.get("X-aliyun-ecs-metadata-token") != TOKEN or path not in {listing, listing + ROLE}:
            self._answer(404, "")
        elif path == listing:
            self._answer(200, ROLE)
        else:
            expires = (datetime.now(UTC) + timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
            key = {"AccessKeyId": KEY_ID, "AccessKeySecret": SECRET, "SecurityToken": TOKEN}
            self._answer(200, json.dumps({"Code": "Success", "Expiration": expires, **key}))

    def _answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def metadata():
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


def without_key(here, **environ):
    """Give the environment of somebody whose shell holds no key; what leaves the loopback ends at a closed port."""
    closed = "http://127.0.0.1:9"
    for name in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
        here.environ.pop(name)
    here.environ.update({"http_proxy": closed, "https_proxy": closed, "no_proxy": "127.0.0.1", **environ})


def test_the_role_of_an_ecs_instance_asks_with_its_token(cloud, here, metadata):
    cloud.create("app", "calls")
    cloud.tokens[KEY_ID] = TOKEN
    here.profile(cloud)
    without_key(here, ALIBABA_CLOUD_ECS_METADATA_DISABLED="false", http_proxy=metadata)
    ran = here.run("doctor", "-o", "json")
    identity = ran.json()["data"]["identity"]
    assert "ECS" in identity["source"]
    assert next(check for check in ran.json()["data"]["checks"] if check["name"] == "logstore")["state"] == "ok"
    assert TOKEN not in ran.out + ran.err


@pytest.mark.parametrize("verb", ["status", "doctor"])
def test_without_a_key_one_line_says_where_it_was_looked_for(cloud, here, verb):
    here.profile(cloud)
    without_key(here, ALIBABA_CLOUD_ECS_METADATA_DISABLED="false")
    ran = here.run(verb)
    said = ran.err if verb == "status" else ran.out
    assert "no Alibaba Cloud credentials: environment, OIDC, ~/.aliyun/config.json and ECS role have none" in said
    assert "Traceback" not in ran.out + ran.err
    assert len(ran.err.splitlines()) == (2 if verb == "status" else 0)


KEY, ITS_SECRET = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"


@pytest.mark.parametrize("empty", [False, True], ids=["unset", "empty"])
@pytest.mark.parametrize("halves", [(KEY, ITS_SECRET), (ITS_SECRET, KEY)], ids=["id", "secret"])
@pytest.mark.parametrize("verb", ["status", "doctor"])
def test_half_a_key_in_the_environment_is_told_with_the_other_half(cloud, here, verb, halves, empty):
    given, lacking = halves
    here.profile(cloud)
    without_key(here, **{given: "hunter2"}, **({lacking: ""} if empty else {}))
    ran = here.run(verb, "-o", "json")
    envelope = ran.json()
    if verb == "status":
        [problem] = envelope["errors"]
        said, fix = problem["message"], problem["hint"]
    else:
        [check] = envelope["data"]["checks"]
        said, fix = check["detail"], check["fix"]
    assert f"{given} is set, but {lacking} is not" in said
    assert fix.startswith(f"set {lacking} too")
    assert "hunter2" not in ran.out + ran.err


def test_what_fails_in_oidc_is_told_without_its_token(cloud, here):
    here.profile(cloud)
    (here.folder / "token").write_text(TOKEN)
    arn = "acs:ram::1:role/reader"
    oidc = {"ALIBABA_CLOUD_ROLE_ARN": arn, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": arn}
    without_key(here, ALIBABA_CLOUD_OIDC_TOKEN_FILE=str(here.folder / "token"), **oidc)
    ran = here.run("status")
    assert ran.code == 3
    assert "OIDC fails (STS gives no answer)" in ran.err
    assert TOKEN not in ran.out + ran.err


def test_a_cli_profile_without_a_key_is_named(cloud, here):
    here.profile(cloud)
    without_key(here)
    (here.folder / ".aliyun").mkdir()
    profile = {"name": "x", "mode": "AK", "access_key_id": "", "access_key_secret": ""}
    (here.folder / ".aliyun/config.json").write_text(json.dumps({"current": "x", "profiles": [profile]}))
    assert "~/.aliyun/config.json: the access key id is empty" in here.run("status").err
