"""What to say beside an answer: a filter that matched nothing, a log that holds only a part of the baseline."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches

from llmops_cli.commands.question import Question
from llmops_cli.evidence import DIMENSIONS, Filters, Message, Observation, Window
from llmops_cli.report import Incident, StatusData
from llmops_cli.sources import CallSource

_SEARCHED = 200
"""Newest failures among which an incident's own are looked for."""
_NAMED = 6
"""Values that a hint names; a log may hold thousands."""
MINUTE_MS = 60_000
_LEAST_SHIFT_MS, _MOST_SHIFT_MS = 30 * MINUTE_MS, 870 * MINUTE_MS
"""The age of a log that a wrong zone may explain: half an hour to 14.5 hours."""
_OFFSETS = tuple(
    timedelta(minutes=minutes) for minutes in (-570, -210, 210, 270, 330, 390, 570, 630, *range(-720, 841, 60))
)
"""Offsets in use, without those of a quarter of an hour."""
_WHOLE = 0.98
"""A baseline that is covered this far is a whole one."""


def covered(observation: Observation) -> float:
    """Return the share of the baseline's time that the log reaches back to, 0..1; 1 without a baseline."""
    baseline = observation.window.baseline
    if baseline is None or baseline.ms <= 0:
        return 1.0
    return observation.baseline_read_ms / baseline.ms


def with_coverage(data: StatusData, observation: Observation) -> StatusData:
    """Return the answer with the share of the baseline that it compares with."""
    return (
        data if data.baseline is None else replace(data, baseline=replace(data.baseline, covered=covered(observation)))
    )


def with_comparison(data: StatusData, observation: Observation, ago_ms: int) -> StatusData:
    """Return the answer, never `ok` where it asked for a comparison with what the log does not hold."""
    from llmops_cli.sop.baseline import uncompared  # noqa: PLC0415 - with the rules, only when something is asked

    headline = uncompared(data.headline, observation, ago_ms)
    return data if headline is None else replace(data, verdict="unknown", headline=headline)


def partial_baseline(observation: Observation) -> tuple[Message, ...]:
    """Return the note that only a part of the baseline is in the log, or nothing."""
    if observation.own is not None and (own := observation.own.window.baseline) is not None:
        begins, ends = (observation.window.at(ms) for ms in (max(own.start_ms, observation.read_from_ms), own.end_ms))
        times = {"from": begins.strftime("%Y-%m-%d %H:%M:%S"), "to": ends.strftime("%H:%M:%S")}
        return (Message("note.own_baseline", times),)
    share = covered(observation)
    if observation.before is None or share >= _WHOLE:
        return ()
    begins = observation.window.at(observation.read_from_ms)
    return (Message("note.baseline_part", {"from": begins.strftime("%Y-%m-%d %H:%M:%S"), "share": share}),)


def gone_silent(observation: Observation, silence_ms: int) -> tuple[Message, ...]:
    """Return the note that nothing is known of the window's end, or nothing."""
    if not silence_ms:
        return ()
    ended = observation.window.at(observation.window.span.end_ms - silence_ms)
    return (Message("note.log_stopped", {"at": ended.strftime("%H:%M:%S"), "age": silence_ms}),)


def with_requests(
    source: CallSource, seen: Observation, incidents: Sequence[Incident], next_options: str
) -> tuple[Incident, ...]:
    """Add to each incident of failed calls the command that shows one of them, the newest."""
    from llmops_cli.knowledge.errors import classify  # noqa: PLC0415 - only where something failed

    shown: list[Incident] = []
    window = replace(seen.window, baseline=None)
    for incident in incidents:
        scope = replace(seen.filters, **{name: (value,) for name, value in incident.scope.items()})
        failed = source.failures(window, scope, _SEARCHED) if incident.failures else ()
        one = next(
            (
                call
                for call in failed
                if call.trace_id
                and classify(call.status_code, call.error_code, call.error_message).family == incident.type
            ),
            None,
        )
        if one is not None:
            command = f"llmops trace {shlex.quote(one.trace_id)} {next_options}".rstrip()
            incident = replace(incident, next=(*incident.next[:1], command, *incident.next[1:]))  # noqa: PLW2901
        shown.append(incident)
    return tuple(shown)


def hint_when_nothing_matches(question: Question, source: CallSource, window: Window, calls: int) -> None:
    """Tell on stderr what the window does hold, when filters left nothing of it: one may be misspelt."""
    if calls or not question.filters:
        return
    gone: list[str] = []
    has: list[str] = []
    for name in (*DIMENSIONS, "error_code"):
        if not (wanted := getattr(question.filters, name)):
            continue
        found = sorted(source.slices(window, Filters(), (name,)), key=lambda one: -one.calls)
        values = [one.where[name] for one in found if one.where[name] and one.calls]
        before = {one.where[name] for one in found if one.before_calls}
        gone += [_missing(name, value, values, before) for value in wanted if value not in values]
        if values:
            has.append(f"{name} {', '.join(values[:_NAMED])}{', …' if len(values) > _NAMED else ''}")
    if not has:
        hint("this window holds no call at all")
        return
    why = "; ".join(gone) if gone else "each of these is in this window, but not together"
    hint(f"no call matches the filters: {why}{'' if why.endswith('?') else '.'} This window has {'; '.join(has)}")


def _missing(name: str, value: str, values: Sequence[str], before: Collection[str]) -> str:
    """Say that no call of the window has a value, and which one may be meant."""
    if value in before:
        return f"{name} {value} had calls before this window, and none in it"
    folded = {one.casefold(): one for one in reversed(values)}
    close = get_close_matches(value.casefold(), folded, n=1)
    return f"no {name} {value} here" + (f", did you mean {folded[close[0]]}?" if close else "")


def hint_when_window_is_ignored(question: Question) -> None:
    """Tell on stderr that a watch has no window, when one was asked for."""
    given = {f"--{name.rstrip('_')}": getattr(question.asked, name) for name in ("since", "from_", "to", "baseline")}
    ignored = [name for name, value in given.items() if value not in (None, "previous")]
    if ignored:
        hint(f"recover verify watches from now on and ignores {', '.join(ignored)}")


def hint_when_zone_is_doubtful(question: Question, window: Window) -> None:
    """Tell on stderr that times without a zone may have been read in the wrong one, where that would explain their age.

    Nothing is said beside JSON, and of a log that writes the zone or whose pattern names it.
    """
    if question.output == "json" or not window.anchored or window.log_ends_ms is None:
        return
    age_ms = question.now_ms - window.log_ends_ms
    if not _LEAST_SHIFT_MS <= age_ms <= _MOST_SHIFT_MS or _writes_zone(question):
        return
    read_as = window.at(window.log_ends_ms).utcoffset() or timedelta()
    younger = {one: age_ms - (read_as - one) // timedelta(milliseconds=1) for one in _OFFSETS}
    offset, age = min(((one, age) for one, age in younger.items() if age >= 0), key=lambda one: one[1])
    told = _offset_text(read_as)
    told = told if str(question.zone).endswith(told) else f"{question.zone} ({told})"
    hint(
        f"times were read as {told}; if the log was written a moment ago, --timezone is wrong: "
        f"{_offset_text(offset)} would make it {max(1, round(age / MINUTE_MS))} min old"
    )


def _writes_zone(question: Question) -> bool:
    from llmops_cli.calls.pattern import STANDARD_PATTERN, compile_pattern  # noqa: PLC0415 - rarely needed

    time = compile_pattern(question.pattern or STANDARD_PATTERN).time
    return time.zone or time.fixed_zone is not None


def _offset_text(offset: timedelta) -> str:
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"{'-' if offset < timedelta() else '+'}{hours:02}:{minutes:02}"


def headless(source: CallSource) -> bool:
    """Tell whether there are lines, and none of them begins with the header of the pattern: nothing was read."""
    return source.newest_ms() is None and any(state.state == "partial" for state in source.states())


def hint_when_headless(question: Question, source: CallSource) -> None:
    """Tell on stderr what to do about a log that no line of could be read."""
    if headless(source):
        given = "compare --pattern with" if question.pattern else "give --pattern as it stands in"
        hint(f"{given} the appender's pattern in logback.xml")


def hint(text: str) -> None:
    """Tell on stderr, on one line, safe to show."""
    from llmops_cli import views  # noqa: PLC0415 - rarely needed
    from llmops_cli.views.words import shown_hint  # noqa: PLC0415 - rarely needed

    views.put(shown_hint(text), sys.stderr)
