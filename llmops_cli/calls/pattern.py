"""A Logback pattern compiled once: for Python, for DuckDB (RE2), for SQL LIKE and for Logtail (Boost).

What is flexible: blanks around a padded field (the log may have passed through something that squeezed them), ANSI
colours where the pattern colours, and `%method()` in each of the shapes that Logback prints. What is not: a header
stands at the line's start, and literals stand as written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from llmops_cli.calls.expression import like_pattern, sequence, whole_event, whole_line
from llmops_cli.calls.layout import Atom, Blanks, Field, PatternError, Text, take_apart
from llmops_cli.calls.timeformat import TimeFormat

__all__ = ["STANDARD_PATTERN", "Header", "Pattern", "PatternError", "TimeFormat", "compile_pattern"]

STANDARD_PATTERN = "%d{yyyy-MM-dd HH:mm:ss.SSS} %-5p [traceId:%X{traceId}] [%c{3}#%method():%L] [%thread] - %m%n"
"""The logging standard's header."""

TRACE_KEYS = (
    *("traceid", "xb3traceid", "eagleeyetraceid", "xtraceid", "tid", "ptxid", "xcorrelationid", "correlationid"),
    *("xrequestid", "requestid", "reqid", "rid"),
)
"""Which `%X{key}` is the trace id: the first of these, spelt in any case and with any punctuation (`trace_id`,
`X-B3-TraceId`); after them any key that ends in "traceid", then `%X` without a key."""

_GROUPS = frozenset({"time", "level", "logger", "method", "line", "thread", "message"})


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a message, and the message up to the line's end. Empty where the pattern has no such field."""

    time_text: str
    level: str
    trace_id: str
    logger: str
    thread: str
    message: str


@dataclass(frozen=True, slots=True)
class Pattern:
    r"""A compiled pattern.

    `regex` matches a header at the start of a line and the message up to its end; its named groups are `groups`, in
    order. `re2` is the same language with plain groups, for DuckDB's `regexp_extract(line, re2, [names])`. Groups may
    carry padding: trim them. `time_first`: the time stands at the very start of the line. `message_separator`: the
    literal right before the message. `header_commas`: how many commas every header holds at least, in its date and
    literals; None when a field (`%X` without a key) prints commas of its own. `like`: an SQL LIKE pattern with
    `ESCAPE '\'` that every header line matches. `keys`, `logtail_regex` and `begin_regex` are Logtail's: the names of
    the groups, a regex for a whole event and one for its first line.
    """

    text: str
    regex: re.Pattern[str] = field(repr=False)
    re2: str = field(repr=False)
    groups: tuple[str, ...]
    time: TimeFormat
    time_first: bool
    message_separator: str
    header_commas: int | None
    like: str
    logtail_regex: str = field(repr=False)
    begin_regex: str = field(repr=False)
    keys: tuple[str, ...]

    def header(self, line: str) -> Header | None:
        """Read the header of a line, None when it has none. A line break at its end is ignored."""
        match = self.regex.match(line)
        if match is None:
            return None
        got = match.groupdict("")
        return Header(
            time_text=got["time"],
            level=got.get("level", ""),
            trace_id=got.get("trace_id", "").strip(),
            logger=got.get("logger", "").strip(),
            thread=got.get("thread", "").strip(),
            message=got["message"].rstrip("\r\n"),
        )


def compile_pattern(text: str, trace_key: str | None = None) -> Pattern:
    """Compile a Logback pattern; raises `PatternError`.

    `trace_key` names the `%X{key}` that is the trace id when `TRACE_KEYS` would choose another.
    """
    atoms = _named(take_apart(text), trace_key)
    time = _check(atoms)
    at = next(at for at, atom in enumerate(atoms) if isinstance(atom, Field) and atom.kind == "message")
    head, tail = atoms[:at], _tail(atoms[at + 1 :])
    named, plain = whole_line(head, tail, style="named"), whole_line(head, tail, style="plain")
    groups = tuple(re.findall(r"\(\?P<(\w+)>", named))
    return Pattern(
        text=text,
        regex=re.compile("(?s)" + named),
        re2="(?s)\\A" + plain.replace("\\Z", "\\z"),
        groups=groups,
        time=time,
        time_first=isinstance(atoms[0], Field) and atoms[0].kind == "time",
        message_separator=_separator(head),
        header_commas=_commas(head),
        like=like_pattern(head),
        logtail_regex=whole_event(head, tail),
        begin_regex=sequence(head, style="none") + ".*",
        keys=groups,
    )


def _check(atoms: Sequence[Atom]) -> TimeFormat:
    fields = [atom for atom in atoms if isinstance(atom, Field)]
    times = [atom.time for atom in fields if atom.time is not None]
    if not times:
        raise PatternError(
            "the pattern has no %d: without a time a line cannot be placed; add %d{yyyy-MM-dd HH:mm:ss.SSS}"
        )
    messages = [at for at, atom in enumerate(fields) if atom.kind == "message"]
    if not messages:
        raise PatternError("the pattern has no %m: the message holds the call; add %m before %n")
    if len(messages) > 1:
        raise PatternError(f"column {fields[messages[1]].column}: %m stands twice; keep one")
    for atom in fields[: messages[0]]:
        if atom.kind == "newline":
            raise PatternError(
                f"column {atom.column}: %n before %m: a header of several lines cannot be read; leave it out"
            )
    if all(atom.time is None for atom in fields[: messages[0]]):
        raise PatternError("%d stands after %m: put it before the message, where a line begins")
    return times[0]


def _named(atoms: Sequence[Atom], trace_key: str | None) -> list[Atom]:
    """Each group's name goes to the first field that fits; the trace id to the best key."""
    trace = _trace_field(atoms, trace_key)
    seen: set[str] = set()
    named: list[Atom] = []
    for atom in atoms:
        if not isinstance(atom, Field):
            named.append(atom)
            continue
        word = "trace_id" if atom is trace else atom.word if atom.word in _GROUPS else ""
        name = "" if word in seen else word
        seen.add(word)
        named.append(Field(name, atom.kind, atom.column, atom.word, atom.time, atom.parens))
    return named


def _trace_field(atoms: Sequence[Atom], trace_key: str | None) -> Field | None:
    keyed = [atom for atom in atoms if isinstance(atom, Field) and atom.kind == "trace"]
    if trace_key is not None:
        found = next((atom for atom in keyed if atom.key == trace_key), None)
        if found is None:
            raise PatternError(f"the pattern has no %X{{{trace_key}}} to take the trace id from; add it")
        return found
    ranked = [(rank, atom) for atom in keyed if (rank := _trace_rank(atom)) is not None]
    if ranked:
        return min(ranked, key=lambda pair: pair[0])[1]
    # %X without a key prints all of them.
    return next((atom for atom in atoms if isinstance(atom, Field) and (atom.word, atom.kind) == ("mdc", "text")), None)


def _trace_rank(atom: Field) -> int | None:
    key = re.sub(r"[^a-z0-9]", "", (atom.key or atom.word).lower())
    if key in TRACE_KEYS:
        return TRACE_KEYS.index(key)
    return len(TRACE_KEYS) if key.endswith("traceid") else None


def _tail(atoms: Sequence[Atom]) -> list[Atom]:
    """Keep what follows the message on its last line, other than blanks and line ends."""
    kept = [atom for atom in atoms if not (isinstance(atom, Field) and atom.kind == "newline")]
    bare = all(
        atom in {Blanks(), Blanks(some=True)} or (isinstance(atom, Text) and not atom.text.strip()) for atom in kept
    )
    return [] if bare else kept


def _separator(head: Sequence[Atom]) -> str:
    text = head[-1].text if head and isinstance(head[-1], Text) else ""
    gap = head[-2 if text else -1 :][:1]
    return (" " if gap and isinstance(gap[0], Blanks) and gap[0].some else "") + text


def _commas(head: Sequence[Atom]) -> int | None:
    commas = 0
    for atom in head:
        if isinstance(atom, Text):
            commas += atom.text.count(",")
        elif isinstance(atom, Field) and atom.time is not None:
            commas += atom.time.commas
        elif isinstance(atom, Field) and atom.kind == "text" and atom.key != "thread":
            return None
    return commas
