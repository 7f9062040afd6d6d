"""When an incident is over: the state machine behind `recover verify`.

It looks at one-minute windows that start after the command did, so that nothing from before the repair can pass for
recovery. Recovered means three healthy minutes, and not one that was not in between. A minute without calls is
`unknown`: it shows neither health nor harm, so it neither counts nor starts the count again; the same holds for partial
or stale data. Recovery is dated to the start of the first of the three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from llmops_cli.evidence import Message, Observation, Severity, Thresholds
from llmops_cli.knowledge.sentences import scope_text
from llmops_cli.report import Check, Scorecard, StatusData, VerifyData
from llmops_cli.sop.remaining import SURE, Known, remains
from llmops_cli.sop.significance import wilson

NEEDED = 3
"""Healthy minutes that make a recovery."""
_RANK: tuple[Severity, ...] = ("ok", "unknown", "warning", "critical")


def minute_verdict(data: StatusData, thresholds: Thresholds) -> Severity:
    """Judge calls by themselves: the verdict of `status`, but never `ok` where too large a part of them fails.

    Few calls have no baseline worth the name, so that what fails among them may not be an incident of its own. A rate
    at or above the warning threshold is never healthy; until it is surely above, it is no proof of harm either.
    """
    if data.verdict != "ok" or data.calls < thresholds.min_calls:
        return data.verdict
    band, low = thresholds.failure_rate, wilson(data.failures, data.calls, SURE)[0]
    if low >= band.critical:
        return "critical"
    if low >= band.warning:
        return "warning"
    return "unknown" if data.failures >= band.warning * data.calls else "ok"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one check goes by: the newest minute, and all since the last minute that was not healthy (`so_far`)."""

    minute: StatusData
    so_far: StatusData
    seen: Observation
    """The calls of `so_far`, beside the baseline of the watch."""


def judge(evidence: Evidence, incidents: Sequence[Known], thresholds: Thresholds) -> tuple[Severity, Message | None]:
    """Judge one check, and say why it is not healthy where numbers tell.

    Healthy is what shows no incident of its own, neither in the minute nor in all that counts so far, and shows that
    the incidents known from the start are gone. More traffic than before is none of them: work that waited is done now.
    """
    if not evidence.minute.calls:
        return "unknown", None
    left = [remains(one, evidence.seen, thresholds) for one in incidents]
    minute_data, so_far = _without_surge(evidence.minute), _without_surge(evidence.so_far)
    minute, own = minute_verdict(minute_data, thresholds), minute_verdict(so_far, thresholds)
    few = minute == "unknown" and evidence.minute.calls < thresholds.min_calls
    found = [*left, (own if few else minute, _failing(minute_data)), (own, _failing(so_far))]
    verdict = max((severity for severity, _ in found), key=_RANK.index)
    as_bad = verdict if verdict in ("ok", "unknown") else "warning"  # what is known from the start says more
    return verdict, next((why for severity, why in found if why and _RANK.index(severity) >= _RANK.index(as_bad)), None)


def _failing(data: StatusData) -> Message | None:
    if data.incidents and (first := data.incidents[0]).type != "no_data":
        values = {"scope": scope_text(first.scope), "since": None, "for": None}
        return Message(f"incident.{first.type}.headline", values)
    return Message("verify.failing", {"hits": data.failures, "trials": data.calls}) if data.failures else None


def _without_surge(data: StatusData) -> StatusData:
    kept = tuple(one for one in data.incidents if one.type != "traffic_surge")
    if len(kept) == len(data.incidents):
        return data
    severities = {one.severity for one in kept} or {"ok"}
    verdict: Severity = next(one for one in reversed(_RANK) if one in severities)
    return replace(data, incidents=kept, verdict=verdict)


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
            last = self.checks[-1].reason
            if last is not None and last.id == "verify.log_ends":
                return Message("verify.stopped", last.values)
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
