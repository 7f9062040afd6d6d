"""Every SQL statement once, in the dialect that SLS (Presto) and DuckDB share.

A statement reads the relation `log`: one row per model call or feedback event, with the canonical columns. Where the
engines differ the text holds a `{placeholder}` that a `Dialect` fills in; values never enter the text, except integers
that this package computed itself (times, bucket lengths). Keep to what both engines take: no `::`, no `filter (where)`,
no `group by` of an alias, no comparison of a long with a string, and a `limit` of its own in every statement.
"""

from llmops_cli.queries.dialect import DUCKDB, Dialect
from llmops_cli.queries.statements import (
    ARRIVALS,
    CELLS,
    DEMAND,
    FAILED,
    FEEDBACK,
    POINTS,
    SLOWEST,
    TOTALS,
    Statement,
    joined,
    slices,
)

__all__ = [
    "ARRIVALS",
    "CELLS",
    "DEMAND",
    "DUCKDB",
    "FAILED",
    "FEEDBACK",
    "POINTS",
    "SLOWEST",
    "TOTALS",
    "Dialect",
    "Statement",
    "joined",
    "slices",
]
