"""Width and colour are decided by the stream; a reader that leaves early is no error."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager
from pathlib import Path

import pytest

from llmops_cli import views
from llmops_cli.report import Problem
from llmops_cli.views.live import draw, watch
from llmops_cli.views.progress import progress

from .reports import ERROR, REPORTS, STATUS_REPORT

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    def __init__(self, encoding="utf-8"):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return True


class Pipe(Terminal):
    def isatty(self):
        return False


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "TERM", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def written(stream, output="table", report=STATUS_REPORT):
    views.write(report, output, stream)
    return stream.getvalue()


def test_colour_on_a_terminal_only():
    assert "\x1b[" in written(Terminal())
    assert "\x1b" not in written(Pipe())


@pytest.mark.parametrize(
    ("name", "value"), [("NO_COLOR", "1"), ("NO_COLOR", "0"), ("NO_COLOR", "no"), ("TERM", "dumb")]
)
def test_no_escape_at_all_when_told_so(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert "\x1b" not in written(Terminal())


def test_an_empty_no_color_does_not_count(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[" in written(Terminal())


def test_forced_colour_does_not_reach_a_pipe(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in written(Pipe())


@pytest.mark.parametrize("output", ["json", "markdown", "nagios"])
def test_only_tables_are_coloured(output):
    assert "\x1b" not in written(Terminal(), output)


def test_columns_hold_on_a_terminal_and_not_on_a_pipe(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "limit from" in written(Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    assert "limit from" not in written(Terminal())
    assert "limit from" in written(Pipe())


def test_nonsense_columns():
    """In a process of its own: what runs these tests reads `COLUMNS` too, and need not survive such values."""
    program = (
        "import os\n"
        "from llmops_cli import views\n"
        "from tests.views.reports import STATUS_REPORT\n"
        "from tests.views.test_write import Terminal\n"
        "for value in ('', '0', '-5', 'wide', '9' * 30):\n"
        "    os.environ['COLUMNS'] = value\n"
        "    stream = Terminal()\n"
        "    views.write(STATUS_REPORT, 'table', stream)\n"
        "    assert stream.getvalue().startswith('\\x1b[1;31mCRITICAL'), value\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_encoding_without_blocks_gets_ascii(encoding):
    for name, report in REPORTS.items():
        text = written(Pipe(encoding), report=report)
        text.encode(encoding)
        assert not set(text) & set("▁█├…–·"), name
    blocks, signs = written(Pipe("utf-8")), written(Pipe("ascii"))
    assert len(blocks) == len(signs)


def test_what_an_encoding_cannot_carry_becomes_an_escape():
    assert r"\u901a" in written(Pipe("latin-1"), report=REPORTS["drill"])


def test_a_closed_pipe_is_quiet():
    program = (
        "from tests.views.reports import STATUS_REPORT; from llmops_cli import views; import sys\n"
        "for _ in range(100): views.write(STATUS_REPORT, 'markdown', sys.stdout)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.read(10)
    child.stdout.close()
    error = child.stderr.read()
    child.stderr.close()
    assert (child.wait(), error) == (0, b"")


def test_an_unknown_format_is_an_error():
    with pytest.raises(ValueError, match="yaml"):
        views.render(STATUS_REPORT, "yaml")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("x", "app.log: no such file", "give --log PATH"),
            "error: app.log: no such file\nhint: give --log PATH\n",
        ),
        (Problem("x", "refused", request_id="43f9"), "error: refused (request id 43f9)\n"),
        (Problem("x", "\x1b[31m\nred"), "error: \\x1b[31m\\nred\n"),
        (Problem("x", "key sk-0123456789abcdef0123456789abcdef"), None),
    ],
)
def test_an_error_is_one_line_and_its_hint(problem, text):
    shown = views.render_error(problem)
    assert "0123456789abcdef" not in shown
    assert text is None or shown == text


def test_a_watch_on_a_pipe_is_blocks_with_a_blank_line_between():
    stream = Pipe()
    last = draw([STATUS_REPORT, ERROR, REPORTS["status-healthy"]], "table", stream)
    assert last is REPORTS["status-healthy"]
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\n\nerror: app.log: no such file\n" in text
    assert "\n\nOK  nothing unusual" in text


def test_a_watch_on_a_terminal_repaints():
    stream = Terminal()
    draw([STATUS_REPORT, REPORTS["status-healthy"]], "table", stream)
    assert "\x1b[2K" in stream.getvalue()  # the old lines are erased
    assert "nothing unusual" in stream.getvalue()


def test_a_watch_with_no_color_moves_no_cursor(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    draw([STATUS_REPORT, STATUS_REPORT], "table", stream)
    assert "\x1b" not in stream.getvalue()


def test_watch_sleeps_between_two_looks():
    slept = []
    looks = watch(lambda: STATUS_REPORT, 7.5, sleep=slept.append)
    assert [next(looks), next(looks), next(looks)] == [STATUS_REPORT] * 3
    assert slept == [7.5, 7.5]


@contextmanager
def standard_error(monkeypatch, stream):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        yield stream


def test_progress_is_silent_on_a_pipe(monkeypatch):

    with standard_error(monkeypatch, Pipe()) as stream, progress("reading app.log", 1000) as advance:
        advance(500)
    assert stream.getvalue() == ""


def test_progress_shows_on_a_terminal_and_cleans_its_text(monkeypatch):

    with standard_error(monkeypatch, Terminal()) as stream, progress("reading [red]\x1b[31m", 1000, after=0) as advance:
        advance(1000)
    assert "reading [red]\\x1b[31m" in stream.getvalue()


def test_progress_keeps_quiet_when_it_is_quick_or_may_not_move_the_cursor(monkeypatch):
    with standard_error(monkeypatch, Terminal()) as stream, progress("reading", 1000, after=3600) as advance:
        advance(1000)
    assert stream.getvalue() == ""
    monkeypatch.setenv("NO_COLOR", "1")
    with standard_error(monkeypatch, Terminal()) as stream, progress("reading", 1000, after=0) as advance:
        advance(1000)
    assert stream.getvalue() == ""


def test_a_pseudo_terminal_tells_its_own_width():

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 123, 0, 0))
    with os.fdopen(child, "w") as stream:
        assert views.columns(stream) == 123
    os.close(parent)
