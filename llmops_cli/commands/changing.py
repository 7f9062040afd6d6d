"""How a verb changes the account: the diff first, `--yes` to do it, the way back with every change.

return changing("collect init", question, plan(…), apply, Consent(dry_run, yes), lang=lang)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from llmops_cli.errors import UNTRUSTED, USAGE, SourceError

if TYPE_CHECKING:
    from llmops_cli.commands.question import Question
    from llmops_cli.evidence import Message
    from llmops_cli.provision.plan import Change
    from llmops_cli.report import ChangeRow, ChangesData

DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Show the diff and change nothing.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do it; without it the diff is shown.")]


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether the account may be changed: `--yes`, and no `--dry-run`."""

    dry_run: bool
    yes: bool

    @property
    def given(self) -> bool:
        """Whether changes are to be made."""
        return self.yes and not self.dry_run


def changing(
    command: str,
    question: Question,
    changes: Sequence[Change],
    apply: Callable[[Change], None],
    consent: Consent,
    *,
    notes: tuple[Message, ...] = (),
    next_: tuple[str, ...] = (),
    lang: str = "en",
) -> int:
    """Show the changes, make them where that was agreed to, and return the exit code.

    Exit 2 when there are changes and neither `--yes` nor `--dry-run` was given: a script must not take it for done.
    Raises `SourceError` at the first change that fails, with what was done before it.
    """
    from llmops_cli.provision.plan import carried_out  # noqa: PLC0415 - not for `--help`

    if consent.given:
        carried_out(changes, apply)
    data = changes_data(changes, applied=consent.given, notes=notes, next_=next_)
    return emit_changes(command, question, data, consent, lang=lang)


def changes_data(
    changes: Sequence[Change], *, applied: bool, notes: tuple[Message, ...] = (), next_: tuple[str, ...] = ()
) -> ChangesData:
    """Give the report of changes that were made (`applied`) or only planned."""
    from llmops_cli.report import ChangesData  # noqa: PLC0415 - not for `--help`

    something = any(one.action != "none" for one in changes)
    return ChangesData(tuple(_row(one, applied=applied) for one in changes), applied and something, notes, next_)


def emit_changes(
    command: str,
    question: Question,
    data: ChangesData,
    consent: Consent,
    *,
    failed: Sequence[SourceError] = (),
    lang: str = "en",
) -> int:
    """Print the report, with what failed, and return the exit code, as `changing` says; 3 where something failed."""
    from llmops_cli.report import Problem, Report  # noqa: PLC0415 - not for `--help`
    from llmops_cli.views import put, render_error  # noqa: PLC0415 - likewise

    waits = any(row.state == "planned" for row in data.changes) and not consent.dry_run
    unconfirmed = Problem("needs_yes", "nothing was changed", "look at the diff, then add --yes")
    problems = tuple(error.problem() for error in failed) or ((unconfirmed,) if waits else ())
    report = Report(
        command,
        datetime.fromtimestamp(question.now_ms / 1000, question.zone),
        data=data,
        errors=problems,
        notes=question.notes,
    )
    code = question.emit(report, lang=lang)
    for problem in problems:
        put(render_error(problem), sys.stderr)
    return UNTRUSTED if failed else USAGE if waits else code


def _row(change: Change, *, applied: bool) -> ChangeRow:
    from llmops_cli.provision.plan import diff  # noqa: PLC0415 - not for `--help`
    from llmops_cli.report import ChangeRow  # noqa: PLC0415 - likewise

    state = "unchanged" if change.action == "none" else "done" if applied else "planned"
    return ChangeRow(
        change.kind, change.name, change.action, state, diff(change), change.rollback, change.before, change.after
    )
