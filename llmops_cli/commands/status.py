"""`llmops status`: the usage, and whether something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import asked_ago_ms, assessed, if_it_answers, look, next_options, open_source, report
from llmops_cli.commands.hints import (
    gone_silent,
    headless,
    hint_when_headless,
    hint_when_nothing_matches,
    hint_when_zone_is_doubtful,
    partial_baseline,
    with_comparison,
    with_coverage,
    with_requests,
)
from llmops_cli.commands.question import Question, asks
from llmops_cli.errors import SourceError, UsageError
from llmops_cli.report import Report

app = typer.Typer()


@app.command()
@asks(check=True)
def status(question: Question, watch: options.Watch = None, lang: options.Lang = "en") -> int:
    """Show calls, latency, water levels and feedback against the time before, and the incidents found.

    llmops status --log app.log --since 15m
    llmops status --profile prod --check -o nagios
    """
    if watch is None:
        return question.emit(answer(question), lang=lang)
    from llmops_cli.views.live import draw  # noqa: PLC0415
    from llmops_cli.views.live import watch as every  # noqa: PLC0415

    if "-" in question.logs:
        raise UsageError("stdin_ends", "--log - cannot be watched: it ends", "name the log file with --log PATH")
    draw(every(_again(question), watch), question.output, sys.stdout, lang=lang, allow_stale=question.allow_stale)
    return 0


def _again(question: Question) -> Callable[[], Report]:
    """Return what gives the answer of now. A log that is away for a moment (rotation) ends the watch only at first."""
    seen = False

    def produce() -> Report:
        nonlocal seen
        asked = question.again()
        try:
            report = answer(asked)
        except SourceError as error:
            if not seen:
                raise
            return Report("status", asked.generated_at, filters=asked.filters, errors=(error.problem(),))
        seen = True
        return report

    return produce


def answer(question: Question) -> Report:
    """Ask the source and assess what it saw."""
    from llmops_cli.sop.liveness import silent_ms, unread, with_partial, with_silence  # noqa: PLC0415

    with open_source(question) as source:
        seen, newest = look(question, source), source.newest_ms()
        thresholds, following = question.settings.thresholds, next_options(question)
        data = assessed(question, source, seen)
        silence = silent_ms(seen, newest)
        data = with_coverage(replace(with_silence(data, silence), thresholds=thresholds), seen)
        shown = if_it_answers(source, lambda: with_requests(source, seen, data.incidents, following), data.incidents)
        data = replace(data, incidents=shown)
        if ago_ms := asked_ago_ms(question):
            data = with_comparison(data, seen, ago_ms)
        if headless(source):
            data = unread(data)
        if source.remote and any(state.state != "ok" for state in source.states()):
            data = with_partial(data)
        hint_when_headless(question, source)
        hint_when_nothing_matches(question, source, seen.window, data.calls)
        hint_when_zone_is_doubtful(question, seen.window)
        return report(
            "status", question, source, seen.window, data, *partial_baseline(seen), *gone_silent(seen, silence)
        )
