"""What an expansion request says: the fields of `recover expand`, filled in from evidence.

Wanted limits are the peak demand × 1.3, rounded up to two significant digits, refused calls included (`peaks.py`):
demand that was refused is demand. When calls were refused below the known limit, others use it too, and the request
asks for 1.3 × the limit at least; a published limit far above the demand is not the account's own, and left open. What
is not the bottleneck keeps its limit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llmops_cli.evidence import Cell, Demand, Limit, Message, Observation
from llmops_cli.knowledge.errors import classify
from llmops_cli.knowledge.request import FIELDS, MAX_REQUEST_IDS, level_of
from llmops_cli.knowledge.sentences import listed, sentence
from llmops_cli.report import Incident, QuotaRow
from llmops_cli.sop.finding import ranked
from llmops_cli.sop.levels import FULL
from llmops_cli.sop.peaks import busiest_minute

MARGIN = 1.3
"""Wanted over peak: room to grow until the next request, without asking for what will not be used."""

REQUEST_FAMILIES = frozenset({"rate_limit_requests", "rate_limit_burst"})
TOKEN_FAMILIES = frozenset({"rate_limit_tokens"})
INCIDENT_TYPES = REQUEST_FAMILIES | TOKEN_FAMILIES | {"water_level"}
"""Incidents that a higher limit would end."""

_BUSY = 0.8
_STRETCHES = 3
_NAMED = 3
_PAIRS = (("current_rpm", "current_tpm"), ("wanted_rpm", "wanted_tpm"), ("peak_rpm", "peak_tpm"))
_OPTIONAL = frozenset({"limit_source", "reason", "failures", "failure_rate"})


@dataclass(frozen=True, slots=True)
class _Seen:
    """The calls of the model (and workspace) in the window, as the request needs them."""

    calls: int
    requests_refused: int
    tokens_refused: int
    bursts: int
    first_refused_ms: int | None
    hit: tuple[str, ...]
    peak_rpm: int | None
    peak_tpm: int | None
    peak_windows: tuple[str, ...]
    second_rpm: int
    """The busiest second's calls, as a rate per minute: limits hold for seconds, too."""

    @property
    def refused(self) -> int:
        return self.requests_refused + self.tokens_refused


def expansion_fields(
    *,
    model: str,
    observation: Observation,
    limit: Limit,
    workspace: str | None = None,
    incidents: Sequence[Incident] = (),
    quota_rows: Sequence[QuotaRow] = (),
    uid: str | None = None,
    region: str | None = None,
    request_ids: Iterable[str] = (),
    contact: str | None = None,
    impact: str | None = None,
    lang: str = "en",
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the fields that evidence gives and the names of those that are missing, both in the order of the text.

    `workspace` None asks for the account's limit, which is what limits are by default. `request_ids` are of refused
    calls. `impact` is what the engineer knows of the business; what the log shows is added to it. Sentences are in
    `lang`. Rates per minute are whole numbers, `failure_rate` is 0..1.
    """
    first = _first(incidents, model, workspace)
    since = _since(first, observation)
    seen = _seen(observation, quota_rows, model, workspace, since if first and first.refused_at else None)
    known = {"rpm": _positive(limit.rpm), "tpm": _positive(limit.tpm)}
    peak = {"rpm": seen.peak_rpm, "tpm": seen.peak_tpm}
    refused = {"rpm": seen.requests_refused > 0, "tpm": seen.tokens_refused > 0}
    load = {"rpm": max(seen.peak_rpm or 0, seen.second_rpm), "tpm": seen.peak_tpm or 0}
    published = {
        half: value
        for half, value in known.items()
        if value is not None and refused[half] and load[half] < FULL * value and limit.source.startswith("table")
    }
    current = {half: None if half in published else value for half, value in known.items()}
    wanted = {half: _wanted(current[half], peak[half], refused=refused[half]) for half in ("rpm", "tpm")}

    values: dict[str, Any] = {
        "uid": uid,
        "region": region,
        "model": model,
        "workspace": workspace or sentence(Message("expand.all_workspaces"), lang),
        "limit_source": None if limit.source == "unknown" else limit.source,
        "expected_growth": None,  # the sender's to say
        "reason": _reason(seen, current, wanted, published, lang),
        "window": from_to(observation.window.at, observation.window.span.start_ms, observation.window.span.end_ms),
        "peak_window": list(seen.peak_windows),
        "calls": seen.calls,
        "failures": seen.refused,
        "failure_rate": seen.refused / seen.calls if seen.calls else None,
        "request_ids": list(dict.fromkeys(i for i in request_ids if i))[:MAX_REQUEST_IDS],
        "business_impact": _impact(impact, seen, current, _beginning(seen, since, observation), lang),
        "contact": contact,
    }
    for half in ("rpm", "tpm"):
        values |= {f"current_{half}": current[half], f"wanted_{half}": wanted[half], f"peak_{half}": peak[half]}
    fields = {name: values[name] for name in FIELDS if values[name] not in (None, "", [])}
    unknown = {f"current_{half}" for half in published}
    return fields, tuple(name for name in FIELDS if name in unknown or name in _missing(fields, seen))


def unneeded(fields: Mapping[str, Any], warning: float) -> tuple[Message, ...]:
    """Return why a higher limit would not help: nothing was refused for it, and it is far from reached.

    `warning` is the share of a limit from which a level is worth a warning.
    """
    if fields.get("failures"):
        return ()
    level = level_of(fields)
    if level is not None and level >= warning:
        return ()
    return (Message("expand.not_needed", {"model": fields["model"], "level": level}),)


def _missing(fields: Mapping[str, Any], seen: _Seen) -> tuple[str, ...]:
    """Of a pair one half is enough (a model may have no TPM limit); without refusals there are no request ids.

    Where nothing in the log asks for more, only the sender knows what growth does.
    """
    complete = {name for pair in _PAIRS if any(half in fields for half in pair) for name in pair}
    if not seen.refused:
        complete.add("request_ids")
    if seen.refused or "reason" in fields:
        complete.add("expected_growth")
    return tuple(name for name in FIELDS if name not in fields and name not in complete | _OPTIONAL)


# --- what was seen ----------------------------------------------------------------------------------------------------


def _seen(
    observation: Observation,
    quota_rows: Sequence[QuotaRow],
    model: str,
    workspace: str | None,
    rose: datetime | None,
) -> _Seen:
    cells = [
        cell
        for cell in observation.cells
        if cell.period == "now" and cell.where.model == model and workspace in (None, cell.where.workspace)
    ]
    families = {id(cell): _family(cell) for cell in cells if not cell.ok}
    requests = sum(cell.calls for cell in cells if families.get(id(cell)) in REQUEST_FAMILIES)
    tokens = sum(cell.calls for cell in cells if families.get(id(cell)) in TOKEN_FAMILIES)
    hit: Counter[str] = Counter()
    limited = REQUEST_FAMILIES | TOKEN_FAMILIES
    for cell in cells:
        if not requests + tokens or families.get(id(cell)) in REQUEST_FAMILIES | TOKEN_FAMILIES:
            hit[f"{cell.where.app}/{cell.where.module}"] += cell.calls

    refused = [cell.first_ms for cell in cells if families.get(id(cell)) in limited]
    rose_ms = 0 if rose is None else round(rose.timestamp() * 1000)
    demand = next((d for d in observation.demand if (d.model, d.workspace) == (model, workspace)), None)
    row = next((r for r in quota_rows if (r.model, r.workspace) == (model, workspace)), None)
    rpm, tpm = busiest_minute(observation, model, workspace) or ((row.rpm.peak, row.tpm.peak) if row else (0, 0))
    return _Seen(
        calls=demand.calls if demand else sum(cell.calls for cell in cells),
        requests_refused=requests,
        tokens_refused=tokens,
        bursts=sum(cell.calls for cell in cells if families.get(id(cell)) == "rate_limit_burst"),
        # A lone refusal before demand rose is not where it began.
        first_refused_ms=min((ms for ms in refused if ms >= rose_ms), default=min(refused, default=None)),
        hit=tuple(name for name, _ in ranked(hit)),
        peak_rpm=round(rpm) or None,
        peak_tpm=round(tpm) or None,
        peak_windows=_busy(observation, cells, demand),
        second_rpm=60 * demand.rps_peak if demand else 0,
    )


def _family(cell: Cell) -> str:
    return classify(cell.status_code, cell.error_code, cell.error_message).family


def _busy(observation: Observation, cells: Sequence[Cell], demand: Demand | None) -> tuple[str, ...]:
    """Stretches of buckets with at least 80 % of the busiest one's calls: the three largest, in the order of time."""
    load: Counter[int] = Counter()
    for cell in cells:
        load[cell.bucket_ms] += cell.calls
    if not load or observation.bucket_ms <= 0:
        if demand is None or not demand.rpm_peak:
            return ()
        return (from_to(observation.window.at, demand.peak_ms, demand.peak_ms + 60_000),)
    stretches: list[tuple[int, int, int]] = []
    for start in sorted(bucket for bucket, calls in load.items() if calls >= _BUSY * max(load.values())):
        end = start + observation.bucket_ms
        if stretches and stretches[-1][1] == start:
            first, _, calls = stretches.pop()
            stretches.append((first, end, calls + load[start]))
        else:
            stretches.append((start, end, load[start]))
    largest = sorted(stretches, key=lambda stretch: -stretch[2])[:_STRETCHES]
    return tuple(from_to(observation.window.at, start, end) for start, end, _ in sorted(largest))


def _first(incidents: Sequence[Incident], model: str, workspace: str | None) -> Incident | None:
    """Return the first incident that a higher limit would end."""
    found = [
        (start, number)
        for number, incident in enumerate(incidents)
        if incident.type in INCIDENT_TYPES
        and incident.scope.get("model", model) == model
        and (workspace is None or incident.scope.get("workspace", workspace) == workspace)
        and (start := incident.started_at or incident.started_before) is not None
    ]
    return incidents[min(found)[1]] if found else None


def _since(incident: Incident | None, observation: Observation) -> datetime | None:
    """When an incident began; for one older than all data, that bound."""
    start = None if incident is None else incident.started_at or incident.started_before
    return None if start is None else start.astimezone(observation.window.timezone)


# --- what is asked for ------------------------------------------------------------------------------------------------


def round_up(number: float) -> int:
    """Round up to two significant digits: 308.1 is 310, 1,234,567 is 1,300,000; what has fewer, to a whole number."""
    unit: int = 10 ** max(0, math.floor(math.log10(max(1.0, number))) - 1)
    return math.ceil(number * (1 - 1e-9) / unit) * unit


def _wanted(current: int | None, peak: int | None, *, refused: bool) -> int | None:
    need = (peak or 0) * MARGIN
    if refused and current is not None:
        need = max(need, current * MARGIN)
    if current is not None and need <= current:
        return current
    return round_up(need) if need else None


def _reason(
    seen: _Seen,
    current: Mapping[str, int | None],
    wanted: Mapping[str, int | None],
    published: Mapping[str, int],
    lang: str,
) -> str | None:
    raised = [half for half in ("rpm", "tpm") if wanted[half] is not None and wanted[half] != current[half]]
    if not seen.refused:  # near a limit that nobody knows is no reason
        raised = [half for half in raised if current[half] is not None]
    if not raised:
        return None
    values: dict[str, str | int | float | None] = {
        "what": " + ".join(half.upper() for half in raised),
        "margin": MARGIN - 1,
    }
    if published:
        values["published"] = listed([f"{half.upper()} {value:,}" for half, value in published.items()], lang)
        return sentence(Message("expand.reason_published", values), lang)
    pairs = {"rpm": (seen.peak_rpm, current["rpm"]), "tpm": (seen.peak_tpm, current["tpm"])}
    levels = [peak / limit for peak, limit in (pairs[half] for half in raised) if peak and limit]
    if seen.refused and levels and max(levels) < 1:
        burst = seen.bursts > seen.refused / 2
        values["level"] = max(levels)
        return sentence(Message("expand.reason_burst" if burst else "expand.reason_below", values), lang)
    return sentence(Message("expand.reason_refused" if seen.refused else "expand.reason_growth", values), lang)


def _impact(
    impact: str | None, seen: _Seen, current: Mapping[str, int | None], beginning: Mapping[str, str | None], lang: str
) -> str | None:
    """Say what the engineer knows, then who is hit, how much, and since when."""
    peaks = ((seen.peak_rpm, current["rpm"]), (seen.peak_tpm, current["tpm"]))
    levels = [peak / limit for peak, limit in peaks if peak and limit]
    who, more = named(seen.hit, lang)
    values: dict[str, str | int | float | None] = {
        "failures": seen.refused,
        "calls": seen.calls,
        "rate": seen.refused / seen.calls if seen.calls else None,
        "who": who,
        "more": more,
        **beginning,
        "level": max(levels, default=None),
    }
    if seen.refused:
        return with_impact(impact, Message("expand.impact", values), lang)
    return with_impact(impact, Message("expand.impact_near", values) if seen.calls else None, lang)


def _beginning(seen: _Seen, since: datetime | None, observation: Observation) -> dict[str, str | None]:
    """Say when refusals began: the first one, and when demand rose where that came before; older ones as known."""
    window, first_ms = observation.window, seen.first_refused_ms
    if since is None or first_ms is None or since < window.at(window.span.start_ms):
        return {"since": None if since is None else since.isoformat(" ", "seconds"), "rose": None}
    first = window.at(first_ms)
    rose = since.isoformat(" ", "seconds") if (first - since).total_seconds() >= 1 else None
    return {"since": first.isoformat(" ", "seconds"), "rose": rose}


def with_impact(impact: str | None, shown: Message | None, lang: str) -> str | None:
    """Join what the engineer knows of the business with what the log shows; None when nothing is known."""
    known = impact.rstrip(".。 ") if impact else None
    parts = [part for part in (known, None if shown is None else sentence(shown, lang)) if part]
    return listed(parts, lang, by="request.and_then") or None


def named(names: Sequence[str], lang: str) -> tuple[str, int | None]:
    """Return the first few names as a list, and how many more there are (None: these are all)."""
    return listed(names[:_NAMED], lang), len(names) - _NAMED if len(names) > _NAMED else None


def _positive(limit: float | None) -> int | None:
    return None if limit is None or not 0 < limit < math.inf else round(limit)


def from_to(at: Callable[[int], datetime], start_ms: int, end_ms: int) -> str:
    """`2025-07-09 14:12:24 – 14:27:24 +08:00`: one date when both ends share it, the offset once."""
    start, end = at(start_ms), at(end_ms)
    same_day = start.date() == end.date() and start.utcoffset() == end.utcoffset()
    offset = end.replace(microsecond=0).isoformat()[19:]
    return f"{start:%Y-%m-%d %H:%M:%S} – {end:{'%H:%M:%S' if same_day else '%Y-%m-%d %H:%M:%S'}} {offset}"
