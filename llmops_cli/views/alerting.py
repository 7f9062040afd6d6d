"""What every view says of alert rules that were tried on a log."""

from __future__ import annotations

from llmops_cli.report import AlertRow, AlertsTestData
from llmops_cli.views.figures import count, percent, timespan
from llmops_cli.views.words import listed, several, word


def alerts_verdict(data: AlertsTestData, lang: str = "en") -> str:
    """Return how many alerts would have fired, and over which time."""
    if data.first_at is None or data.last_at is None:
        return word("alert_test.nothing", lang)
    first, last = f"{data.first_at:%m-%d %H:%M}", f"{data.last_at:%m-%d %H:%M}"
    rules = len(data.quiet) + len({row.rule for row in data.firings})
    if not data.firings:
        return word("alert_test.none", lang, rules=rules, first=first, last=last)
    fired = len(data.firings)
    return several("alert_test.fired", fired, lang, fired=fired, rules=rules, first=first, last=last)


def alert_duration(row: AlertRow, lang: str = "en") -> str:
    """Return how long an alert would have been open; the last evaluation may have left it so."""
    text = timespan(row.seconds * 1000)
    return text if row.ended_at else f"{text}, {word('alert_test.no_end', lang)}"


def alert_value(row: AlertRow) -> str:
    """Return the worst value of an alert, in its unit."""
    if row.unit == "percent":
        return percent(row.value)
    return timespan(row.value) if row.unit == "duration" else count(row.value)


def quiet_rules(data: AlertsTestData, lang: str = "en") -> list[str]:
    """Return which rules kept quiet, and which could not be judged."""
    told = (("quiet", data.quiet), ("unjudged", data.unjudged))
    return [word(f"alert_test.{name}", lang, rules=listed(rules, lang)) for name, rules in told if rules]
