"""Step five of the SOP: what can be done about the incidents found, in which order, and how to undo it.

Suggested, never automatic: an action is a sentence and, where there is one, the command that an engineer may run.
Sources: https://help.aliyun.com/zh/model-studio/rate-limiting-best-practices (retries, wait header), error-code
(remedies per code), update-model-rate-limits (limits per workspace).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from llmops_cli.evidence import Message
from llmops_cli.knowledge.sentences import scope_text
from llmops_cli.report import Action, Incident, QuotaRow, RecoverData
from llmops_cli.sop.commandline import command, option, scope_options

Values = Mapping[str, str | int | float | None]

ROOM_LEFT = 0.5
"""A model below half of its limit can take over calls of another."""
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "rate_limit_requests": ("throttle", "workspace_limits", "fallback_model", "expand", "ticket"),
    "rate_limit_tokens": ("throttle", "workspace_limits", "shorten_input", "fallback_model", "expand", "ticket"),
    "rate_limit_burst": ("throttle", "queue_on_server", "workspace_limits", "fallback_model", "expand"),
    "capacity": ("back_off", "fallback_model", "ticket"),
    "auth": ("rotate_key", "stop_retries"),
    "billing": ("stop_retries", "pay_bill"),
    "permission": ("grant_access", "stop_retries"),
    "content_moderation": ("review_content", "stop_retries"),
    "bad_request": ("undo_release", "fix_request", "stop_retries"),
    "input_too_long": ("shorten_input", "longer_context", "stop_retries"),
    "not_found": ("correct_name", "undo_release", "stop_retries"),
    "server_error": ("back_off", "fallback_model", "ticket"),
    "timeout": ("stream", "fallback_model", "back_off", "ticket"),
    "network": ("check_network", "back_off"),
    "application": ("undo_release", "read_trace"),
    "latency": ("stream", "fallback_model", "shorten_input", "ticket"),
    "water_level": ("throttle", "workspace_limits", "expand", "fallback_model"),
    "traffic_drop": ("look_upstream", "undo_release"),
    "traffic_surge": ("find_driver", "throttle", "workspace_limits"),
    "negative_feedback": ("review_answers", "undo_release"),
    "no_data": ("look_upstream", "check_collection"),
}
"""What helps against each incident type, the quickest and safest first. `verify` always ends the plan."""


def plan(incidents: Sequence[Incident], quota_rows: Sequence[QuotaRow], *, next_options: str = "") -> RecoverData:
    """Order what can be done for these incidents (the gravest first, as `status` gives them).

    An action that serves several incidents stands once, where it is needed first. Without incidents there is nothing
    to do: no action, no runbook. `next_options` (as it stands in a shell) is appended to every command.
    """
    actions: dict[tuple[object, ...], Action] = {}
    for incident in incidents:
        case = _Case(incident, quota_rows, next_options)
        for name in ACTIONS.get(incident.type, ("read_runbook",)):
            if (action := case.action(name)) is not None:
                actions.setdefault(case.identity(action), action)
    if incidents:
        verify = _Case(incidents[0], quota_rows, next_options).action("verify")
        actions.update({("verify",): verify} if verify else {})
    runbook = (incidents[0].runbook or incidents[0].type) if incidents else None
    return RecoverData(tuple(incidents), tuple(actions.values()), runbook)


@dataclass(frozen=True)
class _Case:
    """One incident with its water levels."""

    incident: Incident
    quota_rows: Sequence[QuotaRow]
    next_options: str

    @property
    def model(self) -> str:
        return self.incident.scope.get("model", "") or next(
            (driver.where["model"] for driver in self.incident.drivers if driver.where.get("model")), ""
        )

    @property
    def driver(self) -> str:
        """The workspace that drives the demand: not the one that is hit."""
        return next((d.where["workspace"] for d in self.incident.drivers if d.where.get("workspace")), "")

    def action(self, name: str) -> Action | None:
        """Build an action, None when it makes no sense here."""
        if name not in _COMMANDS:
            line: str | None = ""
        elif (words := _COMMANDS[name](self)) is None:
            return None
        else:
            line = command(*words, options="" if name in _WITHOUT_OPTIONS else self.next_options)
        values = self._values()
        part = {kind: Message(f"recovery.{name}.{kind}", values) for kind in ("why", "effect", "risk", "rollback")}
        return Action(name=name, command=line or "", **part)

    def identity(self, action: Action) -> tuple[object, ...]:
        """Return what makes two actions the same: the command, or without one what it is done to."""
        if action.command:
            return action.name, action.command
        scope = {"model": self.model} if action.name in _PER_MODEL else self.incident.scope
        return action.name, tuple(sorted(scope.items()))

    def _values(self) -> Values:
        row = self._row()
        rpm_is_higher = row is not None and (row.rpm.level or 0.0) >= (row.tpm.level or 0.0)
        level = None if row is None else row.rpm if rpm_is_higher else row.tpm
        return {
            "scope": scope_text(self.incident.scope),
            "model": self.model or None,
            "workspace": self.driver or None,
            "failures": self.incident.failures or None,
            "calls": self.incident.calls or None,
            "level": row.level if row else None,
            "peak": level.peak if level and level.limit else None,
            "limit": level.limit if level else None,
            "unit": ("requests" if rpm_is_higher else "tokens") if level and level.limit else None,
            "others": self._models_with_room() or None,
        }

    def _row(self) -> QuotaRow | None:
        workspace = self.incident.scope.get("workspace")
        rows = [row for row in self.quota_rows if row.model == self.model and row.workspace in (None, workspace)]
        return max(rows, key=lambda row: (row.level or 0.0, row.workspace is None), default=None)

    def _models_with_room(self) -> str:
        """Name the other models in use that are far from their limits, the emptiest first."""
        room = sorted(
            (row.level, row.model)
            for row in self.quota_rows
            if row.workspace is None and row.level is not None and row.level < ROOM_LEFT and row.model != self.model
        )
        return ", ".join(model for _, model in room[:3])

    def scope_words(self) -> Iterator[str]:
        """Yield the incident's scope as options."""
        yield from scope_options(self.incident.scope)

    def model_words(self, *, workspace: bool = False) -> Iterator[str]:
        """Yield the limited model, and the workspace that drives its demand, as options."""
        if self.model:
            yield from option("model", self.model)
        where = self.incident.scope.get("workspace") or (self.driver if workspace else "")
        if where:
            yield from option("workspace", where)


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


_COMMANDS: Mapping[str, Callable[[_Case], tuple[str, ...] | None]] = {
    "throttle": _throttle,
    "expand": _expand,
    "workspace_limits": _workspace_limits,
    "ticket": lambda case: ("status", *case.scope_words(), "-o", "markdown"),
    "review_content": lambda case: ("drill", *case.scope_words(), "--by", "app", "--by", "module"),
    "undo_release": lambda case: ("drill", *case.scope_words(), "--by", "app", "--by", "module"),
    "find_driver": lambda case: ("drill", *case.scope_words(), "--by", "app", "--by", "workspace"),
    "review_answers": lambda case: ("status", *case.scope_words()),
    "read_trace": lambda case: ("drill", *case.scope_words(), "--by", "error_code"),
    "read_runbook": lambda case: ("recover", "--runbook", case.incident.runbook or case.incident.type),
    "verify": lambda _: ("recover", "verify"),
}
