"""The page that tables are drawn on: lines of `Text`, wrapped at words on a terminal and never on a pipe.

Rich's own tables and wrapping would break ids and commands; here every line is laid out by cell width, and what must
stay whole (commands, ids) stays whole even when it is wider than the terminal.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from llmops_cli.report import Report
from llmops_cli.views.heading import notes, parts
from llmops_cli.views.words import word

STYLES = {"critical": "bold red", "warning": "yellow", "ok": "green", "unknown": "magenta"}
"""Colour is a second channel: each of these words is printed as well."""

LONGEST_ID = 64
"""Cells. A longer run without a blank is no id and may be broken."""

_WIDE = r"\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\U00020000-\U0003fffd"
_OPENING, _CLOSING = "（【「《“", "，。；：、？！）】」》”…"
_WORDS = re.compile(rf"[{_OPENING}]*(?:[{_WIDE}]|[^\s{_WIDE}]+)[{_CLOSING}]*|\s+")
"""What a row may be broken between: words, and wide characters; no row begins with a comma or ends with a bracket."""
_JOINER = "\ue000"  # a private character that stands for a blank where a row must not end
_UNITS = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|d|k|M|G)(?:\W|$))")

Piece = str | tuple[str, str]
"""Text, or text and its style."""


class Page:
    """Lines under construction. `width` counts cells; without `terminal` nothing is cut, dropped or wrapped.

    `part` of a watch that is asked for: "all", what is new ("step"), or the "end".
    """

    def __init__(self, *, width: int, terminal: bool, lang: str = "en", part: str = "all") -> None:
        self.width = max(width, 40 if terminal else 80)
        self.terminal = terminal
        self.lang = lang
        self.part = part
        self.lines: list[Text] = []

    def word(self, id: str, **values: str | float | None) -> str:  # noqa: A002 - as in `Message`
        """Return a label or a phrase in the page's language."""
        return word(id, self.lang, **values)

    def line(self, *pieces: Piece) -> None:
        """Add one line as it is, however wide."""
        text = Text()
        for piece in pieces:
            text.append(*((piece,) if isinstance(piece, str) else piece))
        text.rstrip()
        self.lines.append(text)

    def blank(self) -> None:
        """Add one empty line, never two in a row and none at the top."""
        if self.lines and self.lines[-1].plain:
            self.lines.append(Text())

    def prose(self, text: str, *, label: Piece = "", indent: int = 0, hang: int | None = None, style: str = "") -> None:
        """Add a sentence behind a label, wrapped under itself: `hang` is where its text begins (default: `indent`)."""
        start = indent if hang is None else hang
        name, look = (label, "") if isinstance(label, str) else label
        head = " " * indent + name
        head += " " * max(start - cell_len(head), 2 if name and not name.endswith(" ") else 0)
        rows = wrapped(text, self.width - start) if self.terminal else [text]
        for number, row in enumerate(rows):
            self.line((head, look) if number == 0 else " " * start, (row, style))

    def remark(self, text: str) -> None:
        """Add a comment, as in a shell or TOML."""
        for row in wrapped(text, self.width - 2) if self.terminal else [text]:
            self.line((f"# {row}", "dim"))

    def flow(self, items: Iterable[tuple[str, str]], *, separator: str = " · ", indent: int = 0) -> None:
        """Add items on as few lines as the terminal allows, broken between items first, within them if need be."""
        row: list[Piece] = []
        used = 0
        for text, style in items:
            size = cell_len(text)
            if row and self.terminal and used + cell_len(separator) + size > self.width:
                self.line(*row)
                row, used = [], 0
            if not row and self.terminal and indent + size > self.width:
                self.prose(text, indent=indent, style=style)
                continue
            row += [separator if row else " " * indent, (text, style)]
            used += size + (cell_len(separator) if used else indent)
        if row:
            self.line(*row)

    def commands(self, commands: Sequence[str], *, label: str = "next", indent: int = 0, hang: int = 8) -> None:
        """Add commands to paste, one line each, never broken; `label` is the id of one."""
        name = self.word(f"label.{label}")
        for number, command in enumerate(commands):
            head = " " * indent + (name if number == 0 else "")
            self.line((padded(head, hang), "dim"), (command, "cyan"))

    def heading(self, report: Report) -> None:
        """Add the window line and the notes."""
        self.flow((text, "yellow" if doubt else "dim") for text, doubt in parts(report, self.lang))
        self.notes(notes(report, self.lang))

    def notes(self, texts: Iterable[str], label: str = "note", style: str = "yellow") -> None:
        """Add remarks, each behind its label."""
        for text in texts:
            self.prose(text, label=(self.word(f"label.{label}"), style), hang=6)

    def text(self, *, color: bool) -> str:
        """Return the whole page; without `color` not one escape sequence."""
        out = io.StringIO()
        console = Console(
            file=out,
            width=1_000_000,
            color_system="standard" if color else None,
            force_terminal=color,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
            _environ={},
        )
        for line in self.lines:
            console.print(line, soft_wrap=True)
        return out.getvalue()


def wrapped(text: str, width: int) -> list[str]:
    """`text` in rows of at most `width` cells, broken at blanks and between wide characters.

    A number keeps its unit, an id stays whole even when it is wider; only longer runs than any id are broken.
    """
    rows: list[str] = []
    row, used = "", 0
    for part in _WORDS.findall(_UNITS.sub(_JOINER, text)):
        for piece in _folded(part, width):
            size = cell_len(piece)
            if used + size > width and row.strip():
                rows.append(row.rstrip())
                row, used = "", 0
            if row or not piece.isspace():
                row, used = row + piece, used + size
    rows.append(row.rstrip())
    return [row.replace(_JOINER, " ") for row in rows]


def _folded(word: str, width: int) -> list[str]:
    if cell_len(word) <= max(width, LONGEST_ID):
        return [word]
    pieces, piece = [], ""
    for char in word:
        if piece and cell_len(piece + char) > width:
            pieces.append(piece)
            piece = ""
        piece += char
    return [*pieces, piece]


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` cells, with `…` where something is missing."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) > width - 1:
        text = text[: max(0, len(text) - max(1, (cell_len(text) - width + 1) // 2))]
    return text + "…"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """`text` filled up to `width` cells."""
    room = " " * max(0, width - cell_len(text))
    return room + text if right else text + room
