"""Is everything there that the five verbs need of a logstore? Each part is looked at once, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from llmops_cli.calls.keys import NUMBERS, TEXTS
from llmops_cli.cloud.inflight import Deadline
from llmops_cli.cloud.refusals import shortened, skew_s
from llmops_cli.cloud.sls import LogService
from llmops_cli.errors import SourceError
from llmops_cli.evidence import DIMENSIONS, Diagnosis
from llmops_cli.sources.sls.newest import RAW_SETTING, Newest, around, newest

_OLD_S = 600
"""A log whose newest line is older than this is not written any more, or not shipped."""
_MOST_SKEW_S = 60
_SIGNED_FOR_S = 900
"""How long Log Service takes a signature, seconds: https://help.aliyun.com/zh/sls/developer-reference/request-signatures"""
_FIXES = {
    "credentials_refused": "mend that key and its secret where they come from, or name another identity: "
    "credentials.cli_profile in llmops.toml",
    "sls_refused": "the code is explained at https://help.aliyun.com/zh/sls/developer-reference/common-error-codes",
}
"""What to do where an error's own hint points to `doctor`."""


class _Examination:
    """Looks at one part after the other, until one fails that the rest needs."""

    def __init__(self, service: LogService, project: str, logstore: str, timeout_s: float) -> None:
        self.service, self.project, self.logstore = service, project, logstore
        self.deadline = Deadline(timeout_s)
        self.checks: list[Diagnosis] = []

    def ask(self, name: str, send: Callable[[], Any]) -> Any:
        """Send a request; None, and a failed check, where it is refused."""
        return self.answered(name, lambda: self.service.sent(send, self.project, self.logstore, self.deadline))

    def answered(self, name: str, question: Callable[[], Any]) -> Any:
        """Ask what sends by itself; likewise."""
        try:
            return question()
        except SourceError as error:
            elsewhere = "llmops doctor" not in error.hint
            self.say(name, "failed", error.message, error.hint if elsewhere else _FIXES.get(error.code, error.hint))
            return None

    def say(self, name: str, state: Any, detail: str, fix: str = "") -> None:
        """Note what was found."""
        self.checks.append(Diagnosis(name, state, detail, fix))


def examined(
    service: LogService,
    project: str,
    logstore: str,
    fields: Mapping[str, str],
    *,
    upload_key: str,
    timeout_s: float,
    now: datetime,
) -> tuple[Diagnosis, ...]:
    """Look at project, logstore, index, every field, the newest log and the clock, in this order.

    `upload_key`: what `collect upload` needs in the index, and nobody else.
    """
    looked = _Examination(service, project, logstore, timeout_s)
    _look(looked, fields, upload_key, now)
    found = {check.name.partition(":")[0] for check in looked.checks}
    for name in ("project", "logstore", "index", "field", "newest_log", "clock"):
        if name not in found:
            looked.say(name, "unknown", "not looked at: what it needs is missing")
    return tuple(looked.checks)


def _look(looked: _Examination, fields: Mapping[str, str], upload_key: str, now: datetime) -> None:
    sdk, project, logstore = looked.service.sdk, looked.project, looked.logstore
    answer = looked.ask("project", lambda: sdk.get_project(project))
    if answer is None:
        return
    looked.say("project", "ok", f"{project} at {looked.service.endpoint}")
    _region(looked, answer.get_region())
    _clock(looked, answer.get_all_headers(), now)
    answer = looked.ask("logstore", lambda: sdk.get_logstore(project, logstore))
    if answer is None:
        return
    looked.say("logstore", "ok", f"{logstore}, kept for {answer.get_ttl()} days")
    answer = looked.ask("index", lambda: sdk.get_index_config(project, logstore))
    if answer is None:
        return
    keys = answer.get_index_config().to_json().get("keys") or {}
    lacks = upload_key not in keys
    detail = f"{len(keys)} fields" + (f", not {upload_key}, which only llmops collect upload needs" if lacks else "")
    looked.say("index", "ok", detail, "llmops collect init --yes adds it" if lacks else "")
    _fields(looked, keys, fields)
    _newest(looked, fields, now)


def _region(looked: _Examination, region: str | None) -> None:
    """Say so where the project lies in another region than the profile says: limits and signatures are by region."""
    if region and region != looked.service.region:
        found = shortened(region)
        detail = f"the project is in {found}, the profile in {looked.service.region}"
        looked.say("region", "warning", detail, f'set region = "{found}" in the profile of llmops.toml')


def _fields(looked: _Examination, keys: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """Say of each field that is not as the statements need it; one line where all are."""
    raw = "message" in names
    if not raw and "message" in keys and not {names.get(name, name) for name in (*DIMENSIONS, "duration_ms")} & {*keys}:
        looked.say("field:message", "warning", "the index has no field of a call, but the raw message", RAW_SETTING)
        return
    wanted = ("message",) if raw else (*TEXTS, *NUMBERS)
    amiss = [name for name in wanted if _amiss(looked, name, names.get(name, name), keys)]
    if not amiss:
        what = "the raw message" if raw else f"all {len(wanted)} fields"
        looked.say("field", "ok", f"{what} indexed, with statistics")


def _amiss(looked: _Examination, name: str, key: str, keys: Mapping[str, Mapping[str, Any]]) -> bool:
    """Say what keeps SQL from using a field, and whether anything does."""
    shown = name if key == name else f"{name} (key {key})"
    setting = keys.get(key)
    numeric = setting is not None and setting.get("type") in ("long", "double")
    if setting is None:
        detail, fix = "is not in the index", "adds it"
    elif not setting.get("doc_value"):
        detail, fix = "has no statistics (doc_value)", "switches them on; lines written before stay without"
    elif name in NUMBERS and not numeric:
        detail, fix = f"is {shortened(setting.get('type'))}, not long: slower, and no range search", "changes the type"
    elif name not in NUMBERS and numeric:
        detail, fix = f"is {setting['type']}, not text: SQL sees no value", "changes the type"
    else:
        return False
    looked.say(f"field:{name}", "warning", f"{shown} {detail}", f"llmops collect init --yes {fix}")
    return True


def _newest(looked: _Examination, names: Mapping[str, str], now: datetime) -> None:
    def read(rows: Sequence[Mapping[str, str]]) -> Sequence[Newest]:
        return (newest(rows, lambda name: names.get(name, name)),)

    def send() -> Any:
        span = around(int(now.timestamp() * 1000))
        return looked.service.query(
            looked.project, looked.logstore, "*", span, looked.deadline, newest_first=True, read=read
        )

    answer = looked.answered("newest_log", send)
    if answer is None:
        return
    [found] = answer.rows
    age_s = 0 if found.log_ms is None else now.timestamp() - found.log_ms / 1000
    if found.log_ms is None or age_s > _OLD_S:
        fix = "is the application writing, and Logtail running? llmops collect logtail, llmops collect upload FILE"
        looked.say("newest_log", "warning", found.said(now), fix)
    elif age_s < -_MOST_SKEW_S:
        fix = "is the time zone right in which its times are read (Logtail, collect upload --timezone)?"
        looked.say("newest_log", "warning", found.said(now), fix)
    else:
        looked.say("newest_log", "ok", found.said(now))
    if found.only_raw and "message" not in names:
        detail = 'the newest calls stand in the key "message", which is not read'
        looked.say("field:message", "warning", detail, RAW_SETTING)


def _clock(looked: _Examination, headers: Mapping[str, str], now: datetime) -> None:
    ahead_s = skew_s(headers, now)
    if ahead_s is None:
        looked.say("clock", "unknown", "the answer has no date")
        return
    if abs(ahead_s) <= _MOST_SKEW_S:
        looked.say("clock", "ok", "agrees with Log Service's")
        return
    way = "ahead of" if ahead_s > 0 else "behind"
    detail = f"{abs(ahead_s):,.0f} s {way} Log Service's; signatures hold for {_SIGNED_FOR_S} s"
    looked.say("clock", "warning", detail, "set this machine's clock (NTP)")
