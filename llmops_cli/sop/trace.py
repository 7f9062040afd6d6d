"""Step three of the SOP: one trace, line by line, and what its errors mean."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise

from llmops_cli.evidence import CallRecord, Cell, LogLine, Message
from llmops_cli.knowledge.content import CONTENT, hidden
from llmops_cli.knowledge.errors import ErrorEntry, classify, is_rate_limit
from llmops_cli.report import Explanation, TraceCall, TraceData, TraceLine
from llmops_cli.sop.commandline import command, option

Values = Mapping[str, str | int | float | None]

SHORTEST_PREFIX = 8
MOST_MATCHES = 20
TOO_SOON_MS = 1_000
"""A throttled call needs its limit's second, if not its minute: the official advice waits 1 to 60 s
(https://help.aliyun.com/zh/model-studio/rate-limiting-best-practices)."""
CLOCK_MS = 20
"""A log time is taken a moment after the call has ended, and a duration is rounded: so little is no difference."""
AROUND = timedelta(minutes=15)


def trace(
    lines: Sequence[LogLine],
    trace_id: str,
    *,
    matches: Sequence[str] = (),
    zone: tzinfo,
    show_content: bool,
    next_options: str = "",
    lang: str = "en",
    remote: bool = False,
) -> TraceData:
    """Tell the story of one trace.

    `lines` are its log events in any order; `matches` are the trace ids that begin with what was asked for, when that
    was a prefix. Several of them: nothing is shown but the list. Prompts and results are replaced by their length and
    a hash, told in `lang`, unless `show_content`. `next_options` (as it stands in a shell) is appended to every next
    command; when it names no window, commands that count calls get the quarter of an hour around the trace. `remote`:
    it was looked for in a logstore, not in files.
    """
    if len(matches) > 1:
        shown = tuple(matches[:MOST_MATCHES])
        values: Values = {"prefix": trace_id, "count": len(matches), "shown": len(shown)}
        prefix = all(match.startswith(trace_id) for match in matches)
        return TraceData(
            trace_id,
            found=False,
            next=tuple(_ask(match, next_options) for match in shown),
            matches=shown,
            summary=(Message("trace.ambiguous" if prefix else "trace.shared", values),),
        )
    if not lines:
        return _not_found(trace_id, remote=remote)
    ordered = sorted(lines, key=lambda line: line.time_ms)
    calls = sorted((line.call for line in ordered if line.call is not None), key=_started)
    failed = _errors(calls)
    return TraceData(
        trace_id=matches[0] if matches else trace_id,
        found=True,
        calls=tuple(_calls(calls, zone)),
        lines=tuple(_line(line, zone, lang, show_content=show_content) for line in ordered),
        explanations=tuple(_explanation(call, entry) for call, entry in failed),
        next=_next(failed, ordered, zone, next_options),
        request_ids=_request_ids(calls),
        summary=(*_summary(calls), *_unanswered(ordered)),
    )


def _ask(trace_id: str, next_options: str) -> str:
    """Return the command that asks for a trace; an id that looks like an option stands last, behind `--`."""
    if trace_id.startswith("-"):
        return f"{command('trace', options=next_options)} -- {shlex.quote(trace_id)}"
    return command("trace", trace_id, options=next_options)


def _not_found(trace_id: str, *, remote: bool) -> TraceData:
    hints = [Message("trace.not_found", {"trace_id": trace_id})]
    if len(trace_id) < SHORTEST_PREFIX:
        hints.append(Message("trace.too_short", {"least": SHORTEST_PREFIX}))
    where = (
        ("trace.look_further_back", "trace.is_it_indexed") if remote else ("trace.look_elsewhere", "trace.is_it_logged")
    )
    hints += [Message(one) for one in where]
    return TraceData(trace_id, found=False, summary=tuple(hints))


def _time(ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, zone)


# --- lines and calls --------------------------------------------------------------------------------------------------


def _line(line: LogLine, zone: tzinfo, lang: str, *, show_content: bool) -> TraceLine:
    message = line.message if show_content else hidden(line.message, lang)
    return TraceLine(_time(line.time_ms, zone), line.level, line.logger, line.thread, message)


def _calls(calls: Iterable[CallRecord], zone: tzinfo) -> Iterator[TraceCall]:
    """Yield the table of calls, in the order in which they were sent.

    A call waited since all those sent before it had ended; one that overlaps them did not wait (0).
    """
    ended: int | None = None
    for call in calls:
        started = _started(call)
        yield TraceCall(
            time=_time(call.time_ms, zone),
            level=call.level,
            trace_id=call.trace_id,
            app=call.app,
            module=call.module,
            model=call.model,
            workspace=call.workspace,
            request_id=call.request_id,
            status_code=call.status_code,
            duration_ms=call.duration_ms,
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
            total_tokens=call.total_tokens,
            error_code=call.error_code,
            error_message=call.error_message,
            started_at=_time(started, zone),
            wait_ms=None if ended is None else max(0, started - ended),
        )
        ended = call.time_ms if ended is None else max(ended, call.time_ms)


def _started(call: CallRecord) -> int:
    """When a call was sent: it is logged when its answer has come."""
    return call.time_ms - max(0, call.duration_ms)


def _request_ids(calls: Sequence[CallRecord]) -> tuple[str, ...]:
    """Return what support asks for: the failed calls' request ids, then the others'."""
    ordered = sorted(calls, key=lambda call: call.ok)
    return tuple(dict.fromkeys(call.request_id for call in ordered if call.request_id))


# --- errors -----------------------------------------------------------------------------------------------------------


def _entry(call: CallRecord) -> ErrorEntry:
    return classify(call.status_code, call.error_code, call.error_message)


def _errors(calls: Iterable[CallRecord]) -> list[tuple[CallRecord, ErrorEntry]]:
    """Return one call and its meaning for each distinct error, in order."""
    distinct: dict[tuple[object, ...], tuple[CallRecord, ErrorEntry]] = {}
    for call in calls:
        if not call.ok:
            entry = _entry(call)
            distinct.setdefault((call.status_code, call.error_code, entry.family, entry.cause), (call, entry))
    return list(distinct.values())


def _explanation(call: CallRecord, entry: ErrorEntry) -> Explanation:
    return Explanation(
        error_code=call.error_code,
        family=entry.family,
        retry=entry.retry,
        cause=entry.cause,
        remedy=entry.remedy,
        status_code=call.status_code,
        source=entry.source,
    )


def error_name(call: CallRecord | Cell) -> str:
    """Return status and code of failed calls, as in `429 Throttling.RateQuota`; "no answer" without either."""
    status = str(call.status_code) if call.status_code is not None and call.status_code > 0 else ""
    return " ".join(filter(None, (status, call.error_code))) or "no answer"


# --- the story --------------------------------------------------------------------------------------------------------


def _summary(calls: Sequence[CallRecord]) -> tuple[Message, ...]:
    if not calls:
        return (Message("trace.no_calls", {}),)
    if all(call.ok for call in calls):
        spent = sum(call.duration_ms for call in calls)
        return (Message("trace.succeeded", {"calls": len(calls), "duration_ms": spent}),)
    steps: dict[tuple[str, str], list[CallRecord]] = defaultdict(list)
    for call in calls:  # a retry comes from the same place, though perhaps to another model
        steps[call.app, call.module].append(call)
    several = len(steps) > 1
    return tuple(
        message
        for (app, module), step in steps.items()
        for message in _step_summary(step, f"{app}/{module}" if several else None)
    )


def _step_summary(step: Sequence[CallRecord], who: str | None) -> Iterator[Message]:
    """Say how each run of failures in one module ended; `who` names the module where there are several."""
    run: list[CallRecord] = []
    for call in step:
        if not call.ok:
            run.append(call)
            continue
        if run and _started(call) < run[-1].time_ms - CLOCK_MS:
            continue  # it ran beside the failed one: no retry of it
        if run:
            wait_ms = max(0, _started(call) - run[0].time_ms)
            yield Message("trace.recovered", {"who": who, "wait_ms": wait_ms, "failures": len(run)})
            yield from _manners([*run, call], who)
        run = []
    if not run:
        return
    last, entry = run[-1], _entry(run[-1])
    values: Values = {"who": who, "error": error_name(last), "attempts": len(run)}
    if len(run) > 1:
        yield Message("trace.gave_up", values)
        yield from _manners(run, who)
    elif entry.retry == "no":
        yield Message("trace.failed_for_good", values)
    else:
        yield Message("trace.not_retried", values)


def _manners(run: Sequence[CallRecord], who: str | None) -> Iterator[Message]:
    """Yield what was wrong with the way a call was repeated: in vain, or too soon."""
    said = set()
    for call, following in pairwise(run):
        entry = _entry(call)
        wait_ms = max(0, _started(following) - call.time_ms)
        values: Values = {"who": who, "error": error_name(call), "wait_ms": wait_ms}
        if entry.retry == "no" and not following.ok and "trace.retried_in_vain" not in said:
            said.add("trace.retried_in_vain")
            yield Message("trace.retried_in_vain", values)
        elif entry.retry == "backoff" and wait_ms < TOO_SOON_MS - CLOCK_MS and "trace.retried_too_soon" not in said:
            said.add("trace.retried_too_soon")
            yield Message("trace.retried_too_soon", values)


def _unanswered(lines: Iterable[LogLine]) -> tuple[Message, ...]:
    """Prompts that no call followed on their thread: the call hung, died, or its line is not in this log."""
    open_prompts: dict[str, int] = defaultdict(int)
    for line in lines:
        if line.call is not None:
            open_prompts[line.thread] = max(0, open_prompts[line.thread] - 1)
        elif line.message.lstrip().lower().startswith(CONTENT[0]):
            open_prompts[line.thread] += 1
    count = sum(open_prompts.values())
    return (Message("trace.unanswered", {"count": count}),) if count else ()


# --- where to go on ---------------------------------------------------------------------------------------------------


def _next(
    failed: Sequence[tuple[CallRecord, ErrorEntry]], lines: Sequence[LogLine], zone: tzinfo, next_options: str
) -> tuple[str, ...]:
    window: tuple[str, ...] = ()
    if not any(word.split("=")[0] in ("--since", "--from", "--to") for word in next_options.split()):
        start, end = _time(lines[0].time_ms, zone) - AROUND, _time(lines[-1].time_ms, zone) + AROUND
        window = ("--from", start.isoformat(timespec="seconds"), "--to", end.isoformat(timespec="seconds"))
    commands = []
    for call, entry in failed:
        # Of the error alone nothing can be told: rates need the calls that succeeded.
        scope = option("model", call.model) if call.model else ("--by", "error_code")
        commands.append(command("drill", *scope, *window, options=next_options))
        if is_rate_limit(entry.family) and call.model:
            commands.append(command("quota", *option("model", call.model), *window, options=next_options))
        commands.append(command("recover", "--runbook", entry.family))
    return tuple(dict.fromkeys(commands))
