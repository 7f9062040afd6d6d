"""`llmops doctor`: is everything there that the other verbs need?"""

from __future__ import annotations

from datetime import datetime

import typer

from llmops_cli.commands import options
from llmops_cli.commands.gather import open_source
from llmops_cli.commands.question import Question, asks
from llmops_cli.commands.service import log_service
from llmops_cli.errors import LlmopsError, SourceError
from llmops_cli.evidence import Diagnosis
from llmops_cli.report import DoctorData, IdentityRow, Report

app = typer.Typer()

_OTHERS = ("prometheus", "cloudmonitor", "modelstudio", "arms", "traces")


@app.command()
@asks(check=True)
def doctor(question: Question, lang: options.Lang = "en") -> int:
    """Check every configured source, one line each, and say how to mend what is missing. Changes nothing.

    llmops doctor --profile prod
    llmops doctor --log app.log --check
    """
    identity, checks = _cloud(question)
    if question.logs:
        checks = [*_local(question), *checks]
    if not any(check.name == "region" for check in checks):  # which is wrong then, and said to be
        checks += _limits(question)
    for name in _OTHERS:
        if getattr(question.settings, name) is not None:
            detail = f"configured under {question.settings.origin.get('profile', 'the profile')}, and not read yet"
            checks.append(Diagnosis(name, "unknown", detail, "this version reads log files and Log Service"))
    data = DoctorData(identity, tuple(checks))
    return question.emit(Report("doctor", question.generated_at, data=data), lang=lang)


def _cloud(question: Question) -> tuple[IdentityRow | None, list[Diagnosis]]:
    """Look at Log Service with the identity in use."""
    settings = question.settings
    if settings.sls is None:
        return None, []
    from llmops_cli.provision.index import BATCH_KEY  # noqa: PLC0415 - an SDK, for those who use it
    from llmops_cli.sources.sls.checkup import examined  # noqa: PLC0415 - likewise

    service = log_service(settings, question.timeout_s)
    try:
        found = service.identity()
    except SourceError as error:
        return None, [Diagnosis("identity", "failed", error.message, error.hint)]
    kind = "STS token" if found.temporary else "AccessKey"
    identity = IdentityRow(kind, found.source, settings.uid, found.shown)
    checks = [Diagnosis("identity", "ok", f"{kind} {found.shown} from {found.source}")]
    where = settings.sls
    fields = {str(name): key for name, key in where.fields.items()}
    now = datetime.fromtimestamp(question.now_ms / 1000, question.zone)
    checks += examined(
        service,
        where.project,
        where.logstore,
        fields,
        upload_key=BATCH_KEY,
        timeout_s=question.timeout_s,
        now=now,
    )
    return identity, checks


def _limits(question: Question) -> list[Diagnosis]:
    """Say of a region without a table of limits that it has none, and which one was meant where it looks mistyped."""
    from difflib import get_close_matches  # noqa: PLC0415 - not for `--help`

    from llmops_cli.knowledge.limits import REGIONS  # noqa: PLC0415 - likewise

    settings = question.settings
    region = settings.region
    if region in REGIONS:
        return []
    detail = f"the table of limits has {', '.join(REGIONS[:-1])} and {REGIONS[-1]}, none for region {region}"
    where = settings.where("region")
    # Two regions whose letters are the same differ in their number: each is one of its own.
    close = [one for one in get_close_matches(region, REGIONS, cutoff=_ALIKE) if _letters(one) != _letters(region)]
    if close:
        return [Diagnosis("limits", "warning", detail, f'did you mean "{close[0]}"? It stands at {where}')]
    fix = f"rpm and tpm under [profiles.{settings.profile}.limits.MODEL] say what a model may"
    return [Diagnosis("limits", "ok", detail, "" if settings.limits else fix)]


_ALIKE = 0.9
"""From here on a region is a mistyped one: us-west-1 and us-east-1 are less alike (0.89)."""


def _letters(region: str) -> str:
    return region.rstrip("0123456789")


def _local(question: Question) -> list[Diagnosis]:
    """Look at the log files: can they be read, do their lines begin with the header, how old is the newest?"""
    name = "local"
    try:
        with open_source(question) as source:
            newest = source.newest_ms()
            [state] = source.states()
    except LlmopsError as error:
        return [Diagnosis(name, "failed", error.message, error.hint)]
    if newest is None:
        fix = "give --pattern as it stands in the appender of logback.xml"
        return [Diagnosis(name, "failed", f"no line begins with the pattern's header: {state.detail}", fix)]
    age_s = question.now_ms / 1000 - newest / 1000
    detail = f"{state.detail}; newest line {age_s / 60:,.0f} min old"
    if state.state != "ok":
        return [Diagnosis(name, "warning", detail, "llmops status shows what of it could be read")]
    return [Diagnosis(name, "ok", detail)]
