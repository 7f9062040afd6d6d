"""Step five of the SOP: what can be done about the incidents found, in which order, and how to undo it.

Suggested, never automatic: an action is a sentence and, where there is one, the command that an engineer may run.
Client-side throttling is the quickest and safest thing to do about a rate limit, where it works: the window's calls,
replayed through it, tell. Where most of them would be refused all the same, what makes room comes first.
Sources: https://help.aliyun.com/zh/model-studio/rate-limiting-best-practices (retries, wait header), error-code
(remedies per code), update-model-rate-limits (limits per workspace).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from llmops_cli.evidence import Filters, Message
from llmops_cli.knowledge.sentences import phrase, scope_text
from llmops_cli.report import Action, Incident, Level, QuotaRow, RecoverData, Replay, Waits
from llmops_cli.sop.commandline import command, filter_options, option, scope_options
from llmops_cli.sop.ledger import asked
from llmops_cli.sop.steps import LIMITED

Values = Mapping[str, str | int | float | None]
Replays = Mapping[tuple[str, str | None], Replay]
"""What throttling would have made of the window, by model and workspace (None: all of them)."""

ROOM_LEFT = 0.5
"""A model below half of its limit can take over calls of another."""
ENOUGH_ROOM = 0.5
"""A model that could take over a smaller part of the calls above the limit is no way out."""
HELPS = 0.5
"""Throttling that avoids less than this part of the refusals does not end an incident."""
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "rate_limit_requests": ("throttle", "workspace_limits", "fallback_model", "expand"),
    "rate_limit_tokens": ("throttle", "workspace_limits", "shorten_input", "fallback_model", "expand"),
    "rate_limit_burst": ("throttle", "queue_on_server", "workspace_limits", "fallback_model"),
    "capacity": ("back_off", "fallback_model", "ticket"),
    "auth": ("rotate_key", "stop_retries", "ticket"),
    "billing": ("pay_bill", "stop_retries", "ticket"),
    "permission": ("grant_access", "stop_retries", "ticket"),
    "content_moderation": ("review_content", "stop_retries", "ticket"),
    "bad_request": ("undo_release", "fix_request", "stop_retries"),
    "input_too_long": ("shorten_input", "longer_context", "stop_retries"),
    "not_found": ("correct_name", "undo_release", "stop_retries", "ticket"),
    "server_error": ("back_off", "fallback_model", "ticket"),
    "timeout": ("stream", "fallback_model", "back_off", "ticket"),
    "network": ("check_network", "back_off", "ticket"),
    "application": ("undo_release", "read_trace"),
    "latency": ("stream", "fallback_model", "shorten_input", "ticket"),
    "water_level": ("throttle", "workspace_limits", "expand", "fallback_model"),
    "traffic_drop": ("look_upstream", "undo_release"),
    "traffic_surge": ("find_driver", "throttle", "workspace_limits"),
    "negative_feedback": ("review_answers", "undo_release"),
    "no_data": ("look_upstream", "check_collection"),
}
"""What helps against each incident type, the quickest and safest first. `verify` always ends the plan."""
_SLOW = frozenset({"expand", "ticket"})
"""Actions that wait for somebody else: of several incidents, what can be done at once comes first."""
_FIRST_THE_CONSOLE = frozenset({"auth", "billing", "permission", "not_found", "network"})
"""Incidents that mostly are the account's own doing: support comes in when it finds nothing."""


def plan(
    incidents: Sequence[Incident],
    quota_rows: Sequence[QuotaRow],
    *,
    next_options: str = "",
    replays: Replays | None = None,
    filters: Filters = Filters(),
) -> RecoverData:
    """Order what can be done for these incidents (the gravest first, as `status` gives them).

    What can be done at once, for any of them, comes before what waits for somebody else. An action that serves several
    incidents stands once, where it is needed first; it names its incidents, from 1. Without incidents there is nothing
    to do: no action, no runbook. `next_options` (as it stands in a shell) is appended to every command. `replays` are
    of the resources that `throttled` names; without one, throttling is taken to help. `filters` that the question had
    stay in the commands, so that these look at the same calls.
    """
    cases = [_Case(incident, quota_rows, next_options, replays or {}, filters) for incident in incidents]
    steps = [(number, case, case.names()) for number, case in enumerate(cases, start=1)]
    quick = [(number, case, name) for number, case, names in steps for name in names[: _quick(names)]]
    slow = [(number, case, name) for number, case, names in steps for name in names[_quick(names) :]]
    actions: dict[tuple[object, ...], Action] = {}
    for number, case, name in (*quick, *slow):
        if (action := case.action(name)) is not None:
            known = actions.setdefault(case.identity(action), action)
            actions[case.identity(action)] = replace(known, incidents=(*known.incidents, number))
    if cases and (verify := cases[0].action("verify")) is not None:
        actions["verify",] = replace(verify, incidents=tuple(range(1, len(cases) + 1)))
    runbook = (incidents[0].runbook or incidents[0].type) if incidents else None
    asked = command("recover", *filter_options(filters), options=next_options)
    found = (replace(one, next=tuple(line for line in one.next if line != asked)) for one in incidents)
    return RecoverData(tuple(found), tuple(actions.values()), runbook)


def _quick(names: Sequence[str]) -> int:
    """Count the actions before the first slow one: what comes after it comes after it for a reason."""
    return next((place for place, name in enumerate(names) if name in _SLOW), len(names))


def left_out(incidents: Sequence[Incident], replays: Replays) -> tuple[Message, ...]:
    """Say where throttling is no step of the plan, as its replay refuses more calls than were refused without it."""
    cases = [_Case(one, (), "", replays) for one in incidents if "throttle" in ACTIONS.get(one.type, ())]
    worse = {case.resource: case.worse for case in cases if case.worsens}
    return tuple(worse.values())


def throttled(incidents: Sequence[Incident]) -> tuple[tuple[str, str | None], ...]:
    """Return the resources, as model and workspace, that the plan for these incidents would throttle."""
    cases = [_Case(one, (), "", {}) for one in incidents if "throttle" in ACTIONS.get(one.type, ())]
    return tuple(dict.fromkeys(case.resource for case in cases if case.model))


@dataclass(frozen=True)
class _Case:
    """One incident with its water levels, and what throttling would do about it."""

    incident: Incident
    quota_rows: Sequence[QuotaRow]
    next_options: str
    replays: Replays
    filters: Filters = Filters()

    @property
    def model(self) -> str:
        return self.incident.scope.get("model", "") or next(
            (driver.where["model"] for driver in self.incident.drivers if driver.where.get("model")), ""
        )

    @property
    def driver(self) -> str:
        """The workspace that drives the demand: not the one that is hit."""
        return next((d.where["workspace"] for d in self.incident.drivers if d.where.get("workspace")), "")

    @property
    def resource(self) -> tuple[str, str | None]:
        """What to throttle: the model in the workspace that is limited, or that drives the demand; else all of it."""
        return self.model, self.incident.scope.get("workspace") or self.driver or None

    @property
    def replay(self) -> Replay | None:
        """What throttling would do; None when it was not replayed, or nothing was refused that it could avoid."""
        found = self.replays.get(self.resource)
        return found if found is not None and found.refused_before + found.others_before else None

    @property
    def helps(self) -> bool:
        """Whether throttling avoids enough of the refusals, its own or those of the workspaces beside it."""
        if (replay := self.replay) is None:
            return True
        own, others = HELPS * replay.refused_before, HELPS * replay.others_before
        return 0 < replay.refused_before >= replay.refused_after + own or 0 < others >= replay.others_after

    @property
    def worsens(self) -> bool:
        """Whether throttling would refuse more calls than were refused without it."""
        found = self.replay
        return found is not None and not self.helps and found.refused_after > found.refused_before

    @property
    def worse(self) -> Message:
        """Why throttling is left out."""
        found = self.replay or Replay(0, 0, 0, Waits(0, 0, 0))
        values: dict[str, str | int | float | None] = {
            "model": self.model or None,
            "workspace": self.resource[1],
            "before": found.refused_before,
            "after": found.refused_after,
        }
        return Message("recovery.throttle.worse", values)

    def names(self) -> Sequence[str]:
        """Return the actions for this type of incident; throttling that does not help gives way to what makes room."""
        names = ACTIONS.get(self.incident.type, ("read_runbook",))
        if self.worsens:
            return tuple(name for name in names if name != "throttle")
        if "throttle" in names and not self.helps:
            return (*(name for name in names if name != "throttle"), "throttle")
        return names

    def action(self, name: str) -> Action | None:
        """Build an action, None when it makes no sense here."""
        if name not in _COMMANDS:
            line: str | None = ""
        elif (words := _COMMANDS[name](self)) is None:
            return None
        else:
            line = command(*words, options="" if name in _WITHOUT_OPTIONS else self.next_options)
        values = self._values()
        why, effect = f"why{self._reason(name)}", "effect"
        if name == "throttle" and self.replay is not None:
            effect = "effect_replayed"
        risk, rollback = (
            f"recovery.{name}.{part}" if phrase(f"recovery.{name}.{part}") else f"recovery.no_{part}"
            for part in ("risk", "rollback")
        )
        return Action(
            name=name,
            why=Message(f"recovery.{name}.{why}", values),
            command=line or "",
            effect=Message(f"recovery.{name}.{effect}", values),
            risk=Message(risk, values),
            rollback=Message(rollback, values),
        )

    def _reason(self, name: str) -> str:
        """Return the ending of the id that says why, where the usual reason is not the one that holds here."""
        if name == "throttle" and self.incident.type == "rate_limit_burst":
            return "_burst"
        if name == "throttle" and not self.helps:
            return "_alone"
        if name in ("throttle", "expand") and self.incident.type in LIMITED and self._below:
            return "_near" if self.incident.type == "water_level" else "_below"
        if name == "ticket" and self.incident.type in _FIRST_THE_CONSOLE:
            return "_console"
        return ""

    @property
    def _below(self) -> bool:
        """Whether demand is below the limit known here."""
        row = self._row()
        level = None if row is None else self._measured(row)[1].level
        return level is not None and level < 1

    def identity(self, action: Action) -> tuple[object, ...]:
        """Return what makes two actions the same: the command, or without one what it is done to."""
        if action.command:
            return action.name, action.command
        scope = {"model": self.model} if action.name in _PER_MODEL else self.incident.scope
        return action.name, tuple(sorted(scope.items()))

    def _values(self) -> Values:
        row = self._row()
        values: dict[str, str | int | float | None] = {
            "scope": scope_text(self.incident.scope),
            "model": self.model or None,
            "workspace": self.driver or None,
            "failures": self.incident.failures or None,
            "calls": self.incident.calls or None,
            "others": self._models_with_room() or None,
        }
        if row is not None:
            unit, level = self._measured(row)
            values["level"] = level.level
            if level.limit:
                values |= {f"peak_{unit}": level.peak, f"limit_{unit}": level.limit}
            values |= {"second": row.rps.peak if row.rps.limit else None, "even": row.rps.limit}
        if (replay := self.replay) is not None:
            values |= {"before": replay.refused_before, "after": replay.refused_after, "of": replay.calls}
            values |= {"p50": replay.added_wait_ms.p50, "p95": replay.added_wait_ms.p95}
            if replay.others_before:
                values |= {"others_before": replay.others_before, "others_after": replay.others_after}
        return values

    def _measured(self, row: QuotaRow) -> tuple[str, Level]:
        """Return what the refusals are about, requests or tokens; of a high water level the higher one."""
        if self.incident.type in ("rate_limit_requests", "rate_limit_burst"):
            return "rpm", row.rpm
        higher = (row.tpm.level or 0.0) > (row.rpm.level or 0.0)
        return ("tpm", row.tpm) if higher or self.incident.type == "rate_limit_tokens" else ("rpm", row.rpm)

    def _row(self) -> QuotaRow | None:
        workspace = self.incident.scope.get("workspace")
        rows = [row for row in self.quota_rows if row.model == self.model and row.workspace in (None, workspace)]
        return max(rows, key=lambda row: (row.level or 0.0, row.workspace is None), default=None)

    def _models_with_room(self) -> str:
        """Name the other models in use that are far from their limits and their room, calls per minute: most first.

        One that could take over less than half of what is too much is left out, and so is one of another kind: a model
        that sees cannot stand in for one that writes. Where calls are refused far below a limit of the shipped table,
        the table does not hold for this account, and tells of no room.
        """
        own = self._row()
        far_below = self.incident.hypothesis.id == "hypothesis.limit_elsewhere"
        disproved = own.limit_source if own is not None and far_below and "table" in own.limit_source else None
        excess = own.rpm.peak - own.rpm.limit if own is not None and own.rpm.limit else 0.0
        room = {
            row.model: math.floor(row.rpm.limit - row.rpm.peak)
            for row in self.quota_rows
            if row.workspace is None
            and row.model != self.model
            and row.limit_source != disproved
            and _kind(row.model) == _kind(self.model)
            and row.level is not None
            and row.level < ROOM_LEFT
            and row.rpm.limit is not None
        }
        most = sorted((-calls, model) for model, calls in room.items() if calls > 0 and calls >= ENOUGH_ROOM * excess)
        return ", ".join(f"{model} {-calls:,}" for calls, model in most[:3])

    def scope_words(self) -> Iterator[str]:
        """Yield the incident's scope, within what was asked for, as options."""
        yield from scope_options(self.incident.scope, self.filters)

    def model_words(self, *, workspace: bool = False) -> Iterator[str]:
        """Yield the limited model, and the workspace that drives its demand, as options."""
        if self.model:
            yield from option("model", self.model)
        where = self.incident.scope.get("workspace") or (self.driver if workspace else "")
        if where:
            yield from option("workspace", where)


def _kind(model: str) -> frozenset[str]:
    """Name what a model takes or gives besides text, as far as its name tells."""
    return frozenset(_OTHER_THAN_TEXT.findall(model.lower()))


_OTHER_THAN_TEXT = re.compile(
    r"-vl|-ocr|qvq|-audio|-omni|voice|speech|tts|asr|paraformer|image|video|^wan|embedding|rerank"
)
_WITHOUT_OPTIONS = frozenset({"read_runbook"})  # they ask no log, so they have no window
_PER_MODEL = frozenset({"fallback_model", "queue_on_server", "shorten_input", "longer_context", "stream"})


def _throttle(case: _Case) -> tuple[str, ...]:
    return ("recover", "throttle", *case.model_words(workspace=True))


def _expand(case: _Case) -> tuple[str, ...]:
    return ("recover", "expand", *case.model_words())


def _workspace_limits(case: _Case) -> tuple[str, ...] | None:
    """Only where one workspace crowds out others: its share of the limit is what to decide on."""
    if not case.driver or not case.model:
        return None
    return ("quota", *option("model", case.model))


def _drill(case: _Case, *by: str) -> tuple[str, ...]:
    """Divide an incident by what its scope leaves open; by the error where it leaves nothing of that open."""
    known = {**asked(case.filters), **case.incident.scope}
    names = [name for name in by if name not in known] or ["error_code"]
    return ("drill", *case.scope_words(), *(word for name in names for word in ("--by", name)))


_COMMANDS: Mapping[str, Callable[[_Case], tuple[str, ...] | None]] = {
    "throttle": _throttle,
    "expand": _expand,
    "workspace_limits": _workspace_limits,
    "ticket": lambda case: ("recover", "ticket", "--incident", case.incident.type, *case.scope_words()),
    "review_content": lambda case: _drill(case, "app", "module"),
    "undo_release": lambda case: _drill(case, "app", "module"),
    "find_driver": lambda case: _drill(case, "app", "workspace"),
    "review_answers": lambda case: ("status", *case.scope_words()),
    "read_trace": lambda case: ("drill", *case.scope_words(), "--by", "error_code"),
    "read_runbook": lambda case: ("recover", "--runbook", case.incident.runbook or case.incident.type),
    "verify": lambda case: ("recover", "verify", *filter_options(case.filters)),
}
