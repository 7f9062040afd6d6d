"""The alert rules as alerts of Log Service (2.0, `/jobs`).

Shape: https://help.aliyun.com/document_detail/433029.htm. Names begin with `PREFIX` and the logstore; no other alert
is read or touched.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from llmops_cli.cloud.inflight import Deadline
from llmops_cli.cloud.refusals import Refusal
from llmops_cli.cloud.sls import LogService
from llmops_cli.errors import SourceError
from llmops_cli.evidence import Filters, Limit, Message, Thresholds
from llmops_cli.knowledge.alert_rules import AlertRule, alert_rules, core_models
from llmops_cli.knowledge.limits import find_limit
from llmops_cli.knowledge.sentences import sentence
from llmops_cli.provision.plan import Change, same_where_wanted
from llmops_cli.queries import charts
from llmops_cli.queries.relation import Relation
from llmops_cli.queries.statements import COLUMNS, Statement

PREFIX = "llmops-"
_DELAY_S = 15
"""Seconds after its minute that a rule is evaluated: written logs are found within three, an agent sends every few."""
_STATEMENTS = {one.name: one for one in (charts.FAILURES, charts.NEGATIVE, charts.SILENCE)}


@dataclass(frozen=True, slots=True)
class Watched:
    """What rules watch: a logstore (`project`, `logstore`, `region`), narrowed to `filters`.

    `keys`: canonical fields -> the logstore's keys; `command_options`: what commands in annotations carry besides;
    `runbooks`: where runbooks are published, a URL that `TYPE.md` is appended to, or empty.
    `lacking`: canonical fields that the index does not have.
    """

    project: str
    logstore: str
    region: str
    filters: Filters
    keys: Mapping[str, str]
    limits: tuple[Limit, ...]
    thresholds: Thresholds
    command_options: str = ""
    runbooks: str = ""
    action_policy: str = "sls.builtin"
    lacking: frozenset[str] = frozenset()
    lang: str = "en"


def watched_limits(configured: Sequence[Limit], filters: Filters, region: str) -> tuple[Limit, ...]:
    """Give the limits of the models to watch, field by field: configuration, else the shipped table.

    Models: those of `filters`, else those configured, else the core models.
    """
    named = filters.model or tuple(dict.fromkeys(limit.model for limit in configured)) or core_models()
    known = {(limit.model, limit.workspace): limit for limit in configured}
    found = []
    for model in named:
        own, table = known.get((model, None)), find_limit(region, model)
        rpm, tpm = (own.rpm, own.tpm) if own else (None, None)
        if table is not None:
            rpm, tpm = table.rpm if rpm is None else rpm, table.tpm if tpm is None else tpm
        if not filters.workspace:
            found.append(Limit(model, None, rpm, tpm))
    found += [
        limit
        for limit in configured
        if limit.workspace and limit.model in named and limit.workspace in (filters.workspace or (limit.workspace,))
    ]
    return tuple(limit for limit in found if limit.rpm is not None or limit.tpm is not None)


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule, the statement that judges it, and what that is narrowed to."""

    rule: AlertRule
    statement: Statement
    filters: Filters


def rules(
    thresholds: Thresholds, limits: Sequence[Limit], filters: Filters
) -> tuple[tuple[Judged, ...], tuple[str, ...]]:
    """Give every rule that can be judged, and the names of the others: a water level needs a limit."""
    judged, unjudged = [], []
    for rule in alert_rules(thresholds):
        measure, _, kind = rule.statement.partition("_")
        if kind == "level":
            # a limit is shared: which app or module calls, or with which error, does not narrow it
            statement, kept = charts.level(measure, limits), Filters(model=filters.model, workspace=filters.workspace)
        elif rule.statement == "latency":
            statement, kept = charts.latency(thresholds.p95_ms.warning, thresholds.p95_ms.critical), filters
        else:
            statement, kept = _STATEMENTS[rule.statement], filters
        if statement is None:
            unjudged.append(rule.name)
        else:
            judged.append(Judged(rule, statement, kept))
    return tuple(judged), tuple(unjudged)


def alerts(watched: Watched) -> tuple[dict[str, Any], ...]:
    """Give every rule as an alert, ready to be sent."""
    judged, _ = rules(watched.thresholds, watched.limits, watched.filters)
    # a rule about what the index does not have would fail every minute
    return tuple(_alert(one, watched) for one in judged if _ABOUT.get(one.rule.statement) not in watched.lacking)


_ABOUT = {"negative": "rating", "tpm_level": "total_tokens", "latency": "duration_ms"}
"""The field without which a statement says nothing."""


def query(one: Judged, watched: Watched) -> str:
    """Write what Log Service runs for a rule: `search | select …`."""
    relation = Relation(keys=dict(watched.keys), lacking=watched.lacking, filters=one.filters)
    return f"{relation.search()} | {charts.written(one.statement, relation, at=charts.SLS_AT)}"


def lacking_fields(
    service: LogService, project: str, logstore: str, keys: Mapping[str, str], deadline: Deadline
) -> frozenset[str]:
    """Name the canonical fields that the logstore's index does not have with statistics on. Raises `SourceError`."""
    answer = service.sent(lambda: service.sdk.get_index_config(project, logstore), project, logstore, deadline)
    config = answer.get_index_config().to_json()
    held = {key for key, kept in (config.get("keys") or {}).items() if kept.get("doc_value", True)}
    names = ("trace_id", "level") if "message" in keys else COLUMNS
    return frozenset(name for name in names if keys.get(name, name) not in held)


def plan(service: LogService, watched: Watched, deadline: Deadline) -> tuple[Change, ...]:
    """Compare the alerts that are there with those wanted. Raises `SourceError`."""
    return tuple(_change(service, watched, wanted, deadline) for wanted in alerts(watched))


def left_out(watched: Watched) -> tuple[str, ...]:
    """Name the rules that are not made: no limit is known, or the index lacks what they are about."""
    made = {alert["name"] for alert in alerts(watched)}
    return tuple(rule.name for rule in alert_rules(watched.thresholds) if name_of(rule.name, watched) not in made)


def left_over(service: LogService, watched: Watched, deadline: Deadline) -> tuple[str, ...]:
    """Give the commands that delete alerts of an earlier run that are not made any more. Raises `SourceError`."""
    found = []
    for rule in left_out(watched):
        name = name_of(rule, watched)
        held = existing(
            partial(service.sdk.get_alert, watched.project, name), service, watched.project, watched.logstore, deadline
        )
        if held is not None:
            found.append(f"aliyunlog log delete_alert --project={shlex.quote(watched.project)} --entity={name}")
    return tuple(found)


def apply(service: LogService, watched: Watched, deadline: Deadline) -> Callable[[Change], None]:
    """Give the function that sends one change."""

    def send(change: Change) -> None:
        sent = service.sdk.create_alert if change.action == "create" else service.sdk.update_alert
        # as bytes: the SDK encodes a dict as Latin-1
        body = _json(change.after)
        service.sent(lambda: sent(watched.project, body), watched.project, watched.logstore, deadline)

    return send


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _change(service: LogService, watched: Watched, wanted: Mapping[str, Any], deadline: Deadline) -> Change:
    name = wanted["name"]
    held = existing(
        lambda: service.sdk.get_alert(watched.project, name), service, watched.project, watched.logstore, deadline
    )
    project = f"--project={shlex.quote(watched.project)}"
    undo = f"aliyunlog log delete_alert {project} --entity={name}"
    if held is not None:
        # whoever switched a rule off, or muted it, wants it so
        wanted = {key: value for key, value in wanted.items() if key != "state"}
        undo = f"aliyunlog log update_alert {project} --detail={shlex.quote(_json(held))}"
    before = None if held is None else same_where_wanted(held, wanted)
    return Change.towards("alert", name, before, wanted, undo)


def existing(
    get: Callable[[], Any], service: LogService, project: str, logstore: str, deadline: Deadline
) -> Mapping[str, Any] | None:
    """Get an object by its name; None where there is none. Raises `SourceError`."""
    try:
        answer = service.sent(get, project, logstore, deadline)
    except SourceError as error:
        cause = error.__cause__
        if isinstance(cause, Refusal) and cause.status == 404 and not cause.code.startswith("Project"):
            return None
        raise
    entity: Mapping[str, Any] = answer.get_entity()
    return entity


def _alert(one: Judged, watched: Watched) -> dict[str, Any]:
    rule = one.rule
    asked = {
        "storeType": "log", "project": watched.project, "store": watched.logstore, "region": watched.region,
        "query": query(one, watched), "timeSpanType": "Truncated", "start": f"-{rule.minutes}m",
        "end": "absolute", "powerSqlMode": "auto",
    }  # fmt: skip
    group = {"type": "custom", "fields": list(rule.by)} if rule.by else {"type": "no_group", "fields": []}
    floor = [test.text for test in rule.floor]
    severities = [
        {"severity": severity, "evalCondition": {"condition": " && ".join([test.text, *floor]), "countCondition": ""}}
        for severity, test in rule.levels
    ]
    return {
        "name": name_of(rule.name, watched),
        "displayName": _titled(rule, watched),
        "description": sentence(Message("alert.made_by"), watched.lang),
        "type": "Alert",
        "state": "Enabled",
        "schedule": {"type": "FixedRate", "interval": "1m", "delay": _DELAY_S},
        "configuration": {
            "version": "2.0",
            "type": "default",
            "dashboard": "internal-alert-analysis",
            "queryList": [asked],
            "groupConfiguration": group,
            "joinConfigurations": [],
            "severityConfigurations": severities,
            "labels": [{"key": "rule", "value": rule.name}, {"key": "logstore", "value": watched.logstore}],
            "annotations": _annotations(rule, watched),
            "autoAnnotation": True,
            "sendResolved": True,
            "threshold": rule.lasting,
            "noDataFire": False,
            "noDataSeverity": 6,
            "policyConfiguration": {
                "alertPolicyId": "sls.builtin.dynamic", "actionPolicyId": watched.action_policy,
                "repeatInterval": "10m", "useDefault": False,
            },
        },
    }  # fmt: skip


def name_of(name: str, watched: Watched) -> str:
    """Name an object after its logstore and, where it is narrowed, its filters: each scope has its own."""
    scope = [f"{key}={value}" for key in Filters.__slots__ for value in getattr(watched.filters, key)]
    mark = f"-{hashlib.sha256('&'.join(scope).encode()).hexdigest()[:8]}" if scope else ""
    store = re.sub(r"[^a-z0-9]+", "-", watched.logstore.lower()).strip("-")[:24]
    return f"{PREFIX}{store}-{name}{mark}"


def _titled(rule: AlertRule, watched: Watched) -> str:
    title = sentence(Message(f"alert.{rule.name}.title"), watched.lang)
    chosen = [value for key in Filters.__slots__ for value in getattr(watched.filters, key)]
    return f"{title} ({', '.join(chosen)})" if chosen else title


def _annotations(rule: AlertRule, watched: Watched) -> list[dict[str, str]]:
    """Say what happened and what to do; Log Service fills in `${column}`. No logged value enters a command."""
    columns = {name: f"${{{name}}}" for name in _SHOWN[rule.statement]}
    command = " ".join(word for word in ("llmops", rule.command, watched.command_options) if word)
    told = {
        "title": _titled(rule, watched),
        "desc": sentence(Message(f"alert.{rule.name}.desc", columns), watched.lang),
        "command": command,
        "runbook": f"{watched.runbooks.rstrip('/')}/{rule.runbook}.md"
        if watched.runbooks
        else f"llmops recover --runbook {rule.runbook}",
    }
    return [{"key": key, "value": value} for key, value in told.items()]


_SHOWN = {
    "failures": ("calls", "failures", "success_rate"),
    "latency": ("model", "calls", "p95_ms"),
    "rpm_level": ("model", "workspace", "busiest", "upto", "water_level"),
    "tpm_level": ("model", "workspace", "busiest", "upto", "water_level"),
    "negative": ("ratings", "negative", "negative_rate"),
    "silence": ("app", "earlier", "recent"),
}
"""Columns that an annotation shows."""
