"""The relation `log` on a logstore: its keys under their canonical names, as SQL that Log Service (Presto) takes.

A logstore holds a call as fields, or as the raw message of twelve values (`message`). Both come out the same: one row
per call or rating. What the index lacks is left out: a constant stands for it, and `Relation.unknown` says what is
then not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmops_cli.evidence import DIMENSIONS, Filters
from llmops_cli.queries.dialect import Dialect
from llmops_cli.queries.statements import COLUMNS

MESSAGE_KIND = "regexp_replace(error_message, '[0-9A-Fa-f]*[0-9][0-9A-Fa-f-]*', '#')"
_PLACES = {
    name: place
    for place, name in enumerate(
        (
            *DIMENSIONS, "request_id", "status_code", "duration_ms", "input_tokens", "output_tokens", "total_tokens",
            "error_code", "error_message",
        ),
        start=1,
    )
}  # fmt: skip
"""Where a value stands in the raw message of a call, from 1."""
_TEXTS = frozenset({*DIMENSIONS, "request_id", "trace_id", "level", "error_code", "error_message", "rating"})
_MOST = 2**31 - 1
_TOKENS = frozenset({"input_tokens", "output_tokens", "total_tokens"})
_NOT_KNOWN = {
    "status_code": "HTTP status (a call counts as failed when it has an error code)",
    "duration_ms": "latency",
    "error_code": "error codes (a call counts as failed when its status is not 200)",
    "error_message": "error messages",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "total_tokens": "tokens, and with them TPM",
    "rating": "user feedback",
    "trace_id": "trace ids",
    "request_id": "request ids",
}
"""What a reader does not learn where the index lacks a field."""


@dataclass(frozen=True, slots=True)
class Relation(Dialect):
    """A logstore's calls in SQL. `keys` maps canonical names to the logstore's; `lacking` are not in its index."""

    ms: str = "time_ms"
    message_kind: str = MESSAGE_KIND
    keys: Mapping[str, str] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()
    filters: Filters = Filters()

    @property
    def raw(self) -> bool:
        """Whether the logstore holds the message of twelve values instead of fields."""
        return "message" in self.keys

    def name(self, name: str) -> str:
        """Give the logstore's key of a canonical field."""
        return self.keys.get(name, name)

    def key(self, name: str) -> str:
        """Give the logstore's key of a canonical field, quoted for SQL."""
        return identifier(self.name(name))

    def not_indexed(self, index: Mapping[str, Any]) -> set[str]:
        """Name the canonical fields that an index (its JSON) lacks, or has without statistics."""
        keys = index.get("keys") or {}
        return {name for name in (*COLUMNS, "message") if not (keys.get(self.name(name)) or {}).get("doc_value")}

    def relation(self, columns: Sequence[str]) -> str:
        """Give the relation, called `event`, with these canonical columns, narrowed to the filters."""
        rated = "rating" in columns
        wanted = tuple(name for name in columns if name != "time_ms")
        value = self._of_raw_feedback if self.raw and rated else self._of_raw if self.raw else self._of_field
        picked = ["__time__ * 1000 as time_ms", *(f"{value(name)} as {name}" for name in wanted)]
        kept = [
            f"{value(name)} in ({', '.join(map(literal, chosen))})"
            for name in (*DIMENSIONS, *(() if rated else ("error_code",)))
            if (chosen := getattr(self.filters, name))
        ]
        where = f" where {' and '.join(kept)}" if kept else ""
        return f"(select {', '.join(picked)} from {self._rows(rated=rated)}{where}) event"

    def knows_not(self, columns: Collection[str]) -> list[str]:
        """Say what is not known, of these columns, because the index lacks a field."""
        return [_NOT_KNOWN.get(name, f"{name}s") for name in sorted(self.lacking) if name in columns]

    def search(self) -> str:
        """Narrow by the index first, as far as it can be said in search words; SQL compares exactly."""
        if self.raw:
            return "*"
        chosen = {name: getattr(self.filters, name) for name in DIMENSIONS if name not in self.lacking}
        kept = [said for name, values in chosen.items() if values and (said := any_of(self.name(name), values))]
        conditions = sum(len(values) for values in chosen.values())
        return " and ".join(kept) if kept and conditions <= MOST_CONDITIONS else "*"

    def _rows(self, *, rated: bool) -> str:
        if not self.raw:
            return "log"
        message = self.key("message")
        if rated:
            inside = f"select __time__, split({message}, ',', 7) as x from log where {message} like 'feedback:%'"
            return f"({inside}) parts"
        extra = "".join(f", {self.key(name)}" for name in ("trace_id", "level") if name not in self.lacking)
        others = " and ".join(f"{message} not like '{word}:%'" for word in ("prompt", "result", "feedback"))
        x = f"split({message}, ',', 12) as x"
        return f"(select __time__{extra}, {x} from log where {message} like '%,%,%' and {others}) parts"

    def _of_field(self, name: str) -> str:
        if name in self.lacking:
            return _constant(name)
        key = self.key(name)
        return _typed(name, f"cast({key} as varchar)" if name in _TEXTS else key)

    def _of_raw(self, name: str) -> str:
        if name in ("trace_id", "level"):
            return self._of_field(name)
        place = _PLACES[name]
        whole = "cardinality(x) = 12"
        if name == "duration_ms":  # it makes a line a call: whose tokens are no numbers is none, as in a file
            told = (f"trim(x[{_PLACES[tokens]}])" for tokens in sorted(_TOKENS))
            whole += "".join(
                f" and ({t} in ('', 'null') or try_cast({t} as double) between 0 and {_MOST})" for t in told
            )
        return _typed(name, f"case when {whole} then trim(x[{place}]) end")

    def _of_raw_feedback(self, name: str) -> str:
        if name == "rating":
            return "case when cardinality(x) >= 6 and lower(trim(x[6])) in ('up', 'down') then lower(trim(x[6])) end"
        if name == "app":
            return "trim(substr(x[1], 10))"
        return f"case when cardinality(x) >= 6 then trim(x[{_PLACES[name]}]) else '' end"


MOST_CONDITIONS = 30
"""Search conditions that one query may have."""


def _typed(name: str, value: str) -> str:
    """Read a value as its column, as `calls.line` does: missing text is empty, missing tokens are 0.

    A status is 100 to 599; any other number is not negative, and below 2^31: one that is not is none.
    """
    if name == "rating":
        return f"case when lower({value}) in ('up', 'down') then lower({value}) end"
    if name in _TEXTS:
        return f"case when {value} is null or {value} = 'null' then '' else {value} end"
    number = f"try_cast({value} as bigint)"
    least, most = (100, 599) if name == "status_code" else (0, _MOST)
    otherwise = " else 0" if name in _TOKENS else ""
    return f"case when {number} between {least} and {most} then {number}{otherwise} end"


def _constant(name: str) -> str:
    """Stand in for a field that the index lacks."""
    if name == "rating":
        return "cast(null as varchar)"
    return {"status_code": "200", "duration_ms": "0"}.get(name, "''" if name in _TEXTS else "0")


def identifier(key: str) -> str:
    """Quote a key for SQL."""
    return '"' + key.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a value for SQL."""
    return "'" + value.replace("'", "''") + "'"


def any_of(key: str, values: Sequence[str]) -> str:
    """Say `key: value or …` in search words; empty where a value cannot be said so: SQL alone then decides."""
    if not all(value and all(char.isalnum() or char in "-_.@ " for char in value) for value in values):
        return ""
    if not all(char.isalnum() or char in "-_." for char in key):
        return ""
    said = " or ".join(f'{key}: "{value}"' for value in values)
    return f"({said})" if len(values) > 1 else said


def quoted(value: str) -> str:
    """Quote a phrase for the search part."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
