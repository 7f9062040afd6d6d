"""One frozen `Report` → table | json | markdown | nagios. The only room that knows rich, and only when asked.

`render` returns the text, `write` decides width and colour from the stream and writes it. Everything logged is
cleaned on the way in (`views.clean`), so that no view can forget it.
"""

from __future__ import annotations

import codecs
import contextlib
import os
from json import dumps  # not `json`: that is a module of this package
from typing import Literal, TextIO

from llmops_cli.report import Report
from llmops_cli.views.words import render_error, word

__all__ = [
    "FORMATS",
    "aside",
    "carries_blocks",
    "colorful",
    "columns",
    "draw",
    "is_terminal",
    "put",
    "render",
    "render_error",
    "repaints",
    "write",
]

FORMATS = ("table", "json", "markdown", "nagios")
"""What `-o` takes; `nagios` makes sense under `--check` and `recover verify` only."""

WIDTH = 80
"""Columns where nothing else is known. On a pipe nothing is cut or wrapped, whatever the width."""

Part = Literal["all", "step", "end"]

_DRAWN = "▁▂▃▄▅▆▇█▏▎▍▌▋▊▉├└│─·…–×"


def render(
    report: Report,
    output: str,
    *,
    width: int = WIDTH,
    color: bool = False,
    terminal: bool = False,
    lang: str = "en",
    show_content: bool = False,
    allow_stale: bool = False,
    ascii_only: bool = False,
    part: Part = "all",
) -> str:
    """Return the report as text that ends with a line break (empty for a table of a report without data).

    `width`: columns of the terminal. Without `terminal` tables keep their natural width and nothing is cut or
    wrapped. `color`: ANSI styles, tables only. `lang`: of the findings' sentences. `show_content`: show prompts and
    results that the report still holds. `allow_stale`: nagios judges an anchored window by what it shows.
    `ascii_only`: blocks and dashes as ASCII, one character each. `part` of a watch as a table: what is new in it
    ("step"), or its end without the steps.
    Raises ValueError for an unknown `output`.
    """
    if output == "json":
        from llmops_cli.views.json import to_json  # noqa: PLC0415 - one format is loaded, not four

        return to_json(report, lang, show_content=show_content) + "\n"
    from llmops_cli.views.clean import cleaned  # noqa: PLC0415 - as above

    report = cleaned(report, show_content=show_content, lang=lang)
    if output == "nagios":
        from llmops_cli.views.nagios import to_nagios  # noqa: PLC0415 - as above

        return to_nagios(report, lang, allow_stale=allow_stale) + "\n"
    if output == "markdown":
        from llmops_cli.views.markdown import to_markdown  # noqa: PLC0415 - as above

        text = to_markdown(report, lang)
    elif output == "table":
        from llmops_cli.views.table import to_table  # noqa: PLC0415 - as above

        text = to_table(report, width=width, color=color, terminal=terminal, lang=lang, part=part)
    else:
        raise ValueError(f"unknown output format: {output}")
    return _ascii(text) if ascii_only else text


def write(
    report: Report,
    output: str,
    stream: TextIO,
    *,
    lang: str = "en",
    show_content: bool = False,
    allow_stale: bool = False,
) -> None:
    """Write the report to a stream, as wide and as colourful as the stream can carry.

    Colour only on a terminal, never with `NO_COLOR` (any value but the empty one) or `TERM=dumb`. A reader who has
    gone away (`| head`) is no error.
    """
    put(draw(report, output, stream, lang=lang, show_content=show_content, allow_stale=allow_stale), stream)


def draw(
    report: Report,
    output: str,
    stream: TextIO,
    *,
    lang: str = "en",
    show_content: bool = False,
    allow_stale: bool = False,
    part: Part = "all",
) -> str:
    """Return what `write` would write."""
    return render(
        report,
        output,
        width=columns(stream),
        color=colorful(stream),
        terminal=is_terminal(stream),
        lang=lang,
        show_content=show_content,
        allow_stale=allow_stale,
        ascii_only=not carries_blocks(stream),
        part=part,
    )


def aside(report: Report, output: str, lang: str = "en") -> str:
    """Return what belongs on stderr beside a table that is bare text to paste (a letter to support, a runbook).

    What is missing in it, what speaks against it, what the data lacks. Empty for other formats and verbs: they say it.
    """
    if output != "table" or type(report.data).__name__ not in {"ExpandData", "RunbookData"}:
        return ""
    from llmops_cli.views.clean import cleaned  # noqa: PLC0415 - as in render
    from llmops_cli.views.heading import doubts, note_texts, notes  # noqa: PLC0415 - as in render

    safe = cleaned(report)
    missing, against = getattr(safe.data, "missing", ()), note_texts(getattr(safe.data, "notes", ()), lang)
    said = [word("view.missing", lang, fields=", ".join(missing))] if missing else []
    said += [word("view.note", lang, text=text) for text in (*against, *doubts(safe, lang), *notes(safe, lang))]
    return "".join(f"{line}\n" for line in said)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - for mypy: only encoders ask
    return dumps(error.object[error.start : error.end])[1:-1], error.end


_ESCAPES = "llmops.escapes"
codecs.register_error(_ESCAPES, _escaped)


def put(text: str, stream: TextIO) -> bool:
    """Write text that was rendered and return whether someone still reads.

    What the stream's encoding cannot carry becomes an escape that JSON knows too.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, _ESCAPES).decode(encoding))
        stream.flush()
    except BrokenPipeError:
        # What is still buffered would raise again when the interpreter closes the stream: give it nowhere to go.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return False
    return True


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads the stream right now."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def repaints(stream: TextIO) -> bool:
    """Return whether the cursor can be moved: a terminal that is not dumb, and no `NO_COLOR` (no escape at all)."""
    return colorful(stream)


def colorful(stream: TextIO) -> bool:
    """Whether styles may be written: a terminal, no `NO_COLOR` (https://no-color.org), not a dumb one."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns(stream: TextIO) -> int:
    """Width of the terminal behind the stream: `COLUMNS`, else what it says itself, else 80."""
    if not is_terminal(stream):
        return WIDTH
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    return WIDTH


def carries_blocks(stream: TextIO) -> bool:
    """Whether the stream's encoding has the characters that sparklines, bars and trees are drawn with."""
    try:
        _DRAWN.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _ascii(text: str) -> str:
    from llmops_cli.views.figures import ASCII  # noqa: PLC0415 - few streams need it

    return text.translate(ASCII)
