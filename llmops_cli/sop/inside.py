"""What a cause looks like inside: its codes, who drives it, what has become of latency, ratings or demand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from llmops_cli.evidence import DIMENSIONS, Cell, Message, Observation, Where
from llmops_cli.knowledge.errors import is_rate_limit
from llmops_cli.knowledge.sentences import scope_text
from llmops_cli.report import CauseRow, Incident
from llmops_cli.sop.finding import clock
from llmops_cli.sop.ledger import family_of, inside
from llmops_cli.sop.measured import Counts, Measured

CHILD_CALLS = 20
"""A child's own rate is shown from this many calls on."""
CHILD_RATINGS = 5
MAIN_CODES = 3
"""Codes that are named of failures of several kinds."""
SHOWN = 4
"""Values of a dimension that a line names."""

Values = Mapping[str, str | int | float | None]


def notes(
    observation: Observation, data: Measured, row: CauseRow, incident: Incident | None, explained: Collection[str]
) -> tuple[Message, ...]:
    """Say of a cause what its numbers do not; `incident` is the one that it explains.

    A cause of several families is about those that are not `explained` by causes of their own.
    """
    if row.measure == "failures":
        return (*_codes(observation, data, row, explained), *_drive(row, incident), *_children(data, row))
    if row.measure == "slow":
        return (*_facts(row, incident, observation, "evidence.latency", "evidence.tokens_out"), *_children(data, row))
    if row.measure == "negative":
        return (*_since(observation, row), *_ratings(observation, data, row))
    return (*_demand(observation, data, row, incident), *_drive(row, incident))


def since_text(observation: Observation, row: CauseRow) -> str | None:
    """Return when a cause began as a time of day (calls to be refused, where that came later); None if not known."""
    return _text(observation, row.refused_at or row.started_at)


def rose_text(observation: Observation, row: CauseRow) -> str | None:
    """Return when demand rose, where calls were refused only later; else None."""
    return _text(observation, None if row.refused_at is None else row.started_at)


def _text(observation: Observation, time: datetime | None) -> str | None:
    return None if time is None else clock(observation.window, round(time.timestamp() * 1000))


def _since(observation: Observation, row: CauseRow) -> tuple[Message, ...]:
    since = since_text(observation, row)
    return () if since is None else (Message("drill.since", {"since": since}),)


# --- failures ---------------------------------------------------------------------------------------------------------


def _codes(observation: Observation, data: Measured, row: CauseRow, explained: Collection[str]) -> tuple[Message, ...]:
    """Name the codes behind the failures; that one hits every call since a moment is worth its own words."""
    codes: Counter[str] = Counter()
    for cell in _cells(observation, data, row.where):
        if not cell.ok and (family_of(cell) == row.family if row.family else family_of(cell) not in explained):
            codes[error_name(cell)] += cell.calls
    if not codes:
        return ()
    ranked = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    began = row.refused_at or row.started_at
    began_ms = began.timestamp() * 1000 if began else None
    after = [cell for cell in _cells(observation, data, row.where) if began_ms is None or cell.bucket_ms > began_ms]
    calls = sum(cell.calls for cell in after)
    bad = sum(cell.calls for cell in after if not cell.ok and error_name(cell) == ranked[0][0])
    times = {"since": since_text(observation, row), "rose": rose_text(observation, row)}
    if calls and bad >= 0.99 * calls:
        return (Message("drill.every_call", {"code": ranked[0][0], **times}),)
    named = 1 if row.family else MAIN_CODES
    first = [Message("drill.code", {"code": code, "calls": count, **times}) for code, count in ranked[:named]]
    others = sum(count for _, count in ranked[named:])
    more = Message("drill.more_codes", {"count": len(ranked) - named, "calls": others})
    return (*first, more) if others else tuple(first)


def error_name(cell: Cell) -> str:
    """Status and code of a failed cell, as in `429 Throttling.RateQuota`; "no answer" when it has neither."""
    status = "" if cell.status_code is None or cell.status_code <= 0 else str(cell.status_code)
    return " ".join(filter(None, (status, cell.error_code))) or "no answer"


def _drive(row: CauseRow, incident: Incident | None) -> tuple[Message, ...]:
    """Say who drives the demand on a resource; or that nobody does, where all of it rose."""
    found = []
    for driver in row.drivers:
        values: Values = {
            "who": scope_text(driver.where), "calls": driver.calls, "tokens": driver.tokens, "share": driver.share
        }  # fmt: skip
        found.append(Message("drill.driver_tokens" if driver.tokens else "drill.driver", values))
    if incident is not None and incident.type == "rate_limit_burst":  # the minute looks well: its seconds tell
        found += [message for message in incident.evidence if message.id == "evidence.busiest_second_rpm"]
    elif not found and incident is not None and is_rate_limit(incident.type):
        rose = next((message for message in incident.evidence if message.id == "evidence.traffic"), None)
        found += [Message("drill.no_driver", rose.values)] if rose is not None else []
    return tuple(found)


def _children(data: Measured, row: CauseRow) -> tuple[Message, ...]:
    """By which further dimension the cause was looked at, and found to be hit alike."""
    found = []
    for dimension in DIMENSIONS:
        if dimension in row.where:
            continue
        by_value: dict[str, list[Counts]] = defaultdict(list)
        for where, counts in data.now.items():
            if inside(where, row.where):
                by_value[getattr(where, dimension)].append(counts)
        sums = sorted((_sum(counts, row) for counts in by_value.values()), reverse=True)
        rates = [bad / calls for calls, bad in sums if calls >= CHILD_CALLS]
        if len(rates) > 1 and min(rates) >= 0.5 * max(rates) > 0:
            shown = ", ".join(f"{rate:.0%}".replace("%", " %") for rate in rates[:SHOWN])
            found.append(Message("drill.alike", {"dimension": dimension, "values": len(rates), "rates": shown}))
    return tuple(found)


def _sum(counts: Sequence[Counts], row: CauseRow) -> tuple[int, int]:
    if row.measure == "slow":
        return sum(one.ok for one in counts), sum(one.slow for one in counts)
    return sum(one.calls for one in counts), sum(one.failures[row.family] for one in counts)


# --- latency, ratings, demand -----------------------------------------------------------------------------------------


def _facts(row: CauseRow, incident: Incident | None, observation: Observation, *ids: str) -> Iterator[Message]:
    """Repeat facts of the incident, and say since when."""
    if incident is not None:
        yield from (message for message in incident.evidence if message.id in ids)
    yield from _since(observation, row)


def _ratings(observation: Observation, data: Measured, row: CauseRow) -> Iterator[Message]:
    """Show the negative ratings of each value of the dimensions that the cause names: it against its siblings."""
    for dimension in row.where or DIMENSIONS[:1]:
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for one in observation.feedback:
            if one.period == "now" and one.bucket_ms >= data.from_ms:
                pair = sums[getattr(one.where, dimension)]
                pair[0] += one.down
                pair[1] += one.up + one.down
        ranked = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
        shown = [f"{value} {down} / {ratings}" for value, (down, ratings) in ranked if ratings >= CHILD_RATINGS]
        if len(shown) > 1:
            yield Message("drill.ratings", {"dimension": dimension, "values": ", ".join(shown[:SHOWN])})


def _demand(observation: Observation, data: Measured, row: CauseRow, incident: Incident | None) -> Iterator[Message]:
    """Say how far demand is from what it was: since it changed where an incident tells when, else in all."""
    seen = {message.id: message for message in incident.evidence} if incident is not None else {}
    change, since = seen.get("evidence.traffic"), since_text(observation, row)
    if change is not None and since is not None:
        calls, before = (float(change.values[name] or 0) for name in ("calls", "before_calls"))
        values: Values = {
            "calls": round(calls), "before": round(before), "more": round(abs(calls - before)),
            "change": change.values["change"], "since": since,
        }  # fmt: skip
        yield Message("drill.missing" if calls < before else "drill.additional", values)
    else:
        before = sum(one.calls for where, one in data.before.items() if inside(where, row.where)) * data.scale
        change_of_all = row.calls / before - 1 if before else None
        yield Message("drill.demand", {"calls": row.calls, "before": round(before), "change": change_of_all})
    if "evidence.water_level" in seen:
        yield seen["evidence.water_level"]
    if row.where:
        yield from _elsewhere(data, row.where)


def _elsewhere(data: Measured, where: Mapping[str, str]) -> Iterator[Message]:
    now, before = (_calls(period, where) for period in (data.now, data.before))
    if now and before:
        usual = before * data.scale
        yield Message("drill.elsewhere_calls", {"calls": now, "before": round(usual), "change": now / usual - 1})


def _calls(period: Mapping[Where, Counts], outside: Mapping[str, str]) -> int:
    return sum(counts.calls for where, counts in period.items() if not inside(where, outside))


def _cells(observation: Observation, data: Measured, where: Mapping[str, str]) -> Iterator[Cell]:
    for cell in observation.cells:
        if cell.period == "now" and cell.bucket_ms >= data.from_ms and inside(cell.where, where):
            yield cell
