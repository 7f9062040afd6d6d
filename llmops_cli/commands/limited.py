"""What the verbs of `recover` look at first: the limit that is the trouble."""

from __future__ import annotations

from dataclasses import replace

from llmops_cli.commands.gather import assessed, limits_of, look
from llmops_cli.commands.question import Question
from llmops_cli.errors import UsageError
from llmops_cli.evidence import Filters, Limit, Observation
from llmops_cli.sources import CallSource


def limited_resource(question: Question, source: CallSource) -> tuple[Observation, str, str | None]:
    """Choose the limited resource: the one asked for, else that of the first incident that a limit caused.

    The window is observed for the whole model: a limit is shared by all workspaces. Raises `UsageError` when there is
    no such incident, or something else was asked for than one resource.
    """
    from llmops_cli.sop.expansion import INCIDENT_TYPES  # noqa: PLC0415

    asked = question.filters
    if len(asked.model) > 1 or len(asked.workspace) > 1:
        raise UsageError(
            "one_model", "a limit belongs to one model: several were given", "run it once for each --model"
        )
    for name in ("app", "module", "error_code"):
        if getattr(asked, name):
            raise UsageError(
                "shared_limit",
                f"--{name.replace('_', '-')} cannot narrow a limit: all callers of the model share it",
                "leave it out; --workspace narrows to one workspace",
            )
    workspace = asked.workspace[0] if asked.workspace else None
    if asked.model:
        return look(replace(question, filters=Filters(model=asked.model)), source), asked.model[0], workspace
    seen = look(replace(question, filters=Filters()), source)
    for incident in assessed(question, source, seen).incidents:
        if incident.type in INCIDENT_TYPES and "model" in incident.scope:
            return seen, incident.scope["model"], workspace or incident.scope.get("workspace")
    raise UsageError("no_model", "no rate-limit incident in this window tells which model", "give --model NAME")


def binding_limit(question: Question, seen: Observation, model: str, workspace: str | None) -> Limit:
    """Give the limit that binds: the workspace's own where one is configured, else the account's for the model."""
    limits = {(limit.model, limit.workspace): limit for limit in limits_of(question, seen)}
    own = limits.get((model, workspace)) if workspace else None
    if own and (own.rpm is not None or own.tpm is not None):
        return own
    return limits.get((model, None)) or Limit(model, None, None, None)
