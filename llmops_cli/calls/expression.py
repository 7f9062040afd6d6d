"""Atoms of a layout written as a regular expression and as an SQL LIKE pattern.

A field reaches up to the literal that follows it: it never holds the first two characters of that literal (its only
character, when it has one). So every line has one reading at most, and a hostile one costs no more than its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llmops_cli.calls.layout import Atom, Blanks, Field, Text
from llmops_cli.calls.timeformat import TimeFormat
from llmops_cli.calls.timeletters import quote, quote_like

NEAR = 256
"""Most characters of a field behind the message."""

GroupStyle = Literal["named", "plain", "none"]
_TRACE_KEY = "[a-z0-9_.-]*trace[_-]?id|tid|ptxid|x[_-]?request[_-]?id|request[_-]?id"
_PAIRS = 32
_ANSI = r"\x1b\[[0-9;]*m"


def whole_line(head: Sequence[Atom], tail: Sequence[Atom], *, style: GroupStyle) -> str:
    """Write the header, the message and what may follow it."""
    before = sequence(head, style=style)
    if not tail:
        return before + _group("message", ".*", style)
    return f"{before}{_group('message', '.*?', style)}{_behind(tail, style)}\\r?\\Z"


def whole_event(head: Sequence[Atom], tail: Sequence[Atom]) -> str:
    """Write the same for an event of several lines that has to match from end to end, with plain groups."""
    before = sequence(head, style="plain")
    return f"{before}([\\s\\S]*?){_behind(tail, 'plain')}[ \\t\\r\\n]*" if tail else f"{before}([\\s\\S]*)"


def _behind(tail: Sequence[Atom], style: GroupStyle) -> str:
    # Optional: the message of several lines has its tail on the last one. The message is tried at each of its ends, so
    # that the tail may not scan far from any of them.
    short = [Text(" ") if isinstance(atom, Blanks) and atom.some and not atom.coloured else atom for atom in tail]
    return f"(?:{sequence(short, style=style, near=True)}[ \\t]*)?"


def _group(name: str, value: str, style: GroupStyle) -> str:
    opening = {"named": f"(?P<{name}>", "plain": "(", "none": "(?:"}[style]
    return f"{opening}{value})"


def sequence(atoms: Sequence[Atom], *, style: GroupStyle, near: bool = False) -> str:
    """Write atoms as a regular expression. `near`: no field may be long, since many starts are tried."""
    never = "\x1b" if any(isinstance(atom, Blanks) and atom.coloured for atom in atoms) else ""
    places = [_place(atoms, at, never, near=near) for at in range(len(atoms))]
    expression = ""
    for at, atom in enumerate(atoms):
        match atom:
            case Text(text):
                expression += quote(text)
            case Blanks():
                before = at > 0 and _spreads(atoms[at - 1], places[at - 1])
                after = at + 1 < len(atoms) and _spreads(atoms[at + 1], places[at + 1])
                expression += _blanks(atom, before=before, after=after)
            case Field():
                expression += _field(atom, places[at], style)
    return expression


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a field stands: the literal behind it, characters it never holds, whether padding is on both sides."""

    stop: str
    never: str
    padded: bool
    near: bool


def _place(atoms: Sequence[Atom], at: int, never: str, *, near: bool) -> _Place:
    stop = ""
    for atom in atoms[at + 1 :]:
        if isinstance(atom, Field):
            break
        stop += atom.text if isinstance(atom, Text) else " " if atom.some else ""
    around = (*atoms[at - 1 : at], *atoms[at + 1 : at + 2])
    padded = len(around) == 2 and all(isinstance(atom, Blanks) for atom in around)
    return _Place(stop, never, padded, near)


def _spreads(atom: Atom, place: _Place) -> bool:
    """Tell whether an atom is a field that may hold blanks."""
    if not isinstance(atom, Field):
        return False
    if atom.kind == "token":
        return place.padded and place.stop[:1] not in {"", " "}
    return atom.kind in {"text", "trace"} and place.stop.strip(" ") != ""


def _blanks(gap: Blanks, *, before: bool, after: bool) -> str:
    """Write padding. A field that may hold blanks takes those next to it: a run shared out in two ways is slow."""
    if after:
        return f"(?: *{_ANSI})*" if gap.coloured else " " if gap.some else ""
    if before and not gap.some:
        return f"(?:{_ANSI})*" if gap.coloured else ""
    if gap.coloured:
        return f"(?:{_ANSI})* (?:{_ANSI}| )*" if gap.some else f"(?:{_ANSI}| )*"
    return " +" if gap.some else " *"


def _field(atom: Field, place: _Place, style: GroupStyle) -> str:
    if atom.parens:
        place = replace(place, stop="()")
    value = _value(atom, place)
    if atom.word == "trace_id" and atom.kind == "text":
        value = _trace_among_pairs(value, place, style)
    elif atom.word:
        value = _group(atom.word, value, style)
    if atom.key == "tid":
        value = f"(?:TID: ?)?{value}"
    return f"(?:%PARSER_ERROR\\[[a-zA-Z]+\\]|{value}\\(\\))" if atom.parens else value


def _value(atom: Field, place: _Place) -> str:
    match atom.kind:
        case "time":
            return atom.time.regex if atom.time else ""
        case "level":
            return "[A-Za-z]+"
        case "number":
            return "(?:-?[0-9]+|\\?)"
    if place.near:
        return f"[^{_set(place.never + (place.stop[:1] or ' '))}]{{0,{NEAR}}}"
    spreads = _spreads(atom, place)
    value = _until(place.stop, place.never if spreads or atom.kind != "token" else place.never + " ")
    # Were it empty, the padding before it and behind it could share out their blanks in every way.
    return value.removesuffix("*") + "+" if place.padded and not spreads else value


def _trace_among_pairs(other: str, place: _Place, style: GroupStyle) -> str:
    """Find the trace id in what `%X` prints without a key: `key=value, key=value` in any order."""
    never = _set(place.never + (place.stop[:1] or " "))
    found = _group("trace_id", f"[^,{never}]*", style)
    return f"(?:(?:[^,{never}]*, ){{0,{_PAIRS}}}?(?i:{_TRACE_KEY})={found}(?:,[^{never}]*)?|{other})"


def _until(stop: str, never: str) -> str:
    """Match any text without the first two characters of `stop` in a row, nor any character of `never`."""
    first, second = stop[:1], stop[1:2]
    other = f"[^{_set(never + (first or ' '))}]*"
    if not second or first in never:
        return other
    if first == second:
        return f"{other}(?:{quote(first)}[^{_set(never + first)}]{other})*"
    value = f"{other}(?:{quote(first)}+[^{_set(never + first + second)}]{other})*"
    # Blanks at the end are left to the literal.
    return value if first == " " else f"{value}{quote(first)}*"


def _set(chars: str) -> str:
    """Write the inside of a negated character class."""
    return "".join(f"\\{char}" if char in "\\]^-[" else char for char in dict.fromkeys(chars))


def like_pattern(head: Sequence[Atom]) -> str:
    """Write a LIKE pattern that every line with this header matches."""
    like = ""
    for atom in head:
        match atom:
            case Text(text):
                like += quote_like(text)
            case Field(time=TimeFormat() as time):
                like += time.like
            case Blanks(some=True, coloured=False):
                like += "% "
            case _:
                like += "%"
    return re.sub(r"(?<!\\)%{2,}", "%", like + "%")
