"""Demo logs, written once for all tests, and the command line on a terminal."""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import struct
import termios
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from llmops_cli import app

STORIES = ("rate-limit", "two-faults", "healthy", "latency", "noisy-neighbour", "burst", "traffic-drop")
END = "2025-07-09T14:30:00+08:00"


@dataclass(frozen=True)
class Story:
    """A demo log and its configuration; the incident began at 14:18 and the log ends at 14:30, China time."""

    name: str
    log: Path
    config: Path


@pytest.fixture(scope="session")
def stories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories")
    made = {}
    for name in STORIES:
        log = folder / f"{name}.log"
        words = ["demo", name, "--calls", "5000", "--out", str(log), "--no-walk"]
        with contextlib.redirect_stdout(io.StringIO()):
            assert app.run([*words, "--end", END, "--timezone", "Asia/Shanghai"]) == 0
        made[name] = Story(name, log, log.with_suffix(".toml"))
    return made


@pytest.fixture
def story(stories, monkeypatch):
    """Choose a demo log as the one that the default profile names."""

    def choose(name):
        monkeypatch.setenv("LLMOPS_CONFIG", str(stories[name].config))
        return stories[name]

    return choose


@pytest.fixture(scope="session")
def answers(stories):
    """Ask a demo log as JSON, each question once: `answers("rate-limit", "drill", "--by", "model")`."""
    known = {}

    def ask(name, *words):
        if (name, words) not in known:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = app.run([*words, "--config", str(stories[name].config), "-o", "json"])
            assert (code, err.getvalue()) == (0, "")
            known[name, words] = json.loads(out.getvalue())
        return known[name, words]

    return ask


def on_a_terminal(*args, columns=80):
    """Run the command line with a terminal for stdout; return exit code, output and stderr."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST  # no "\r\n" for "\n": every \r seen is the program's own
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    seen = bytearray()

    def listen():
        with contextlib.suppress(OSError):  # the other end is closed: EIO
            while block := os.read(master, 1 << 16):
                seen.extend(block)

    listener = threading.Thread(target=listen)
    listener.start()
    said = io.StringIO()
    with (
        os.fdopen(slave, "w", encoding="utf-8") as terminal,
        contextlib.redirect_stdout(terminal),
        contextlib.redirect_stderr(said),
    ):
        code = app.run([str(arg) for arg in args])
    listener.join()
    os.close(master)
    return code, seen.decode(), said.getvalue()


def without_colour(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
