"""Logs for the tests of the command line: one line per call, written by hand, so that every count is known."""

from datetime import UTC, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))
NOON = datetime(2025, 7, 9, 12, tzinfo=CHINA)
NOON_MS = int(NOON.timestamp() * 1000)
MINUTE = 60_000


def call(
    ms,
    *,
    app="shop",
    module="Chat",
    model="qwen-plus",
    workspace="llm-6qtsrlugmu6wanfs",
    status=200,
    duration=900,
    tokens=(20, 10),
    code="",
    message="",
    trace="",
    request="",
    zone=CHINA,
):
    """One call as the standard writes it, without a line break."""
    number = f"{ms % 10**12:012x}"[-12:]
    ok = status == 200 and not code
    used = tokens if ok else (0, 0)
    values = (app, module, model, workspace, request or f"6c958db4-d489-9de8-b5d4-{number}", status, duration, *used)
    body = ",".join(map(str, (*values, sum(used), code, message)))
    return event(
        ms, body, level="INFO" if ok else "ERROR", trace=trace or f"41ea65e3-0b4c-4b65-8567-{number}", zone=zone
    )


def event(ms, message, *, level="INFO", trace="", zone=CHINA):
    """One log event as the standard writes it."""
    at = datetime.fromtimestamp(ms / 1000, zone)
    stamp = f"{at:%Y-%m-%d %H:%M:%S}.{ms % 1000:03d}"
    return (
        f"{stamp} {level:<5} [traceId:{trace}] [c.a.c.s.i.ChatServiceImpl#chat():67] [http-nio-8080-exec-1] - {message}"
    )


def write(path, lines):
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def quiet(start_ms, minutes, *, per_minute=4, **values):
    """Calls spread evenly over some minutes, the first one at the start."""
    step = MINUTE // per_minute
    return [call(start_ms + n * step, **values) for n in range(minutes * per_minute)]


def iso(ms, zone=UTC):
    return datetime.fromtimestamp(ms / 1000, zone).isoformat(timespec="milliseconds")
