"""`llmops drill`: where it comes from."""

from __future__ import annotations

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import look, next_options, open_source, report
from llmops_cli.commands.hints import hint_when_nothing_matches, partial_baseline
from llmops_cli.commands.question import Question, asks

app = typer.Typer()

_DIMENSIONS = ("model", "workspace", "app", "module", "error_code")


@app.command()
@asks
def drill(question: Question, by: options.By = None, lang: options.Lang = "en") -> int:
    """Name the combination of values that explains the change, and compare the values of a dimension.

    llmops drill --log app.log --since 30m
    llmops drill --log app.log --by model --by workspace
    """
    from llmops_cli.sop import drill as sop  # noqa: PLC0415

    with open_source(question) as source:
        seen = look(question, source)
        chosen = tuple(dict.fromkeys(by or ()))
        if not chosen:
            chosen = (sop.telling_dimension(seen),)
        slices = source.slices(seen.window, question.filters, chosen)
        data = sop.drill(seen, slices, chosen, next_options=next_options(question))
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        answer = report("drill", question, source, seen.window, data, *partial_baseline(seen))
        return question.emit(answer, lang=lang)
