"""Is everything there that the five verbs need of a logstore? Each part is looked at once, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from llmops_cli.cloud.inflight import Deadline, InFlight, OverdueError
from llmops_cli.cloud.sls import LogService
from llmops_cli.errors import SourceError
from llmops_cli.evidence import DIMENSIONS, Diagnosis

_NUMBERS = ("status_code", "duration_ms", "input_tokens", "output_tokens", "total_tokens")
_TEXTS = (*DIMENSIONS, "trace_id", "level", "request_id", "error_code", "error_message", "rating")
_OLD_S = 600
"""A log whose newest line is older than this is not written any more, or not shipped."""
_LOOK_BACK_S = 7 * 86_400
_MOST_SKEW_S = 60
_SIGNED_FOR_S = 900
"""How long Log Service takes a signature, seconds: https://help.aliyun.com/zh/sls/developer-reference/request-signatures"""


class _Examination:
    """Looks at one part after the other, until one fails that the rest needs."""

    def __init__(self, service: LogService, project: str, logstore: str, timeout_s: float) -> None:
        self.service, self.project, self.logstore = service, project, logstore
        self.deadline = Deadline(timeout_s)
        self.checks: list[Diagnosis] = []
        self._in_flight = InFlight()

    def ask(self, name: str, send: Callable[[], Any]) -> Any:
        """Send a request; None, and a failed check, where it is refused."""
        pending = self._in_flight.start(lambda: self.service.sent(send, self.project, self.logstore, self.deadline))
        try:
            return pending.result(self.deadline)
        except OverdueError:
            error = self.service.overdue(self.deadline)
        except SourceError as refused:
            error = refused
        self.say(name, "failed", error.message, error.hint)
        return None

    def say(self, name: str, state: Any, detail: str, fix: str = "") -> None:
        """Note what was found."""
        self.checks.append(Diagnosis(name, state, detail, fix))


def examined(
    service: LogService, project: str, logstore: str, fields: Mapping[str, str], *, timeout_s: float, now: datetime
) -> tuple[Diagnosis, ...]:
    """Look at project, logstore, index, every field, the newest log and the clock, in this order."""
    looked = _Examination(service, project, logstore, timeout_s)
    _look(looked, fields, now)
    found = {check.name.partition(":")[0] for check in looked.checks}
    for name in ("project", "logstore", "index", "field", "newest_log", "clock"):
        if name not in found:
            looked.say(name, "unknown", "not looked at: what it needs is missing")
    return tuple(looked.checks)


def _look(looked: _Examination, fields: Mapping[str, str], now: datetime) -> None:
    sdk, project, logstore = looked.service.sdk, looked.project, looked.logstore
    answer = looked.ask("project", lambda: sdk.get_project(project))
    if answer is None:
        return
    looked.say("project", "ok", f"{project} at {looked.service.endpoint}")
    _clock(looked, answer.get_all_headers(), now)
    answer = looked.ask("logstore", lambda: sdk.get_logstore(project, logstore))
    if answer is None:
        return
    looked.say("logstore", "ok", f"{logstore}, kept for {answer.get_ttl()} days")
    answer = looked.ask("index", lambda: sdk.get_index_config(project, logstore))
    if answer is None:
        return
    keys = answer.get_index_config().to_json().get("keys") or {}
    looked.say("index", "ok", f"{len(keys)} fields")
    _fields(looked, keys, fields)
    _newest(looked, now)


def _fields(looked: _Examination, keys: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """Say of each field that is not as the statements need it; one line where all are."""
    raw = "message" in names
    wanted = ("message",) if raw else (*_TEXTS, *_NUMBERS)
    amiss = 0
    for name in wanted:
        key, amiss = names.get(name, name), amiss + 1
        shown = name if key == name else f"{name} (key {key})"
        setting = keys.get(key)
        if setting is None:
            looked.say(f"field:{name}", "warning", f"{shown} is not in the index", "llmops collect init adds it")
        elif not setting.get("doc_value"):
            fix = "llmops collect init switches it on; lines written before stay without"
            looked.say(f"field:{name}", "warning", f"{shown} has no statistics (doc_value)", fix)
        elif name in _NUMBERS and setting.get("type") not in ("long", "double"):
            looked.say(
                f"field:{name}", "warning", f"{shown} is {setting.get('type')}, not long: slower, and no range search",
                "llmops collect init --yes changes the type",
            )  # fmt: skip
        else:
            amiss -= 1
    if not amiss:
        what = "the raw message" if raw else f"all {len(wanted)} fields"
        looked.say("field", "ok", f"{what} indexed, with statistics")


def _newest(looked: _Examination, now: datetime) -> None:
    to = int(now.timestamp()) + 1
    answer = looked.ask(
        "newest_log",
        lambda: looked.service.sdk.get_log(
            looked.project, looked.logstore, to - _LOOK_BACK_S, to, query="*", size=1, reverse=True
        ).get_body(),
    )
    if answer is None:
        return
    rows = answer.get("data") or ()
    if not rows:
        fix = "is the application writing, and Logtail running? llmops collect logtail, llmops collect upload FILE"
        looked.say("newest_log", "warning", "no log in the last 7 days", fix)
        return
    age_s = now.timestamp() - int(rows[0]["__time__"])
    at = datetime.fromtimestamp(int(rows[0]["__time__"]), UTC).isoformat()
    if age_s > _OLD_S:
        fix = "is the application writing, and Logtail running? llmops collect logtail prints its configuration"
        looked.say("newest_log", "warning", f"{age_s / 60:,.0f} min old ({at})", fix)
    else:
        looked.say("newest_log", "ok", f"{max(0, age_s):,.0f} s old")


def _clock(looked: _Examination, headers: Mapping[str, str], now: datetime) -> None:
    dates = [value for name, value in headers.items() if name.lower() == "date"]
    try:
        skew_s = (now - parsedate_to_datetime(dates[0])).total_seconds()
    except (IndexError, ValueError, TypeError):
        looked.say("clock", "unknown", "the answer has no date")
        return
    if abs(skew_s) <= _MOST_SKEW_S:
        looked.say("clock", "ok", "agrees with Log Service's")
        return
    way = "ahead of" if skew_s > 0 else "behind"
    detail = f"{abs(skew_s):,.0f} s {way} Log Service's; signatures hold for {_SIGNED_FOR_S} s"
    looked.say("clock", "warning", detail, "set this machine's clock (NTP)")
