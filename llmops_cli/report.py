"""What a verb answers, as frozen types: the shape of the JSON envelope and of each verb's `data`.

Field names are the JSON keys of schema version 1; they only grow. Times are aware datetimes, printed as ISO 8601 with
offset. Rates, shares and levels are fractions: 0.05 is 5 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from llmops_cli.evidence import Diagnosis, Filters, Message, Severity, SourceState, Thresholds, Window

SCHEMA_VERSION = 1

Retry = Literal["yes", "backoff", "once", "no"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of the envelope's `errors`."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One answer of one verb: the envelope. `data` is one of the classes below, None when there is no answer."""

    command: str
    generated_at: datetime
    window: Window | None = None
    sources: tuple[SourceState, ...] = ()
    partial: bool = False
    errors: tuple[Problem, ...] = ()
    data: Any = None
    notes: tuple[Message, ...] = ()
    """Things to say beside the data (an assumed region, a baseline far back): under the window line, not in JSON."""
    filters: Filters = Filters()
    """What the question was narrowed to; shown in headings."""


# --- status ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DurationSummary:
    """ms over successful calls."""

    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """Sums over the window."""

    input: int
    output: int
    total: int


@dataclass(frozen=True, slots=True)
class RateSummary:
    """Per minute: mean over the window, and the busiest calendar minute."""

    mean: float
    peak: int


@dataclass(frozen=True, slots=True)
class FeedbackSummary:
    """Ratings in the window; `negative_rate` is None without ratings."""

    ratings: int
    negative: int
    negative_rate: float | None


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One kind of failure, explained from the catalogue."""

    status_code: int | None
    error_code: str
    family: str
    calls: int
    share: float
    retry: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Level:
    """Water level against a limit; `limit` and `level` None when unknown. `mean` stays None for per-second levels."""

    limit: float | None
    peak: float
    level: float | None
    mean: float | None = None


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """Water level of a model (`workspace` None: the account's total) or of a model in one workspace."""

    model: str
    workspace: str | None
    limit_source: str
    rpm: Level
    tpm: Level
    rps: Level
    tps: Level
    throttled: int
    level: float | None
    state: Severity
    exhausted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Driver:
    """Who pushes demand on a limited resource: `where` rose by `calls`, which is `share` of the whole rise.

    Under a token limit the rise is one of `tokens` (else 0): the calls may be as many as ever, only larger.
    """

    where: Mapping[str, str]
    calls: int
    share: float
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """Facts seen (`evidence`), a hypothesis, and what would refute it.

    `started_at` is None when the incident is older than all that was read; `started_before` is then set.
    `evidence`, `hypothesis` and `refuted_by` are sentences, made from `messages` of `knowledge` in the chosen language.
    """

    type: str
    severity: Severity
    started_at: datetime | None
    started_before: datetime | None
    scope: Mapping[str, str]
    drivers: tuple[Driver, ...]
    evidence: tuple[Message, ...]
    hypothesis: Message
    refuted_by: Message
    runbook: str
    next: tuple[str, ...]
    failures: int = 0
    calls: int = 0
    refused_at: datetime | None = None
    """When the first call was refused, where demand rose (`started_at`) before that; else None."""


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One bucket of the window."""

    time: datetime
    calls: int
    failures: int
    total_tokens: int
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class BaselineSummary:
    """The baseline's side of the comparison that `status` shows; None where it had no data.

    `covered` is the share of the baseline's time that the log reaches back to: sums are those of that part.
    """

    calls: int
    failures: int
    failure_rate: float
    p95_ms: float | None
    total_tokens: int
    negative_rate: float | None
    covered: float = 1.0


@dataclass(frozen=True, slots=True)
class StatusData:
    """`data` of `status`."""

    verdict: Severity
    calls: int
    failures: int
    failure_rate: float | None
    success_rate: float | None
    unparsed: int
    duration_ms: DurationSummary
    tokens: TokenSummary
    qpm: RateSummary
    tpm: RateSummary
    rps_peak: int
    tps_peak: int
    feedback: FeedbackSummary
    errors: tuple[ErrorRow, ...]
    water_levels: tuple[QuotaRow, ...]
    incidents: tuple[Incident, ...]
    series: tuple[SeriesPoint, ...]
    baseline: BaselineSummary | None = None
    feedback_series: tuple[FeedbackPoint, ...] = ()
    headline: Message = field(default_factory=lambda: Message(""))
    thresholds: Thresholds | None = None
    """What the verdict was judged by; performance data of `-o nagios` carries it."""
    unparsed_samples: tuple[str, ...] = ()
    """Some of the `unparsed` lines, as they stand in the log."""
    levels_command: str = ""
    """Shows every row of `water_levels`: a table of `status` may leave some out."""


@dataclass(frozen=True, slots=True)
class FeedbackPoint:
    """One bucket of the feedback trend."""

    time: datetime
    ratings: int
    negative: int


# --- trace ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TraceCall:
    """A model call of the trace: the canonical fields, and `wait_ms` since the call before it ended (None: first)."""

    time: datetime
    level: str
    trace_id: str
    app: str
    module: str
    model: str
    workspace: str
    request_id: str
    status_code: int | None
    duration_ms: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    error_code: str
    error_message: str
    started_at: datetime
    wait_ms: int | None


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One event; `message` has prompts and results hidden unless asked for."""

    time: datetime
    level: str
    logger: str
    thread: str
    message: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the catalogue says of an error."""

    error_code: str
    family: str
    retry: str
    cause: str
    remedy: str
    status_code: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class TraceData:
    """`data` of `trace`. `matches` lists the traces of an ambiguous prefix; `spans` come with ARMS."""

    trace_id: str
    found: bool
    calls: tuple[TraceCall, ...] = ()
    lines: tuple[TraceLine, ...] = ()
    spans: tuple[Mapping[str, Any], ...] = ()
    explanations: tuple[Explanation, ...] = ()
    next: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    request_ids: tuple[str, ...] = ()
    summary: tuple[Message, ...] = ()


# --- drill ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BaselineSlice:
    """A drill row's side of the baseline."""

    calls: int
    failure_rate: float | None
    p95_ms: float | None
    total_tokens: int = 0


@dataclass(frozen=True, slots=True)
class DrillRow:
    """One value (or combination, joined by " × ") of the dimension(s) drilled by; `failure_share` of all failures."""

    value: str
    calls: int
    failures: int
    failure_rate: float | None
    failure_share: float
    p95_ms: float | None
    total_tokens: int
    baseline: BaselineSlice | None
    where: Mapping[str, str] = field(default_factory=dict)
    ratings: int = 0
    negative: int = 0


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A combination of values that explains the change: `explains` and `confidence` are 0..1.

    `measure` says what `failures` among `calls` are: failures, "slow" answers or "negative" ratings; for
    "calls" the demand itself changed, and there are none.
    """

    where: Mapping[str, str]
    explains: float
    confidence: float
    calls: int
    failures: int
    failure_rate: float | None
    elsewhere_failure_rate: float | None
    family: str = ""
    measure: str = "failures"
    baseline_failure_rate: float | None = None
    notes: tuple[Message, ...] = ()
    started_at: datetime | None = None
    """When it began: for an incident, what `status` says too. None with `started_before` where it is older."""
    started_before: datetime | None = None
    drivers: tuple[Driver, ...] = ()
    counted_from: datetime | None = None
    """Since when `calls` and `failures` are counted; None: in the whole window. `status` counts since the start."""
    refused_at: datetime | None = None
    """When the first call was refused, where demand rose (`started_at`) before that; else None."""


@dataclass(frozen=True, slots=True)
class DrillData:
    """`data` of `drill`."""

    by: tuple[str, ...]
    rows: tuple[DrillRow, ...]
    causes: tuple[CauseRow, ...]
    excess_failures: int = 0
    paste: Message = field(default_factory=lambda: Message(""))
    next: tuple[str, ...] = ()


# --- quota ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QuotaData:
    """`data` of `quota`; `coverage` says why a level may be a lower bound, `notes` what refused calls hide."""

    rows: tuple[QuotaRow, ...]
    coverage: str
    next: tuple[str, ...] = ()
    notes: tuple[Message, ...] = ()


# --- recover --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done; `command` may be empty when it is done in a console."""

    name: str
    why: Message
    command: str
    effect: Message
    risk: Message
    rollback: Message
    incidents: tuple[int, ...] = ()
    """Which of the plan's incidents it is for, counted from 1."""


@dataclass(frozen=True, slots=True)
class RecoverData:
    """`data` of `recover`; `runbook` is the name of the first incident's runbook, None when there is none."""

    incidents: tuple[Incident, ...]
    actions: tuple[Action, ...]
    runbook: str | None


@dataclass(frozen=True, slots=True)
class RunbookData:
    """`data` of `recover --runbook TYPE`."""

    runbook: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Backoff:
    """Random exponential backoff, seconds."""

    base_s: float
    max_s: float
    attempts: int
    jitter: str


@dataclass(frozen=True, slots=True)
class Waits:
    """Added waiting time of the calls that a limiter let through, ms."""

    p50: float
    p95: float
    max: float


@dataclass(frozen=True, slots=True)
class Replay:
    """The window's real arrivals sent through the proposed limits. `refused_before` is what the log shows.

    `others_before` and `others_after` are calls of the other workspaces that a model of the platform's limits refuses
    without and with the proposed ones.
    """

    calls: int
    refused_before: int
    refused_after: int
    added_wait_ms: Waits
    others_before: int = 0
    others_after: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """The same settings in three notations, ready to paste; None where there is nothing to set."""

    toml: str | None
    env: str | None
    json: str | None


@dataclass(frozen=True, slots=True)
class ThrottleData:
    """`data` of `recover throttle`: limits for the client; None where the limit is unknown.

    `concurrency` is None, and no settings are given, where no call of the resource is in the window.
    """

    model: str
    workspace: str | None
    rps: float | None
    rpm: float | None
    tps: float | None
    tpm: float | None
    concurrency: int | None
    backoff: Backoff
    replay: Replay
    settings: Settings
    notes: tuple[Message, ...] = ()
    limit_source: str = "unknown"


@dataclass(frozen=True, slots=True)
class ExpandData:
    """`data` of `recover expand` and `recover ticket`: the `fields` that were filled in, the `text` made of them.

    `missing` names the other fields. `notes` say why the text may be the wrong one to send, such as a limit that is
    far from reached.
    """

    fields: Mapping[str, Any]
    missing: tuple[str, ...]
    lang: str
    text: str
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One look at a one-minute window; `calls` and `failures` are None where it could not be read.

    `reason` says what keeps it from being healthy, where numbers tell.
    """

    time: datetime
    verdict: Severity
    calls: int | None = None
    failures: int | None = None
    reason: Message | None = None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Minutes to detect, locate and recover (1-5-10); None where it is not known."""

    detect_min: float | None = None
    locate_min: float | None = None
    recover_min: float | None = None


@dataclass(frozen=True, slots=True)
class VerifyData:
    """`data` of `recover verify`; `given_up` when time was over before it was."""

    recovered: bool
    checks: tuple[Check, ...]
    recovered_at: datetime | None
    scorecard: Scorecard
    given_up: bool = False


# --- collect, dashboard, alerts: what is changed on the account -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One object of the account: `action` is create, update or none, `state` planned, done or unchanged.

    `before` is None where there is nothing yet. `diff`: lines of a unified diff of the two as JSON. `rollback` takes
    the change back.
    """

    kind: str
    name: str
    action: str
    state: str
    diff: tuple[str, ...]
    rollback: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangesData:
    """`data` of every verb that changes the account. `applied`: something was changed; not where nothing had to be."""

    changes: tuple[ChangeRow, ...]
    applied: bool
    notes: tuple[Message, ...] = ()
    next: tuple[str, ...] = ()


# --- alerts, dashboard ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert that would have been open: since the evaluation at `started_at`, for `seconds`.

    `ended_at` is None where it was still open at the end. `scope`: whom it is about, empty for all that is watched.
    `value` is the worst seen, in `unit` (count, percent: a fraction, duration: ms). `severity`: medium, high, critical.
    """

    rule: str
    severity: str
    scope: Mapping[str, str]
    started_at: datetime
    ended_at: datetime | None
    seconds: int
    evaluations: int
    value: float
    unit: str
    summary: Message
    runbook: str
    command: str


@dataclass(frozen=True, slots=True)
class AlertsTestData:
    """`data` of `alerts test`: what would have fired, the rules that kept `quiet`, and those that cannot be judged."""

    firings: tuple[AlertRow, ...]
    quiet: tuple[str, ...]
    unjudged: tuple[str, ...]
    evaluations: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExportData:
    """`data` of `alerts export` and `dashboard export`: what `apply` would send, or what another tool takes.

    `content` is the JSON, or the text for `to` sql; `file` is where it was written to, if it was.
    """

    to: str
    content: Any
    file: str | None = None


# --- doctor -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """Who asks Alibaba Cloud: `type` AccessKey or STS token, `source` where it comes from. There is no secret here."""

    type: str
    source: str
    account: str | None
    key_id: str


@dataclass(frozen=True, slots=True)
class DoctorData:
    """`data` of `doctor`. `identity` is None where the cloud is not configured, or nobody can be found who asks."""

    identity: IdentityRow | None
    checks: tuple[Diagnosis, ...]

    @property
    def verdict(self) -> Severity:
        """The worst state, as a monitor takes it."""
        states = {check.state for check in self.checks}
        return next((said for state, said in _WORST if state in states), "ok")


_WORST: tuple[tuple[str, Severity], ...] = (("failed", "critical"), ("unknown", "unknown"), ("warning", "warning"))
