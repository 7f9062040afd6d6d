"""`llmops collect`: the way of the log into Log Service: logstore and index, Logtail, upload of a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from llmops_cli.commands import options
from llmops_cli.commands.changing import Consent, DryRun, Yes, changes_data, changing, emit_changes
from llmops_cli.commands.question import Question
from llmops_cli.errors import UsageError
from llmops_cli.evidence import LogLine, Message

if TYPE_CHECKING:
    from datetime import tzinfo

    from llmops_cli.calls.pattern import Pattern
    from llmops_cli.provision.account import Account
    from llmops_cli.provision.logtail import Machines
    from llmops_cli.provision.plan import Change
    from llmops_cli.provision.upload import Tally, Uploader

app = typer.Typer(no_args_is_help=True)

Ttl: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--ttl", metavar="DAYS", min=1, max=3650, show_default=False,
        help="Days that logs are kept; default: as it is, 30 for a new logstore.",
    ),
]  # fmt: skip
Shards: TypeAlias = Annotated[int, typer.Option("--shards", min=1, max=100, help="Shards of a new logstore.")]
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
    typer.Option("--machine-ip", metavar="IP", help="A machine of the group; repeatable.", show_default=False),
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
    shards: Shards = 2,
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
    from llmops_cli.provision import logstore  # noqa: PLC0415 - an SDK, for those who use it

    question = _question(profile, config_file, timeout=timeout, output=output)
    account, fields = _account(question)
    changes, notes = logstore.plan(account, logstore.Store(create_project, ttl, shards, fields))
    return changing(
        "collect init",
        question,
        changes,
        lambda change: logstore.apply(account, change),
        Consent(dry_run, yes),
        notes=notes,
        next_=("llmops collect upload FILE", "llmops collect logtail") if yes and not dry_run else (),
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

    llmops collect logtail --path /var/log/app --machine-ip 10.0.0.7
    llmops collect logtail --print
    """
    from llmops_cli.provision import logtail as room  # noqa: PLC0415 - an SDK, for those who use it

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
        return _print(wanted)
    account, _ = _account(question)
    machines = _machines(account, machine_group, machine_ip or [], user_defined or [])
    return changing(
        "collect logtail",
        question,
        room.plan(account, wanted, machines),
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

    llmops collect upload app.log --dry-run
    llmops collect upload logs/ --yes
    """
    from llmops_cli.provision.upload import Uploader  # noqa: PLC0415 - an SDK, for those who use it

    question = _question(
        profile, config_file, timeout=timeout, output=output, pattern=pattern, encoding=encoding, timezone=timezone
    )
    account, fields = _account(question)
    uploader, consent = Uploader(account, fields, batch, settle), Consent(dry_run, yes)
    read = _events(question, files)
    uploader.check()
    try:
        told = [_sent(uploader, name, events, dropped, consent) for name, events, dropped in read]
    except KeyboardInterrupt:
        _say_how_to_go_on()
        raise
    data = changes_data(
        [change for change, _ in told], applied=consent.given, notes=tuple(note for _, notes in told for note in notes)
    )
    return emit_changes("collect upload", question, data, consent, lang=lang)


def _question(profile: str | None, config_file: str | None, **given: Any) -> Question:
    return Question.from_options(profile=profile, config_file=config_file, needs_source=False, **given)


def _account(question: Question) -> tuple[Account, dict[str, str]]:
    """Give the logstore of the profile, and what its keys are called."""
    from llmops_cli.commands.service import log_service, required  # noqa: PLC0415 - an SDK, for those who use it
    from llmops_cli.provision.account import Account  # noqa: PLC0415 - likewise

    where = required(question.settings)
    service = log_service(question.settings, question.timeout_s)
    fields = {str(name): key for name, key in where.fields.items()}
    return Account(service, where.project, where.logstore, question.timeout_s), fields


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
    return Machines(group or f"llmops-{account.logstore}", kind, tuple(addresses or ids))


def _print(wanted: dict[str, Any]) -> int:
    from llmops_cli.views import put  # noqa: PLC0415 - rich is for those who print

    put(json.dumps(wanted, indent=2, ensure_ascii=False) + "\n", sys.stdout)
    return 0


Read = tuple[str, Iterator[LogLine], list[str]]
"""A log's name, its events, and the lines before its first header as far as it was read."""


def _events(question: Question, named: list[str]) -> Iterator[Read]:
    """Open the files now, and give the events of each as they are asked for."""
    from llmops_cli.calls.events import read_events  # noqa: PLC0415
    from llmops_cli.sources.local.files import find  # noqa: PLC0415
    from llmops_cli.sources.local.plain import open_plain  # noqa: PLC0415
    from llmops_cli.sources.local.shelf import Shelf  # noqa: PLC0415
    from llmops_cli.views.progress import progress  # noqa: PLC0415

    pattern, shelf = _pattern(question), Shelf()
    found, passed_over = find(named, question.encoding)
    for one in passed_over:
        _note(one)

    def each() -> Iterator[Read]:
        for file in found:
            plain = open_plain(file, question.encoding, shelf)
            dropped: list[str] = []
            with progress(plain.name, plain.size - plain.start) as advance:
                lines = _advancing(plain.lines(plain.start, plain.size), advance)
                yield (
                    plain.name,
                    read_events(
                        lines, pattern, pattern.time.zone_or(question.zone), file=plain.name, on_dropped=dropped.append
                    ),
                    dropped,
                )

    return each()


_STEP_BYTES = 1 << 18


def _advancing(lines: Iterator[str], advance: Callable[[int], None]) -> Iterator[str]:
    """Give lines, and tell now and then how many bytes they were, roughly."""
    size = 0
    for line in lines:
        yield line
        size += len(line) + 1
        if size >= _STEP_BYTES:
            advance(size)
            size = 0
    advance(size)


def _sent(
    uploader: Uploader, name: str, events: Iterator[LogLine], dropped: list[str], consent: Consent
) -> tuple[Change, tuple[Message, ...]]:
    """Send a log, or count what would be sent, and tell it as a change."""
    from llmops_cli.provision.plan import Change  # noqa: PLC0415

    tally = uploader.send(events, name) if consent.given else uploader.count(events, name)
    notes = [_summary(name, tally)]
    if lost := sum(1 for line in dropped if line.strip()):
        notes.append(Message("provision.upload_dropped", {"file": name, "count": lost}))
    rollback = "there is none: logs go with the logstore's TTL; every batch can be found by __tag__:llmops_batch"
    before = {"logs": tally.known} if tally.known or not tally.logs else None
    change = Change.towards("upload", name, before, {"logs": tally.logs}, rollback)
    return change, tuple(notes)


def _summary(name: str, tally: Tally) -> Message:
    if not tally.logs:
        return Message("provision.upload_nothing", {"file": name})
    return Message(
        "provision.upload_sent",
        {
            "file": name,
            "calls": tally.calls,
            "feedback": tally.feedback,
            "others": tally.logs - tally.calls - tally.feedback,
            "known": tally.known or None,
        },
    )


def _say_how_to_go_on() -> None:
    from llmops_cli.views import put  # noqa: PLC0415
    from llmops_cli.views.words import shown_hint  # noqa: PLC0415

    put(shown_hint("the same command goes on where this one stopped"), sys.stderr)


def _note(text: str) -> None:
    from llmops_cli.views import put  # noqa: PLC0415
    from llmops_cli.views.words import shown_hint  # noqa: PLC0415

    put(shown_hint(text), sys.stderr)
