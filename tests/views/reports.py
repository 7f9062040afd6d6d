"""One realistic report per verb, and the awkward ones: an error, no data, an empty window, hostile text."""

from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta, timezone

from llmops_cli.evidence import Filters, Message, SourceState, Span, Thresholds, Window
from llmops_cli.knowledge.sentences import scope_text
from llmops_cli.report import (
    Action,
    Backoff,
    BaselineSlice,
    BaselineSummary,
    CauseRow,
    Check,
    DrillData,
    DrillRow,
    Driver,
    DurationSummary,
    ErrorRow,
    ExpandData,
    Explanation,
    FeedbackPoint,
    FeedbackSummary,
    Incident,
    Level,
    Problem,
    QuotaData,
    QuotaRow,
    RateSummary,
    RecoverData,
    Replay,
    Report,
    RunbookData,
    Scorecard,
    SeriesPoint,
    Settings,
    StatusData,
    ThrottleData,
    TokenSummary,
    TraceCall,
    TraceData,
    TraceLine,
    VerifyData,
    Waits,
)

ZONE = timezone(timedelta(hours=8))
NOW = datetime(2026, 3, 5, 14, 27, 24, tzinfo=ZONE)
START = NOW - timedelta(minutes=15)
WORKSPACE = "llm-p3xk9d0c7v2m1b8q"
TRACE = "5e564fe1-2d7e-498a-acdc-6749e6e12617"
REQUEST = "43f9169b-6ddc-46f1-b5b4-d1e1b4c95085"


def ms(time):
    return int(time.timestamp() * 1000)


def window(**changes):
    span = Span(ms(START), ms(NOW))
    return Window(
        **{"span": span, "baseline": Span(span.start_ms - span.ms, span.start_ms), "timezone": ZONE, **changes}
    )


def report(command, data, **changes):
    local = SourceState("local", "ok", "app.log")
    return Report(
        **{"command": command, "generated_at": NOW, "window": window(), "sources": (local,), "data": data, **changes}
    )


def said(text):
    """A message that is its own sentence: knowledge reads an unknown id as itself."""
    return Message(text)


RATE_LIMIT = Incident(
    type="rate_limit_requests",
    severity="critical",
    started_at=NOW - timedelta(minutes=12, seconds=16),
    started_before=None,
    scope={"model": "qwen-plus"},
    drivers=(Driver({"workspace": WORKSPACE}, 1020, 0.83), Driver({"module": "Chat"}, 990, 0.81)),
    evidence=(
        Message(
            "evidence.refused",
            {"failures": 412, "calls": 1394, "rate": 412 / 1394, "before_failures": 0, "before_calls": 1101},
        ),
        Message("evidence.busiest_minute_rpm", {"peak": 298, "limit": 228, "source": "configuration", "at": "14:22"}),
    ),
    hypothesis=Message(
        "incident.rate_limit_requests.hypothesis",
        {"driver": scope_text({"workspace": WORKSPACE}), "model": "qwen-plus"},
    ),
    refuted_by=Message("incident.rate_limit_requests.refuted_by", {"command": "llmops quota --model qwen-plus"}),
    runbook="rate_limit_requests",
    next=(
        "llmops drill --model qwen-plus --since 30m",
        f"llmops recover throttle --model qwen-plus --workspace {WORKSPACE}",
        "llmops recover expand --model qwen-plus",
    ),
    failures=412,
    calls=1394,
)
BAD_KEY = Incident(
    type="auth",
    severity="warning",
    started_at=None,
    started_before=NOW - timedelta(days=1, minutes=15),
    scope={"app": "shop-assistant", "module": "Agent", "model": "qwen-max", "workspace": "llm-6qtsrlugmu6wanfs"},
    drivers=(),
    evidence=(Message("evidence.code", {"code": "InvalidApiKey", "status": 401, "calls": 27, "share": 0.06}),),
    hypothesis=Message("incident.auth.hypothesis"),
    refuted_by=Message("incident.auth.refuted_by", {"command": "llmops drill --app shop-assistant"}),
    runbook="auth",
    next=("llmops drill --app shop-assistant --by error_code", "llmops recover --runbook auth"),
    failures=27,
    calls=27,
)
QUOTA_ROWS = (
    QuotaRow(
        "qwen-plus",
        None,
        "configuration",
        rpm=Level(228, 298, 298 / 228, 243.1),
        tpm=Level(5_000_000, 212_345, 0.042, 150_200.5),
        rps=Level(3.8, 12, 12 / 3.8),
        tps=Level(83_333.3, 9_120, 0.109),
        throttled=412,
        level=298 / 228,
        state="critical",
        exhausted_at=None,
    ),
    QuotaRow(
        "qwen-plus",
        WORKSPACE,
        "live",
        rpm=Level(200, 150, 0.75, 120.0),
        tpm=Level(None, 99_000, None, 70_000.0),
        rps=Level(3.3, 7, 2.1),
        tps=Level(None, 5_000, None),
        throttled=0,
        level=0.75,
        state="warning",
        exhausted_at=NOW + timedelta(minutes=25),
    ),
    QuotaRow(
        "qwen-max-2025-01-25",
        None,
        "unknown",
        rpm=Level(None, 31, None, 20.4),
        tpm=Level(None, 40_100, None, 30_000.0),
        rps=Level(None, 3, None),
        tps=Level(None, 2_000, None),
        throttled=0,
        level=None,
        state="unknown",
        exhausted_at=None,
    ),
)
SERIES = tuple(
    SeriesPoint(START + timedelta(minutes=m), 190 + 9 * m, max(0, (m - 3) * 4), 9_000 + 700 * m, 2_800.0 + 10 * (m % 4))
    for m in range(15)
)
STATUS = StatusData(
    verdict="critical",
    calls=3641,
    failures=452,
    failure_rate=452 / 3641,
    success_rate=3189 / 3641,
    unparsed=3,
    duration_ms=DurationSummary(1200.5, 980.0, 2914.0, 4100.0, 9001.0),
    tokens=TokenSummary(912_004, 301_112, 1_213_116),
    qpm=RateSummary(242.7, 329),
    tpm=RateSummary(80_874.4, 212_345),
    rps_peak=12,
    tps_peak=9_120,
    feedback=FeedbackSummary(61, 3, 3 / 61),
    errors=(
        ErrorRow(
            429,
            "Throttling.RateQuota",
            "rate_limit_requests",
            412,
            412 / 452,
            "backoff",
            "more requests than the limit allows",
            "spread the calls, or ask for a higher limit",
        ),
        ErrorRow(401, "InvalidApiKey", "auth", 27, 27 / 452, "no", "the API key is wrong", "use a valid key"),
        ErrorRow(None, "ReadTimeout", "timeout", 13, 13 / 452, "once", "no answer came in time", "stream the answer"),
    ),
    water_levels=QUOTA_ROWS,
    incidents=(RATE_LIMIT, BAD_KEY),
    series=SERIES,
    baseline=BaselineSummary(2902, 9, 9 / 2902, 2871.0, 940_000, 0.031),
    feedback_series=tuple(FeedbackPoint(START + timedelta(minutes=m), 4, m % 2) for m in range(15)),
    headline=Message(
        "incident.rate_limit_requests.headline", {"scope": "qwen-plus", "since": "14:15:08", "for": "12 min"}
    ),
    thresholds=Thresholds(),
)
STATUS_REPORT = report("status", STATUS)

EMPTY_STATUS = StatusData(
    verdict="unknown",
    calls=0,
    failures=0,
    failure_rate=None,
    success_rate=None,
    unparsed=0,
    duration_ms=DurationSummary(None, None, None, None, None),
    tokens=TokenSummary(0, 0, 0),
    qpm=RateSummary(0.0, 0),
    tpm=RateSummary(0.0, 0),
    rps_peak=0,
    tps_peak=0,
    feedback=FeedbackSummary(0, 0, None),
    errors=(),
    water_levels=(),
    incidents=(),
    series=(),
    headline=Message("headline.no_calls"),
    thresholds=Thresholds(),
)
EMPTY = report(
    "status",
    EMPTY_STATUS,
    window=window(baseline=None, anchored=True, log_ends_ms=ms(NOW - timedelta(days=502))),
    sources=(
        SourceState("local", "partial", "2 of 3 files were read"),
        SourceState("arms", "not_configured", ""),
    ),
    partial=True,
    filters=Filters(model=("qwen-plus", "qwen-max"), app=("shop",)),
    notes=(Message("note.anchored", {"age": 1}), Message("note.assumed_region", {"region": "cn-beijing"})),
)
NO_DATA = report(
    "status",
    EMPTY_STATUS.__class__(
        **{
            **{name: getattr(EMPTY_STATUS, name) for name in EMPTY_STATUS.__slots__},
            "verdict": "critical",
            "headline": Message("incident.no_data.headline", {"scope": "", "since": "13:59:02", "for": "28 min"}),
            "incidents": (
                Incident(
                    "no_data",
                    "critical",
                    NOW - timedelta(minutes=28, seconds=22),
                    None,
                    {},
                    (),
                    (Message("evidence.silence", {"since": "13:59:02", "for": "28 min", "log_ends": "14:27:24"}),),
                    Message("incident.no_data.hypothesis"),
                    Message("incident.no_data.refuted_by"),
                    "no_data",
                    ("llmops status --since 2h",),
                ),
            ),
        }
    ),
)
HEALTHY = report(
    "status",
    STATUS.__class__(
        **{
            **{name: getattr(STATUS, name) for name in STATUS.__slots__},
            "verdict": "ok",
            "failures": 1,
            "failure_rate": 1 / 3641,
            "success_rate": 3640 / 3641,
            "unparsed": 0,
            "errors": STATUS.errors[2:],
            "incidents": (),
            "water_levels": QUOTA_ROWS[1:2],
            "headline": Message("headline.ok", {"calls": 3641, "rate": 1 / 3641}),
        }
    ),
)
ERROR = Report(
    "status",
    NOW,
    errors=(Problem("file_missing", "app.log: no such file", "llmops status --log PATH", False, None),),
)

FAILED = TraceCall(
    time=datetime(2026, 3, 5, 13, 39, 36, 862_000, tzinfo=ZONE),
    level="ERROR",
    trace_id=TRACE,
    app="risk-review",
    module="Agent",
    model="qwen-plus",
    workspace=WORKSPACE,
    request_id=REQUEST,
    status_code=429,
    duration_ms=38,
    input_tokens=0,
    output_tokens=0,
    total_tokens=0,
    error_code="Throttling.RateQuota",
    error_message="Requests rate limit exceeded, please try again later.",
    started_at=datetime(2026, 3, 5, 13, 39, 36, 824_000, tzinfo=ZONE),
    wait_ms=None,
)
SUCCEEDED = TraceCall(
    time=datetime(2026, 3, 5, 13, 39, 45, 7_000, tzinfo=ZONE),
    level="INFO",
    trace_id=TRACE,
    app="risk-review",
    module="Agent",
    model="qwen-plus",
    workspace=WORKSPACE,
    request_id="9a0b11aa-6ddc-46f1-b5b4-d1e1b4c95085",
    status_code=200,
    duration_ms=859,
    input_tokens=509,
    output_tokens=131,
    total_tokens=640,
    error_code="",
    error_message="",
    started_at=datetime(2026, 3, 5, 13, 39, 44, 148_000, tzinfo=ZONE),
    wait_ms=7286,
)
PROMPT = "prompt:审核这份合同 " + "请逐条说明 " * 200


def line(time, level, message):
    return TraceLine(time, level, "c.e.ReviewService#review():67", "http-nio-8080-exec-1", message)


def call_line(call):
    values = [call.app, call.module, call.model, call.workspace, call.request_id, call.status_code, call.duration_ms]
    values += [call.input_tokens, call.output_tokens, call.total_tokens, call.error_code, call.error_message]
    return line(call.time, call.level, ",".join("" if value is None else str(value) for value in values))


BEGAN = datetime(2026, 3, 5, 13, 39, 36, 101_000, tzinfo=ZONE)
TRACED = TraceData(
    trace_id=TRACE,
    found=True,
    calls=(FAILED, SUCCEEDED),
    lines=(
        line(BEGAN, "INFO", "received POST /chat, 952 bytes"),
        line(BEGAN + timedelta(milliseconds=12), "DEBUG", PROMPT),
        call_line(FAILED),
        line(
            BEGAN + timedelta(milliseconds=770),
            "WARN",
            "retrying\n" + "\n".join(f"\tat c.e.Service.step{n}(Service.java:{n})" for n in range(40)),
        ),
        call_line(SUCCEEDED),
    ),
    explanations=(
        Explanation(
            "Throttling.RateQuota",
            "rate_limit_requests",
            "backoff",
            "more requests than the limit allows",
            "spread the calls, or ask for a higher limit",
            429,
        ),
    ),
    next=(
        f"llmops drill --model qwen-plus --workspace {WORKSPACE} --from 2026-03-05T13:24:36+08:00 --to 2026-03-05T13:54:45+08:00",
    ),
    request_ids=(REQUEST,),
    summary=(said("This trace waited 7.3 s and then succeeded."),),
)
TRACE_REPORT = report("trace", TRACED, window=None)
TRACE_MISSING = report("trace", TraceData("deadbeef", found=False, next=("llmops trace deadbeef --since 7d",)))
TRACE_AMBIGUOUS = report("trace", TraceData("5e564fe1", found=False, matches=(TRACE, TRACE[:-1] + "8")))
TRACE_SPANS = report(
    "trace",
    TraceData(
        TRACE,
        found=True,
        spans=(
            {
                "span_id": "b",
                "parent_id": "a",
                "name": "qwen-plus",
                "service": "review",
                "start": BEGAN + timedelta(seconds=1),
                "duration_ms": 859.0,
                "status": "ok",
            },
            {
                "span_id": "a",
                "parent_id": "",
                "name": "POST /chat",
                "service": "gateway",
                "start": BEGAN,
                "duration_ms": 8906.0,
                "status": "ok",
            },
        ),
    ),
)

DRILL = DrillData(
    by=("model", "workspace"),
    rows=(
        DrillRow(
            f"qwen-plus × {WORKSPACE}",
            1394,
            412,
            412 / 1394,
            0.91,
            2914.0,
            512_000,
            BaselineSlice(1101, 0.0, 2871.0, 1_204_000),
            {"model": "qwen-plus", "workspace": WORKSPACE},
        ),
        DrillRow("qwen-max × ", 27, 27, 1.0, 0.06, None, 0, None, {"model": "qwen-max", "workspace": ""}),
        DrillRow(
            "通义千问 × llm-6qtsrlugmu6wanfs",
            2220,
            13,
            13 / 2220,
            0.03,
            1210.0,
            700_000,
            BaselineSlice(1800, 0.004, 1190.0, 512_000),
            {"model": "通义千问", "workspace": "llm-6qtsrlugmu6wanfs"},
        ),
    ),
    causes=(
        CauseRow(
            {"model": "qwen-plus"},
            0.9,
            0.97,
            1394,
            412,
            412 / 1394,
            40 / 2247,
            "rate_limit_requests",
            "failures",
            0.0,
            (Message("evidence.everywhere", {"dimension": "workspace"}),),
        ),
        CauseRow({"app": "shop-assistant"}, 0.06, 0.7, 27, 27, 1.0, None),
    ),
    excess_failures=455,
    paste=said(
        "429s are confined to qwen-plus (90 % of the excess), all workspaces alike, since 14:15:08; separately shop-assistant uses a revoked key."
    ),
    next=("llmops recover --model qwen-plus",),
)
DRILL_REPORT = report("drill", DRILL)
DRILL_NOTHING = report("drill", DrillData(("model",), DRILL.rows[2:], ()))

QUOTA_REPORT = report(
    "quota",
    QuotaData(
        QUOTA_ROWS, "seen from one application's log: a lower bound", ("llmops recover throttle --model qwen-plus",)
    ),
)

RECOVER = RecoverData(
    incidents=(RATE_LIMIT,),
    actions=(
        Action(
            "throttle in the client",
            said("412 of 1,394 calls are refused; a client that waits loses none"),
            f"llmops recover throttle --model qwen-plus --workspace {WORKSPACE}",
            said("refused calls go to 0, p95 of the added wait 2.1 s"),
            said("longer answers while demand is above the limit"),
            said("remove the settings and restart"),
        ),
        Action(
            "ask for a higher limit",
            said("demand of 298 requests per minute will not fit 228"),
            "llmops recover expand --model qwen-plus",
            said("a limit that fits the demand"),
            Message(""),
            Message(""),
        ),
    ),
    runbook="rate_limit_requests",
)
RECOVER_REPORT = report("recover", RECOVER)
RECOVER_NOTHING = report("recover", RecoverData((), (), None))
RUNBOOK_REPORT = report(
    "recover",
    RunbookData("auth", "Refused keys", "# Refused keys\n\n- **Check** `llmops drill`\n"),
    window=None,
    sources=(),
)

THROTTLE_REPORT = report(
    "recover throttle",
    ThrottleData(
        "qwen-plus",
        WORKSPACE,
        3.8,
        228.0,
        None,
        None,
        12,
        Backoff(1.0, 60.0, 6, "full"),
        Replay(1394, 412, 0, Waits(0.0, 2140.0, 8020.5)),
        Settings(
            "[throttle]\nrps = 3.8\nconcurrency = 12\n", "LLMOPS_RPS=3.8\nLLMOPS_CONCURRENCY=12\n", '{"rps": 3.8}'
        ),
        (Message("note.refused_have_no_tokens"),),
        "configuration",
    ),
)
EXPAND_REPORT = report(
    "recover expand",
    ExpandData(
        {"uid": None, "region": "cn-beijing", "model": "qwen-plus", "request_ids": (REQUEST,)},
        ("uid",),
        "zh",
        f"主账号 UID:【待填写】\n地域:cn-beijing\n模型:qwen-plus\n业务空间:{WORKSPACE}\n示例 Request ID:{REQUEST}\n",
    ),
)
VERIFY_REPORT = report(
    "recover verify",
    VerifyData(
        recovered=True,
        checks=tuple(
            Check(NOW + timedelta(minutes=m), v) for m, v in enumerate(("critical", "warning", "ok", "ok", "ok"))
        ),
        recovered_at=NOW + timedelta(minutes=2),
        scorecard=Scorecard(1.5, None, 10.0),
    ),
)
VERIFY_NOT = report(
    "recover verify",
    VerifyData(
        recovered=False,
        checks=(
            Check(NOW, "unknown", 3, 0, Message("verify.log_ends", {"at": "2025-07-09 14:23:24"})),
            Check(
                NOW, "critical", 90, 41, Message("incident.auth.headline", {"scope": "qwen-max", "since": "14:15:08"})
            ),
        ),
        recovered_at=None,
        scorecard=Scorecard(),
    ),
)

EVIL = "\x1b[31mred\x1b]0;title\x07\r\n\x9b2J[/red][link=http://x]@all `a`|b <img src=x> \u202egnp.exe\u2066\u2028\u200b\ufeff\ud800 C:\\"
LONG = EVIL + "W" * 10_000


def poisoned(value, text=EVIL):
    """A copy with hostile text in every string that a log can reach, and no other change."""

    ours = {"command", "state", "verdict", "severity", "type", "id", "measure", "dimension", "retry", "runbook"}

    def walk(one, name):
        if isinstance(one, str):
            return one if name in ours else one + text
        if isinstance(one, Message):
            return replace(one, values={key: walk(item, "value") for key, item in one.values.items()})
        if is_dataclass(one):
            return replace(one, **{f.name: walk(getattr(one, f.name), f.name) for f in fields(one)})
        if isinstance(one, dict):
            return {key: walk(item, "value") for key, item in one.items()}
        if isinstance(one, tuple):
            return tuple(walk(item, name if name in ours else "") for item in one)
        return one

    copy = walk(value, "")
    by = getattr(value.data, "by", None)
    return copy if by is None else replace(copy, data=replace(copy.data, by=by))


REPORTS = {
    "status": STATUS_REPORT,
    "status-empty": EMPTY,
    "status-no-data": NO_DATA,
    "status-healthy": HEALTHY,
    "error": ERROR,
    "trace": TRACE_REPORT,
    "trace-missing": TRACE_MISSING,
    "trace-ambiguous": TRACE_AMBIGUOUS,
    "trace-spans": TRACE_SPANS,
    "drill": DRILL_REPORT,
    "drill-nothing": DRILL_NOTHING,
    "quota": QUOTA_REPORT,
    "recover": RECOVER_REPORT,
    "recover-nothing": RECOVER_NOTHING,
    "runbook": RUNBOOK_REPORT,
    "throttle": THROTTLE_REPORT,
    "expand": EXPAND_REPORT,
    "verify": VERIFY_REPORT,
    "verify-not": VERIFY_NOT,
}
