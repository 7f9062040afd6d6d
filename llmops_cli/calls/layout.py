"""A Logback layout taken apart: the text of a pattern becomes literals, fields and padding.

Grammar: https://logback.qos.ch/manual/layouts.html#conversionWord, read as Logback 1.2 to 1.5 read it, with two
kindnesses: `%%` is a per cent sign, as in Log4j, and `%word()` after a conversion word is taken as it is meant.
(Logback takes it for a group of the unknown name `word` and prints `%PARSER_ERROR[word]`; both are read.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal as OneOf

from llmops_cli.calls.timeformat import TimeFormat, compile_time, zone_named
from llmops_cli.calls.timeletters import TimeFormatError

Kind = OneOf["time", "level", "number", "token", "text", "trace", "message", "newline", "nothing"]
"""What a field's text may be: `token` has no blank, `text` is anything up to the literal behind it."""


class PatternError(ValueError):
    """A pattern that cannot be read back; the message is one line: what, at which column (from 1), how to mend."""


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that stand in every line."""

    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """One conversion. `parens`: `()` belongs to it, printed or replaced by Logback's `%PARSER_ERROR[word]`."""

    word: str
    kind: Kind
    column: int
    key: str = ""
    time: TimeFormat | None = None
    parens: bool = False


@dataclass(frozen=True, slots=True)
class Blanks:
    """Padding: any number of blanks, but at least one when `some`; ANSI colours among them when `coloured`."""

    some: bool = False
    coloured: bool = False


Atom = Text | Field | Blanks

_KINDS: tuple[tuple[str, Kind, str], ...] = (
    ("time", "time", "d date"),
    ("level", "level", "p le level"),
    ("mdc", "trace", "X mdc"),
    ("tid", "trace", "tid"),  # SkyWalking's Logback toolkit
    ("logger", "token", "c lo logger"),
    ("class", "token", "C class"),
    ("method", "token", "M method"),
    ("file", "token", "F file"),
    ("line", "number", "L line"),
    ("number", "number", "r relative sn lsn sequenceNumber localSequenceNumber"),
    ("thread", "text", "t thread"),
    ("text", "text", "marker cn contextName property kvp"),
    ("message", "message", "m msg message"),
    ("newline", "newline", "n"),
    ("nothing", "nothing", "ex exception throwable xEx xException xThrowable rEx rootException"),
    ("nothing", "nothing", "nopex nopexception wEx wex"),
)
WORDS = {alias: (word, kind) for word, kind, aliases in _KINDS for alias in aliases.split()}
"""Conversion word -> (what it is, what its text may be). Stack traces follow the header line and are not part of it."""

_COLOURS = frozenset(
    {"highlight", "clr", "gray"}
    | {"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"}
    | {"bold" + colour for colour in ("Red", "Green", "Yellow", "Blue", "Magenta", "Cyan", "White")}
)
_MODIFIER = re.compile(r"-?[0-9]*(?:\.-?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_PROPERTY = re.compile(r"\$\{([^{}:]*)(?::-([^{}]*))?\}")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "_": ""}


def take_apart(pattern: str) -> list[Atom]:
    """Split a pattern into atoms, neighbouring texts joined; raises `PatternError`."""
    reader = _Reader(_with_properties(pattern))
    atoms = reader.read()
    return _join(atoms)


def _with_properties(pattern: str) -> str:
    """`${NAME:-default}` as Logback substitutes it where the property is not set.

    Spring Boot's own patterns are full of them. Its `${PID}` is the exception: it is always set, to a number.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] == "PID":
            return "%sn"
        if match[2] is None:
            raise PatternError(
                f"column {match.start() + 1}: ${{{match[1]}}} has no value here; write its value instead of its name"
            )
        return match[2]

    while _PROPERTY.search(pattern):  # defaults may hold properties: the innermost first
        pattern = _PROPERTY.sub(value, pattern)
    return pattern


def _join(atoms: list[Atom]) -> list[Atom]:
    joined: list[Atom] = []
    for atom in atoms:
        last = joined[-1] if joined else None
        if isinstance(atom, Text) and isinstance(last, Text):
            joined[-1] = Text(last.text + atom.text)
        elif not (isinstance(atom, Text) and not atom.text):
            joined.append(atom)
    return list(_with_blanks(_with_parens(joined)))


def _with_blanks(atoms: list[Atom]) -> Iterator[Atom]:
    """Gather each run of padding, colours and blanks in one atom: a run has one reading."""
    gap: Blanks | None = None
    for piece in _pieces(atoms):
        if isinstance(piece, Blanks):
            gap = Blanks(piece.some or (gap or piece).some, piece.coloured or (gap or piece).coloured)
            continue
        if gap:
            yield gap
        gap = None
        yield piece
    if gap:
        yield gap


def _pieces(atoms: list[Atom]) -> Iterator[Atom]:
    """Cut the blanks off a text where it touches padding."""
    for before, atom, after in zip([None, *atoms], atoms, [*atoms[1:], None], strict=False):
        if not isinstance(atom, Text):
            yield atom
            continue
        text = atom.text.lstrip(" ") if isinstance(before, Blanks) else atom.text
        if text != atom.text:
            yield Blanks(some=True)
        core = text.rstrip(" ") if isinstance(after, Blanks) else text
        if core:
            yield Text(core)
        if core != text:
            yield Blanks(some=True)


def _with_parens(atoms: list[Atom]) -> list[Atom]:
    r"""Make `%method\(\)` one with its parentheses: it reads what `%method()` prints, and the other way round."""
    for at, (atom, after) in enumerate(pairwise(atoms)):
        if isinstance(atom, Field) and atom.word == "method" and isinstance(after, Text) and after.text[:2] == "()":
            atoms[at] = Field(atom.word, atom.kind, atom.column, atom.key, parens=True)
            atoms[at + 1] = Text(after.text[2:])
    return [atom for atom in atoms if atom != Text("")]


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def read(self, *, inside: bool = False) -> list[Atom]:
        """Atoms up to the end, or up to the `)` that closes a group."""
        atoms: list[Atom] = []
        opened = self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "%":
                atoms += self._conversion()
            elif char == ")" and inside:
                self.at += 1
                return atoms
            else:
                atoms.append(self._literal(char))
        if inside:
            raise PatternError(
                f"column {opened}: this group is not closed; add ), or write \\( for a plain parenthesis"
            )
        return atoms

    def _literal(self, char: str) -> Text:
        self.at += 1
        if char != "\\" or self.at == len(self.text):
            return Text(char)
        escaped = self.text[self.at]
        self.at += 1
        return Text(_ESCAPES.get(escaped, escaped))

    def _conversion(self) -> list[Atom]:
        column = self.at + 1
        if self.text.startswith("%%", self.at):
            self.at += 2
            return [Text("%")]
        modifier = self._match(_MODIFIER, self.at + 1)
        self.at += 1 + len(modifier)
        word = self._match(_WORD, self.at)
        self.at += len(word)
        if self.text.startswith("(", self.at):
            atoms = self._group(word, column)
        elif word:
            atoms = self._field(word, column)
        else:
            raise PatternError(f"column {column}: % without a conversion word; write %% for a per cent sign")
        return [Blanks(), *atoms, Blanks()] if modifier else atoms

    def _match(self, expression: re.Pattern[str], at: int) -> str:
        match = expression.match(self.text, at)
        return match[0] if match else ""

    def _field(self, word: str, column: int) -> list[Atom]:
        if word not in WORDS:
            raise _unknown(word, column)
        options = self._options()
        kind = WORDS[word][1]
        if kind == "time":
            return [Field("time", kind, column, time=_time(options, column))]
        if kind == "nothing":
            return []
        if kind == "newline":
            return [Field("newline", kind, column)]
        key = options.partition(":-")[0].strip()
        return [Field(WORDS[word][0], "text" if word in {"X", "mdc"} and not key else kind, column, key)]

    def _group(self, word: str, column: int) -> list[Atom]:
        self.at += 1
        inner = self.read(inside=True)
        if word in _COLOURS:
            self._options()
            return [Blanks(coloured=True), *inner, Blanks(coloured=True)]
        if word in WORDS and not inner:
            name, kind = WORDS[word]
            return [Field(name, kind, column, parens=True)]
        if word in WORDS:
            raise PatternError(f"column {column}: %{word} takes no group; write %{word}\\( for a plain parenthesis")
        if word:
            raise _unknown(word, column)
        return inner

    def _options(self) -> str:
        if not self.text.startswith("{", self.at):
            return ""
        end = self.text.find("}", self.at)
        if end < 0:
            raise PatternError(f"column {self.at + 1}: this {{ is not closed; add }}")
        options = self.text[self.at + 1 : end]
        self.at = end + 1
        return options


def _unknown(word: str, column: int) -> PatternError:
    if word == "replace":
        return PatternError(f"column {column}: %replace cannot be read back; write what stands inside its parentheses")
    return PatternError(
        f"column {column}: unknown conversion %{word}; write %property{{{word}}} where the log holds any text there"
    )


def _time(options: str, column: int) -> TimeFormat:
    """`%d{format, zone}`. A comma ends the format unless it is quoted; one before SSS is meant as part of it."""
    text = options.strip()
    zone: str | None = None
    if text[:1] in {'"', "'"} and text.find(text[0], 1) > 0:
        end = text.find(text[0], 1)
        java, rest = text[1:end], text[end + 1 :].lstrip(", ")
    else:
        java, rest = text, ""
        head, comma, tail = text.partition(",")
        if comma and (zone_named(tail.split(",")[0].strip()) or not re.match(r"[\sS']*S", tail)):
            java, rest = head, tail
    if rest:
        zone = rest.split(",")[0].strip().strip("\"'") or None
    try:
        return compile_time(java.strip(), zone)
    except TimeFormatError as problem:
        raise PatternError(f"column {column}: {problem}") from None
