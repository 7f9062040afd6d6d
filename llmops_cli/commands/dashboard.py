"""`llmops dashboard export|apply`: the dashboard as a file for several tools, and on Log Service."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import typer

from llmops_cli.commands import options
from llmops_cli.commands.alerts import account_of, exported, watched_of
from llmops_cli.commands.changing import Consent, DryRun, Yes, changing
from llmops_cli.commands.question import Question, asks
from llmops_cli.errors import UsageError
from llmops_cli.evidence import Span

app = typer.Typer(no_args_is_help=True)

_DAY_MS = 86_400_000
To = Annotated[
    Literal["sls", "grafana", "sql"], typer.Option("--to", help="For whom: sls, grafana or sql.", metavar="NAME")
]


@app.callback()
def dashboard() -> None:
    """Keep the dashboard as code: business calls, water level, feedback, and drill-downs.

    llmops dashboard export --to grafana --out dashboard.json
    llmops dashboard apply --dry-run
    """


@app.command()
@asks
def export(
    question: Question,
    *,
    to: To = "sls",
    out: options.Out = None,
    force: options.Force = False,
    lang: options.Lang = "en",
) -> int:
    """Print the dashboard for Log Service or Grafana as JSON, or its statements as SQL for Quick BI and DataV.

    llmops dashboard export --to grafana --out dashboard.json
    llmops dashboard export --to sql --since 1d --app shop
    """
    from llmops_cli.provision import bi  # noqa: PLC0415 - not for `--help`
    from llmops_cli.provision.dashboard import dashboard as wanted  # noqa: PLC0415 - likewise
    from llmops_cli.provision.grafana import grafana  # noqa: PLC0415 - likewise

    watched = watched_of(question, lang)
    content: Any
    if to == "sql":
        window = question.window()
        span = window.span if question.windowed else Span(question.now_ms - _DAY_MS, question.now_ms)
        sls = question.settings.sls
        host = bi.host(sls.endpoint if sls else None, watched.region)
        content = bi.sql(watched, span, window.at(span.start_ms), host)
    else:
        content = grafana(watched) if to == "grafana" else wanted(watched)
    return exported("dashboard export", question, to, content, out, force=force, lang=lang)


@app.command()
@asks
def apply(
    question: Question,
    *,
    to: Annotated[Literal["sls", "grafana", "sql"], typer.Option("--to", hidden=True, metavar="NAME")] = "sls",
    dry_run: DryRun = False,
    yes: Yes = False,
    lang: options.Lang = "en",
) -> int:
    """Create or update the dashboard of the profile's logstore; the diff is shown first.

    llmops dashboard apply --dry-run
    llmops dashboard apply --app shop --yes
    """
    from llmops_cli.provision import dashboard as provision  # noqa: PLC0415 - not for `--help`
    from llmops_cli.provision.alerts import lacking_fields  # noqa: PLC0415 - likewise

    if to != "sls":
        name, file = ("Grafana", "dashboard.json") if to == "grafana" else ("SQL", "charts.sql")
        raise UsageError(
            "not_applied",
            f"apply is for Log Service; {name} takes a file",
            f"llmops dashboard export --to {to} --out {file}",
        )
    watched, account = watched_of(question, lang), account_of(question)
    watched = replace(watched, lacking=lacking_fields(account, watched.keys))
    changes, send = provision.plan(account, watched)
    return changing("dashboard apply", question, changes, send, Consent(dry_run, yes), lang=lang)
