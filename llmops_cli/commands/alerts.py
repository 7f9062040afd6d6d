"""`llmops alerts test|export|apply`: the alert rules, tried on a log, as a file, and on Log Service."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from llmops_cli.commands import options
from llmops_cli.commands.changing import Consent, DryRun, Yes, changing
from llmops_cli.commands.gather import next_options, open_source, report
from llmops_cli.commands.hints import hint_when_headless
from llmops_cli.commands.question import Question, asks
from llmops_cli.errors import UsageError
from llmops_cli.evidence import DIMENSIONS, Message, Span

if TYPE_CHECKING:
    from llmops_cli.provision.alerts import Watched
    from llmops_cli.provision.firing import Firing
    from llmops_cli.report import AlertRow

app = typer.Typer(no_args_is_help=True)

Runbooks = Annotated[
    str,
    typer.Option(
        "--runbooks", metavar="URL", help="Where your runbooks are: URL/TYPE.md is linked.", show_default=False
    ),
]
Policy = Annotated[
    str, typer.Option("--action-policy", metavar="ID", help="Action policy of Log Service: who is told, and how.")
]


@app.callback()
def alerts() -> None:
    """Keep alert rules as code: the statement that Log Service runs is the one that is tried on a log.

    llmops alerts test --log app.log
    llmops alerts apply --dry-run
    """


@app.command()
@asks
def test(question: Question, *, lang: options.Lang = "en") -> int:  # noqa: PT028 - a verb, not a test
    """Tell which alert rules would have fired over a log, when, and for how long; the whole log without a window.

    llmops alerts test --log app.log
    llmops alerts test --log app.log --since 2h --model qwen-plus
    """
    from llmops_cli.provision.alerts import rules, watched_limits  # noqa: PLC0415 - not for `--help`
    from llmops_cli.provision.firing import evaluations, firings  # noqa: PLC0415 - likewise
    from llmops_cli.report import AlertsTestData  # noqa: PLC0415 - likewise
    from llmops_cli.sources.local import LocalSource  # noqa: PLC0415 - likewise

    settings, filters = question.settings, question.filters
    if not question.logs:
        raise UsageError("needs_log", "alerts test reads log files", "llmops alerts test --log PATH")
    judged, unjudged = rules(settings.thresholds, watched_limits(settings.limits, filters, settings.region), filters)
    with open_source(question) as source:
        assert isinstance(source, LocalSource)  # noqa: S101 - for mypy: there are log files
        window = question.window(source.newest_ms())
        if not question.windowed:
            newest = source.newest_ms() or window.span.end_ms
            window = replace(window, span=Span(source.oldest_ms() or newest, newest + 1), anchored=False)
        window = replace(window, baseline=None)
        fired = firings(judged, window.span, source.run)
        minutes = evaluations(window.span)
        any_ = minutes.end_ms >= minutes.start_ms
        names = {one.rule.name for one in fired}
        data = AlertsTestData(
            firings=tuple(_row(one, window.at, next_options(question)) for one in fired),
            quiet=tuple(one.rule.name for one in judged if one.rule.name not in names),
            unjudged=unjudged,
            evaluations=(minutes.end_ms - minutes.start_ms) // 60_000 + 1 if any_ else 0,
            first_at=window.at(minutes.start_ms) if any_ else None,
            last_at=window.at(minutes.end_ms) if any_ else None,
        )
        hint_when_headless(question, source)
        return question.emit(report("alerts test", question, source, window, data), lang=lang)


@app.command()
@asks
def export(
    question: Question,
    *,
    to: Annotated[Literal["sls"], typer.Option("--to", help="For whom: sls.", metavar="NAME")] = "sls",
    out: options.Out = None,
    force: options.Force = False,
    runbooks: Runbooks = "",
    action_policy: Policy = "sls.builtin",
    lang: options.Lang = "en",
) -> int:
    """Print the alerts that apply would send, as JSON; nothing is asked of the account.

    llmops alerts export --profile prod
    llmops alerts export --profile prod --model qwen-plus --out alerts.json
    """
    from llmops_cli.provision.alerts import alerts as wanted  # noqa: PLC0415 - not for `--help`

    content = list(wanted(watched_of(question, lang, runbooks=runbooks, action_policy=action_policy)))
    return exported("alerts export", question, to, content, out, force=force, lang=lang)


@app.command()
@asks
def apply(
    question: Question,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    runbooks: Runbooks = "",
    action_policy: Policy = "sls.builtin",
    lang: options.Lang = "en",
) -> int:
    """Create or update the alerts of the profile's logstore; the diff is shown first, and no other alert is touched.

    llmops alerts apply --dry-run
    llmops alerts apply --app shop --yes
    """
    from llmops_cli.cloud.inflight import Deadline  # noqa: PLC0415 - not for `--help`
    from llmops_cli.commands.service import log_service  # noqa: PLC0415 - likewise
    from llmops_cli.provision import alerts as provision  # noqa: PLC0415 - likewise

    watched = watched_of(question, lang, runbooks=runbooks, action_policy=action_policy)
    service, deadline = log_service(question.settings, question.timeout_s), Deadline(question.timeout_s)
    lacking = provision.lacking_fields(service, watched.project, watched.logstore, watched.keys, deadline)
    watched = replace(watched, lacking=lacking)
    changes = provision.plan(service, watched, deadline)
    send = provision.apply(service, watched, Deadline(question.timeout_s))
    rest, gone = provision.left_out(watched), provision.left_over(service, watched, deadline)
    said = [Message("alert_test.left_out", {"rules": ", ".join(rest)})] if rest else []
    said += [Message("alert_test.left_over")] if gone else []
    consent = Consent(dry_run, yes)
    return changing("alerts apply", question, changes, send, consent, notes=tuple(said), next_=gone, lang=lang)


def exported(
    command: str, question: Question, to: str, content: Any, out: Path | None, *, force: bool, lang: str
) -> int:
    """Print an export as it is, for another program, or write it to a file; `-o json` puts it into the envelope."""
    from llmops_cli.commands.config import write_private  # noqa: PLC0415 - only for a file
    from llmops_cli.report import ExportData, Report  # noqa: PLC0415 - not for `--help`
    from llmops_cli.views import put  # noqa: PLC0415 - likewise
    from llmops_cli.views.markdown.markup import Draft  # noqa: PLC0415 - likewise
    from llmops_cli.views.words import word  # noqa: PLC0415 - likewise

    text = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if out is not None:
        write_private(out, text, force=force)
    if question.output != "json":
        said = word("alert_test.export_written", lang, file=str(out)) + "\n" if out is not None else text
        if out is None and question.output == "markdown":
            draft = Draft(lang)
            draft.fenced(text.rstrip("\n").split("\n"), "sql" if to == "sql" else "json")
            said = draft.text()
        put(said, sys.stdout)
        return 0
    data = ExportData(to, content, None if out is None else str(out))
    return question.emit(Report(command, question.generated_at, data=data, notes=question.notes), lang=lang)


def watched_of(question: Question, lang: str, *, runbooks: str = "", action_policy: str = "sls.builtin") -> Watched:
    """Read what is to be watched. Raises `UsageError` when no logstore is configured."""
    from llmops_cli.commands.service import required  # noqa: PLC0415 - not for `--help`
    from llmops_cli.provision.alerts import Watched, watched_limits  # noqa: PLC0415 - likewise

    settings, filters = question.settings, question.filters
    where = required(settings)
    return Watched(
        project=where.project,
        logstore=where.logstore,
        region=settings.region,
        filters=filters,
        keys={str(name): key for name, key in where.fields.items()},
        limits=watched_limits(settings.limits, filters, settings.region),
        thresholds=settings.thresholds,
        command_options=shlex.join(_asked_again(question)),
        runbooks=runbooks,
        action_policy=action_policy,
        lang=lang,
    )


def _asked_again(question: Question) -> list[str]:
    """Give the options by which a command in an annotation asks the same logstore for the same calls."""
    words = ["--profile", question.settings.profile] if question.settings.profile else []
    for name in (*DIMENSIONS, "error_code"):
        for value in getattr(question.filters, name):
            words += [f"--{name.replace('_', '-')}", value]
    return words


def _row(one: Firing, at: Any, again: str) -> AlertRow:
    from llmops_cli.knowledge.alert_rules import SEVERITIES  # noqa: PLC0415 - not for `--help`
    from llmops_cli.report import AlertRow  # noqa: PLC0415 - likewise

    end_ms = one.end_ms if one.end_ms is not None else one.start_ms + one.evaluations * 60_000
    return AlertRow(
        rule=one.rule.name,
        severity=SEVERITIES[one.severity],
        scope={name: value for name, value in one.group.items() if value or name != "workspace"},
        started_at=at(one.start_ms),
        ended_at=None if one.end_ms is None else at(one.end_ms),
        seconds=(end_ms - one.start_ms) // 1000,
        evaluations=one.evaluations,
        value=float(one.worst[one.rule.value]),
        unit=one.rule.unit,
        summary=Message(f"alert.{one.rule.name}.desc", {name: _said(value) for name, value in one.worst.items()}),
        runbook=one.rule.runbook,
        command=" ".join(word for word in ("llmops", one.rule.command.partition(" --since")[0], again) if word),
    )


def _said(value: Any) -> Any:
    """Give a column as a sentence shows it: whole numbers whole, shares with four digits."""
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else round(number, 4)
