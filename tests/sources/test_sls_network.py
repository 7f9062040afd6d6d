"""An endpoint that cannot be reached, or is none: one short line with the setting to mend."""

import socket

import pytest

from tests.cloud import faults
from tests.cloud.filled import index


@pytest.fixture
def closed():
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def problem(here, *words, **environ):
    ran = here.run(*words, "-o", "json", "--timeout", "2", **environ)
    [found] = ran.json()["errors"]
    assert len(found["message"]) < 400
    assert "\n" not in found["message"]
    assert "object at 0x" not in found["message"]
    assert "Error(" not in found["message"]
    return ran.code, found


def at(here, cloud, endpoint):
    """Let the profile name another endpoint."""
    here.profile(cloud)
    config = here.folder / "llmops.toml"
    config.write_text(config.read_text().replace(cloud.endpoint, endpoint))


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy"])
def test_a_dead_proxy_is_named(cloud, here, closed, name):
    at(here, cloud, "http://sls.test" if name == "http_proxy" else "https://sls.test")
    code, found = problem(here, "status", **{name: f"http://127.0.0.1:{closed}"})
    assert (code, found["code"]) == (3, "sls_unreachable")
    assert "the proxy" in found["message"]
    assert "connection refused" in found["message"]
    assert "no_proxy" in found["hint"]


def test_nobody_at_the_endpoint(cloud, here, closed):
    at(here, cloud, f"http://127.0.0.1:{closed}")
    code, found = problem(here, "status")
    assert (code, found["code"]) == (3, "sls_unreachable")
    assert found["message"].endswith("connection refused")
    assert "sls.endpoint" in found["hint"]


def test_an_endpoint_without_tls_is_not_said_to_have_a_wrong_certificate(cloud, here):
    at(here, cloud, cloud.endpoint.replace("http", "https"))
    code, found = problem(here, "status")
    assert (code, found["code"], found["retryable"]) == (3, "sls_unreachable", False)
    assert "certificate" not in found["message"]
    assert "TLS" in found["message"]
    assert f"http://127.0.0.1:{cloud.port}" in found["hint"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:99999", "sls.test:0", "sls.test:", "http://", "..", "a..b", "-a.test", "[::1", "http://[::g]",
        "x" * 64 + ".test", "ftp://sls.test", "sls.test/path", "a b",
    ],
)  # fmt: skip
def test_an_endpoint_that_is_none_is_a_wrong_configuration(cloud, here, endpoint):
    at(here, cloud, endpoint)
    code, found = problem(here, "status")
    assert (code, found["code"]) == (2, "config_value")
    assert "llmops.toml:5: profiles.prod.sls.endpoint " in found["message"]


@pytest.mark.parametrize("names", [{"project": "a/b"}, {"project": "a.b"}, {"project": "a@b"}, {"logstore": "a/../b"}])
def test_a_name_that_would_change_the_address_is_a_wrong_configuration(cloud, here, names):
    here.profile(cloud, **names)
    code, found = problem(here, "status")
    assert (code, found["code"]) == (2, "config_value")
    assert f"profiles.prod.sls.{next(iter(names))}" in found["message"]


@pytest.mark.parametrize(
    "endpoint", ["cn-beijing.log.aliyuncs.com", "https://[::1]:443", "sls.test:65535", "localhost"]
)
def test_an_endpoint_that_is_one_is_taken(cloud, here, endpoint):
    at(here, cloud, endpoint)
    assert here.run("config", "show").code == 0


@pytest.mark.parametrize("verb", [("status",), ("trace", "5e564fe1-2d7e"), ("doctor",)], ids=lambda verb: verb[0])
@pytest.mark.parametrize(
    "said",
    ["{long}", "denied by sts, action: log:{long}", "Column '{long}' cannot be resolved", "security token {long}"],
)
def test_what_the_service_says_is_cut(cloud, here, verb, said):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    long = "x" * 50_000
    cloud.fail(faults.Status(400, long, said.format(long=long)), times=None)
    ran = here.run(*verb, "-o", "json")
    assert len(ran.out + ran.err) < 8000
    assert len(here.run(*verb).err) < 1500
