"""A loopback Log Service, a desk to ask it from, and the SDK as somebody else would use it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from aliyun.log import LogClient

from tests.cloud.asking import KEY_ID, SECRET


@pytest.fixture
def sdk(cloud):
    sdk = LogClient(cloud.endpoint, KEY_ID, SECRET, source="")
    sdk._isRowIp = True
    return sdk


@pytest.fixture
def aliyunlog(cloud, here):
    """Run a rollback as it was printed, by the real command."""

    def run(command):
        words = shlex.split(command)
        assert words[:2] == ["aliyunlog", "log"]
        tool = [str(Path(sys.executable).with_name("aliyunlog")), *words[1:]]
        options = [f"--access-id={KEY_ID}", f"--access-key={SECRET}", "--region-endpoint=http://sls.test"]
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(here.folder), "http_proxy": cloud.endpoint}
        done = subprocess.run([*tool, *options], env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run
