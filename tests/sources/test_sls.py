"""The same verbs on a logstore: the same calls give the same answers, at the price of one round of queries."""

import re
from datetime import UTC

import pytest

from llmops_cli.demo.scenarios import SCENARIOS
from tests.cloud.filled import index, logs

FROM, TO, END = "2025-07-09T14:15:00Z", "2025-07-09T14:30:00Z", "2025-07-09T14:30:00+00:00"
WINDOW = ("--from", FROM, "--to", TO, "--timezone", "UTC")
NAMES = {"model": "modelName", "duration_ms": "cost", "error_code": "errCode", "trace_id": "traceId"}


def story(here, name):
    """Write a demo log; return its path."""
    log = here.folder / f"{name}.log"
    words = ("demo", name, "--calls", "5000", "--seed", "3", "--out", str(log), "--no-walk")
    assert here.run(*words, "--end", END, "--timezone", "UTC").code == 0
    return log


def filled(cloud, log, **how):
    """Fill the logstore `calls` of project `app` with a log."""
    cloud.create("app", "calls", index=index(names=how.get("names")))
    cloud.put("app", "calls", list(logs(log, UTC, **how)))


def both(cloud, here, log, *words):
    """Ask a log file and the logstore the same; return both envelopes."""
    limits = log.with_suffix(".toml").read_text()
    table = "".join(re.findall(r"\[profiles\.\w+\.limits[^\[]*", limits)).replace("profiles.demo", "profiles.prod")
    here.profile(cloud, more=re.sub(r"profiles\.\w+\.limits", "profiles.prod.limits", table))
    asked = (*words, *WINDOW, "-o", "json")
    local, remote = here.run(*asked, "--log", str(log)), here.run(*asked)
    assert (local.code, remote.code, remote.err) == (0, 0, ""), remote.out + remote.err
    return local.json(), remote.json()


def alike(one, other, path="data"):
    """Compare two answers: counts, names and times equal, times and percentiles near."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            if key not in SAID:
                alike(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), (path, one, other)
        for place, pair in enumerate(zip(one, other, strict=True)):
            alike(*pair, f"{path}[{place}]")
    elif isinstance(one, float) or isinstance(other, float):
        assert one == pytest.approx(other, rel=0.02), path
    else:
        assert one == other, path


SAID = {
    "next", "paste", "levels_command", "command", "text", "evidence", "detail", "started_at", "refuted_by", "headline",
    "request_ids", "refused_at",
}  # fmt: skip
"""What names the source, or the millisecond that Log Service does not keep."""


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_story_has_the_same_status(cloud, here, name):
    log = story(here, name)
    filled(cloud, log)
    local, remote = both(cloud, here, log, "status")
    assert remote["sources"][0]["name"] == "sls"
    alike(local["data"], remote["data"])
    for one, other in zip(*(each["data"]["incidents"] for each in (local, remote)), strict=True):
        assert (one["started_at"] or "")[:18] == (other["started_at"] or "")[:18]
    assert local["data"]["headline"].partition(" since ")[0] == remote["data"]["headline"].partition(" since ")[0]


@pytest.mark.parametrize("name", ["healthy", "rate-limit", "two-faults"])
def test_one_round_of_queries_tells_all(cloud, here, name):
    """With it came the failed calls, of which each incident shows one."""
    log = story(here, name)
    filled(cloud, log)
    here.profile(cloud)
    ran = here.run("status", *WINDOW, "-o", "json").json()["data"]
    assert len(cloud.requests) == 5
    for incident in ran["incidents"]:
        assert any(step.startswith("llmops trace ") for step in incident["next"])


def test_a_field_that_no_failed_call_has_is_left_out_of_what_is_shown(cloud, here):
    log = story(here, "rate-limit")
    names = index()
    del names["keys"]["request_id"]
    cloud.create("app", "calls", index=names)
    cloud.put("app", "calls", list(logs(log, UTC)))
    here.profile(cloud)
    ran = here.run("status", *WINDOW, "-o", "json").json()
    assert "request ids" in ran["sources"][0]["detail"]
    assert any(step.startswith("llmops trace ") for step in ran["data"]["incidents"][0]["next"])


@pytest.mark.parametrize("name", ["two-faults", "latency"])
@pytest.mark.parametrize(
    "words", [("drill",), ("drill", "--by", "model", "--by", "workspace"), ("quota",), ("recover",)]
)
def test_the_other_verbs_answer_alike(cloud, here, name, words):
    log = story(here, name)
    filled(cloud, log)
    local, remote = both(cloud, here, log, *words)
    alike(local["data"], remote["data"])


def test_recovery_answers_alike(cloud, here):
    log = story(here, "rate-limit")
    filled(cloud, log)
    for words in (("recover", "throttle"), ("recover", "expand")):
        local, remote = both(cloud, here, log, *words)
        alike(local["data"], remote["data"])


@pytest.mark.parametrize("how", [{}, {"names": NAMES}, {"raw": True}], ids=["fields", "other names", "raw message"])
def test_a_logstore_may_hold_calls_in_another_shape(cloud, here, how):
    log = story(here, "rate-limit")
    filled(cloud, log, **how)
    local = here.run("status", "--log", str(log), *WINDOW, "-o", "json").json()
    fields = how.get("names") or ({"message": "message"} if how.get("raw") else {})
    said = ", ".join(f'{name} = "{key}"' for name, key in fields.items())
    here.profile(cloud, more=f"fields = {{ {said} }}\n" if said else "")
    remote = here.run("status", *WINDOW, "-o", "json").json()
    for key in ("calls", "failures", "errors", "tokens", "feedback", "duration_ms"):
        alike(local["data"][key], remote["data"][key], key)
    narrowed = here.run("status", *WINDOW, "-o", "json", "--model", "qwen-plus").json()["data"]
    alone = here.run("status", "--log", str(log), *WINDOW, "-o", "json", "--model", "qwen-plus").json()["data"]
    assert narrowed["calls"] == alone["calls"] > 0
    if not how.get("raw"):
        assert 'modelName: "qwen-plus"' in cloud.requests[-1].text or 'model: "qwen-plus"' in cloud.requests[-1].text


@pytest.mark.parametrize("how", [{}, {"names": NAMES}, {"raw": True}], ids=["fields", "other names", "raw message"])
def test_a_trace_is_found_by_the_index(cloud, here, how):
    log = story(here, "bad-key")
    filled(cloud, log, **how)
    fields = how.get("names") or ({"message": "message"} if how.get("raw") else {})
    said = ", ".join(f'{name} = "{key}"' for name, key in fields.items())
    here.profile(cloud, more=f"fields = {{ {said} }}\n" if said else "")
    trace_id = re.findall(r"traceId:([0-9a-f-]{36})\].*InvalidApiKey", log.read_text())[-1]
    local = here.run("trace", trace_id, "--log", str(log), *WINDOW, "-o", "json").json()["data"]
    assert local["found"]
    for wanted in (trace_id, trace_id[:13], *(() if how.get("raw") else (local["calls"][0]["request_id"],))):
        remote = here.run("trace", wanted, *WINDOW, "-o", "json").json()["data"]
        assert remote["trace_id"] == trace_id
        assert [line["message"] for line in remote["lines"]] == [line["message"] for line in local["lines"]]
        alike(local["calls"], remote["calls"])
    assert not any("select" in request.text for request in cloud.requests)
    gone = here.run("trace", "ffffffff-0000", *WINDOW, "-o", "json").json()["data"]
    assert "--log" not in str(gone)
    assert gone["found"] is False


def test_a_trace_without_a_window_says_how_far_back_it_looked(cloud, here):
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    envelope = here.run("trace", "ffffffff-0000", "-o", "json").json()
    assert "the last 7 days" in envelope["sources"][0]["detail"]


@pytest.mark.parametrize("lacking", ["module", "error_message", "total_tokens", "status_code", "duration_ms", "rating"])
def test_a_field_that_the_index_lacks_is_left_out_and_said(cloud, here, lacking):
    log = story(here, "rate-limit")
    cloud.create("app", "calls", index=index(without=(lacking,)))
    cloud.put("app", "calls", list(logs(log, UTC)))
    here.profile(cloud)
    ran = here.run("status", *WINDOW, "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    local = here.run("status", "--log", str(log), *WINDOW, "-o", "json").json()["data"]
    assert ran.json()["partial"] is False
    assert "not in the index, so not known" in ran.json()["sources"][0]["detail"]
    if lacking != "duration_ms":
        assert (ran.json()["data"]["calls"], ran.json()["data"]["failures"]) == (local["calls"], local["failures"])
    if lacking == "rating":
        assert ran.json()["data"]["feedback"]["ratings"] == 0
