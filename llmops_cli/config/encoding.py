"""Names of text encodings, as the command line and the configuration give them."""

from __future__ import annotations

import codecs

from llmops_cli.errors import UsageError

_ASCII = "".join(map(chr, range(32, 127))) + "\t\r\n"
_SHIFTS = ("+AGE-", "~{!!~}", "\\u0041", "xn--4ca", "\x1b$B!!\x1b(B", "\x0e!\x0f")
"""What is plain text to a log, and to a stateful or escaping encoding a character of its own.

Tried first: Python warns of escapes that it finds in the rest.
"""
_ALIKE = str.maketrans("¥₩‾", "\\\\~")
"""What Japanese and Korean encodings have where ASCII has a backslash and a tilde; no log means anything by them."""


def check_encoding(name: str) -> str:
    r"""Return `name` when a log can be in it: where ASCII stands for itself, or UTF-16 or UTF-32, which are transcoded.

    Logs are cut at the byte `\n` and anywhere between lines. Raises UsageError: base64 is a codec and no text encoding,
    UTF-7 is one, but "+" begins something else in it.
    """
    try:
        b"\n".decode(name, "replace")
        wide = codecs.lookup(name).name.startswith(("utf-16", "utf-32"))
    except (LookupError, ValueError):
        raise _refused(name, "is not a text encoding") from None
    if not wide and not all(_stands_for_itself(text, name) for text in (*_SHIFTS, _ASCII)):
        raise _refused(name, "is not an encoding of logs: plain ASCII text means something else in it")
    return name


def _stands_for_itself(text: str, name: str) -> bool:
    try:
        return text.encode("ascii").decode(name).translate(_ALIKE) == text.translate(_ALIKE)
    except ValueError:
        return False


def _refused(name: str, why: str) -> UsageError:
    return UsageError(
        "bad_encoding", f'"{name[:60]}" {why}', "write utf-8, gbk, gb18030, big5, shift_jis, latin-1 or utf-16"
    )
