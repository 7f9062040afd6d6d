"""Markdown's own characters: escaped in prose, fenced in code. Text that comes in was cleaned of control characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from llmops_cli.report import Report
from llmops_cli.views.heading import notes, parts
from llmops_cli.views.words import word

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~!&$])")
_LIST = re.compile(r"^(\s*)([-+]|\d+[.)])(?=\s|$)")
_RULE = re.compile(r"^(\s*)([-=]{2,}\s*)$")
_MENTION = re.compile(r"@(?=\w)")
_TICKS = re.compile(r"`+")


def escape(text: str) -> str:
    """Return prose with nothing that Markdown, HTML or a mention could act on.

    A mention is resolved after Markdown is, so that a backslash does not stop it: its @ becomes the full-width ＠.
    """
    text = _ACTIVE.sub(r"\\\1", " ".join(text.split()))
    text = _RULE.sub(r"\1\\\2", _LIST.sub(lambda m: f"{m[1]}{m[2][:-1]}\\{m[2][-1]}", text))
    return _MENTION.sub("＠", text)


def code(text: str, *, cell: bool = False) -> str:
    """Return text as a code span that it cannot end; empty stays empty. In a table `cell` pipes are escaped."""
    if not text:
        return ""
    text = text.replace("\n", " ").replace("\t", " ")
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    room = " " if text[0] in "` " or text[-1] in "` " else ""
    span = f"{fence}{room}{text}{room}{fence}"
    return span.replace("|", "\\|") if cell else span


class Draft:
    """Markdown blocks, one blank line apart."""

    def __init__(self, lang: str = "en") -> None:
        self.lang = lang
        self.blocks: list[str] = []

    def word(self, id: str, **values: str | float | None) -> str:  # noqa: A002 - as in `Message`
        """Return a label or a phrase in the draft's language, as Markdown that means nothing but itself."""
        return escape(word(id, self.lang, **values))

    def paragraph(self, text: str) -> None:
        """Add a paragraph of Markdown; nothing when it is empty."""
        if text:
            self.blocks.append(text)

    def bullets(self, items: Iterable[str]) -> None:
        """Add a list of Markdown lines."""
        self.paragraph("\n".join(f"- {item}" for item in items if item))

    def fenced(self, lines: Sequence[str], language: str = "") -> None:
        """Add a code block that its content cannot end; nothing when there are no lines."""
        if not lines:
            return
        body = "\n".join(lines)
        fence = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(body)), default=0))
        self.blocks.append(f"{fence}{language}\n{body}\n{fence}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
        """Add a table whose first `left` columns stand left and all others right; nothing without rows.

        `columns` are names of columns as in tables for a terminal; one without a name has no title, and one without
        any value is left out.
        """
        if not rows:
            return
        filled = [number for number in range(len(columns)) if any(row[number] for row in rows)]
        titles = [self.word(f"column.{columns[number]}") if columns[number] else "" for number in filled]
        sides = ["---" if number < left else "---:" for number in filled]
        lines = [titles, sides, *([row[number] for number in filled] for row in rows)]
        self.blocks.append("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def heading(self, report: Report) -> None:
        """Add the window line and the notes; doubts stand out."""
        pieces = [f"**{escape(text)}**" if doubt else escape(text) for text, doubt in parts(report, self.lang)]
        self.paragraph(" · ".join(pieces))
        self.bullets(escape(note) for note in notes(report, self.lang))

    def text(self) -> str:
        """Return the whole document."""
        return "\n\n".join(self.blocks) + "\n"
