"""Who sent a request: signature v1 and v4, access keys, security tokens, and the 15 minutes a clock may be off.

Only what the wire shows is used, so that a mistake of the client's signer is found here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import parse_qsl, quote

from tests.cloud.refused import Refused

MOST_SKEW_S = 15 * 60


@dataclass(frozen=True, slots=True)
class Signed:
    """The parts of a request that a signature covers. `headers` have lower-case names; `query` is still encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Give the query's keys and decoded values, sorted by key."""
        return sorted(parse_qsl(self.query, keep_blank_values=True))

    @property
    def extra(self) -> list[tuple[str, str]]:
        """Give the `x-log-*` and `x-acs-*` headers, sorted."""
        return sorted(
            (name, value)
            for name, value in self.headers.items()
            if name.startswith("x-acs-") or (name.startswith("x-log-") and not name.startswith("x-log-meta-"))
        )


def check(request: Signed, keys: Mapping[str, str], tokens: Mapping[str, str | None], clock: float) -> str:
    """Give the access key id that signed `request`; raise `Refused` for a wrong signature, key, token or clock.

    `tokens`: the security token each temporary key must show, None where it has expired. `clock`: unix seconds.
    """
    _check_clock(request.headers, clock)
    authorization = request.headers.get("authorization", "")
    scheme, _, rest = authorization.partition(" ")
    if scheme == "LOG" and ":" in rest:
        key_id, _, given = rest.partition(":")
        _check_token(request.headers, key_id, tokens)
        expected = _v1(request, _secret(keys, key_id))
    elif scheme == "SLS4-HMAC-SHA256":
        parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        key_id, _, scope = parts.get("Credential", "").partition("/")
        given = parts.get("Signature", "")
        _check_token(request.headers, key_id, tokens)
        expected = _v4(request, _secret(keys, key_id), scope)
    else:
        raise Refused(400, "ParameterInvalid", "Http extend authorization : authorization pair is invalid.")
    if not hmac.compare_digest(given, expected):
        raise Refused(401, "SignatureNotMatch", f"signature {given} not match")
    return key_id


def _check_clock(headers: Mapping[str, str], clock: float) -> None:
    told = headers.get("x-log-date") or headers.get("date") or ""
    try:
        if told[-1:] == "Z" and "T" in told:
            sent = datetime.strptime(told, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        else:
            sent = parsedate_to_datetime(told).timestamp()
    except (ValueError, TypeError) as error:
        raise Refused(400, "InvalidRequestTime", f"Request time {told} not follow RFC822 spec.") from error
    if abs(sent - clock) > MOST_SKEW_S:
        now = formatdate(clock, usegmt=True)
        raise Refused(400, "RequestTimeExpired", f"Request time {told} has been expired while server time is {now}.")


def _secret(keys: Mapping[str, str], key_id: str) -> str:
    if key_id not in keys:
        raise Refused(401, "Unauthorized", f"AccessKeyId not found: {key_id}")
    return keys[key_id]


def _check_token(headers: Mapping[str, str], key_id: str, tokens: Mapping[str, str | None]) -> None:
    if key_id not in tokens:
        if "x-acs-security-token" in headers:
            raise Refused(401, "Unauthorized", "The security token you provided is invalid.")
        return
    known = tokens[key_id]
    if known is None:
        raise Refused(401, "Unauthorized", "The security token you provided has expired.")
    if headers.get("x-acs-security-token") != known:
        raise Refused(401, "Unauthorized", "The security token you provided is invalid.")


def _v1(request: Signed, secret: str) -> str:
    headers = request.headers
    md5 = headers.get("content-md5", "")
    if md5 and md5 != hashlib.md5(request.body, usedforsecurity=False).hexdigest().upper():
        raise Refused(400, "ParameterInvalid", "Content-MD5 does not match the body.")
    resource = request.path
    if request.pairs:
        resource += "?" + "&".join(f"{key}={value}" for key, value in request.pairs)
    extra = "".join(f"{name}:{value}\n" for name, value in request.extra if name != "x-log-date")
    text = "\n".join((request.method, md5, headers.get("content-type", ""), headers.get("date", ""), extra + resource))
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


def _v4(request: Signed, secret: str, scope: str) -> str:
    digest = hashlib.sha256(request.body).hexdigest()
    if request.headers.get("x-log-content-sha256") != digest:
        raise Refused(400, "ParameterInvalid", "x-log-content-sha256 does not match the body.")
    covered = [(name, value) for name, value in request.headers.items() if name in {"content-type", "host"}]
    covered = sorted(covered + request.extra)
    query = "&".join(f"{key}={quote(value, safe='~')}" if value else key for key, value in request.pairs)
    canonical = "\n".join(
        (
            request.method,
            request.path,
            query,
            "".join(f"{name}:{value.strip()}\n" for name, value in covered),
            ";".join(name for name, _ in covered),
            digest,
        )
    )
    date = request.headers.get("x-log-date", "")
    text = f"SLS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()
