r"""What a container runtime puts around each line of a log, and how it is taken off.

| framing | a line | a long line |
|---|---|---|
| `kubectl` | `[pod/NAME/CONTAINER] text` (`kubectl logs --prefix`, with `--timestamps` too) | is whole |
| `cri` | `2025-07-09T14:23:24.748123456Z stdout F text` (containerd, CRI-O) | parts have `P`, the last `F` |
| `docker` | `{"log":"text\n","stream":"stdout","time":"…"}` (Docker's json-file) | only the last part ends in `\n` |

Parts are joined for each stream by itself, since streams take turns. A line without the frame passes as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

LONGEST_LINE = 1024 * 1024
"""Characters of a joined line that are kept."""

_RFC3339 = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
_KUBECTL = re.compile(rf"(?s)\[(pod/[^\]/\s]+/[^\]/\s]+)\](?: (?:{_RFC3339}\.[0-9]{{7,9}}Z )?(.*))?")
_CRI = re.compile(
    rf"(?s){_RFC3339}(?:\.[0-9]{{1,9}})?(?:Z|[+-][0-9]{{2}}:[0-9]{{2}}) (stdout|stderr) ([FP])(?::\S*)?(?: (.*))?"
)
_DOCKER_KEYS = frozenset({"log", "stream", "time", "attrs"})
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Frame(NamedTuple):
    """One line without its frame; `source` is the stream or pod, `whole` is False while more of the line follows."""

    source: str
    text: str
    whole: bool


@dataclass(slots=True)
class Carry:
    """The lines that are still open between two blocks of a log, by stream."""

    parts: dict[str, _Open] = field(default_factory=dict)

    def rest(self) -> Iterator[str]:
        """Give up waiting: what came of the open lines."""
        while self.parts:
            yield from self.parts.pop(next(iter(self.parts))).text().split("\n")


@dataclass(frozen=True, slots=True)
class Framing:
    """A recognised framing: "kubectl", "cri" or "docker"."""

    name: str
    _read: Callable[[str], _Frame | None] = field(repr=False, compare=False)

    def unwrap(self, lines: Iterable[str], carry: Carry | None = None) -> Iterator[str]:
        """Take the frames off, joining the parts of long lines.

        What is still open at the end comes last; with a `carry`, for a log that is read block by block, it waits there.
        """
        kept = Carry() if carry is None else carry
        for raw in lines:
            line = raw.rstrip("\r\n")
            frame = self._read(line)
            if frame is None:
                yield line
            elif frame.whole and frame.source not in kept.parts:
                yield from frame.text.split("\n")
            else:
                kept.parts.setdefault(frame.source, _Open()).add(frame.text)
                if frame.whole:
                    yield from kept.parts.pop(frame.source).text().split("\n")
        if carry is None:
            yield from kept.rest()

    def unwrap_one(self, line: str) -> str | None:
        """Take the frame off one line, whole or part of one; None when it has no frame."""
        frame = self._read(line.rstrip("\r\n"))
        return frame.text if frame else None


def bare(line: str) -> str:
    """Take off what stands around a single line of a log that is otherwise plain: a frame, a mark, colours."""
    if line.startswith("\x1b["):
        line = _COLOUR.sub("", line)
    line = line.removeprefix("\ufeff")
    texts = (framing.unwrap_one(line) for framing in _FRAMINGS)
    return next((text for text in texts if text is not None), line)


def detect_framing(sample_lines: Sequence[str]) -> Framing | None:
    """Recognise the framing that most of the first lines have; None when there is none."""
    lines = [line.lstrip("\ufeff").rstrip("\r\n") for line in sample_lines if line.strip()]
    for framing in _FRAMINGS:
        framed = sum(1 for line in lines if framing.unwrap_one(line) is not None)
        if framed * 2 > len(lines):
            return framing
    return None


class _Open:
    """The parts of a line whose end has not come yet."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.room = LONGEST_LINE

    def add(self, text: str) -> None:
        if self.room > 0:
            self.parts.append(text[: self.room])
        self.room -= len(text)

    def text(self) -> str:
        return "".join(self.parts)


def _kubectl(line: str) -> _Frame | None:
    match = _KUBECTL.fullmatch(line)
    return _Frame(match[1], match[2] or "", whole=True) if match else None


def _cri(line: str) -> _Frame | None:
    match = _CRI.fullmatch(line)
    return _Frame(match[1], match[3] or "", match[2] == "F") if match else None


def _docker(line: str) -> _Frame | None:
    if not line.startswith("{") or '"log"' not in line:
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not entry.keys() <= _DOCKER_KEYS:
        return None
    text, stream = entry.get("log"), entry.get("stream")
    if not isinstance(text, str) or stream not in ("stdout", "stderr") or not isinstance(entry.get("time"), str):
        return None
    # JSON can spell half a character; no output can.
    clean = _SURROGATE.sub("\ufffd", text)
    return _Frame(stream, clean.rstrip("\r\n") if clean.endswith("\n") else clean, clean.endswith("\n"))


_FRAMINGS = (Framing("kubectl", _kubectl), Framing("cri", _cri), Framing("docker", _docker))
