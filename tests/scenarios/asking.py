"""A demo log as a file, and the question of an engineer to it: the whole way from the file to the answer of `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path

from llmops_cli.commands.gather import assessed, look, open_source
from llmops_cli.commands.question import Question
from llmops_cli.demo.plan import Truth
from llmops_cli.demo.scenarios import generate
from llmops_cli.demo.writer import configuration, write_log
from llmops_cli.report import CauseRow, Incident, RecoverData, StatusData
from llmops_cli.sop.causes import find_causes
from llmops_cli.sop.recovery import plan

END_MS = 1_752_042_204_748
MINUTE = 60_000
SHORT_S, LONG_S, DAY_S = 75, 120, 300
"""How far a start may be off: up to 15-minute windows, with longer ones, whose buckets are minutes, and with a day."""


@dataclass(frozen=True, slots=True)
class Told:
    """One story on disk; `end_ms` is the end of the log, and now."""

    truths: tuple[Truth, ...]
    config: Path
    end_ms: int


def tell(folder: Path, name: str, *, seed: int = 1, age: float = 12, calls: int = 20_000, hour: float = 0) -> Told:
    """Write a story whose incident began `age` minutes ago; `hour` moves its end through the day."""
    # Seeds end at other seconds and minutes, too: nothing may rest on how an incident lies to the clock.
    end_ms = END_MS + round(hour * 60 * MINUTE) + seed * 7_777_777
    made = generate(name, seed=seed, calls=calls, end_ms=end_ms, age=timedelta(minutes=age))
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}-{seed}-{age:g}-{calls}-{hour:g}.log"
    write_log(log, made.events, zone=UTC, truths=made.truths, end_ms=end_ms, progress=lambda _: None)
    config = log.with_suffix(".toml")
    config.write_text(configuration(log, "a test", made.limits, "UTC"), encoding="utf-8")
    return Told(made.truths, config, end_ms)


def forget(told: Told) -> None:
    """Remove a story from the disk."""
    told.config.unlink()
    told.config.with_suffix(".log").unlink()


def question(told: Told, minutes: float) -> Question:
    """Ask for the last minutes of a log, at its end."""
    return Question.from_options(config_file=str(told.config), since=f"{minutes * 60:g}s", now_ms=told.end_ms)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the verbs say of one window: `status`, the causes of `drill`, the plan of `recover`."""

    status: StatusData
    causes: tuple[CauseRow, ...]
    plan: RecoverData


def ask(told: Told, minutes: float) -> Answer:
    """Ask for the last minutes at the end of the log, as the commands do: look once, then judge what was seen."""
    asked = question(told, minutes)
    with open_source(asked) as source:
        seen = look(asked, source)
        status = assessed(asked, source, seen)
    return Answer(
        status,
        find_causes(seen, incidents=status.incidents),
        plan(status.incidents, status.water_levels, next_options=""),
    )


def shortcoming(told: Told, found: tuple[Incident, ...], minutes: float) -> str:
    """Say in one word what is wrong with the first incident, "" when nothing is; on healthy logs there is none."""
    if not told.truths or not found:
        return "" if not told.truths and not found else "FALSE" if found else "MISSED"
    first = found[0]
    truth = next((t for t in told.truths if t.type == first.type and t.scope == dict(first.scope)), None)
    if truth is None:
        return "SCOPE" if first.type in {t.type for t in told.truths} else "TYPE"
    if first.started_at is None:
        return "NOSTART"
    off_s = first.started_at.timestamp() - truth.started_ms / 1000
    if abs(off_s) > (SHORT_S if minutes < 60 else LONG_S if minutes < 240 else DAY_S):
        return f"START{off_s:+.0f}s"
    if truth.driver and not any(truth.driver.items() <= dict(driver.where).items() for driver in first.drivers):
        return "DRIVER"
    return ""


def told_as(incident: Incident) -> str:
    """Put an incident into one line."""
    at = incident.started_at or incident.started_before
    when = f"{'' if incident.started_at else '<'}{at:%H:%M:%S}" if at else "-"
    drivers = " ".join(str(dict(driver.where)) for driver in incident.drivers)
    return f"{incident.type} {incident.severity} {dict(incident.scope)} {when} {drivers}".rstrip()
