"""What the loopback Log Service keeps: projects, logstores, logs, and everything that is created by name, verbatim."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.cloud.refused import Refused

TYPES = {"text", "long", "double", "json"}
LOGSTORE_DEFAULTS: dict[str, Any] = {
    "ttl": 30, "shardCount": 2, "enable_tracking": False, "autoSplit": True, "maxSplitShard": 64, "appendMeta": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Log:
    """One log. `fields` hold all that a query may give back, as strings, `__time__` and tags included."""

    time_s: int
    fields: Mapping[str, str]
    visible_at: float
    """`time.monotonic()` from which queries find it."""


@dataclass(eq=False)
class Logstore:
    """A logstore: `settings` and `index` are the JSON that created or last changed them."""

    name: str
    settings: dict[str, Any]
    serial: int = field(default_factory=itertools.count().__next__)
    """Of all logstores that ever were."""
    index: dict[str, Any] | None = None
    index_versions: int = 0
    key_since: dict[str, int] = field(default_factory=dict)
    """For each indexed key the number of logs that came before it was indexed: of those, queries see no such key."""
    indexed_since: int = 0
    """The number of logs that came before there was an index: no query sees them."""
    logs: list[Log] = field(default_factory=list)

    def put_index(self, index: dict[str, Any]) -> None:
        """Create or change the index; raise `Refused` where the service would not take it."""
        keys = index.get("keys") or {}
        if not keys and not index.get("line"):
            raise Refused(400, "IndexInfoInvalid", "index must have line or keys")
        for key, setting in keys.items():
            if setting.get("type") not in TYPES:
                raise Refused(400, "IndexInfoInvalid", f"key {key} has the unknown type {setting.get('type')}")
            if setting["type"] in {"text", "json"} and "token" not in setting:
                raise Refused(400, "IndexInfoInvalid", f"key {key} has no token")
        if self.index is None:
            self.indexed_since = len(self.logs)
        before = (self.index or {}).get("keys") or {}
        self.key_since = {
            key: self.key_since[key] if before.get(key) == setting else len(self.logs) for key, setting in keys.items()
        }
        self.index = index
        self.index_versions += 1

    def drop_index(self) -> None:
        """Delete the index."""
        self.needed_index()
        self.index = None
        self.index_versions += 1

    def needed_index(self) -> dict[str, Any]:
        """Give the index, or raise `Refused`."""
        if self.index is None:
            raise Refused(404, "IndexConfigNotExist", "logstore without index config")
        return self.index

    def add(self, logs: Sequence[Mapping[str, Any]], lag_s: float = 0) -> None:
        """Append logs; `__time__` (unix seconds) defaults to now, all values become strings, None is left out."""
        now = int(time.time())
        visible_at = time.monotonic() + lag_s
        for log in logs:
            fields = {"__time__": str(now), "__topic__": "", "__source__": ""}
            fields |= {key: str(value) for key, value in log.items() if value is not None}
            self.logs.append(Log(int(fields["__time__"]), fields, visible_at))

    def seen(self, number: int) -> Mapping[str, str]:
        """Give the fields of the log at `number` as a search sees them."""
        fields = self.logs[number].fields
        hidden = {key for key, since in self.key_since.items() if number < since}
        return {key: value for key, value in fields.items() if key not in hidden} if hidden else fields


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of object that a project keeps by name, and how the service spells it."""

    path: str
    key: str
    """Where its JSON holds its name."""
    noun: str
    """As the error codes write it."""
    listed: str
    """Where a list answers them."""
    action: str = ""
    """As the RAM actions write it, where that is another word."""
    whole: bool = False
    """A list answers whole objects instead of names."""


KINDS = {
    kind.path: kind
    for kind in (
        Kind("dashboards", "dashboardName", "Dashboard", "dashboards"),
        Kind("savedsearches", "savedsearchName", "SavedSearch", "savedsearches"),
        Kind("jobs", "name", "Job", "results", whole=True),
        Kind("configs", "configName", "Config", "configs"),
        Kind("pipelineconfigs", "configName", "Config", "configs", action="LogtailPipelineConfig"),
        Kind("machinegroups", "groupName", "MachineGroup", "machinegroups"),
    )
}


@dataclass(eq=False)
class Project:
    """A project; `objects["dashboards"]["name"]` is the JSON as it was sent."""

    name: str
    settings: dict[str, Any]
    logstores: dict[str, Logstore] = field(default_factory=dict)
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {path: {} for path in KINDS})
    applied: dict[str, set[str]] = field(default_factory=dict)
    """The Logtail configurations that each machine group carries out."""

    @property
    def dashboards(self) -> dict[str, dict[str, Any]]:
        return self.objects["dashboards"]

    @property
    def savedsearches(self) -> dict[str, dict[str, Any]]:
        return self.objects["savedsearches"]

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        return self.objects["jobs"]

    @property
    def configs(self) -> dict[str, dict[str, Any]]:
        return self.objects["configs"]

    @property
    def pipelineconfigs(self) -> dict[str, dict[str, Any]]:
        return self.objects["pipelineconfigs"]

    @property
    def machinegroups(self) -> dict[str, dict[str, Any]]:
        return self.objects["machinegroups"]

    def logstore(self, name: str) -> Logstore:
        """Give a logstore, or raise `Refused`."""
        if name not in self.logstores:
            raise Refused(404, "LogStoreNotExist", f"logstore {name} does not exist")
        return self.logstores[name]
