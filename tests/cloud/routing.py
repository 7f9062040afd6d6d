"""Which operation a method and path ask for, and whether the key may do it."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.cloud.refused import Refused
from tests.cloud.state import Logstore, Project

if TYPE_CHECKING:
    from tests.cloud.sls import Request, SlsCloud

ACCOUNT = "1234567890123456"

_SINGULAR = {
    "logstores": "logstore", "dashboards": "dashboard", "savedsearches": "savedsearch", "jobs": "job",
    "configs": "logtailconfig", "pipelineconfigs": "logtailpipelineconfig", "machinegroups": "machinegroup",
}  # fmt: skip
"""Paths as RAM's resource names write them."""

regex = functools.cache(re.compile)


@dataclass(frozen=True, slots=True)
class Done:
    """What is answered with status 200; None is an empty body."""

    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request on its way: `args` are the names in its path."""

    cloud: SlsCloud
    request: Request
    args: tuple[str, ...]

    @property
    def project(self) -> Project:
        name = self.request.project
        if name not in self.cloud.projects:
            raise Refused(404, "ProjectNotExist", f"The Project does not exist : {name}")
        return self.cloud.projects[name]

    @property
    def logstore(self) -> Logstore:
        return self.project.logstore(self.args[0])

    def page(self, found: list[Any], key: str) -> Done:
        """Answer one page of a list: `offset` and `size`, at most 500."""
        offset = int(self.request.query.get("offset", 0))
        size = min(int(self.request.query.get("size", 500)), 500)
        part = found[offset : offset + size]
        return Done({"count": len(part), "total": len(found), key: part})


Operation = Callable[[Ask], Done]


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    path: re.Pattern[str]
    action: str
    operation: Operation
    locked: bool


_ROUTES: list[_Route] = []


def route(method: str, path: str, action: str, *, locked: bool = True) -> Callable[[Operation], Operation]:
    """Register an operation: `{}` in `path` stands for a name, `action` is the RAM action without `log:`.

    Without `locked` it runs beside others; logs are only ever appended, so that a query needs no lock.
    """

    def keep(operation: Operation) -> Operation:
        pattern = regex("^" + path.replace("{}", "([^/]+)") + "$")
        _ROUTES.append(_Route(method, pattern, f"log:{action}", operation, locked))
        return operation

    return keep


def carry_out(cloud: SlsCloud, request: Request, key: str) -> Done:
    """Find and carry out the operation; raise `Refused` as the service would."""
    for known in _ROUTES:
        found = known.path.match(request.path)
        if not found or known.method != request.method:
            continue
        _check_permission(cloud, request, key, known.action)
        with cloud.lock if known.locked else contextlib.nullcontext():
            return known.operation(Ask(cloud, request, found.groups()))
    raise Refused(404, "ResourceNotExist", f"{request.method} {request.path} is no operation of the Log Service")


def _check_permission(cloud: SlsCloud, request: Request, key: str, action: str) -> None:
    denied = cloud.denied.get(key, set())
    if action in denied or "*" in denied:
        sort, _, name = request.path.strip("/").partition("/")
        part = f"/{_SINGULAR[sort]}/{name.partition('/')[0] or '*'}" if sort in _SINGULAR else ""
        resource = f"acs:log:{cloud.region}:{ACCOUNT}:project/{request.project or '*'}{part}"
        raise Refused(401, "Unauthorized", f"denied by sts or ram, action: {action}, resource: {resource}")
