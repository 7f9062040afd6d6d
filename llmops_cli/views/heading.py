"""What stands above every answer: which window, which sources, compared with what, and whether it can be trusted."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from llmops_cli.evidence import Message, SourceState, Span, Window
from llmops_cli.report import Incident, Report
from llmops_cli.views.figures import timespan
from llmops_cli.views.words import narrowed, say, several, term, word

SAID_IN_HEADING = frozenset({"note.anchored", "note.stepped_back", "note.no_baseline"})
"""Notes that the heading says itself, from the window."""


class Part(NamedTuple):
    """A piece of the window line; `doubt` marks what makes the data less than whole."""

    text: str
    doubt: bool = False


def parts(report: Report, lang: str = "en") -> list[Part]:
    """Return the window line, piece by piece: the time, the sources, the calls, the baseline; then every doubt."""
    window = report.window
    found: list[Part] = []
    if window is not None:
        found.append(Part(span_text(window, window.span, report.generated_at)))
    found += [
        Part(f"{term('source_name', one.name, lang)} {one.detail}".strip())
        for one in report.sources
        if _said_by_window(one, window)
    ]
    calls = getattr(report.data, "calls", None)
    if isinstance(calls, int):
        found.append(Part(several("view.calls", calls, lang)))
    if only := narrowed(report.filters, lang):
        found.append(Part(only))
    if window is not None and report.command in {"status", "drill"}:
        found.append(Part(baseline_text(window, lang)))
    return found + [Part(text, doubt=True) for text in doubts(report, lang)]


def doubts(report: Report, lang: str = "en") -> list[str]:
    """Everything that makes the answer less than the whole truth: late, partial, stale, failed, unparsed."""
    window = report.window
    found: list[str] = []
    if window is not None and window.anchored:
        age = "" if window.log_ends_ms is None else _age(report.generated_at, window.at(window.log_ends_ms))
        found.append(word("view.log_ends", lang, age=age) if age else word("view.anchored", lang))
    broken = [source for source in report.sources if not _said_by_window(source, window)]
    found += [
        word(
            "view.source_state",
            lang,
            source=term("source_name", source.name, lang),
            state=term("source_state", source.state, lang),
            detail=source.detail or None,
        )
        for source in broken
    ]
    if report.partial and not any(source.state in {"partial", "failed"} for source in broken):
        found.append(word("note.partial", lang))
    unparsed = getattr(report.data, "unparsed", 0)
    if unparsed and not any(note.id == "note.unparsed" for note in report.notes):
        found.append(several("view.unparsed", unparsed, lang))
    return found


def _said_by_window(source: SourceState, window: Window | None) -> bool:
    """Whether nothing need be said of a source's state: it is well, or stale as the anchored window says already."""
    return source.state == "ok" or (source.state == "stale" and window is not None and window.anchored)


def notes(report: Report, lang: str = "en") -> list[str]:
    """Return the notes that the window line does not say already, as sentences."""
    return [say(note, lang) for note in report.notes if note.id not in SAID_IN_HEADING or report.window is None]


def span_text(window: Window, span: Span, now: datetime) -> str:
    """`14:12:24 – 14:27:24 +08:00`; with dates when it is not today, with milliseconds when it is short."""
    start, end = window.at(span.start_ms), window.at(span.end_ms)
    detail = "%H:%M:%S.%f" if span.ms < 10_000 else "%H:%M:%S"
    first, last = (time.strftime(detail)[: 12 if span.ms < 10_000 else 8] for time in (start, end))
    if not start.date() == end.date() == now.astimezone(window.timezone).date():
        first = f"{start.date().isoformat()} {first}"
    if start.date() != end.date():
        last = f"{end.date().isoformat()} {last}"
    return f"{first} – {last} {zone(end)}"


def zone(time: datetime) -> str:
    """`+08:00`, also for UTC: `+00:00`."""
    return time.isoformat()[-6:] if time.tzinfo else ""


def clock(time: datetime | None, *, against: datetime | None = None) -> str:
    """`14:15:08`; with the date when that of `against` is another."""
    if time is None:
        return "–"
    text = time.strftime("%H:%M:%S")
    other = against is not None and against.astimezone(time.tzinfo).date() != time.date()
    return f"{time.date().isoformat()} {text}" if other else text


def baseline_text(window: Window, lang: str = "en") -> str:
    """Return what the window is compared with, as people say it."""
    base, span = window.baseline, window.span
    if base is None:
        return word("view.no_baseline", lang)
    length = timespan(base.ms)
    if window.stepped_back:
        start, end = window.at(base.start_ms), window.at(base.end_ms)
        day = "" if start.date() == window.at(span.start_ms).date() else f"{start.date().isoformat()} "
        return word("view.last_healthy", lang, span=f"{day}{start:%H:%M} – {end:%H:%M}", length=length)
    if base.end_ms == span.start_ms:
        return word("view.right_before", lang, length=length)
    return word("view.the_same_before", lang, length=length, ago=timespan(span.start_ms - base.start_ms))


def _age(now: datetime, then: datetime) -> str:
    return timespan(max(0.0, (now - then).total_seconds() * 1000))


def note_texts(messages: tuple[Message, ...], lang: str) -> list[str]:
    """Messages as sentences, without empty ones."""
    return [text for message in messages if (text := say(message, lang))]


def started(incident: Incident, report: Report, lang: str = "en") -> str:
    """`14:15:08`, or `before 13:52:00` when it is older than all that was read."""
    against = report.window.at(report.window.span.end_ms) if report.window else report.generated_at
    if incident.started_at is not None:
        return clock(incident.started_at, against=against)
    if incident.started_before is None:
        return word("view.start_unknown", lang)
    return word("view.before", lang, time=clock(incident.started_before, against=against))


def since(incident: Incident, report: Report, lang: str = "en") -> str:
    """`since 14:15:08`, `since before 13:52:00`, or `start unknown`."""
    known = incident.started_at is not None or incident.started_before is not None
    text = started(incident, report, lang)
    return word("view.since", lang, time=text) if known else text
