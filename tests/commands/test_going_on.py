"""From a finding to what is done about it: the verbs name the same next step, the same times and the same place."""

import re
from datetime import datetime

import pytest

from .conftest import on_a_terminal, without_colour

LIMITED = ("rate-limit", "noisy-neighbour", "two-faults")


def limited(answers, name):
    found = answers(name, "status")["data"]["incidents"]
    return next(one for one in found if one["type"] == "rate_limit_requests")


@pytest.mark.parametrize("name", LIMITED)
def test_the_way_leads_to_the_plan_which_decides(answers, name):
    for steps in (limited(answers, name)["next"], answers(name, "quota")["data"]["next"]):
        said = [re.sub(r" --.*", "", step) for step in steps if "--runbook" not in step]
        assert said.count("llmops recover") == 1
        assert not {"llmops recover throttle", "llmops recover expand"} & set(said)
        assert said[0] == "llmops drill"
        assert steps[-1].startswith("llmops recover --runbook rate_limit_requests")
    planned = answers(name, "recover")["data"]["incidents"]
    assert not any(re.match(r"llmops recover --(?!runbook)", step) for one in planned for step in one["next"])


@pytest.mark.parametrize(
    ("lang", "place"), [("en", "of qwen-plus in workspace {}"), ("zh", "业务空间 {} 的 qwen-plus")]
)
def test_what_throttling_would_refuse_is_said_of_one_place(llmops, stories, answers, lang, place):
    loud = limited(answers, "noisy-neighbour")["drivers"][0]["where"]["workspace"]
    replay = answers("noisy-neighbour", "recover", "throttle", "--model", "qwen-plus", "--workspace", loud)["data"]
    said = llmops("recover", "--config", stories["noisy-neighbour"].config, "--lang", lang).out
    note = next(line for line in said.splitlines() if place.format(loud) in line)
    assert f"{replay['replay']['refused_before']:,}" in note
    assert f"{replay['replay']['refused_after']:,}" in note


def test_a_replay_is_told_apart_from_what_the_log_shows(answers):
    loud = limited(answers, "noisy-neighbour")["drivers"][0]["where"]["workspace"]
    asked = ("--model", "qwen-plus")
    data = answers("noisy-neighbour", "recover", "throttle", *asked, "--workspace", loud)["data"]
    rows = answers("noisy-neighbour", "quota", *asked)["data"]["rows"]
    logged = sum(row["throttled"] for row in rows if row["workspace"] not in (None, loud))
    note = next(one for one in data["notes"] if "other workspaces' calls" in one)
    assert f"the log shows {logged:,}" in note
    assert f"the replay refuses {data['replay']['others_before']:,} without these settings" in note


def times(incident):
    return [f"{datetime.fromisoformat(incident[key]):%H:%M:%S}" for key in ("started_at", "refused_at")]


@pytest.mark.parametrize("name", LIMITED)
def test_demand_rises_first_and_calls_are_refused_later(llmops, stories, answers, name):
    rose, refused = times(limited(answers, name))
    assert rose < refused
    config = ("--config", stories[name].config)
    status, drill, letter = (
        llmops(*verb, *config).out for verb in (("status",), ("drill",), ("recover", "expand", "--model", "qwen-plus"))
    )
    assert f"is refused for requests per minute since {refused} (" in status.partition("\n")[0]
    assert f"; demand rose at {rose}" in status.partition("\n")[0]
    assert f"demand rose at {rose}; the first call was refused at {refused}" in status
    for line in (one for one in drill.splitlines() if "429 Throttling.RateQuota" in one):
        assert f"since {refused} (demand rose at {rose})" in line
    assert re.search(rf"refusals began \S+ {refused}\S+ \(demand rose at \S+ {rose}", letter)
    status, drill = (llmops(verb, *config, "--lang", "zh").out for verb in ("status", "drill"))
    assert f"，始于 {refused}（" in status.partition("\n")[0]
    assert f"；用量于 {rose} 上升" in status.partition("\n")[0]
    for line in (one for one in drill.splitlines() if "429 Throttling.RateQuota" in one):
        assert f"始于 {refused}（用量于 {rose} 上升）" in line


def test_the_calls_that_are_counted_are_not_said_to_be_refused_since_then(answers):
    assert re.search(
        r"[\d,]+ of [\d,]+ calls since \d\d:\d\d:\d\d refused \(", limited(answers, "rate-limit")["evidence"][0]
    )


def test_each_step_of_a_plan_for_two_incidents_says_which_one_it_is_for(llmops, stories, answers):
    data = answers("two-faults", "recover")["data"]
    kinds = [one["type"] for one in data["incidents"]]
    steps = {one["name"]: [kinds[number - 1] for number in one["incidents"]] for one in data["actions"]}
    assert steps["rotate_key"] == steps["stop_retries"] == steps["ticket"] == ["auth"]
    assert steps["expand"] == ["rate_limit_requests"]
    assert sorted(steps["verify"]) == sorted(kinds)
    names = list(steps)
    assert names.index("rotate_key") < names.index("expand") < names.index("verify")
    config = stories["two-faults"].config
    for lang, label in (("en", "for"), ("zh", "针对")):
        plan = llmops("recover", "--config", config, "--lang", lang).out
        assert len(re.findall(rf"(?m)^   {label} +\d", plan)) == len(steps) - 1
        assert re.search(rf"(?m)^   {label} +{kinds.index('auth') + 1} +auth", plan)
    marked = llmops("recover", "--config", config, "-o", "markdown").out
    assert re.search(rf"(?m)^- for: {kinds.index('auth') + 1} auth; app ", marked)
    alone = llmops("recover", "--config", stories["rate-limit"].config).out
    assert not re.search(r"(?m)^   for ", alone)


@pytest.mark.parametrize("by", [(), ("--by", "app"), ("--by", "workspace")])
def test_of_demand_the_table_shows_the_calls_and_those_before_first(llmops, stories, by):
    config = ("--config", stories["traffic-drop"].config)
    code, out, _ = on_a_terminal("drill", *config, *by)
    assert code == 0
    titles = next(line for line in without_colour(out).splitlines() if " calls before" in line)
    assert re.match(r"(app|workspace) +calls +calls before", titles)
    assert len(titles.rstrip()) <= 80
    assert re.search(r"\| calls \| calls before \|", llmops("drill", *config, *by, "-o", "markdown").out)


def test_a_ticket_for_a_burst_does_not_ask_for_a_higher_limit(llmops, stories):
    ran = llmops("recover", "ticket", "--config", stories["burst"].config)
    assert "Throttling.BurstRate" in ran.out
    assert "recover expand" not in ran.err + ran.out


def test_calls_that_are_missing_are_not_ruled_out_as_more_demand(answers):
    fields = answers("traffic-drop", "recover", "ticket")["data"]["fields"]
    assert fields["incident"] == "traffic_drop"
    assert not any("more demand" in text for text in fields["ruled_out"])


def test_what_speaks_against_a_letter_is_said_before_it(stories):
    """On a terminal a note after sixty lines of text is read when the text was sent."""
    words = ("recover", "ticket", "--config", stories["traffic-drop"].config)
    _, out, _ = on_a_terminal(*words, "-o", "markdown", columns=200)
    assert out.index("look upstream") < out.index("Subject:")
