"""`llmops collect` against the loopback Log Service: what is created, and what Logtail is told."""

import json
import re
import shlex
import subprocess
import sys
from datetime import UTC
from pathlib import Path

import pytest

from llmops_cli.calls.events import read_events
from llmops_cli.calls.pattern import STANDARD_PATTERN, compile_pattern
from tests.cloud import SlsCloud
from tests.cloud.asking import KEY_ID, REGION, SECRET, desk
from tests.cloud.faults import Reset, Status

END = ("--end", "2025-07-09T14:30:00Z", "--timezone", "UTC")


@pytest.fixture
def cloud():
    with SlsCloud(keys={KEY_ID: SECRET}, region=REGION) as cloud:
        yield cloud


@pytest.fixture
def here(cloud, tmp_path):
    return desk(tmp_path).profile(cloud)


def changed(ran):
    """Give kind → action of an answer in JSON."""
    return {row["kind"]: row["action"] for row in ran.json()["data"]["changes"]}


# --- init


def test_init_shows_what_it_would_create_and_creates_it_only_with_yes(cloud, here):
    planned = here.run("collect", "init", "--create-project", "-o", "json")
    assert planned.code == 2
    assert planned.json()["errors"][0]["code"] == "needs_yes"
    assert "add --yes" in planned.err
    assert changed(planned) == {"project": "create", "logstore": "create", "index": "create"}
    dry = here.run("collect", "init", "--create-project", "--yes", "--dry-run", "-o", "json")
    assert (dry.code, dry.json()["data"]["applied"]) == (0, False)
    assert not cloud.projects
    done = here.run("collect", "init", "--create-project", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert {row["state"] for row in done.json()["data"]["changes"]} == {"done"}
    assert all(row["rollback"].startswith("aliyunlog log delete_") for row in done.json()["data"]["changes"])
    again = here.run("collect", "init", "--create-project")
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith("Nothing to do")


def test_the_index_has_every_field_in_the_type_that_sql_needs(cloud, here):
    cloud.create("app")
    assert here.run("collect", "init", "--yes", "--ttl", "90", "--shards", "3").code == 0
    store = cloud.projects["app"].logstores["calls"]
    assert (store.settings["ttl"], store.settings["shardCount"]) == (90, 3)
    keys = store.index["keys"]
    assert {name for name, one in keys.items() if one["type"] == "long"} == {
        "status_code", "duration_ms", "input_tokens", "output_tokens", "total_tokens"
    }  # fmt: skip
    assert all(one["doc_value"] for one in keys.values())
    assert not any("-" in one.get("token", ()) for one in keys.values())
    assert {"trace_id", "model", "workspace", "error_message", "rating", "comment", "message", "logger"} <= set(keys)


def test_init_completes_an_index_and_keeps_what_others_indexed(cloud, here):
    text = {"type": "text", "token": ["-"], "doc_value": True}
    held = {"max_text_len": 4096, "keys": {"theirs": text, "model": text, "duration_ms": text}}
    cloud.create("app", "calls", index=held)
    planned = here.run("collect", "init", "--dry-run")
    assert "duration_ms is indexed as text, but holds long" in planned.out
    assert "about a minute" in planned.out
    done = here.run("collect", "init", "--yes", "-o", "json")
    assert changed(done) == {"logstore": "none", "index": "update"}
    store = cloud.projects["app"].logstores["calls"]
    assert store.index["keys"]["theirs"] == store.index["keys"]["model"] == text
    assert store.index["keys"]["duration_ms"]["type"] == "long"
    assert store.index["max_text_len"] == 4096
    (row,) = [row for row in done.json()["data"]["changes"] if row["kind"] == "index"]
    assert json.loads(Path(row["rollback"].partition("--index_detail=file://")[2]).read_text()) == held
    assert changed(here.run("collect", "init", "--yes", "-o", "json")) == {"logstore": "none", "index": "none"}


def test_keys_are_called_as_the_profile_says(cloud, here):
    cloud.create("app")
    here.profile(cloud, more='fields = { model = "modelName", trace_id = "traceId" }\n')
    assert here.run("collect", "init", "--yes").code == 0
    keys = cloud.projects["app"].logstores["calls"].index["keys"]
    assert {"modelName", "traceId"} <= set(keys)
    assert not {"model", "trace_id"} & set(keys)


def test_a_ttl_changes_only_when_it_is_given(cloud, here):
    cloud.create("app", "calls", ttl=7)
    assert here.run("collect", "init", "--yes").code == 0
    assert cloud.projects["app"].logstores["calls"].settings["ttl"] == 7
    done = here.run("collect", "init", "--yes", "--ttl", "14", "-o", "json")
    assert changed(done) == {"logstore": "update", "index": "none"}
    assert "--ttl=7" in done.json()["data"]["changes"][0]["rollback"]
    assert cloud.projects["app"].logstores["calls"].settings["ttl"] == 14
    assert not done.err
    assert "deletes the logs that are older than 3 days" in here.run("collect", "init", "--ttl", "3", "--dry-run").err


def test_what_init_does_not_change_is_said(cloud, here):
    cloud.create("app", "calls", ttl=7)
    assert here.run("collect", "init", "--yes", "--shards", "2").err == ""
    ran = here.run("collect", "init", "--yes", "--shards", "5")
    assert (ran.code, cloud.projects["app"].logstores["calls"].settings.get("shardCount", 2)) == (0, 2)
    assert "calls has 2 shards and keeps them" in ran.err
    assert "split_shard" in ran.err


def test_the_next_commands_ask_the_same_profile_and_can_be_run(cloud, here):
    here.profile(cloud)
    (here.folder / "llmops.toml").rename(here.folder / "other.toml")
    ran = here.run(
        "collect", "init", "--create-project", "--yes", "-o", "json", "--profile", "prod", "--config", "other.toml"
    )
    (here.folder / "FILE").write_text("2025-07-09 15:00:00.001 WARN  [traceId:t] [a#b():1] [main] - x\n")
    assert ran.json()["data"]["next"]
    for command in ran.json()["data"]["next"]:
        assert "--profile prod" in command
        words = ("10.0.0.7" if word == "IP" else word for word in shlex.split(command)[1:])
        done = here.run(*words, "--dry-run")
        assert done.code == 0, done.err


def test_an_endpoint_of_another_region_is_said(cloud, here):
    config = here.folder / "llmops.toml"
    config.write_text(config.read_text().replace('region = "cn-beijing"', 'region = "cn-hangzhou"'))
    cloud.create("app")
    ran = here.run("collect", "init", "--dry-run")
    assert 'project "app" is in cn-beijing' in ran.err


@pytest.mark.parametrize("host", ["cn-hangzhou.log", "app.cn-hangzhou-intranet.log", "https://cn-hangzhou-share.log"])
def test_an_endpoint_of_another_region_than_the_profiles_is_said_before_anything_is_sent(tmp_path, host):
    here = desk(tmp_path)
    told = f'region = "cn-beijing"\n[profiles.p.sls]\nproject = "app"\nlogstore = "calls"\nendpoint = "{host}.aliyuncs.com"\n'
    (here.folder / "llmops.toml").write_text(f'default_profile = "p"\n[profiles.p]\n{told}')
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    ran = here.run("collect", "init", "--timeout", "1", **nowhere)
    assert ran.code == 3
    assert "sls.endpoint is in cn-hangzhou, but region is cn-beijing" in ran.err


def test_the_template_of_config_init_has_a_profile_for_log_service(cloud, tmp_path):
    here = desk(tmp_path / "new")
    assert here.run("config", "init").code == 0
    config = here.folder / "llmops.toml"
    lines = config.read_text().splitlines()
    begin = lines.index(next(one for one in lines if one.startswith("# [profiles.prod]")))
    mine = [one.removeprefix("# ") for one in lines[begin:]]
    mine = [f'endpoint = "{cloud.endpoint}"' if one.startswith("endpoint") else one for one in mine]
    config.write_text("\n".join([*lines[:begin], *(one for one in mine if "cli_profile" not in one)]))
    ran = here.run("collect", "init", "--create-project", "--yes", "--profile", "prod")
    assert (ran.code, list(cloud.projects["my-llm-app"].logstores)) == (0, ["model-calls"])


def test_a_number_that_is_indexed_as_double_serves_and_the_words_of_a_text_stay_its_owners(cloud, here):
    double, text = {"type": "double", "doc_value": True}, {"type": "text", "token": ["-"], "chn": True}
    cloud.create("app", "calls", index={"keys": {"duration_ms": double, "model": text}})
    assert here.run("collect", "init", "--yes").code == 0
    keys = cloud.projects["app"].logstores["calls"].index["keys"]
    assert keys["duration_ms"] == double
    assert keys["model"] == text | {"doc_value": True}


def test_nothing_to_do_is_not_applied(cloud, here):
    cloud.create("app")
    assert here.run("collect", "init", "--yes", "-o", "json").json()["data"]["applied"] is True
    for words in (("--yes",), (), ("--dry-run",)):
        again = here.run("collect", "init", *words, "-o", "json")
        assert (again.code, again.json()["data"]["applied"], again.json()["errors"]) == (0, False, [])


def test_a_missing_project_is_one_line_that_says_which_option_creates_it(here):
    ran = here.run("collect", "init", "--yes")
    assert (ran.code, ran.out) == (3, "")
    assert 'no project "app"' in ran.err
    assert "--create-project" in ran.err


def test_a_change_that_fails_says_what_was_done_before(cloud, here):
    cloud.denied[KEY_ID] = {"log:CreateIndex"}
    ran = here.run("collect", "init", "--create-project", "--yes")
    assert ran.code == 3
    assert "done before: project app, logstore calls" in ran.err
    assert "log:CreateIndex" in ran.err


def test_without_a_profile_it_says_what_to_configure(tmp_path):
    ran = desk(tmp_path).run("collect", "init")
    assert ran.code == 2
    assert "no project and logstore" in ran.err


def test_what_is_shown_of_an_index_obeys_nobody(cloud, here):
    text = {"type": "text", "token": [], "doc_value": True}
    cloud.create("app", "calls", index={"keys": {"\x1b[31m\u202e```": text, "duration_ms": text}})
    for output in ("table", "markdown"):
        ran = here.run("collect", "init", "--dry-run", "-o", output)
        assert ran.code == 0
        assert not set("\x1b\u202e") & set(ran.out)
    assert "````diff" in ran.out


def test_the_plan_is_told_in_chinese_too(cloud, here):
    cloud.create("app", "calls")
    (here.folder / "app.log").write_text("2025-07-09 15:00:00.001 WARN  [traceId:t] [a#b():1] [main] - x\n")
    assert here.run("collect", "init", "--yes").code == 0
    for output in ("table", "markdown", "json"):
        said = here.run("collect", "upload", "app.log", "--dry-run", "--lang", "zh", "-o", output).out
        assert "无法撤回" in said
        assert "TTL;" not in said
    said = here.run("collect", "logtail", "--machine-ip", "10.0.0.7", "--dry-run", "--lang", "zh").out
    assert all(word in said for word in ("机器组", "采集", "回退", "message"))


def taken_back(cloud, here, ran):
    """Run the rollbacks of an answer, last first, with the `aliyunlog` that they name."""
    command = str(Path(sys.executable).with_name("aliyunlog"))
    account = (f"--access-id={KEY_ID}", f"--access-key={SECRET}", "--region-endpoint=http://sls.test")
    environ = here.environ | {"http_proxy": cloud.endpoint}
    for row in reversed(ran.json()["data"]["changes"]):
        if row["action"] != "none":
            name, *words = shlex.split(row["rollback"])
            assert name == "aliyunlog"
            done = subprocess.run(
                [command, *words, *account],
                cwd=here.folder,
                env=environ,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr


def test_the_rollbacks_take_everything_back(cloud, here):
    created = here.run("collect", "init", "--create-project", "--yes", "-o", "json")
    collected = here.run("collect", "logtail", "--machine-ip", "10.0.0.7", "--yes", "-o", "json")
    project = cloud.projects["app"]
    assert project.applied["llmops-calls"]
    taken_back(cloud, here, collected)
    assert (project.configs, project.machinegroups, project.applied) == ({}, {}, {"llmops-calls": set()})
    taken_back(cloud, here, created)
    assert not cloud.projects


def test_the_rollback_of_an_update_gives_the_old_state(cloud, here):
    held = {"line": {"token": [","], "caseSensitive": False}, "keys": {"it's": {"type": "long", "doc_value": True}}}
    cloud.create("app", "calls", ttl=7, index=held)
    store = cloud.projects["app"].logstores["calls"]
    done = here.run("collect", "init", "--ttl", "14", "--yes", "-o", "json")
    assert "model" in store.index["keys"]
    taken_back(cloud, here, done)
    assert set(store.index["keys"]) == {"it's"}
    assert store.settings["ttl"] == 7


def undo_files(here):
    return list((here.folder / ".local/state/llmops/undo").glob("*"))


@pytest.fixture
def everything_differs(cloud, here):
    """Give an account with an index, a Logtail configuration and a machine group that each need an update."""
    text = {"type": "text", "token": [","], "caseSensitive": False, "chn": False, "doc_value": True, "alias": ""}
    cloud.create("app", "calls", index={"keys": {"it's 主题": text, "duration_ms": text}})
    assert here.run("collect", "logtail", "--machine-ip", "10.0.0.1", "--yes").code == 0
    project = cloud.projects["app"]
    project.configs["llmops-calls"]["inputDetail"]["preserve"] = True
    return project


INIT = ("collect", "init", "-o", "json")
LOGTAIL = ("collect", "logtail", "--path", "/data", "--machine-ip", "10.0.0.7", "-o", "json")


@pytest.mark.parametrize(("words", "updates"), [(INIT, ["index"]), (LOGTAIL, ["logtail_config", "machine_group"])])
def test_the_undo_of_an_update_is_a_short_command_with_a_private_file(cloud, here, everything_differs, words, updates):
    def held():
        index, config = everything_differs.logstores["calls"].index, everything_differs.configs["llmops-calls"]
        told = [index["keys"], config["inputDetail"], everything_differs.machinegroups]
        return json.dumps(told, sort_keys=True)

    before = held()
    planned = here.run(*words, "--dry-run").json()["data"]["changes"]
    assert not undo_files(here)
    done = here.run(*words, "--yes")
    changes = [row for row in done.json()["data"]["changes"] if row["action"] == "update"]
    assert [row["kind"] for row in changes] == updates
    assert held() != before
    assert [row["rollback"] for row in planned] == [row["rollback"] for row in done.json()["data"]["changes"]]
    assert all(len(row["rollback"].replace(str(here.folder), "")) < 220 for row in changes)
    assert [file.stat().st_mode & 0o777 for file in undo_files(here)] == [0o600] * len(updates)
    taken_back(cloud, here, done)
    assert held() == before


def test_the_undo_is_quoted_for_a_shell_wherever_its_file_is(cloud, here, everything_differs):
    done = here.run(*INIT, "--yes", XDG_STATE_HOME=str(here.folder / "it's my $HOME"))
    assert "model" in everything_differs.logstores["calls"].index["keys"]
    taken_back(cloud, here, done)
    assert set(everything_differs.logstores["calls"].index["keys"]) == {"it's 主题", "duration_ms"}


@pytest.mark.parametrize("words", [INIT, LOGTAIL])
def test_on_a_full_disk_nothing_is_replaced_and_no_half_file_stays(cloud, here, everything_differs, words):
    here.run(*words, "--dry-run")  # so that what Python keeps of its modules is there
    project = everything_differs
    before = json.dumps([project.logstores["calls"].index, project.configs, project.machinegroups])
    full = f"ulimit -f 0; exec {shlex.join([sys.executable, '-m', 'llmops_cli', *words, '--yes'])}"
    ran = subprocess.run(
        ["bash", "-c", full], cwd=here.folder, env=here.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["errors"][0]["code"] == "undo_unwritable"
    assert json.dumps([project.logstores["calls"].index, project.configs, project.machinegroups]) == before
    assert not undo_files(here)


# --- logtail


def story(here):
    assert here.run("demo", "rate-limit", "--calls", "2000", "--out", "app.log", "--no-walk", *END).code == 0
    return here.folder / "app.log"


def header(event):
    return event.level, event.trace_id, event.logger, event.thread, event.message


def test_logtail_reads_a_log_as_we_do(here):
    log = story(here)
    told = json.loads(here.run("collect", "logtail", "--print").out)["inputDetail"]
    begins, whole = re.compile(told["logBeginRegex"]), re.compile(told["regex"])
    events = []
    for line in log.read_text(encoding="utf-8").splitlines():
        if begins.fullmatch(line) or not events:
            events.append(line)
        else:
            events[-1] += f"\n{line}"
    read = [dict(zip(told["key"], whole.fullmatch(event).groups(), strict=True)) for event in events]
    theirs = [tuple((one[key] or "").strip() for key in ("level", "trace_id", "logger", "thread")) for one in read]
    with log.open(encoding="utf-8") as lines:
        ours = [header(event) for event in read_events(lines, compile_pattern(STANDARD_PATTERN), UTC)]
    assert len(ours) > 2000
    assert [(*one, each["message"]) for one, each in zip(theirs, read, strict=True)] == ours


def test_print_needs_neither_profile_nor_account(tmp_path):
    ran = desk(tmp_path).run(
        "collect", "logtail", "--print", "--pattern", "%d{yyyy/MM/dd HH:mm:ss.SSS,UTC} [%X{tid}] %p - %m%n",
        "--encoding", "gbk", "--path", "/data/logs/", "--file", "shop*.log",
    )  # fmt: skip
    told = json.loads(ran.out)["inputDetail"]
    assert (told["logPath"], told["filePattern"], told["fileEncoding"]) == ("/data/logs", "shop*.log", "gbk")
    assert (told["timeFormat"], told["logTimezone"]) == ("%Y/%m/%d %H:%M:%S", "GMT+00:00")
    assert told["key"] == ["time", "trace_id", "level", "message"]


def test_a_time_that_logtail_cannot_read_is_told(tmp_path):
    ran = desk(tmp_path).run("collect", "logtail", "--print", "--pattern", "%d{yyyy-MM-dd HH:mm} %p - %m%n")
    assert ran.code == 2
    assert "Logtail cannot read times" in ran.err


def test_logtail_creates_configuration_and_group_and_connects_them(cloud, here):
    cloud.create("app", "calls")
    words = ("collect", "logtail", "--machine-ip", "10.0.0.7", "--machine-ip", "10.0.0.8")
    assert here.run(*words).code == 2
    project = cloud.projects["app"]
    assert not project.configs
    done = here.run(*words, "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert set(changed(done).values()) == {"create"}
    assert project.configs["llmops-calls"]["outputDetail"]["logstoreName"] == "calls"
    assert project.machinegroups["llmops-calls"]["machineList"] == ["10.0.0.7", "10.0.0.8"]
    assert project.applied == {"llmops-calls": {"llmops-calls"}}
    assert set(changed(here.run(*words, "--yes", "-o", "json")).values()) == {"none"}
    moved = here.run("collect", "logtail", "--path", "/data", *words[2:4], "--yes", "-o", "json")
    assert changed(moved) == {"logtail_config": "update", "machine_group": "none", "collection": "none"}
    assert project.configs["llmops-calls"]["inputDetail"]["logPath"] == "/data"


def test_an_existing_group_is_taken_as_it_is_and_a_missing_one_is_told(cloud, here):
    cloud.create("app", "calls")
    ran = here.run("collect", "logtail", "--machine-group", "shop", "--yes")
    assert ran.code == 2
    assert 'no machine group "shop"' in ran.err
    group = {"groupName": "shop", "machineIdentifyType": "userdefined", "machineList": ["shop-1"]}
    cloud.projects["app"].machinegroups["shop"] = group
    assert here.run("collect", "logtail", "--machine-group", "shop", "--yes").code == 0
    assert cloud.projects["app"].machinegroups["shop"] == group
    assert cloud.projects["app"].applied == {"shop": {"llmops-calls"}}


def group(cloud, kind, *machines):
    """Put the group `shop` there, with a topic that somebody else gave it."""
    cloud.create("app", "calls")
    held = {
        "groupName": "shop", "groupType": "", "groupAttribute": {"groupTopic": "theirs"},
        "machineIdentifyType": kind, "machineList": list(machines), "createTime": 7,
    }  # fmt: skip
    cloud.projects["app"].machinegroups["shop"] = held
    return held


def test_machines_are_added_to_a_group_and_none_is_taken_out_of_it(cloud, here):
    held = group(cloud, "ip", "10.0.0.1", "10.0.0.2")
    words = ("collect", "logtail", "--machine-group", "shop", "--machine-ip", "10.0.0.2", "--machine-ip", "10.0.0.3")
    shown = here.run(*words, "--dry-run")
    assert "machine group shop keeps what it has (2)" in shown.err
    ran = here.run(*words, "--yes", "-o", "json")
    now = cloud.projects["app"].machinegroups["shop"]
    assert now["machineList"] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert now["groupAttribute"] == {"groupTopic": "theirs"}
    again = here.run(*words, "--yes", "-o", "json")
    assert (set(changed(again).values()), again.err) == ({"none"}, "")
    taken_back(cloud, here, ran)
    now = cloud.projects["app"].machinegroups["shop"]
    assert now == {key: held[key] for key in held if key != "createTime"}


def meanwhile(cloud, path, method, act):
    """Let somebody else act while a request is under way, once, before it is carried out."""
    once = iter([act])

    def look(_request):
        for one in once:
            one()
        return False

    cloud.fail(Status(500, "never"), path, method, when=look, times=None)


def somebodys(*machines, kind="ip"):
    return {"groupName": "llmops-calls", "groupType": "", "groupAttribute": {}, "machineIdentifyType": kind,
            "machineList": list(machines)}  # fmt: skip


@pytest.mark.parametrize(
    "theirs", [somebodys("10.0.0.9"), somebodys("10.0.0.7", kind="userdefined"), somebodys()], ids=str
)
def test_a_group_that_somebody_else_made_meanwhile_loses_no_machine_silently(cloud, here, theirs):
    cloud.create("app", "calls")
    groups = cloud.projects["app"].machinegroups
    meanwhile(cloud, "/machinegroups$", "POST", lambda: groups.update({"llmops-calls": theirs}))
    words = ("collect", "logtail", "--machine-ip", "10.0.0.7", "--yes", "-o", "json")
    ran = here.run(*words)
    [problem] = ran.json()["errors"]
    assert (ran.code, problem["code"]) == (3, "made_meanwhile")
    assert "machine group llmops-calls: somebody else made it" in problem["message"]
    assert "run the command again" in problem["hint"]
    assert groups["llmops-calls"] == theirs
    if theirs["machineIdentifyType"] == "ip":
        assert here.run(*words).code == 0
        assert set(groups["llmops-calls"]["machineList"]) == {*theirs["machineList"], "10.0.0.7"}


def test_a_group_that_somebody_else_changed_meanwhile_loses_no_machine(cloud, here):
    cloud.create("app", "calls")
    groups = cloud.projects["app"].machinegroups
    groups["llmops-calls"] = somebodys("10.0.0.1")
    meanwhile(cloud, "/configs$", "POST", lambda: groups["llmops-calls"]["machineList"].append("10.0.0.2"))
    words = ("collect", "logtail", "--machine-ip", "10.0.0.7", "--yes")
    ran = here.run(*words)
    assert ran.code == 3
    assert "somebody else changed it a moment ago" in ran.err
    assert groups["llmops-calls"]["machineList"] == ["10.0.0.1", "10.0.0.2"]
    assert here.run(*words).code == 0
    assert groups["llmops-calls"]["machineList"] == ["10.0.0.1", "10.0.0.2", "10.0.0.7"]


def test_the_name_of_a_project_that_another_account_has_is_told(cloud, here):
    cloud.fail(Status(400, "ProjectAlreadyExist", "Project app already exist."), "^/$", "POST")
    ran = here.run("collect", "init", "--create-project", "--yes", "--timeout", "5")
    assert ran.code == 3
    assert 'another account has a project "app"' in ran.err
    assert "sls.project" in ran.err
    assert not [ask for ask in cloud.asked("/logstores$") if ask.method == "POST"]


def test_an_index_that_somebody_else_made_meanwhile_is_told(cloud, here):
    cloud.create("app", "calls")
    store = cloud.projects["app"].logstores["calls"]
    theirs = {"keys": {"theirs": {"type": "text", "token": [], "doc_value": True}}}
    meanwhile(cloud, "/index$", "POST", lambda: store.put_index(theirs))
    ran = here.run("collect", "init", "--yes")
    assert ran.code == 3
    assert "index calls: somebody else made it a moment ago" in ran.err
    assert here.run("collect", "init", "--yes").code == 0
    assert {"theirs", "model"} <= set(store.index["keys"])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        *((path, ("init", "--create-project")) for path in ("^/$", "/logstores$", "/index$")),
        *((path, ("logtail", "--machine-ip", "10.0.0.7")) for path in ("/configs$", "/machinegroups$")),
    ],
)
def test_a_creation_whose_answer_is_lost_is_made_once_and_well(cloud, here, path, words):
    if words[0] == "logtail":
        cloud.create("app", "calls")
    lost = cloud.fail(Reset(done=True), path, "POST")
    ran = here.run("collect", *words, "--yes", "-o", "json")
    assert (ran.code, ran.err, lost.hits) == (0, "", 1)
    assert set(changed(here.run("collect", *words, "--yes", "-o", "json")).values()) == {"none"}


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        ("userdefined", ("--machine-ip", "10.0.0.7"), "knows its machines by their own ids"),
        ("ip", ("--user-defined", "shop-1"), "knows its machines by IP address"),
    ],
)
def test_the_kind_of_a_group_is_not_changed(cloud, here, kind, words, said):
    held = dict(group(cloud, kind, "x"))
    ran = here.run("collect", "logtail", "--machine-group", "shop", *words, "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert cloud.projects["app"].machinegroups["shop"] == held
    assert not cloud.projects["app"].configs


def test_what_others_set_in_the_configuration_stays_and_the_old_one_comes_back(cloud, here):
    cloud.create("app", "calls")
    words = ("collect", "logtail", "--machine-ip", "10.0.0.7", "--yes", "-o", "json")
    assert here.run(*words, "--timezone", "Asia/Shanghai").code == 0
    held = cloud.projects["app"].configs["llmops-calls"]
    held["inputDetail"]["preserve"], held["createTime"] = True, 7
    moved = here.run(*words, "--path", "/data", "--timezone", "Asia/Shanghai")
    now = cloud.projects["app"].configs["llmops-calls"]["inputDetail"]
    assert (now["logPath"], now["preserve"], now["logTimezone"]) == ("/data", True, "GMT+08:00")
    taken_back(cloud, here, moved)
    now = cloud.projects["app"].configs["llmops-calls"]["inputDetail"]
    assert {key: now[key] for key in held["inputDetail"]} == held["inputDetail"]
    assert here.run(*words).code == 0
    assert "logTimezone" not in cloud.projects["app"].configs["llmops-calls"]["inputDetail"]


@pytest.mark.parametrize(
    "words",
    [
        *(("--machine-ip", one) for one in ("300.1.1.1", "foo", "10.0.0.7/24", "")),
        ("--user-defined", ""),
        ("--machine-group", " "),
        ("--machine-ip", "10.0.0.7", "--path", "logs"),
        ("--machine-ip", "10.0.0.7", "--file", "shop/*.log"),
    ],
)
def test_a_value_that_can_never_work_is_told_before_anything_is_asked(cloud, here, words):
    ran = here.run("collect", "logtail", *words, "--yes", "-o", "json")
    assert (ran.code, ran.json()["errors"][0]["code"]) == (2, "bad_value")
    assert ran.json()["errors"][0]["hint"]
    assert not cloud.asked("/")


def test_print_gives_the_envelope_of_every_verb(tmp_path):
    ran = desk(tmp_path).run("collect", "logtail", "--print", "-o", "json")
    told = ran.json()
    assert (ran.code, told["command"], told["errors"]) == (0, "collect logtail", [])
    bare = json.loads(desk(tmp_path).run("collect", "logtail", "--print").out)
    assert told["data"]["configuration"] == bare
    pasted = desk(tmp_path).run("collect", "logtail", "--print", "-o", "markdown").out
    assert json.loads(pasted.removeprefix("```json\n").removesuffix("```\n")) == bare


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which machines collect?"),
        (("--machine-ip", "10.0.0.7", "--user-defined", "shop"), "exclude each other"),
        (("--machine-ip", "10.0.0.7", "--encoding", "big5"), "UTF-8 and GBK"),
    ],
)
def test_what_does_not_fit_together_is_one_line(cloud, here, words, said):
    cloud.create("app", "calls")
    ran = here.run("collect", "logtail", *words, "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
