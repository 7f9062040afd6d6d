"""`collect logtail`: how Logtail reads the application's log, from the same compiled pattern as our own reader.

The header becomes fields, and what follows it the key `message`, raw: Logtail has one regular expression for every
line, and only some are calls. A profile that reads such a logstore says `fields = { message = "message" }`.
Keys: https://help.aliyun.com/zh/sls/developer-reference/ (Logtail configuration, full regex mode).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from llmops_cli.calls.pattern import Pattern
from llmops_cli.errors import UsageError
from llmops_cli.evidence import Message
from llmops_cli.provision.account import Account, Former, Json, meanwhile
from llmops_cli.provision.plan import Change

_FRACTION = re.compile(r"[.,:]?%[gfn].*")
_ENCODINGS = {"utf-8": "utf8", "utf8": "utf8", "gbk": "gbk", "gb2312": "gbk", "gb18030": "gbk"}


@dataclass(frozen=True, slots=True)
class Machines:
    """Which machines collect: a group by name, with addresses (`ip`) or ids that machines give themselves.

    `machines` are in the group, beside those that it has; `kind` is `ip` or `userdefined`.
    """

    group: str
    kind: str
    machines: tuple[str, ...]


def configuration(
    project: str,
    logstore: str,
    pattern: Pattern,
    *,
    path: str,
    file: str,
    fields: Mapping[str, str],
    encoding: str | None,
    zone: tzinfo | None,
) -> dict[str, Any]:
    """Give the configuration for the files `file` below the folder `path`.

    `zone`: of times that the log writes without one; None: that of the machine. Raises `UsageError`.
    """
    detail: dict[str, Any] = {
        "logType": "common_reg_log",
        "logPath": path.rstrip("/") or "/",
        "filePattern": file,
        "topicFormat": "none",
        "logBeginRegex": pattern.begin_regex,
        "regex": pattern.logtail_regex,
        "key": [key if key == "time" else fields.get(key, key) for key in pattern.keys],
        "timeFormat": time_format(pattern),
        "fileEncoding": _encoding(encoding),
        "maxDepth": 0,
        "discardUnmatch": False,  # what does not fit arrives whole as __raw_log__, and is not lost
        "enableRawLog": False,
        "localStorage": True,
    }
    if (offset := _offset(pattern, zone)) is not None:
        detail |= {"adjustTimezone": True, "logTimezone": offset}
    return {
        "configName": f"llmops-{logstore}",
        "inputType": "file",
        "inputDetail": detail,
        "outputType": "LogService",
        "outputDetail": {"projectName": project, "logstoreName": logstore},
    }


def time_format(pattern: Pattern) -> str:
    """Give the date format for Logtail: that of strptime, up to the second, which is what Logtail keeps.

    Raises `UsageError` where the log writes its time in a way that strptime does not read.
    """
    time = pattern.time
    seconds = _FRACTION.sub("", time.strptime)
    if not seconds or "%S" not in seconds.replace("%-S", "%S"):
        raise UsageError(
            "logtail_time",
            f'Logtail cannot read times written as "{time.java}"',
            "write yyyy-MM-dd HH:mm:ss.SSS in the pattern of the appender, or send the log with llmops collect upload",
        )
    return re.sub(r"%-", "%", seconds)


def plan(account: Account, wanted: Mapping[str, Any], machines: Machines) -> tuple[Change, ...]:
    """Compare configuration, machine group and their connection with what is there. Raises `SourceError`.

    Machines are added to a group, and what others set there stays. A group without machines is one that exists
    already. Raises `UsageError` when it does not, or when its machines are of another kind.
    """
    sdk, project, name = account.sdk, account.project, wanted["configName"]
    held = account.read(lambda: sdk.get_logtail_config(project, name), "ConfigNotExist", "LogtailConfigNotExist")
    changes = [_configuration(account, held, wanted)]
    group = account.read(lambda: sdk.get_machine_group(project, machines.group), *_NO_GROUP)
    if machines.machines:
        changes.append(_group(account, group, machines))
    elif group is None:
        raise UsageError(
            "no_machine_group",
            f'project "{project}" has no machine group "{machines.group}"',
            "say which machines are in it: --machine-ip IP, repeatable, or --user-defined ID",
        )
    applied = None
    if group is not None:
        body = account.read(lambda: sdk.get_machine_group_applied_configs(project, machines.group), *_NO_GROUP)
        applied = {"applied": True} if name in (body or {}).get("configs", ()) else None
    undo = _command("remove_config_to_machine_group", project, config_name=name, group_name=machines.group)
    changes.append(Change.towards("collection", f"{name} on {machines.group}", applied, {"applied": True}, undo))
    return tuple(changes)


def apply(account: Account, wanted: Mapping[str, Any], machines: Machines, change: Change) -> None:
    """Make one change. Raises `SourceError`."""
    sdk, project = account.sdk, account.project
    if change.kind == "collection":
        account.change(lambda: sdk.apply_config_to_machine_group(project, wanted["configName"], machines.group))
        return
    body, get, exists = _of(account, change)
    if change.action == "create":
        create = getattr(sdk, f"create_{change.kind}")
        account.create(lambda: create(project, body), get, change.after, exists=exists)
        return
    if change.kind == "machine_group" and _group_as_it_is(get()) != change.before:  # an update replaces all of it
        raise meanwhile("somebody else changed it a moment ago")
    _former(account, change.kind, change.name, change.before or {}).keep()
    update = getattr(sdk, f"update_{change.kind}")
    account.change(lambda: update(project, body))


def _of(account: Account, change: Change) -> tuple[Json, Callable[[], Any], tuple[str, ...]]:
    """Give an object as the SDK takes it, the function that reads it, and the codes of one that is there already."""
    get = getattr(account.sdk, f"get_{change.kind}")
    exists: tuple[str, ...] = ("MachineGroupAlreadyExist", "GroupAlreadyExist")
    body = _machines(change)
    if change.kind == "logtail_config":
        body, exists = _config(change.after), ("ConfigAlreadyExist",)
    return body, lambda: account.read(lambda: get(account.project, change.name)), exists


def doubts(changes: Sequence[Change]) -> tuple[str, ...]:
    """Say in English what is not changed: a group keeps the machines that it has."""
    return tuple(
        f"machine group {one.name} keeps what it has ({len(one.before['machineList'])}), the new ones are added; "
        "to take one out, delete it from the list in the file of the undo command, and run that"
        for one in changes
        if one.kind == "machine_group" and one.action == "update" and one.before is not None
    )


def notes(pattern: Pattern, fields: Mapping[str, str], zone: tzinfo | None) -> tuple[Message, ...]:
    """Say what a reader of the logstore must know."""
    said = (
        []
        if "message" in fields
        else [Message("provision.raw_message", {"setting": 'fields = { message = "message" }'})]
    )
    said.append(Message("provision.logtail_seconds"))
    if pattern.time.zone or (zone is not None and pattern.time.fixed_zone is None and _fixed(zone) is None):
        said.append(Message("provision.logtail_zone"))
    return tuple(said)


_NO_GROUP = ("MachineGroupNotExist", "GroupNotExist")


_KINDS = {"ip": "by IP address", "userdefined": "by their own ids"}
_NOT_SET = frozenset({"createTime", "lastModifyTime"})
"""What the service adds to an object of its own."""
_ZONE = ("adjustTimezone", "logTimezone")


def _configuration(account: Account, held: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Change:
    project, name = account.project, wanted["configName"]
    if held is None:
        undo = _command("delete_logtail_config", project, config_name=name)
        return Change.towards("logtail_config", name, None, wanted, undo)
    before, after = _settable(held), _merged(_settable(held), wanted)
    for key in _ZONE:
        if key not in wanted["inputDetail"]:
            after["inputDetail"].pop(key, None)
    undo = _command("update_logtail_config", project)
    undo += f" --config_detail={_former(account, 'logtail_config', name, before).address}"
    return Change.towards("logtail_config", name, before, after, undo)


def _group(account: Account, held: Mapping[str, Any] | None, machines: Machines) -> Change:
    project = account.project
    if held is None:
        wanted = {
            "groupName": machines.group,
            "groupType": "",
            "groupAttribute": {},
            "machineIdentifyType": machines.kind,
            "machineList": list(machines.machines),
        }
        undo = _command("delete_machine_group", project, group_name=machines.group)
        return Change.towards("machine_group", machines.group, None, wanted, undo)
    if (kind := str(held.get("machineIdentifyType"))) != machines.kind:
        option = "--user-defined ID" if kind == "userdefined" else "--machine-ip IP"
        raise UsageError(
            "machine_kind",
            f'machine group "{machines.group}" knows its machines {_KINDS.get(kind, f"as {kind}")}, '
            f"not {_KINDS[machines.kind]}: it keeps its kind",
            f"add machines with {option}, or name another group with --machine-group NAME",
        )
    before = _group_as_it_is(held)
    listed = before["machineList"]
    after = {**before, "machineList": [*listed, *(one for one in machines.machines if one not in listed)]}
    undo = _command("update_machine_group", project)
    undo += f" --group_detail={_former(account, 'machine_group', machines.group, before).address}"
    return Change.towards("machine_group", machines.group, before, after, undo)


def _group_as_it_is(held: Mapping[str, Any]) -> dict[str, Any]:
    return {**_settable(held), "machineList": list(held.get("machineList") or ())}


def _former(account: Account, kind: str, name: str, before: Mapping[str, Any]) -> Former:
    return Former.of(account, f"{kind}-{name}", before)


def _command(name: str, project: str, **options: str) -> str:
    """Give a command of `aliyunlog`, Log Service's own command line (aliyun-log-cli)."""
    given = {"project_name": project, **options}
    return " ".join(("aliyunlog log", name, *(f"--{key}={shlex.quote(value)}" for key, value in given.items())))


def _settable(held: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in held.items() if key not in _NOT_SET}


def _merged(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is held with what is wanted in it, at every depth: an update replaces the whole object."""
    deep = {
        key: _merged(held[key], value)
        for key, value in wanted.items()
        if isinstance(value, Mapping) and isinstance(held.get(key), Mapping)
    }
    return {**held, **wanted, **deep}


def _config(wanted: Mapping[str, Any]) -> Json:
    return Json(wanted, config_name=wanted["configName"], logstore_name=wanted["outputDetail"]["logstoreName"])


def _machines(change: Change) -> Json:
    return Json(change.after, group_name=change.name)


def _encoding(name: str | None) -> str:
    known = _ENCODINGS.get((name or "utf-8").lower())
    if known is None:
        raise UsageError("logtail_encoding", f"Logtail reads UTF-8 and GBK, not {name}", "let the appender write UTF-8")
    return known


def _offset(pattern: Pattern, zone: tzinfo | None) -> str | None:
    """Give the zone as Logtail takes it, GMT+08:00; None for that of the machine."""
    if pattern.time.zone:
        return None
    if pattern.time.fixed_zone is not None and zone is None:
        zone = datetime.now().astimezone().tzinfo
    chosen = pattern.time.zone_or(zone) if zone is not None else None
    return None if chosen is None else _fixed(chosen)


def _fixed(zone: tzinfo) -> str | None:
    """Give the offset of a zone that has the same one all year, else None."""
    offsets = {datetime(2026, month, 1, tzinfo=zone).strftime("%z") for month in (1, 7)}
    text = offsets.pop()
    return None if offsets else f"GMT{text[:3]}:{text[3:5]}"
