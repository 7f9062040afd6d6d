"""The part of a statement after the `|`: `select … from log`, carried out by DuckDB.

A relation has `__time__`, `__topic__`, `__source__` and exactly the keys whose statistics are on. Simplified against
the Log Service: times are UTC, percentiles and distinct counts are exact, a statement scans all there is.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

from tests.cloud.macros import MACROS
from tests.cloud.presto import MOST_ROWS, USUAL_ROWS, Understood, understand
from tests.cloud.refused import Refused, invalid
from tests.cloud.state import Logstore

TEXT_CUT = 2048
"""How much of a text value statistics keep, unless the index says otherwise (`max_text_len`)."""

_SQL_TYPES = {"text": "varchar", "json": "varchar", "long": "bigint", "double": "double"}
_RESERVED = {"__time__": "long", "__topic__": "text", "__source__": "text"}


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer: `rows` hold text, null as "null"."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(eq=False)
class _Table:
    """One logstore's logs in DuckDB, as far as they are loaded, for one version of its index."""

    name: str
    version: int
    columns: dict[str, str]
    loaded: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """The logs that a statement sees: of `logstore`, the first `end`, in [start_s, end_s), only `numbers` unless that is None."""

    logstore: Logstore
    end: int
    start_s: int
    end_s: int
    numbers: Sequence[int] | None = None


class Engine:
    """All logstores of a cloud in one DuckDB."""

    def __init__(self) -> None:
        self._con = duckdb.connect(config={"threads": 2})
        for macro in MACROS:
            self._con.execute(f"create macro {macro}")
        self._tables: dict[int, _Table] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._con.close()

    def answer(self, sql: str, relations: Mapping[str, Slice]) -> Rows:
        """Carry out a statement over relations by name; raise `Refused` for what the service does not take."""
        with self._lock:
            tables = {name: self._load(part) for name, part in relations.items()}
            cursor = self._con.cursor()
        try:
            cursor.execute("set lambda_syntax = 'ENABLE_SINGLE_ARROW'")
            understood = understand(sql, {name: _types(table) for name, table in tables.items()}, cursor)
            for name, part in relations.items():
                _view(cursor, name, tables[name], part)
            return _answer(cursor, understood)
        finally:
            cursor.close()

    def _load(self, part: Slice) -> _Table:
        logstore = part.logstore
        table = self._tables.get(logstore.serial)
        if table is None or table.version != logstore.index_versions:
            if table:
                self._con.execute(f"drop table {table.name}")
            keys = logstore.needed_index().get("keys") or {}
            columns = {**_RESERVED, **{key: held["type"] for key, held in keys.items() if held.get("doc_value")}}
            table = _Table(f"rows_of_{logstore.serial}", logstore.index_versions, columns)
            self._tables[logstore.serial] = table
            types = "".join(f", c{at} {_SQL_TYPES[held]}" for at, held in enumerate(columns.values()))
            self._con.execute(f"create table {table.name} (number bigint{types})")
        if table.loaded < len(logstore.logs):
            self._append(table, logstore)
        return table

    def _append(self, table: _Table, logstore: Logstore) -> None:
        cut = (logstore.index or {}).get("max_text_len") or TEXT_CUT
        end = len(logstore.logs)
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
            for number in range(table.loaded, end):
                fields = logstore.seen(number)
                row = {f"c{at}": fields[key][:cut] for at, key in enumerate(table.columns) if key in fields}
                file.write(json.dumps({"number": number, **row}) + "\n")
            file.flush()
            shape = ", ".join(f"c{at}: 'varchar'" for at in range(len(table.columns)))
            taken = ", ".join(
                f"try_cast(c{at} as {_SQL_TYPES[held]})" for at, held in enumerate(table.columns.values())
            )
            self._con.execute(
                f"insert into {table.name} select number, {taken} from read_json(?, format = 'newline_delimited', "
                f"columns = {{number: 'bigint', {shape}}}, maximum_object_size = 100000000)",
                [file.name],
            )
        table.loaded = end


def _types(table: _Table) -> dict[str, str]:
    return {key: _SQL_TYPES[held] for key, held in table.columns.items()}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _view(cursor: duckdb.DuckDBPyConnection, name: str, table: _Table, part: Slice) -> None:
    narrowed = ""
    if part.numbers is not None:
        chosen = _quoted(f"chosen of {name}")
        cursor.execute(f"create temp table {chosen} as select unnest(?::bigint[]) as number", [list(part.numbers)])
        narrowed = f"and number in (from {chosen})"
    names = ", ".join(f"c{at} as {_quoted(key)}" for at, key in enumerate(table.columns))
    cursor.execute(
        f"create temp view {_quoted(name)} as select {names} from {table.name} where c0 >= {part.start_s} "
        f"and c0 < {part.end_s} and number >= {part.logstore.indexed_since} and number < {part.end} {narrowed}"
    )


def _answer(cursor: duckdb.DuckDBPyConnection, understood: Understood) -> Rows:
    try:
        cursor.execute(understood.duckdb_sql)
        found = cursor.fetchmany(MOST_ROWS if understood.has_limit else USUAL_ROWS)
    except duckdb.Error as error:
        raise _in_prestos_words(str(error)) from error
    columns = [(str(column[0]), str(column[1])) for column in cursor.description or []]
    return Rows(
        tuple(understood.column_name(at, name) for at, (name, _) in enumerate(columns)),
        tuple(_type_name(held) for _, held in columns),
        [tuple(text_of(value) for value in row) for row in found],
    )


def _in_prestos_words(message: str) -> Refused:
    lines = message.splitlines()
    what = lines[0].partition(": ")[2] or message
    quoted = what.split('"')
    if "must appear in the GROUP BY clause" in what:
        return invalid(f"Column '{quoted[1]}' not in GROUP BY clause;please add the column in the index attribute")
    if ("not found in FROM clause" in what or "does not have a column named" in what) and len(quoted) > 1:
        name = quoted[-2] if "does not have" in what else quoted[1]
        return invalid(f"line 1:8: Column '{name}' cannot be resolved;please add the column in the index attribute")
    return invalid(f"line 1:8: {what}")


def _type_name(held: str) -> str:
    if held.endswith("[]"):
        return "array"
    low = held.lower()
    if low.startswith("decimal"):
        return "double"
    return {"hugeint": "bigint", "ubigint": "bigint", "integer": "bigint"}.get(low, low.partition("(")[0])


def text_of(value: Any) -> str:
    """Write a value as the service's JSON does: everything is a string."""
    if isinstance(value, float | Decimal):
        return java_double(float(value))
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, bool | list | tuple | dict):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, Decimal):
        return float(value)
    return text_of(value) if isinstance(value, datetime | date) else value


def java_double(value: float) -> str:
    """Write a double as Java does: 1.0E7 from ten million on, 1.0E-4 below a thousandth."""
    if value != value:  # noqa: PLR0124 - not a number
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value) if "e" not in repr(value) else f"{value:f}"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    figures = "".join(map(str, digits))
    power = len(figures) - 1 + int(exponent)
    return f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}E{power}"
