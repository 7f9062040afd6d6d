"""Logs in, logs out: PutLogs, GetLogs, histograms, and a project's SQL."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tests.cloud.faults import Incomplete
from tests.cloud.refused import Refused, invalid
from tests.cloud.routing import Ask, Done, regex, route
from tests.cloud.search import compile_search
from tests.cloud.sql import Slice
from tests.cloud.state import Logstore

MOST_LINES = 100


@route("POST", "/logstores/{}/shards/(?:lb|route)", "PostLogStoreLogs")
def _put_logs(ask: Ask) -> Done:
    group = ask.request.body
    tags = {f"__tag__:{tag.Key}": tag.Value for tag in group.LogTags}
    logs = []
    for log in group.Logs:
        fields = {"__time__": log.Time, "__topic__": group.Topic, "__source__": group.Source, **tags}
        if log.HasField("Time_ns"):
            fields["__time_ns_part__"] = log.Time_ns
        logs.append(fields | {content.Key: content.Value for content in log.Contents})
    oldest = ask.cloud.clock() - ask.cloud.oldest_s if ask.cloud.oldest_s is not None else 0
    if any(log["__time__"] < oldest for log in logs):
        raise Refused(400, "InvalidTimestamp", "Invalid timestamps are in logs.")
    ask.logstore.add(logs, ask.cloud.lag)
    return Done()


@dataclass(frozen=True, slots=True)
class _Query:
    """A query's parts; `search` and `sql` stand before and after the `|`."""

    search: str
    sql: str | None
    start_s: int
    end_s: int
    line: int = MOST_LINES
    offset: int = 0
    reverse: bool = False


@route("POST", "/logstores/{}/logs", "GetLogStoreLogs", locked=False)
def _get_logs(ask: Ask) -> Done:
    query = _query(ask.request.body)
    found, meta = _find(ask, query)
    return Done({"meta": meta, "data": found})


def get_logs_by_query(ask: Ask) -> Done:
    query = _query(ask.request.query)
    found, meta = _find(ask, query)
    headers = {
        "x-log-progress": meta["progress"],
        "x-log-count": str(len(found)),
        "x-log-processed-rows": str(meta["processedRows"]),
    }
    return Done(found, {**headers, "x-log-has-sql": str(meta["hasSQL"]).lower()})


def _query(told: dict[str, Any]) -> _Query:
    search, pipe, sql = _halves(told.get("query") or "*")
    start_s, end_s = int(told["from"]), int(told["to"])
    if start_s >= end_s:
        raise Refused(400, "InvalidTimeRange", "request time range is invalid")
    if pipe and not regex(r"(?is)^\s*(select|with)\b").match(sql):
        raise invalid("ErrorType:QueryParseError.ErrorMessage:only select is understood after |")
    line = int(told.get("line", MOST_LINES))
    if not pipe and not 0 <= line <= MOST_LINES:
        raise Refused(400, "InvalidLine", f"line {line} must be between 0 and {MOST_LINES}")
    reverse = str(told.get("reverse", "false")).lower() == "true"
    return _Query(search, sql if pipe else None, start_s, end_s, line, int(told.get("offset", 0)), reverse)


def _halves(text: str) -> tuple[str, str, str]:
    """Cut at the first `|` outside of quotation marks."""
    if regex(r"(?is)^\s*select\b").match(text):
        raise invalid("sql query must follow search query,please read syntax doc")
    search = regex(r'(?:[^"|]|"(?:[^"\\]|\\.)*")*').match(text)
    end = search.end() if search else 0
    return text[:end], text[end : end + 1], text[end + 1 :]


def _chosen(logstore: Logstore, query: _Query) -> Slice:
    """Give the logs in the time range that the search takes."""
    index = logstore.needed_index()
    match = compile_search(query.search, index)
    now = time.monotonic()
    logs = logstore.logs[:]
    numbers = None
    if match or any(log.visible_at > now for log in logs):
        numbers = [
            number
            for number, log in enumerate(logs)
            if number >= logstore.indexed_since
            and log.visible_at <= now
            and query.start_s <= log.time_s < query.end_s
            and (match is None or match(logstore.seen(number)))
        ]
    return Slice(logstore, len(logs), query.start_s, query.end_s, numbers)


def _numbers(part: Slice) -> list[int]:
    if part.numbers is not None:
        return list(part.numbers)
    logs = part.logstore.logs
    return [
        number
        for number in range(part.logstore.indexed_since, part.end)
        if part.start_s <= logs[number].time_s < part.end_s
    ]


def _find(ask: Ask, query: _Query) -> tuple[list[dict[str, str]], dict[str, Any]]:
    began = time.monotonic()
    part = _chosen(ask.logstore, query)
    numbers = _numbers(part)
    if query.sql is None:
        logs = part.logstore.logs
        numbers.sort(key=lambda number: logs[number].time_s, reverse=query.reverse)
        rows = [dict(logs[number].fields) for number in numbers[query.offset : query.offset + query.line]]
        keys, types = sorted({key for row in rows for key in row}), []
    else:
        answer = ask.cloud.engine.answer(query.sql, {"log": part})
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        keys, types = list(answer.columns), list(answer.types)
    fault = ask.request.fault
    if isinstance(fault, Incomplete):
        rows = rows[: int(len(rows) * fault.part)]
    meta = {
        "progress": "Incomplete" if isinstance(fault, Incomplete) else "Complete",
        "count": len(rows),
        "processedRows": len(numbers),
        "processedBytes": 0,
        "elapsedMillisecond": int((time.monotonic() - began) * 1000),
        "hasSQL": query.sql is not None,
        "whereQuery": query.search.strip(),
        "aggQuery": (query.sql or "").strip(),
        "cpuSec": 0.0,
        "cpuCores": 1,
        "mode": 0,
        "scanBytes": 0,
        "limited": 0,
        "telementryType": "",
        "powerSql": False,
        "isAccurate": True,
        "keys": keys,
        "columnTypes": types,
        "terms": [],
    }
    return rows, meta


def histogram(ask: Ask) -> Done:
    told = ask.request.query
    query = _query(told)
    incomplete = isinstance(ask.request.fault, Incomplete)
    progress = "Incomplete" if incomplete else "Complete"
    numbers = _numbers(_chosen(ask.logstore, query))
    times = [ask.logstore.logs[number].time_s for number in numbers]
    step = max(1, -(-(query.end_s - query.start_s) // 60))
    bars = []
    for start in range(query.start_s, query.end_s, step):
        end = min(start + step, query.end_s)
        count = sum(1 for held in times if start <= held < end)
        bars.append({"from": start, "to": end, "count": count, "progress": progress})
    return Done(bars, {"x-log-progress": progress, "x-log-count": str(len(times))})


@route("GET", "/logs", "GetProjectLogs", locked=False)
def _get_project_logs(ask: Ask) -> Done:
    parts = {
        name: Slice(logstore, len(logstore.logs), 0, 1 << 40)
        for name, logstore in list(ask.project.logstores.items())
        if logstore.index is not None
    }
    answer = ask.cloud.engine.answer(ask.request.query["query"], parts)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return Done(rows, {"x-log-progress": "Complete", "x-log-has-sql": "true", "x-log-processed-rows": str(len(rows))})
