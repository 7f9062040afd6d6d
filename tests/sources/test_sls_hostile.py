"""What a logstore may hold or answer that is no call, no number and no row: none of it ends the program."""

import json
import time

import pytest

from tests.cloud import faults
from tests.cloud.asking import KEY_ID
from tests.cloud.filled import CALL, TRACE, index

LOGS = "/logs$"
ODD = [
    "1e400",
    "-1e400",
    "Infinity",
    "NaN",
    "[1,2]",
    "[" * 100_000,
    "9" * 400,
    "true",
    "{}",
    "-5",
    "fast",
    "4294967296",
]


@pytest.fixture
def calls(cloud, here):
    """A logstore without a log, and the profile that names it."""
    cloud.create("app", "calls", index=index())
    here.profile(cloud)
    return cloud


def test_a_logged_number_that_is_none_is_unknown(calls, here):
    now = int(time.time()) - 60
    numbers = ("status_code", "input_tokens", "output_tokens", "total_tokens")
    calls.put("app", "calls", [CALL | {"__time__": now}])
    calls.put("app", "calls", [CALL | dict.fromkeys(numbers, odd) | {"__time__": now + 1} for odd in ODD])
    calls.put("app", "calls", [CALL | {"duration_ms": odd, "__time__": now + 2} for odd in ODD])  # these are no calls
    ran = here.run("trace", TRACE, "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    data = ran.json()["data"]
    assert len(data["lines"]) == 1 + 2 * len(ODD)
    first, *others = data["calls"]
    assert (first["status_code"], first["total_tokens"], len(others)) == (200, 15, len(ODD))
    assert {(one["status_code"], one["input_tokens"], one["total_tokens"]) for one in others} == {(None, 0, 0)}
    counted = here.run("status", "-o", "json").json()["data"]
    assert (counted["calls"], counted["failures"], counted["tokens"]["total"]) == (1 + len(ODD), len(ODD), 15)


@pytest.mark.parametrize("raw", [False, True], ids=["fields", "raw message"])
def test_a_call_of_negative_duration_is_none_here_as_in_a_file(calls, here, raw):
    when = time.gmtime(time.time() - 120)
    lines = [f"shop,Chat,qwen-plus,llm-1,r{ms},200,{ms},10,5,15,," for ms in (800, -5, 0)]
    log = here.folder / "app.log"
    header = f"{time.strftime('%Y-%m-%d %H:%M:%S', when)}.000 INFO  [traceId:{TRACE}] [c.a.S#chat():67] [main] - "
    log.write_text("".join(f"{header}{line}\n" for line in lines))
    if raw:
        calls.put("app", "calls", [{"trace_id": TRACE, "message": line} for line in lines])
        here.profile(calls, more='fields = { message = "message" }\n')
    else:
        calls.put("app", "calls", [{**CALL, "duration_ms": ms} for ms in (800, -5, 0)])
    for verb in (("status",), ("trace", TRACE)):
        local, remote = (
            here.run(*verb, "-o", "json", "--timezone", "UTC", *more).json()["data"]["calls"]
            for more in (("--log", str(log)), ())
        )
        counts = [found if isinstance(found, int) else len(found) for found in (local, remote)]
        assert counts == [2, 2]


def test_a_raw_call_whose_tokens_are_none_is_no_call_here_as_in_a_file(calls, here):
    told = ["15", "", "x", "-1", "2147483648", "1.5", "null", "7"]
    lines = [f"shop,Chat,qwen-plus,llm-1,r1,200,800,10,5,{total},," for total in told]
    calls.put("app", "calls", [{"trace_id": TRACE, "level": "INFO", "message": line} for line in lines])
    here.profile(calls, more='fields = { message = "message" }\n')
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    header = f"{at}.000 INFO  [traceId:{TRACE}] [c.a.S#chat():67] [main] - "
    (here.folder / "app.log").write_text("".join(f"{header}{line}\n" for line in lines))
    remote = here.run("status", "-o", "json").json()["data"]
    local = here.run("status", "--log", "app.log", "--timezone", "UTC", "-o", "json").json()["data"]
    assert remote["calls"] == local["calls"] == 5


def answer(data, **meta):
    return faults.Body(json.dumps({"meta": {"progress": "Complete", "count": 1, **meta}, "data": data}).encode())


GARBAGE = {
    "a row that is a list": answer([["a", "b"]]),
    "data that is a dict": answer({"a": "b"}),
    "data that is an empty dict": answer({}),
    "a value that is a number": answer([{"__time__": 7, "calls": 7}]),
    "a value that is a list": answer([{"__time__": "7", "trace_id": ["a"], "period": []}]),
    "no data": faults.Body(b'{"meta": {"progress": "Complete"}}'),
    "null": faults.Body(b"null"),
    "meta that is a list": faults.Body(b'{"meta": [], "data": []}'),
    "a count that is text": answer([], processedRows="many", progress="Incomplete"),
    "incomplete rows of lists": answer([["a"]], progress="Incomplete"),
    "incomplete, no rows": faults.Body(b'{"meta": {"progress": "Incomplete"}, "data": {"a": 1}}'),
    "a time that is none": answer([{"__time__": "soon", "trace_id": TRACE, "calls": "x"}]),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_an_answer_of_another_shape_is_garbage(calls, here, name):
    calls.put("app", "calls", [CALL])
    calls.fail(GARBAGE[name], LOGS, times=None)
    asking = [here.start(*verb, "-o", "json", "--timeout", "3") for verb in (("status",), ("trace", TRACE))]
    answered = [(process.communicate(timeout=30), process.returncode) for process in asking]
    for (out, err), code in answered:
        [problem] = json.loads(out)["errors"]
        assert (code, problem["code"], problem["retryable"]) == (3, "sls_unavailable", True)
        assert len(problem["message"]) < 500
        assert KEY_ID not in out + err


def test_garbage_is_asked_for_again(calls, here):
    calls.put("app", "calls", [CALL])
    for number, fault in enumerate(GARBAGE.values()):
        calls.fail(fault, LOGS, times=1, skip=number // 3)
    assert here.run("status", "-o", "json").json()["data"]["calls"] == 1


@pytest.mark.parametrize(
    "wanted", ["********", "::::::::", "--------", "调用链路编号一二三", "a" * 3 + ":" * 9, '""""""""""']
)
def test_an_id_without_a_word_finds_no_other_trace(calls, here, wanted):
    calls.put("app", "calls", [CALL, {**CALL, "trace_id": "another-one"}])
    ran = here.run("trace", wanted, "-o", "json")
    assert ran.code in (0, 2)
    assert not (ran.json()["data"] or {}).get("found")
    assert not any(request.text.endswith(": *") or ": -" in request.text for request in calls.asked(LOGS))


def test_a_trace_id_of_other_letters_is_found(calls, here):
    calls.put("app", "calls", [{**CALL, "trace_id": "调用链路编号一二三"}, {**CALL, "trace_id": "order:4711/调用-17"}])
    for wanted in ("调用链路编号一二三", "order:4711/调用-17"):
        assert here.run("trace", wanted, "-o", "json").json()["data"]["found"] is True


@pytest.mark.parametrize(
    "words", [("trace", "\udcff" * 9), ("status", "--app", "\udcff"), ("drill", "--model", "q\udcfe")]
)
def test_what_is_not_utf8_is_not_sent(calls, here, words):
    ran = here.run(*words, "-o", "json")
    assert ran.code == 2
    [problem] = ran.json()["errors"]
    assert problem["code"] == "bad_value"
    assert "UTF-8" in problem["message"]
    assert calls.asked(LOGS) == []


def test_a_long_id_is_not_repeated(calls, here):
    ran = here.run("trace", "x" * 60_000)
    assert len(ran.err) < 1000
