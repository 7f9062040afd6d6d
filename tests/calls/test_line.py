"""Calls and ratings as messages: exact samples, the table of rules, and round trips."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmops_cli.calls.line import (
    FIELDS,
    CallFields,
    FeedbackFields,
    format_call,
    format_feedback,
    looks_like_call,
    parse_call,
    parse_feedback,
)

SUCCESS = "bailian-log,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,6c958db4-d489-9de8-b5d4-9fc872f24ce2,200,1141,24,9,33,,"
FAILURE = (
    "bailian-log,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,83a0cb5d-07f9-9fd2-9985-1c05b339f5d5,401,38,0,0,0,"
    "InvalidApiKey,Invalid API-key provided."
)
HEADER = "2025-07-09 14:23:24.748 INFO [traceId:t] [c.a.X#chat():67] [main] - "


def message(**values):
    given = dict(zip(FIELDS, SUCCESS.split(","), strict=True)) | values
    return ",".join(given[name] for name in FIELDS)


def test_the_samples_of_the_standard():
    assert parse_call(SUCCESS) == CallFields(
        app="bailian-log",
        module="Chat",
        model="qwen-plus",
        workspace="llm-6qtsrlugmu6wanfs",
        request_id="6c958db4-d489-9de8-b5d4-9fc872f24ce2",
        status_code=200,
        duration_ms=1141,
        input_tokens=24,
        output_tokens=9,
        total_tokens=33,
        error_code="",
        error_message="",
    )
    assert parse_call(FAILURE) == CallFields(
        app="bailian-log",
        module="Chat",
        model="qwen-plus",
        workspace="llm-6qtsrlugmu6wanfs",
        request_id="83a0cb5d-07f9-9fd2-9985-1c05b339f5d5",
        status_code=401,
        duration_ms=38,
        input_tokens=0,
        output_tokens=0,
        total_tokens=0,
        error_code="InvalidApiKey",
        error_message="Invalid API-key provided.",
    )
    assert parse_call(SUCCESS).ok
    assert not parse_call(FAILURE).ok


@pytest.mark.parametrize(
    ("written", "status"),
    [("200", 200), (" 429 ", 429), ("", None), ("-1", None), ("null", None), ("OK", None), ("0", None), ("99", None),
     ("600", None), ("100", 100), ("599", 599), ("200.0", 200), ("٤٢٩", None), ("2 0 0", None)],
)  # fmt: skip
def test_status_code(written, status):
    assert parse_call(message(status_code=written)).status_code == status


@pytest.mark.parametrize(
    ("written", "duration"),
    [("38", 38), ("0", 0), ("1141.5", 1142), ("2.5", 3), ("2.4999", 2), ("1.141E3", 1141), ("1.0E7", 10_000_000),
     ("\t7\r", 7), ("+5", 5), ("2147483647", 2147483647), ("0x1F", 31), ("0b11", 3), ("1_000", 1000)],
)  # fmt: skip
def test_duration(written, duration):
    assert parse_call(message(duration_ms=written)).duration_ms == duration


@pytest.mark.parametrize(
    "written",
    [
        *("", "null", "-1", "abc", "1 2", "NaN", "Infinity", "1e", "2147483648", "2147483647.5", "1e30", "1e999"),
        *("0x", "1_", "５"),
    ],
)
def test_a_duration_that_is_no_number_makes_a_candidate_not_a_call(written):
    line = message(duration_ms=written)
    assert parse_call(line) is None
    assert looks_like_call(line)
    assert looks_like_call(HEADER + line)


@pytest.mark.parametrize(("written", "tokens"), [("", 0), ("null", 0), ("24", 24), ("24.0", 24)])
def test_tokens(written, tokens):
    assert parse_call(message(input_tokens=written)).input_tokens == tokens


@pytest.mark.parametrize("written", ["-1", "many", "1;000"])
@pytest.mark.parametrize("field", ["input_tokens", "output_tokens", "total_tokens"])
def test_unreadable_tokens_make_a_candidate_not_a_call(field, written):
    line = message(**{field: written})
    assert parse_call(line) is None
    assert looks_like_call(line)


def test_only_the_error_message_may_hold_commas():
    text = "Requests, \"too many\" - [rpm] - {a,b}\u2028, 'please'"
    call = parse_call(message(status_code="429", error_code="Throttling", error_message=text))
    assert call.error_message == text


def test_white_space_and_null_are_no_value():
    call = parse_call(" null , Chat\t,qwen-plus, ,null,-1,\r38,0,0,0,null,null\r")
    assert (call.app, call.module, call.workspace, call.request_id) == ("", "Chat", "", "")
    assert (call.error_code, call.error_message) == ("", "")


def test_lines_after_the_first_belong_to_the_message_of_a_failure():
    assert (
        parse_call(FAILURE + "\n\tat a.B(C.java:1)\n").error_message == "Invalid API-key provided.\n\tat a.B(C.java:1)"
    )
    assert parse_call(SUCCESS + "\nnoise").error_message == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",,,,,,,,,,,",
        ",,,,id,200,5,0,0,0,,",
        "hello",
        "a,b,c,d,e",
        "retrying the call: " + SUCCESS,
        "x" * 60 + " " + SUCCESS,
        "1,2,3,4,5,6,7,8,9,10,11,12",
        "ids=1,2,3,4,5,6,7,8,9,10,11,12,13",
        "prompt:" + SUCCESS,
        "result:" + SUCCESS,
        "feedback:" + SUCCESS,
        "  prompt:" + SUCCESS,
        "bailian-log,Chat,qwen-plus\n,llm,id,200,5,0,0,0,,",
    ],
)
def test_no_call(text):
    assert parse_call(text) is None
    assert not looks_like_call(text)


@pytest.mark.parametrize(
    "text",
    [
        "bailian-log,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,6c958db4-d4",
        "bailian-log,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,6c958db4-d489-9de8-b5d4-9fc872f24ce2,200,1141,24",
        "bailian-log,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,,429,",
        "我的应用,对话,qwen-max,null,6c958db4-d489-9de8-b5d4-9fc872f24ce2,200,abc,1,2,3,,",
        "my app,Chat,my-own-model,ws1,req-1,200,x,24,9,33,,",
        "a,b,deepseek-r1,w,r,-1,,0,0,0,Timeout,read timed out",
    ],
)
def test_torn_and_broken_calls_are_candidates(text):
    assert parse_call(text) is None
    assert looks_like_call(text)


@pytest.mark.parametrize(
    "header",
    [
        "2025/07/09 14:23:24 INFO x - ",
        "2025-07-09 14:23:24,748 INFO [main] a.B - ",
        "[14:23:24] INFO  [a,b] c.D: ",
        "Jul 9 14:23:24 host app[1]: ",
    ],
)
def test_a_whole_line_whose_header_does_not_fit_is_a_candidate(header):
    assert looks_like_call(header + SUCCESS)
    assert looks_like_call(header + FAILURE)
    assert not looks_like_call(header + "prompt:what is " + SUCCESS)
    assert not looks_like_call(header + 'result:{"text":"' + SUCCESS)
    assert not looks_like_call(header + "customers Anna, Berlin, Bo, Lima, Chi, Hanoi, Dan, Oslo, a, b, c, d")


@pytest.mark.parametrize(
    "text",
    [
        "customers: [Anna, Berlin, Bo, Lima, Chi, Hanoi, Dan, Oslo, a, b, c, d]",
        '{"model":"qwen-plus","workspace":"llm-6qtsrlugmu6wanfs","status":200,"a":1,"b":2,"c":3,"d":4}',
        "select app, module, model, workspace, request_id, status_code from calls where a in (1,2,3,4,5,6)",
        "\tat com.example.A.b(A.java:1), c, d, e, f",
        "Caused by: java.lang.RuntimeException: one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve",
        "Loaded models qwen-plus, qwen-max, qwen-turbo, qwen-long, qwq-plus, qwen-vl, a, b, c, d, e, f",
        "GenerationParam(model=qwen-plus, workspace=llm-6qtsrlugmu6wanfs, messages=[a, b], topP=0.8, seed=1)",
        "200,404,500,502,503,504,200,404,500,502,503,504",
        "2025-07-09,10,20,30,40,50,60,70,80,90,100,110,120",
        " " + HEADER + SUCCESS,
        "feedback:bailian-log,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,6c958db4-d489-9de8-b5d4-9fc872f24ce2,sideways,x",
        "x," * 500_000,
    ],
)  # fmt: skip
def test_ordinary_lines_are_no_candidates(text):
    assert parse_call(text) is None
    assert not looks_like_call(text)


NAME = st.text(max_size=12)
CALLS = st.builds(
    CallFields,
    app=st.one_of(NAME, st.sampled_from(["prompt:x", "feedback:", "result:a", "null", "2025"])),
    module=NAME,
    model=st.one_of(NAME, st.sampled_from(["qwen-plus", "4", "1e3", "null"])),
    workspace=NAME,
    request_id=NAME,
    status_code=st.one_of(st.none(), st.integers(100, 599)),
    duration_ms=st.integers(0, 2**31 - 1),
    input_tokens=st.integers(0, 2**31 - 1),
    output_tokens=st.integers(0, 2**31 - 1),
    total_tokens=st.integers(0, 2**31 - 1),
    error_code=NAME,
    error_message=st.one_of(st.text(), st.text(alphabet='a,\n\r\t\x1b" -[]\u2028\x85')),
)


@given(CALLS)
@example(CallFields("", "", "", "", "", None, 0))
@example(CallFields("prompt:", "", "7", "", "", 200, 1, error_message="\n" + SUCCESS))
def test_what_is_written_is_one_line_and_reads_back_as_the_same_call(call):
    written = format_call(call)
    assert len(written.splitlines()) == 1
    read = parse_call(written)
    assert read is not None
    # Nothing is lost but what the standard says: writing what was read changes nothing any more.
    assert parse_call(format_call(read)) == read
    assert (read.status_code, read.duration_ms) == (call.status_code, call.duration_ms)
    assert (read.input_tokens, read.output_tokens, read.total_tokens) == (
        call.input_tokens,
        call.output_tokens,
        call.total_tokens,
    )


PLAIN = (
    st.text(alphabet="abcXYZ09-_. /:中文", max_size=12).map(str.strip).filter(lambda text: text not in {"null", "."})
)


@given(
    st.builds(
        CallFields,
        app=PLAIN.map(lambda text: ("a" + text.replace(":", "")).strip()),
        module=PLAIN,
        model=PLAIN.map(lambda text: "m" + text),
        workspace=PLAIN,
        request_id=PLAIN,
        status_code=st.one_of(st.none(), st.integers(100, 599)),
        duration_ms=st.integers(0, 2**31 - 1),
        error_code=PLAIN,
        error_message=st.text(alphabet="abc,\"'[]{} -;:中文", max_size=40)
        .map(str.strip)
        .filter(lambda text: text != "null"),
    )
)
def test_plain_values_read_back_equal(call):
    assert parse_call(format_call(call)) == call


def test_values_cannot_forge_a_record():
    forged = "x\n" + HEADER + SUCCESS
    call = parse_call(FAILURE)
    for name in ("app", "module", "model", "workspace", "request_id", "error_code", "error_message"):
        written = format_call(replace(call, **{name: forged}))
        assert "\n" not in written
        assert parse_call(written).status_code == 401
    assert format_call(replace(call, error_message="a\nb\t\x1b[0m\u2028c")).endswith(r",a\nb\t\u001b[0m\u2028c")


FEEDBACK = FeedbackFields("bailian-log", "Chat", "qwen-plus", "llm-1", "r-1", "down", "slow, and wrong")


def test_feedback():
    assert format_feedback(FEEDBACK) == "feedback:bailian-log,Chat,qwen-plus,llm-1,r-1,down,slow, and wrong"
    assert parse_feedback(format_feedback(FEEDBACK)) == FEEDBACK
    assert parse_feedback("feedback:a,b,c,d,e, UP ,\r").rating == "up"
    assert parse_feedback("feedback:a,b,c,d,e,up,one\ntwo").comment == "one\ntwo"
    for wrong in (
        "feedback:a,b,c,d,e,fine,x",
        "feedback:a,b,c,d,e,up",
        "a,b,c,d,e,up,x",
        "",
        "x feedback:a,b,c,d,e,up,",
    ):
        assert parse_feedback(wrong) is None
    with pytest.raises(ValueError, match="up or down"):
        format_feedback(replace(FEEDBACK, rating="fine"))


@given(NAME, st.text())
def test_feedback_reads_back(name, comment):
    written = format_feedback(replace(FEEDBACK, app=name, comment=comment))
    assert len(written.splitlines()) == 1
    read = parse_feedback(written)
    assert parse_feedback(format_feedback(read)) == read
    assert parse_call(written) is None


@given(st.text(), st.lists(st.text(alphabet='0123456789.eE+-, "nul:', max_size=8), max_size=14))
def test_no_text_raises(text, parts):
    for candidate in (text, ",".join(parts), HEADER + ",".join(parts)):
        parse_call(candidate)
        parse_feedback(candidate)
        looks_like_call(candidate)
