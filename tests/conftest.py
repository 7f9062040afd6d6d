"""What all tests share: a clean environment, the command line as a function, and honesty about what was left out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from llmops_cli import app

if TYPE_CHECKING:
    from tests.cloud import SlsCloud
    from tests.cloud.asking import Desk

# No deadlines: a test never asserts a time. In CI the examples are the same every time.
settings.register_profile(
    "quick", deadline=None, max_examples=60, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True)

IN_CI = os.environ.get("LLMOPS_CI") == "1"
"""The switch that turns a skip into a failure: CI installs the services, so nothing may be left out there."""

settings.load_profile("ci" if IN_CI else "quick")

JARS = Path("/usr/share/java")
SERVICES: dict[str, Callable[[], bool]] = {
    "logback": lambda: (JARS / "logback-classic.jar").exists() and shutil.which("javac") is not None,
}
"""What a test may need besides Python: `@pytest.mark.needs("logback")`. `make services` installs it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests whose service is missing."""
    missing = {name for name, present in SERVICES.items() if not present()}
    for item in items:
        for mark in item.iter_markers("needs"):
            if mark.args[0] in missing:
                item.add_marker(pytest.mark.skip(reason=f"{mark.args[0]} is missing"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Turn a skip into a failure in CI."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and LLMOPS_CI=1 allows no skips: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in one line what was left out."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    if skipped:
        reasons = sorted({str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped})
        terminalreporter.write_line(f"left out: {len(skipped)} tests ({'; '.join(reasons)}); make services")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the configuration and the terminal of whoever runs the tests out of them."""
    for name in ("LLMOPS_CONFIG", "LLMOPS_PROFILE", "LLMOPS_DEBUG", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent/config")


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command line did."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """Return the envelope on stdout."""
        envelope: dict[str, Any] = json.loads(self.out)
        return envelope


@pytest.fixture
def llmops(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command line in this process: `llmops("status", "--log", path)`."""

    def run(*args: object) -> Ran:
        capsys.readouterr()
        try:
            code = app.run([str(arg) for arg in args])
        except SystemExit as stopped:  # `--show-completion` ends the process itself
            code = stopped.code if isinstance(stopped.code, int) else 1
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def cloud() -> Iterator[SlsCloud]:
    """Run a loopback Log Service that knows the key of `here`."""
    from tests.cloud import SlsCloud  # noqa: PLC0415 - an SDK, for the tests that talk to one
    from tests.cloud.asking import KEY_ID, REGION, SECRET  # noqa: PLC0415 - likewise

    with SlsCloud(keys={KEY_ID: SECRET}, region=REGION) as cloud:
        yield cloud


@pytest.fixture
def here(tmp_path: Path) -> Desk:
    """Give a desk in an empty folder to ask it from."""
    from tests.cloud.asking import desk  # noqa: PLC0415 - likewise

    return desk(tmp_path)
