"""Log text into the table `calls` of an embedded DuckDB: one row per model call or feedback event.

DuckDB's native CSV reader splits the lines at their commas, which is about twice as fast as splitting strings
(`statement`). A line that it finds odd (a thread name with a comma, a broken number) is kept as text and judged in
Python by `calls`, the reference: it is a call after all, or it counts as `unparsed`, or it is an ordinary line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_cli.calls.line import looks_like_call, parse_call, parse_feedback
from llmops_cli.evidence import DIMENSIONS, Span
from llmops_cli.sources.local import dictionary
from llmops_cli.sources.local.format import LogFormat
from llmops_cli.sources.local.statement import CALL, FEEDBACK, FIRST_MS, ODD, bounds_sql, lines_sql, text

if TYPE_CHECKING:
    import duckdb

_MOST_ODD = 200_000
"""Odd lines that are judged, some seconds' worth; what lies beyond is said to be left out."""
_MOST_ODD_ENCODED = 20_000
"""More odd lines than this mean that the sample behind the encoding was not like the file: read it again, as text."""
_SAMPLE = 300
"""Characters of an unparsed line that are kept to be shown."""
_COLUMNS = (
    "part smallint, kind tinyint, time_ms bigint, app varchar, module varchar, model varchar, workspace varchar, "
    "status_code smallint, duration_ms integer, input_tokens integer, output_tokens integer, total_tokens integer, "
    "error_code varchar, error_message varchar, rest varchar"
)
"""What is kept of a line. `rest` of a failed call is `request_id,head`, of feedback its rating, of an odd line its
text: two million calls are read in a second or two only while a row stays narrow."""

VIEW = """
create or replace temp view log as select time_ms, app, module, model, workspace, status_code, duration_ms,
  input_tokens, output_tokens, total_tokens, error_code, error_message, if(kind = 2, rest, null) as rating,
  if(kind = 1, split_part(rest, ',', 1), null) as request_id,
  if(kind = 1 and rest is not null, substr(rest, position(',' in rest) + 1), null) as head
from calls where {kept}
"""
"""The relation that every statement reads, narrowed to the filters."""


@dataclass(slots=True)
class Odd:
    """What came of the lines that the table could not take.

    `unparsed`: time (None when the line has no header) and text of those that should have been calls; `left_out`: how
    many were too many to judge.
    """

    unparsed: list[tuple[int | None, str]] = field(default_factory=list)
    left_out: int = 0


def create_table(con: duckdb.DuckDBPyConnection) -> None:
    """Make the empty table `log` and the macro that gives SLS's percentile by nearest rank."""
    con.execute(f"create table calls ({_COLUMNS})")
    con.execute("create macro approx_percentile(x, p) as quantile_disc(x, p)")


def bounds(
    con: duckdb.DuckDBPyConnection,
    paths: Sequence[str],
    log_format: LogFormat,
    known: Span,
    *,
    sound: Callable[[], bool],
) -> tuple[int, int] | None:
    """Read the first and last time of any line with a header, in files whose times may not be sorted; see `load`."""
    row = con.execute(bounds_sql(paths, log_format, known)).fetchone()
    if not sound():
        raise UnsoundError
    return None if row is None or row[0] is None else (row[0], row[1])


def unreadable() -> tuple[type[Exception], ...]:
    """Name what DuckDB raises over text that is not clean: bytes that are not UTF-8, a line longer than its buffers."""
    import duckdb  # noqa: PLC0415 - keeps `--help` free of it

    return (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.NotImplementedException, UnsoundError)


class UnsoundError(Exception):
    """The text was not clean after all; nothing of it was kept."""


def load(
    con: duckdb.DuckDBPyConnection,
    paths: Sequence[str],
    log_format: LogFormat,
    span: Span,
    known: Span,
    *,
    sound: Callable[[], bool],
) -> Odd:
    """Append the calls and feedback of `span` in the clean text files `paths` to `log`.

    `known` bounds the times in the files; it only serves to know the zone's offsets. `sound` is asked when all is read.
    Raises what `unreadable` names.
    """
    encoded = dictionary.is_encoded(con)
    (part,) = con.execute("select coalesce(max(part), 0) + 1 from calls").fetchone() or (1,)
    con.execute(f"insert into calls select {part}, * from ({lines_sql(paths, log_format, known, encoded=encoded)})")
    if not sound():
        con.execute(f"delete from calls where part = {part}")
        raise UnsoundError
    inside = f"time_ms >= {span.start_ms} and time_ms < {span.end_ms}"
    of_part = f"part = {part} and kind = {ODD} and (time_ms is null or time_ms < {FIRST_MS} or {inside})"
    odd = [line for (line,) in con.execute(f"select rest from calls where {of_part} limit {_MOST_ODD}").fetchall()]
    (count,) = con.execute(f"select count(*) from calls where {of_part}").fetchone() or (0,)
    # Not a filter of the statement above: DuckDB would compute kind and time twice for it, at twice the price.
    con.execute(f"delete from calls where part = {part} and (kind not in ({CALL}, {FEEDBACK}) or not ({inside}))")
    if encoded and odd:
        dictionary.forget(con)
        if len(odd) > _MOST_ODD_ENCODED:
            con.execute(f"delete from calls where part = {part}")
            return load(con, paths, log_format, span, known, sound=sound)
    if not encoded:
        _strip(con, part)
    judged = _judge(con, part, odd, log_format, span)
    judged.left_out = count - len(odd)
    return judged


def _strip(con: duckdb.DuckDBPyConnection, part: int) -> None:
    """Strip the dimensions' values, and empty Java's `null`: afterwards, because hardly any log needs it."""
    amiss = {name: f"({name} < '!' and {name} <> '' or suffix({name}, ' ') or {name} = 'null')" for name in DIMENSIONS}
    flags = ", ".join(f"bool_or({test})" for test in amiss.values())
    found = con.execute(f"select {flags} from calls where part = {part}").fetchone() or ()
    for (name, test), needed in zip(amiss.items(), found, strict=False):
        if needed:
            con.execute(f"update calls set {name} = {text(name)} where part = {part} and {test}")


def _judge(con: duckdb.DuckDBPyConnection, part: int, lines: Sequence[str], log_format: LogFormat, span: Span) -> Odd:
    """Read odd lines with the reference parser: insert those that are calls, count those that should have been."""
    odd = Odd()
    rows: list[tuple[Any, ...]] = []
    for line in lines:
        header = log_format.header(line)
        message = header.message if header else line
        time = log_format.time_ms(line)
        if time is not None and not span.start_ms <= time < span.end_ms:
            continue
        call = parse_call(message) if time is not None else None
        feedback = parse_feedback(message) if time is not None else None
        if call is not None:
            rows.append(
                (part, 1, time, call.app, call.module, call.model, call.workspace, call.status_code, call.duration_ms,
                 call.input_tokens, call.output_tokens, call.total_tokens, call.error_code, call.error_message,
                 None if call.status_code == 200 and not call.error_code else f"{call.request_id},{line}")
            )  # fmt: skip
        elif feedback is not None:
            who = (feedback.app, feedback.module, feedback.model, feedback.workspace)
            rows.append((part, 2, time, *who, None, None, 0, 0, 0, "", "", feedback.rating))
        elif looks_like_call(message) or (time is not None and message.startswith("feedback:")):
            odd.unparsed.append((time, line[:_SAMPLE]))
    if rows:
        con.executemany(f"insert into calls values ({', '.join('?' * len(rows[0]))})", rows)
    return odd
