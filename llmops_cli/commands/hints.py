"""What to say beside an answer: a filter that matched nothing, a log that holds only a part of the baseline."""

from __future__ import annotations

import sys
from dataclasses import replace

from llmops_cli.commands.question import Question
from llmops_cli.evidence import DIMENSIONS, Filters, Message, Observation, Window
from llmops_cli.report import StatusData
from llmops_cli.sources import CallSource

_NAMED = 6
"""Values that a hint names; a log may hold thousands."""
_WHOLE = 0.98
"""A baseline that is covered this far is a whole one."""


def covered(observation: Observation) -> float:
    """Return the share of the baseline's time that the log reaches back to, 0..1; 1 without a baseline."""
    baseline = observation.window.baseline
    if baseline is None or baseline.ms <= 0:
        return 1.0
    known = baseline.end_ms - max(baseline.start_ms, observation.read_from_ms)
    return min(1.0, max(0.0, known / baseline.ms))


def with_coverage(data: StatusData, observation: Observation) -> StatusData:
    """Return the answer with the share of the baseline that it compares with."""
    return (
        data if data.baseline is None else replace(data, baseline=replace(data.baseline, covered=covered(observation)))
    )


def partial_baseline(observation: Observation) -> tuple[Message, ...]:
    """Return the note that only a part of the baseline is in the log, or nothing."""
    share = covered(observation)
    if observation.before is None or share >= _WHOLE:
        return ()
    begins = observation.window.at(observation.read_from_ms)
    return (Message("note.baseline_part", {"from": begins.strftime("%Y-%m-%d %H:%M:%S"), "share": share}),)


def hint_when_nothing_matches(question: Question, source: CallSource, window: Window, calls: int) -> None:
    """Tell on stderr what the window does hold, when filters left nothing of it."""
    if calls or not question.filters:
        return
    from llmops_cli import views  # noqa: PLC0415 - rarely needed
    from llmops_cli.views.words import shown_hint  # noqa: PLC0415 - rarely needed

    asked = [name for name in (*DIMENSIONS, "error_code") if getattr(question.filters, name)]
    alone = replace(window, baseline=None)
    known = []
    for name in asked:
        found = sorted(source.slices(alone, Filters(), (name,)), key=lambda one: -one.calls)
        values = [one.where[name] for one in found if one.where[name] and one.calls]
        known.append(f"{name} {', '.join(values[:_NAMED])}{', …' if len(values) > _NAMED else ''}" if values else "")
    has = "; ".join(filter(None, known))
    text = f"no call matches the filters; this window has {has}" if has else "this window holds no call at all"
    views.put(shown_hint(text), sys.stderr)
