"""Log text into the table `log` of an embedded DuckDB: one row per model call or feedback event.

DuckDB's native CSV reader splits the lines at their commas, which is about twice as fast as splitting strings: a call
is twelve comma-separated values, the first of them with the header in front. Two parsers share one set of rules:

- the *quick* one, for patterns that begin with a date of fixed width: the time is the head's first characters, the
  message what follows the first occurrence of the literal before `%m`;
- the *full* one, the pattern's regular expression, for every other pattern.

A line that the quick parser finds odd (a thread name with a comma, a broken number) is kept as text and judged in
Python by `calls`, the reference: it is a call after all, or it counts as `unparsed`, or it is an ordinary line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from llmops_cli.calls.line import looks_like_call, parse_call, parse_feedback
from llmops_cli.calls.pattern import Pattern
from llmops_cli.evidence import DIMENSIONS, Span
from llmops_cli.sources.local import dictionary
from llmops_cli.sources.local.format import LogFormat

if TYPE_CHECKING:
    import duckdb

_OVERFLOW = 8
"""Commas of an error message that are kept for matching; `trace` shows messages whole."""
_ODD_LINES = 200_000
_ODD_WHILE_ENCODED = 20_000
_ODD_BYTES = 4096
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
    """What came of the lines that the table could not take."""

    unparsed: int = 0
    samples: tuple[str, ...] = ()


def create_table(con: duckdb.DuckDBPyConnection) -> None:
    """Make the empty table `log` and the macro that gives SLS's percentile by nearest rank."""
    con.execute(f"create table calls ({_COLUMNS})")
    con.execute("create macro approx_percentile(x, p) as quantile_disc(x, p)")


def bounds(
    con: duckdb.DuckDBPyConnection, paths: Sequence[str], log_format: LogFormat, known: Span
) -> tuple[int, int] | None:
    """Read the first and last time of any line with a header, in files whose times may not be sorted."""
    pattern = log_format.pattern
    source, line, _, _ = _source(paths, pattern)
    parts = _full_parts(pattern, line, source)
    if is_quick(pattern):
        start = _timestamp(pattern, f"substr(line, 1, {pattern.time.width})")
        fits = f"line like {_quoted(pattern.like)} escape '\\'"
        parts = f"select case when {fits} then {start} end as wall from (select {line} as line from {source})"
    row = con.execute(f"select min(t), max(t) from (select {_time(log_format, known)} as t from ({parts}))").fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


def load(con: duckdb.DuckDBPyConnection, paths: Sequence[str], log_format: LogFormat, span: Span, known: Span) -> Odd:
    """Append the calls and feedback of `span` in the clean text files `paths` to `log`.

    `known` bounds the times in the files; it only serves to know the zone's offsets. Raises duckdb's
    `InvalidInputException` for bytes that are not UTF-8.
    """
    encoded = dictionary.is_encoded(con)
    (part,) = con.execute("select coalesce(max(part), 0) + 1 from calls").fetchone() or (1,)
    con.execute(f"insert into calls select {part}, * from ({_select(paths, log_format, known, encoded=encoded)})")
    inside = f"time_ms >= {span.start_ms} and time_ms < {span.end_ms}"
    odd = con.execute(
        f"select rest from calls where part = {part} and kind = 3 and (time_ms is null or {inside}) limit {_ODD_LINES}"
    ).fetchall()
    # Not a filter of the statement above: DuckDB would compute kind and time twice for it, at twice the price.
    con.execute(f"delete from calls where part = {part} and (kind not in (1, 2) or not ({inside}))")
    if encoded and odd:
        dictionary.forget(con)
        if len(odd) > _ODD_WHILE_ENCODED:  # the sample was not like the file
            con.execute(f"delete from calls where part = {part}")
            return load(con, paths, log_format, span, known)
    if not encoded:
        _strip(con, part)
    return _judge(con, part, [line for (line,) in odd], log_format, span)


def _strip(con: duckdb.DuckDBPyConnection, part: int) -> None:
    """Strip the dimensions' values, and empty Java's `null`: afterwards, because hardly any log needs it."""
    amiss = {name: f"({name} < '!' and {name} <> '' or suffix({name}, ' ') or {name} = 'null')" for name in DIMENSIONS}
    flags = ", ".join(f"bool_or({test})" for test in amiss.values())
    found = con.execute(f"select {flags} from calls where part = {part}").fetchone() or ()
    for (name, test), needed in zip(amiss.items(), found, strict=False):
        if needed:
            con.execute(f"update calls set {name} = {_text(name)} where part = {part} and {test}")


def _select(paths: Sequence[str], log_format: LogFormat, known: Span, *, encoded: bool = False) -> str:
    """Build the one statement that reads, parses and sorts lines into calls (1), feedback (2) and odd ones (3)."""
    pattern = log_format.pattern
    quick = is_quick(pattern)
    source, line, first, width = _source(paths, pattern)
    parts = _quick_parts(pattern, first, width, source) if quick else _full_parts(pattern, line, source)
    time = _time(log_format, known)
    if not quick:
        line = "line"
    other = "m0 like 'prompt:%' or m0 like 'result:%'"
    names = {"app": "if(m0 like 'feedback:%', substr(m0, 10), m0)", "module": "m1", "model": "m2", "workspace": "m3"}
    fits = "time_ms is not null and m11 is not null and duration >= 0"
    if encoded:  # a value that the sample's calls had is a fit one
        names = {name: f"try_cast({value} as of_{name})" for name, value in names.items()}
        fits += "".join(f" and {name} is not null" for name in names) + " and m0 not like 'feedback:%'"
    else:
        fits += (
            f" and {'single' if quick else 'true'} and strlen(m0) <= 64 and m0 not like '%: %' "
            "and (m2 >= ':' or try_cast(m2 as double) is null) and (m2 <> '' or m0 <> '' or m1 <> '' or m3 <> '') "
            f"and not ({other} or m0 like 'feedback:%')"
        )
    dimensions = ", ".join(f"{value} as {name}" for name, value in names.items())
    whole = " and ".join(f"{name} is not null" for name in names) if encoded else "true"
    rating = "lower(trim(m5))"
    return f"""
with parts as ({parts}),
timed as (select *, {time} as time_ms, try_cast(m5 as smallint) as status, try_cast(m6 as integer) as duration,
  try_cast(m7 as integer) as tokens_in, try_cast(m8 as integer) as tokens_out, try_cast(m9 as integer) as tokens,
  if(m10 = '', '', {_text("m10")}) as code, {dimensions} from parts),
sorted as (select *, code <> '' or status is distinct from 200 as failed, case
  when tokens_in >= 0 and tokens_out >= 0 and tokens >= 0 and {fits} then 1
  when {_count("m7")} and {_count("m8")} and {_count("m9")} and {fits} then 1
  when m0 like 'feedback:%' then
    case when time_ms is null or m6 is null or {rating} not in ('up', 'down') then 0 when {whole} then 2 else 3 end
  when {other} then 0
  when m11 is not null or (m4 is not null and {_call_like()}) then 3 else 0 end as kind from timed)
select kind, time_ms, app, module, model, workspace,
  if(kind = 1 and status between 100 and 599, status, null) as status_code,
  if(kind = 1, duration, null) as duration_ms, coalesce(tokens_in, 0), coalesce(tokens_out, 0), coalesce(tokens, 0),
  if(kind = 1, code, '') as error_code, if(kind = 1 and failed, {_text("message")}, '') as error_message,
  case kind when 1 then if(failed, concat({_text("m4")}, ',', head), null) when 2 then {rating}
    when 3 then substr({line}, 1, {_ODD_BYTES}) end as rest
from sorted
"""


def _source(paths: Sequence[str], pattern: Pattern) -> tuple[str, str, int, int]:
    """Give the CSV reader, the whole line as SQL, the column of the first value, and the number of columns."""
    first = (pattern.header_commas or 0) if is_quick(pattern) else 0
    width = first + 12 + _OVERFLOW
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
    files = ", ".join(_quoted(path) for path in paths)
    source = (
        f"read_csv([{files}], columns = {{{columns}}}, delim = ',', quote = '', escape = '', comment = '', "
        "header = false, auto_detect = false, strict_mode = false, null_padding = true, nullstr = '\x02', "
        "max_line_size = 2097152)"
    )
    return source, f"concat_ws(',', {', '.join(f'c{i}' for i in range(width))})", first, width


def _time(log_format: LogFormat, known: Span) -> str:
    """Give the time `wall` as ms since the epoch."""
    if log_format.pattern.time.zone:
        return "epoch_ms(wall)"
    return f"epoch_ms(wall) - ({_offset_ms(log_format.pattern.time.zone_or(log_format.zone), known)})"


def is_quick(pattern: Pattern) -> bool:
    """Tell whether the pattern's header can be cut by position instead of by regular expression."""
    return bool(
        pattern.time_first
        and pattern.time.width
        and pattern.message_separator.strip()
        and pattern.header_commas is not None
    )


def _quick_parts(pattern: Pattern, first: int, width: int, source: str) -> str:
    """Cut the head of each line by position. `head` is the text before the message, `m0`…`m11` the values."""
    head = "c0" if first == 0 else f"concat_ws(',', {', '.join(f'c{i}' for i in range(first + 1))})"
    separator = pattern.message_separator
    wall = _timestamp(pattern, f"left(full_head, {pattern.time.width})")
    fits = f"contains(full_head, {_quoted(_landmark(pattern))})"
    values = ", ".join(f"c{first + i} as m{i}" for i in range(1, 12))
    rest = ", ".join(f"c{i}" for i in range(first + 11, width))
    return f"""
  select *, if({fits}, {wall}, null) as wall, full_head as head, len(cut) = 2 as single,
    if(len(cut) < 2, full_head, cut[2]) as m0, {values},
    if(c{first + 12} is null, c{first + 11}, concat_ws(',', {rest})) as message
  from (select *, string_split(full_head, {_quoted(separator)}) as cut from (
    select *, {head} as full_head from {source} where c{first + 4} is not null
  ))
"""


def _landmark(pattern: Pattern) -> str:
    """Choose the header's longest literal: finding it costs a third of matching them all, and the date is read too."""
    literals = re.split(r"(?<!\\)[%_]+", pattern.like.removesuffix(_like(pattern.message_separator)))
    return re.sub(r"\\(.)", r"\1", max(literals, key=len))


def _full_parts(pattern: Pattern, line: str, source: str) -> str:
    """Cut each line by the pattern's regular expression."""
    groups = ", ".join(f"'{name}'" for name in pattern.groups)
    values = ", ".join(f"x[{i + 1}] as m{i}" for i in range(11))
    return f"""
  select line, {_timestamp(pattern, "h.time")} as wall, line as head, {values}, if(len(x) >= 12, x[12], null) as m11,
    if(len(x) >= 12, array_to_string(x[12:], ','), null) as message
  from (
    select line, h, string_split(if(h.time <> '', trim(h.message), line), ',') as x from (
      select line, regexp_extract(line, {_quoted(pattern.re2)}, [{groups}]) as h from (
        select {line} as line from {source}
      )
    )
  )
"""


def _timestamp(pattern: Pattern, text: str) -> str:
    """Parse the time; zone-less times come out as wall-clock timestamps."""
    if pattern.time.strptime in ("%Y-%m-%d %H:%M:%S.%g", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%g"):
        return f"try_cast({text} as timestamp)"  # DuckDB's own notation: faster than a format
    if pattern.time.zone:
        text = f"replace({text}, 'Z', '+00:00')"  # DuckDB's %z takes no Z
    return f"try_strptime({text}, {_quoted(pattern.time.strptime)})"


def _count(column: str) -> str:
    """Tell a count: empty and Java's `null` are 0, anything else must be a number that is not negative."""
    return f"(try_cast({column} as integer) >= 0 or trim({column}) in ('', 'null'))"


def _text(column: str) -> str:
    """Strip a value; Java's `null` is empty."""
    return f"if(trim({column}) = 'null', '', trim({column}))"


def _call_like() -> str:
    """Tell a torn or misspelt call from prose with commas: workspace or request id have their shape."""
    return "(concat(m1, m2, m3) like '% - feedback:%' or m3 like 'llm-%' or regexp_matches(m4, '^\\s*[0-9A-Fa-f]{8}-'))"


def _like(text: str) -> str:
    """Escape a literal for LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _offset_ms(zone: tzinfo, known: Span) -> str:
    """Give the zone's offset as SQL over the wall-clock time; a repeated hour counts as its first occurrence."""
    naive = "epoch_ms(wall)"
    steps = _offset_steps(zone, known)
    text = str(steps[-1][1])
    for (_, offset), (until, _) in reversed(list(pairwise(steps))):
        text = f"case when {naive} < {until} then {offset} else {text} end"
    return text


def _offset_steps(zone: tzinfo, known: Span) -> list[tuple[int, int]]:
    """List (wall-clock ms from which it holds, offset ms) over `known` and a month on both sides."""
    month = 31 * 86_400_000
    at, end = known.start_ms - month, known.end_ms + month
    steps = [(at, _offset(zone, at))]
    while at < end:
        after = min(at + 7 * 86_400_000, end)
        if _offset(zone, after) != steps[-1][1]:
            low, high = at, after
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(zone, middle) == steps[-1][1] else (low, middle)
            offset = _offset(zone, high)
            steps.append((high + max(offset, steps[-1][1]), offset))
        at = after
    return steps


def _offset(zone: tzinfo, ms: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds() * 1000) if offset else 0


def _judge(con: duckdb.DuckDBPyConnection, part: int, lines: Sequence[str], log_format: LogFormat, span: Span) -> Odd:
    """Read odd lines with the reference parser: insert those that are calls, count those that should have been."""
    odd = Odd()
    rows: list[tuple[Any, ...]] = []
    samples: list[str] = []
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
        elif looks_like_call(message):
            odd.unparsed += 1
            if len(samples) < 3:
                samples.append(line[:300])
    if rows:
        con.executemany(f"insert into calls values ({', '.join('?' * len(rows[0]))})", rows)
    odd.samples = tuple(samples)
    return odd
