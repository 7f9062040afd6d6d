"""The runbooks: one Markdown file per incident type, with front matter.

They lie in `runbooks/` of a checkout and are shipped as `llmops_cli/runbooks/` inside the wheel. Another language has
its files in a folder of its name; a runbook that is not there is shown in English.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from llmops_cli.errors import UsageError
from llmops_cli.knowledge.sentences import LANGUAGES

SECTIONS = ("Symptoms", "Checks", "Actions", "Rollback", "Verification", "Escalation")
"""The sections of every runbook, in this order."""


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook. `text` is its Markdown without the front matter; `reviewed` is the date (ISO 8601) of that text.

    `families` are the error families that lead here; `codes` the error codes most often seen (not all of them).
    """

    type: str
    title: str
    severity: str
    text: str
    families: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    reviewed: str = ""
    lang: str = "en"


def runbook(type: str, lang: str = "en") -> Runbook:  # noqa: A002 - the incident's own word for it, in every output
    """Return the runbook of an incident type, in `lang` where it is written in that.

    Raises UsageError, with the nearest names, when there is none.
    """
    files = _files()
    if type not in files:
        near = difflib.get_close_matches(type, files, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(files)}"
        raise UsageError("unknown_runbook", f"there is no runbook {type[:80]!r}", hint)
    if lang != "en" and lang in LANGUAGES and (other := _folder().joinpath(lang, f"{type}.md")).is_file():
        return _parse(type, other.read_text(encoding="utf-8"), lang)
    return _parse(type, files[type].read_text(encoding="utf-8"))


def runbook_names() -> tuple[str, ...]:
    """Return the incident types that have a runbook, sorted."""
    return tuple(_files())


@cache
def _files() -> Mapping[str, Traversable]:
    folder = _folder()
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".md") and file.name != "README.md")
    return {name.removesuffix(".md"): folder.joinpath(name) for name in names}


def _folder() -> Traversable:
    shipped = resources.files("llmops_cli").joinpath("runbooks")
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "runbooks"


def _parse(name: str, text: str, lang: str = "en") -> Runbook:
    """Split the front matter from the text: `key: value` lines, lists as `[a, b]`. It is not YAML, and needs none."""
    head, _, body = text.removeprefix("---\n").partition("\n---\n")
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in head.splitlines())}
    return Runbook(
        type=values.get("type", name),
        title=values.get("title", name),
        severity=values.get("severity", "warning"),
        text=body.strip() + "\n",
        families=_list(values.get("families", "")),
        codes=_list(values.get("codes", "")),
        reviewed=values.get("reviewed", ""),
        lang=lang,
    )


def _list(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.strip("[]").split(",") if item.strip())
