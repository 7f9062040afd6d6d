"""Files for their owner alone, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_private(path: Path, text: str, *, over: bool) -> None:
    """Write `text` to `path`, readable by its owner alone from the first byte; `over` another file only where allowed.

    Raises OSError; of it FileExistsError where `over` is false and there is one.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link never overwrites: two people who start at once cannot lose each other's file.
        draft.replace(path) if over else path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
