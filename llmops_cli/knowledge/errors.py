"""What a failed call means: the catalogue `error_codes.tsv`, and an honest guess for codes that it does not have.

The first matching row in file order wins; a blank cell matches anything; `message_pattern` is searched in the server's
message regardless of case. Sources: the page named in each row, mostly
https://help.aliyun.com/zh/model-studio/error-code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple

from llmops_cli.knowledge.unlisted import BY_WORDS, Judgement, judge, speaks_of_unpaid

FAMILIES = (
    "rate_limit_requests",
    "rate_limit_tokens",
    "rate_limit_burst",
    "capacity",
    "billing",
    "auth",
    "permission",
    "content_moderation",
    "bad_request",
    "input_too_long",
    "not_found",
    "timeout",
    "server_error",
    "network",
    "application",
)
"""Every family that `classify` may answer with; each is also an incident type."""

MESSAGE_BOUND = 4_000
"""Characters of a message that are looked at: error messages are hostile text, and regular expressions cost time."""

_CODE_BOUND = 200
_CACHE_BOUND = 4_096


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """One row of the catalogue, or a fallback (then `source` says what it was judged by).

    `retry`: "yes", "backoff" (random exponential backoff), "once" (one retry, then act), "no" (a retry cannot help).
    """

    http_status: int | None
    code: str
    message_pattern: str
    family: str
    retry: str
    cause: str
    remedy: str
    source: str

    @property
    def known(self) -> bool:
        """Whether the catalogue has this error; otherwise it was judged by its status or its words."""
        return self.source.startswith("http")


def classify(status_code: int | None, error_code: str, error_message: str) -> ErrorEntry:
    """Explain a failed call. Never raises, whatever the text; repeated questions are answered from a bounded cache.

    Order: the catalogue as written; the same code under another status (SDKs lose the status); a code quoted inside
    the message (wrapping exceptions); the parent of a dotted code; the HTTP status; the words of code and message.
    """
    status = status_code if status_code is not None and status_code > 0 else None
    return _classify(status, error_code.strip()[:_CODE_BOUND], error_message.strip()[:MESSAGE_BOUND])


def entries() -> tuple[ErrorEntry, ...]:
    """Return all rows of the catalogue in file order."""
    return tuple(row.entry for row in _catalogue())


def is_rate_limit(family: str) -> bool:
    """Whether calls of this family were refused because a limit of the account was reached."""
    return family.startswith("rate_limit_")


def family_title(family: str, lang: str = "en") -> str:
    """Return the family as a reader would call it; an unknown one is returned as it is."""
    from llmops_cli.knowledge.sentences import phrase  # noqa: PLC0415 - only titles need the sentences read

    return phrase(f"family.{family}", lang) or family.replace("_", " ")


class _Text(NamedTuple):
    """A message and its lower case, made once for all rows."""

    raw: str
    lower: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A row ready to match: `literals` replace the pattern where it is nothing but words (most are; 20 × faster)."""

    entry: ErrorEntry
    literals: tuple[str, ...]

    def matches(self, status: int | None, text: _Text) -> bool:
        return self.entry.http_status in (None, status) and self.says(text)

    def says(self, text: _Text) -> bool:
        if not self.entry.message_pattern:
            return True
        # Outside ASCII, `lower` and IGNORECASE disagree on a few letters: there the pattern itself decides.
        if self.literals and text.raw.isascii():
            return any(literal in text.lower for literal in self.literals)
        return re.search(self.entry.message_pattern, text.raw, re.IGNORECASE) is not None


def _row(line: str) -> _Row:
    status, code, pattern, family, retry, cause, remedy, source = line.split("\t")
    entry = ErrorEntry(int(status) if status else None, code, pattern, family, retry, cause, remedy, source)
    return _Row(entry, () if re.search(r"[\\^$.*+?{}\[\]()]", pattern) else tuple(pattern.lower().split("|")))


@cache
def _catalogue() -> tuple[_Row, ...]:
    text = resources.files(__package__).joinpath("error_codes.tsv").read_text(encoding="utf-8")
    return tuple(_row(line) for line in text.splitlines()[1:])


@cache
def _codes() -> frozenset[str]:
    """Every code of the catalogue in lower case, and "" for the rows of any code."""
    return frozenset(row.entry.code.lower() for row in _catalogue()) | {""}


@lru_cache(maxsize=_CACHE_BOUND)
def _rows_for(code: str) -> tuple[_Row, ...]:
    """Rows to try for a code in lower case, in file order: its own and those for any code."""
    return tuple(row for row in _catalogue() if row.entry.code.lower() in (code, ""))


@cache
def _advice() -> Mapping[str, ErrorEntry]:
    """Say what is known of a family when the catalogue does not know the error itself."""
    text = resources.files(__package__).joinpath("families.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {family: ErrorEntry(None, "", "", family, retry, cause, remedy, "") for family, retry, cause, remedy in rows}


@lru_cache(maxsize=_CACHE_BOUND)
def _classify(status: int | None, raw_code: str, message: str) -> ErrorEntry:
    code = _bare(raw_code)
    found = _look_up(status, code, message)
    if found is None and code not in _codes():
        found = _quoted(status, message) or _parent(status, code, message)
    if found is None:
        verdict = judge(status, raw_code, message)
    elif is_rate_limit(found.family) and not found.message_pattern and speaks_of_unpaid(message):
        # A general throttling row, but the text says that money is missing: never answer that with "retry".
        verdict = Judgement("billing", BY_WORDS)
    else:
        return found
    return replace(_advice()[verdict.family], http_status=status, code=raw_code, source=verdict.by)


_PACKAGE = re.compile(r"(?:[a-z_][a-z0-9_$]*\.)+(?=[A-Z])")


def _bare(code: str) -> str:
    """Lower the code and drop the package of an exception class (`java.net.ConnectException`)."""
    package = _PACKAGE.match(code)
    return code[package.end() if package else 0 :].lower()


def _look_up(status: int | None, code: str, message: str) -> ErrorEntry | None:
    """First row for status, code and message; else the first for the code under whatever status."""
    rows = _rows_for(code)
    text = _Text(message, message.lower())
    for row in rows:
        if row.matches(status, text):
            return row.entry
    for row in rows:
        if row.entry.code and row.says(text):
            return row.entry
    return None


_QUOTED_CODE = re.compile(r"""\bcode\\?["']?\s*[:=]\s*\\?["']?([A-Za-z][\w.]{2,80})""", re.IGNORECASE)
_QUOTED_STATUS = re.compile(r"""\b(?:status_?code|error code)\\?["']?\s*[:=]\s*([1-5]\d\d)\b""", re.IGNORECASE)
_LEADING_CODE = re.compile(r"\[?([A-Za-z][\w.]{2,80})\]?[:;,]")


def _quoted(status: int | None, message: str) -> ErrorEntry | None:
    """Answer for a catalogue code that a wrapping exception carries inside its message."""
    if status is None and (inner := _QUOTED_STATUS.search(message)):
        status = int(inner[1])
    for quoted in _codes_in(message):
        code = _bare(quoted)
        if code in _codes() and (found := _look_up(status, code, message)):
            return found
    return None


def _codes_in(message: str) -> Iterator[str]:
    if leading := _LEADING_CODE.match(message):
        yield leading[1]
    for match in _QUOTED_CODE.finditer(message):
        yield match[1]


def _parent(status: int | None, code: str, message: str) -> ErrorEntry | None:
    """Answer for `DataInspectionFailed.Image` as for `DataInspectionFailed`, when only the latter is known."""
    while "." in code:
        code = code.rpartition(".")[0]
        if code in _codes():
            return _look_up(status, code, message)
    return None
