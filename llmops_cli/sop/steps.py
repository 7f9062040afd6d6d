"""The next commands of an incident, ready to paste into a shell: values out of logs are quoted, never trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from llmops_cli.evidence import DIMENSIONS, Filters
from llmops_cli.sop.commandline import command, filter_options, option, scope_options
from llmops_cli.sop.ledger import asked

LIMITED = ("rate_limit_requests", "rate_limit_tokens", "rate_limit_burst", "water_level")
"""Incidents of a rate limit: they have a model, and answers of their own."""

_TRAFFIC = ("traffic_drop", "traffic_surge")

REPORTED = ("capacity", "server_error", "timeout", "latency")
"""Incidents that are most likely the service's own: the way goes on to support."""


def next_steps(
    kind: str,
    scope: Mapping[str, str],
    next_options: str = "",
    filters: Filters = Filters(),
) -> tuple[str, ...]:
    """Give the commands that help most with an incident of type `kind`, the first thing to do first.

    Where several things may help, that is the plan: it replays the window, and leaves out what would make it worse.
    `next_options` (source, window) stand at the end of each; `filters` that the question had stay.
    """
    where = scope_options(scope, filters)
    drill = command("drill", *where, options=next_options)
    plan = command("recover", *filter_options(filters), options=next_options)
    model = option("model", scope["model"]) if scope.get("model") else ()
    if kind in LIMITED and model:
        steps = [drill, plan, command("quota", *model, options=next_options)]
    elif kind == "capacity":
        steps = [drill, plan]
    elif kind in _TRAFFIC:
        steps = [drill, _yesterday(scope, next_options, filters)]
    elif kind == "mixed":  # of several families: no runbook is about all of them
        return (drill, command("drill", "--by", "error_code", *where, options=next_options))
    elif kind == "no_data":
        steps = []
    else:
        steps = [drill]
    if kind in REPORTED:
        steps.append(command("recover", "ticket", "--incident", kind, *where, options=next_options))
    return (*steps, command("recover", "--runbook", kind))


def _yesterday(scope: Mapping[str, str], next_options: str, filters: Filters) -> str:
    """Compare a scope with yesterday, and its siblings beside it: a scope without calls shows nothing by itself."""
    scope = {**asked(filters), **scope}
    by = [word for name in scope for word in ("--by", name)]
    rest = replace(filters, **dict.fromkeys(scope, ()))
    verb = "drill" if by else "status"
    return command(verb, *by, "--baseline", "1d", *scope_options({}, rest), options=next_options)


_CALLERS = ("drill", "--by", "app", "--by", "module")
_SHOWN_BY: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "capacity": (("drill", "--by", "model"), False),
    "auth": ((*_CALLERS, "--by", "workspace"), True),
    "permission": (("drill", "--by", "workspace", "--by", "model"), False),
    "content_moderation": (_CALLERS, False),
    "bad_request": (_CALLERS, False),
    "input_too_long": (("drill", "--by", "model"), False),
    "not_found": (("drill", "--by", "model", "--by", "workspace"), False),
    "server_error": (_CALLERS, True),
    "timeout": (("status",), True),
    "latency": (("status",), True),
    "negative_feedback": (("drill",), False),
    "mixed": (("drill", "--by", "error_code"), True),
}
"""Which answer shows what would refute a hypothesis, and whether it is asked for within the incident's scope.

The other types are refuted by what no command shows: the console's bills, a trace, the calls of other accounts.
"""


def refuting_step(
    kind: str, scope: Mapping[str, str], next_options: str = "", filters: Filters = Filters()
) -> str | None:
    """Give the command whose answer could refute the hypothesis of an incident; None when there is none."""
    if kind in LIMITED and scope.get("model"):
        return command("quota", *option("model", scope["model"]), options=next_options)
    if kind in _TRAFFIC:
        return _yesterday(scope, next_options, filters)
    if kind not in _SHOWN_BY:
        return None
    words, scoped = _SHOWN_BY[kind]
    # Values can be compared only where the question is not narrowed to one of them.
    filters = replace(filters, **{name: () for name in words if name in DIMENSIONS})
    return command(*words, *scope_options(scope if scoped else {}, filters), options=next_options)
