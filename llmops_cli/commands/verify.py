"""`llmops recover verify`: watch until it is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import assessed, look, open_source, report
from llmops_cli.commands.hints import hint_when_window_is_ignored
from llmops_cli.commands.question import Question, asks, exit_code
from llmops_cli.errors import SourceError, UsageError
from llmops_cli.evidence import Message, Observation, Span, Window
from llmops_cli.report import Check, Incident, Report
from llmops_cli.sources import CallSource
from llmops_cli.window import WindowRequest, parse_duration

if TYPE_CHECKING:
    from llmops_cli.sop.remaining import Known
    from llmops_cli.sop.verification import Verification

_GRACE_S, _REMOTE_GRACE_S = 2.0, 10.0
"""Seconds for the last lines of a stretch to reach the log, or a logstore, before it is judged."""

Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="Give up after this long.")]
Interval = Annotated[str, typer.Option("--interval", metavar="TIME", help="Length of one check.")]


@asks(always_check=True)
def verify(question: Question, timeout: Timeout = "15m", interval: Interval = "1m", lang: options.Lang = "en") -> int:
    """Watch one-minute windows from now on until three in a row are healthy; exits like a Nagios plugin.

    llmops recover verify --log app.log
    llmops recover verify --log app.log --model qwen-plus --timeout 30m
    """
    from llmops_cli.sop.verification import NEEDED  # noqa: PLC0415
    from llmops_cli.views.live import follow  # noqa: PLC0415

    if "-" in question.logs:
        raise UsageError("stdin_ends", "--log - cannot be watched: it ends", "name the log file with --log PATH")
    timeout_ms, interval_ms = parse_duration(timeout), parse_duration(interval)
    if timeout_ms < NEEDED * interval_ms:
        raise UsageError(
            "bad_timeout",
            f"--timeout {timeout} is over before {NEEDED} checks of --interval {interval} can be",
            "give a longer --timeout, or a shorter --interval",
        )
    hint_when_window_is_ignored(question)
    watching = _watch(replace(question, asked=WindowRequest()), timeout_ms, interval_ms)
    if question.output == "table":
        last = follow(watching, sys.stdout, lang=lang)
    else:
        *_, last = watching
        question.emit(last, lang=lang)
    return exit_code(last, check=True) if last else 3


def _watch(question: Question, timeout_ms: int, interval_ms: int) -> Iterator[Report]:
    """Give the state after each stretch of time, until it is over or given up."""
    from llmops_cli.sop.remaining import known  # noqa: PLC0415
    from llmops_cli.sop.verification import NEEDED, Verification, scorecard  # noqa: PLC0415

    state = Verification()
    deadline = time.monotonic() + timeout_ms / 1000
    with open_source(question) as source:  # a file that cannot be read is told now, not after a minute
        first = look(question, source)
        # A log that ended long ago says nothing about now.
        grace_s = _REMOTE_GRACE_S if source.remote else _GRACE_S
        found = () if first.window.anchored else assessed(question, source, first).incidents
        incidents, began = known(first.basis, found), found[0].started_at if found else None
        usual = _usual(first, found)
        begun = Message("verify.begun", {"interval_ms": interval_ms, "timeout_ms": timeout_ms, "needed": NEEDED})
        yield report("recover verify", question, source, None, state.data(), begun)
    counted_ms = end_ms = question.now_ms
    while not state.done:
        span = Span(end_ms, end_ms + interval_ms)
        end_ms = span.end_ms
        wait = max(0.0, end_ms / 1000 + grace_s - time.time())
        if time.monotonic() + wait > deadline + grace_s:
            time.sleep(max(0.0, deadline - time.monotonic()))
            state = state.give_up()
        else:
            time.sleep(wait)
        try:
            with open_source(question.again()) as source:
                if not state.done:
                    check = _check(question, source, span, replace(usual, span=Span(counted_ms, end_ms)), incidents)
                    state = state.after(check)
                    if check.verdict in ("warning", "critical"):
                        counted_ms = end_ms
                card = scorecard(began, recovered_at=state.recovered_at)
                yield report("recover verify", question.again(), source, None, state.data(card), state.message)
        except SourceError as error:  # away for a moment, as while it is rotated: this stretch shows nothing
            state = state.after(Check(datetime.fromtimestamp(span.start_ms / 1000, question.zone), "unknown"))
            yield _away(question.again(), state, error)


def _away(question: Question, state: Verification, error: SourceError) -> Report:
    return Report(
        "recover verify",
        question.generated_at,
        partial=True,
        errors=(error.problem(),),
        data=state.data(),
        notes=(state.message,),
        filters=question.filters,
    )


def _usual(first: Observation, found: Sequence[Incident]) -> Window:
    """Give the window of the watch: its baseline is the one the incidents stand out from, else the calls seen first."""
    window = first.basis.window
    baseline = window.baseline if found else first.window.span
    return Window(window.span, baseline, window.timezone, explicit=True, stepped_back=window.stepped_back)


def _check(question: Question, source: CallSource, span: Span, window: Window, incidents: Sequence[Known]) -> Check:
    """Judge the stretch `span`: by itself, and with all the watch counts so far (`window`)."""
    from llmops_cli.sop.verification import Evidence, judge  # noqa: PLC0415

    thresholds = question.settings.thresholds
    minute = source.observe(replace(window, span=span, baseline=None), question.filters, thresholds)
    so_far = source.observe(window, question.filters, thresholds)
    found = assessed(question, source, minute)
    evidence = Evidence(found, assessed(question, source, so_far), so_far)
    verdict, why = judge(evidence, incidents, thresholds)
    newest_ms = source.newest_ms()
    if not found.calls and newest_ms is not None and newest_ms < span.start_ms:
        ended = f"{window.at(newest_ms):%Y-%m-%d %H:%M:%S}"
        why = Message("verify.log_ends", {"at": ended})
    return Check(window.at(span.start_ms), verdict, found.calls, found.failures, None if verdict == "ok" else why)
