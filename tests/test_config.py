"""Which configuration applies, what it may say, and what is told when it is wrong."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli import config
from llmops_cli.commands.config import TEMPLATE
from llmops_cli.errors import UsageError
from llmops_cli.evidence import Band, Limit, Thresholds

WHOLE = """\
default_profile = "prod"

[profiles.laptop]
log = ["logs/*.log", "/var/log/app"]
pattern = "%d{ISO8601} %p - %m%n"
timezone = "Asia/Shanghai"
encoding = "gbk"

[profiles.prod]
region = "cn-beijing"
uid = 1234567890123456
contact = "on call"
[profiles.prod.sls]
endpoint = "http://127.0.0.1:8080"
project = "my-llm-app"
logstore = "model-calls"
fields = { model = "modelName", message = "content" }
[profiles.prod.credentials]
cli_profile = "prod"
[profiles.prod.prometheus]
url = "https://cn-beijing.arms.aliyuncs.com/prometheus/1/2/cn-beijing/"
[profiles.prod.cloudmonitor]
endpoint = "metrics.cn-beijing.aliyuncs.com"
namespace = "acs_model"
metrics = { calls = "a", failures = "b", latency_ms = "c" }
[profiles.prod.modelstudio]
endpoint = "modelstudio.cn-beijing.aliyuncs.com"
api_key_env = "DASHSCOPE_API_KEY"
[profiles.prod.arms]
endpoint = "arms.cn-beijing.aliyuncs.com"
[profiles.prod.traces]
project = "proj-xtrace"
logstore = "logstore-tracing"
[profiles.prod.limits.qwen-plus]
rpm = 1200
tpm = 1000000
[profiles.prod.limits."qwen-plus@llm-6qts"]
rpm = 60
[profiles.prod.thresholds]
failure_rate = { warning = 0.02 }
p95_ms = { warning = 3000, critical = 9000.5 }
min_calls = 50
"""


def line(start):
    """Number of the line of WHOLE that begins so."""
    return next(number for number, text in enumerate(WHOLE.splitlines(), 1) if text.startswith(start))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "llmops.toml").write_text(WHOLE)
    return tmp_path


def load(folder, *, environ=None, **options):
    return config.load(environ=environ or {}, cwd=folder, **options)


def fault(tmp_path, text, **options):
    (tmp_path / "llmops.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path, **options)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value


def test_every_key_of_the_design_is_read(folder):
    settings = load(folder)
    assert settings.profile == "prod"
    assert (settings.region, settings.region_assumed, settings.uid) == ("cn-beijing", False, "1234567890123456")
    assert settings.sls is not None
    assert settings.sls.endpoint == "http://127.0.0.1:8080"
    assert settings.sls.fields == {"model": "modelName", "message": "content"}
    assert settings.limits == (
        Limit("qwen-plus", None, 1200, 1_000_000, "configuration"),
        Limit("qwen-plus", "llm-6qts", 60, None, "configuration"),
    )
    assert settings.modelstudio is not None
    assert settings.modelstudio.api_key_env == "DASHSCOPE_API_KEY"
    assert settings.notes == ()


def test_thresholds_fall_back_field_by_field(folder):
    assert load(folder).thresholds == Thresholds(failure_rate=Band(0.02, 0.05), p95_ms=Band(3000, 9000.5), min_calls=50)


def test_relative_logs_are_relative_to_the_file(folder):
    deeper = folder / "a" / "b"
    deeper.mkdir(parents=True)
    settings = load(deeper, profile="laptop")
    assert settings.log == (f"{folder}/logs/*.log", "/var/log/app")
    assert settings.file == folder / "llmops.toml"


def test_log_replaces_the_source_only(folder):
    settings = load(folder, log=["app.log", "-"])
    assert settings.log == ("app.log", "-")
    assert settings.limits
    assert settings.origin["log"] == "--log"


def test_options_win_over_the_file_and_every_value_names_its_origin(folder):
    settings = load(folder, profile="laptop", timezone="UTC")
    assert settings.timezone == "UTC"
    assert settings.encoding == "gbk"
    assert settings.origin["timezone"] == "--timezone"
    assert settings.origin["encoding"] == f"{folder}/llmops.toml:{line('encoding')}"
    assert settings.origin["region"] == "default"
    prod = load(folder).origin
    assert prod["thresholds.p95_ms.warning"] == f"{folder}/llmops.toml:{line('p95_ms')}"
    assert prod["limits.qwen-plus@llm-6qts.rpm"] == f"{folder}/llmops.toml:{line('rpm = 60')}"
    assert prod["profile"].startswith("default_profile of ")


def test_the_profile_is_the_options_then_the_environments_then_the_files(folder):
    environ = {"LLMOPS_PROFILE": "laptop"}
    assert load(folder, environ=environ).profile == "laptop"
    assert load(folder, environ=environ, profile="prod").profile == "prod"
    assert load(folder, environ={"LLMOPS_PROFILE": ""}).profile == "prod"


def test_the_file_is_the_options_then_the_environments_then_the_nearest_then_the_users(folder, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    mine = tmp_path / "xdg" / "llmops"
    mine.mkdir(parents=True)
    for path, region in ((here / "o.toml", "eu-a"), (here / "e.toml", "eu-b"), (mine / "llmops.toml", "eu-d")):
        path.write_text(f'default_profile = "x"\n[profiles.x]\nregion = "{region}"\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    environ = {"LLMOPS_CONFIG": "e.toml"}
    assert load(here, environ=environ, config_file="o.toml").region == "eu-a"
    assert load(here, environ=environ).region == "eu-b"
    assert load(here).region == "cn-beijing"
    (folder / "llmops.toml").unlink()
    assert load(here).region == "eu-d"


def test_without_anything_defaults_apply_and_the_region_is_said(tmp_path):
    settings = load(tmp_path)
    assert settings.region_assumed
    assert [note.id for note in settings.notes] == ["note.assumed_region"]
    with pytest.raises(UsageError) as caught:
        settings.require_source()
    assert "--log" in caught.value.hint
    assert "config init" in caught.value.hint


def test_a_profile_without_a_log_is_told_where_to_write_one(tmp_path):
    (tmp_path / "llmops.toml").write_text('[profiles.bare]\nregion = "cn-beijing"\n')
    with pytest.raises(UsageError, match="bare") as caught:
        load(tmp_path, profile="bare").require_source()
    assert "[profiles.bare]" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "at", "said", "hint"),
    [
        ("defualt_profile = 'x'", 1, 'unknown key "defualt_profile"', '"default_profile"'),
        ("[profiles.x]\n\nregoin = 'cn-beijing'", 3, 'unknown key "regoin" in [profiles.x]', '"region"'),
        ("[profiles.x.sls]\nproject='p'\nlogstore='l'\nendpiont='e'", 4, "endpiont", '"endpoint"'),
        ("[profiles.x.limits.'a.b']\nrmp = 1", 2, 'in [profiles.x.limits."a.b"]', '"rpm"'),
        ("[profiles.x.sls]\nproject='p'\nlogstore='l'\nfields={modle='m'}", 4, "modle", "error_code"),
        ("[profiles.x.credentials]\naccess_key_secret = 'hunter2'", 2, "access_key_secret", "secrets never stand"),
        ("[profiles.x]\nlog = 5", 2, "must be a list", ""),
        ("[profiles.x]\nlog = []", 2, "is empty", ""),
        ("[profiles.x]\nlog = ['a', 5]", 2, "must be text", ""),
        ("[profiles.x.limits.m]\nrpm = '60'", 2, "must be a number", ""),
        ("[profiles.x.limits.m]\nrpm = -1", 2, "is -1; a limit is a whole number", ""),
        ("[profiles.x.limits.m]\nrpm = 0.5", 2, "is 0.5; a limit is a whole number", ""),
        ("[profiles.x.limits.m]\nrpm = 60\ntpm = 1000.5", 3, "is 1000.5; a limit is a whole number", ""),
        ("[profiles.x.limits.m]\nrpm = nan", 2, "finite", ""),
        ("[profiles.x.limits.m]", 1, "neither rpm nor tpm", ""),
        ("[profiles.x.limits.'@w']\nrpm = 1", 1, "names no model", "MODEL@WORKSPACE"),
        ("[profiles.x.limits.'a@b@c']\nrpm = 1", 1, "has more than one @", "MODEL@WORKSPACE"),
        ("[profiles.x.limits.'a@@']\nrpm = 1", 1, "has more than one @", "MODEL@WORKSPACE"),
        ("[profiles.x.thresholds]\nmin_calls = true", 2, "whole number", ""),
        ("[profiles.x.thresholds]\nfailure_rate = { warning = 5 }", 2, "less than or equal to 1", ""),
        ("[profiles.x.thresholds]\nfailure_rate = { warning = 0.5 }", 2, "above critical (0.05)", "critical too"),
        ("[profiles.x]\ntimezone = 'Asia/Shangai'", 2, "Asia/Shanghai", ""),
        ("[profiles.x]\nencoding = 'utf-9'", 2, "utf-9", ""),
        ("[profiles.x]\nencoding = 'utf-7'", 2, "not an encoding of logs", ""),
        ("[profiles.x]\nregion = 'Beijing'", 2, "region id", ""),
        ("[profiles.x.arms]\nendpoint = 'ftp://a'", 2, "host name", ""),
        ("[profiles.x.arms]\nendpoint = 'a:99999'", 2, "has a port that is no number from 1 to 65535", ""),
        ("[profiles.x.arms]\nendpoint = 'a:port'", 2, "has a port that is no number from 1 to 65535", ""),
        ("[profiles.x.arms]\nendpoint = 'a:0'", 2, "has a port that is no number from 1 to 65535", ""),
        ("[profiles.x.arms]\nendpoint = 'http://u:hunter2@a'", 2, "user or password", ""),
        ("[profiles.x.modelstudio]\napi_key_env = 'sk-hunter2'", 2, "does not belong in this file", ""),
        ("[profiles]\nx = 3", 2, "must be a table", ""),
        ("a = ", 1, "invalid value", ""),
        ("[profiles.x]\nlog = ['a'", 2, "", ""),
        ("[profiles.x]\n[profiles.x]", 2, "twice", ""),
    ],
)
def test_a_fault_is_one_line_with_file_and_line_and_what_to_do(tmp_path, text, at, said, hint):
    error = fault(tmp_path, text, profile="x")
    assert error.message.startswith(f"{tmp_path}/llmops.toml:{at}: ")
    assert said in error.message
    assert hint in error.hint
    assert error.hint
    assert "hunter2" not in error.message + error.hint


def test_several_faults_are_counted_and_the_first_line_comes_first(tmp_path):
    error = fault(tmp_path, "[profiles.x]\nzzz = 1\nlog = 5\n")
    assert ":2: " in error.message
    assert error.message.endswith("(and 1 more)")


@pytest.mark.parametrize(
    ("text", "at", "key", "meant"),
    [
        ('[profiles.x.sls]\nlogstore = "calls"\nprojekt = "shop"', 3, "projekt", "project"),
        ('[profiles.x]\nsls = { logstore = "calls", projekt = "shop" }', 2, "projekt", "project"),
        ('[profiles.x]\nlog = 5\nregoin = "cn-beijing"', 3, "regoin", "region"),
        ("[profiles.x.sls]\nproject = 5\nlogstore = 'l'\nfields = { workspce = 'w' }", 4, "workspce", "workspace"),
    ],
)
def test_a_mistyped_key_is_named_before_what_is_missing_for_it(tmp_path, text, at, key, meant):
    error = fault(tmp_path, text, profile="x")
    assert error.message.startswith(f'{tmp_path}/llmops.toml:{at}: unknown key "{key}"')
    assert error.hint.startswith(f'did you mean "{meant}"?')


def test_what_is_missing_is_said_with_the_table_to_add_it_to(tmp_path):
    error = fault(tmp_path, '[profiles.x]\n[profiles.x.sls]\nlogstore = "calls"', profile="x")
    assert ":2: profiles.x.sls.project is missing" in error.message
    assert error.hint == "add project = ... under [profiles.x.sls]"


def test_an_unknown_profile_is_told_with_the_nearest(folder):
    with pytest.raises(UsageError, match="--profile") as caught:
        load(folder, profile="prdo")
    assert '"prod"' in caught.value.hint
    with pytest.raises(UsageError, match="LLMOPS_PROFILE"):
        load(folder, environ={"LLMOPS_PROFILE": "zzz"})


def test_a_profile_without_any_file_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"no llmops\.toml"):
        load(tmp_path, profile="prod")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no file"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: path.write_bytes(b"a = 1\nb = '\xff'"), ":2: not UTF-8"),
        (lambda path: path.write_bytes(b"#" * 1_000_001), "larger than 1 MB"),
        (lambda path: path.symlink_to("/dev/zero"), "larger than 1 MB"),
        (lambda path: path.write_text("a = " + "[" * 100_000), "nested"),
    ],
)
def test_a_file_that_cannot_be_one_is_told(tmp_path, make, said):
    path = tmp_path / "given.toml"
    make(path)
    with pytest.raises(UsageError, match=said) as caught:
        load(tmp_path, config_file="given.toml")
    assert caught.value.exit_code == 2


def test_a_file_without_permission_is_told(folder, monkeypatch):
    def refused(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)  # not chmod: root reads everything
    with pytest.raises(UsageError, match="permission denied"):
        load(folder)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "llmops.toml").write_bytes(b"\xef\xbb\xbf" + WHOLE.encode())
    assert load(tmp_path).profile == "prod"


@given(st.text(max_size=60) | st.from_regex(r"\[profiles\.x\]\n[a-z_]{1,12} = [\"\[{0-9a-z.]{1,12}", fullmatch=True))
def test_any_text_is_a_configuration_or_one_usage_error(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "any.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load(folder, config_file="any.toml")
    except UsageError as error:
        said = error.message
    else:
        return
    assert str(path) in said


def test_init_writes_a_private_file_that_loads_and_never_overwrites_unasked(llmops, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert llmops("config", "init").code == 0
    path = tmp_path / "llmops.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(tmp_path).log == (f"{tmp_path}/logs/*.log",)
    path.write_text("# mine\n")
    again = llmops("config", "init", "-o", "json")
    assert again.code == 2
    assert again.json()["errors"][0]["code"] == "config_exists"
    assert path.read_text() == "# mine\n"
    assert llmops("config", "init", "--force").code == 0
    assert path.read_text() == TEMPLATE
    assert [entry.name for entry in tmp_path.iterdir()] == ["llmops.toml"]


def test_init_says_why_it_cannot_write(llmops, tmp_path):
    ran = llmops("config", "init", "--config", tmp_path / "none" / "llmops.toml")
    assert ran.code == 3
    assert "no such file or directory" in ran.err


def test_every_line_of_the_template_may_be_uncommented(tmp_path):
    lines = [
        line.removeprefix("# ") if "=" in line or line.startswith("# [") else line for line in TEMPLATE.splitlines()
    ]
    text = "\n".join(lines)
    assert len(tomllib.loads(text)["profiles"]["laptop"]) > 6
    (tmp_path / "llmops.toml").write_text(text)
    assert len(load(tmp_path).limits) == 2


def test_show_names_each_origin(llmops, folder, monkeypatch):
    monkeypatch.chdir(folder)
    data = llmops("config", "show", "-o", "json").json()["data"]
    assert data["profile"] == "prod"
    assert data["values"]["limits.qwen-plus.rpm"] == {
        "value": 1200.0,
        "origin": f"{folder}/llmops.toml:{line('rpm = 1200')}",
    }
    assert data["values"]["thresholds.failure_rate.critical"]["origin"] == "default"
    shown = llmops("config", "show", "--profile", "laptop", "--encoding", "utf-8").out
    assert 'encoding = "utf-8"' in shown
    assert "--encoding" in shown


def test_path_prints_the_file_or_where_it_looked(llmops, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    assert llmops("config", "path").out.strip() == str(folder / "llmops.toml")
    (folder / "llmops.toml").unlink()
    assert str(Path.cwd() / "llmops.toml") in llmops("config", "path").out
    data = llmops("config", "path", "-o", "json").json()["data"]
    assert data["file"] is None
    assert data["searched"]
