"""How the lines of a log are read: the compiled header and the zone of times written without one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from llmops_cli.calls.framing import bare
from llmops_cli.calls.pattern import Header, Pattern


@dataclass(frozen=True, slots=True)
class LogFormat:
    """A pattern in a time zone."""

    pattern: Pattern
    zone: tzinfo

    def header(self, line: str) -> Header | None:
        """Read the header of a line, None when it has none."""
        return self.pattern.header(line) or self.pattern.header(bare(line))

    def time_ms(self, line: str) -> int | None:
        """Read the time of a line, ms since the epoch; None when it has no header or an impossible date."""
        header = self.header(line)
        return self.pattern.time.to_epoch_ms(header.time_text, self.zone) if header else None
