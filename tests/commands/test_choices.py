"""What there is to choose from is listed: to a script as JSON, to a shell that completes."""

import os
import subprocess
import sys

import pytest

from llmops_cli.demo.scenarios import SCENARIOS
from llmops_cli.knowledge.sentences import INCIDENT_TYPES


def complete(line, cwd):
    """Complete the last word of a command line as bash does."""
    words = line.split(" ")
    environ = {"_LLMOPS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    ran = subprocess.run(
        [sys.executable, "-c", "import sys; from llmops_cli.app import main; sys.argv[0] = 'llmops'; main([])"],
        env={**os.environ, **environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("llmops recover --runbook rate_", ["rate_limit_requests", "rate_limit_tokens", "rate_limit_burst"]),
        ("llmops recover --runbook ", list(INCIDENT_TYPES)),
        ("llmops recover ticket --incident time", ["timeout"]),
        ("llmops demo ", list(SCENARIOS)),
        ("llmops demo --scenario no", ["noisy-neighbour"]),
        ("llmops drill --by ", ["app", "module", "model", "workspace", "error_code"]),
        ("llmops drill -o ", ["table", "json", "markdown"]),
        ("llmops status --output ", ["table", "json", "markdown", "nagios"]),
        ("llmops status --lang ", ["en", "zh"]),
        ("llmops status --baseline ", ["previous", "1d", "7d", "none"]),
        ("llmops status --profile ", ["laptop", "prod"]),
        ("llmops status --config other.toml --profile ", ["there"]),
        ("llmops status --config missing.toml --profile ", []),
    ],
)
def test_values_complete(tmp_path, line, choices):
    (tmp_path / "llmops.toml").write_text("[profiles.laptop]\n[profiles.prod]\n")
    (tmp_path / "other.toml").write_text("[profiles.there]\n")
    assert complete(line, tmp_path) == choices


def test_the_stories_of_the_demo_are_an_envelope(llmops):
    ran = llmops("demo", "--list", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    envelope = ran.json()
    assert (envelope["schema_version"], envelope["command"], envelope["errors"]) == (1, "demo", [])
    assert [one["name"] for one in envelope["data"]["scenarios"]] == list(SCENARIOS)
    assert all(one["summary"] for one in envelope["data"]["scenarios"])
    assert len(llmops("demo", "--list").out.splitlines()) == len(SCENARIOS)
    assert all(line.startswith("- ") for line in llmops("demo", "--list", "-o", "markdown").out.splitlines())
