"""Times without a zone, read in the wrong one: only the age of the log can tell."""

import time
from datetime import UTC

import pytest

from .logs import MINUTE, quiet, write

ZONED = "%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} - %m%n"


@pytest.fixture
def ended(tmp_path):
    """Write a log in UTC that ended so many minutes ago."""

    def write_log(minutes, change=lambda line: line):
        newest = time.time_ns() // 1_000_000 - minutes * MINUTE
        return write(tmp_path / "app.log", map(change, quiet(newest - 60 * MINUTE, 60, zone=UTC)))

    return write_log


@pytest.mark.parametrize("verb", ["status", "drill", "recover"])
@pytest.mark.parametrize(
    ("zone", "read_as"),
    [("Asia/Shanghai", "Asia/Shanghai (+08:00)"), ("Asia/Kolkata", "Asia/Kolkata (+05:30)"), ("+08:00", "+08:00")],
)
def test_a_log_that_another_zone_would_make_current_is_doubted(llmops, ended, verb, zone, read_as):
    ran = llmops(verb, "--log", ended(18), "--timezone", zone)
    assert ran.code == 0
    assert ran.err == (
        f"hint: times were read as {read_as}; if the log was written a moment ago, --timezone is wrong: "
        "+00:00 would make it 18 min old\n"
    )


def test_nothing_is_doubted_where_the_zone_is_sure_or_explains_nothing(llmops, ended):
    log = ended(18)
    shanghai = ("status", "--log", log, "--timezone", "Asia/Shanghai")
    assert llmops(*shanghai, "-o", "json").err == ""
    assert llmops(*shanghai, "--from", "now-9h").err == ""
    assert llmops("status", "--log", log, "--timezone", "UTC").err == ""
    assert llmops("status", "--log", ended(15 * 60), "--timezone", "UTC").err == ""


def test_a_zone_that_is_written_in_the_log_is_not_doubted(llmops, ended):
    log = ended(120, lambda line: f"{line[:10]}T{line[11:23]}Z - {line.partition(' - ')[2]}")
    ran = llmops("status", "--log", log, "--timezone", "Asia/Shanghai", "--pattern", ZONED)
    assert "log ends 2 h" in ran.out
    assert ran.err == ""
