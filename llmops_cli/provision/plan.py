"""Plan → apply: changes as data, the same for every verb that changes the account.

A module of this room reads what is there, says what it wants, and gives a `Change` for each object; the verb shows
them and, told to, hands them to `carried_out` with the function that sends one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Literal

from llmops_cli.errors import SourceError

Action = Literal["create", "update", "none"]

_ONE_LINE = 240
"""Characters of JSON that a diff shows on one line."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object of the account: as it is (`before`, None where there is none) and as it will be (`after`).

    `kind` is an id (`logstore`, `machine_group`); `change_kind` of the sentences says it in words. `rollback`: the
    command that takes the change back; where there is none, an English sentence that the sentences have too.
    """

    kind: str
    name: str
    action: Action
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    rollback: str = ""

    @classmethod
    def towards(
        cls, kind: str, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any], rollback: str = ""
    ) -> Change:
        """Plan the step from `before` to `after`; where they are the same there is nothing to do or to take back."""
        if before == after:
            return cls(kind, name, "none", before, after)
        return cls(kind, name, "create" if before is None else "update", before, after, rollback)


def diff(change: Change) -> tuple[str, ...]:
    """Give what changes as a unified diff of sorted JSON, line by line, without its head; nothing for no change."""
    if change.action == "none":
        return ()
    before, after = _lines(change.before), _lines(change.after)
    return tuple(line for line in unified_diff(before, after, lineterm="", n=2) if not _head(line))


def same_where_wanted(held: Any, wanted: Any) -> Any:
    """Reduce what is there to what is spoken of: objects to the keys of `wanted`, at every depth.

    The service adds times, defaults and names of its own to what it keeps; they are no difference.
    """
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        return {key: same_where_wanted(held[key], value) for key, value in wanted.items() if key in held}
    if isinstance(held, list) and isinstance(wanted, list) and len(held) == len(wanted):
        return [same_where_wanted(one, other) for one, other in zip(held, wanted, strict=True)]
    return held


def carried_out(changes: Iterable[Change], apply: Callable[[Change], None]) -> tuple[Change, ...]:
    """Carry out changes in their order and give those that were made.

    Stops at the first that fails. Raises `SourceError` with what failed, what had been done before and how to
    take that back.
    """
    done: list[Change] = []
    for change in changes:
        if change.action == "none":
            continue
        try:
            apply(change)
        except SourceError as error:
            before = ", ".join(map(_named, done))
            back = "; ".join(one.rollback for one in reversed(done))
            raise SourceError(
                error.code,
                f"{_named(change)}: {error.message}" + (f"; done before: {before}" if before else ""),
                error.hint + (f". To take back what was done: {back}" if back else ""),
                retryable=error.retryable,
                request_id=error.request_id,
            ) from error
        done.append(change)
    return tuple(done)


def _named(change: Change) -> str:
    return f"{change.kind.replace('_', ' ')} {change.name}"


def _lines(value: Mapping[str, Any] | None) -> list[str]:
    return [] if value is None else list(_written(_shown(value), "", ""))


def _shown(value: Any) -> Any:
    """Join lists of single characters, the separators of an index, into one text."""
    if isinstance(value, Mapping):
        return {key: _shown(one) for key, one in value.items()}
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) and len(one) == 1 for one in value):
        return "".join(value)
    return [_shown(one) for one in value] if isinstance(value, list | tuple) else value


def _written(value: Any, indent: str, before: str) -> Iterator[str]:
    """Write sorted JSON; what fits on one line stands on one: an index has a key a line, not a separator a line."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    deeper = indent + "  "
    if len(text) <= _ONE_LINE and indent:
        yield f"{indent}{before}{text}"
    elif isinstance(value, Mapping) and value:
        yield f"{indent}{before}{{"
        for key in sorted(value):
            yield from _written(value[key], deeper, f"{json.dumps(key, ensure_ascii=False)}: ")
        yield f"{indent}}}"
    elif isinstance(value, list | tuple) and value:
        yield f"{indent}{before}["
        for one in value:
            yield from _written(one, deeper, "")
        yield f"{indent}]"
    else:
        yield f"{indent}{before}{text}"


def _head(line: str) -> bool:
    return line.startswith(("--- ", "+++ ")) and len(line) == 4
