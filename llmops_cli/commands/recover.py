"""`llmops recover`: what to do about it. Its letters and its watch have rooms of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import assessed, look, next_options, open_source, report, source_options
from llmops_cli.commands.hints import hint_when_nothing_matches, hint_when_zone_is_doubtful
from llmops_cli.commands.letters import expand, ticket
from llmops_cli.commands.limited import binding_limit, limited_resource
from llmops_cli.commands.question import Question, asks
from llmops_cli.commands.verify import verify
from llmops_cli.errors import UsageError
from llmops_cli.evidence import Filters, Message, Observation
from llmops_cli.report import Action, Backoff, Replay, Report, RunbookData, Settings, ThrottleData, Waits
from llmops_cli.sop.commandline import command, filter_options
from llmops_cli.sources import CallSource

app = typer.Typer()

HEADROOM = 0.9
"""Share of a limit to use; `llmops_cli.sop.throttling` says why."""
_MOST_REPLAYED = 200_000
"""Calls: a plan waits some seconds for a replay of them; `recover throttle` replays any number."""

Headroom = Annotated[float, typer.Option("--headroom", min=0.05, max=1.0, help="Share of the limit to use.")]


@app.callback(invoke_without_command=True)
@asks(deferred=True)
def recover(
    ask: Callable[[], Question], ctx: typer.Context, runbook: options.Runbook = None, lang: options.Lang = "en"
) -> int:
    """Print what can be done about the incidents found. Nothing is changed by it.

    llmops recover --log app.log --since 30m
    llmops recover --runbook rate_limit_requests
    """
    if ctx.invoked_subcommand is not None:
        _no_options_before(ctx, ctx.invoked_subcommand)
        return 0
    if runbook is not None:
        return _print_runbook(runbook, ctx.params["output"], lang)
    from llmops_cli.sop.recovery import left_out, plan, throttled  # noqa: PLC0415

    question = ask()
    with open_source(question) as source:
        seen = look(question, source)
        status = assessed(question, source, seen)
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        hint_when_zone_is_doubtful(question, seen.window)
        replays = _replays(question, source, seen, throttled(status.incidents))
        data = plan(
            status.incidents,
            status.water_levels,
            next_options=next_options(question),
            replays=replays,
            filters=question.filters,
        )
        data = replace(data, actions=tuple(_watched(question, action) for action in data.actions))
        notes = left_out(status.incidents, replays)
        return question.emit(report("recover", question, source, seen.window, data, *notes), lang=lang)


@app.command()
@asks
def throttle(question: Question, headroom: Headroom = HEADROOM, lang: options.Lang = "en") -> int:
    """Compute client-side limits for a model and replay the window's calls through them.

    llmops recover throttle --log app.log --model qwen-plus
    llmops recover throttle --log app.log --workspace llm-6qtsrlugmu6wanfs
    """
    with open_source(question) as source:
        seen, model, workspace = limited_resource(question, source)
        calls = sum(
            cell.calls
            for cell in seen.cells
            if cell.period == "now" and cell.where.model == model and workspace in (None, cell.where.workspace)
        )
        hint_when_nothing_matches(question, source, seen.window, calls)
        hint_when_zone_is_doubtful(question, seen.window)
        data = (
            _throttled(question, source, seen, (model, workspace), headroom)
            if calls
            else _nothing_to_throttle(model, workspace)
        )
        return question.emit(report("recover throttle", question, source, seen.window, data), lang=lang)


for _verb in (expand, ticket, verify):
    app.command()(_verb)


def _watched(question: Question, action: Action) -> Action:
    """Leave the window out of the command that watches: it looks at what comes."""
    if action.name != "verify":
        return action
    words = ("recover", "verify", *filter_options(question.filters))
    return replace(action, command=command(*words, options=source_options(question)))


def _replays(
    question: Question, source: CallSource, seen: Observation, resources: Sequence[tuple[str, str | None]]
) -> dict[tuple[str, str | None], Replay]:
    """Replay what the plan would throttle, where that takes no longer than the plan is worth."""
    calls = {one.model: one.calls for one in seen.demand if one.workspace is None}
    quick = [resource for resource in resources if calls.get(resource[0], 0) <= _MOST_REPLAYED]
    return {resource: _throttled(question, source, seen, resource).replay for resource in quick}


def _throttled(
    question: Question,
    source: CallSource,
    seen: Observation,
    resource: tuple[str, str | None],
    headroom: float = HEADROOM,
) -> ThrottleData:
    """Replay the window's calls of a resource (model, workspace) through limits for it; see `throttle_settings`."""
    from llmops_cli.knowledge.errors import classify, is_rate_limit  # noqa: PLC0415
    from llmops_cli.sop.peaks import busiest_minute, refused_for  # noqa: PLC0415
    from llmops_cli.sop.throttling import throttle_settings  # noqa: PLC0415

    model, workspace = resource
    arrivals = source.arrivals(
        seen.window,
        Filters(model=(model,)),
        lambda status, code, message: is_rate_limit(classify(status, code, message).family),
    )
    limit = binding_limit(question, seen, model, workspace)
    return throttle_settings(
        model,
        workspace,
        arrivals,
        limit,
        headroom=headroom,
        busiest=busiest_minute(seen, model, workspace),
        refused_for=refused_for(seen, model),
    )


def _nothing_to_throttle(model: str, workspace: str | None) -> ThrottleData:
    """Propose nothing for a resource that nobody called: settings for a misspelt name would look like an answer."""
    from llmops_cli.knowledge.sentences import scope_text  # noqa: PLC0415 - rarely needed
    from llmops_cli.throttle import BackoffPolicy  # noqa: PLC0415 - likewise

    what = scope_text({"model": model} if workspace is None else {"model": model, "workspace": workspace})
    retry = BackoffPolicy()
    return ThrottleData(
        model=model,
        workspace=workspace,
        rps=None,
        rpm=None,
        tps=None,
        tpm=None,
        concurrency=None,
        backoff=Backoff(retry.base_s, retry.max_s, retry.attempts, retry.jitter),
        replay=Replay(0, 0, 0, Waits(0, 0, 0)),
        settings=Settings(None, None, None),
        notes=(Message("throttle.no_resource", {"what": what}),),
    )


def _no_options_before(ctx: typer.Context, verb: str) -> None:
    """Refuse `llmops recover --log x throttle`: the verb would ask another log than the reader thinks."""
    for option in ctx.command.params:
        source = ctx.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE":
            name = option.opts[0]
            raise UsageError(
                "option_before_verb", f"{name} stands before {verb}", f"write it after: llmops recover {verb} {name} …"
            )


def _print_runbook(name: str, output: options.OutputName, lang: str) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415

    from llmops_cli.commands.question import emit  # noqa: PLC0415
    from llmops_cli.knowledge.runbooks import runbook  # noqa: PLC0415

    found = runbook(name, lang)
    data = RunbookData(found.type, found.title, found.text)
    notes = () if found.lang == lang else (Message("note.only_english"),)
    return emit(Report("recover", datetime.now(UTC).astimezone(), data=data, notes=notes), output, lang=lang)
