"""What Log Service says when it says no: which setting to mend, and which answers are worth asking for again.

Codes: https://help.aliyun.com/zh/sls/developer-reference/common-error-codes and those of the data APIs. What is not
listed is shown as it came, with its request id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from llmops_cli.errors import SourceError

_AGAIN = frozenset(
    {
        "ReadQuotaExceed", "WriteQuotaExceed", "ShardReadQuotaExceed", "ShardWriteQuotaExceed", "ProjectQuotaExceed",
        "QuotaExceed", "ExceedQuota", "ExceedQPS", "ServerBusy", "InternalServerError", "RequestTimeout",
        "RequestError", "ShardNotReady",
    }
)  # fmt: skip
"""Codes of an overload or a failure that passes."""
_ACTION = re.compile(r"\b(?:action\s*:\s*|Action=)?\"?(log:[A-Za-z]+)", re.IGNORECASE)
_COLUMN = re.compile(r"[Cc]olumn (?:'(.{1,200}?)'|\"(.{1,200}?)\"|(\S+)) (?:not|cannot be) (?:be )?resolved")
_NOT_INDEXED = re.compile(
    r"key \((.{1,200}?)\) is not config as key value config|field:? ?'?\"?(\S+?)'?\"? is not indexed",
    re.IGNORECASE,
)
_CAUSES = (
    (("resolve", "name or service not known"), "its name cannot be resolved"),
    (("wrong_version_number", "record_layer_failure", "unknown_protocol"), "it speaks no TLS"),
    (("certificate",), "its certificate is not accepted"),
    (("timed out", "timeout"), "no answer in time"),
    (("tunnel connection failed",), "it does not let the connection through"),
    (("refused",), "connection refused"),
    (("reset", "aborted", "disconnected"), "the connection was cut"),
    (("ssl",), "no TLS connection could be made"),
)
"""What requests, urllib3 and OpenSSL say of a connection, in lower case, and its cause; the first that fits."""
_LASTING = frozenset(cause for _, cause in _CAUSES[:3])
"""What is no different a second later."""
_LONGEST, _LONGEST_WORD = 300, 80
"""Characters of what Log Service says, and of a name in it, that are shown."""


@dataclass(frozen=True, slots=True)
class Place:
    """What was asked, by the names that the configuration gives it."""

    endpoint: str
    project: str
    logstore: str
    identity: str = ""


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of this program
    """An answer of Log Service that is not 200, or no answer at all (`code` "LogRequestError", `status` 0)."""

    def __init__(self, code: str, message: str, status: int, request_id: str, headers: Mapping[str, str]) -> None:
        super().__init__(code, message)
        self.code, self.message, self.status = shortened(code), message, status
        self.request_id = shortened(request_id)
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a moment later."""
        if self.code == "LogRequestError" and self.status == 0:
            return _cause(self.message) not in _LASTING
        return self.status >= 500 or self.status == 429 or self.code in _AGAIN

    @property
    def missing_column(self) -> str | None:
        """Name the key that the index lacks, where that is why."""
        found = _COLUMN.search(self.message) or _NOT_INDEXED.search(self.message)
        return next((name for name in found.groups() if name), None) if found else None


def skew_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Tell how far `now` is ahead of the time of an answer with these headers, seconds; None where they have none."""
    sent = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return (now - parsedate_to_datetime(sent)).total_seconds()
    except (ValueError, TypeError):
        return None


def shortened(text: object, most: int = _LONGEST_WORD) -> str:
    """Give what another machine wrote as one line of at most so many characters."""
    line = " ".join(str(text)[: most * 10].split())
    return line if len(line) <= most else line[: most - 1] + "…"


class MissingFieldError(SourceError):
    """A statement names a key that the logstore's index lacks (`key`)."""

    def __init__(self, key: str, place: Place, request_id: str) -> None:
        super().__init__(
            "sls_field",
            f'the index of logstore "{place.logstore}" has no field "{shortened(key)}" with statistics switched on',
            "llmops collect init completes the index; fields in llmops.toml says where a key is called otherwise",
            request_id=request_id or None,
        )
        self.key = key


def explained(refusal: Refusal, place: Place) -> SourceError:
    """Turn an answer into one line that says which setting to mend."""
    if (key := refusal.missing_column) is not None:
        return MissingFieldError(key, place, refusal.request_id)
    code, message, hint = _said(refusal, place)
    return SourceError(code, message, hint, retryable=refusal.passes, request_id=refusal.request_id or None)


def _said(refusal: Refusal, place: Place) -> tuple[str, str, str]:
    text = shortened(refusal.message, _LONGEST)
    told = _of_place(refusal, place, text) or _of_identity(refusal, place, text)
    if told is not None:
        return told
    if refusal.code == "LogRequestError" and refusal.status == 0:
        return ("sls_unreachable", *_unreachable(refusal.message, place))
    if refusal.passes:
        return (
            "sls_unavailable",
            f"Log Service did not answer in time or not in full ({refusal.code}, {refusal.status}): {text}",
            "ask again, or for a shorter window",
        )
    return (
        "sls_refused",
        f"Log Service answers {refusal.code} ({refusal.status}): {text}",
        "llmops doctor checks every part",
    )


def _of_place(refusal: Refusal, place: Place, text: str) -> tuple[str, str, str] | None:
    """Name the setting that points to nothing."""
    if refusal.code in ("ProjectNotExist", "ProjectNotExists"):
        return (
            "sls_project",
            f'Log Service has no project "{place.project}" at {place.endpoint}',
            "mend sls.project or sls.endpoint (its region) in llmops.toml, or run llmops collect init --create-project",
        )
    if refusal.code == "LogStoreNotExist":
        return (
            "sls_logstore",
            f'project "{place.project}" has no logstore "{place.logstore}"',
            "mend sls.logstore in llmops.toml, or run llmops collect init",
        )
    if refusal.code == "IndexConfigNotExist" or "without index" in text.lower():
        return (
            "sls_index",
            f'logstore "{place.logstore}" has no index: its logs cannot be queried',
            "llmops collect init creates it; lines written before stay invisible to SQL",
        )
    return None


def _of_identity(refusal: Refusal, place: Place, text: str) -> tuple[str, str, str] | None:
    """Say what is wrong with who asks."""
    who = place.identity or "the access key"
    if "security token" in text.lower() or "securitytoken" in refusal.code.lower().replace(".", ""):
        return (
            "credentials_expired",
            f"Log Service refuses the STS token of {who}: {text}",
            "renew the token and its key where they come from (ALIBABA_CLOUD_SECURITY_TOKEN), or sign in again",
        )
    if refusal.code == "RequestTimeExpired" or "time skew" in text.lower():
        return ("clock_skew", _skewed(refusal), "set this machine's clock (NTP): signatures hold for 15 minutes")
    if "denied by" in text.lower() or refusal.code in ("NoPermission", "Forbidden"):  # 401 as a rule, also 403
        named = _ACTION.search(text)
        action = shortened(named[1]) if named else "log:GetLogStoreLogs"
        return (
            "no_permission",
            f'{who} may not do this in project "{place.project}": {text}',
            f"grant the RAM action {action} on acs:log:*:*:project/{place.project}/*",
        )
    if refusal.code == "SignatureNotMatch":
        what = f"the secret is not that of {who}, or region in llmops.toml is not that of {place.endpoint}"
        hint = "set the secret that goes with this key (ALIBABA_CLOUD_ACCESS_KEY_SECRET, or aliyun configure); "
        hint += "if it is right, set region in llmops.toml to the endpoint's"
        return "credentials_refused", f"{what} (SignatureNotMatch)", hint
    if refusal.status in (401, 403) and not refusal.passes:
        return (
            "credentials_refused",
            f"Log Service refuses {who}: {text}",
            "llmops doctor shows which key is used and where it is from; requests are signed for region in llmops.toml",
        )
    return None


def _skewed(refusal: Refusal) -> str:
    skew = skew_s(refusal.headers, datetime.now(UTC))
    if skew is None or abs(skew) < 60:
        return "Log Service refuses the time of the request: this machine's clock is wrong"
    return f"this machine's clock is {abs(skew) / 60:.0f} min {'ahead of' if skew > 0 else 'behind'} Log Service's"


def _unreachable(text: str, place: Place) -> tuple[str, str]:
    """Reduce what requests says of a connection to its cause, with what to check."""
    address = place.endpoint.rpartition("://")[2]
    host = address.partition(":")[0]
    text = text.replace(f"{place.project}.{host}", "").replace(host, "")  # which may be called anything
    cause = _cause(text) or shortened(text, _LONGEST)
    if "proxy" in text.lower():
        hint = "check http_proxy, https_proxy and no_proxy, which name the proxy"
        return f"{place.endpoint} cannot be reached through the proxy: {cause}", hint
    hint = "check sls.endpoint in llmops.toml, the network and http_proxy"
    if cause == "it speaks no TLS":
        hint = f'without TLS it is sls.endpoint = "http://{address}" in llmops.toml'
    return f"{place.endpoint} cannot be reached: {cause}", hint


def _cause(text: str) -> str:
    """Name the cause of what requests says; empty where it is another."""
    said = text.lower()
    return next((cause for signs, cause in _CAUSES if any(sign in said for sign in signs)), "")
