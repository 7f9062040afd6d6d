"""The keys of a log in Log Service by their type: what is indexed for SQL, and what a check-up looks for.

Canonical names; a profile's `fields` may map each to another key. `__time__` is Log Service's own and stands nowhere
here. Source of the types: `calls/line.py`, which reads the same values from a line.
"""

from __future__ import annotations

NUMBERS = ("status_code", "duration_ms", "input_tokens", "output_tokens", "total_tokens")
"""Of type `long`: SQL compares and adds them up."""

TEXTS = (
    *("app", "module", "model", "workspace", "trace_id", "level"),
    *("request_id", "error_code", "error_message", "rating"),
)
"""Of type `text`, and asked for by the statements: without one of them something is not known."""

SHOWN = ("logger", "thread", "comment", "message")
"""Of type `text`, and shown beside a line but asked for by no statement: a logstore may do without."""

PROSE = ("error_message", "comment", "message")
"""Those of the texts that hold sentences: they may be Chinese, and may quote a key or a token."""
