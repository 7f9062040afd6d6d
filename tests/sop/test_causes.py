"""What was found as an incident has its cause, with the same scope and start; what explains nothing is left out."""

from llmops_cli.knowledge.sentences import sentence
from llmops_cli.sop.causes import find_causes
from llmops_cli.sop.drill import drill, telling_dimension
from tests.sop.records import BEFORE, MINUTE, NOW, call, four_apps, judged, seen, steady


def explained(records, **options):
    """The incidents of a log, and its causes."""
    found = judged(records, **options).incidents
    return found, find_causes(seen(records), incidents=found)


def test_a_steady_mixture_comes_from_everywhere_and_names_no_single_code():
    kinds = ("auth", "server_error", "content_moderation", "timeout", "network")
    records = [
        call(BEFORE.start_ms + i * 300, error=kinds[i // 40 % len(kinds)] if i % 40 == 0 else "") for i in range(6000)
    ]
    (incident,), (cause,) = explained(records)
    assert incident.hypothesis.id == "hypothesis.mixed"
    assert (cause.where, cause.family, cause.failures) == ({}, "", 75)
    assert [note.id for note in cause.notes].count("drill.code") == 3
    paste = sentence(drill(seen(records), [], (), causes=(cause,)).paste)
    assert paste == "failures of several kinds: everything, 75 of 3,000 calls in the window (2.5 %)."


def test_a_water_level_comes_from_who_drives_it_said_once():
    records = [
        *steady(BEFORE.start_ms, NOW.end_ms, 100),
        *steady(NOW.start_ms + 5 * MINUTE, NOW.end_ms, 120, app="batch", workspace="llm-batch"),
    ]
    (incident,), (cause,) = explained(records, limits={"qwen-plus": {"rpm": 260}})
    assert (incident.type, cause.family, cause.where) == ("water_level", "water_level", {"model": "qwen-plus"})
    assert [dict(driver.where) for driver in cause.drivers] == [{"app": "batch"}]
    assert "driven by app batch" in sentence(cause.notes[-1])
    assert telling_dimension(seen(records), (cause,)) == "app"


def test_causes_that_are_no_incident_come_last_and_have_their_start():
    special = {("shop", "qwen-max", None): {"fail_every": 2, "error": "auth"}}
    records = [
        *four_apps(BEFORE.start_ms, NOW.start_ms, 30),
        *four_apps(NOW.start_ms, NOW.end_ms, 30, special=special),
    ]
    whole = find_causes(seen(records))
    found, told = explained(records)
    assert [cause.where for cause in whole] == [cause.where for cause in told] == [dict(found[0].scope)]
    assert whole[0].started_at == told[0].started_at == found[0].started_at
