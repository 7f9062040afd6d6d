"""The newest logs of a logstore, one page of them: how old they are, and whether they hold calls that nobody reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from llmops_cli.sources.sls.rows import Keys, log_line

RAW_SETTING = 'add fields = { message = "message" } to the profile\'s table sls in llmops.toml'
"""What lets calls be read that a logstore holds as the raw message of twelve values."""
_BACK_S, _AHEAD_S = 7 * 86_400, 86_400
_UNITS = ((1, "s", 120), (60, "min", 180), (3600, "h", 72), (86_400, "d", 0))


@dataclass(frozen=True, slots=True)
class Newest:
    """When the newest log came, and the newest call among the page's logs, epoch ms; None where there is none.

    `only_raw`: calls stand in messages, and no log has a duration of its own.
    """

    log_ms: int | None
    call_ms: int | None
    only_raw: bool

    def said(self, now: datetime) -> str:
        """Say how old the newest log is, in the time zone of `now`."""
        if self.log_ms is None:
            return "no log in the last 7 days"
        at = datetime.fromtimestamp(self.log_ms // 1000, now.tzinfo)
        age_s = now.timestamp() - self.log_ms / 1000
        told = f"({at.isoformat(' ')})"
        return f"{aged(age_s)} old {told}" if age_s > -60 else f"{aged(-age_s)} in the future {told}"


def around(now_ms: int) -> tuple[int, int]:
    """Give the time to look into, unix seconds: 7 days back, and a day ahead, where a wrong time zone puts logs."""
    return now_ms // 1000 + 1 - _BACK_S, now_ms // 1000 + 1 + _AHEAD_S


def newest(rows: Sequence[Mapping[str, str]], key: Keys) -> Newest:
    """Read a page of logs, newest first. Raises ValueError where one has no time."""
    lines = [log_line(row, key, "") for row in rows]
    called = [line.time_ms for line in lines if line.call is not None]
    with_fields = any(row.get(key("duration_ms")) for row in rows)
    return Newest(
        max((line.time_ms for line in lines), default=None), max(called, default=None), bool(called) and not with_fields
    )


def aged(seconds: float) -> str:
    """Write a length of time in the unit that a reader would take."""
    size, unit = next((size, unit) for size, unit, most in _UNITS if seconds < size * most or not most)
    return f"{max(0, seconds) / size:,.0f} {unit}"
