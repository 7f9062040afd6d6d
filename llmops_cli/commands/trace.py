"""`llmops trace`: what happened in one request."""

from __future__ import annotations

from typing import Annotated

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import next_options, open_source, report
from llmops_cli.commands.question import Question, asks

app = typer.Typer()

TraceId = Annotated[
    str,
    typer.Argument(
        metavar="TRACE_ID", help="Trace id, 8 or more of its first characters, or the request id of one of its calls."
    ),
]


@app.command()
@asks
def trace(
    question: Question, trace_id: TraceId, show_content: options.ShowContent = False, lang: options.Lang = "en"
) -> int:
    """Show every line of a trace in order, its calls with the waits between them, and what each error means.

    llmops trace 5e564fe1-2d7e-498a-acdc-6749e6e12617 --log app.log
    llmops trace 5e564fe1 --log 'logs/*.log' --since 1h
    """
    from llmops_cli.sop import trace as sop  # noqa: PLC0415

    with open_source(question) as source:
        window = question.window(source.newest_ms()) if question.windowed else None
        found = source.trace(trace_id, window)
        data = sop.trace(
            found.lines,
            found.trace_id,
            matches=found.matches,
            zone=question.zone,
            show_content=show_content,
            next_options=next_options(question),
            lang=lang,
            remote=source.remote,
        )
        return question.emit(report("trace", question, source, window, data), show_content=show_content, lang=lang)
