"""`llmops recover`: what to do about it, and whether it is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import limits_of, look, next_options, open_source, report
from llmops_cli.commands.hints import hint_when_nothing_matches
from llmops_cli.commands.question import Question, asks, exit_code
from llmops_cli.errors import SourceError, UsageError
from llmops_cli.evidence import Filters, Limit, Observation, Span, Window
from llmops_cli.report import Check, ExpandData, Report, RunbookData, StatusData
from llmops_cli.sources import CallSource
from llmops_cli.window import parse_duration

if TYPE_CHECKING:
    from llmops_cli.sop.verification import Verification

app = typer.Typer()

_FAILURES_SEARCHED = 1000
"""Newest failures among which request ids of refused calls are looked for."""
_GRACE_S = 2.0
"""Seconds for the last lines of a stretch to reach the log before it is judged."""

Contact = Annotated[
    str | None, typer.Option("--contact", metavar="TEXT", help="Who support can reach.", show_default="the profile's")
]
Impact = Annotated[
    str | None, typer.Option("--impact", metavar="TEXT", help="What it does to the business.", show_default=False)
]
Headroom = Annotated[float, typer.Option("--headroom", min=0.05, max=1.0, help="Share of the limit to use.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="Give up after this long.")]
Interval = Annotated[str, typer.Option("--interval", metavar="TIME", help="Length of one check.")]


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
        return _print_runbook(runbook, ctx.params["output"])
    from llmops_cli.sop.recovery import plan  # noqa: PLC0415

    question = ask()
    with open_source(question) as source:
        seen = look(question, source)
        status = _assess(question, source, seen)
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        data = plan(status.incidents, status.water_levels, next_options=next_options(question))
        return question.emit(report("recover", question, source, seen.window, data), lang=lang)


@app.command()
@asks
def throttle(question: Question, headroom: Headroom = 0.9, lang: options.Lang = "en") -> int:
    """Compute client-side limits for a model and replay the window's calls through them.

    llmops recover throttle --log app.log --model qwen-plus
    llmops recover throttle --log app.log --workspace llm-6qtsrlugmu6wanfs
    """
    from llmops_cli.knowledge.errors import classify, is_rate_limit  # noqa: PLC0415
    from llmops_cli.sop.throttling import throttle_settings  # noqa: PLC0415

    with open_source(question) as source:
        seen, model, workspace = _limited(question, source)
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        arrivals = source.arrivals(
            seen.window,
            Filters(model=(model,)),
            lambda status, code, message: is_rate_limit(classify(status, code, message).family),
        )
        data = throttle_settings(
            model, workspace, arrivals, _limit(question, seen, model, workspace), headroom=headroom
        )
        return question.emit(report("recover throttle", question, source, seen.window, data), lang=lang)


@app.command()
@asks
def expand(question: Question, contact: Contact = None, impact: Impact = None, lang: options.Lang = "en") -> int:
    """Write the request to Alibaba Cloud for a higher limit, filled in from evidence, ready to paste.

    llmops recover expand --log app.log --model qwen-plus
    llmops recover expand --log app.log --model qwen-plus --lang zh
    """
    from llmops_cli.knowledge.errors import classify, is_rate_limit  # noqa: PLC0415
    from llmops_cli.knowledge.request import expansion_request  # noqa: PLC0415
    from llmops_cli.sop.expansion import expansion_fields  # noqa: PLC0415

    with open_source(question) as source:
        seen, model, workspace = _limited(question, source)
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        status = _assess(question, source, seen)
        scope = Filters(model=(model,), workspace=(workspace,) if workspace else ())
        refused = (
            call.request_id
            for call in source.failures(seen.window, scope, _FAILURES_SEARCHED)
            if is_rate_limit(classify(call.status_code, call.error_code, call.error_message).family)
        )
        fields, missing = expansion_fields(
            model=model,
            workspace=workspace,
            observation=seen,
            limit=_limit(question, seen, model, workspace),
            incidents=status.incidents,
            quota_rows=status.water_levels,
            uid=question.settings.uid,
            region=question.settings.region,
            request_ids=refused,
            contact=contact or question.settings.contact,
            impact=impact,
            lang=lang,
        )
        data = ExpandData(fields, missing, lang, expansion_request(fields, missing, lang))
        return question.emit(report("recover expand", question, source, seen.window, data), lang=lang)


@app.command()
@asks(always_check=True)
def verify(question: Question, timeout: Timeout = "15m", interval: Interval = "1m", lang: options.Lang = "en") -> int:
    """Watch one-minute windows from now on until three in a row are healthy; exits like a Nagios plugin.

    llmops recover verify --log app.log
    llmops recover verify --log app.log --model qwen-plus --timeout 30m
    """
    from llmops_cli.views.live import draw  # noqa: PLC0415

    if "-" in question.logs:
        raise UsageError("stdin_ends", "--log - cannot be watched: it ends", "name the log file with --log PATH")
    watching = _watch(question, parse_duration(timeout) / 1000, parse_duration(interval))
    if question.output == "table":
        last = draw(watching, question.output, sys.stdout, lang=lang)
    else:
        *_, last = watching
        question.emit(last, lang=lang)
    return exit_code(last, check=True) if last else 3


def _watch(question: Question, timeout_s: float, interval_ms: int) -> Iterator[Report]:
    """Give the state after each stretch of time, until it is over or given up."""
    from llmops_cli.sop.verification import Verification, minute_verdict, scorecard  # noqa: PLC0415

    state = Verification()
    deadline = time.monotonic() + timeout_s
    with open_source(question) as source:  # a file that cannot be read is told now, not after a minute
        began = _began(question, source, look(question, source))
        yield report("recover verify", question, source, None, state.data())
    end_ms = question.now_ms
    while not state.done:
        span = Span(end_ms, end_ms + interval_ms)
        end_ms = span.end_ms
        wait = max(0.0, end_ms / 1000 + _GRACE_S - time.time())
        if time.monotonic() + wait > deadline:
            time.sleep(max(0.0, deadline - time.monotonic()))
            state = state.give_up()
        else:
            time.sleep(wait)
        try:
            with open_source(question) as source:
                if not state.done:
                    window = Window(span, None, question.zone, explicit=True)
                    seen = source.observe(window, question.filters, question.settings.thresholds)
                    verdict = minute_verdict(_assess(question, source, seen), question.settings.thresholds)
                    state = state.after(Check(window.at(span.start_ms), verdict))
                card = scorecard(began, recovered_at=state.recovered_at)
                yield report("recover verify", question.again(), source, None, state.data(card), state.message)
        except SourceError as error:  # away for a moment, as while it is rotated: this stretch shows nothing
            state = state.after(Check(datetime.fromtimestamp(span.start_ms / 1000, question.zone), "unknown"))
            yield _away(question.again(), state, error)


def _away(question: Question, state: Verification, error: SourceError) -> Report:
    return Report(
        "recover verify",
        question.generated_at,
        partial=True,
        errors=(error.problem(),),
        data=state.data(),
        notes=(state.message,),
        filters=question.filters,
    )


def _began(question: Question, source: CallSource, seen: Observation) -> datetime | None:
    """Return when the incident that is now to be over began, by the log as it stands; None when it shows none.

    A log that ended long ago says nothing about now. The gravest incident counts: it stands first.
    """
    if seen.window.anchored:
        return None
    incidents = _assess(question, source, seen).incidents
    return incidents[0].started_at if incidents else None


def _no_options_before(ctx: typer.Context, verb: str) -> None:
    """Refuse `llmops recover --log x throttle`: the verb would ask another log than the reader thinks."""
    for option in ctx.command.params:
        source = ctx.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE":
            name = option.opts[0]
            raise UsageError(
                "option_before_verb", f"{name} stands before {verb}", f"write it after: llmops recover {verb} {name} …"
            )


def _print_runbook(name: str, output: options.OutputName) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415

    from llmops_cli.commands.question import emit  # noqa: PLC0415
    from llmops_cli.knowledge.runbooks import runbook  # noqa: PLC0415

    found = runbook(name)
    data = RunbookData(found.type, found.title, found.text)
    return emit(Report("recover", datetime.now(UTC).astimezone(), data=data), output)


def _assess(question: Question, source: CallSource, seen: Observation) -> StatusData:
    from llmops_cli.sop.liveness import judged  # noqa: PLC0415
    from llmops_cli.sop.status import assess  # noqa: PLC0415

    thresholds = question.settings.thresholds
    upto_end = judged(seen, source.newest_ms())
    return assess(upto_end, limits_of(question, seen), thresholds, next_options=next_options(question))


def _limited(question: Question, source: CallSource) -> tuple[Observation, str, str | None]:
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
    for incident in _assess(question, source, seen).incidents:
        if incident.type in INCIDENT_TYPES and "model" in incident.scope:
            return seen, incident.scope["model"], workspace or incident.scope.get("workspace")
    raise UsageError("no_model", "no rate-limit incident in this window tells which model", "give --model NAME")


def _limit(question: Question, seen: Observation, model: str, workspace: str | None) -> Limit:
    """Give the limit that binds: the workspace's own where one is configured, else the account's for the model."""
    limits = {(limit.model, limit.workspace): limit for limit in limits_of(question, seen)}
    own = limits.get((model, workspace)) if workspace else None
    if own and (own.rpm is not None or own.tpm is not None):
        return own
    return limits.get((model, None)) or Limit(model, None, None, None)
