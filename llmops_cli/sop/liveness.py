"""Where the log ends: what came after its last line was not seen, and silence is not a drop in traffic."""

from __future__ import annotations

from dataclasses import replace

from llmops_cli.evidence import Message, Observation, Span
from llmops_cli.report import StatusData

_SHIPPING_MS = 60_000
"""Silence shorter than this is how logs are written and shipped."""
_GAPS = 20
"""Silence longer than so many usual gaps between calls is no chance."""


def judged(observation: Observation, newest_ms: int | None) -> Observation:
    """End the window with the log's newest line, where that is earlier: nothing is known of the rest."""
    window = observation.window
    if newest_ms is None or window.explicit or not window.span.start_ms < newest_ms < window.span.end_ms - 1:
        return observation
    ended = replace(window, span=Span(window.span.start_ms, newest_ms + 1))
    own = observation.own and judged(observation.own, newest_ms)
    return replace(observation, window=ended, own=own)


def silent_ms(observation: Observation, newest_ms: int | None) -> int:
    """Give how long the log has been silent at the end of the window, ms; 0 when that is nothing unusual."""
    window, calls = observation.window, observation.now.calls
    if newest_ms is None or window.explicit or window.anchored or not calls:
        return 0
    silence = window.span.end_ms - newest_ms
    usual = (newest_ms - max(window.span.start_ms, observation.read_from_ms)) / calls
    return silence if silence > max(_SHIPPING_MS, _GAPS * usual) else 0


def with_silence(data: StatusData, silence_ms: int) -> StatusData:
    """Say of a log that has gone silent that what holds now is unknown; what it did show stands."""
    if not silence_ms or data.verdict != "ok":
        return data
    return replace(data, verdict="unknown", headline=Message("headline.stale", {"age": silence_ms}))


def with_partial(data: StatusData) -> StatusData:
    """Say of an answer from a part of the data that nothing unusual in it means little."""
    if data.verdict != "ok":
        return data
    return replace(data, verdict="unknown", headline=Message("headline.partial", data.headline.values))


def unread(data: StatusData) -> StatusData:
    """Say of a log of which no line could be read that nothing is known: no call was seen, and none is missed."""
    headline = Message("headline.no_header", {"count": data.unparsed or None})
    return replace(data, verdict="unknown", incidents=(), headline=headline)
