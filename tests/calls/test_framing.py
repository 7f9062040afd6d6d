"""Container framings: recognised, taken off, and never seen where there is none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.calls.framing import LONGEST_LINE, Carry, detect_framing

PLAIN = "2025-07-09 14:23:24.748 INFO [traceId:] [c.a.X#chat():67] [main] - hello"
STAMP = "2025-07-09T14:23:24.748123456Z"


def kubectl(text, pod="pod/chat-7d9f/app"):
    return f"[{pod}] {text}"


def cri(text, stream="stdout", tag="F"):
    return f"{STAMP} {stream} {tag} {text}"


def docker(text, stream="stdout", end="\n"):
    return json.dumps({"log": text + end, "stream": stream, "time": STAMP})


FRAMES = {"kubectl": kubectl, "cri": cri, "docker": docker}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_recognised_and_taken_off(name):
    texts = [PLAIN, "\tat a.B(C.java:1)", "", '  indented, with "quotes" and \\', "ünï 中文 \u2028 x", PLAIN]
    lines = [FRAMES[name](text) for text in texts]
    framing = detect_framing(lines)
    assert framing.name == name
    assert list(framing.unwrap(line + "\n" for line in lines)) == texts
    assert [framing.unwrap_one(line) for line in lines] == texts
    assert framing.unwrap_one(PLAIN) is None


@pytest.mark.parametrize("name", FRAMES)
def test_lines_without_the_frame_pass(name):
    lines = [FRAMES[name](PLAIN)] * 5 + ["error: the pod is gone", "", "{", '{"log": 7}']
    assert list(detect_framing(lines).unwrap(lines)) == [PLAIN] * 5 + ["error: the pod is gone", "", "{", '{"log": 7}']


def test_a_few_frames_among_plain_lines_are_no_framing():
    for frame in FRAMES.values():
        assert detect_framing([PLAIN] * 5 + [frame(PLAIN)] * 4) is None


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["", " "],
        [PLAIN] * 3,
        ["\tat a.B(C.java:1)"] * 3,
        ["[main] hello"] * 3,
        ["[http-nio-8080/exec/1] hello"] * 3,
        ['{"time":"2025-07-09T14:23:24Z","level":"INFO","message":"hello"}'] * 3,
        ['{"log":"hello","level":"INFO","time":"x","stream":"stdout"}'] * 3,
        ['{"log":{"level":"INFO"},"stream":"stdout","time":"x"}'] * 3,
        ["2025-07-09T14:23:24.748Z INFO hello"] * 3,
        ["2025-07-09T14:23:24.748Z stdout hello"] * 3,
        ['{"log":' + "[" * 100_000] * 3,
        ["null", "[]", '"log"'],
    ],
)
def test_plain_logs_have_no_framing(lines):
    assert detect_framing(lines) is None


def test_empty_lines_and_tags():
    framing = detect_framing([cri("x")])
    assert list(framing.unwrap([f"{STAMP} stdout F", f"{STAMP} stdout F ", cri("y", tag="F:key=value")])) == [
        "",
        "",
        "y",
    ]
    assert list(framing.unwrap(["2025-07-09T14:23:24+08:00 stderr F z"])) == ["z"]
    assert list(detect_framing([kubectl("x")]).unwrap(["[pod/a/b]", "[pod/a/b] "])) == ["", ""]


def test_timestamps_of_kubectl_are_taken_off():
    lines = [kubectl(f"{STAMP} {PLAIN}"), kubectl(PLAIN)]
    assert list(detect_framing(lines).unwrap(lines)) == [PLAIN, PLAIN]


@pytest.mark.parametrize(
    ("part", "last"),
    [
        (lambda text, stream: cri(text, stream, "P"), lambda text, stream: cri(text, stream, "F")),
        (lambda text, stream: docker(text, stream, ""), docker),
    ],
)
def test_parts_are_joined_for_each_stream(part, last):
    lines = [
        part("one ", "stdout"),
        part("eins ", "stderr"),
        part("two ", "stdout"),
        last("zwei", "stderr"),
        last("three", "stdout"),
        last("four", "stdout"),
        part("open", "stderr"),
    ]
    assert list(detect_framing(lines).unwrap(lines)) == ["eins zwei", "one two three", "four", "open"]


def test_parts_in_different_blocks_are_joined():
    lines = [cri("one ", tag="P"), cri("two"), cri("open", tag="P")]
    framing, carry = detect_framing(lines), Carry()
    assert [list(framing.unwrap([line], carry)) for line in lines] == [[], ["one two"], []]
    assert list(carry.rest()) == ["open"]
    assert list(carry.rest()) == []


def test_an_endless_line_is_cut():
    lines = [cri("x" * 10_000, tag="P")] * 300 + [cri("end")]
    (joined,) = detect_framing(lines).unwrap(lines)
    assert len(joined) == LONGEST_LINE


def test_docker_line_with_carriage_return_and_half_a_character():
    lines = [docker("a\r"), '{"log":"b\\ud83dc\\n","stream":"stdout","time":"x"}', docker("two\nlines")]
    assert list(detect_framing(lines).unwrap(lines)) == ["a", "b\ufffdc", "two", "lines"]


TEXT = st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


@given(st.sampled_from(sorted(FRAMES)), st.lists(TEXT, min_size=1))
def test_any_text_comes_back(name, texts):
    texts = [text for text in texts if not text.startswith("2025")] or ["x"]
    lines = [FRAMES[name](text) for text in texts]
    assert list(detect_framing(lines).unwrap(lines)) == texts


@given(st.lists(st.one_of(st.text(), TEXT.map(cri), TEXT.map(docker), TEXT.map(kubectl))))
def test_no_text_raises(lines):
    for frame in FRAMES.values():
        framing = detect_framing([frame("x")])
        list(framing.unwrap(lines))
        assert all(isinstance(framing.unwrap_one(line), str | None) for line in lines)
    detect_framing(lines)
