"""Secrets are hidden, everything else stays, and hostile text costs no more than other text."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.redact import HIDDEN, redact

ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SECRET = "Zq7" + "x9Kd2Lm4" * 4  # 35 characters, of no shape that is known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-1234567890abcdef1234 is wrong", f"key sk-12{HIDDEN} is wrong"),
        ("id LTAI5tAbCdEfGhIjKlMnOpQr", f"id LTAI5t{HIDDEN}"),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {HIDDEN}"),
        ("'authorization': 'Basic dXNlcjpwYXNz'", f"'authorization': 'Basic {HIDDEN}'"),
        ("bearer:aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1", f"bearer:{HIDDEN}"),
        ("curl -H 'X-Token' bearer abcdef123456", f"curl -H 'X-Token' bearer {HIDDEN}"),
        ("DASHSCOPE_API_KEY=hunter22 java -jar", f"DASHSCOPE_API_KEY={HIDDEN} java -jar"),
        ('{"apiKey": "hunter22", "model": "qwen-plus"}', f'{{"apiKey": "{HIDDEN}", "model": "qwen-plus"}}'),
        ("?SecurityToken=abcdefgh&Action=List", f"?SecurityToken={HIDDEN}&Action=List"),
        ("http://user:hunter22@proxy:8080/", f"http://user:{HIDDEN}@proxy:8080/"),
        ("token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln", f"token=eyJ{HIDDEN}"),
        ("CAISrQJ1q6Ft5B2yfSjIr5bcBM", f"CAIS{HIDDEN}"),
        ("STS.NUHabcdef12345", f"STS.NU{HIDDEN}"),
    ],
)
def test_secrets_are_hidden_and_stay_recognisable(text, expected):
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "InvalidApiKey: Invalid API-key provided.",
        "401 NoApiKey: no api key",
        "SignatureDoesNotMatch: Specified signature is not matched",
        "Basic authentication failed; Bearer authentication required",
        "input_tokens=509 output_tokens=131 max_tokens: 2000",
        "bailian-log,Chat,qwen-plus,llm-6qtsrlugmu6wanfs,6c958db4-d489-9de8-b5d4-9fc872f24ce2,200,1141,24,9,33,,",
        "risk-review desk-1234567890123456 task-abcdefghijklmnop disk-usage-is-very-high",
        "model qwen3-vl-235b-a22b-thinking deepseek-r1-distill-qwen-32b",
        "https://dashscope.aliyuncs.com/api/v1/services?page=2",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@given(
    st.uuids(), st.text(ALNUM.lower(), min_size=16, max_size=16), st.text("0123456789abcdef", min_size=32, max_size=32)
)
def test_ids_that_support_asks_for_stay(request_id, workspace, trace_id):
    text = f"request {request_id} workspace llm-{workspace} trace {trace_id} span {uuid.UUID(trace_id)}"
    assert redact(text) == text


@given(
    st.text(max_size=30),
    st.sampled_from(["api_key={}", "Authorization: Bearer {}", "access_key_secret: {}", '"accessKeySecret":"{}"']),
    st.text(max_size=30),
)
def test_a_secret_never_survives_whatever_stands_around_it(before, shape, after):
    text = f"{before}\n{shape.format(SECRET)} {after}"
    assert SECRET not in redact(text)


@given(
    st.text(ALNUM, min_size=16, max_size=40),
    st.sampled_from(["sk-", "LTAI"]),
    st.text(" ,.;:=\"'()<>[]{}/\n", max_size=5),
)
def test_keys_known_by_their_shape_are_hidden_anywhere(body, prefix, around):
    hidden = redact(f"{around}{prefix}{body}{around}")
    assert body not in hidden
    assert prefix in hidden


def test_an_access_key_secret_beside_its_id_is_hidden():
    beside = "abcdefghijklmnopqrstuvwxyz1234"
    assert beside not in redact(f"LTAI5tAbCdEfGhIjKlMnOpQr,{beside}")
    assert beside not in redact(f'"LTAI5tAbCdEfGhIjKlMnOpQr": "{beside}"')


@given(
    st.lists(
        st.sampled_from(
            [
                "sk-",
                "LTAI",
                "api_key=",
                "Bearer ",
                "Authorization: ",
                "…",
                HIDDEN,
                "a1B2c3D4e5F6g7",
                "://",
                ":",
                "@",
                " ",
                "'",
            ]
        )
        | st.text(max_size=4),
        max_size=12,
    ).map("".join)
)
def test_redacting_twice_changes_nothing(text):
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "unit",
    ["sk-", "sk-a", "LTAI", "LTAI5t12345678,", "://a:", "api_key=", "Bearer ", "authorization: a ", "eyJ", "eyJaaaaaaaaaa.",
     "a", "token:", "Basic 1", "…(hidden)", "CAIS", "STS."],
)  # fmt: skip
def test_hostile_text_returns(unit):
    # Quadratic matching would take an hour here.
    text = unit * (500_000 // len(unit))
    assert len(redact(text)) <= len(text) + 500_000
