"""When an incident is over: the state machine behind `recover verify`.

It looks at one-minute windows that start after the command did, so that nothing from before the repair can pass for
recovery. Recovered means three healthy minutes, and not one that was not in between. A minute without calls is
`unknown`: it shows neither health nor harm, so it neither counts nor starts the count again; the same holds for partial
or stale data. Recovery is dated to the start of the first of the three.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from llmops_cli.evidence import Message, Severity, Thresholds
from llmops_cli.report import Check, Scorecard, StatusData, VerifyData
from llmops_cli.sop.failures import APPLICATION_FAMILIES
from llmops_cli.sop.significance import wilson

NEEDED = 3
"""Healthy minutes that make a recovery."""
SURE = 1.96
"""Standard deviations of the confidence bound on a minute's failure rate (95 %, two-sided)."""


def minute_verdict(data: StatusData, thresholds: Thresholds) -> Severity:
    """Judge one check: the verdict of `status`, but never `ok` where the failure rate alone is critical.

    A check is short and has no baseline, so that what fails in it may not last long enough to be an incident of its
    own. Failures that the caller's own input causes are left to `status`: some of them are always there.
    """
    if data.verdict != "ok":
        return data.verdict
    failures = sum(row.calls for row in data.errors if row.family not in APPLICATION_FAMILIES)
    return "critical" if wilson(failures, data.calls, SURE)[0] >= thresholds.failure_rate.critical else "ok"


@dataclass(frozen=True, slots=True)
class Verification:
    """The checks so far and what follows from them; `healthy` are those that count towards recovery."""

    checks: tuple[Check, ...] = ()
    healthy: tuple[datetime, ...] = ()
    given_up: bool = False
    needed: int = NEEDED

    def after(self, check: Check) -> Self:
        """Return the state after one more minute. A check after the end changes nothing."""
        if self.done:
            return self
        healthy = self.healthy
        if check.verdict == "ok":
            healthy = (*healthy, check.time)
        elif check.verdict != "unknown":
            healthy = ()
        return replace(self, checks=(*self.checks, check), healthy=healthy)

    def give_up(self) -> Self:
        """Return the state when time is over (`--timeout`) or the watch was ended; a recovery stands."""
        return self if self.recovered else replace(self, given_up=True)

    @property
    def recovered(self) -> bool:
        """Enough healthy minutes, none of the others between them."""
        return len(self.healthy) >= self.needed

    @property
    def done(self) -> bool:
        """Nothing more to watch."""
        return self.recovered or self.given_up

    @property
    def recovered_at(self) -> datetime | None:
        """Start of the first healthy minute of the recovery."""
        return self.healthy[0] if self.recovered else None

    @property
    def verdict(self) -> Severity:
        """For scripts: ok when recovered, else as bad as the newest minute that says anything.

        Healthy but too few, or nothing seen at all, is `unknown`: not confirmed.
        """
        if self.recovered:
            return "ok"
        for check in reversed(self.checks):
            if check.verdict != "unknown":
                return "unknown" if check.verdict == "ok" else check.verdict
        return "unknown"

    @property
    def message(self) -> Message:
        """The answer in one sentence."""
        values: dict[str, str | int | None] = {
            "healthy": len(self.healthy),
            "needed": self.needed,
            "checks": len(self.checks),
            "unknown": sum(check.verdict == "unknown" for check in self.checks) or None,
            "at": None if self.recovered_at is None else self.recovered_at.isoformat(" ", "seconds"),
        }
        if self.recovered:
            return Message("verify.recovered", values)
        if self.given_up:
            if not self.checks:
                return Message("verify.no_checks")
            no_data = all(check.verdict == "unknown" for check in self.checks)
            return Message("verify.no_data" if no_data else "verify.given_up", values)
        return Message("verify.watching", values)

    def data(self, scorecard: Scorecard | None = None) -> VerifyData:
        """Return `data` of `recover verify`."""
        return VerifyData(self.recovered, self.checks, self.recovered_at, scorecard or Scorecard(), self.given_up)


def scorecard(
    started_at: datetime | None,
    detected_at: datetime | None = None,
    located_at: datetime | None = None,
    recovered_at: datetime | None = None,
) -> Scorecard:
    """Minutes from the start to each step, the figures of the 1-5-10 method; None where an end is not known.

    All times are aware. A step before the start (the clock of another machine) is not a duration: None as well.
    """

    def since(moment: datetime | None) -> float | None:
        if started_at is None or moment is None or moment < started_at:
            return None
        return round((moment - started_at).total_seconds() / 60, 1)

    return Scorecard(since(detected_at), since(located_at), since(recovered_at))
