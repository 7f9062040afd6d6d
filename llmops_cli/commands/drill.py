"""`llmops drill`: where it comes from."""

from __future__ import annotations

from dataclasses import replace

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import asked_ago_ms, assessed, look, next_options, open_source, report
from llmops_cli.commands.hints import (
    headless,
    hint_when_headless,
    hint_when_nothing_matches,
    hint_when_zone_is_doubtful,
    partial_baseline,
)
from llmops_cli.commands.question import Question, asks
from llmops_cli.evidence import Message, Observation
from llmops_cli.report import CauseRow
from llmops_cli.sources import CallSource

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
    from llmops_cli.sop.baseline import uncompared  # noqa: PLC0415

    with open_source(question) as source:
        seen = look(question, source)
        counted = bool(question.filters.error_code)
        causes = () if counted else _causes(question, source, seen)
        chosen = tuple(dict.fromkeys(by or ())) or (sop.telling_dimension(seen, causes),)
        slices = source.slices(seen.window, question.filters, chosen)
        data = sop.drill(seen, slices, chosen, causes=causes, next_options=next_options(question))
        if (ago_ms := asked_ago_ms(question)) and (paste := uncompared(data.paste, seen, ago_ms)):
            data = replace(data, paste=paste)
        if headless(source):
            data = replace(data, paste=Message("headline.no_header", {"count": seen.unparsed or None}))
        hint_when_headless(question, source)
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        hint_when_zone_is_doubtful(question, seen.window)
        notes = (Message("note.only_failures"),) if counted else ()
        answer = report("drill", question, source, seen.window, data, *notes, *partial_baseline(seen))
        return question.emit(answer, lang=lang)


def _causes(question: Question, source: CallSource, seen: Observation) -> tuple[CauseRow, ...]:
    from llmops_cli.sop.causes import find_causes  # noqa: PLC0415

    incidents = assessed(question, source, seen).incidents
    return find_causes(seen, incidents=incidents, thresholds=question.settings.thresholds)
