"""What sources saw, as frozen types: the only things that pass from `sources` to `sop`.

Times are integers, milliseconds since the Unix epoch, half-open spans `[start_ms, end_ms)`; durations are milliseconds;
token counts are tokens. A rate limit is per minute (`rpm`, `tpm`) unless its name ends in `s` (`rps`, `tps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Literal, NamedTuple

DIMENSIONS = ("app", "module", "model", "workspace")
"""The dimensions that tell calls apart, in the order in which they are shown."""

Severity = Literal["ok", "warning", "critical", "unknown"]
Period = Literal["now", "before", "between"]
State = Literal["ok", "partial", "stale", "failed", "not_configured"]


class Where(NamedTuple):
    """One combination of all four dimension values; an empty value was empty in the log."""

    app: str
    module: str
    model: str
    workspace: str


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of time."""

    start_ms: int
    end_ms: int

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return self.end_ms - self.start_ms

    @property
    def minutes(self) -> float:
        """Length in minutes."""
        return self.ms / 60_000


@dataclass(frozen=True, slots=True)
class Window:
    """The time a question is about, and what it is compared with.

    `anchored`: the log ends in the past and a relative window (`--since`) was moved to its end; `log_ends_ms` is then
    the time of its newest line. `stepped_back`: the window right before was unhealthy too, so that `baseline` is the
    last healthy one. `explicit`: the user gave `--from` or `--to`; such a window is never anchored nor stale.
    """

    span: Span
    baseline: Span | None
    timezone: tzinfo
    anchored: bool = False
    explicit: bool = False
    stepped_back: bool = False
    log_ends_ms: int | None = None

    def at(self, ms: int) -> datetime:
        """`ms` as an aware datetime in the window's time zone."""
        return datetime.fromtimestamp(ms / 1000, self.timezone)


@dataclass(frozen=True, slots=True)
class Filters:
    """Values to keep: several of one dimension are alternatives (OR), different dimensions are ANDed."""

    app: tuple[str, ...] = ()
    module: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    workspace: tuple[str, ...] = ()
    error_code: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.app, self.module, self.model, self.workspace, self.error_code))


@dataclass(frozen=True, slots=True)
class Durations:
    """Latency of successful calls, in ms; None when there was none."""

    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class CallStats:
    """What one span of calls adds up to.

    `peak` values belong to the busiest calendar minute or second, and are 0 in a baseline, where nobody asks.
    """

    calls: int = 0
    failures: int = 0
    durations: Durations = Durations()
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    qpm_peak: int = 0
    tpm_peak: int = 0
    rps_peak: int = 0
    tps_peak: int = 0

    @property
    def failure_rate(self) -> float:
        """Failed share of the calls, 0..1; 0 without calls."""
        return self.failures / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket of the window's time series (`period` "now") or its baseline's ("before")."""

    period: Period
    start_ms: int
    calls: int
    failures: int
    total_tokens: int
    p95_ms: float | None


class Cell(NamedTuple):
    """All calls that share a bucket, their dimension values and their outcome: the grain from which rules decide.

    `bucket_ms` is the start of the bucket; `first_ms` and `last_ms` are the first and last call inside it. `slow`
    counts the successful calls that took longer than their model's p95 in the baseline (longer than the warning
    threshold where the model had no baseline). `error_message` is one sample of messages that differ in numbers and
    ids only.
    """

    period: Period
    bucket_ms: int
    where: Where
    status_code: int | None
    error_code: str
    error_message: str
    calls: int
    slow: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    first_ms: int
    last_ms: int

    @property
    def ok(self) -> bool:
        """A call succeeded when its status is 200 and it has no error code."""
        return self.status_code == 200 and not self.error_code


@dataclass(frozen=True, slots=True)
class Demand:
    """Load on one limited resource in the window: a model over all workspaces (`workspace` None) or in one of them.

    Refused calls are included. Means are per minute over the whole window; peaks are those of the busiest calendar
    minute and second, and `peak_ms` is the start of the busiest minute by requests.
    """

    model: str
    workspace: str | None
    calls: int
    total_tokens: int
    rpm_mean: float
    rpm_peak: int
    tpm_mean: float
    tpm_peak: int
    rps_peak: int
    tps_peak: int
    peak_ms: int


@dataclass(frozen=True, slots=True)
class Ratings:
    """User feedback of one bucket and combination."""

    period: Period
    bucket_ms: int
    where: Where
    up: int
    down: int
    first_down_ms: int | None = None


_BUCKETS_MS = (
    *(seconds * 1000 for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * 60_000 for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * 3_600_000 for hours in (1, 2, 6, 12, 24)),
)


def bucket_length(span_ms: int) -> int:
    """Length in ms of the time buckets of a window: the shortest round one that gives at most 30 of them.

    A window longer than 30 days has more than 30 buckets of one day each.
    """
    return next((bucket for bucket in _BUCKETS_MS if span_ms <= 30 * bucket), _BUCKETS_MS[-1])


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything `status` needs to know of one window, from one source.

    `bucket_ms`, `bucket_length` of the window, is the length of the buckets of `cells`, `points` and `feedback`. Each
    period's buckets are counted from that period's own start; buckets without a call have neither point nor cell.
    `read_from_ms` is the later of the earliest span's start and the oldest line: nothing is known before it. `before`
    is None when there is no baseline, or no line of the log is as old as it; a baseline that was covered and holds no
    call has `before.calls == 0`. `between` is the span of the cells of that period: where the window stepped back, what
    was read between the healthy baseline and the window (all of it, or the part right after the baseline).
    `newest_call_ms`: the newest call known, also outside the window and the filters.

    `own`: where the log holds nothing before the window, the same calls again, with the window's own beginning as the
    baseline of the rest; rules decide from it (`basis`). `slow`: the calls of scopes that became slow, since they did.
    `begins_ms`: the oldest line of the log, where known.
    """

    window: Window
    bucket_ms: int
    read_from_ms: int
    now: CallStats
    before: CallStats | None
    points: tuple[Point, ...]
    cells: tuple[Cell, ...]
    demand: tuple[Demand, ...]
    feedback: tuple[Ratings, ...]
    unparsed: int = 0
    unparsed_samples: tuple[str, ...] = ()
    newest_call_ms: int | None = None
    matched_by_filters: bool = True
    filters: Filters = Filters()
    between: Span | None = None
    own: Observation | None = None
    slow: tuple[Slice, ...] = ()
    begins_ms: int | None = None

    @property
    def basis(self) -> Observation:
        """What rules decide from."""
        return self.own or self

    @property
    def baseline_read_ms(self) -> int:
        """How much of the baseline's time the log reaches back to; 0 without a baseline."""
        span = self.window.baseline
        return 0 if span is None else max(0, span.end_ms - max(span.start_ms, self.read_from_ms))


@dataclass(frozen=True, slots=True)
class Slice:
    """Calls of one combination of values, in the window and in the baseline (`drill --by`)."""

    where: Mapping[str, str]
    calls: int
    failures: int
    p95_ms: float | None
    total_tokens: int
    before_calls: int
    before_failures: int
    before_p95_ms: float | None
    before_total_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One call as a rate limiter meets it. `time_ms` is when it was sent: log time minus duration."""

    time_ms: int
    model: str
    workspace: str
    total_tokens: int
    duration_ms: int
    refused: bool


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One model call as logged: the canonical fields."""

    time_ms: int
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

    @property
    def ok(self) -> bool:
        """A call succeeded when its status is 200 and it has no error code."""
        return self.status_code == 200 and not self.error_code


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """One user rating as logged; `rating` is "up" or "down"."""

    time_ms: int
    trace_id: str
    app: str
    module: str
    model: str
    workspace: str
    request_id: str
    rating: str
    comment: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log event of a trace. `message` holds continuation lines too; `call` is set when it is a model call."""

    time_ms: int
    level: str
    trace_id: str
    logger: str
    thread: str
    message: str
    file: str
    call: CallRecord | None = None
    feedback: FeedbackRecord | None = None


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far a source can be trusted; `detail` is one line for the reader."""

    name: str
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that `doctor` looked at; `fix` says what to do where it is not ok. `unknown`: it could not look."""

    name: str
    state: Literal["ok", "warning", "failed", "unknown"]
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """The rate limit of a model (`workspace` None: the account's) and where each half came from.

    `source` is "configuration", "live" or "table 2026-05 (cn-beijing)"; "unknown" when both halves are None.
    """

    model: str
    workspace: str | None
    rpm: float | None
    tpm: float | None
    source: str = "unknown"


@dataclass(frozen=True, slots=True)
class Band:
    """Where a measure becomes a warning and where critical; same unit as the measure."""

    warning: float
    critical: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Absolute thresholds; `min_calls` is the least number of calls that a rate may be judged on."""

    failure_rate: Band = Band(0.01, 0.05)
    p95_ms: Band = Band(5000, 15000)
    water_level: Band = Band(0.7, 0.9)
    negative_rate: Band = Band(0.05, 0.15)
    min_calls: int = 20


class ScopeName(str):
    """The name of a scope: English text that keeps its `parts` (dimension -> value), to be named in any language."""

    __slots__ = ("parts",)
    parts: Mapping[str, str]

    def __new__(cls, text: str, parts: Mapping[str, str]) -> ScopeName:  # noqa: PYI034 - nobody subclasses it
        """Return `text` with its parts."""
        name = super().__new__(cls, text)
        name.parts = dict(parts)
        return name


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence of `knowledge` by id, with the values to fill in. Rooms other than views never hold prose."""

    id: str
    values: Mapping[str, str | int | float | None] = field(default_factory=dict)
