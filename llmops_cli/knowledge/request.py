"""The expansion request: the text an engineer pastes into a ticket to Alibaba Cloud when a limit is too small.

There is no official form. What is asked for is the UID, the model and the business impact, and what support
needs to act: region, workspace, limits, peaks, refusals, request ids. Source for who decides on what:
https://help.aliyun.com/zh/model-studio/quota-management.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from llmops_cli.knowledge.sentences import formatted, phrase

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
`failures` counts the calls refused by the limit, of `calls`; `peak_window` and `request_ids` may be lists."""

REQUIRED = ("uid", "region", "model", "workspace", "business_impact", "contact")
"""Fields that are marked in the text when they are empty, whether listed as missing or not."""

MAX_REQUEST_IDS = 10
"""Request ids printed; support needs samples, and ticket forms are short."""


def expansion_request(fields: Mapping[str, Any], missing: Sequence[str], lang: str = "en") -> str:
    """Return the request in `lang` ("zh" or "en"); the fields named in `missing` are marked where they belong.

    Values are cleaned of control and bidirectional characters and put on one line each: a ticket form keeps the text
    as it is, and log content cannot add lines to it.
    """
    lang = lang if lang in ("zh", "en") else "en"
    request = _Request(fields, frozenset(missing), lang)
    ids = request.items("request_ids")
    values = {name: request.text(name) for name in (*REQUIRED, "limit_source", "reason", "window")}
    values["peak_window"] = request.joined("peak_window")
    for name in ("current", "wanted", "peak"):
        values[name] = request.per_minute(f"{name}_rpm", f"{name}_tpm")
    text = _template(lang).render(
        values,
        refused=request.refused(),
        request_ids=ids[:MAX_REQUEST_IDS] or [request.marker("request_ids")],
        more_ids=max(0, len(ids) - MAX_REQUEST_IDS),
    )
    return text.strip() + "\n"


class _Request:
    """The fields as text: cleaned, formatted, and marked where something is missing."""

    def __init__(self, fields: Mapping[str, Any], missing: frozenset[str], lang: str) -> None:
        self._fields = fields
        self._missing = missing
        self._lang = lang

    def marker(self, name: str) -> str:
        label = phrase(f"request.label.{name}", self._lang) or name
        return f"【待补充: {label}】" if self._lang == "zh" else f"[TO FILL IN: {label}]"

    def text(self, name: str, form: str = "") -> str:
        """One value; its marker when it is missing or required and empty; "" when it may be left out."""
        value = self._fields.get(name)
        shown = "" if value is None else clean(formatted(value if isinstance(value, int | float) else str(value), form))
        if name in self._missing or (not shown and name in REQUIRED):
            return self.marker(name)
        return shown

    def items(self, name: str) -> list[str]:
        value = self._fields.get(name) or ()
        several: Iterable[Any] = (value,) if isinstance(value, str) else value
        return [shown for item in several if (shown := clean(str(item)))]

    def joined(self, name: str) -> str:
        return self.marker(name) if name in self._missing else ", ".join(self.items(name))

    def per_minute(self, rpm: str, tpm: str) -> str:
        """Return "RPM 1,200, TPM 1,000,000"; a half without a number is left out unless it is marked as missing."""
        halves = [f"{name} {text}" for name, key in (("RPM", rpm), ("TPM", tpm)) if (text := self.text(key, "count"))]
        return ", ".join(halves) or " / ".join(self.marker(key) for key in (rpm, tpm))

    def refused(self) -> str:
        failures, calls = self.text("failures", "count"), self.text("calls", "count")
        rate = self.text("failure_rate", "percent")
        if not failures:
            return ""
        of = f"{failures} / {calls}" if calls else failures
        if not rate:
            return of
        return f"{of}（{rate}）" if self._lang == "zh" else f"{of} ({rate})"


def clean(value: str) -> str:
    """Return `value` on one line, without control, format (bidirectional) or separator characters and outer blanks."""
    spaced = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in value)
    return " ".join("".join(c for c in spaced if unicodedata.category(c) not in ("Cf", "Cs")).split())


@cache
def _template(lang: str) -> Template:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - heavy, and only `recover expand` needs it

    text = resources.files(__package__).joinpath("templates", f"expand.{lang}.txt.j2").read_text(encoding="utf-8")
    plain = Environment(
        autoescape=False,  # noqa: S701 - the result is plain text for a ticket, never a page
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return plain.from_string(text)
