"""`llmops status`: the usage, and whether something is wrong."""

from __future__ import annotations

import sys

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import limits_of, look, next_options, open_source, report
from llmops_cli.commands.question import Question, asks
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

    draw(every(lambda: answer(question.again()), watch), question.output, sys.stdout, lang=lang)
    return 0


def answer(question: Question) -> Report:
    """Ask the source and assess what it saw."""
    from llmops_cli.sop.status import assess  # noqa: PLC0415

    with open_source(question) as source:
        seen = look(question, source)
        data = assess(
            seen, limits_of(question, seen), question.settings.thresholds, next_options=next_options(question)
        )
        return report("status", question, source, seen.window, data)
