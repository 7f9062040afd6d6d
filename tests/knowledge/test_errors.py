"""The catalogue: every row reachable, the traps of 429, fallbacks, hostile text."""

import csv
import re
from importlib import resources
from re import _constants, _parser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmops_cli.knowledge.errors import (
    FAMILIES,
    MESSAGE_BOUND,
    classify,
    entries,
    family_title,
    is_rate_limit,
)

with resources.files("llmops_cli.knowledge").joinpath("error_codes.tsv").open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE))


SAMPLE_OF = {
    _constants.CATEGORY_DIGIT: "7",
    _constants.CATEGORY_SPACE: " ",
    _constants.CATEGORY_WORD: "w",
    _constants.CATEGORY_NOT_WORD: "-",
}


def first_row(status, code, message):
    """The matching rule as facts state it, as slowly and plainly as possible."""
    for row in ROWS:
        if row["http_status"] and row["http_status"] != str(status):
            continue
        if row["code"] and row["code"] != code:
            continue
        if row["message_pattern"] and not re.search(row["message_pattern"], message, re.IGNORECASE):
            continue
        return row
    return None


def samples(pattern):
    """Texts that match a pattern: one for each top-level alternative."""
    return [sample(part) for part in alternatives(_parser.parse(pattern))]


def alternatives(parsed):
    items = list(parsed)
    if len(items) == 1 and items[0][0] is _constants.BRANCH:
        return list(items[0][1][1])
    branch = next((i for i, (op, _) in enumerate(items) if op is _constants.BRANCH), None)
    if branch is None:
        return [items]
    return [[*items[:branch], *part, *items[branch + 1 :]] for part in items[branch][1][1]]


def sample(items):
    text = ""
    for op, value in items:
        if op is _constants.LITERAL:
            text += chr(value)
        elif op is _constants.NOT_LITERAL or op is _constants.ANY:
            text += "x"
        elif op is _constants.IN:
            text += in_set(value)
        elif op is _constants.MAX_REPEAT:
            low, _, inner = value
            text += sample(inner) * low
        elif op is _constants.SUBPATTERN:
            text += sample(alternatives(value[3])[0])
        elif op is _constants.BRANCH:
            text += sample(value[1][0])
        elif op is not _constants.AT:
            raise NotImplementedError(op)
    return text


def in_set(value):
    (op, what), *_ = value
    if op is _constants.NEGATE:
        return "x"
    if op is _constants.CATEGORY:
        return SAMPLE_OF[what]
    return chr(what if op is _constants.LITERAL else what[0])


CASES = [
    pytest.param(row, message, id=f"{number}-{row['code'] or 'any'}-{part}")
    for number, row in enumerate(ROWS, start=2)
    for part, message in enumerate(samples(row["message_pattern"]) if row["message_pattern"] else ["made up words"])
]


@pytest.mark.parametrize(("row", "message"), CASES)
def test_each_row_is_found_by_what_it_describes(row, message):
    status = int(row["http_status"]) if row["http_status"] else None
    assert not row["message_pattern"] or re.search(row["message_pattern"], message, re.IGNORECASE)
    expected = first_row(status, row["code"], message)
    found = classify(status, row["code"], message)
    # Another row may stand before this one, but only when it gives the same answer.
    assert found.family == expected["family"] == row["family"]
    assert found.retry == expected["retry"]


def test_the_catalogue_is_whole_and_holds_no_unknown_word():
    assert len(entries()) == len(ROWS) > 370
    assert {entry.family for entry in entries()} == set(FAMILIES)
    assert {entry.retry for entry in entries()} == {"yes", "backoff", "once", "no"}
    assert all(entry.cause and entry.remedy and entry.source.startswith("https://") for entry in entries())
    assert [entry.code for entry in entries()] == [row["code"] for row in ROWS]


def test_no_billing_row_may_be_retried():
    assert {entry.retry for entry in entries() if entry.family == "billing"} == {"no"}


@pytest.mark.parametrize(
    ("status", "code", "message", "family", "retry"),
    [
        (
            429,
            "Throttling.AllocationQuota",
            "Allocated quota exceeded, please increase your quota limit.",
            "rate_limit_tokens",
            "backoff",
        ),
        (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", "billing", "no"),
        (429, "Throttling.AllocationQuota", "FREE ALLOCATED QUOTA EXCEEDED", "billing", "no"),
        (
            429,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
            "rate_limit_tokens",
            "backoff",
        ),
        (429, "insufficient_quota", "Free allocated quota exceeded.", "billing", "no"),
        (429, "Throttling.AllocationQuota", "voice limit exceeded", "bad_request", "no"),
        (
            429,
            "Throttling.AllocationQuota",
            "Batch requests are being throttled due to capacity",
            "capacity",
            "backoff",
        ),
        (429, "Throttling", "Too many fine-tune job in running", "capacity", "no"),
        (429, "Throttling", "Requests throttling triggered.", "rate_limit_requests", "backoff"),
        (
            429,
            "Throttling.RateQuota",
            "Requests rate limit exceeded, please try again later.",
            "rate_limit_requests",
            "backoff",
        ),
        (429, "Throttling.BurstRate", "Request rate increased too quickly.", "rate_limit_burst", "backoff"),
        (429, "PostpaidBillOverdue", "", "billing", "no"),
        (400, "Arrearage", "Access denied, please make sure your account is in good standing.", "billing", "no"),
        (403, "AllocationQuota.FreeTierOnly", "The free tier of the model has been exhausted.", "billing", "no"),
        (429, "", "hour allocated quota exceeded", "billing", "no"),
        (401, "InvalidApiKey", "Invalid API-key provided.", "auth", "no"),
    ],
)
def test_one_429_has_several_causes(status, code, message, family, retry):
    entry = classify(status, code, message)
    assert (entry.family, entry.retry, entry.known) == (family, retry, True)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (429, "Throttling.RateQuota", "Your postpaid bill is overdue"),
        (429, "Throttling", "账号欠费"),
        (429, "RateLimitError", "Error code: 429 - {'error': {'code': 'Arrearage', 'message': 'x'}}"),
        (429, "SomethingNew", "insufficient balance for 2,000 tokens"),
        (429, "", "The free tier of the model has been exhausted. Free quota used up, token limit"),
        (429, "Quota.New", "please pay for this model"),
        (None, "ApiException", '{"statusCode":429,"code":"PrepaidBillOverdue","message":"x"}'),
        (402, "", ""),
        (400, "SomethingNew", "the account is in arrears"),
    ],
)
def test_money_is_never_taken_for_a_rate_limit(status, code, message):
    entry = classify(status, code, message)
    assert entry.family == "billing"
    assert entry.retry == "no"


@pytest.mark.parametrize(
    ("status", "code", "message", "family"),
    [
        (401, "Nobody.Knows", "", "auth"),
        (403, "Nobody.Knows", "", "permission"),
        (404, "Nobody.Knows", "", "not_found"),
        (408, "", "", "timeout"),
        (504, "", "upstream request timeout", "timeout"),
        (413, "Nobody.Knows", "", "input_too_long"),
        (429, "", "", "rate_limit_requests"),
        (429, "Nobody.Knows", "Too many tokens in this minute", "rate_limit_tokens"),
        (429, "Nobody.Knows", "burst of traffic", "rate_limit_burst"),
        (400, "Nobody.Knows", "what is this", "bad_request"),
        (400, "Nobody.Knows", "Output data may contain inappropriate content.", "content_moderation"),
        (418, "", "", "bad_request"),
        (500, "Nobody.Knows", "", "server_error"),
        (502, "", "<html>Bad Gateway</html>", "server_error"),
        (599, "", "", "server_error"),
        (None, "SocketTimeoutException", "", "timeout"),
        (None, "java.net.SocketTimeoutException", "Read timed out", "timeout"),
        (None, "ReadTimeout", "", "timeout"),
        (-1, "", "timed out", "timeout"),
        (None, "java.net.ConnectException", "Connection refused", "network"),
        (None, "UnknownHostException", "dashscope.aliyuncs.com", "network"),
        (0, "SSLHandshakeException", "PKIX path building failed", "network"),
        (None, "", "Connection reset by peer", "network"),
        (None, "NullPointerException", "", "application"),
        (200, "MyParser", "no JSON in the answer", "application"),
        (200, "", "", "application"),
        (None, "", "", "network"),
    ],
)
def test_errors_the_catalogue_does_not_have(status, code, message, family):
    assert classify(status, code, message).family == family


@pytest.mark.parametrize(("status", "by"), [(418, "HTTP status"), (None, "nor its words")])
def test_a_guess_says_that_it_is_one(status, by):
    entry = classify(status, "Nobody.Knows", "")
    assert not entry.known
    assert "not in the catalogue" in entry.source
    assert by in entry.source
    assert entry.code == "Nobody.Knows"
    assert entry.cause
    assert entry.remedy


@pytest.mark.parametrize(
    ("status", "code", "message", "catalogue_code"),
    [
        (429, " Throttling.RateQuota \t", "", "Throttling.RateQuota"),
        (429, "throttling.ratequota", "", "Throttling.RateQuota"),
        (None, "Throttling.RateQuota", "", "Throttling.RateQuota"),
        (200, "DataInspectionFailed", "", "DataInspectionFailed"),
        (-1, "InvalidApiKey", "", "InvalidApiKey"),
        (None, "com.alibaba.dashscope.exception.NoApiKeyException", "", "NoApiKeyException"),
        (400, "DataInspectionFailed.Image", "", "DataInspectionFailed"),
        (
            None,
            "com.alibaba.dashscope.exception.ApiException",
            '{"statusCode":429,"message":"Requests rate limit exceeded","code":"Throttling.RateQuota","isJson":true}',
            "Throttling.RateQuota",
        ),
        (
            429,
            "RateLimitError",
            "Error code: 429 - {'error': {'message': 'x', 'type': 'y', 'code': 'limit_requests'}}",
            "limit_requests",
        ),
        (None, "RuntimeException", 'wrapped: {\\"code\\":\\"InvalidApiKey\\"}', "InvalidApiKey"),
        (
            400,
            "BadRequest",
            "DataInspectionFailed: Input data may contain inappropriate content.",
            "DataInspectionFailed",
        ),
    ],
)
def test_a_code_is_recognised_through_its_wrappings(status, code, message, catalogue_code):
    entry = classify(status, code, message)
    assert entry.known
    assert entry.code == catalogue_code


def test_a_known_code_is_not_overruled_by_one_quoted_in_its_message():
    assert classify(400, "InvalidParameter", '{"code":"Throttling.RateQuota"}').family == "bad_request"


HOSTILE = st.one_of(
    st.text(st.characters(codec=None), max_size=300),
    st.sampled_from(
        [
            "(" * 5000,
            "I/O error on POST request " * 2000,
            "File [id:" * 3000,
            "a" * 1_000_000,
            "\udcff\x00\x1b[31m\u202e",
            "{0.__class__}",
            " \t" * 4000,
            "code:" * 2000,
            '"' * 4000 + "code",
            "[" + "A." * 3000,
        ]
    ),
)


@given(status=st.one_of(st.none(), st.integers()), code=HOSTILE, message=HOSTILE)
@example(status=429, code="Throttling.", message="...")
@example(status=None, code="." * 200, message="\u2028")
def test_no_text_makes_it_fail(status, code, message):
    entry = classify(status, code, message)
    assert entry.family in FAMILIES
    assert entry.retry in ("yes", "backoff", "once", "no")


@given(
    row=st.sampled_from(ROWS),
    before=st.text(max_size=40),
    after=st.text(max_size=40),
    message_of=st.sampled_from(ROWS),
)
def test_the_index_answers_as_the_plain_rule_does(row, before, after, message_of):
    status = int(row["http_status"]) if row["http_status"] else None
    words = samples(message_of["message_pattern"])[0] if message_of["message_pattern"] else ""
    message = f"{before} {words} {after}".strip()
    expected = first_row(status, row["code"], message)
    if expected is not None and not (is_rate_limit(expected["family"]) and not expected["message_pattern"]):
        found = classify(status, row["code"], message)
        assert (found.family, found.code, found.message_pattern) == (
            expected["family"],
            expected["code"],
            expected["message_pattern"],
        )


def test_only_the_beginning_of_a_message_is_read():
    tail = " Free allocated quota exceeded"
    assert classify(429, "Throttling.AllocationQuota", "x" * (MESSAGE_BOUND - len(tail)) + tail).family == "billing"
    assert classify(429, "Throttling.AllocationQuota", "x" * MESSAGE_BOUND + tail).family == "rate_limit_tokens"


def test_families_have_titles_in_both_languages():
    for family in FAMILIES:
        assert family_title(family)
        assert family_title(family, "zh") != family_title(family)
    assert family_title("rate_limit_tokens") == "rate limit (TPM)"
    assert family_title("no_such") == "no such"


def test_three_families_are_rate_limits():
    assert [family for family in FAMILIES if is_rate_limit(family)] == [
        "rate_limit_requests",
        "rate_limit_tokens",
        "rate_limit_burst",
    ]
