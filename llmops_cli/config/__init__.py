"""Configuration: which profile of which `llmops.toml` applies, its values, and where each one came from.

`load` is the only entry. The schema (and with it pydantic) is imported when there is a file to check.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from llmops_cli.config import files
from llmops_cli.errors import UsageError
from llmops_cli.evidence import Band, Limit, Message, Thresholds
from llmops_cli.knowledge.thresholds import DEFAULT_THRESHOLDS

if TYPE_CHECKING:
    from llmops_cli.config import schema

__all__ = ["DEFAULT_REGION", "Settings", "flat", "load"]

DEFAULT_REGION = "cn-beijing"
"""Where Model Studio's main deployment is; assumed, and said so, when no region is configured."""

_BANDS = ("failure_rate", "p95_ms", "water_level", "negative_rate")
_SCALARS = ("pattern", "timezone", "encoding", "region", "uid", "contact")
_SECTIONS = ("sls", "credentials", "prometheus", "cloudmonitor", "modelstudio", "arms", "traces")


@dataclass(frozen=True, slots=True)
class Settings:
    """What applies to this run: one profile, with the command line's say in it.

    `log` are local paths, globs, directories or "-", absolute where the file gave them. `limits` come from the
    configuration only. `origin` names for each value that is set where it came from ("--log",
    "/etc/llmops.toml:12", "default"); its keys are the file's, dotted.
    """

    profile: str | None = None
    file: Path | None = None
    log: tuple[str, ...] = ()
    pattern: str | None = None
    timezone: str | None = None
    encoding: str | None = None
    region: str = DEFAULT_REGION
    region_assumed: bool = True
    uid: str | None = None
    contact: str | None = None
    sls: schema.SlsSettings | None = None
    credentials: schema.CredentialsSettings | None = None
    prometheus: schema.PrometheusSettings | None = None
    cloudmonitor: schema.CloudMonitorSettings | None = None
    modelstudio: schema.ModelStudioSettings | None = None
    arms: schema.ArmsSettings | None = None
    traces: schema.TracesSettings | None = None
    limits: tuple[Limit, ...] = ()
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[Message, ...]:
        """What was assumed and has to be said beside the answer."""
        return (Message("note.assumed_region", {"region": self.region}),) if self.region_assumed else ()

    def where(self, key: str) -> str:
        """Name where a value came from, for an error: `--pattern`, or `llmops.toml:4: profiles.prod.pattern`."""
        origin = self.origin.get(key, f"--{key}")
        return origin if origin.startswith("--") else f"{origin}: profiles.{self.profile}.{key}"

    def require_source(self) -> None:
        """Raise UsageError with the command that mends it, unless there is a log to ask."""
        if self.log or self.sls is not None:
            return
        if self.profile is None:
            raise UsageError(
                "no_source",
                "no log to read: neither --log nor a profile is given",
                "llmops status --log PATH, or llmops config init to write a profile",
            )
        raise UsageError(
            "no_source",
            f'profile "{self.profile}" of {self.file} names no log',
            f"add log or sls under [profiles.{self.profile}], or give --log PATH",
        )


def load(
    *,
    config_file: str | None = None,
    profile: str | None = None,
    log: Sequence[str] = (),
    pattern: str | None = None,
    timezone: str | None = None,
    encoding: str | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Return what applies: options over the environment over the file over defaults.

    `log` replaces the profile's log and nothing else of it. Raises UsageError, in one line, for a file or
    profile that was asked for and is not there, for bad syntax, unknown keys, wrong types and impossible values.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    found = files.find(config_file, environ, cwd)
    asked = [(profile, "--profile"), (environ.get("LLMOPS_PROFILE") or None, "LLMOPS_PROFILE")]
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    if found is None:
        name, chooser = next(((name, chooser) for name, chooser in asked if name), (None, ""))
        if name is not None:
            raise UsageError(
                "no_profile",
                f'{chooser}: there is no profile "{name}", because there is no llmops.toml',
                "write one with: llmops config init",
            )
    else:
        values = _from_file(found[0], asked, origin)
        origin["config"] = found[1]
    for key, given in (("pattern", pattern), ("timezone", timezone), ("encoding", encoding)):
        if given is not None:
            values[key], origin[key] = given, f"--{key}"
    if log:
        values["log"], origin["log"] = tuple(log), "--log"
    origin.setdefault("region", "default")
    return Settings(**values, region_assumed="region" not in values, origin=MappingProxyType(origin))


def _from_file(path: Path, asked: list[tuple[str | None, str]], origin: dict[str, str]) -> dict[str, Any]:
    from llmops_cli.config.checking import check  # noqa: PLC0415 - pydantic; start-up without a file needs none

    text = files.read(path)
    content = check(files.parse(text, path), text, path)
    asked = [*asked, (content.default_profile, f"default_profile of {path}")]
    name, chooser = next(((name, chooser) for name, chooser in asked if name), (None, ""))
    if name is None:
        return {"file": path}
    origin["profile"] = chooser
    if name not in content.profiles:
        raise _no_profile(name, chooser, path, list(content.profiles))
    chosen = content.profiles[name]
    for key in _leaves(chosen.model_dump(exclude_unset=True)):
        line = files.line_of(text, ("profiles", name, *key))
        origin[".".join(key)] = f"{path}:{line}"
    return _values(chosen, name, path)


def _values(chosen: schema.Profile, name: str, path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {"file": path, "profile": name}
    for key in (*_SCALARS, *_SECTIONS):
        if (value := getattr(chosen, key)) is not None:
            values[key] = value
    values["log"] = tuple(_absolute(entry, path.absolute().parent) for entry in chosen.log or ())
    values["limits"] = tuple(_limit(key, limit) for key, limit in chosen.limits.items())
    values["thresholds"] = thresholds(chosen.thresholds)
    return values


def thresholds(given: schema.ThresholdSettings) -> Thresholds:
    """Return the defaults with what the file says of them, field by field."""
    default = DEFAULT_THRESHOLDS
    bands: dict[str, Band] = {}
    for key in _BANDS:
        band, fallback = getattr(given, key), getattr(default, key)
        warning = fallback.warning if band.warning is None else band.warning
        critical = fallback.critical if band.critical is None else band.critical
        bands[key] = Band(float(warning), float(critical))
    return Thresholds(**bands, min_calls=default.min_calls if given.min_calls is None else given.min_calls)


def flat(settings: Settings) -> dict[str, Any]:
    """Return every value that is set, by its dotted key in the file."""
    values: dict[str, Any] = {"log": list(settings.log)} if settings.log else {}
    values |= {key: value for key in _SCALARS if (value := getattr(settings, key)) is not None}
    for section in _SECTIONS:
        if (part := getattr(settings, section)) is not None:
            content = part.model_dump(exclude_unset=True)
            values |= {".".join((section, *key)): value for key, value in _leaves(content).items()}
    for limit in settings.limits:
        key = limit.model if limit.workspace is None else f"{limit.model}@{limit.workspace}"
        pairs = (("rpm", limit.rpm), ("tpm", limit.tpm))
        values |= {f"limits.{key}.{half}": value for half, value in pairs if value is not None}
    for band in _BANDS:
        values[f"thresholds.{band}.warning"] = getattr(settings.thresholds, band).warning
        values[f"thresholds.{band}.critical"] = getattr(settings.thresholds, band).critical
    values["thresholds.min_calls"] = settings.thresholds.min_calls
    return values


def _limit(key: str, limit: schema.LimitSettings) -> Limit:
    model, _, workspace = key.partition("@")
    return Limit(model, workspace or None, limit.rpm, limit.tpm, "configuration")


def _absolute(entry: str, folder: Path) -> str:
    return entry if entry == "-" else str(folder / Path(entry).expanduser())


def _leaves(node: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    leaves: dict[tuple[str, ...], Any] = {}
    for key, value in node.items():
        leaves |= _leaves(value, (*above, key)) if isinstance(value, dict) else {(*above, key): value}
    return leaves


def _no_profile(name: str, chooser: str, path: Path, known: list[str]) -> UsageError:
    close = get_close_matches(name, known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else "it has " + (", ".join(known) or "no profiles at all")
    return UsageError("no_profile", f'{chooser}: {path} has no profile "{name}"', hint)
