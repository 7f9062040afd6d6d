"""What an engineer pastes into a ticket to Alibaba Cloud: the request for a higher limit, and the report of a fault.

There is no official form. What is asked for is the UID, the model and the business impact, and what support
needs to act: region, workspace, figures, error, request ids. Source for who decides on limits:
https://help.aliyun.com/zh/model-studio/quota-management. The texts stand in `templates/`, one for each language.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from llmops_cli.evidence import Message
from llmops_cli.knowledge.sentences import formatted, listed, phrase, sentence

if TYPE_CHECKING:
    from jinja2 import Template

FIELDS = (
    "uid",
    "region",
    "model",
    "workspace",
    "current_rpm",
    "current_tpm",
    "limit_source",
    "wanted_rpm",
    "wanted_tpm",
    "expected_growth",
    "reason",
    "window",
    "peak_rpm",
    "peak_tpm",
    "peak_window",
    "failures",
    "calls",
    "failure_rate",
    "request_ids",
    "business_impact",
    "contact",
)
"""Fields of a request, in the order of its text. Limits and peaks are per minute; `failure_rate` is 0..1;
`failures` counts the calls refused by the limit, of `calls`; `peak_window` and `request_ids` may be lists.
`expected_growth` is the sender's to say, where the log shows no need of a higher limit: what it shows of the present
one is then no wish."""

REQUIRED = ("uid", "region", "model", "workspace", "business_impact", "contact")
"""Fields that are marked in the text when they are empty, whether listed as missing or not."""

TICKET_FIELDS = (
    "uid",
    "region",
    "model",
    "workspace",
    "incident",
    "problem",
    "started",
    "window",
    "calls",
    "failures",
    "failure_rate",
    "before_failure_rate",
    "slow",
    "slow_rate",
    "p95_ms",
    "before_p95_ms",
    "status_code",
    "error_code",
    "error_message",
    "errors",
    "request_ids",
    "ruled_out",
    "business_impact",
    "contact",
)
"""Fields of a ticket, in the order of its text. `incident` is its type, `problem` one sentence; `failures` of `calls`
are those of its kind, `slow` ones took longer than their model's p95 before. Rates are 0..1, latencies ms. `errors`,
`request_ids` and `ruled_out` are lists of text, `errors` with the number of calls."""

TICKET_REQUIRED = ("uid", "region", "model", "workspace", "problem", "business_impact", "contact")
"""Likewise, of a ticket."""

MAX_REQUEST_IDS = 10
"""Request ids printed; support needs samples, and ticket forms are short."""


def expansion_request(fields: Mapping[str, Any], missing: Sequence[str], lang: str = "en") -> str:
    """Return the request for a higher limit in `lang`; the fields named in `missing` are marked where they belong.

    Values are cleaned of control and bidirectional characters and put on one line each: a ticket form keeps the text
    as it is, and log content cannot add lines to it.
    """
    letter = _Letter(fields, missing, REQUIRED, lang)
    values = {name: letter.text(name) for name in (*REQUIRED, "reason", "window")}
    for name in ("current", "wanted", "peak"):
        values[name] = letter.per_minute(f"{name}_rpm", f"{name}_tpm")
    refused = letter.share_of("failures", "failure_rate")
    return letter.written(
        "expand",
        values,
        refused=refused,
        failures=fields.get("failures"),
        level="" if (level := level_of(fields)) is None else formatted(level, "percent", lang),
        growth=letter.text("expected_growth"),
        limit_source=letter.text("limit_source", "source"),
        peak_window=letter.joined("peak_window"),
    )


def level_of(fields: Mapping[str, Any]) -> float | None:
    """Return the share of the limit that the busiest minute used, the larger of the two; None where none is known."""
    pairs = ((fields.get(f"peak_{half}"), fields.get(f"current_{half}")) for half in ("rpm", "tpm"))
    known = ((peak, limit) for peak, limit in pairs if isinstance(peak, int | float) and isinstance(limit, int | float))
    return max((peak / limit for peak, limit in known if peak and limit), default=None)


def ticket(fields: Mapping[str, Any], missing: Sequence[str], lang: str = "en") -> str:
    """Return the report of a fault in `lang`, on the same terms as `expansion_request`."""
    letter = _Letter(fields, missing, TICKET_REQUIRED, lang)
    values = {name: letter.text(name) for name in (*TICKET_REQUIRED, "started", "window", "error_message")}
    values["calls"] = letter.text("calls", "count")
    values["before_failure_rate"] = letter.text("before_failure_rate", "percent")
    # Both in one unit: 10.2 s beside 2,432 ms is hard to compare.
    latencies = {name: fields.get(name) for name in ("p95_ms", "before_p95_ms")}
    long = any(isinstance(ms, int | float) and ms >= 10_000 for ms in latencies.values())
    values |= {name: letter.text(name, "seconds" if long else "duration") for name in latencies}
    failed, slow = letter.share_of("failures", "failure_rate"), letter.share_of("slow", "slow_rate")
    lists = {name: letter.items(name) for name in ("errors", "ruled_out")}
    return letter.written("ticket", values, failed=failed, slow=slow, **lists)


class _Letter:
    """The fields as text: cleaned, formatted, and marked where something is missing."""

    def __init__(self, fields: Mapping[str, Any], missing: Iterable[str], required: Iterable[str], lang: str) -> None:
        self._fields = fields
        self._missing = frozenset(missing)
        self._required = frozenset(required)
        self._lang = lang if _template_file("expand", lang).is_file() else "en"

    def marker(self, name: str) -> str:
        label = phrase(f"request.label.{name}", self._lang) or name
        return sentence(Message("request.to_fill_in", {"label": label}), self._lang)

    def text(self, name: str, form: str = "") -> str:
        """One value; its marker when it is missing or required and empty; "" when it may be left out."""
        value = self._fields.get(name)
        plain = value if value is None or isinstance(value, int | float) else str(value)
        shown = "" if plain is None else clean(formatted(plain, form, self._lang))
        if name in self._missing or (not shown and name in self._required):
            return self.marker(name)
        return shown

    def items(self, name: str) -> list[str]:
        value = self._fields.get(name) or ()
        several: Iterable[Any] = (value,) if isinstance(value, str) else value
        return [shown for item in several if (shown := clean(str(item)))]

    def joined(self, name: str) -> str:
        return self.marker(name) if name in self._missing else listed(self.items(name), self._lang)

    def per_minute(self, rpm: str, tpm: str) -> str:
        """Return "RPM 1,200, TPM 1,000,000"; a half without a number is left out unless it is marked as missing."""
        halves = [f"{name} {text}" for name, key in (("RPM", rpm), ("TPM", tpm)) if (text := self.text(key, "count"))]
        return listed(halves, self._lang) or " / ".join(self.marker(key) for key in (rpm, tpm))

    def share_of(self, part: str, rate: str) -> str:
        """Return "412 / 1,394 (29.6 %)" of the calls; empty where there is none."""
        number, calls, share = self.text(part, "count"), self.text("calls", "count"), self.text(rate, "percent")
        values = {"part": number, "calls": calls or None, "rate": share or None}
        return sentence(Message("request.share", values), self._lang) if number else ""

    def written(self, name: str, values: Mapping[str, str], **more: Any) -> str:
        ids = self.items("request_ids")
        text = _template(name, self._lang).render(
            values,
            request_ids=ids[:MAX_REQUEST_IDS] or ([self.marker("request_ids")] if self._wants_ids(name) else []),
            more_ids=max(0, len(ids) - MAX_REQUEST_IDS),
            **more,
        )
        return text.strip() + "\n"

    def _wants_ids(self, name: str) -> bool:
        """Whether request ids belong in the letter: only where single calls show what is wrong."""
        return "request_ids" in self._missing or (name == "expand" and self._fields.get("failures") != 0)


def clean(value: str) -> str:
    """Return `value` on one line, without control, format (bidirectional) or separator characters and outer blanks."""
    spaced = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in value)
    return " ".join("".join(c for c in spaced if unicodedata.category(c) not in ("Cf", "Cs")).split())


def _template_file(name: str, lang: str) -> Traversable:
    return resources.files(__package__).joinpath("templates", f"{name}.{lang}.txt.j2")


@cache
def _template(name: str, lang: str) -> Template:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - heavy, and only a letter needs it

    plain = Environment(
        autoescape=False,  # noqa: S701 - the result is plain text for a ticket, never a page
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return plain.from_string(_template_file(name, lang).read_text(encoding="utf-8"))
