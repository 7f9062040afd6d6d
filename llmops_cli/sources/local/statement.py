"""The one SQL statement that reads lines of a log: splits them, parses them, and sorts them by kind.

Two parsers share one set of rules (those of `calls.line`):

- the *quick* one, for patterns that begin with a date of fixed width: the time is the head's first characters, the
  message what follows the first occurrence of the literal before `%m`;
- the *full* one, the pattern's regular expression, for every other pattern.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

from llmops_cli.calls.pattern import Pattern
from llmops_cli.evidence import DIMENSIONS, Span
from llmops_cli.sources.local.format import LogFormat

CALL, FEEDBACK, ODD = 1, 2, 3
_OVERFLOW = 8
"""Commas of an error message that are kept for matching; `trace` shows messages whole."""
_ODD_BYTES = 4096
FIRST_MS, _LAST_MS = 631_152_000_000, 4_102_444_800_000
"""1990 to 2100: a damaged date far outside must not make the table of offsets endless."""


def bounds_sql(paths: Sequence[str], log_format: LogFormat, known: Span) -> str:
    """Ask for the first and last time of any line with a header."""
    pattern = log_format.pattern
    source, line, _, _ = _source(paths, pattern)
    parts = _full_parts(pattern, line, source)
    if is_quick(pattern):
        start = _timestamp(pattern, f"substr(line, 1, {pattern.time.width})")
        fits = f"line like {_quoted(pattern.like)} escape '\\'"
        parts = f"select case when {fits} then {start} end as wall from (select {line} as line from {source})"
    return f"select min(t), max(t) from (select {_time(log_format, known)} as t from ({parts}))"


def lines_sql(paths: Sequence[str], log_format: LogFormat, known: Span, *, encoded: bool = False) -> str:
    """Build the one statement that reads, parses and sorts lines into calls (1), feedback (2) and odd ones (3)."""
    pattern = log_format.pattern
    quick = is_quick(pattern)
    source, line, first, width = _source(paths, pattern)
    parts = (
        _quick_parts(pattern, first, width, source, encoded=encoded) if quick else _full_parts(pattern, line, source)
    )
    time = _time(log_format, known)
    if not quick:
        line = "line"
    other = "m0 like 'prompt:%' or m0 like 'result:%'"
    names = {"app": "m0", "module": "m1", "model": "m2", "workspace": "m3"}
    rated = "if(m0 like 'feedback:%', substr(m0, 10), null)"
    fits = f"time_ms >= {FIRST_MS} and m11 is not null and duration >= 0"
    if encoded:  # a value that the sample's calls had is a fit one; `called` is the app of a call
        names = {name: f"try_cast({value} as of_{name})" for name, value in names.items()}
        names = {"called": names["app"], **names, "app": f"coalesce({names['app']}, try_cast({rated} as of_app))"}
        fits += "".join(f" and {name} is not null" for name in names)
    else:
        names["app"] = f"coalesce({rated}, m0)"
        fits += (
            f" and {'single' if quick else 'true'} and strlen(m0) <= 64 and m0 not like '%: %' "
            "and (m2 >= ':' or try_cast(m2 as double) is null) and (m2 <> '' or m0 <> '' or m1 <> '' or m3 <> '') "
            f"and not ({other} or m0 like 'feedback:%')"
        )
    dimensions = ", ".join(f"{value} as {name}" for name, value in names.items())
    whole = " and ".join(f"{name} is not null" for name in DIMENSIONS) if encoded else "true"
    rating = "lower(trim(m5))"
    return f"""
with parts as ({parts}),
timed as (select *, {time} as time_ms, try_cast(m5 as smallint) as status, try_cast(m6 as integer) as duration,
  try_cast(m7 as integer) as tokens_in, try_cast(m8 as integer) as tokens_out, try_cast(m9 as integer) as tokens,
  if(m10 = '', '', {text("m10")}) as code, {dimensions} from parts),
sorted as (select *, code <> '' or status is distinct from 200 as failed, case
  when tokens_in >= 0 and tokens_out >= 0 and tokens >= 0 and {fits} then 1
  when {_count("m7")} and {_count("m8")} and {_count("m9")} and {fits} then 1
  when m0 like 'feedback:%' then
    case when time_ms >= {FIRST_MS} and m6 is not null and {rating} in ('up', 'down') and {whole} then 2 else 3 end
  when {other} then 0
  when m11 is not null or (m4 is not null and {_call_like()}) then 3 else 0 end as kind from timed)
select kind, time_ms, app, module, model, workspace,
  if(kind = 1 and status between 100 and 599, status, null) as status_code,
  if(kind = 1, duration, null) as duration_ms, coalesce(tokens_in, 0), coalesce(tokens_out, 0), coalesce(tokens, 0),
  if(kind = 1, code, '') as error_code, if(kind = 1 and failed, {text("message")}, '') as error_message,
  case kind when 1 then if(failed, concat({text("m4")}, ',', head), null) when 2 then {rating}
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
        "header = false, auto_detect = false, strict_mode = false, null_padding = true, nullstr = '\x02\x03\x02', "
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


def _quick_parts(pattern: Pattern, first: int, width: int, source: str, *, encoded: bool) -> str:
    """Cut the head of each line by position. `head` is the text before the message, `m0`…`m11` the values.

    With `encoded` dimensions a call is known by its values: no need to look closer at the header than its date.
    """
    head = "c0" if first == 0 else f"concat_ws(',', {', '.join(f'c{i}' for i in range(first + 1))})"
    separator = _quoted(pattern.message_separator)
    wall = _timestamp(pattern, f"substr(full_head, 1, {pattern.time.width})")
    values = ", ".join(f"c{first + i} as m{i}" for i in range(1, 12))
    rest = ", ".join(f"c{i}" for i in range(first + 11, width))
    message = f"if(c{first + 12} is null, c{first + 11}, concat_ws(',', {rest})) as message"
    lines = f"select *, {head} as full_head from {source} where c{first + 4} is not null"
    if encoded:
        return f"""
  select *, {wall} as wall, full_head as head, split_part(full_head, {separator}, 2) as m0, {values}, {message}
  from ({lines})
"""
    return f"""
  select *, if(contains(full_head, {_quoted(_landmark(pattern))}), {wall}, null) as wall, full_head as head,
    len(cut) = 2 as single, if(len(cut) < 2, full_head, cut[2]) as m0, {values}, {message}
  from (select *, string_split(full_head, {separator}) as cut from ({lines}))
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


def text(column: str) -> str:
    """Strip a value; Java's `null` is empty."""
    return f"if(trim({column}) = 'null', '', trim({column}))"


def _call_like() -> str:
    """Tell a torn or misspelt call from prose with commas: workspace or request id have their shape."""
    request_ids = " or ".join(f"regexp_matches({column}, '^\\s*[0-9A-Fa-f]{{8}}-')" for column in ("m3", "m4"))
    return f"(concat(m1, m2, m3) like '% - feedback:%' or m2 like 'llm-%' or m3 like 'llm-%' or {request_ids})"


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
    at = max(known.start_ms - month, FIRST_MS)
    end = max(at, min(known.end_ms + month, _LAST_MS))
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


def written_twice(log_format: LogFormat, span: Span) -> list[Span]:
    """Give the times in `span` that a clock which was set back wrote twice: lines without a zone do not tell which."""
    if log_format.pattern.time.zone:
        return []
    steps = _offset_steps(log_format.pattern.time.zone_or(log_format.zone), span)
    found = []
    for (_, before), (wall_ms, after) in pairwise(steps):
        at, back = wall_ms - max(before, after), before - after
        if back > 0 and at - back < span.end_ms and at + back > span.start_ms:
            found.append(Span(at - back, at + back))
    return found


def _offset(zone: tzinfo, ms: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds() * 1000) if offset else 0
