"""Snapshots as plain text files beside this one; `LLMOPS_UPDATE_SNAPSHOTS=1 pytest tests/views` writes them anew."""

import difflib
import os
from pathlib import Path

HERE = Path(__file__).parent / "snapshots"


def same_as_snapshot(name, text):
    path = HERE / f"{name}.txt"
    if os.environ.get("LLMOPS_UPDATE_SNAPSHOTS"):
        path.write_bytes(text.encode())
    expected = path.read_bytes().decode() if path.exists() else ""
    changes = difflib.unified_diff(expected.splitlines(), text.splitlines(), "expected", "now", lineterm="")
    assert text == expected, "\n".join(changes)
