"""The next commands an engineer may paste: quoted for a POSIX shell, whatever the log had for values."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from llmops_cli.evidence import DIMENSIONS, Filters


def command(*words: str, options: str = "") -> str:
    """Return `llmops WORDS… OPTIONS`; words are quoted, `options` stand as they are (they are shell text already).

    Of `options`, a baseline is left out where the words have one.
    """
    if "--baseline" in words and "--baseline" in options:
        given = shlex.split(options)
        pairs = zip(given[::2], given[1::2], strict=True)
        options = shlex.join(word for name, value in pairs if name != "--baseline" for word in (name, value))
    return " ".join(filter(None, (shlex.join(("llmops", *words)), options.strip())))


def option(name: str, value: str) -> tuple[str, ...]:
    """Return an option and its value; in one word where the value could be taken for an option itself."""
    return (f"--{name}={value}",) if value.startswith("-") else (f"--{name}", value)


def scope_options(scope: Mapping[str, str], filters: Filters = Filters()) -> tuple[str, ...]:
    """Return a scope as options; filters that were given stay, unless the scope says it more exactly.

    A value that was empty in the log has no option, as a filter keeps values only.
    """
    words: list[str] = []
    for name in DIMENSIONS:
        values = (scope[name],) if scope.get(name) else getattr(filters, name)
        for value in values:
            words += option(name, value)
    return tuple(words)


def filter_options(filters: Filters) -> tuple[str, ...]:
    """Return the filters of a question as options, so that a command asks for the same calls."""
    codes = (word for code in filters.error_code for word in option("error-code", code))
    return (*scope_options({}, filters), *codes)
