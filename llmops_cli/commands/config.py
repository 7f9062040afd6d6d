"""`config init|show|path`: write, explain and find the configuration. Secrets never pass through here."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from llmops_cli.commands import options
from llmops_cli.commands.question import emit
from llmops_cli.errors import SourceError, UsageError
from llmops_cli.private import write_private

app = typer.Typer(no_args_is_help=True)

TEMPLATE = """\
# Configuration of llmops. Options win over this file: llmops config show names each value's origin.
# Credentials never stand here; they come from the standard Alibaba Cloud chain.

default_profile = "laptop"

[profiles.laptop]
log = ["logs/*.log"]                 # files, globs, directories; relative to this file
# pattern = "%d{yyyy-MM-dd HH:mm:ss.SSS} %-5p [traceId:%X{traceId}] [%c{3}#%method():%L] [%thread] - %m%n"
# timezone = "Asia/Shanghai"         # of log times without one; default: the system's
# encoding = "utf-8"                 # or gbk
# region = "cn-beijing"              # decides which shipped rate limits apply
# uid = "1234567890123456"           # the account, for an expansion request
# contact = "name and telephone"     # likewise

# [profiles.laptop.limits.qwen-plus] # when the account's limit differs from the shipped table
# rpm = 1200
# tpm = 1000000
# [profiles.laptop.limits."qwen-plus@llm-6qtsrlugmu6wanfs"] # of one workspace
# rpm = 600

# [profiles.laptop.thresholds]       # what is left out keeps its default
# failure_rate = { warning = 0.01, critical = 0.05 }
# p95_ms = { warning = 5000, critical = 15000 }
# water_level = { warning = 0.7, critical = 0.9 }
# negative_rate = { warning = 0.05, critical = 0.15 }
# min_calls = 20

# [profiles.prod]                    # an application whose log is in Log Service; chosen with --profile prod
# region = "cn-beijing"              # where the project is
# [profiles.prod.sls]                # llmops collect init creates what is missing of it
# project = "my-llm-app"
# logstore = "model-calls"
# endpoint = "cn-beijing.log.aliyuncs.com" # default: the public one of the region
# fields = { model = "modelName" }   # where keys are called otherwise; message = "message" for raw lines of Logtail
# [profiles.prod.credentials]        # default: the standard chain; llmops doctor shows which identity is used
# cli_profile = "prod"               # a profile of ~/.aliyun/config.json
"""


@app.callback()
def config() -> None:
    """Write, show and find the configuration.

    llmops config init
    llmops config show --profile prod
    """


@app.command()
def init(config_file: options.ConfigFile = None, force: options.Force = False, output: options.Output = "table") -> int:
    """Write a commented llmops.toml, readable by you alone.

    llmops config init
    llmops config init --config ~/.config/llmops/llmops.toml --force
    """
    from llmops_cli.config import files  # noqa: PLC0415 - completion and help read no configuration

    path = Path(config_file or files.FILE_NAME).expanduser()
    write_file(path, TEMPLATE, force=force)
    return _answer("config init", {"file": str(path.absolute()), "written": True}, output)


@app.command()
def show(
    *,
    config_file: options.ConfigFile = None,
    profile: options.Profile = None,
    log: options.Log = None,
    pattern: options.Pattern = None,
    timezone: options.Timezone = None,
    encoding: options.Encoding = None,
    output: options.Output = "table",
) -> int:
    """Show every value that applies, and where it comes from.

    llmops config show
    llmops config show --profile prod -o json
    """
    from llmops_cli import config as configuration  # noqa: PLC0415 - completion and help read no configuration

    settings = configuration.load(
        config_file=config_file, profile=profile, log=log or (), pattern=pattern, timezone=timezone, encoding=encoding
    )
    values = {
        key: {"value": value, "origin": settings.origin.get(key, "default")}
        for key, value in configuration.flat(settings).items()
    }
    file = None if settings.file is None else str(settings.file)
    return _answer("config show", {"file": file, "profile": settings.profile, "values": values}, output)


@app.command()
def path(config_file: options.ConfigFile = None, output: options.Output = "table") -> int:
    """Print which llmops.toml applies, and the places that were looked at.

    llmops config path
    llmops config path -o json
    """
    from llmops_cli.config import files  # noqa: PLC0415 - completion and help read no configuration

    found = files.find(config_file, os.environ, Path.cwd())
    data = {
        "file": None if found is None else str(found[0]),
        "chosen_by": None if found is None else found[1],
        "searched": [str(place) for place in files.places(Path.cwd())],
    }
    return _answer("config path", data, output)


def write_file(path: Path, text: str, *, force: bool) -> None:
    """Write a file for its owner alone. Raises UsageError when there is one and not `force`, SourceError else."""
    try:
        write_private(path, text, over=force)
    except FileExistsError:
        raise UsageError("config_exists", f"{path} exists", "look at it, then add --force to overwrite it") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SourceError("config_unwritable", f"cannot write {path}: {why}", "give another --config PATH") from None


def _answer(command: str, data: dict[str, Any], output: options.OutputName) -> int:
    from llmops_cli.report import Report  # noqa: PLC0415 - completion and help answer nothing
    from llmops_cli.views import put  # noqa: PLC0415 - as above
    from llmops_cli.views.clean import shown  # noqa: PLC0415 - as above

    if output == "table":
        put("".join(shown(line) + "\n" for line in _lines(data)), sys.stdout)
        return 0
    return emit(Report(command, datetime.now(UTC).astimezone(), data=data), output)


def _lines(data: dict[str, Any]) -> list[str]:
    """Return the answer as lines: what a person reads is a list of settings, not an envelope."""
    if "written" in data:
        return [f"written: {data['file']}", "next: set log in it (or sls, for Log Service), then llmops status"]
    if "searched" in data:
        return [data["file"] or "none found; looked for:", *(() if data["file"] else data["searched"])]
    pairs = [(f"{key} = {json.dumps(row['value'], ensure_ascii=False)}", row) for key, row in data["values"].items()]
    width = min(60, max(len(left) for left, _ in pairs))
    head = [f"# {data['file'] or 'no llmops.toml'}, profile {data['profile'] or '(none)'}"]
    return head + [f"{left:<{width}}  # {row['origin']}" for left, row in pairs]
