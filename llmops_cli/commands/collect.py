"""`llmops collect`: the way of the log into Log Service: logstore and index, Logtail, upload of a file."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from llmops_cli.commands import options
from llmops_cli.commands.changing import Consent, DryRun, Yes, changes_data, changing, emit_changes
from llmops_cli.commands.question import Question
from llmops_cli.errors import UsageError

if TYPE_CHECKING:
    from datetime import tzinfo

    from llmops_cli.calls.pattern import Pattern
    from llmops_cli.provision.account import Account
    from llmops_cli.provision.logtail import Machines

app = typer.Typer(no_args_is_help=True)

Ttl: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--ttl", metavar="DAYS", min=1, max=3650, show_default=False,
        help="Days that logs are kept; default: as it is, 30 for a new logstore.",
    ),
]  # fmt: skip
Shards: TypeAlias = Annotated[
    int | None,
    typer.Option("--shards", min=1, max=100, show_default=False, help="Shards of a new logstore, default 2."),
]
CreateProject: TypeAlias = Annotated[
    bool, typer.Option("--create-project", help="Create the project too where there is none.")
]
LogFolder: TypeAlias = Annotated[
    str, typer.Option("--path", metavar="FOLDER", help="Folder of the log on the machines.")
]
LogFile: TypeAlias = Annotated[
    str, typer.Option("--file", metavar="NAME", help="The log's name there; * and ? fit any.")
]
MachineGroup: TypeAlias = Annotated[
    str | None,
    typer.Option("--machine-group", metavar="NAME", help="The machines: a group by name.", show_default=False),
]
MachineIp: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--machine-ip", metavar="IP", help="A machine to add to the group; repeatable.", show_default=False),
]
UserDefined: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--user-defined", metavar="ID", help="What the machines call themselves; repeatable.", show_default=False
    ),
]
Print: TypeAlias = Annotated[bool, typer.Option("--print", help="Print the configuration; needs no account.")]
Files: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="FILE", help="File, glob, directory, .gz, .zst, or - for stdin.")
]
BatchLogs: TypeAlias = Annotated[
    int, typer.Option("--batch", metavar="LOGS", min=1, max=4096, help="Most logs of one request.")
]
Settle: TypeAlias = Annotated[
    float,
    typer.Option(
        "--settle", metavar="SECONDS", min=0.1, max=60, help="How long a batch without an answer is looked for."
    ),
]


@app.callback()
def collect() -> None:
    """Bring the log into Log Service. Nothing changes without --yes; the diff comes first.

    llmops collect init
    llmops collect logtail --path /var/log/app --machine-ip 10.0.0.7
    llmops collect upload app.log --yes
    """


@app.command()
def init(
    *,
    create_project: CreateProject = False,
    ttl: Ttl = None,
    shards: Shards = None,
    profile: options.Profile = None,
    config_file: options.ConfigFile = None,
    timeout: options.Timeout = 20.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: options.Output = "table",
    lang: options.Lang = "en",
) -> int:
    """Create the logstore and its index, or complete them; keys that others index stay.

    llmops collect init
    llmops collect init --create-project --ttl 90 --yes
    """
    from llmops_cli.commands.hints import hint  # noqa: PLC0415 - not for `--help`
    from llmops_cli.provision import logstore  # noqa: PLC0415 - an SDK, for those who use it

    question = _question(profile, config_file, timeout=timeout, output=output)
    account, fields = _account(question)
    plan = logstore.plan(account, logstore.Store(create_project, ttl, shards, fields, question.settings.region))
    for doubt in plan.doubts:
        hint(doubt)
    return changing(
        "collect init",
        question,
        plan.changes,
        lambda change: logstore.apply(account, change),
        Consent(dry_run, yes),
        notes=plan.notes,
        next_=_next(question) if yes and not dry_run else (),
        lang=lang,
    )


@app.command()
def logtail(
    *,
    path: LogFolder = "/var/log/app",
    file: LogFile = "*.log",
    machine_group: MachineGroup = None,
    machine_ip: MachineIp = None,
    user_defined: UserDefined = None,
    print_: Print = False,
    pattern: options.Pattern = None,
    encoding: options.Encoding = None,
    timezone: options.Timezone = None,
    profile: options.Profile = None,
    config_file: options.ConfigFile = None,
    timeout: options.Timeout = 20.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: options.Output = "table",
    lang: options.Lang = "en",
) -> int:
    """Let Logtail read the log on the machines, with the pattern that llmops reads it with.

    Machines are added to a group that is there: none is taken out of it, and its
    kind (IP or own id) stays.

    llmops collect logtail --path /var/log/app --machine-ip 10.0.0.7
    llmops collect logtail --print
    """
    from llmops_cli.commands.hints import hint  # noqa: PLC0415 - not for `--help`
    from llmops_cli.provision import logtail as room  # noqa: PLC0415 - an SDK, for those who use it

    _check_machines(machine_group, machine_ip or [], user_defined or [])
    _check_place(path, file)
    question = _question(
        profile, config_file, timeout=timeout, output=output, pattern=pattern, encoding=encoding, timezone=timezone
    )
    sls = question.settings.sls
    fields = {} if sls is None else {str(name): key for name, key in sls.fields.items()}
    compiled, zone = _pattern(question), _chosen_zone(question)
    wanted = room.configuration(
        "PROJECT" if sls is None else sls.project,
        "LOGSTORE" if sls is None else sls.logstore,
        compiled,
        path=path,
        file=file,
        fields=fields,
        encoding=question.encoding,
        zone=zone,
    )
    if print_:
        return _print(question, wanted, lang)
    account, _ = _account(question)
    machines = _machines(account, machine_group, machine_ip or [], user_defined or [])
    changes = room.plan(account, wanted, machines)
    for doubt in room.doubts(changes):
        hint(doubt)
    return changing(
        "collect logtail",
        question,
        changes,
        lambda change: room.apply(account, wanted, machines, change),
        Consent(dry_run, yes),
        notes=room.notes(compiled, fields, zone),
        lang=lang,
    )


@app.command()
def upload(
    files: Files,
    *,
    batch: BatchLogs = 4096,
    settle: Settle = 5.0,
    pattern: options.Pattern = None,
    encoding: options.Encoding = None,
    timezone: options.Timezone = None,
    profile: options.Profile = None,
    config_file: options.ConfigFile = None,
    timeout: options.Timeout = 20.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: options.Output = "table",
    lang: options.Lang = "en",
) -> int:
    """Send log files to the logstore, each event once: after Ctrl-C or a crash the same command goes on.

    A log that grew is sent from where it ended, rotated or packed meanwhile, too.
    The last event of a file may be written still. It is kept back until another
    follows, or the file ends with a line break and was quiet for 2 s; a whole
    call or rating behind another event needs no line break. What is added to an
    event that was sent goes as a line of its own.
    A file that begins anew is a new log: send the rotated one too. What comes
    through a pipe cannot be gone on with: windows that overlap are sent twice.
    A file that fails does not stop the others; the exit is 3 then.
    A batch whose answer timed out is looked for, three times --timeout, before
    the next run sends it again. What the network delivers later counts twice.

    llmops collect upload app.log --dry-run
    llmops collect upload logs/ --yes
    """
    from llmops_cli.commands.hints import hint  # noqa: PLC0415 - not for `--help`
    from llmops_cli.commands.outgoing import found_files, upload_all  # noqa: PLC0415 - likewise
    from llmops_cli.provision.upload import Uploader  # noqa: PLC0415 - an SDK, for those who use it

    question = _question(
        profile, config_file, timeout=timeout, output=output, pattern=pattern, encoding=encoding, timezone=timezone
    )
    account, fields = _account(question)
    uploader, consent = Uploader(account, fields, batch, settle, hint), Consent(dry_run, yes)
    compiled, found = _pattern(question), found_files(question, files)
    uploader.check()
    try:
        told, failed = upload_all(uploader, question, found, compiled, send=consent.given)
    except KeyboardInterrupt:
        hint("the same command goes on where this one stopped")
        raise
    if not told and len(failed) == 1:
        raise failed[0]
    data = changes_data(
        [change for change, _ in told], applied=consent.given, notes=tuple(note for _, notes in told for note in notes)
    )
    return emit_changes("collect upload", question, data, consent, failed=failed, lang=lang)


def _question(profile: str | None, config_file: str | None, **given: Any) -> Question:
    return Question.from_options(profile=profile, config_file=config_file, needs_source=False, **given)


def _next(question: Question) -> tuple[str, ...]:
    """Give the commands that come after `init`, for the same profile."""
    from llmops_cli.commands.gather import source_options  # noqa: PLC0415 - not for `--help`

    options = source_options(question)
    return tuple(
        f"{command} {options}".rstrip()
        for command in ("llmops collect upload FILE", "llmops collect logtail --machine-ip IP")
    )


def _account(question: Question) -> tuple[Account, dict[str, str]]:
    """Give the logstore of the profile, and what its keys are called."""
    from llmops_cli.commands.hints import hint  # noqa: PLC0415 - not for `--help`
    from llmops_cli.commands.service import log_service, required  # noqa: PLC0415 - an SDK, for those who use it
    from llmops_cli.provision.account import Account  # noqa: PLC0415 - likewise

    where = required(question.settings)
    if (doubt := _elsewhere(where.endpoint or "", question.settings.region)) is not None:
        hint(doubt)
    service = log_service(question.settings, question.timeout_s)
    fields = {str(name): key for name, key in where.fields.items()}
    return Account(service, where.project, where.logstore, question.timeout_s), fields


def _elsewhere(endpoint: str, region: str) -> str | None:
    """Say that an endpoint is of another region than the one that requests are signed for."""
    from llmops_cli.cloud.sls import region_of  # noqa: PLC0415 - an SDK, for those who use it

    found = region_of(endpoint)
    if found in (None, region):
        return None
    return f"sls.endpoint is in {found}, but region is {region}: mend the one that is wrong in llmops.toml"


def _pattern(question: Question) -> Pattern:
    from llmops_cli.calls.pattern import STANDARD_PATTERN, PatternError, compile_pattern  # noqa: PLC0415

    try:
        return compile_pattern(question.pattern or STANDARD_PATTERN)
    except PatternError as error:
        where = question.settings.where("pattern")
        raise UsageError("bad_pattern", f"{where}: {error}", "copy it from the appender in logback.xml") from error


def _chosen_zone(question: Question) -> tzinfo | None:
    """Give the zone that somebody chose; the system's own here says nothing of the machines that are collected."""
    return question.zone if "timezone" in question.settings.origin else None


def _machines(account: Account, group: str | None, addresses: list[str], ids: list[str]) -> Machines:
    from llmops_cli.provision.logtail import Machines  # noqa: PLC0415 - an SDK, for those who use it

    if addresses and ids:
        raise UsageError("machines", "--machine-ip and --user-defined exclude each other", "a group has one kind")
    if not (group or addresses or ids):
        raise UsageError(
            "machines",
            "which machines collect?",
            "give --machine-group NAME, --machine-ip IP or --user-defined ID; --print shows the configuration alone",
        )
    kind = "userdefined" if ids else "ip"
    return Machines(group or f"llmops-{account.logstore}", kind, tuple(dict.fromkeys(addresses or ids)))


def _check_machines(group: str | None, addresses: list[str], ids: list[str]) -> None:
    import ipaddress  # noqa: PLC0415 - not for `--help`

    if any(not one.strip() for one in (*ids, *([] if group is None else [group]))):
        raise UsageError("bad_value", "an option was given an empty value", "is a variable of the shell unset?")
    for one in addresses:
        try:
            ipaddress.ip_address(one)
        except ValueError:
            hint = "give the address that the machine has in its own network, as 10.0.0.7"
            raise UsageError("bad_value", f'--machine-ip: "{one[:60]}" is no IP address', hint) from None


def _check_place(folder: str, file: str) -> None:
    if not re.match(r"/|[A-Za-z]:[\\/]", folder):
        what = f'--path: "{folder[:60]}" is no full path'
        raise UsageError("bad_value", what, "Logtail knows no working directory: --path /var/log/app")
    if not file or "/" in file:
        what = f'--file: "{file[:60]}" is no name of a file'
        raise UsageError("bad_value", what, "give the folder with --path, and here its file: --file '*.log'")


def _print(question: Question, wanted: dict[str, Any], lang: str) -> int:
    """Print the configuration, whole: bare or in a fence, so that it can be pasted, or in the envelope of JSON."""
    from llmops_cli.report import Report  # noqa: PLC0415 - not for `--help`
    from llmops_cli.views import put  # noqa: PLC0415 - rich is for those who print

    if question.output == "json":
        report = Report("collect logtail", question.generated_at, data={"configuration": wanted}, notes=question.notes)
        return question.emit(report, lang=lang)
    text = json.dumps(wanted, indent=2, ensure_ascii=False)
    if question.output == "markdown":
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        text = f"{fence}json\n{text}\n{fence}"
    put(f"{text}\n", sys.stdout)
    return 0
