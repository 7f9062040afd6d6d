"""The expansion request: complete, marked where it is not, and safe to paste."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.knowledge.request import (
    FIELDS,
    MAX_REQUEST_IDS,
    REQUIRED,
    TICKET_FIELDS,
    TICKET_REQUIRED,
    clean,
    expansion_request,
    ticket,
)
from llmops_cli.knowledge.sentences import phrase

FULL = {
    "uid": "1234567890123456",
    "region": "cn-beijing",
    "model": "qwen-plus",
    "workspace": "llm-6qtsrlugmu6wanfs",
    "current_rpm": 1200.0,
    "current_tpm": 1_000_000,
    "limit_source": "configuration",
    "wanted_rpm": 2400,
    "wanted_tpm": 2_000_000,
    "reason": "growth since the launch",
    "window": "2025-07-09 14:12:24 – 14:27:24 +08:00",
    "peak_rpm": 1310,
    "peak_tpm": 912_000,
    "peak_window": ["14:15 – 14:18", "14:22 – 14:25"],
    "failures": 412,
    "calls": 1394,
    "failure_rate": 412 / 1394,
    "request_ids": ["6c958db4-d489-9de8-b5d4-9fc872f24ce2", "83a0cb5d-07f9-9fd2-9985-1c05b339f5d5"],
    "business_impact": "checkout assistant answers one in three customers with an error",
    "contact": "on-call, +86 10 0000 0000",
}
MARKERS = {"en": "[TO FILL IN: ", "zh": "【待补充: "}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_full_request_holds_everything_and_asks_for_nothing(lang):
    text = expansion_request(FULL, [], lang)
    assert MARKERS[lang] not in text
    for part in (
        *("1234567890123456", "cn-beijing", "qwen-plus", "llm-6qtsrlugmu6wanfs", "RPM 1,200", "TPM 1,000,000"),
        *(
            "RPM 2,400",
            "TPM 2,000,000",
            {"en": "configuration", "zh": "来源：配置"}[lang],
            "growth since the launch",
            "14:12:24 – 14:27:24 +08:00",
        ),
        *(
            "RPM 1,310",
            "TPM 912,000",
            {"en": ", ", "zh": "、"}[lang].join(FULL["peak_window"]),
            "412 / 1,394",
            "29.6 %",
        ),
        *("- 6c958db4-d489-9de8-b5d4-9fc872f24ce2\n", "- 83a0cb5d-07f9-9fd2-9985-1c05b339f5d5\n"),
        *("checkout assistant answers", "on-call, +86 10 0000 0000"),
    ):
        assert part in text
    assert text.endswith("\n")
    assert "None" not in text


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_name_for_its_marker(name, lang):
    assert phrase(f"request.label.{name}", lang)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    "name",
    [
        *REQUIRED,
        "current_rpm",
        "current_tpm",
        "wanted_rpm",
        "wanted_tpm",
        "peak_rpm",
        "peak_window",
        "request_ids",
        "reason",
    ],
)
def test_a_missing_field_is_marked_where_it_belongs(name, lang):
    fields = {**FULL, name: None}
    text = expansion_request(fields, [name], lang)
    assert MARKERS[lang] + phrase(f"request.label.{name}", lang) in text


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("empty", [None, "", "  ", "\x00\n"])
def test_a_required_field_that_is_empty_is_marked_without_being_listed(name, empty):
    assert MARKERS["en"] in expansion_request({**FULL, name: empty}, [])


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_nothing_known_is_still_a_letter(lang):
    text = expansion_request({}, [], lang)
    assert text.count(MARKERS[lang]) >= 10
    assert "None" not in text
    assert "{" not in text


def test_a_half_without_a_limit_is_left_out():
    text = expansion_request({**FULL, "wanted_tpm": None}, [])
    assert "Wanted: RPM 2,400\n" in text


def test_ids_beyond_a_ticket_form_are_counted():
    ids = [f"id-{number:03}" for number in range(37)]
    text = expansion_request({**FULL, "request_ids": ids}, [])
    assert f"- and {37 - MAX_REQUEST_IDS} more on request" in text
    assert ids[MAX_REQUEST_IDS] not in text
    assert ids[MAX_REQUEST_IDS - 1] in text


def test_an_unknown_language_is_english():
    assert expansion_request(FULL, [], "fr") == expansion_request(FULL, [], "en")


def test_text_is_plain_not_html_and_not_a_template():
    text = expansion_request({**FULL, "model": "<b>{{ 7 * 7 }}</b>", "contact": "{% raise %} a & b"}, [])
    assert "<b>{{ 7 * 7 }}</b>" in text
    assert "{% raise %} a & b" in text


@given(hostile=st.text(st.characters(codec=None), max_size=80), name=st.sampled_from(FIELDS))
def test_no_value_adds_lines_or_control_characters(hostile, name):
    harmless = expansion_request({**FULL, name: "x"}, [])
    text = expansion_request({**FULL, name: hostile}, [])
    text.encode("utf-8")
    assert len(text.splitlines()) <= len(harmless.splitlines())
    assert not [
        c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029\u202e\u2066")
    ]


def test_clean_joins_what_it_cuts_with_one_blank():
    assert clean(" a\r\n\tb\x1b[31m\u202ec\u2028d\x00 ") == "a b [31mc d"


def test_jinja_is_loaded_only_when_a_request_is_written():
    code = "import sys, llmops_cli.knowledge.request, llmops_cli.knowledge.errors; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


TICKET = {
    "uid": "1234567890123456",
    "region": "cn-beijing",
    "model": "qwen-plus",
    "workspace": "llm-6qtsrlugmu6wanfs",
    "incident": "server_error",
    "problem": "qwen-plus fails with server errors",
    "started": "2025-07-09 14:15:08+08:00",
    "window": "2025-07-09 14:12:24 – 14:27:24 +08:00",
    "calls": 1394,
    "failures": 412,
    "failure_rate": 412 / 1394,
    "before_failure_rate": 0.0,
    "slow": 12,
    "slow_rate": 0.01,
    "p95_ms": 2914.0,
    "before_p95_ms": 2871.0,
    "status_code": 500,
    "error_code": "InternalError",
    "error_message": "An internal error has occured, please try again later.",
    "errors": ["500 InternalError × 400", "503 ModelUnavailable × 12"],
    "request_ids": ["6c958db4-d489-9de8-b5d4-9fc872f24ce2", "83a0cb5d-07f9-9fd2-9985-1c05b339f5d5"],
    "ruled_out": ["our rate limit: the busiest minute used 39 % of it"],
    "business_impact": "checkout assistant answers one in three customers with an error",
    "contact": "on-call, +86 10 0000 0000",
}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_full_ticket_holds_everything_and_asks_for_nothing(lang):
    text = ticket(TICKET, [], lang)
    assert MARKERS[lang] not in text
    for part in (
        *("1234567890123456", "cn-beijing", "qwen-plus", "llm-6qtsrlugmu6wanfs", "fails with server errors"),
        *("2025-07-09 14:15:08+08:00", "14:12:24 – 14:27:24 +08:00", "412 / 1,394", "29.6 %", "0 %", "12 / 1,394"),
        *("2,914 ms", "2,871 ms", "\n- 500 InternalError × 400\n", "An internal error has occured"),
        *(
            "\n- 6c958db4-d489-9de8-b5d4-9fc872f24ce2\n",
            "\n- our rate limit: ",
            "checkout assistant",
            "+86 10 0000 0000",
        ),
    ):
        assert part in text
    assert "None" not in text
    assert not re.search(r"\n\n\n|[ \t]\n", text)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", TICKET_REQUIRED)
def test_a_ticket_marks_what_it_cannot_do_without(name, lang):
    assert phrase(f"request.label.{name}", lang)
    text = ticket({**TICKET, name: None}, [], lang)
    assert MARKERS[lang] + phrase(f"request.label.{name}", lang) in text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_ticket_numbers_its_parts_without_a_gap(lang):
    numbers = {"en": r"^(\d)\. ", "zh": r"^([一二三四五])、"}[lang]
    for fields in (TICKET, {**TICKET, "ruled_out": []}):
        found = re.findall(numbers, ticket(fields, [], lang), re.MULTILINE)
        assert found == list({"en": "12345", "zh": "一二三四五"}[lang])[: len(found)]
        assert len(found) == (5 if fields["ruled_out"] else 4)


def test_a_ticket_about_what_no_call_shows_asks_for_no_request_ids():
    assert "request IDs" not in ticket({**TICKET, "request_ids": []}, [])
    assert "[TO FILL IN: sample request IDs]" in ticket({**TICKET, "request_ids": []}, ["request_ids"])


@given(hostile=st.text(st.characters(codec=None), max_size=80), name=st.sampled_from(TICKET_FIELDS))
def test_no_value_adds_lines_to_a_ticket(hostile, name):
    one = {"errors": ["x"], "ruled_out": ["x"], "request_ids": ["x"]}.get(name, "x")
    harmless = ticket({**TICKET, name: one}, [])
    text = ticket({**TICKET, name: [hostile] if isinstance(one, list) else hostile}, [])
    text.encode("utf-8")
    assert len(text.splitlines()) <= len(harmless.splitlines())
