"""`llmops alerts test|export|apply`: the alert rules, tried on a log, as a file, and on Log Service."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from llmops_cli.commands import options
from llmops_cli.commands.changing import Consent, DryRun, Yes, changing
from llmops_cli.commands.gather import next_options, open_source, report, source_options
from llmops_cli.commands.hints import hint_when_headless, hint_when_nothing_matches
from llmops_cli.commands.question import Question, asks
from llmops_cli.errors import UsageError
from llmops_cli.evidence import Filters, Message, Span, Window

if TYPE_CHECKING:
    from llmops_cli.provision.account import Account
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


def _policy(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[\w.:/@-]+", value):
        raise UsageError(
            "bad_policy",
            f"{value[:60]!r} is not the id of an action policy",
            "give its id, not its name: Log Service's console shows both under Alerts, Action Policy",
        )
    return value


Policy = Annotated[
    str | None,
    typer.Option(
        "--action-policy", metavar="ID", callback=_policy, show_default=False,
        help="Action policy: who is told, and how. Default: as it is, sls.builtin for a new alert.",
    ),
]  # fmt: skip


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
        names, kept = {one.rule.name for one in fired}, {one.rule.name: one.filters for one in judged}
        data = AlertsTestData(
            firings=tuple(_row(one, window.at, _again(question, window, one, kept[one.rule.name])) for one in fired),
            quiet=tuple(one.rule.name for one in judged if one.rule.name not in names),
            unjudged=unjudged,
            evaluations=(minutes.end_ms - minutes.start_ms) // 60_000 + 1 if any_ else 0,
            first_at=window.at(minutes.start_ms) if any_ else None,
            last_at=window.at(minutes.end_ms) if any_ else None,
        )
        hint_when_headless(question, source)
        if filters:
            calls = sum(one.calls for one in source.slices(window, filters, ("app",)))
            hint_when_nothing_matches(question, source, window, calls)
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
    action_policy: Policy = None,
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
    to: Annotated[Literal["sls"], typer.Option("--to", hidden=True, metavar="NAME")] = "sls",  # noqa: ARG001 - no time
    dry_run: DryRun = False,
    yes: Yes = False,
    runbooks: Runbooks = "",
    action_policy: Policy = None,
    lang: options.Lang = "en",
) -> int:
    """Create or update the alerts of the profile's logstore; the diff is shown first, and no other alert is touched.

    llmops alerts apply --dry-run
    llmops alerts apply --app shop --yes
    """
    from llmops_cli.provision import alerts as provision  # noqa: PLC0415 - not for `--help`

    watched, account = watched_of(question, lang, runbooks=runbooks, action_policy=action_policy), account_of(question)
    provision.check_region(account, watched)
    watched = replace(watched, lacking=provision.lacking_fields(account, watched.keys))
    notes = []
    changes, send = provision.plan(account, watched)
    if action_policy is None and (policies := provision.kept_policies(changes)):
        notes.append(Message("alert_test.policy_kept", {"policies": ", ".join(policies)}))
    rest, gone = provision.left_out(watched), provision.left_over(account, watched)
    notes += [Message("alert_test.left_out", {"rules": ", ".join(rest)})] if rest else []
    notes += [Message("alert_test.left_over")] if gone else []
    consent = Consent(dry_run, yes)
    return changing("alerts apply", question, changes, send, consent, notes=tuple(notes), next_=gone, lang=lang)


def account_of(question: Question) -> Account:
    """Open the account of the profile's logstore; nothing is sent yet. Raises `UsageError` when there is none."""
    from llmops_cli.commands.service import log_service, required  # noqa: PLC0415 - not for `--help`
    from llmops_cli.provision.account import Account  # noqa: PLC0415 - likewise

    where, service = required(question.settings), log_service(question.settings, question.timeout_s)
    return Account(service, where.project, where.logstore, question.timeout_s)


def exported(
    command: str, question: Question, to: str, content: Any, out: Path | None, *, force: bool, lang: str
) -> int:
    """Print an export as it is, for another program, or write it to a file; `-o json` puts it into the envelope."""
    from llmops_cli.commands.config import write_file  # noqa: PLC0415 - only for a file
    from llmops_cli.report import ExportData, Report  # noqa: PLC0415 - not for `--help`
    from llmops_cli.views import put  # noqa: PLC0415 - likewise
    from llmops_cli.views.markdown.markup import Draft  # noqa: PLC0415 - likewise
    from llmops_cli.views.words import word  # noqa: PLC0415 - likewise

    text = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if out is not None:
        write_file(out, text, force=force)
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


def watched_of(question: Question, lang: str, *, runbooks: str = "", action_policy: str | None = None) -> Watched:
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
        command_options=partial(_asked_again, question.settings.profile),
        runbooks=runbooks,
        action_policy=action_policy,
        lang=lang,
    )


def _asked_again(profile: str | None, filters: Filters) -> str:
    """Give the options by which a command in an annotation asks the same logstore for the same calls."""
    from llmops_cli.sop.commandline import filter_options, option  # noqa: PLC0415 - not for `--help`

    return shlex.join((*(option("profile", profile) if profile else ()), *filter_options(filters)))


def _again(question: Question, window: Window, one: Firing, filters: Filters) -> str:
    """Give the command that shows what an alert was about: the same calls, at the same time."""
    from llmops_cli.sop.commandline import command, filter_options  # noqa: PLC0415 - not for `--help`

    again, words = next_options(question), list(filter_options(filters))
    if one.end_ms is not None and not question.windowed:
        # by itself a command looks at the end of the log, where this is over
        span = Span(one.start_ms - one.rule.minutes * 60_000, one.end_ms)
        again = source_options(question)
        words += ["--from", window.at(span.start_ms).isoformat(timespec="minutes")]
        words += ["--to", window.at(span.end_ms).isoformat(timespec="minutes")]
    return command(*one.rule.command.partition(" --since")[0].split(), *words, options=again)


def _row(one: Firing, at: Any, command: str) -> AlertRow:
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
        command=command,
    )


def _said(value: Any) -> Any:
    """Give a column as a sentence shows it: whole numbers whole, shares with four digits."""
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else round(number, 4)
