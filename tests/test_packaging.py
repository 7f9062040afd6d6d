"""What gets installed: the wheel, built without a network, carries all that the program reads."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT]
    ran = subprocess.run([sys.executable, "-m", "pip", *command], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (built,) = folder.glob("llmops-*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_carries_runbooks_and_knowledge(wheel):
    names = set(wheel.namelist())
    for path in sorted((ROOT / "runbooks").rglob("*.md")):
        assert f"llmops_cli/{path.relative_to(ROOT).as_posix()}" in names
    shipped = [
        path for path in (ROOT / "llmops_cli").rglob("*") if path.suffix in {".py", ".tsv", ".toml", ".j2", ".md"}
    ]
    assert len(shipped) > 20
    for path in shipped:
        assert path.relative_to(ROOT).as_posix() in names


def test_the_wheel_carries_nothing_else(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"llmops_cli"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name or name.endswith(".log")]


def test_the_wheel_names_the_console_script(wheel):
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert b"llmops = llmops_cli.app:main" in wheel.read(entry_points)


def test_the_wheel_names_its_licence(wheel):
    (licence,) = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    assert b"Apache License" in wheel.read(licence)


def test_it_runs_where_there_is_no_checkout(wheel, tmp_path):
    wheel.extractall(tmp_path / "installed")

    def python(*args):
        ran = subprocess.run(
            [sys.executable, "-W", "error", *args],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def llmops(*args):
        return python("-m", "llmops_cli", *args)

    assert "truth " in llmops("demo", "bad-key", "--calls", "1000", "--no-walk")
    assert llmops("status", "--config", "llmops-demo/bad-key.toml").startswith("CRITICAL")
    assert llmops("recover", "--runbook", "auth").startswith("# API key refused")
    where = python("-c", "import llmops_cli; print(llmops_cli.__file__)").strip()
    assert Path(where).is_relative_to(tmp_path)


def test_every_folder_of_tests_is_a_package():
    """Or two tests of one name in two folders could not be collected together."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert (path.parent / "__init__.py").exists(), path


def test_every_dependency_is_pinned_for_development_and_bounded_for_users():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = dict(
        line.partition("==")[::2]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name = requirement.split(">")[0]
        assert name.lower() in {pin.lower() for pin in pinned}, name
        assert ">=" in requirement
    assert all(version and "/" not in version for version in pinned.values())
