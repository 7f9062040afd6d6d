"""The proposed client limits in three notations, ready to paste: TOML, environment variables, JSON.

Names of models and workspaces come from the log and are hostile text: each notation quotes them so that they read back
as they were. What no notation can carry on one line (line breaks in an environment file, lone surrogates) becomes �.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from llmops_cli.report import Backoff, Settings
from llmops_cli.throttle import RateLimits

PREFIX = "LLMOPS_THROTTLE_"
"""What the names of the environment variables begin with."""

_SHORT = {"\\": "\\\\", '"': '\\"', "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def settings(model: str, workspace: str | None, limits: RateLimits, backoff: Backoff) -> Settings:
    """Write the limits that are set (None is left out) and the backoff; rates per minute and second, times in s."""
    numbers = {
        name: _number(value)
        for name in ("rpm", "tpm", "rps", "tps", "concurrency")
        if (value := getattr(limits, name)) is not None
    }
    retry: dict[str, float | str] = {
        "base_s": _number(backoff.base_s),
        "max_s": _number(backoff.max_s),
        "attempts": backoff.attempts,
        "jitter": backoff.jitter,
    }
    model, workspace = _encodable(model), None if workspace is None else _encodable(workspace)
    return Settings(
        toml=_toml(model if workspace is None else f"{model}@{workspace}", numbers, retry),
        env=_env(model, workspace, numbers, retry),
        json=json.dumps({"model": model, "workspace": workspace, **numbers, "backoff": retry}, indent=2),
    )


def _toml(name: str, numbers: Mapping[str, float], retry: Mapping[str, float | str]) -> str:
    table = f"throttle.{_quoted(name)}"
    lines = [f"[{table}]", *(f"{key} = {value}" for key, value in numbers.items()), "", f"[{table}.backoff]"]
    lines += [f"{key} = {_quoted(value) if isinstance(value, str) else value}" for key, value in retry.items()]
    return "\n".join(lines) + "\n"


def _env(model: str, workspace: str | None, numbers: Mapping[str, float], retry: Mapping[str, float | str]) -> str:
    values: dict[str, float | str] = {"model": model}
    if workspace is not None:
        values["workspace"] = workspace
    values |= numbers
    values |= {f"backoff_{key}": value for key, value in retry.items()}
    return "".join(f"{PREFIX}{key.upper()}={shlex.quote(_one_line(str(value)))}\n" for key, value in values.items())


def _number(value: float) -> float:
    """Write 205 rather than 205.0."""
    return int(value) if float(value).is_integer() else value


def _quoted(text: str) -> str:
    """Write a basic string of TOML; everything that does not print is escaped (https://toml.io/en/v1.0.0#string)."""
    return '"' + "".join(_SHORT.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text) + '"'


def _encodable(text: str) -> str:
    return "".join("�" if "\ud800" <= c <= "\udfff" else c for c in text)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)
