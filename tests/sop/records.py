"""Small logs made by hand: evenly spaced calls, so that every expected number can be counted on paper."""

from __future__ import annotations

from llmops_cli.evidence import CallRecord, FeedbackRecord, Span, Thresholds
from llmops_cli.sop.quota import find_limits
from llmops_cli.sop.status import assess
from tests.reference import observe

MINUTE = 60_000
T0 = 1_752_040_800_000
"""Start of the windows here, on a whole minute: 2025-07-09 06:00 UTC."""
NOW = Span(T0, T0 + 15 * MINUTE)
BEFORE = Span(T0 - 15 * MINUTE, T0)

ERRORS = {
    "auth": (401, "InvalidApiKey", "Invalid API-key provided."),
    "billing": (400, "Arrearage", "Access denied, please make sure your account is in good standing."),
    "rate_limit_requests": (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    "rate_limit_tokens": (
        429,
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
    ),
    "server_error": (500, "InternalError", "An internal error has occured, please try again later."),
    "content_moderation": (400, "DataInspectionFailed", "Input data may contain inappropriate content."),
    "timeout": (None, "SocketTimeoutException", "timeout"),
    "network": (None, "UnknownHostException", "dashscope.aliyuncs.com: Name or service not known"),
}


def call(ms, *, app="shop", module="Chat", model="qwen-plus", workspace="llm-a", error="", duration=1000, tokens=100):
    """One call; `error` is a key of ERRORS, or a (status, code, message)."""
    status, code, message = ERRORS.get(error, error or (200, "", ""))
    spent = 0 if error else tokens
    return CallRecord(
        ms,
        "ERROR" if error else "INFO",
        "t",
        app,
        module,
        model,
        workspace,
        "r",
        status,
        duration,
        spent,
        0,
        spent,
        code,
        message,
    )


def steady(start_ms, end_ms, per_minute, *, fail_every=0, error="", slow_every=0, slow=20_000, duration=1000, **where):
    """Evenly spaced calls; every `fail_every`-th fails with `error`, every `slow_every`-th takes `slow` ms."""
    step = MINUTE / per_minute
    count = int((end_ms - start_ms) / step)
    return [
        call(
            int(start_ms + i * step),
            error=error if fail_every and i % fail_every == 0 else "",
            duration=slow if slow_every and i % slow_every == 0 else duration,
            **where,
        )
        for i in range(count)
    ]


def rating(ms, down, *, app="shop", module="Chat", model="qwen-plus", workspace="llm-a"):
    return FeedbackRecord(ms, "t", app, module, model, workspace, "r", "down" if down else "up", "")


def four_apps(start_ms, end_ms, per_minute, **only):
    """Two apps × two models × two workspaces, `per_minute` calls each; `only` overrides what one combination does.

    `only` maps "app/model/workspace" patterns to options of `steady`, given as `{(app, model, workspace): {…}}` under
    the name `special`; None in a key stands for any value.
    """
    special = only.get("special", {})
    records = []
    for app in ("shop", "docs"):
        for model in ("qwen-plus", "qwen-max"):
            for workspace in ("llm-a", "llm-b"):
                options = {}
                for key, extra in special.items():
                    if all(want in (None, have) for want, have in zip(key, (app, model, workspace), strict=True)):
                        options = extra
                options = {"per_minute": per_minute, **options}
                records += steady(start_ms, end_ms, app=app, model=model, workspace=workspace, **options)
    return records


def seen(records, span=NOW, baseline=BEFORE, **options):
    return observe(sorted(records, key=lambda r: r.time_ms), span, baseline, **options)


def judged(records, span=NOW, baseline=BEFORE, *, limits=None, thresholds=Thresholds(), next_options="", **options):  # noqa: B008 - frozen
    """The answer of `status` for a log; `limits` as configured, none of the shipped table's."""
    observation = seen(records, span, baseline, thresholds=thresholds, **options)
    found = find_limits(observation.demand, limits or {}, "nowhere")
    return assess(observation, found, thresholds, next_options=next_options)


def healthy(per_minute=30):
    """Half an hour in which nothing is wrong."""
    return four_apps(BEFORE.start_ms, NOW.end_ms, per_minute)


def one(answer):
    """The only incident of an answer."""
    assert len(answer.incidents) == 1, [(i.type, i.scope) for i in answer.incidents]
    return answer.incidents[0]


def since(incident):
    """When an incident began, in minutes after T0."""
    return None if incident.started_at is None else (incident.started_at.timestamp() * 1000 - T0) / MINUTE
