"""`llmops quota`: how close each model is to its rate limits."""

from __future__ import annotations

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import limits_of, look, next_options, open_source, report
from llmops_cli.commands.hints import hint_when_nothing_matches, hint_when_zone_is_doubtful
from llmops_cli.commands.question import Question, asks

app = typer.Typer()


@app.command()
@asks(check=True)
def quota(question: Question, lang: options.Lang = "en") -> int:
    """Compare the busiest minute and second of each model and workspace with the limits that apply.

    llmops quota --log app.log --since 1h
    llmops quota --log app.log --model qwen-plus -o json
    """
    from llmops_cli.sop.quota import quota as weigh  # noqa: PLC0415

    with open_source(question) as source:
        seen = look(question, source)
        data = weigh(seen, limits_of(question, seen), question.settings.thresholds, next_options=next_options(question))
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        hint_when_zone_is_doubtful(question, seen.window)
        return question.emit(report("quota", question, source, seen.window, data), lang=lang)
