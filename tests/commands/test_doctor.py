"""`llmops doctor`: each part of each source, one line, with the fix; and never a secret."""

import time

import pytest

from tests.cloud import faults
from tests.cloud.asking import KEY_ID, REGION, SECRET
from tests.cloud.filled import index

CALL = {"app": "shop", "model": "qwen-plus", "duration_ms": 800, "status_code": 200}


@pytest.fixture
def here(here, cloud):
    """Give a desk whose profile names a logstore with a call of now."""
    cloud.create("app", "calls", index=index())
    cloud.put("app", "calls", [CALL])
    return here.profile(cloud)


def checks(ran):
    """Give the checks of an answer by name, and see that no secret is in it."""
    assert KEY_ID not in ran.out
    assert SECRET not in ran.out
    return {check["name"]: check for check in ran.json()["data"]["checks"]}


def test_all_is_well(here):
    ran = here.run("doctor", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    found = checks(ran)
    assert list(found) == ["identity", "project", "clock", "logstore", "index", "field", "newest_log"]
    assert {check["state"] for check in found.values()} == {"ok"}
    identity = ran.json()["data"]["identity"]
    assert (identity["type"], identity["source"]) == ("AccessKey", "environment")
    assert identity["key_id"] == "LTAI…ey01"
    assert here.run("doctor", "--check").code == 0
    assert "all is well, 7 looked at" in here.run("doctor").out
    assert here.run("doctor", "--check", "-o", "nagios").out.startswith("LLMOPS OK - all is well")


def test_a_temporary_key_from_the_cli_is_told(here, cloud):
    (here.folder / ".aliyun").mkdir()
    (here.folder / ".aliyun/config.json").write_text(
        '{"current": "prod", "profiles": [{"name": "prod", "mode": "StsToken", "region_id": "cn-beijing", '
        f'"access_key_id": "{KEY_ID}", "access_key_secret": "{SECRET}", "sts_token": "token-1"}}]}}'
    )
    cloud.tokens[KEY_ID] = "token-1"
    none = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ""}
    ran = here.run("doctor", "-o", "json", **none)
    identity = ran.json()["data"]["identity"]
    assert identity["type"] == "STS token"
    assert "~/.aliyun/config.json" in identity["source"]
    assert "token-1" not in ran.out
    with (here.folder / "llmops.toml").open("a") as config:
        config.write('[profiles.prod.credentials]\ncli_profile = "prod"\n')
    assert 'profile "prod"' in here.run("doctor", "-o", "json").json()["data"]["identity"]["source"]
    cloud.tokens[KEY_ID] = None
    assert "renew" in checks(here.run("doctor", "-o", "json"))["project"]["fix"]


@pytest.mark.parametrize(
    "case",
    [
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": ""}, None, "identity", "no Alibaba Cloud credentials", "aliyun configure"),
        ({"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another"}, None, "project", "is not that of LTAI…ey01", "set region"),
        ({}, faults.Status(401, "Unauthorized", "no such key"), "project", "refuses LTAI…ey01", "cli_profile"),
        ({}, faults.Status(400, "Whatever", "no"), "project", "Whatever", "common-error-codes"),
        (
            {},
            faults.Status(401, "Unauthorized", "denied by sts or ram, action: log:GetProject, resource: acs:log:*"),
            "project",
            "may not do this",
            "log:GetProject",
        ),
        ({}, faults.Status(404, "ProjectNotExist", "no such project"), "project", 'no project "app"', "collect init"),
    ],
)
def test_who_may_not_ask_is_told_the_setting(here, cloud, case):
    environ, fault, name, said, fix = case
    if fault is not None:
        cloud.fail(fault, times=None)
    ran = here.run("doctor", "-o", "json", **environ)
    assert ran.code == 0
    check = checks(ran)[name]
    assert check["state"] == "failed"
    assert said in check["detail"]
    assert fix in check["fix"]
    assert "doctor" not in ran.out.replace('"command": "doctor"', "")
    assert here.run("doctor", "--check", **environ).code == 2


def test_what_needs_a_missing_part_was_not_looked_at(here):
    here.folder.joinpath("llmops.toml").write_text(
        here.folder.joinpath("llmops.toml").read_text().replace("calls", "gone")
    )
    found = checks(here.run("doctor", "-o", "json"))
    assert found["logstore"]["state"] == "failed"
    assert 'no logstore "gone"' in found["logstore"]["detail"]
    assert {found[name]["state"] for name in ("index", "field", "newest_log")} == {"unknown"}


def test_each_field_that_is_amiss_has_its_line(here, cloud):
    amiss = index(without=("module",))
    amiss["keys"]["model"] = {**amiss["keys"]["model"], "doc_value": False}
    amiss["keys"]["duration_ms"] = amiss["keys"]["app"]
    cloud.create("app", "other", index=amiss)
    here.profile(cloud, logstore="other")
    found = checks(here.run("doctor", "-o", "json"))
    assert "not in the index" in found["field:module"]["detail"]
    assert "no statistics" in found["field:model"]["detail"]
    assert "text, not long" in found["field:duration_ms"]["detail"]
    assert all("llmops collect init" in found[name]["fix"] for name in found if name.startswith("field:"))
    assert found["newest_log"]["state"] == "warning"
    assert here.run("doctor", "--check").code == 1


def test_other_keys_and_raw_messages_are_looked_for_by_their_name(here, cloud):
    cloud.create("app", "renamed", index=index(names={"model": "modelName"}))
    here.profile(cloud, logstore="renamed", more='fields = { model = "modelName" }\n')
    assert checks(here.run("doctor", "-o", "json"))["field"]["state"] == "ok"
    here.profile(cloud, logstore="renamed", more='fields = { message = "body" }\n')
    assert "message (key body)" in checks(here.run("doctor", "-o", "json"))["field:message"]["detail"]


def test_what_only_an_upload_needs_of_the_index_is_a_remark(here, cloud):
    without = index(without=("__tag__:llmops_batch",))
    cloud.create("app", "read", index=without)
    cloud.put("app", "read", [CALL])
    here.profile(cloud, logstore="read")
    check = checks(here.run("doctor", "-o", "json"))["index"]
    assert check["state"] == "ok"
    assert "not __tag__:llmops_batch, which only llmops collect upload needs" in check["detail"]
    assert "llmops collect init --yes" in check["fix"]
    ran = here.run("doctor", "--check")
    assert ran.code == 0
    assert "all is well" in here.run("doctor").out
    (here.folder / "app.log").write_text("2025-07-09 15:00:00.001 WARN  [traceId:t] [a#b():1] [main] - x\n")
    assert here.run("collect", "upload", "app.log", "--dry-run").code == 3
    assert here.run("collect", "init", "--yes").code == 0
    assert here.run("collect", "upload", "app.log", "--dry-run").code == 0
    check = checks(here.run("doctor", "-o", "json"))["index"]
    assert ("upload" in check["detail"], check["fix"]) == (False, "")


@pytest.mark.parametrize(
    ("region", "state", "fix"),
    [
        ("cn-bejing", "warning", 'did you mean "cn-beijing"? It stands at '),
        ("ap-southeast1", "warning", 'did you mean "ap-southeast-1"?'),
        ("us-west-1", "ok", "[profiles.here.limits.MODEL]"),
        ("ap-southeast-3", "ok", "[profiles.here.limits.MODEL]"),
        ("cn-nanjing", "ok", "[profiles.here.limits.MODEL]"),
        ("eu-central-1", "ok", "[profiles.here.limits.MODEL]"),
    ],
)
def test_a_region_without_limits_is_told_and_a_mistyped_one_is_a_warning(here, region, state, fix):
    (here.folder / "app.log").write_text("2025-07-09 15:00:00.001 WARN  [traceId:t] [a#b():1] [main] - x\n")
    config = here.folder / "llmops.toml"
    config.write_text(f'default_profile = "here"\n[profiles.here]\nlog = "app.log"\nregion = "{region}"\n')
    ran = here.run("doctor", "-o", "json")
    check = checks(ran)["limits"]
    assert check["state"] == state
    assert f"cn-beijing, ap-southeast-1 and us-east-1, none for region {region}" in check["detail"]
    assert fix in check["fix"]
    assert here.run("doctor", "--check").code == (1 if state == "warning" else 0)
    config.write_text(config.read_text() + "[profiles.here.limits.qwen-plus]\nrpm = 60\n")
    assert ("MODEL" in checks(here.run("doctor", "-o", "json"))["limits"]["fix"]) is False
    config.write_text(config.read_text().replace(region, "cn-beijing"))
    assert "limits" not in checks(here.run("doctor", "-o", "json"))


def test_an_old_log_and_a_wrong_clock_are_warnings(here, cloud):
    cloud.create("app", "old", index=index())
    cloud.put("app", "old", [{**CALL, "__time__": int(time.time()) - 7200}])
    cloud.clock_offset = 300
    here.profile(cloud, logstore="old")
    found = checks(here.run("doctor", "-o", "json"))
    assert found["newest_log"]["detail"].startswith(("119 min old", "120 min old", "121 min old"))
    assert "behind Log Service's" in found["clock"]["detail"]
    assert "NTP" in found["clock"]["fix"]


def test_numbers_indexed_as_text_are_counted_all_the_same(here, cloud):
    texts = index()
    for name in ("duration_ms", "status_code", "total_tokens"):
        texts["keys"][name] = texts["keys"]["app"]
    cloud.create("app", "texts", index=texts)
    cloud.put("app", "texts", [CALL | {"total_tokens": 15}, CALL | {"duration_ms": "fast"}])
    here.profile(cloud, logstore="texts")
    data = here.run("status", "-o", "json").json()["data"]
    assert (data["calls"], data["failures"], data["tokens"]["total"]) == (1, 0, 15)
    assert checks(here.run("doctor", "-o", "json"))["field:duration_ms"]["state"] == "warning"


def test_log_files_are_looked_at_too(here, tmp_path):
    ran = here.run("doctor", "-o", "json", "--log", str(tmp_path / "gone.log"))
    assert checks(ran)["local"]["state"] == "failed"
    (tmp_path / "app.log").write_text("no header here\n" * 20)
    assert "--pattern" in checks(here.run("doctor", "-o", "json", "--log", str(tmp_path / "app.log")))["local"]["fix"]


def test_sources_that_are_configured_and_not_read_are_said(here):
    with (here.folder / "llmops.toml").open("a") as config:
        config.write('[profiles.prod.prometheus]\nurl = "http://127.0.0.1:9090"\n')
    assert checks(here.run("doctor", "-o", "json"))["prometheus"]["state"] == "unknown"


def test_its_help_says_what_it_does(here):
    assert "Check every configured source" in here.run("doctor", "--help").out


def test_another_region_than_the_project_is_in_is_told(here, cloud):
    cloud.region = "ap-southeast-1"
    found = checks(here.run("doctor", "-o", "json"))
    assert found["region"]["state"] == "warning"
    assert "ap-southeast-1" in found["region"]["detail"]
    assert 'region = "ap-southeast-1"' in found["region"]["fix"]
    config = here.folder / "llmops.toml"
    config.write_text(config.read_text().replace(REGION, "ap-southeast1"))
    found = checks(here.run("doctor", "-o", "json"))
    assert 'region = "ap-southeast-1"' in found["region"]["fix"]
    assert "limits" not in found  # one mistake, one line
    config.write_text(config.read_text().replace("ap-southeast1", "ap-southeast-1"))
    assert "region" not in checks(here.run("doctor", "-o", "json"))


def test_the_fix_of_a_field_mends_it(here, cloud):
    amiss = index(without=("module", "rating"))
    for name in ("model", "total_tokens"):
        amiss["keys"][name] = {**amiss["keys"][name], "doc_value": False}
    amiss["keys"]["duration_ms"] = amiss["keys"]["app"]
    amiss["keys"]["workspace"] = {"type": "long", "doc_value": True}
    cloud.create("app", "other", index=amiss)
    cloud.put("app", "other", [CALL])
    here.profile(cloud, logstore="other")
    found = checks(here.run("doctor", "-o", "json"))
    wrong = {name: check for name, check in found.items() if name.startswith("field:")}
    names = ("module", "model", "workspace", "rating", "duration_ms", "total_tokens")
    assert set(wrong) == {f"field:{name}" for name in names}
    assert all(check["fix"].startswith("llmops collect init --yes ") for check in wrong.values())
    assert here.run("collect", "init", "--yes").code == 0
    assert checks(here.run("doctor", "-o", "json"))["field"]["state"] == "ok"


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"keys": {"model": 7}}', b'{"keys": [], "line": 7}'])
@pytest.mark.parametrize("path", ["^/$", "/calls$", "/index$", "/logs$"])
def test_an_answer_of_another_shape_is_a_failed_check(here, cloud, path, body):
    cloud.fail(faults.Body(body), path, times=None)
    ran = here.run("doctor", "-o", "json", "--timeout", "1")
    assert (ran.code, ran.err) == (0, "")
    assert {"failed", "warning"} & {check["state"] for check in checks(ran).values()} or body.startswith(b"{")
