"""Every option that verbs share, declared once: same name, same meaning, same check everywhere.

A verb takes the common ones with `@asks` (`commands/question.py`) and adds its own from here. Callbacks check what can
be checked without reading anything, and raise the project's own UsageError, so that the error is the same everywhere.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

import typer

from llmops_cli.config.encoding import check_encoding
from llmops_cli.errors import UsageError
from llmops_cli.window import find_zone, parse_duration

WINDOW = "Window"
FILTERS = "Filters"
SOURCE = "Source"
OUTPUT = "Output"

BY = ("app", "module", "model", "workspace", "error_code")
"""What `drill --by` takes."""

OutputName = Literal["table", "json", "markdown", "nagios"]


def _duration(value: str | None) -> str | None:
    if value is not None:
        parse_duration(value)
    return value


def _zone(value: str | None) -> str | None:
    if value is not None:
        find_zone(value)
    return value


def _encoding(value: str | None) -> str | None:
    return None if value is None else check_encoding(value)


def _timeout(value: float) -> float:
    if not 1 <= value <= 600:
        raise UsageError("bad_timeout", "--timeout takes 1 to 600 seconds", "wait half a minute: --timeout 30")
    return value


def _watch(value: float | None) -> float | None:
    if value is not None and not 1 <= value <= 86_400:
        raise UsageError("bad_watch", "--watch takes 1 to 86400 seconds", "repaint every ten seconds: --watch 10")
    return value


Given = TypeVar("Given", str | None, list[str] | None)


def _no_empty(value: Given) -> Given:
    if value == "" or (isinstance(value, list) and "" in value):
        raise UsageError("bad_value", "an option was given an empty value", "is a variable of the shell unset?")
    return value


def _filters(value: list[str] | None) -> list[str] | None:
    for one in value or ():
        if not one.isprintable() and any("\udc80" <= char <= "\udcff" for char in one):
            raise UsageError("bad_value", f'"{one[:60]}" is not UTF-8', "logs are compared as text: give it in UTF-8")
    return _no_empty(value)


def _dimensions(value: list[str] | None) -> list[str] | None:
    for name in value or ():
        if name not in BY:
            close = get_close_matches(name, BY, n=1)
            hint = f"did you mean {close[0]}?" if close else "give " + ", ".join(BY)
            raise UsageError("bad_dimension", f'"{name[:60]}" is not a dimension', hint)
    return value


def _lang(value: str) -> str:
    if value not in _languages():
        hint = f"give {' or '.join(_languages())}"
        raise UsageError("bad_language", f'"{value[:60]}" is not a language of the answers', hint)
    return value


def _languages() -> list[str]:
    from llmops_cli.knowledge.sentences import LANGUAGES  # noqa: PLC0415 - help needs no sentences

    return list(LANGUAGES)


def _incident_type(value: str | None) -> str | None:
    if value is not None and value not in _incident_types():
        close = get_close_matches(value, _incident_types(), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"give {', '.join(_incident_types())}"
        raise UsageError("bad_incident", f'"{value[:60]}" is not a type of incident', hint)
    return value


def _incident_types() -> list[str]:
    from llmops_cli.knowledge.sentences import INCIDENT_TYPES  # noqa: PLC0415 - as above

    return list(INCIDENT_TYPES)


def _profiles(ctx: typer.Context) -> list[str]:
    """Name the profiles of the configuration that applies, for completion: without checking it, and never failing."""
    import os  # noqa: PLC0415 - only when somebody presses Tab
    import tomllib  # noqa: PLC0415 - as above

    from llmops_cli.config import files  # noqa: PLC0415 - as above

    try:
        found = files.find(ctx.params.get("config_file"), os.environ, Path.cwd())
        profiles = tomllib.loads(files.read(found[0])).get("profiles", {}) if found else {}
    except (UsageError, ValueError):
        return []
    return [str(name) for name in profiles] if isinstance(profiles, dict) else []


Since: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Length of the window, default 15m: 90s, 1h30m, 2d.", show_default=False,
        callback=_duration, rich_help_panel=WINDOW,
    ),
]  # fmt: skip
From: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="Its start: ISO 8601, epoch s or ms, now-2h.", show_default=False,
        rich_help_panel=WINDOW,
    ),
]  # fmt: skip
To: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="TIME", help="Its end, not included; default now.", show_default=False, rich_help_panel=WINDOW
    ),
]
Baseline: TypeAlias = Annotated[
    Literal["previous", "1d", "7d", "none"],
    typer.Option("--baseline", help="Compare with previous, 1d, 7d or none.", metavar="NAME", rich_help_panel=WINDOW),
]
Timezone: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timezone", metavar="ZONE", help="For times without one: Asia/Shanghai, +08:00.", show_default=False,
        callback=_zone, rich_help_panel=WINDOW,
    ),
]  # fmt: skip

App: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--app", metavar="NAME", help="Only this application; repeat for OR.", show_default=False, callback=_filters,
        rich_help_panel=FILTERS,
    ),
]  # fmt: skip
Module: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--module", metavar="NAME", help="Only this module.", show_default=False, callback=_filters,
        rich_help_panel=FILTERS,
    ),
]  # fmt: skip
Model: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME", help="Only this model.", show_default=False, callback=_filters,
        rich_help_panel=FILTERS,
    ),
]  # fmt: skip
Workspace: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--workspace", metavar="ID", help="Only this workspace.", show_default=False, callback=_filters,
        rich_help_panel=FILTERS,
    ),
]  # fmt: skip
ErrorCode: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--error-code", metavar="CODE", help="Only calls that failed with it.", show_default=False, callback=_filters,
        rich_help_panel=FILTERS,
    ),
]  # fmt: skip

Log: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--log", metavar="PATH", help="File, glob, directory, .gz, .zst, or - for stdin; repeatable.",
        show_default=False, callback=_no_empty, rich_help_panel=SOURCE,
    ),
]  # fmt: skip
Profile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="Profile of llmops.toml.", show_default=False, autocompletion=_profiles,
        callback=_no_empty, rich_help_panel=SOURCE,
    ),
]  # fmt: skip
ConfigFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="FILE", help="Use this llmops.toml.", show_default=False, callback=_no_empty,
        rich_help_panel=SOURCE,
    ),
]  # fmt: skip
Pattern: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pattern", metavar="LOGBACK", help="The log's Logback pattern, if not the standard.", show_default=False,
        callback=_no_empty, rich_help_panel=SOURCE,
    ),
]  # fmt: skip
Encoding: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="NAME", help="The log's encoding, if not UTF-8: gbk.", show_default=False,
        callback=_encoding, rich_help_panel=SOURCE,
    ),
]  # fmt: skip
Timeout: TypeAlias = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", help="Patience with the cloud, for each question.", callback=_timeout,
        rich_help_panel=SOURCE,
    ),
]  # fmt: skip

Output: TypeAlias = Annotated[
    Literal["table", "json", "markdown"],
    typer.Option("--output", "-o", metavar="FORMAT", help="table, json or markdown.", rich_help_panel=OUTPUT),
]
CheckedOutput: TypeAlias = Annotated[
    OutputName,
    typer.Option(
        "--output", "-o", metavar="FORMAT", help="table, json or markdown; nagios with --check.", rich_help_panel=OUTPUT
    ),
]
Check: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--check", help="Exit like a Nagios plugin: 0 ok, 1 warning, 2 critical, 3 unknown.", rich_help_panel=OUTPUT
    ),
]
AllowStale: TypeAlias = Annotated[
    bool,
    typer.Option("--allow-stale", help="With --check: judge a log that ended long ago.", rich_help_panel=OUTPUT),
]
Watch: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--watch", metavar="SECONDS", help="Repaint every so many seconds.", show_default=False, callback=_watch,
        rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
ShowContent: TypeAlias = Annotated[
    bool,
    typer.Option("--show-content", help="Show prompts and results, which are hidden.", rich_help_panel=OUTPUT),
]
Lang: TypeAlias = Annotated[
    str,
    typer.Option(
        "--lang", metavar="LANG", help="Language of the answer: en or zh.", callback=_lang, autocompletion=_languages,
        rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
By: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--by", metavar="DIMENSION", help="app, module, model, workspace, error_code; repeat to combine.",
        show_default=False, callback=_dimensions, autocompletion=lambda: list(BY),
    ),
]  # fmt: skip
Runbook: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--runbook", metavar="TYPE", help="Print the runbook of an incident type.", show_default=False,
        autocompletion=_incident_types,
    ),
]  # fmt: skip
IncidentType: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--incident", metavar="TYPE", help="The incident it is about; default: the gravest.", show_default=False,
        callback=_incident_type, autocompletion=_incident_types,
    ),
]  # fmt: skip
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]
Out: TypeAlias = Annotated[
    Path | None, typer.Option("--out", metavar="PATH", help="Where to write.", show_default=False)
]
