"""`llmops recover expand` and `recover ticket`: what to send to Alibaba Cloud, ready to paste."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import assessed, look, open_source, report
from llmops_cli.commands.hints import hint_when_nothing_matches, hint_when_zone_is_doubtful
from llmops_cli.commands.limited import binding_limit, limited_resource
from llmops_cli.commands.question import Question, asks
from llmops_cli.evidence import Filters, Window
from llmops_cli.report import ExpandData, Incident
from llmops_cli.sources import CallSource

_FAILURES_SEARCHED = 1000
"""Newest failures among which request ids are looked for."""

Contact = Annotated[
    str | None, typer.Option("--contact", metavar="TEXT", help="Who support can reach.", show_default="the profile's")
]
Impact = Annotated[
    str | None, typer.Option("--impact", metavar="TEXT", help="What it does to the business.", show_default=False)
]


@asks
def expand(question: Question, contact: Contact = None, impact: Impact = None, lang: options.Lang = "en") -> int:
    """Write the request to Alibaba Cloud for a higher limit, filled in from evidence, ready to paste.

    llmops recover expand --log app.log --model qwen-plus
    llmops recover expand --log app.log --model qwen-plus --lang zh
    """
    from llmops_cli.knowledge.errors import is_rate_limit  # noqa: PLC0415
    from llmops_cli.knowledge.request import expansion_request  # noqa: PLC0415
    from llmops_cli.sop.expansion import expansion_fields, unneeded  # noqa: PLC0415

    with open_source(question) as source:
        seen, model, workspace = limited_resource(question, source)
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        hint_when_zone_is_doubtful(question, seen.window)
        status = assessed(question, source, seen)
        scope = Filters(model=(model,), workspace=(workspace,) if workspace else ())
        fields, missing = expansion_fields(
            model=model,
            workspace=workspace,
            observation=seen,
            limit=binding_limit(question, seen, model, workspace),
            incidents=status.incidents,
            quota_rows=status.water_levels,
            uid=question.settings.uid,
            region=question.settings.region,
            request_ids=_request_ids(source, seen.window, scope, is_rate_limit),
            contact=contact or question.settings.contact,
            impact=impact,
            lang=lang,
        )
        against = unneeded(fields, question.settings.thresholds.water_level.warning)
        data = ExpandData(fields, missing, lang, expansion_request(fields, missing, lang), against)
        return question.emit(report("recover expand", question, source, seen.window, data), lang=lang)


@asks
def ticket(
    question: Question,
    incident: options.IncidentType = None,
    contact: Contact = None,
    impact: Impact = None,
    lang: options.Lang = "en",
) -> int:
    """Write the ticket to Alibaba Cloud about an incident, filled in from evidence, ready to paste.

    llmops recover ticket --log app.log
    llmops recover ticket --log app.log --incident latency --lang zh
    """
    from llmops_cli.knowledge.request import ticket as write  # noqa: PLC0415
    from llmops_cli.sop.ticket import chosen, ticket_fields  # noqa: PLC0415

    with open_source(question) as source:
        seen = look(question, source)
        hint_when_nothing_matches(question, source, seen.window, seen.now.calls)
        hint_when_zone_is_doubtful(question, seen.window)
        status = assessed(question, source, seen)
        about, notes = chosen(status.incidents, incident)
        scope, thresholds = question.filters, question.settings.thresholds
        if about is not None:
            scope = replace(scope, **{name: (value,) for name, value in about.scope.items()})
        fields, missing = ticket_fields(
            incident=about,
            observation=seen if scope == question.filters else source.observe(seen.window, scope, thresholds),
            around=seen,
            thresholds=thresholds,
            quota_rows=status.water_levels,
            uid=question.settings.uid,
            region=question.settings.region,
            request_ids=_slow_ids(source, seen.window, scope, about)
            if about is not None and about.type == "latency"
            else _request_ids(source, seen.window, scope, lambda family: about is None or family == about.type),
            contact=contact or question.settings.contact,
            impact=impact,
            lang=lang,
        )
        data = ExpandData(fields, missing, lang, write(fields, missing, lang), notes)
        return question.emit(report("recover ticket", question, source, seen.window, data), lang=lang)


def _request_ids(source: CallSource, window: Window, scope: Filters, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Give the request ids of the newest failed calls whose family is wanted."""
    from llmops_cli.knowledge.errors import classify  # noqa: PLC0415

    for call in source.failures(window, scope, _FAILURES_SEARCHED):
        if wanted(classify(call.status_code, call.error_code, call.error_message).family):
            yield call.request_id


def _slow_ids(source: CallSource, window: Window, scope: Filters, incident: Incident) -> Iterator[str]:
    """Give the request ids of the slowest calls since an incident began, each with when it was logged and its time."""
    from llmops_cli.knowledge.request import MAX_REQUEST_IDS  # noqa: PLC0415
    from llmops_cli.knowledge.sentences import duration_text  # noqa: PLC0415

    began = incident.started_at or incident.started_before
    began_ms = window.span.start_ms if began is None else round(began.timestamp() * 1000)
    start_ms = min(max(window.span.start_ms, began_ms), window.span.end_ms - 1)
    since = replace(window, span=replace(window.span, start_ms=start_ms), baseline=None)
    for call in source.slowest(since, scope, MAX_REQUEST_IDS):
        if call.request_id:
            at = window.at(call.time_ms).isoformat(" ", "milliseconds")
            yield f"{call.request_id} ({at}, {duration_text(call.duration_ms)})"
