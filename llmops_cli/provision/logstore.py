"""`collect init`: the project, the logstore and its index."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llmops_cli.errors import SourceError
from llmops_cli.evidence import Message
from llmops_cli.provision import index
from llmops_cli.provision.account import NO_INDEX, NO_LOGSTORE, NO_PROJECT, Account, Former, Json
from llmops_cli.provision.plan import Change

TTL_DAYS = 30
SHARDS = 2
"""Each takes 5 MB a second; the service splits them when that is not enough."""


@dataclass(frozen=True, slots=True)
class Store:
    """What is wanted. `ttl`: days that logs are kept, None: as it is, 30 for a new logstore.

    `shards`: of a new logstore, None: 2. `region`: where the profile says that the project is.
    """

    create_project: bool
    ttl: int | None
    shards: int | None
    fields: Mapping[str, str]
    region: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes; `notes` are for a reader of the answer, `doubts` say in English what is not changed or not right."""

    changes: tuple[Change, ...]
    notes: tuple[Message, ...]
    doubts: tuple[str, ...]


def plan(account: Account, store: Store) -> Plan:
    """Compare what is there with what is wanted. Raises `SourceError`."""
    project, logstore = account.project, account.logstore
    held = account.read(lambda: account.sdk.get_project(project), *NO_PROJECT)
    changes = []
    if store.create_project:
        changes.append(_project(project, there=held is not None))
    elif held is None:
        raise SourceError(
            "sls_project",
            f'Log Service has no project "{project}" at {account.service.endpoint}',
            "mend sls.project or sls.endpoint (the project's region) in llmops.toml, or add --create-project",
        )
    there = held is not None
    kept = account.read(lambda: account.sdk.get_logstore(project, logstore), *NO_LOGSTORE) if there else None
    changes.append(_logstore(project, logstore, kept, store))
    there = kept is not None
    indexed = account.read(lambda: account.sdk.get_index_config(project, logstore), *NO_INDEX) if there else None
    changes.append(_index(account, indexed, store.fields))
    doubts = (_elsewhere(project, held, store.region), _shards(logstore, kept, store.shards), _shorter(kept, store.ttl))
    return Plan(tuple(changes), _notes(indexed, changes[-1], store.fields), tuple(filter(None, doubts)))


def apply(account: Account, change: Change) -> None:
    """Make one change. Raises `SourceError`."""
    _APPLY[change.kind](account, change)


def _project(project: str, *, there: bool) -> Change:
    wanted = {"projectName": project, "description": "model calls, seen by llmops"}
    undo = f"aliyunlog log delete_project --project_name={shlex.quote(project)}"
    return Change.towards("project", project, wanted if there else None, wanted, undo)


def _logstore(project: str, logstore: str, held: Mapping[str, object] | None, store: Store) -> Change:
    names = f"--project_name={shlex.quote(project)} --logstore_name={shlex.quote(logstore)}"
    if held is None:
        wanted = {"ttl": store.ttl or TTL_DAYS, "shardCount": store.shards or SHARDS}
        return Change.towards("logstore", logstore, None, wanted, f"aliyunlog log delete_logstore {names}")
    before = {"ttl": held.get("ttl")}
    undo = f"aliyunlog log update_logstore {names} --ttl={before['ttl']}"
    return Change.towards("logstore", logstore, before, {"ttl": store.ttl or before["ttl"]}, undo)


def _index(account: Account, held: Mapping[str, object] | None, fields: Mapping[str, str]) -> Change:
    logstore = account.logstore
    names = f"--project_name={shlex.quote(account.project)} --logstore_name={shlex.quote(logstore)}"
    wanted = index.wanted_index(held, fields)
    if held is None:
        return Change.towards("index", logstore, None, wanted, f"aliyunlog log delete_index {names}")
    before = index.settable(held)
    detail = _former(account, before).address
    return Change.towards(
        "index", logstore, before, wanted, f"aliyunlog log update_index {names} --index_detail={detail}"
    )


def _former(account: Account, before: Mapping[str, object]) -> Former:
    return Former.of(account, f"index-{account.logstore}", before)


def _elsewhere(project: str, held: Mapping[str, object] | None, region: str) -> str:
    """Say that the project is not in the profile's region; empty where it is."""
    there = (held or {}).get("region")
    if not there or there == region:
        return ""
    return f'project "{project}" is in {there}, but region is {region}: mend region or sls.endpoint in llmops.toml'


def _shards(logstore: str, held: Mapping[str, object] | None, wanted: int | None) -> str:
    """Say that a logstore keeps its shards where others were asked for; empty otherwise."""
    count = (held or {}).get("shardCount")
    if wanted is None or count in (None, wanted):
        return ""
    return (
        f"logstore {logstore} has {count} shards and keeps them: --shards is for a new logstore; "
        "more come by splitting (aliyunlog log split_shard), which its automatic splitting does under load"
    )


def _shorter(held: Mapping[str, object] | None, wanted: int | None) -> str:
    """Say that a shorter life deletes logs; empty otherwise."""
    days = (held or {}).get("ttl")
    if wanted is None or not isinstance(days, int) or wanted >= days:
        return ""
    return f"--ttl {wanted} deletes the logs that are older than {wanted} days, and undo does not bring them back"


def _notes(held: Mapping[str, object] | None, change: Change, fields: Mapping[str, str]) -> tuple[Message, ...]:
    notes = [
        Message("provision.wrong_type", {"key": key, "held": one, "wanted": other})
        for key, one, other in (index.wrong_types(held, fields) if held else ())
    ]
    if change.action != "none":
        notes.append(Message("provision.index_from_now"))
    return tuple(notes)


def _create_project(account: Account, change: Change) -> None:
    sdk, about = account.sdk, change.after["description"]
    if account.change(lambda: sdk.create_project(change.name, about), exists=("ProjectAlreadyExist",)):
        return
    # either the answer to our own request was lost, or the project is there and not ours to see
    if account.read(lambda: sdk.get_project(change.name), *NO_PROJECT) is None:
        raise SourceError(
            "sls_project",
            f'another account has a project "{change.name}": no two have the same name',
            "choose another name for sls.project in llmops.toml; if the project is yours, run the command again",
        )


def _set_logstore(account: Account, change: Change) -> None:
    sdk, ttl = account.sdk, change.after["ttl"]
    if change.action == "update":
        account.change(lambda: sdk.update_logstore(account.project, change.name, ttl=ttl))
        return
    shards = change.after["shardCount"]
    account.create(
        lambda: sdk.create_logstore(account.project, change.name, ttl=ttl, shard_count=shards),
        lambda: account.read(lambda: sdk.get_logstore(account.project, change.name)),
        change.after,
        awaited=NO_PROJECT,
        exists=("LogStoreAlreadyExist",),
    )


def _set_index(account: Account, change: Change) -> None:
    sdk, body, awaited = account.sdk, Json(change.after), (*NO_PROJECT, *NO_LOGSTORE)
    if change.before is not None:
        _former(account, change.before).keep()
        account.change(lambda: sdk.update_index(account.project, change.name, body), awaited=awaited)
        return
    account.create(
        lambda: sdk.create_index(account.project, change.name, body),
        lambda: account.read(lambda: sdk.get_index_config(account.project, change.name)),
        {"keys": {key: {"type": setting["type"]} for key, setting in change.after["keys"].items()}},
        awaited=awaited,
        exists=("IndexAlreadyExist",),
    )


_APPLY: dict[str, Callable[[Account, Change], None]] = {
    "project": _create_project,
    "logstore": _set_logstore,
    "index": _set_index,
}
