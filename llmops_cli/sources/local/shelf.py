"""The log files that are open: few at a time, so that a directory may hold more of them than a process may open."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Hashable
from typing import IO

_MOST = 128
"""Far below the 1024 files that a process may usually open, far above what a rotated set has for one window."""
_SHARE = 4
"""DuckDB opens the files of a statement once more, and Python needs some for itself."""


class Shelf:
    """Open files by owner. When it is full, the one that was used last is closed; its owner opens it again.

    Logs are read one after the other, then once more in that order: the first ones stay open, and few are opened twice.
    """

    def __init__(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.room = _MOST if soft == resource.RLIM_INFINITY else max(2, min(_MOST, soft // _SHARE))
        self._files: dict[Hashable, IO[bytes]] = {}  # the one used last stands last
        self._kept: dict[Hashable, IO[bytes]] = {}

    def put(self, owner: Hashable, file: IO[bytes], *, once: bool = False) -> None:
        """Take an open file in, and make room for it. `once`: it cannot be opened again, and stays."""
        if once:
            self._kept[owner] = file
            return
        while len(self._files) >= self.room:
            self._files.popitem()[1].close()
        self._files[owner] = file

    def descriptor(self, owner: Hashable, reopen: Callable[[], IO[bytes]]) -> int:
        """Give the descriptor of an owner's file; good until the next file is asked for."""
        if owner in self._kept:
            return self._kept[owner].fileno()
        file = self._files.pop(owner, None) or reopen()
        self.put(owner, file)
        return file.fileno()

    def size_of(self, owner: Hashable, known: int) -> int:
        """Give the size in bytes that an owner's file has now; `known` when it is not open."""
        file = self._files.get(owner)
        return known if file is None else os.fstat(file.fileno()).st_size

    def close(self) -> None:
        """Close every file."""
        for file in (*self._files.values(), *self._kept.values()):
            file.close()
