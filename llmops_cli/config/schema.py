"""The shape of `llmops.toml`: every key of the README, typed; an unknown key is an error.

Pydantic stands here because outside data enters here. Times, rates and limits keep the file's units: ms, fractions of
one, requests and tokens per minute.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from llmops_cli.config.encoding import check_encoding
from llmops_cli.errors import UsageError
from llmops_cli.window import find_zone

FieldName = Literal[
    "time",
    "level",
    "trace_id",
    "app",
    "module",
    "model",
    "workspace",
    "request_id",
    "status_code",
    "duration_ms",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "error_code",
    "error_message",
    "rating",
    "comment",
    "message",
]
"""The canonical names that `sls.fields` can point elsewhere; `message` is the raw line."""

_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{{1,5}})?", re.ASCII)
_PROJECT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LOGSTORE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def _plain(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    if not value.isprintable():
        raise ValueError("holds a control character")
    return value.strip()


def _zone(value: str) -> str:
    try:
        find_zone(value)
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.hint}") from None
    return value


def _encoding(value: str) -> str:
    try:
        return check_encoding(value)
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.hint}") from None


def _parts(value: str) -> SplitResult:
    parts = urlsplit(value)  # a ValueError of its own where brackets hold no address
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has a port that is no number from 1 to 65535")
    return parts


def _endpoint(value: str) -> str:
    parts = _parts(value if "://" in value else f"//{value}")
    if parts.username or parts.password:
        raise ValueError("holds a user or password; credentials come from the standard Alibaba Cloud chain")
    if parts.scheme not in {"", "http", "https"} or not _HOST.fullmatch(parts.netloc):
        raise ValueError("is not a host name or an http(s) address, such as cn-beijing.log.aliyuncs.com")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("goes on after the host name; give the host alone")
    return value.rstrip("/")


def _address(value: str) -> str:
    parts = _parts(value)
    if parts.username or parts.password:
        raise ValueError("holds a user or password; credentials come from the standard Alibaba Cloud chain")
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(parts.netloc):
        raise ValueError("is not an http(s) address")
    return value.rstrip("/")


def _project(value: str) -> str:
    # It becomes a part of the host name that a signed request goes to.
    if not _PROJECT.fullmatch(value):
        raise ValueError("is not the name of a project: letters, digits and -, 63 at most")
    return value


def _logstore(value: str) -> str:
    if not _LOGSTORE.fullmatch(value):
        raise ValueError("is not the name of a logstore: letters, digits, - and _, 63 at most")
    return value


def _region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError(f'"{value}" is not a region id such as cn-beijing or ap-southeast-1')
    return value


def _env_name(value: str) -> str:
    # A key pasted in place of the variable's name must not be echoed, hence no value in the sentence.
    if not _ENV_NAME.fullmatch(value):
        raise ValueError("is not the name of an environment variable; the key itself does not belong in this file")
    return value


def _whole(value: float) -> float:
    if value < 1 or value % 1:
        raise ValueError(f"is {str(value).removesuffix('.0')}; a limit is a whole number a minute, 1 or more")
    return value


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, AfterValidator(_plain)]
Endpoint = Annotated[str, AfterValidator(_plain), AfterValidator(_endpoint)]
Address = Annotated[str, AfterValidator(_plain), AfterValidator(_address)]
EnvName = Annotated[str, AfterValidator(_env_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[float, Field(gt=0, le=10)]
Millis = Annotated[float, Field(gt=0, le=86_400_000)]
PerMinute = Annotated[float, Field(le=1e15), AfterValidator(_whole)]


class _Part(BaseModel):
    """One table of the file: exact types (a quoted number is no number), no other keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SlsSettings(_Part):
    """Where the application's log stands in Log Service; `fields` maps canonical names to the logstore's keys."""

    project: Annotated[Text, AfterValidator(_project)]
    logstore: Annotated[Text, AfterValidator(_logstore)]
    endpoint: Endpoint | None = None
    fields: dict[FieldName, Text] = {}


class CredentialsSettings(_Part):
    """Which identity is used; None: the standard Alibaba Cloud chain. Keys themselves never stand here."""

    cli_profile: Text | None = None


class PrometheusSettings(_Part):
    """Model Studio's CloudMonitor Prometheus instance."""

    url: Address


class CloudMonitorMetrics(_Part):
    """Metric names, as `doctor` finds them."""

    calls: Text | None = None
    failures: Text | None = None
    latency_ms: Text | None = None


class CloudMonitorSettings(_Part):
    """CloudMonitor; its namespace has no default, `doctor` finds it."""

    endpoint: Endpoint | None = None
    namespace: Text | None = None
    metrics: CloudMonitorMetrics = CloudMonitorMetrics()


class ModelStudioSettings(_Part):
    """The control plane, and the name of the variable that holds an API key for the REST quota endpoint."""

    endpoint: Endpoint | None = None
    api_key_env: EnvName | None = None


class ArmsSettings(_Part):
    """Application Real-Time Monitoring Service."""

    endpoint: Endpoint | None = None


class TracesSettings(_Part):
    """An SLS trace store."""

    project: Text
    logstore: Text
    endpoint: Endpoint | None = None


class LimitSettings(_Part):
    """A rate limit, per minute; a half left out falls back to the live API and the shipped table."""

    rpm: PerMinute | None = None
    tpm: PerMinute | None = None

    @model_validator(mode="after")
    def _says_something(self) -> LimitSettings:
        if self.rpm is None and self.tpm is None:
            raise ValueError("sets neither rpm nor tpm")
        return self


class ShareBand(_Part):
    """Fractions of one."""

    warning: Share | None = None
    critical: Share | None = None


class LevelBand(_Part):
    """Fractions of a limit; demand beyond it is more than 1."""

    warning: Level | None = None
    critical: Level | None = None


class MillisBand(_Part):
    """Milliseconds."""

    warning: Millis | None = None
    critical: Millis | None = None


class ThresholdSettings(_Part):
    """Overrides of the defaults, field by field."""

    failure_rate: ShareBand = ShareBand()
    p95_ms: MillisBand = MillisBand()
    water_level: LevelBand = LevelBand()
    negative_rate: ShareBand = ShareBand()
    min_calls: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class Profile(_Part):
    """One `[profiles.NAME]`."""

    log: Annotated[list[Text], BeforeValidator(_one_or_many), Field(min_length=1)] | None = None
    pattern: Text | None = None
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    region: Annotated[str, AfterValidator(_region)] | None = None
    uid: Annotated[Text, BeforeValidator(_digits)] | None = None
    contact: Text | None = None
    sls: SlsSettings | None = None
    credentials: CredentialsSettings = CredentialsSettings()
    prometheus: PrometheusSettings | None = None
    cloudmonitor: CloudMonitorSettings | None = None
    modelstudio: ModelStudioSettings | None = None
    arms: ArmsSettings | None = None
    traces: TracesSettings | None = None
    limits: dict[str, LimitSettings] = {}
    thresholds: ThresholdSettings = ThresholdSettings()


class File(_Part):
    """The whole file."""

    default_profile: Text | None = None
    profiles: dict[str, Profile] = {}
