"""What the Log Service's SQL (Presto) takes and refuses, and how DuckDB says the same.

A statement is parsed by DuckDB, looked over as a tree, and written again: `from log` is put in where it was left out,
and functions get the names that carry out Presto's meaning here. Functions that are not listed here are refused, also those
that the real service has (`time_series`, `compare`, `ts_compare`, `date_add`, …): add them when a statement needs them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from tests.cloud.refused import invalid

USUAL_ROWS = 100
"""Rows answered where a statement has no LIMIT."""
MOST_ROWS = 1_000_000

_RENAMED = {"/": "presto_divide", "transform": "list_transform", "filter": "list_filter"}

_NUMBER_FUNCTIONS = frozenset(
    """
    abs approx_distinct avg cardinality ceil ceiling corr count count_if count_star date_diff date_part day exp
    floor hour ln log10 log2 minute mod month power round second sqrt stddev stddev_pop stddev_samp strpos sum
    to_unixtime var_pop var_samp variance year length position row_number
    rank dense_rank sign random
    """.split()  # noqa: SIM905 - a paragraph of words reads best
)
"""Functions that answer a number."""
_TEXT_FUNCTIONS = frozenset(
    """
    array_join concat date_format json_extract_scalar lower lpad ltrim regexp_extract regexp_replace replace reverse
    rpad rtrim split_part substr substring trim upper url_extract_host url_extract_parameter url_extract_path md5
    to_hex chr
    """.split()  # noqa: SIM905 - a paragraph of words reads best
)
"""Functions that answer text."""
_OTHER_FUNCTIONS = frozenset(
    """
    approx_percentile arbitrary array_agg array_distinct array_max array_min array_sort bool_and bool_or contains
    date_parse date_trunc element_at filter from_unixtime greatest histogram if json_extract
    json_parse lag lead least map map_agg map_keys map_values max max_by min min_by now nullif regexp_extract_all
    regexp_like row sequence split starts_with transform typeof first_value last_value nth_value ntile percent_rank
    to_days to_hours to_minutes to_seconds to_months to_years trunc list_value
    """.split()  # noqa: SIM905 - a paragraph of words reads best
)
"""The others, and what the parser makes of extract(), interval and lists."""
_FUNCTIONS = _NUMBER_FUNCTIONS | _TEXT_FUNCTIONS | _OTHER_FUNCTIONS
_ARITHMETIC = frozenset("+-*/%")
_OPERATORS = _ARITHMETIC | {"||", "~~", "!~~"}
_NUMBER_TYPES = frozenset({"BIGINT", "INTEGER", "SMALLINT", "TINYINT", "DOUBLE", "REAL", "FLOAT", "DECIMAL"})

_NOT_TEXT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_LIMIT_PAIR = re.compile(r"\blimit\s+(\d+)\s*,\s*(\d+)\s*$", re.IGNORECASE)

Node = dict[str, Any]
Types = Mapping[str, Mapping[str, str]]
"""For each relation its columns' DuckDB types."""


@dataclass(frozen=True, slots=True)
class Understood:
    """A statement that the service would take. `names` are its columns' names, None where they stand for all."""

    duckdb_sql: str
    has_limit: bool
    names: tuple[str | None, ...] | None

    def column_name(self, at: int, duckdb_name: str) -> str:
        """Name the column at `at` as the service does: `_col0` where it has no name of its own."""
        if self.names is None:
            return duckdb_name
        return self.names[at] or f"_col{at}"


def understand(sql: str, relations: Types, cursor: duckdb.DuckDBPyConnection) -> Understood:
    """Look a statement over and write it for DuckDB; raise `Refused` for what Presto does not take."""
    bare = _NOT_TEXT.sub("''", sql)
    if ";" in bare:
        raise invalid("line 1:1: mismatched input ';' expecting {<EOF>}")
    if "::" in bare:
        raise invalid(f"line 1:{bare.index('::') + 1}: mismatched input ':'")
    sql = _LIMIT_PAIR.sub(r"limit \2 offset \1", sql.strip())
    tree = _parse(sql, cursor)
    top = tree["statements"][0]["node"]
    log = next(iter(relations)) if len(relations) == 1 else None
    _put_from(top, log)
    for node in _nodes(top):
        _check_node(node)
    _Columns(relations, top).check(top)
    limit = next((held["limit"] for held in top["modifiers"] if held["type"] == "LIMIT_MODIFIER"), None)
    if limit and int(limit.get("literal", {}).get("text", 0)) > MOST_ROWS:
        raise invalid(f"limit must not be more than {MOST_ROWS}")
    names = _names(top)
    _rename(top)
    (written,) = cursor.execute("select json_deserialize_sql(?::json)", [json.dumps(tree)]).fetchone() or ("",)
    return Understood(written, limit is not None, names)


def _parse(sql: str, cursor: duckdb.DuckDBPyConnection) -> Node:
    (text,) = cursor.execute("select json_serialize_sql(?::varchar)", [sql]).fetchone() or ("{}",)
    tree: Node = json.loads(text)
    if tree["error"]:
        raise invalid(f"line 1:{int(tree.get('position', 0)) + 1}: {tree['error_message']}")
    return tree


def _nodes(node: Any) -> Iterator[Node]:
    if isinstance(node, dict):
        yield node
        for held in node.values():
            yield from _nodes(held)
    elif isinstance(node, list):
        for held in node:
            yield from _nodes(held)


def _selects(top: Node) -> list[Node]:
    """Give the selects that answer together: one, or the members of a union."""
    if top["type"] == "SELECT_NODE":
        return [top]
    return [select for child in top.get("children", []) for select in _selects(child)]


def _put_from(top: Node, log: str | None) -> None:
    outer = _selects(top)
    for node in _nodes(top):
        table = node.get("from_table")
        if node.get("type") != "SELECT_NODE" or table["type"] != "EMPTY":
            continue
        if log is None or not any(node is select for select in outer):
            raise invalid("you are using nested sql, please specify FROM LOGSTORE in the innermost sql")
        node["from_table"] = {
            **table, "type": "BASE_TABLE", "schema_name": "", "table_name": log, "column_name_alias": [],
            "catalog_name": "", "at_clause": None, "qualified_name": {"path": [log]},
        }  # fmt: skip


def _check_node(node: Node) -> None:
    if node.get("type") == "SELECT_NODE" and node.get("qualify"):
        raise invalid("line 1:1: mismatched input 'qualify'")
    if node.get("class") not in {"FUNCTION", "WINDOW"}:
        return
    name = node["function_name"].lower()
    if node.get("filter") or node.get("filter_expr"):
        raise invalid("line 1:1: mismatched input 'filter'")
    if name == "~~*":
        raise invalid("line 1:1: mismatched input 'ilike'")
    if node.get("is_operator") and name not in _OPERATORS:
        raise invalid(f"line 1:1: mismatched input '{name}'")
    if not node.get("is_operator") and name not in _FUNCTIONS:
        raise invalid(f"line 1:1: Function {name} not registered")


class _Columns:
    """Names and kinds (number, text) of columns, as far as a tree shows them without carrying it out."""

    def __init__(self, relations: Types, top: Node) -> None:
        self.relations = {name.lower(): columns for name, columns in relations.items()}
        self.common = {held["key"].lower() for node in _nodes(top) for held in node.get("cte_map", {}).get("map", [])}
        made = {node["alias"].lower() for node in _nodes(top) if node.get("alias")}
        self.kinds: dict[str, str] = {}
        for columns in relations.values():
            for name, held in columns.items():
                if name.lower() not in made:
                    self.kinds[name.lower()] = "varchar" if held == "varchar" else "number"

    def check(self, top: Node) -> None:
        """Raise `Refused` for an alias used beside where it is made, and for numbers mixed with text."""
        for node in _nodes(top):
            if node.get("type") == "SELECT_NODE":
                self._check_aliases(node)
            for what, parts in self._together(node):
                if {"number", "varchar"} <= {self.kind(part) for part in parts}:
                    raise invalid(f"line 1:1: {what} cannot be applied to bigint, varchar")

    def _check_aliases(self, select: Node) -> None:
        held = self.held_by(select["from_table"])
        if held is None:
            return
        aliases = {item["alias"].lower() for item in select["select_list"] if item.get("alias")} - held
        for part in (select["select_list"], select["where_clause"], select["having"]):
            for node in _own_nodes(part):
                if node.get("class") == "COLUMN_REF" and node["column_names"][0].lower() in aliases:
                    name = node["column_names"][0]
                    raise invalid(
                        f"line 1:{node['query_location'] + 1}: Column '{name}' cannot be resolved;"
                        "please add the column in the index attribute"
                    )

    def held_by(self, table: Node) -> set[str] | None:
        """Give the names a FROM offers; None where the tree does not tell."""
        if table["type"] == "BASE_TABLE":
            name = table["table_name"].lower()
            if name in self.common or name not in self.relations:
                return None
            return {column.lower() for column in self.relations[name]}
        if table["type"] == "SUBQUERY":
            names = _names(table["subquery"]["node"])
            return None if names is None else {name.lower() for name in names if name}
        if table["type"] == "JOIN":
            left, right = self.held_by(table["left"]), self.held_by(table["right"])
            return None if left is None or right is None else left | right
        return None

    def _together(self, node: Node) -> Iterator[tuple[str, list[Node]]]:
        kind, held = node.get("class"), node.get("type", "")
        if kind == "COMPARISON":
            yield "'='" if held == "COMPARE_EQUAL" else held.removeprefix("COMPARE_").lower(), [
                node["left"], node["right"],
            ]  # fmt: skip
        elif kind == "BETWEEN":
            yield "between", [node["input"], node["lower"], node["upper"]]
        elif held in {"COMPARE_IN", "COMPARE_NOT_IN"}:
            yield "in", node["children"]
        elif held == "OPERATOR_COALESCE":
            yield "All COALESCE operands must be the same type: coalesce", node["children"]
        elif kind == "CASE":
            yield "All CASE results must be the same type: case", _branches(node)
        elif kind == "FUNCTION" and node["function_name"] in _ARITHMETIC:
            yield f"'{node['function_name']}'", [held["expression"] for held in node["arguments"]]

    def kind(self, node: Node) -> str | None:
        """Tell whether an expression is a "number" or "varchar"; None where that is not known."""
        held = node.get("class")
        kinds: set[str | None] = set()
        if held == "COLUMN_REF":
            return self.kinds.get(node["column_names"][-1].lower())
        if held == "CONSTANT":
            literal = node["literal"]["kind"]
            if literal in {"NULL_LITERAL", "BOOLEAN"}:
                return None
            return "varchar" if literal == "STRING" else "number"
        if held == "CAST":
            name = node["type_expr"]["type_name"].upper()
            return "number" if name in _NUMBER_TYPES else "varchar" if name == "VARCHAR" else None
        if held == "CASE":
            kinds = {self.kind(part) for part in _branches(node)} - {None}
        elif node.get("type") == "OPERATOR_COALESCE":
            kinds = {self.kind(part) for part in node["children"]} - {None}
        elif held in {"FUNCTION", "WINDOW"}:
            return self._function_kind(node)
        return kinds.pop() if len(kinds) == 1 else None

    def _function_kind(self, node: Node) -> str | None:
        name = node["function_name"]
        arguments = [self.kind(argument["expression"]) for argument in node["arguments"]]
        if name in _NUMBER_FUNCTIONS or (name in _ARITHMETIC and set(arguments) == {"number"}):
            return "number"
        if name in _TEXT_FUNCTIONS or name == "||":
            return "varchar"
        return arguments[0] if name in {"max", "min", "arbitrary", "max_by", "min_by"} and arguments else None


def _branches(case: Node) -> list[Node]:
    return [check["then_expr"] for check in case["case_checks"]] + [case["else_expr"]]


def _own_nodes(node: Any) -> Iterator[Node]:
    """Walk a tree without the selects inside it, whose names are their own."""
    if isinstance(node, dict):
        if node.get("class") in {"SUBQUERY", "LAMBDA"}:
            return
        yield node
        for held in node.values():
            yield from _own_nodes(held)
    elif isinstance(node, list):
        for held in node:
            yield from _own_nodes(held)


def _names(top: Node) -> tuple[str | None, ...] | None:
    names = []
    for item in _selects(top)[0]["select_list"]:
        if item["class"] == "STAR":
            return None
        own = item["column_names"][-1] if item["class"] == "COLUMN_REF" else None
        names.append(item.get("alias") or own)
    return tuple(names)


def _rename(top: Node) -> None:
    for node in _nodes(top):
        if node.get("class") == "FUNCTION" and node["function_name"].lower() in _RENAMED:
            name = _RENAMED[node["function_name"].lower()]
            node |= {"function_name": name, "is_operator": False, "qualified_name": {"path": [name]}}
        if node.get("function_name") in {"date_format", "date_parse"}:
            literal = node["arguments"][1]["expression"].get("literal", {})
            for mysql, c in (("%i", "%M"), ("%s", "%S"), ("%T", "%H:%M:%S")):
                literal["text"] = literal.get("text", "").replace(mysql, c)
