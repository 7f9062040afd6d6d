"""Checking a configuration file against the schema, and saying in one line what to mend."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from llmops_cli.config import files, thresholds
from llmops_cli.config.schema import FieldName, File
from llmops_cli.errors import UsageError

_SECRETS = ("secret", "access_key", "accesskey", "api_key", "token", "password")

_UNKNOWN = ("extra_forbidden", "literal_error")
"""What pydantic calls a key that the schema does not have; the second among the canonical names."""

_WANTED = {
    "string_type": "must be text in quotes",
    "float_type": "must be a number, without quotes",
    "int_type": "must be a whole number, without quotes",
    "list_type": 'must be a list, such as ["logs/*.log"]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "too_short": "is empty",
    "finite_number": "must be a finite number",
}


def check(content: dict[str, Any], text: str, path: Path) -> File:
    """Return the checked content of the file at `path` whose text is `text`. Raises UsageError for the first fault."""
    try:
        checked = File.model_validate(content)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        # The line that stands first is mended first, but a mistyped key before what is missing because of it.
        located = [
            (fault["type"] not in _UNKNOWN, files.line_of(text, _keys(fault["loc"])), number)
            for number, fault in enumerate(faults)
        ]
        _, line, number = min(located)
        raise _fault(dict(faults[number]), line, path, more=len(faults) - 1) from None
    _check_profiles(checked, text, path)
    return checked


def _check_profiles(checked: File, text: str, path: Path) -> None:
    for name, profile in checked.profiles.items():
        above = ("profiles", name)
        resolved = thresholds(profile.thresholds)
        for key in ("failure_rate", "p95_ms", "water_level", "negative_rate"):
            band = getattr(resolved, key)
            if band.warning > band.critical:
                what = f"warning ({band.warning:g}) is above critical ({band.critical:g})"
                raise _wrong(path, text, (*above, "thresholds", key), what, "lower warning, or set critical too")
        for key in profile.limits:
            model, at, workspace = key.partition("@")
            what = ""
            if not model.strip() or (at and not workspace.strip()) or not key.isprintable():
                what = "names no model or no workspace"
            elif "@" in workspace:
                what = "has more than one @"
            if what:
                hint = 'write limits.MODEL or limits."MODEL@WORKSPACE"'
                raise _wrong(path, text, (*above, "limits", key), what, hint)


def _fault(fault: dict[str, Any], line: int, path: Path, *, more: int) -> UsageError:
    keys = _keys(fault["loc"])
    shown, rest = f"{path}:{line}", f" (and {more} more)" if more else ""
    if fault["type"] == "extra_forbidden":
        where = f" in [{_dots(keys[:-1])}]" if keys[:-1] else ""
        return UsageError("config_unknown_key", f'{shown}: unknown key "{keys[-1]}"{where}{rest}', _suggest(keys))
    if fault["type"] == "literal_error":
        return UsageError(
            "config_unknown_key",
            f'{shown}: unknown key "{keys[-1]}" in [{_dots(keys[:-1])}]{rest}',
            _meant(keys[-1], get_args(FieldName))
            + "the keys are the canonical field names: "
            + str(fault["ctx"]["expected"]).replace("'", ""),
        )
    if fault["type"] == "missing":
        hint = f"add {keys[-1]} = ... under [{_dots(keys[:-1])}]"
        return UsageError("config_value", f"{shown}: {_dots(keys)} is missing{rest}", hint)
    what = _WANTED.get(fault["type"], str(fault["msg"]))
    if fault["type"] == "value_error":
        what = str(fault["ctx"]["error"])
    if fault["type"] in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        what = what.replace("Input should be", "must be")
    return UsageError("config_value", f"{shown}: {_dots(keys)} {what}{rest}", "mend that value")


def _wrong(path: Path, text: str, keys: Sequence[str], what: str, hint: str) -> UsageError:
    return UsageError("config_value", f"{path}:{files.line_of(text, keys)}: {_dots(keys)} {what}", hint)


def _suggest(keys: Sequence[str]) -> str:
    if any(secret in keys[-1].lower() for secret in _SECRETS):
        return "secrets never stand in this file; credentials come from the standard Alibaba Cloud chain"
    known = _known(keys[:-1])
    return _meant(keys[-1], known).rstrip() or "the keys here are " + ", ".join(known)


def _meant(key: str, known: Sequence[str]) -> str:
    close = get_close_matches(key, known, n=1)
    return f'did you mean "{close[0]}"? ' if close else ""


def _known(keys: Sequence[str]) -> list[str]:
    here: Any = File
    for key in keys:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[key].annotation
            here = next((part for part in get_args(here) if part is not type(None)), here) if _optional(here) else here
        elif get_origin(here) is dict:
            here = get_args(here)[1]
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _keys(loc: Sequence[int | str]) -> tuple[str, ...]:
    return tuple(str(key) for key in loc if key != "[key]")


def _dots(keys: Sequence[str]) -> str:
    return ".".join(key if key.replace("-", "").replace("_", "").isalnum() else f'"{key}"' for key in keys)
