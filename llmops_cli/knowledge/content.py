"""Prompts and results: what is said of them instead of showing them."""

from __future__ import annotations

import hashlib

from llmops_cli.evidence import Message
from llmops_cli.knowledge.sentences import sentence

CONTENT = ("prompt:", "result:")
"""How the lines begin whose text is hidden."""


def hidden(message: str, lang: str = "en") -> str:
    """Return a `prompt:` or `result:` message as its length and a hash, any other message as it is.

    The hash tells whether two prompts are the same text; it does not give the text away (unless it can be guessed).
    """
    start = message.lstrip()
    word = start[: len(CONTENT[0])].lower()
    if word not in CONTENT:
        return message
    content = start[len(word) :].strip()
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    values: dict[str, str | int | float | None] = {"kind": word[:-1], "length": len(content), "hash": digest[:8]}
    return sentence(Message("trace.hidden", values), lang)
