"""What every verb does first: open the source, settle the window, look, and say how far it can be trusted."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from llmops_cli.commands.question import Question
from llmops_cli.errors import SourceError
from llmops_cli.evidence import CallStats, Limit, Message, Observation, Slice, SourceState, Span, Window
from llmops_cli.report import Incident, Report, StatusData
from llmops_cli.sources import CallSource
from llmops_cli.window import parse_duration

Answer = TypeVar("Answer")
LOOK_BACK_MS = 86_400_000
"""How far back a healthy window is looked for: 24 hours."""
STEPS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
"""Windows back that are tried as a baseline, one after the other."""
_HISTORY_BYTES = 24 << 20
"""More than this is not read to see the past of a window whole: it takes longer than the answer itself."""
_SAMPLE_BYTES = 2 << 20
"""Some 8,000 calls: enough to see traffic or latency change by half."""
_OWN_CALLS = 200_000
"""More calls than this are not counted again to compare a window with its own beginning."""
_LOOK_BACK_BYTES = 256 << 20
"""More than this is not read for the time between the healthy window and the one asked for: a second or two."""


def open_source(question: Question) -> CallSource:
    """Open the source that the question names: log files, where any are named, else the logstore of the profile."""
    if not question.logs:
        return _logstore(question)
    from llmops_cli.calls.pattern import STANDARD_PATTERN  # noqa: PLC0415 - only when there is something to read
    from llmops_cli.sources.local import LocalSource  # noqa: PLC0415 - DuckDB, likewise
    from llmops_cli.sources.local.meter import no_meter  # noqa: PLC0415 - likewise
    from llmops_cli.views.progress import progress  # noqa: PLC0415 - rich only for those who wait

    return LocalSource(
        question.logs,
        zone=question.zone,
        encoding=question.encoding,
        pattern=question.pattern or STANDARD_PATTERN,
        pattern_from=question.settings.where("pattern"),
        meter=progress if sys.stderr.isatty() else no_meter,
    )


def _logstore(question: Question) -> CallSource:
    from llmops_cli.commands.service import log_service, required  # noqa: PLC0415 - an SDK, for those who use it
    from llmops_cli.sources.sls import SlsSource  # noqa: PLC0415 - likewise

    where = required(question.settings)
    return SlsSource(
        log_service(question.settings, question.timeout_s),
        where.project,
        where.logstore,
        fields={str(name): key for name, key in where.fields.items()},
        now_ms=question.now_ms,
        timeout_s=question.timeout_s,
    )


def look(question: Question, source: CallSource) -> Observation:
    """Observe the window that the question asks for, against a healthy baseline where there is one."""
    from llmops_cli.sop.baseline import is_healthy  # noqa: PLC0415

    window = question.window(source.newest_ms())
    thresholds = question.settings.thresholds
    observation = replace(source.observe(window, question.filters, thresholds), begins_ms=source.oldest_ms())
    if observation.now.calls == 0 or question.asked.baseline == "none":
        return observation
    if source.remote and is_healthy(observation, thresholds):
        return observation  # each look back is a round of queries: only for what may have begun before
    if question.asked.baseline != "previous":
        return observation  # asked for one day before, its own beginning is no answer
    by_itself = if_it_answers(source, lambda: _by_itself(question, source, observation), observation)
    if by_itself.own is not None or window.baseline is None:
        return by_itself
    return if_it_answers(source, lambda: _against_healthy(question, source, observation), observation)


def if_it_answers(source: CallSource, ask: Callable[[], Answer], without: Answer) -> Answer:
    """Ask a remote source for more; where its time is up, what it told before stands, and its state says so."""
    try:
        return ask()
    except SourceError:
        if not source.remote:
            raise
        return without


def _by_itself(question: Question, source: CallSource, observation: Observation) -> Observation:
    """Compare a window with its own beginning where the log holds nothing before it: all of it is read already."""
    from llmops_cli.sop.baseline import beginning, ill_since, parted, shortened  # noqa: PLC0415

    window, thresholds = observation.window, question.settings.thresholds

    def against(own: Span) -> Observation:
        rest = replace(window, span=Span(own.end_ms, window.span.end_ms), baseline=own, stepped_back=False)
        seen = source.observe(rest, question.filters, thresholds, brief=True)
        return replace(seen, points=observation.points, demand=observation.demand)

    if (own := beginning(observation, thresholds)) is None:
        return observation
    if observation.now.calls > _OWN_CALLS:
        return replace(observation, own=parted(observation, own))
    seen = against(own)
    began_ms = ill_since(seen, thresholds, own.end_ms)
    if began_ms is not None:
        healthy = shortened(own, began_ms)
        if healthy is None:
            return observation
        seen = against(healthy)
    return replace(observation, own=seen)


def _against_healthy(question: Question, source: CallSource, observation: Observation) -> Observation:
    """Step back to the last healthy window when the one right before is unhealthy too.

    In a log that is soon read, the beginning of the incident tells which one that is. Else candidates lie ever further
    back, and the last healthy one is found by bisection between the last two that were tried. Candidates are judged by
    a sample; only the one that is found, and what lies between it and the window, is read whole.
    """
    from llmops_cli.sop.baseline import LEAD_MS, is_healthy  # noqa: PLC0415

    window, thresholds = observation.window, question.settings.thresholds
    if window.baseline is None:
        return observation
    length = window.span.ms
    most = LOOK_BACK_MS // length
    if (oldest := source.oldest_ms()) is not None:
        most = min(most, (window.span.start_ms - oldest) // length)

    def candidate(steps: int) -> Span:
        return Span(window.span.start_ms - steps * length, window.span.start_ms - (steps - 1) * length)

    def stepped(steps: int) -> Observation:
        between = Span(candidate(steps).end_ms, window.span.start_ms)
        if source.bytes_of(between) > _LOOK_BACK_BYTES:
            return observation
        back = replace(window, baseline=candidate(steps), stepped_back=True)
        seen = source.observe(back, question.filters, thresholds, between=between)
        return replace(seen, begins_ms=observation.begins_ms)

    looked, began_ms = _ill_since(question, source, observation)
    if began_ms is not None:
        steps = 1 - (began_ms - LEAD_MS - window.span.start_ms) // length
        return stepped(min(steps, most)) if min(steps, most) > 1 else observation
    if is_healthy(observation, thresholds) and (looked or _is_usual(question, source, observation, window.baseline)):
        return observation
    found = last_healthy(most, lambda steps: _is_usual(question, source, observation, candidate(steps), also_well=True))
    return observation if found is None else stepped(found)


def last_healthy(most: int, healthy: Callable[[int], bool]) -> int | None:
    """Find the fewest steps back, 2 to `most`, that lead to a healthy window; None when none is found.

    The first steps are tried one by one, and bisection only looks between the last that was unhealthy and the first
    that was healthy: a window that is misjudged moves the answer by little.
    """
    ill = 1
    for steps in STEPS:
        if steps > most:
            break
        if not healthy(steps):
            ill = steps
            continue
        well = steps
        while well - ill > 1:
            middle = (well + ill) // 2
            ill, well = (ill, middle) if healthy(middle) else (middle, well)
        return well
    return None


def _ill_since(question: Question, source: CallSource, observation: Observation) -> tuple[bool, int | None]:
    """Look at the past of the window where it is soon read: was it looked at, and since when is something wrong."""
    from llmops_cli.sop.baseline import history, ill_since  # noqa: PLC0415

    window, thresholds = observation.window, question.settings.thresholds
    past = history(window.span, window.baseline, source.oldest_ms()) if window.baseline is not None else None
    if past is None or source.bytes_of(Span(past.before.start_ms, past.asked.end_ms)) > _HISTORY_BYTES:
        return False, None
    asked = replace(window, span=past.asked, baseline=past.before)
    seen = source.observe(asked, question.filters, thresholds, between=past.between, brief=True)
    return True, ill_since(seen, thresholds, window.span.start_ms)


def _is_usual(
    question: Question, source: CallSource, observation: Observation, span: Span, *, also_well: bool = False
) -> bool:
    """Tell whether `span` looks like an older time, and (`also_well`) like a healthy one, from a sample of both."""
    from llmops_cli.sop.baseline import has_changed, is_well, probe  # noqa: PLC0415

    thresholds, oldest = question.settings.thresholds, source.oldest_ms()
    share = min(1.0, _SAMPLE_BYTES / max(1, source.bytes_of(span)))
    sample = Span(span.end_ms - max(1, int(span.ms * share)), span.end_ms)
    older = Span(probe(span).end_ms - sample.ms, probe(span).end_ms)
    known = oldest is None or older.start_ms >= oldest
    if not known and not also_well:
        return True
    asked = replace(observation.window, span=sample, baseline=older if known else None)
    seen = source.observe(asked, question.filters, thresholds, brief=True)
    return (not also_well or is_well(seen, thresholds)) and not (known and has_changed(seen, thresholds))


def assessed(question: Question, source: CallSource, seen: Observation) -> StatusData:
    """Judge what was seen, up to the end of the log; where answers became slow, with the p95 of just these."""
    from llmops_cli.sop.liveness import judged  # noqa: PLC0415
    from llmops_cli.sop.status import assess  # noqa: PLC0415

    thresholds, options, limits = question.settings.thresholds, next_options(question), limits_of(question, seen)
    seen = judged(seen, source.newest_ms())
    data = _narrowed(assess(seen, limits, thresholds, next_options=options), seen)
    late = [one for one in data.incidents if one.type == "latency"]
    nothing: list[Slice] = []
    slow = if_it_answers(source, lambda: [_since_slow(question, source, seen, one) for one in late], nothing)
    if not slow:
        return data
    with_p95 = replace(seen, slow=tuple(slow), own=seen.own and replace(seen.own, slow=tuple(slow)))
    return _narrowed(assess(with_p95, limits, thresholds, next_options=options), seen)


def _narrowed(data: StatusData, seen: Observation) -> StatusData:
    """Say what a verdict is about: what is critical of a part may be a warning of the whole."""
    from llmops_cli.knowledge.sentences import scope_text  # noqa: PLC0415 - with the rules, only when something is asked
    from llmops_cli.sop.ledger import asked  # noqa: PLC0415 - likewise

    scope = asked(seen.filters)
    if not scope or not data.incidents:
        return data
    values = {**data.headline.values, "asked": scope_text(scope)}
    return replace(data, headline=replace(data.headline, values=values))


def _since_slow(question: Question, source: CallSource, seen: Observation, incident: Incident) -> Slice:
    """Measure the calls of an incident's scope since it began, and in the baseline up to then."""
    window = seen.basis.window
    began = incident.started_at or incident.started_before
    began_ms = window.span.start_ms if began is None else round(began.timestamp() * 1000)
    span, baseline = Span(min(began_ms, window.span.end_ms - 1), window.span.end_ms), window.baseline
    if baseline is not None and baseline.end_ms > span.start_ms:
        baseline = Span(min(baseline.start_ms, span.start_ms - 1), span.start_ms)
    scope = {name: (value,) for name, value in incident.scope.items()}
    asked = replace(window, span=span, baseline=baseline)
    own = source.observe(asked, replace(question.filters, **scope), question.settings.thresholds, brief=True)
    now, before = own.now, own.before or CallStats()
    return Slice(
        where=dict(incident.scope),
        calls=now.calls,
        failures=now.failures,
        p95_ms=now.durations.p95,
        total_tokens=now.total_tokens,
        before_calls=before.calls,
        before_failures=before.failures,
        before_p95_ms=before.durations.p95,
        before_total_tokens=before.total_tokens,
    )


def limits_of(question: Question, observation: Observation) -> tuple[Limit, ...]:
    """Find the limit of every resource that saw load: configuration, else the shipped table, else unknown."""
    from llmops_cli.sop.quota import find_limits  # noqa: PLC0415

    configured = {
        limit.model + (f"@{limit.workspace}" if limit.workspace else ""): {"rpm": limit.rpm, "tpm": limit.tpm}
        for limit in question.settings.limits
    }
    return find_limits(observation.demand, configured, question.settings.region)


def report(
    command: str, question: Question, source: CallSource, window: Window | None, data: Any, *notes: Message
) -> Report:
    """Put an answer into the envelope, with the state of its source."""
    states = tuple(_stale(state, window) for state in source.states())
    return Report(
        command=command,
        generated_at=question.generated_at,
        window=window,
        sources=states,
        partial=any(state.state in ("partial", "failed") for state in states),
        data=data,
        notes=(*question.notes, *_no_baseline(question, source, window), *notes),
        filters=question.filters,
    )


def asked_ago_ms(question: Question) -> int | None:
    """Return how long before the window a baseline was asked for (`--baseline 1d`); None for the others."""
    named = question.asked.baseline
    return None if named in ("previous", "none") else parse_duration(named)


def _no_baseline(question: Question, source: CallSource, window: Window | None) -> tuple[Message, ...]:
    """Say that the log does not reach back to the baseline asked for, or nothing."""
    ago_ms = asked_ago_ms(question)
    if window is None or window.baseline is not None or ago_ms is None:
        return ()
    begins = source.oldest_ms()
    at = None if begins is None else f"{window.at(begins):%Y-%m-%d %H:%M:%S}"
    return (Message("note.nothing_before", {"from": at, "ago": ago_ms}),)


def _stale(state: SourceState, window: Window | None) -> SourceState:
    return replace(state, state="stale") if window and window.anchored and state.state == "ok" else state


def next_options(question: Question) -> str:
    """Repeat, for commands to paste, the options that say where and when this question was asked."""
    asked = question.asked
    baseline = None if asked.baseline == "previous" else asked.baseline
    window = (("--since", asked.since), ("--from", asked.from_), ("--to", asked.to), ("--baseline", baseline))
    given = (word for name, value in window if value is not None for word in (name, value))
    return " ".join(filter(None, (source_options(question), shlex.join(given))))


def source_options(question: Question) -> str:
    """Repeat, for commands to paste, the options that say where this question was asked."""
    from llmops_cli.sources.local.files import shown  # noqa: PLC0415

    settings = question.settings
    given: list[tuple[str, str | None]] = []
    if settings.origin.get("log") == "--log":
        given += [("--log", log) for log in question.logs]
    for key in ("pattern", "timezone", "encoding"):
        if settings.origin.get(key) == f"--{key}":
            given.append((f"--{key}", getattr(settings, key)))
    if settings.origin.get("config") == "--config":
        given.append(("--config", shown(settings.file) if settings.file else None))
    if settings.origin.get("profile") == "--profile":
        given.append(("--profile", settings.profile))
    return shlex.join(word for name, value in given if value is not None for word in (name, value))
