"""The command line: a table verb -> module, loaded when called; errors become one line and an exit code.

Nothing heavy is imported here: `llmops --help` and completion cost what Typer costs. A verb's module has an `app`, a
`typer.Typer`; its commands return their exit code. `--help` opens with the first paragraph of the docstring and the
examples below it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from llmops_cli.errors import INTERRUPTED, UNTRUSTED, USAGE, LlmopsError

# The base of all errors in a command line; Typer raises it and gives it no public name of its own.
_ClickError: Any = typer.BadParameter.__mro__[2]


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb lives, its line in the overview, and the names of its own verbs."""

    module: str
    help: str
    verbs: tuple[str, ...] = ()


VERBS = {
    "status": Verb("llmops_cli.commands.status", "What is the usage, and is something wrong?"),
    "drill": Verb("llmops_cli.commands.drill", "Where does it come from: model, workspace, app or module?"),
    "trace": Verb("llmops_cli.commands.trace", "What happened in one request, and why did it fail?"),
    "quota": Verb("llmops_cli.commands.quota", "How close is each model to its rate limits?"),
    "recover": Verb(
        "llmops_cli.commands.recover",
        "What to do about it, and is it over?",
        ("throttle", "expand", "ticket", "verify"),
    ),
    "dashboard": Verb(
        "llmops_cli.commands.dashboard", "The dashboard as code: Log Service, Grafana, BI tools.", ("export", "apply")
    ),
    "alerts": Verb(
        "llmops_cli.commands.alerts", "Alert rules as code: try on a log, export, apply.", ("test", "export", "apply")
    ),
    "collect": Verb(
        "llmops_cli.commands.collect", "Bring the log into Log Service, as code.", ("init", "logtail", "upload")
    ),
    "doctor": Verb("llmops_cli.commands.doctor", "Is everything there that the other verbs need?"),
    "demo": Verb("llmops_cli.commands.demo", "Write a reproducible incident log and walk it."),
    "config": Verb("llmops_cli.commands.config", "Write, show and find the configuration.", ("init", "show", "path")),
}

LATER = {
    "quota": "set workspace limits in the console; llmops quota shows the levels, recover expand writes the request",
}
"""Words a reader may try that this version does not have, and what answers the need meanwhile."""


class Verbs(TyperGroup):
    """The group of all verbs: lists them from the table, imports one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, verb in VERBS.items():
            self.add_command(TyperCommand(name, help=verb.help), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the named verb, loaded. Overview and completion of names take the table's line and load nothing."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, None if command is None else load(str(name)), rest


def load(name: str) -> Any:
    """Import a verb and return its command."""
    command = get_command(import_module(VERBS[name].module).app)
    command.name = name
    # Only the root installs completion.
    command.params = [option for option in command.params if not str(option.name).endswith("_completion")]
    return command


app = typer.Typer(cls=Verbs, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - 20 ms that no verb needs

        try:
            typer.echo(f"llmops {version('llmops')}")
        except PackageNotFoundError:
            typer.echo("llmops (not installed)")
        raise typer.Exit


@app.callback()
def llmops(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find out what is wrong with an LLM application on Alibaba Cloud, and what to do.

    llmops status --log app.log
    llmops drill --log app.log --since 1h
    llmops demo rate-limit
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code that the README lists."""
    try:
        code = run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # once more, while the first one was told
        code = INTERRUPTED
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End at once: the system takes back a thousand modules and a database faster than Python tidies them up."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full or not there: said already
            stream.flush()
    os._exit(code)


def run(args: list[str]) -> int:
    """Run one command line and return its exit code; every error has then been printed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
    gc.set_threshold(200_000)  # a command lives for seconds and makes few cycles: looking for them costs a tenth
    try:
        code = get_command(app).main(args=args, prog_name="llmops", standalone_mode=False)
    except LlmopsError as error:
        return _failed(error, args)
    except _ClickError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
            return USAGE
        return _failed(_from_click(error, args), args)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(args)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a reader in trouble gets no traceback
        # DuckDB reports Ctrl-C as an error of its own.
        interrupted = isinstance(error, RuntimeError) and "interrupted" in str(error).lower()
        return _interrupted(args) if interrupted else _failed(_unexpected(error), args)
    if code == INTERRUPTED:  # how Typer returns from Ctrl-C
        _interrupted(args)
    return code if isinstance(code, int) else 0


def _interrupted(args: list[str]) -> int:
    if not any(word.partition("=")[0] == "--watch" for word in args):  # that is how a watch ends
        _failed(LlmopsError("interrupted", "interrupted"), args)
    return INTERRUPTED


def _from_click(error: Any, args: list[str]) -> LlmopsError:
    """Return Click's own error as ours, with the suggestion where a script looks for it: in `hint`."""
    message = str(error.message)
    hint = " ".join(["llmops", _command(args), "--help"]).replace("  ", " ") + " lists what it takes"
    if close := getattr(error, "possibilities", None):
        hint = f"did you mean {close[0]}?"
    elif ". Did you mean " in message:
        message, _, close = message.partition(". Did you mean ")
        hint = "did you mean " + close.replace("'", "")
    elif later := next((LATER[word] for word in args[:2] if word in LATER and f"'{word}'" in message), ""):
        hint = f"not in this version: {later}"
    elif isinstance(error, typer.BadParameter):
        message = error.format_message().replace(": Value error, ", ": ")
    message = " ".join(message.split()).rstrip(".")
    return LlmopsError("usage", message[:1].lower() + message[1:], hint, exit_code=USAGE)


def _unexpected(error: Exception) -> LlmopsError:
    if os.environ.get("LLMOPS_DEBUG"):
        import traceback  # noqa: PLC0415 - only here

        from llmops_cli.redact import redact  # noqa: PLC0415 - only here

        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
        return LlmopsError("output", f"cannot write: {str(error.strerror).lower()}", "make room, or write elsewhere")
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":  # DuckDB's own
        return LlmopsError("no_memory", "too little memory for so many calls", "ask for a shorter window: --since 1h")
    what = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return LlmopsError("internal", f"internal error: {what} (set LLMOPS_DEBUG=1 for the traceback)")


def _failed(error: LlmopsError, args: list[str]) -> int:
    """Print one error, in the shape that was asked for, and return its exit code."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only when something failed

    from llmops_cli import views  # noqa: PLC0415 - only when something failed
    from llmops_cli.report import Report  # noqa: PLC0415 - only when something failed

    problem = error.problem()
    output = _output(args)
    if output in {"json", "nagios"}:
        report = Report(_command(args), datetime.now(UTC).astimezone(), errors=(problem,))
        try:
            views.write(report, output, sys.stdout)
        except OSError:  # a full disk: what is still buffered must not fail once more at the very end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    views.put(views.render_error(problem).rstrip("\n") + "\n", sys.stderr)
    return UNTRUSTED if _checks(args) else error.exit_code


def _output(args: list[str]) -> str:
    """Return the output asked for, read from the raw words: the command line itself may be what is wrong."""
    wanted, words, valued = "", iter(args), _valued(args)
    for word in words:
        if word == "--":
            break
        if word in {"-o", "--output"}:
            wanted = next(words, "")
        elif word in valued:
            next(words, None)  # whatever it looks like: `--since --`
        elif word.startswith("--output="):
            wanted = word.partition("=")[2]
        elif word.startswith("-o") and not word.startswith("--"):
            wanted = word[2:].removeprefix("=")
    return wanted


def _valued(args: list[str]) -> set[str]:
    """Return the options of the verb in `args` that take the next word as their value."""
    try:
        command = load(_command(args).partition(" ")[0])
    except Exception:  # noqa: BLE001 - no such verb, or it is the very thing that failed
        return set()
    commands = [command, *getattr(command, "commands", {}).values()]
    options = [param for each in commands for param in each.params if param.param_type_name == "option"]
    return {name for option in options if not option.is_flag for name in option.opts}


def _command(args: list[str]) -> str:
    verb = VERBS.get(args[0]) if args else None
    if verb is None:
        return ""
    return " ".join([args[0], *[word for word in args[1:] if word in verb.verbs][:1]])


def _checks(args: list[str]) -> bool:
    """Whether this run speaks to a monitoring system, for which every error is UNKNOWN."""
    return "--check" in args or _command(args) == "recover verify"
