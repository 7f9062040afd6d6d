"""`llmops demo`: write a reproducible incident log with its configuration, and walk the SOP on it."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli.commands import options
from llmops_cli.errors import INTERRUPTED, SourceError, UsageError
from llmops_cli.window import find_zone, parse_duration, parse_instant

if TYPE_CHECKING:
    from llmops_cli.demo.scenarios import Generated
    from llmops_cli.demo.tour import Stop

app = typer.Typer()

DEFAULT = "rate-limit"
FOLDER = Path("llmops-demo")
MOST_CALLS = 20_000_000
EARLIEST_MS, LATEST_MS = 31_536_000_000, 253_339_228_800_000
"""1971 to 9998: also a week before, in any zone, there is a calendar."""


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One incident that is in the log."""

    type: str
    scope: dict[str, str]
    started_at: datetime


@dataclass(frozen=True, slots=True)
class DemoData:
    """`data` of `demo`: `calls` are those in the log, `commands` the walk."""

    scenario: str
    log: str
    config: str
    calls: int
    truth: tuple[TruthRow, ...]
    commands: tuple[str, ...]
    limits: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class StoryRow:
    """One story that can be told."""

    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class ListData:
    """`data` of `demo --list`."""

    scenarios: tuple[StoryRow, ...]


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked for, checked."""

    scenario: str
    calls: int
    seed: int
    end_ms: int
    age: timedelta
    timezone: str | None
    log: Path
    force: bool

    @property
    def config(self) -> Path:
        return self.log.with_suffix(".toml")

    @property
    def command(self) -> str:
        end = datetime.fromtimestamp(self.end_ms / 1000, find_zone(self.timezone)).isoformat(timespec="milliseconds")
        words = ["llmops", "demo", self.scenario, "--calls", str(self.calls), "--seed", str(self.seed), "--end", end]
        words += [
            "--age",
            f"{self.age.total_seconds():.12g}s",
            *(("--timezone", self.timezone) if self.timezone else ()),
        ]
        return shlex.join(words)


def _names() -> list[str]:
    from llmops_cli.demo.scenarios import SCENARIOS  # noqa: PLC0415 - as in the verb

    return list(SCENARIOS)


@app.command()
def demo(
    *,
    scenario: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENARIO",
            help="rate-limit, bad-key, latency …; --list names all.",
            show_default=DEFAULT,
            autocompletion=_names,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--scenario", metavar="NAME", help="The same, as an option.", show_default=False, autocompletion=_names
        ),
    ] = None,
    calls: Annotated[
        int, typer.Option("--calls", metavar="N", help="Healthy demand over four hours, in calls.")
    ] = 20_000,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Another seed, another log; the same, the same.")
    ] = 1,
    end: Annotated[str, typer.Option("--end", metavar="TIME", help="When the log ends: now, or ISO 8601.")] = "now",
    age: Annotated[str, typer.Option("--age", metavar="TIME", help="How long ago the incident began by then.")] = "12m",
    timezone: options.Timezone = None,
    out: options.Out = None,
    force: options.Force = False,
    walk: Annotated[bool, typer.Option("--walk/--no-walk", help="Walk status, drill, trace, quota, recover.")] = True,
    list_: Annotated[bool, typer.Option("--list", help="List the scenarios and exit.")] = False,
    output: options.Output = "table",
) -> int:
    """Write a reproducible incident log and walk it.

    llmops demo rate-limit
    llmops demo two-faults --seed 7 --end 2025-07-09T14:30:00+08:00 --no-walk
    """
    from llmops_cli.demo.scenarios import SCENARIOS, generate  # noqa: PLC0415 - other verbs need no made-up traffic
    from llmops_cli.demo.tour import tour  # noqa: PLC0415 - as above

    if list_:
        stories = tuple(StoryRow(one.name, one.summary) for one in SCENARIOS.values())
        if output == "json":
            return _as_json(ListData(stories), datetime.now(find_zone(timezone)))
        _say("".join(f"{'- ' * (output == 'markdown')}{one.name:<18} {one.summary}\n" for one in stories))
        return 0
    order = _order(
        scenario,
        name,
        tuple(SCENARIOS),
        calls=calls,
        seed=seed,
        end=end,
        age=age,
        timezone=timezone,
        out=out,
        force=force,
    )
    zone = find_zone(order.timezone)
    made = generate(order.scenario, seed=order.seed, calls=order.calls, end_ms=order.end_ms, age=order.age, zone=zone)
    written, trace_id = _write(order, made)
    stops = tour(str(order.config), made.truths, trace_id)
    truth = tuple(
        TruthRow(one.type, one.scope, datetime.fromtimestamp(one.started_ms / 1000, zone)) for one in made.truths
    )
    data = DemoData(
        order.scenario,
        str(order.log),
        str(order.config),
        written,
        truth,
        tuple(stop.command for stop in stops),
        made.limits,
    )
    if output == "json":
        return _as_json(data, zone_now=datetime.now(zone))
    _say(_told(data, SCENARIOS[order.scenario].summary, markdown=output == "markdown"))
    return _walk(stops, markdown=output == "markdown") if walk else 0


def _order(
    scenario: str | None,
    name: str | None,
    known: tuple[str, ...],
    *,
    calls: int,
    seed: int,
    end: str,
    age: str,
    timezone: str | None,
    out: Path | None,
    force: bool,
) -> _Order:
    if scenario and name and scenario != name:
        raise UsageError("bad_scenario", f"two scenarios, {scenario} and {name}", "give one of them")
    wanted = scenario or name or DEFAULT
    if wanted not in known:
        close = get_close_matches(wanted.lower().replace("_", "-"), known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(known)}"
        raise UsageError("bad_scenario", f'there is no scenario "{wanted}"', hint)
    if not 1_000 <= calls <= MOST_CALLS:
        raise UsageError("bad_calls", f"--calls {calls} is out of range", "give 1,000 to 20 million, as digits")
    age_ms = parse_duration(age)
    if not 60_000 <= age_ms <= 7 * 86_400_000:
        raise UsageError("bad_age", f"--age {age} is out of range", "give 1m to 7d")
    end_ms = parse_instant(end, find_zone(timezone), now_ms=time.time_ns() // 1_000_000)
    if not EARLIEST_MS <= end_ms <= LATEST_MS:
        raise UsageError("bad_end", f"--end {end} is out of range", "give a time between 1971 and 9998, or now")
    log = _place(out, wanted)
    return _Order(wanted, calls, seed, end_ms, timedelta(milliseconds=age_ms), timezone, log, force)


def _place(out: Path | None, scenario: str) -> Path:
    log = FOLDER / f"{scenario}.log" if out is None else out
    try:
        if log.is_dir():
            log /= f"{scenario}.log"
    except OSError as error:  # a name that is too long
        raise _unwritable(log, error) from None
    if log.suffix == ".toml":
        raise UsageError("bad_out", f"--out {log} would be the log's own configuration", "name the log file: x.log")
    if str(log) == "-" or log.suffix in {".gz", ".zst"}:
        raise UsageError("bad_out", f"--out {log}: the demo writes a plain file", "name the log file: x.log")
    return log


def _write(order: _Order, made: Generated) -> tuple[int, str]:
    """Write log and configuration; return the number of calls and a trace worth showing."""
    from llmops_cli.demo.writer import BYTES_PER_CALL, configuration, write_log, write_whole  # noqa: PLC0415
    from llmops_cli.views.progress import progress  # noqa: PLC0415 - as above

    try:
        order.log.parent.mkdir(parents=True, exist_ok=True)
        log, config = order.log.resolve(), order.config.resolve()
        for path, shown in ((log, order.log), (config, order.config)):
            _keep(path, shown, force=order.force)
        text = configuration(order.log, order.command, made.limits, order.timezone)
        with progress(f"writing {order.log.name}", order.calls * BYTES_PER_CALL) as advance:
            written = write_log(
                log,
                made.events,
                zone=find_zone(order.timezone),
                truths=made.truths,
                end_ms=order.end_ms,
                progress=advance,
            )
        write_whole(config, [text.encode()])
    except OSError as error:
        raise _unwritable(order.log, error) from None
    return written.calls, written.trace_id


def _unwritable(log: Path, error: OSError) -> SourceError:
    what = (error.strerror or type(error).__name__).lower()
    return SourceError("cannot_write", f"cannot write {log}: {what}", "give another place with --out PATH")


def _keep(path: Path, shown: Path, *, force: bool) -> None:
    """Raise UsageError when `path` is something that the demo did not write; a device or pipe stays, forced or not."""
    from llmops_cli.demo.writer import is_ours  # noqa: PLC0415 - as above

    if not path.exists():
        return
    if not path.is_file():
        raise UsageError("file_exists", f"{shown} exists and is no file", "give another --out")
    if not force and not is_ours(path):
        raise UsageError("file_exists", f"{shown} exists and is not from llmops demo", "--force, or another --out")


def _told(data: DemoData, summary: str, *, markdown: bool) -> str:
    """Say what was written and what is in it."""
    from llmops_cli.views.clean import clean  # noqa: PLC0415 - as above

    lines = [
        f"{data.scenario}: {summary}",
        f"log     {data.log} ({data.calls:,} calls, all made up)",
        f"config  {data.config}",
    ]
    for row in data.truth:
        where = " × ".join(f"{name} {value}" for name, value in row.scope.items()) or "everything"
        lines.append(f"truth   {row.type}, {where}, since {row.started_at.isoformat(timespec='milliseconds')}")
    return "".join(f"{'- ' * markdown}{clean(line)}\n" for line in lines)


def _as_json(data: DemoData | ListData, zone_now: datetime) -> int:
    from llmops_cli.commands.question import emit  # noqa: PLC0415 - as above
    from llmops_cli.report import Report  # noqa: PLC0415 - as above

    return emit(Report("demo", zone_now, data=data), "json")


def _walk(stops: tuple[Stop, ...], *, markdown: bool) -> int:
    """Run the commands one after the other, as the reader would; stop at the first that has no answer."""
    from llmops_cli.app import VERBS, run  # noqa: PLC0415 - the command line imports this module
    from llmops_cli.views.clean import clean  # noqa: PLC0415 - as above

    for stop in stops:
        if stop.args[0] not in VERBS:
            continue
        args = [*stop.args, *(("-o", "markdown") if markdown else ())]
        command = clean(stop.command)
        _say(f"\n## {stop.question}\n\n    $ {command}\n\n" if markdown else f"\n$ {command}\n")
        code = run(args)
        if code == INTERRUPTED:  # and said
            raise SystemExit(code)
        if code:
            sys.stderr.write(f"the walk ends here: llmops {stop.args[0]} gave no answer (exit code {code})\n")
            return code
    return 0


def _say(text: str) -> None:
    from llmops_cli.views import put  # noqa: PLC0415 - as above

    put(text, sys.stdout)
