"""The same charts as SQL for tools that speak MySQL's protocol to Log Service (port 10005): Quick BI, DataV.

There a project is a database and a logstore a table, and every statement has to say its time itself, by `__time__` or
`__date__` in WHERE: https://help.aliyun.com/en/sls/use-sql-statements-to-query-and-analyze-logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from llmops_cli.evidence import DIMENSIONS, Span
from llmops_cli.provision.alerts import Watched
from llmops_cli.provision.dashboard import relation, shown, title
from llmops_cli.queries.relation import Relation, identifier

PORT = 10005


@dataclass(frozen=True)
class Table(Relation):
    """A logstore as a table; `seconds` are the first and the one after the last that count."""

    table: str = "log"
    seconds: tuple[int, int] = (0, 0)
    wanted: tuple[str, ...] = ()

    def relation(self, columns: Sequence[str]) -> str:
        """Give the relation; see `Relation`."""
        filtered = (name for name in (*DIMENSIONS, "error_code") if getattr(self.filters, name))
        wanted = tuple(dict.fromkeys((*columns, *filtered)))
        return Relation.relation(replace(self, wanted=wanted), columns)

    def _rows(self, *, rated: bool) -> str:
        inside = f"__time__ >= {self.seconds[0]} and __time__ < {self.seconds[1]}"
        if self.raw:
            return (
                super()
                ._rows(rated=rated)
                .replace(" from log where ", f" from {identifier(self.table)} where {inside} and ", 1)
            )
        keys = [self.key(name) for name in self.wanted if name != "time_ms" and name not in self.lacking]
        return f"(select {', '.join(['__time__', *keys])} from {identifier(self.table)} where {inside}) dated"


def sql(watched: Watched, span: Span, at: datetime, endpoint: str) -> str:
    """Write one statement for each chart, with its title before it; `at` is when `span` begins, for the reader."""
    base, seconds = relation(watched), (span.start_ms // 1000, -(-span.end_ms // 1000))
    table = Table(keys=base.keys, lacking=base.lacking, filters=base.filters, table=watched.logstore, seconds=seconds)
    head = [
        f"-- {_comment(title('sql_head', watched))}",
        f"-- mysql -h {_comment(endpoint)} -P {PORT} -D {_comment(watched.project)}",
        f"-- __time__: {seconds[0]} = {at.isoformat(timespec='seconds')}, + {seconds[1] - seconds[0]} s",
    ]
    statements = [
        f"-- {_comment(title(one.chart.section, watched))}: {_comment(title(one.chart.name, watched))}\n{one.query};"
        for one in shown(watched, table)
    ]
    return "\n\n".join(["\n".join(head), *statements]) + "\n"


def host(endpoint: str | None, region: str) -> str:
    """Give the host to connect to: the endpoint's, else the region's inner one, the only that this protocol has."""
    address = endpoint or f"{region}-intranet.log.aliyuncs.com"
    return urlsplit(address if "://" in address else f"//{address}").hostname or address


def _comment(text: str) -> str:
    return " ".join(text.split())
