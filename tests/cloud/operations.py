"""Projects, logstores, indexes, and all that is kept by name: dashboards, jobs, Logtail configurations, groups."""

from __future__ import annotations

import functools
from typing import Any

from tests.cloud.querying import get_logs_by_query, histogram
from tests.cloud.refused import Refused, invalid
from tests.cloud.routing import ACCOUNT, Ask, Done, regex, route
from tests.cloud.state import KINDS, LOGSTORE_DEFAULTS, Kind, Logstore, Project


@route("POST", "/", "CreateProject")
def _create_project(ask: Ask) -> Done:
    name = ask.request.body["projectName"]
    if name in ask.cloud.projects:
        raise Refused(400, "ProjectAlreadyExist", f"Project {name} already exist.")
    if not regex(r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$").match(name):
        raise invalid(f"The project name {name} is invalid.")
    ask.cloud.projects[name] = Project(name, ask.request.body)
    return Done()


@route("GET", "/", "GetProject")
def _get_project(ask: Ask) -> Done:
    # without a project in Host the same path lists them
    if ask.request.project in ask.cloud.projects or not _is_list(ask):
        return Done(_project_json(ask.cloud.region, ask.project))
    pattern = ask.request.query.get("projectName", "")
    projects = [_project_json(ask.cloud.region, held) for name, held in ask.cloud.projects.items() if pattern in name]
    return ask.page(projects, "projects")


def _is_list(ask: Ask) -> bool:
    return "offset" in ask.request.query or "size" in ask.request.query


def _project_json(region: str, project: Project) -> dict[str, Any]:
    return {
        "projectName": project.name,
        "description": project.settings.get("description", ""),
        "status": "Normal",
        "region": region,
        "owner": ACCOUNT,
        "createTime": "2026-01-01 00:00:00",
        "lastModifyTime": "2026-01-01 00:00:00",
    }


@route("PUT", "/", "UpdateProject")
def _update_project(ask: Ask) -> Done:
    ask.project.settings |= ask.request.body
    return Done()


@route("DELETE", "/", "DeleteProject")
def _delete_project(ask: Ask) -> Done:
    del ask.cloud.projects[ask.project.name]
    return Done()


# ---- logstores and their index


@route("POST", "/logstores", "CreateLogStore")
def _create_logstore(ask: Ask) -> Done:
    settings = ask.request.body
    name = settings["logstoreName"]
    if name in ask.project.logstores:
        raise Refused(400, "LogStoreAlreadyExist", f"logstore {name} already exists")
    if not 1 <= int(settings.get("ttl", 30)) <= 3650:
        raise invalid("ttl must be between 1 and 3650")
    ask.project.logstores[name] = Logstore(name, settings)
    return Done()


@route("GET", "/logstores", "ListLogStores")
def _list_logstores(ask: Ask) -> Done:
    wanted = ask.request.query.get("logstoreName", "")
    return ask.page(sorted(name for name in ask.project.logstores if wanted in name), "logstores")


@route("GET", "/logstores/{}", "GetLogStore")
def _get_logstore(ask: Ask) -> Done:
    if ask.request.query.get("type") == "histogram":
        return histogram(ask)
    if ask.request.query.get("type") == "log":
        return get_logs_by_query(ask)
    return Done({**LOGSTORE_DEFAULTS, "telemetryType": "", **ask.logstore.settings})


@route("PUT", "/logstores/{}", "UpdateLogStore")
def _update_logstore(ask: Ask) -> Done:
    ask.logstore.settings |= ask.request.body
    return Done()


@route("DELETE", "/logstores/{}", "DeleteLogStore")
def _delete_logstore(ask: Ask) -> Done:
    del ask.project.logstores[ask.logstore.name]
    return Done()


@route("GET", "/logstores/{}/shards", "ListShards")
def _list_shards(ask: Ask) -> Done:
    count = int(ask.logstore.settings.get("shardCount", 2))
    step = (1 << 128) // count
    return Done(
        [
            {
                "shardID": at,
                "status": "readwrite",
                "inclusiveBeginKey": f"{at * step:032x}",
                "exclusiveEndKey": f"{min((at + 1) * step, (1 << 128) - 1):032x}",
                "createTime": 1_700_000_000,
            }
            for at in range(count)
        ]
    )


@route("POST", "/logstores/{}/index", "CreateIndex")
def _create_index(ask: Ask) -> Done:
    if ask.logstore.index is not None:
        raise Refused(400, "IndexAlreadyExist", "log store index is already created")
    ask.logstore.put_index(ask.request.body)
    return Done()


@route("PUT", "/logstores/{}/index", "UpdateIndex")
def _update_index(ask: Ask) -> Done:
    ask.logstore.needed_index()
    ask.logstore.put_index(ask.request.body)
    return Done()


@route("GET", "/logstores/{}/index", "GetIndex")
def _get_index(ask: Ask) -> Done:
    if ask.request.query.get("type") == "histogram":
        return histogram(ask)
    return Done({"index_mode": "v2", "ttl": 30, "lastModifyTime": 1_700_000_000, **ask.logstore.needed_index()})


@route("DELETE", "/logstores/{}/index", "DeleteIndex")
def _delete_index(ask: Ask) -> Done:
    ask.logstore.drop_index()
    return Done()


# ---- what is kept by name


@route("PUT", "/machinegroups/{}/configs/{}", "ApplyConfigToGroup")
def _apply_config(ask: Ask) -> Done:
    group, config = ask.args
    _object(ask, KINDS["machinegroups"], group)
    if config not in ask.project.pipelineconfigs:
        _object(ask, KINDS["configs"], config)
    ask.project.applied.setdefault(group, set()).add(config)
    return Done()


@route("DELETE", "/machinegroups/{}/configs/{}", "RemoveConfigFromGroup")
def _remove_config(ask: Ask) -> Done:
    group, config = ask.args
    _object(ask, KINDS["machinegroups"], group)
    ask.project.applied.get(group, set()).discard(config)
    return Done()


@route("GET", "/machinegroups/{}/configs", "GetAppliedConfigs")
def _applied_configs(ask: Ask) -> Done:
    _object(ask, KINDS["machinegroups"], ask.args[0])
    configs = sorted(ask.project.applied.get(ask.args[0], set()))
    return Done({"count": len(configs), "configs": configs})


@route("GET", "/configs/{}/machinegroups", "GetAppliedMachineGroups")
def _applied_groups(ask: Ask) -> Done:
    _object(ask, KINDS["configs"], ask.args[0])
    groups = sorted(group for group, configs in ask.project.applied.items() if ask.args[0] in configs)
    return Done({"count": len(groups), "machinegroups": groups})


def _object(ask: Ask, kind: Kind, name: str) -> dict[str, Any]:
    held = ask.project.objects[kind.path]
    if name not in held:
        raise Refused(404, f"{kind.noun}NotExist", f"{kind.noun} {name} does not exist")
    return held[name]


def _create(kind: Kind, ask: Ask) -> Done:
    told = ask.request.body
    name = told[kind.key]
    if name in ask.project.objects[kind.path]:
        raise Refused(400, f"{kind.noun}AlreadyExist", f"{kind.noun} {name} already exists")
    ask.project.objects[kind.path][name] = told
    return Done()


def _update(kind: Kind, ask: Ask) -> Done:
    (name,) = ask.args
    held = _object(ask, kind, name)
    action = ask.request.query.get("action")
    if action in {"enable", "disable"}:
        ask.project.objects[kind.path][name] = {**held, "status": f"{action}d".capitalize()}
    else:
        ask.project.objects[kind.path][name] = ask.request.body
    return Done()


def _get(kind: Kind, ask: Ask) -> Done:
    return Done(_object(ask, kind, ask.args[0]))


def _delete(kind: Kind, ask: Ask) -> Done:
    _object(ask, kind, ask.args[0])
    del ask.project.objects[kind.path][ask.args[0]]
    return Done()


def _list(kind: Kind, ask: Ask) -> Done:
    query = ask.request.query
    held = ask.project.objects[kind.path]
    job_type = query.get("jobType")
    found = [name for name, told in sorted(held.items()) if job_type in {None, told.get("type")}]
    return ask.page([held[name] for name in found] if kind.whole else found, kind.listed)


for _kind in KINDS.values():
    _one, _all, _noun = f"/{_kind.path}/{{}}", f"/{_kind.path}", _kind.action or _kind.noun
    route("POST", _all, f"Create{_noun}")(functools.partial(_create, _kind))
    route("GET", _all, f"List{_noun}")(functools.partial(_list, _kind))
    route("GET", _one, f"Get{_noun}")(functools.partial(_get, _kind))
    route("PUT", _one, f"Update{_noun}")(functools.partial(_update, _kind))
    route("DELETE", _one, f"Delete{_noun}")(functools.partial(_delete, _kind))
