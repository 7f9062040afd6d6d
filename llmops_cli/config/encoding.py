"""Names of text encodings, as the command line and the configuration give them."""

from __future__ import annotations

from llmops_cli.errors import UsageError


def check_encoding(name: str) -> str:
    """Return `name` when Python can read text in it. Raises UsageError: base64 is a codec, and no text encoding."""
    try:
        b"\n".decode(name, "replace")
    except (LookupError, ValueError):
        raise UsageError(
            "bad_encoding", f'"{name[:60]}" is not a text encoding', "write utf-8, gbk or gb18030"
        ) from None
    return name
