"""Secrets are hidden here, for every sink: output, errors, debug traces.

Hidden are API keys (`sk-…`), AccessKey ids (`LTAI…`, `STS.…`) and the secret beside them, bearer, basic, JWT and STS
tokens, `Authorization` headers, passwords in addresses, and whatever follows a name that says it is a secret
(`api_key=…`). A short prefix of a key stays: enough to tell which key it was, too little to use. Ids that support asks
for (request, trace, workspace) and model names stay as they are.

Every pattern is a fixed word and bounded or possessive runs behind it, and none can fail after a long run: hostile
text costs linear time.
"""

from __future__ import annotations

import re

HIDDEN = "…(hidden)"
"""What stands in place of a secret."""

_MARK = r"(…\(hidden\))?+"
_START = r"(?<![A-Za-z0-9])"
_FLAGS = re.ASCII | re.IGNORECASE

# Secrets known by their shape; the first group stays.
_SHAPES = (
    re.compile(_START + r"(sk-[A-Za-z0-9]{2})[A-Za-z0-9_.-]{10,}+", re.ASCII),  # API keys of Model Studio
    re.compile(_START + r"(LTAI[A-Za-z0-9]{2})[A-Za-z0-9]{6,}+", re.ASCII),  # AccessKey ids
    re.compile(_START + r"(STS\.[A-Za-z0-9]{2})[A-Za-z0-9_-]{6,}+", re.ASCII),  # temporary AccessKey ids
    re.compile(r"(?<![A-Za-z0-9+/])(CAIS)[A-Za-z0-9+/=_%-]{16,}+", re.ASCII),  # security tokens of STS
    re.compile(_START + r"(eyJ)[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]{1,8192}+){0,4}", re.ASCII),  # JSON Web Tokens
)

# An AccessKey secret is 30 letters and digits and looks like any other id: known only by the id before it.
_PAIR = re.compile(r"(LTAI[A-Za-z0-9]{8,60}+[\s,:;/|\"']{1,4})([A-Za-z0-9]{30})(?![A-Za-z0-9])", re.ASCII)

_ADDRESS = re.compile(r"(://[^\s/:@]{1,200}+:)([^\s/@]{1,200}+)(?=@)", re.ASCII)

# "Bearer token missing" is prose: a token has a digit or is long.
_SCHEME = re.compile(
    _START + r"""((?:bearer|basic)(?:[ \t]{1,8}|%20|\+|[ \t]{0,8}[:=][ \t]{0,8}["']?))"""
    r"(?=[A-Za-z0-9._~+/=%-]{20}|[A-Za-z._~+/=%-]{0,20}+[0-9])([A-Za-z0-9._~+/=%-]{6,}+)" + _MARK,
    _FLAGS,
)
_HEADER = re.compile(
    r"""(authorization["']?[ \t]{0,8}[:=][ \t]{0,8}["']?"""
    r"(?:(?:bearer|basic|digest|token|acs[a-z0-9-]{0,30}+)[ \t]{1,8})?+)"
    r"""([^\s"',;}\]…]{3,}+)""" + _MARK,
    _FLAGS,
)
# The name has to begin a word: "InvalidApiKey: Invalid API-key provided." is an error code and its message.
_NAMED = re.compile(
    _START + r"((?:access[_-]?key(?:[_-]?(?:secret|id))?|(?:client|secret[_-]?access|app)[_-]?(?:secret|key)"
    r"|api[_-]?key|(?:x-acs-)?security[_-]?token|(?:sts|session|access|refresh|auth)[_-]?token"
    r"|secret(?:[_-]?key)?|password|passwd|signature)"
    r"""["']?[ \t]{0,8}(?:=>|[:=]|%3d)[ \t]{0,8}["']?)([^\s"',;&}\])…]{3,}+)""" + _MARK,
    _FLAGS,
)
_LONG_TOKEN = re.compile(
    r"""(?<![A-Za-z0-9_-])(token["']?[ \t]{0,8}[:=][ \t]{0,8}["']?)([A-Za-z0-9._~+/=%-]{16,}+)""" + _MARK, _FLAGS
)


def redact(text: str) -> str:
    """Return `text` with its secrets hidden. Redacting twice changes nothing; the cost is linear in the length."""
    text = _PAIR.sub(_second, text)
    for pattern in _SHAPES:
        text = pattern.sub(_first, text)
    for pattern in (_ADDRESS, _HEADER, _SCHEME, _NAMED, _LONG_TOKEN):
        text = pattern.sub(_second, text)
    return text


def _first(match: re.Match[str]) -> str:
    return match[1] + HIDDEN


def _second(match: re.Match[str]) -> str:
    hidden_before = match.re.groups == 3 and match[3]
    return match[0] if hidden_before else match[1] + HIDDEN
