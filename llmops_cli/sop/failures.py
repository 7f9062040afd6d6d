"""Failed calls: one finding for each family and scope whose failures rose, or are too many whatever was before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from llmops_cli.evidence import Cell, Message, Severity
from llmops_cli.knowledge.sentences import duration_text
from llmops_cli.knowledge.thresholds import (
    APPLICATION_CEILING,
    BACKGROUND_RATE,
    LEAST_LASTING_MS,
    LEAST_SPREAD_MS,
    MASSIVE_RATE,
    MIN_FAILURES,
    MIN_RISE,
    NEARLY_DOWN,
)
from llmops_cli.sop import counted
from llmops_cli.sop.finding import Finding, clock, ranked
from llmops_cli.sop.ledger import Ledger, at, inside, total
from llmops_cli.sop.onset import LOOK_BACK, began, known_from, moments
from llmops_cli.sop.rises import LEAST_SCORE, Bar, Rise, measured, rises
from llmops_cli.sop.scope import EVERY_PATTERN, RESOURCE_PATTERNS
from llmops_cli.sop.significance import certain, wilson

APPLICATION_FAMILIES = frozenset({"content_moderation", "bad_request", "input_too_long"})
"""What is sent decides these: some are always there, and only many of them are worth a page."""

_PREFER: Mapping[str, tuple[str, ...]] = {
    "auth": ("app", "workspace", "module", "model"),
    "billing": ("workspace", "app", "model", "module"),
    "permission": ("workspace", "model", "app", "module"),
    "content_moderation": ("app", "module", "workspace", "model"),
    "bad_request": ("app", "module", "model", "workspace"),
    "input_too_long": ("module", "app", "model", "workspace"),
    "network": ("app", "workspace", "module", "model"),
    "application": ("app", "module", "workspace", "model"),
}
_PLATFORM = ("model", "workspace", "app", "module")
MAIN_CODES = 3
MAIN_KINDS = 4
SAMPLE_LENGTH = 160
LEAST_KIND = 0.05
"""A family with a smaller part of all failures is not counted among the kinds of a mixture."""


def find(ledger: Ledger) -> list[Finding]:
    """Find the failures that are incidents."""
    if ledger.observation.filters.error_code:
        return counted.find(ledger)
    found = []
    for family in ledger.families:
        bar = bar_for(family, ledger)
        tally = ledger.failures(family)
        has_baseline = ledger.before_minutes > 0
        found += [
            finding
            for rise in rises(tally, bar, ledger.first_now, has_baseline=has_baseline)
            if (finding := _finding(ledger, family, rise)) is not None
        ]
    return found or _mixed(ledger)


def bar_for(family: str, ledger: Ledger) -> Bar:
    """How many failures of a family are too many."""
    band, limited = ledger.thresholds.failure_rate, family.startswith("rate_limit_")
    part = max(band.critical, APPLICATION_CEILING) if family in APPLICATION_FAMILIES else band.critical
    return Bar(
        floor=min(BACKGROUND_RATE, band.warning / 2),
        factor=MIN_RISE,
        ceiling=band.warning,
        part_ceiling=part,
        least_trials=ledger.thresholds.min_calls,
        least_hits=MIN_FAILURES,
        least_share=band.warning,
        patterns=RESOURCE_PATTERNS if limited else EVERY_PATTERN,
        least_score=ledger.strictness * LEAST_SCORE,
        prefer=_PREFER.get(family, _PLATFORM),
        everywhere=not limited,
    )


def _finding(ledger: Ledger, family: str, rise: Rise) -> Finding | None:
    cells = _cells(ledger, family, rise)
    if not cells:
        return None
    first_ms, last_ms = min(cell.first_ms for cell in cells), max(cell.last_ms for cell in cells)
    if last_ms - first_ms < LEAST_LASTING_MS and not _spoils(ledger, rise.hits):
        return None
    started_ms, before_ms = onset(ledger, family, rise, last_ms - first_ms)
    ended_ms = _ended(ledger, rise, last_ms)
    return Finding(
        type=family,
        scope=rise.scope,
        severity="warning" if ended_ms is not None else _severity(ledger, family, rise),
        started_ms=started_ms,
        started_before_ms=before_ms,
        evidence=_evidence(ledger, family, rise, cells, ended_ms),
        failures=rise.hits,
        calls=rise.trials,
        certainty=rise.score,
        ended_ms=ended_ms,
    )


def _spoils(ledger: Ledger, failures: int) -> bool:
    """Whether so many failures make the whole window critical: then it is not well, however short they took."""
    return wilson(failures, ledger.observation.now.calls, 2.6)[0] >= ledger.thresholds.failure_rate.critical


def _cells(ledger: Ledger, family: str, rise: Rise) -> list[Cell]:
    """Collect the failed cells of a rise."""
    return [
        cell
        for cell in ledger.families[family]
        if inside(cell.where, rise.scope)
        and (slot := ledger.on_timeline(cell)) is not None
        and rise.start <= slot < rise.end
    ]


def onset(ledger: Ledger, family: str, rise: Rise, lasted_ms: int) -> tuple[int | None, int | None]:
    """When it began; else before when (the beginning of all that was read)."""
    from_ms = ledger.slots[max(0, rise.start - LOOK_BACK)].start_ms
    members = set(map(id, ledger.families[family]))
    found = moments(
        ledger,
        ledger.within(rise.scope),
        from_ms,
        ledger.slots[rise.end - 1].end_ms,
        lambda cell: (cell.calls, cell.calls if id(cell) in members else 0),
    )
    began_ms = began(found, rise.share, rise.usual)
    if began_ms is None:
        began_ms = ledger.slots[rise.start].start_ms
    return known_from(ledger, began_ms, max(3 * ledger.observation.bucket_ms // 2, 2 * lasted_ms // max(1, rise.hits)))


def began_in(ledger: Ledger, family: str, scope: Mapping[str, str]) -> tuple[int | None, int | None]:
    """When failures of a family began in a scope, as `onset` says; (None, None) where they did not rise."""
    rise = measured(
        ledger.failures(family), bar_for(family, ledger), scope, ledger.first_now,
        has_baseline=ledger.before_minutes > 0,
    )  # fmt: skip
    cells = _cells(ledger, family, rise) if rise is not None else []
    if rise is None or not cells:
        return None, None
    return onset(ledger, family, rise, max(c.last_ms for c in cells) - min(c.first_ms for c in cells))


def _ended(ledger: Ledger, rise: Rise, last_ms: int) -> int | None:
    """Give the last failure when it is over: calls went on for a while, ten failures were due, and none came."""
    if rise.end >= len(ledger.slots):
        return None
    wheres = ledger.calls.members(rise.scope)
    calls = sum(at(ledger.calls.trials[where], rise.end, len(ledger.slots)) for where in wheres)
    quiet_ms = ledger.span.end_ms - last_ms
    return last_ms if calls * rise.share >= 10 and quiet_ms >= max(120_000, 2 * ledger.observation.bucket_ms) else None


def _severity(ledger: Ledger, family: str, rise: Rise) -> Severity:
    everything = total(ledger.calls.trials.values(), len(ledger.slots))
    overall = wilson(rise.hits, at(everything, rise.start, rise.end), 1.96)[0]
    down = wilson(rise.hits, rise.trials, 1.96)[0] >= NEARLY_DOWN
    felt = overall >= ledger.thresholds.failure_rate.critical
    if family in APPLICATION_FAMILIES:
        return "critical" if felt and (down or overall >= MASSIVE_RATE) else "warning"
    return "critical" if felt or down else "warning"


def _evidence(ledger: Ledger, family: str, rise: Rise, cells: Sequence[Cell], ended_ms: int | None) -> list[Message]:
    values: dict[str, str | int | float | None] = {
        "failures": rise.hits,
        "calls": rise.trials,
        "rate": rise.share,
        "before_failures": rise.before_hits if rise.before_trials else None,
        "before_calls": rise.before_trials or None,
        "since": _counted_from(ledger, rise),
    }
    kind = "refused" if family.startswith("rate_limit_") else "failed"
    evidence = [Message("evidence.all_failed" if rise.hits == rise.trials else f"evidence.{kind}", values)]
    codes: Counter[tuple[str, int | None]] = Counter()
    messages: dict[tuple[str, int | None], Counter[str]] = defaultdict(Counter)
    for cell in cells:
        codes[cell.error_code, cell.status_code] += cell.calls
        messages[cell.error_code, cell.status_code][cell.error_message] += cell.calls
    kinds = ranked(codes)
    for (code, status), calls in kinds[:MAIN_CODES]:
        share = None if len(codes) == 1 else calls / rise.hits
        said = "code" if code else "no_answer" if status is None else "no_code"
        evidence.append(Message(f"evidence.{said}", {"code": code, "status": status, "calls": calls, "share": share}))
    main = kinds[0][0]
    sample = ranked(messages[main])[0][0]
    if sample:
        said = "client_sample" if main[1] is None else "sample"
        evidence.append(Message(f"evidence.{said}", {"message": sample[:SAMPLE_LENGTH]}))
    if rise.scope:
        evidence += _elsewhere(ledger, family, rise)
    if ended_ms is not None:
        evidence.append(recovered(ledger, rise.scope, ended_ms))
    return evidence


def _counted_from(ledger: Ledger, rise: Rise) -> str | None:
    """Since when calls are counted, where that is not the window's start: its own counts are others."""
    return clock(ledger.window, ledger.slots[rise.start].start_ms) if rise.start != ledger.first_now else None


def _elsewhere(ledger: Ledger, family: str, rise: Rise) -> list[Message]:
    tally = ledger.failures(family)
    outside = [where for where in tally.trials if not inside(where, rise.scope)]
    calls = sum(at(tally.trials[where], rise.start, rise.end) for where in outside)
    failures = sum(at(tally.hits[where], rise.start, rise.end) for where in outside if where in tally.hits)
    if not calls:
        return []
    return [Message("evidence.only_here", {"failures": failures, "calls": calls, "rate": failures / calls})]


def recovered(ledger: Ledger, scope: Mapping[str, str], ended_ms: int) -> Message:
    """Say that it is over."""
    calls = sum(cell.calls for cell in ledger.within(scope) if cell.period == "now" and cell.bucket_ms >= ended_ms)
    values: dict[str, str | int | float | None] = {
        "since": clock(ledger.window, ended_ms),
        "for": duration_text(ledger.span.end_ms - ended_ms),
        "calls": calls,
    }
    return Message("evidence.recovered", values)


def _mixed(ledger: Ledger) -> list[Finding]:
    """Too many failures in all, though no family of them stands out: typed after the largest, told as a mixture."""
    if not ledger.families:
        return []
    band = ledger.thresholds.failure_rate
    every = [cell for cells in ledger.families.values() for cell in cells if cell.period == "now"]
    failures, calls = ledger.observation.now.failures, ledger.observation.now.calls
    low = wilson(failures, calls, 2.6)[0]
    if failures < MIN_FAILURES or calls < ledger.thresholds.min_calls or low < band.warning or not every:
        return []
    spread_ms = max(cell.last_ms for cell in every) - min(cell.first_ms for cell in every)
    if spread_ms < LEAST_SPREAD_MS and not _spoils(ledger, failures):
        return []
    sizes = {family: sum(c.calls for c in cells if c.period == "now") for family, cells in ledger.families.items()}
    ranked = sorted(sizes, key=lambda family: (-sizes[family], family))
    kinds, largest = [family for family in ranked if sizes[family] >= LEAST_KIND * failures], ranked[0]
    before = ledger.observation.before
    rise = Rise(
        {}, ledger.first_now, len(ledger.slots), calls, failures,
        before.calls if before else 0, before.failures if before else 0,
        band.warning, certain(failures, calls, band.warning),
    )  # fmt: skip
    steady = before is not None and before.failure_rate > 0.5 * rise.share
    started_ms, before_ms = (None, ledger.start_ms) if steady else _first_of_all(ledger, rise.share)
    evidence = _evidence(ledger, largest, rise, every, None)
    if len(kinds) > 1:
        before_rate = before.failure_rate if before is not None and steady and before.calls else None
        evidence[0] = Message("evidence.mixed", {**evidence[0].values, "kinds": len(kinds), "before_rate": before_rate})
        evidence = [message for message in evidence if message.id not in ("evidence.sample", "evidence.client_sample")]
    parts: dict[str, str | int | float | None] = {}
    for place, family in enumerate(kinds[:MAIN_KINDS], 1):
        parts |= {f"kind_{place}": family.replace("_", " "), f"share_{place}": sizes[family] / failures}
    return [
        Finding(
            type=largest,
            scope={},
            severity="critical" if low >= band.critical else "warning",
            started_ms=started_ms,
            started_before_ms=before_ms,
            evidence=evidence,
            failures=failures,
            calls=calls,
            certainty=rise.score,
            hypothesis="mixed" if len(kinds) > 1 else "",
            values=parts,
        )
    ]


def _first_of_all(ledger: Ledger, share: float) -> tuple[int | None, int | None]:
    """When failures of all families together became `share`; else before when."""
    cells = [cell for cells in ledger.cells.values() for cell in cells]
    found = moments(
        ledger, cells, ledger.start_ms, ledger.span.end_ms, lambda cell: (cell.calls, 0 if cell.ok else cell.calls)
    )
    began_ms = began(found, share, BACKGROUND_RATE)
    return known_from(ledger, ledger.start_ms if began_ms is None else began_ms, 2 * ledger.observation.bucket_ms)
