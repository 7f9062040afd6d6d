"""The alert rules as alerts of Log Service (2.0, `/jobs`).

Shape: https://help.aliyun.com/document_detail/433029.htm. Names begin with `PREFIX` and the logstore; no other alert
is read or touched. What a filter says is a value wherever it stands: to Log Service, Grafana and BI tools `${…}`,
`$name`, `[[…]]` and `{{…}}` are templates.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_cli.errors import SourceError, UsageError
from llmops_cli.evidence import Filters, Limit, Message, Thresholds
from llmops_cli.knowledge.alert_rules import AlertRule, alert_rules, core_models
from llmops_cli.knowledge.limits import find_limit
from llmops_cli.knowledge.sentences import sentence
from llmops_cli.provision.account import Account, Named
from llmops_cli.provision.plan import Change
from llmops_cli.queries import charts
from llmops_cli.queries.relation import Relation
from llmops_cli.queries.statements import COLUMNS, Statement

PREFIX = "llmops-"
ACTION_POLICY = "sls.builtin"
"""The action policy that every account has."""
_ALERT = Named("alert", "Job", "name")
_DELAY_S = 15
"""Seconds after its minute that a rule is evaluated: written logs are found within three, an agent sends every few."""
_STATEMENTS = {one.name: one for one in (charts.FAILURES, charts.NEGATIVE, charts.SILENCE)}


@dataclass(frozen=True, slots=True)
class Watched:
    """What rules watch: a logstore (`project`, `logstore`, `region`), narrowed to `filters`.

    `keys`: canonical fields -> the logstore's keys; `command_options`: what commands in annotations carry besides, as
    shell text, by what the rule is narrowed to; `runbooks`: where runbooks are published, a URL that `TYPE.md` is
    appended to, or empty. `action_policy`: None for the one that an alert has, `ACTION_POLICY` for a new one.
    `lacking`: canonical fields that the index does not have.
    """

    project: str
    logstore: str
    region: str
    filters: Filters
    keys: Mapping[str, str]
    limits: tuple[Limit, ...]
    thresholds: Thresholds
    command_options: Callable[[Filters], str] = lambda _filters: ""
    runbooks: str = ""
    action_policy: str | None = None
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
    return f"{relation.search()} | {inert(charts.written(one.statement, relation, at=charts.SLS_AT))}"


def lacking_fields(account: Account, keys: Mapping[str, str]) -> frozenset[str]:
    """Name the canonical fields that the logstore's index does not have with statistics on. Raises `SourceError`."""
    index = account.read(lambda: account.sdk.get_index_config(account.project, account.logstore))
    relation = Relation(keys=dict(keys))
    return frozenset(relation.not_indexed(index) & {*(("trace_id", "level") if relation.raw else COLUMNS)})


def check_region(account: Account, watched: Watched) -> None:
    """Make sure that alerts look where the project is: elsewhere they find nothing, and limits are those of a region.

    Who may not read the project is taken at their word. Raises `UsageError` and `SourceError`.
    """
    try:
        region = account.read(lambda: account.sdk.get_project(account.project))["region"]
    except SourceError as error:
        if error.code == "no_permission":
            return
        raise
    if region != watched.region:
        raise UsageError(
            "other_region",
            f"project {watched.project} is in {region}, and the region configured is {watched.region}",
            f'write region = "{region}" into the profile: alerts, limits and signatures are those of a region',
        )


def plan(account: Account, watched: Watched) -> tuple[tuple[Change, ...], Callable[[Change], None]]:
    """Compare the alerts that are there with those wanted; also give what sends a change. Raises `SourceError`."""

    def kept(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        return _as_decided(held, wanted, policy=watched.action_policy is None)

    return _ALERT.planned(account, alerts(watched), kept)


def kept_policies(changes: Sequence[Change]) -> tuple[str, ...]:
    """Name the action policies that existing alerts keep because no other was asked for."""
    policies = (_policy(one.after) for one in changes if one.before is not None)
    return tuple(dict.fromkeys(policy for policy in policies if policy not in (None, ACTION_POLICY)))


def _as_decided(held: Mapping[str, Any], wanted: Mapping[str, Any], *, policy: bool) -> Mapping[str, Any]:
    """Take over what whoever owns an alert decided: that it is off or muted and, with `policy`, who is told."""
    decided = dict(wanted)
    decided |= {key: held[key] for key in ("state", "status") if key in held}
    configuration = dict(wanted["configuration"])
    if (muted := (held.get("configuration") or {}).get("muteUntil")) is not None:
        configuration["muteUntil"] = muted
    if policy and (named := _policy(held)):
        configuration["policyConfiguration"] = {**configuration["policyConfiguration"], "actionPolicyId": named}
    return {**decided, "configuration": configuration}


def _policy(alert: Mapping[str, Any]) -> str | None:
    told: str | None = ((alert.get("configuration") or {}).get("policyConfiguration") or {}).get("actionPolicyId")
    return told


def left_out(watched: Watched) -> tuple[str, ...]:
    """Name the rules that are not made: no limit is known, or the index lacks what they are about."""
    made = {alert["name"] for alert in alerts(watched)}
    return tuple(rule.name for rule in alert_rules(watched.thresholds) if name_of(rule.name, watched) not in made)


def left_over(account: Account, watched: Watched) -> tuple[str, ...]:
    """Give the commands that delete alerts of an earlier run that are not made any more. Raises `SourceError`."""
    names = [name_of(rule, watched) for rule in left_out(watched)]
    return tuple(_ALERT.delete(account, name) for name in names if _ALERT.held(account, name) is not None)


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
            "annotations": _annotations(one, watched),
            "autoAnnotation": True,
            "sendResolved": True,
            "threshold": rule.lasting,
            "noDataFire": False,
            "noDataSeverity": 6,
            "policyConfiguration": {
                "alertPolicyId": "sls.builtin.dynamic", "actionPolicyId": watched.action_policy or ACTION_POLICY,
                "repeatInterval": "10m", "useDefault": False,
            },
        },
    }  # fmt: skip


def name_of(name: str, watched: Watched) -> str:
    """Name an object after its logstore and, where it is narrowed, its filters: each scope of each has its own.

    4 to 63 of a-z, 0-9, '-' and '_', as for every job of Log Service:
    https://help.aliyun.com/zh/sls/developer-reference/create-scheduled-sql. A logstore's name that is not written out
    whole is told apart by the digest that also tells scopes apart.
    """
    store = re.sub(r"[^a-z0-9_-]+", "-", watched.logstore)[:_STORE_MOST]
    whole = store == watched.logstore
    mark = f"-{digest(watched, logstore=not whole)[:8]}" if watched.filters or not whole else ""
    return f"{PREFIX}{store}-{name}{mark}"


_STORE_MOST = 28
"""Characters of a logstore's name: with the prefix, the longest rule's name and a digest they make 62."""


def digest(watched: Watched, *, logstore: bool) -> str:
    """Reduce a scope to hexadecimal digits, in whatever order it was asked for; with `logstore`, its place too."""
    scope = {key: sorted(set(getattr(watched.filters, key))) for key in Filters.__slots__}
    place = [watched.project, watched.logstore] if logstore else []
    return hashlib.sha256(json.dumps([scope, *place]).encode()).hexdigest()


def chosen(watched: Watched) -> list[str]:
    """Give the values that it is narrowed to, for a title."""
    return [plain(value) for key in Filters.__slots__ for value in getattr(watched.filters, key)]


def _titled(rule: AlertRule, watched: Watched) -> str:
    title = sentence(Message(f"alert.{rule.name}.title"), watched.lang)
    if values := chosen(watched):
        title = f"{title} ({', '.join(values)})"
    return title if len(title) <= _TITLE_MOST else f"{title[: _TITLE_MOST - 1]}…"


_TITLE_MOST = 64
"""Characters of a display name: https://www.alibabacloud.com/help/en/ros/developer-reference/aliyun-sls-alert."""
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_MARK = re.compile(r"([$\\;\x00-\x1f\x7f]|:(?=\w)|(?<=\[)\[|(?<=\{)[{%#])")
"""What a template begins with; where a client that reads a backslash as an escape sees a text or a statement end."""
_OPENING = re.compile(r"\$(?=[\w{\[(])|\{(?=[{%#])|\[(?=\[)")


def inert(sql: str) -> str:
    """Write a statement's values so that no tool finds a template in them; the engine reads the same."""
    return _QUOTED.sub(lambda found: _spelled(found[0]) if found[0][0] == "'" else found[0], sql)


def _spelled(literal: str) -> str:
    parts = _MARK.split(literal[1:-1])
    if len(parts) == 1:
        return literal
    said = (f"chr({ord(part)})" if at % 2 else f"'{part}'" for at, part in enumerate(parts) if part)
    return f"({' || '.join(said)})"


def plain(text: str) -> str:
    """Write a value for people, on one line and without templates."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return _OPENING.sub(lambda found: f"{found[0]} ", " ".join(printable.split()))


def _annotations(one: Judged, watched: Watched) -> list[dict[str, str]]:
    """Say what happened and what to do; Log Service fills in `${column}`. No logged value enters a command."""
    rule = one.rule
    columns = {name: f"${{{name}}}" for name in _SHOWN[rule.statement]}
    # all that opens a template stands inside single quotes there: the shell reads '$''{' as it reads '${'
    options = _OPENING.sub(lambda found: f"{found[0]}''", watched.command_options(one.filters))
    command = " ".join(word for word in ("llmops", rule.command, options) if word)
    told = {
        "title": _titled(rule, watched),
        "desc": sentence(Message(f"alert.{rule.name}.desc", columns), watched.lang),
        "command": command,
        "runbook": f"{watched.runbooks.rstrip('/').replace('$', '%24').replace('{', '%7B')}/{rule.runbook}.md"
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
