"""Errors that the catalogue does not have, judged by their HTTP status and the words of their code and message.

One asymmetry is meant: where a text speaks of unpaid bills, no status turns it into a rate limit, because the answer
to a rate limit is "retry", and a retry has never paid a bill.
"""

from __future__ import annotations

import re
from typing import NamedTuple

BY_STATUS = "not in the catalogue; judged by its HTTP status"
BY_WORDS = "not in the catalogue; judged by the words of its code and message"
NO_ANSWER = "no HTTP answer came, and the log says nothing else"
UNJUDGED = "not in the catalogue; neither its status nor its words say more"


class Judgement(NamedTuple):
    """An error family and, for the reader, what it was judged by."""

    family: str
    by: str


def judge(status: int | None, code: str, message: str) -> Judgement:
    """Return the most likely family; "application" when nothing speaks."""
    text = f"{code} {message}"
    if status == 429:
        return _judge_429(text)
    if speaks_of_unpaid(text) and (status is None or status < 500):
        return Judgement("billing", BY_WORDS)
    if status in _STATUS_FAMILIES or (status is not None and status >= 500):
        return Judgement(_STATUS_FAMILIES.get(status, "server_error"), BY_STATUS)
    for family, words in _WORDS:
        if words.search(text):
            return Judgement(family, BY_WORDS)
    if status is None:
        return Judgement("application", UNJUDGED) if text.strip() else Judgement("network", NO_ANSWER)
    return Judgement("application", UNJUDGED) if status < 400 else Judgement("bad_request", BY_STATUS)


def speaks_of_unpaid(text: str) -> bool:
    """Whether a text says that a bill, a balance, an order or a free quota is the cause."""
    return _UNPAID.search(text) is not None


_UNPAID = re.compile(
    r"overdue|arrear|unpaid|not.?purchased|payment required|insufficient.{0,9}balance|out of credit|"
    r"free.{0,11}quota|free.?tier.{0,20}(?:only|used|exhaust|exceed|expire)|欠费|余额不足|免费额度|未购买",
    re.IGNORECASE,
)

_STATUS_FAMILIES = {
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "input_too_long",
    499: "network",
    504: "timeout",
}
"""499 is a gateway's word for a client that hung up; every other 5xx is server_error, every other 4xx bad_request."""


def _table(*rows: tuple[str, str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((family, re.compile(words, re.IGNORECASE)) for family, words in rows)


_WORDS = _table(
    ("rate_limit_requests", r"too many requests|rate.?limit|throttl"),
    ("content_moderation", r"data.?inspection|inappropriate content|content.?filter|sensitive content|内容安全"),
    ("input_too_long", r"context.?length|input length|too many tokens|maximum.{0,20}tokens|payload too large"),
    ("timeout", r"time.?out|timed.?out|deadline.?exceeded|超时"),
    (
        "network",
        (
            r"connect(?:ion|error|exception)|unknown.?host|name or service not known|getaddrinfo|no.?route.?to.?host|"
            r"socket|\bssl|\btls|certificate|broken.?pipe|\beof|unexpected end of (?:stream|file)|"
            r"protocol(?:error|exc)|econn|enotfound|\bproxy|\bdns\b|network is unreachable"
        ),
    ),
    ("auth", r"unauthori[sz]ed|invalid.{0,6}api.?key|incorrect.{0,6}api.?key"),
)

_QUOTA_WORDS = _table(
    # The OpenAI-style text of a token limit speaks of "plan and billing details", so it stands before the bills.
    ("rate_limit_tokens", r"exceeded your current quota|token|\btpm\b|allocat"),
    ("billing", r"\bbill|balance|credit|\bpay"),
    ("rate_limit_burst", r"burst"),
    ("capacity", r"capacity|overload|saturat|concurren"),
)


def _judge_429(text: str) -> Judgement:
    if speaks_of_unpaid(text):
        return Judgement("billing", BY_WORDS)
    for family, words in _QUOTA_WORDS:
        if words.search(text):
            return Judgement(family, BY_WORDS)
    return Judgement("rate_limit_requests", BY_STATUS)
