"""The walk over a demo log: which commands, in which order."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from llmops_cli.demo.plan import Truth


@dataclass(frozen=True, slots=True)
class Stop:
    """One command of the walk, as arguments of `llmops`, and the question it answers."""

    args: tuple[str, ...]
    question: str

    @property
    def command(self) -> str:
        """The command as one pastes it into a shell."""
        return shlex.join(("llmops", *self.args))


def tour(config: str, truths: tuple[Truth, ...], trace_id: str) -> tuple[Stop, ...]:
    """Return the steps of the SOP for a log; `config` is the path of its configuration.

    Client-side throttling and the request for more are shown where something was refused for a rate limit.
    """
    asked = ("--config", config)
    stops = [
        Stop(("status", *asked), "What is the usage, and is something wrong?"),
        Stop(("drill", *asked), "Where does it come from?"),
        Stop(("trace", trace_id, *asked), "What happened in one request?"),
        Stop(("quota", *asked), "How close is each model to its limits?"),
        Stop(("recover", *asked), "What can be done about it?"),
    ]
    limited = next((truth.scope for truth in truths if truth.type.startswith("rate_limit")), None)
    if limited:
        model = ("--model", limited["model"])
        stops += [
            Stop(("recover", "throttle", *model, *asked), "What should the client allow itself?"),
            Stop(("recover", "expand", *model, *asked), "What is sent to Alibaba Cloud?"),
        ]
    return tuple(stop for stop in stops if "" not in stop.args)
