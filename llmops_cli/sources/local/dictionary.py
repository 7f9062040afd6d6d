"""Dictionary encoding of the four dimensions, for long reads: a number per value instead of a string per call.

Grouping two million calls by model and workspace costs half as much that way. The values are learnt from a sample of
the file. A line with a value that the sample did not hold is judged one by one (`load`), and ends the encoding: the
columns become text again, at the price of a copy. A log with very many values, or values that need stripping, is not
encoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from llmops_cli.calls.line import parse_call
from llmops_cli.evidence import DIMENSIONS
from llmops_cli.sources.local.format import LogFormat

if TYPE_CHECKING:
    import duckdb

WORTH_BYTES = 16 << 20
"""Reads shorter than this are not worth a sample."""
_MOST_VALUES = 250
_LEAST_CALLS = 100


def learn(con: duckdb.DuckDBPyConnection, lines: Iterable[str], log_format: LogFormat) -> bool:
    """Give the empty table `calls` encoded columns for the values in `lines`, if they are fit for it."""
    values: dict[str, set[str]] = {name: set() for name in DIMENSIONS}
    separator = log_format.pattern.message_separator or "\n"
    calls = 0
    for line in lines:
        said = line.partition(separator)[2].split(",", len(DIMENSIONS))
        if len(said) > len(values) and all(map(set.__contains__, values.values(), said)):
            calls += 1  # as good as all of them: parsing each would take ten times as long
            continue
        header = log_format.header(line)
        call = parse_call(header.message) if header else None
        if call is None:
            continue
        calls += 1
        for name in DIMENSIONS:
            values[name].add(getattr(call, name))
    if calls < _LEAST_CALLS or any(len(each) > _MOST_VALUES for each in values.values()):
        return False
    for name, each in values.items():
        listed = ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(each))
        con.execute(f"create type of_{name} as enum ({listed})")
        con.execute(f"alter table calls alter column {name} type of_{name}")
    return True


def forget(con: duckdb.DuckDBPyConnection) -> None:
    """Make the columns text again."""
    for name in DIMENSIONS:
        con.execute(f"alter table calls alter column {name} type varchar")


def is_encoded(con: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether the table's dimensions are encoded."""
    columns = con.execute("select app from calls limit 0").description or []
    return str(columns[0][1]).startswith("ENUM")
