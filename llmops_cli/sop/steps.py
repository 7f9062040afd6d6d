"""The next commands of an incident, ready to paste into a shell: values out of logs are quoted, never trusted."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.evidence import Filters
from llmops_cli.sop.commandline import command, option, scope_options

LIMITED = ("rate_limit_requests", "rate_limit_tokens", "rate_limit_burst", "water_level")
"""Incidents of a rate limit: they have a model, and answers of their own."""


def next_steps(
    kind: str,
    scope: Mapping[str, str],
    driver: Mapping[str, str],
    next_options: str = "",
    filters: Filters = Filters(),
) -> tuple[str, ...]:
    """Give the commands that help most with an incident of type `kind`, the first thing to do first.

    `next_options` (source, window) stand at the end of each; `filters` that the question had stay.
    """
    where = scope_options(scope, filters)
    drill = command("drill", *where, options=next_options)
    model = option("model", scope["model"]) if scope.get("model") else ()
    if kind in LIMITED and model:
        workspace = scope.get("workspace") or driver.get("workspace")
        throttled = (*model, *option("workspace", workspace)) if workspace else model
        steps = [
            drill,
            command("recover", "throttle", *throttled, options=next_options),
            command("recover", "expand", *model, options=next_options),
            command("quota", *model, options=next_options),
        ]
    elif kind == "capacity" and model:
        steps = [drill, command("recover", "throttle", *model, options=next_options)]
    elif kind in ("traffic_drop", "traffic_surge"):
        steps = [drill, command("status", "--baseline", "1d", *where, options=next_options)]
    elif kind == "mixed":  # of several families: no runbook is about all of them
        return (drill, command("drill", "--by", "error_code", *where, options=next_options))
    elif kind == "no_data":
        steps = []
    else:
        steps = [drill]
    return (*steps, command("recover", "--runbook", kind))


def refuting_step(kind: str, scope: Mapping[str, str], next_options: str = "", filters: Filters = Filters()) -> str:
    """Give the command whose answer could refute the hypothesis of an incident."""
    if kind in LIMITED and scope.get("model"):
        return command("quota", *option("model", scope["model"]), options=next_options)
    where = scope_options(scope, filters)
    if kind in ("traffic_drop", "traffic_surge"):
        return command("status", "--baseline", "1d", *where, options=next_options)
    by = ("--by", "error_code") if kind not in ("latency", "negative_feedback") else ("--by", "model")
    return command("drill", *by, *where, options=next_options)
