"""The real command line against the loopback cloud, as a process of its own: credentials are read at import."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cloud.sls import SlsCloud

KEY_ID, SECRET = "LTAI5tLoopbackKey01", "a-secret-that-is-none"
REGION = "cn-beijing"
CREDENTIALS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder to ask from, with a home of its own, and the environment of whoever asks."""

    folder: Path
    environ: dict[str, str]

    def profile(self, cloud: SlsCloud, *, project: str = "app", logstore: str = "calls", more: str = "") -> Desk:
        """Write the profile `prod` for a logstore of the cloud; `more` is appended to its table `sls`."""
        (self.folder / "llmops.toml").write_text(
            f'default_profile = "prod"\n[profiles.prod]\nregion = "{REGION}"\n[profiles.prod.sls]\n'
            f'endpoint = "{cloud.endpoint}"\nproject = "{project}"\nlogstore = "{logstore}"\n{more}',
            encoding="utf-8",
        )
        return self

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """Start `llmops` with these words."""
        return subprocess.Popen(
            [sys.executable, "-m", "llmops_cli", *words],
            cwd=self.folder,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **environ: str) -> Ran:
        """Run `llmops` with these words to its end."""
        with self.start(*words, **environ) as process:
            try:
                out, err = process.communicate(timeout=60)  # the SDK's own patience is twenty minutes
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Ran(process.returncode, out, err)


def desk(folder: Path) -> Desk:
    """Give a desk in an empty folder, with the credentials that the tests' cloud knows."""
    folder.mkdir(parents=True, exist_ok=True)
    root = str(Path(__file__).resolve().parents[2])
    environ = {
        "PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": root, "COLUMNS": "80", "LANG": "C.UTF-8",
        "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", **CREDENTIALS,
    }  # fmt: skip
    return Desk(folder, environ)
