"""One line for a monitoring system, by the Monitoring Plugins guidelines.

`LLMOPS STATE - text | 'label'=value[unit];warn;crit;min;max`.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from llmops_cli.evidence import Band, Severity, Thresholds
from llmops_cli.report import DoctorData, QuotaData, QuotaRow, Report, StatusData, VerifyData
from llmops_cli.views.figures import ASCII, percent
from llmops_cli.views.heading import doubts
from llmops_cli.views.saying import checked, doctor_verdict, headline
from llmops_cli.views.words import joined, place, say, word

LEVELS = 50
"""Most water levels in one line: a plugin's output is cut at 4 to 8 KB by common schedulers."""

_WORST = ("critical", "warning", "ok")


class Perf(NamedTuple):
    """One measure; `value` None reads `U`, undetermined."""

    label: str
    value: float | None
    unit: str = ""
    band: Band | None = None
    scale: float = 1.0
    top: str = ""


def to_nagios(report: Report, lang: str = "en", *, allow_stale: bool = False) -> str:
    """Return one line: the state, why, and performance data. A report without data is UNKNOWN with its reason."""
    why, measures = _said(report, lang)
    shown = judged(report, allow_stale=allow_stale)
    if shown == "unknown" and report.data is not None:
        why = "; ".join([why, *doubts(report, lang)])
    text = " ".join(f"LLMOPS {shown.upper()} - {why}".translate(ASCII).replace("|", "/").split())
    perf = " ".join(_perf(one) for one in measures)
    return f"{text} | {perf}" if perf else text


def judged(report: Report, *, allow_stale: bool = False) -> Severity:
    """Return the state: stale or partial data is unknown, unless what was seen is critical.

    An anchored window is unknown whatever it shows, unless `allow_stale`; then one that is unknown for that reason
    alone counts as ok.
    """
    found = _verdict(report)
    stale = report.window is not None and report.window.anchored
    if stale and not allow_stale:
        return "unknown"
    if report.partial and found != "critical":
        return "unknown"
    data = report.data
    if stale and found == "unknown" and isinstance(data, StatusData) and data.headline.id == "headline.anchored":
        return "ok"
    return found


def _verdict(report: Report) -> Severity:
    data = report.data
    if isinstance(data, StatusData):
        return data.verdict
    if isinstance(data, VerifyData):
        last: Severity = data.checks[-1].verdict if data.checks else "unknown"
        return "ok" if data.recovered else "warning" if last == "ok" else last
    if isinstance(data, DoctorData):
        return data.verdict
    states: list[Severity] = [row.state for row in data.rows] if isinstance(data, QuotaData) else []
    return next((state for state in _WORST if state in states), "unknown")


def _said(report: Report, lang: str) -> tuple[str, list[Perf]]:
    data = report.data
    if isinstance(data, StatusData):
        return headline(data, lang), _status(data)
    if isinstance(data, QuotaData):
        return _quota(data, lang), _levels(data.rows, Thresholds())
    if isinstance(data, VerifyData):
        return _verify(data, lang)
    if isinstance(data, DoctorData):
        amiss = [f"{one.name}: {one.detail}" for one in data.checks if one.state != "ok"]
        return "; ".join([doctor_verdict(data, lang), *amiss]), []
    if report.errors:
        return "; ".join(f"{one.message}{f' ({one.hint})' if one.hint else ''}" for one in report.errors), []
    return word("view.no_verdict" if data is not None else "view.no_answer", lang), []


def _status(data: StatusData) -> list[Perf]:
    limits = data.thresholds
    failure_rate, p95 = (limits.failure_rate, limits.p95_ms) if limits else (None, None)
    negative = limits.negative_rate if limits else None
    return [
        Perf("failure_rate", data.failure_rate, "%", failure_rate, 100, "100"),
        Perf("p95", data.duration_ms.p95, "ms", p95),
        Perf("calls", data.calls),
        Perf("failures", data.failures),
        Perf("qpm_peak", data.qpm.peak),
        Perf("tpm_peak", data.tpm.peak),
        Perf("negative_rate", data.feedback.negative_rate, "%", negative, 100, "100"),
        Perf("unparsed", data.unparsed),
        Perf("incidents", len(data.incidents)),
        *_levels(data.water_levels, limits),
    ]


def _levels(rows: tuple[QuotaRow, ...], limits: Thresholds | None) -> list[Perf]:
    band = limits.water_level if limits else None
    return [
        Perf(f"level {row.model}{'' if row.workspace is None else f' {row.workspace}'}", row.level, "%", band, 100)
        for row in rows
        if row.level is not None
    ][:LEVELS]


def _quota(data: QuotaData, lang: str) -> str:
    known = [row for row in data.rows if row.level is not None]
    if not known:
        return word("view.no_known_level", lang)
    worst = max(known, key=lambda row: row.level or 0)
    name = place(worst.model, worst.workspace, lang)
    return word("view.at_level", lang, place=name, level=percent(worst.level, 0))


def _verify(data: VerifyData, lang: str) -> tuple[str, list[Perf]]:
    _, why = checked(data, lang)
    reason = data.checks[-1].reason if data.checks and not data.recovered else None
    if reason is not None:
        why = joined([why, say(reason, lang)], lang)
    healthy = sum(check.verdict == "ok" for check in data.checks)
    card = data.scorecard
    minutes = (("detect", card.detect_min), ("locate", card.locate_min), ("recover", card.recover_min))
    return (
        word("view.healthy_checks", lang, text=why, healthy=healthy, checks=len(data.checks)),
        [Perf("checks", len(data.checks)), Perf("healthy", healthy)]
        + [Perf(f"{name}_s", value, "s", scale=60) for name, value in minutes if value is not None],
    )


def _perf(one: Perf) -> str:
    label = re.sub(r"[='|]", "_", one.label.translate(ASCII))
    name = f"'{label}'" if re.search(r"\s", label) else label
    if one.value is None or not math.isfinite(one.value):
        return f"{name}=U"
    marks = [_number(one.value * one.scale) + one.unit]
    warn, crit = (
        (_number(one.band.warning * one.scale), _number(one.band.critical * one.scale)) if one.band else ("", "")
    )
    marks += [warn, crit, "0", one.top]
    return f"{name}={';'.join(marks).rstrip(';')}"


def _number(value: float) -> str:
    """Return up to two decimals, never an exponent, no trailing zeros."""
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".")
