"""Where it comes from: the table by dimension, and the causes that nobody had to ask for."""

import random
import shlex
from datetime import UTC

import pytest

from llmops_cli.evidence import CallStats, Cell, Filters, Observation, Slice, Span, Where, Window
from llmops_cli.knowledge.sentences import phrase, sentence
from llmops_cli.sop.drill import drill, telling_dimension

MINUTE = 60_000
T0 = 1_752_069_600_000
NOW = Span(T0, T0 + 15 * MINUTE)
BEFORE = Span(T0 - 15 * MINUTE, T0)

QUOTA = (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
KEY = (401, "InvalidApiKey", "Invalid API-key provided.")
SERVER = (500, "InternalError", "An internal error has occurred.")

PLACES = [
    Where(app, module, model, workspace)
    for app, module in [("shop", "Chat"), ("shop", "Agent"), ("desk", "Chat")]
    for model in ("qwen-plus", "qwen-turbo")
    for workspace in ("llm-a", "llm-b", "llm-c")
]


def cell(period, minute, where, calls, error=None, *, slow=0, offset=0):
    start = (T0 if period == "now" else T0 - 15 * MINUTE if period == "before" else T0 - 60 * MINUTE) + minute * MINUTE
    status, code, message = error or (200, "", "")
    return Cell(period, start, where, status, code, message, calls, slow, 10, 5, 15, start + offset, start + 59_000)


def observation(cells, *, baseline=True, filters=Filters(), before_calls=None):
    def stats(period):
        some = [one for one in cells if one.period == period]
        return CallStats(sum(one.calls for one in some), sum(one.calls for one in some if not one.ok))

    window = Window(NOW, BEFORE if baseline else None, UTC)
    before = stats("before") if baseline else None
    return Observation(
        window, MINUTE, BEFORE.start_ms - 3_600_000, stats("now"), before, (), tuple(cells), (), (), filters=filters
    )


def traffic(calls=20, faults=(), seed=1, baseline=True, noise=0.002):
    """Steady traffic in all places; a fault is (matching function, error, rate, first minute)."""
    rng = random.Random(seed)
    cells = []
    for period in ("before", "now") if baseline else ("now",):
        for minute in range(15):
            for where in PLACES:
                total = max(0, round(rng.gauss(calls, calls**0.5)))
                failed = {SERVER: sum(rng.random() < noise for _ in range(total))}
                for matches, error, rate, first in faults:
                    if period == "now" and minute >= first and matches(where):
                        failed[error] = failed.get(error, 0) + sum(rng.random() < rate for _ in range(total))
                cells += [cell(period, minute, where, n, error, offset=8_000) for error, n in failed.items() if n]
                if (fine := total - sum(failed.values())) > 0:
                    cells.append(cell(period, minute, where, fine, slow=fine // 20))
    return cells


def slices(cells, *by):
    sums = {}
    for one in cells:
        values = one.where._asdict() | {"error_code": one.error_code}
        row = sums.setdefault(tuple(values[name] for name in by), [0, 0, 0, 0, 0])
        if one.period == "between" or ("error_code" in by and one.ok):
            continue
        at = 0 if one.period == "now" else 3
        row[at] += one.calls
        row[at + 1] += 0 if one.ok else one.calls
    return [
        Slice(dict(zip(by, key, strict=True)), n, k, 900.0, tokens, was, was_k, 800.0)
        for key, (n, k, tokens, was, was_k) in sums.items()
    ]


RATE_LIMITED = (lambda where: where.model == "qwen-plus", QUOTA, 0.3, 5)
BAD_KEY = (lambda where: where.app == "desk", KEY, 1.0, 8)


def test_a_model_that_is_refused_is_the_cause_whatever_the_workspace():
    cells = traffic(faults=[RATE_LIMITED])
    data = drill(observation(cells), slices(cells, "workspace"), ("workspace",))
    (cause,) = data.causes
    assert cause.where == {"model": "qwen-plus"}
    assert (cause.family, cause.measure) == ("rate_limit_requests", "failures")
    assert cause.explains > 0.9
    assert cause.confidence > 0.9
    assert cause.failure_rate == pytest.approx(0.2, abs=0.03)
    assert cause.elsewhere_failure_rate == 0
    assert cause.baseline_failure_rate == 0
    assert {note.values.get("dimension") for note in cause.notes} >= {"app", "workspace"}


def test_two_faults_are_two_causes():
    cells = traffic(faults=[RATE_LIMITED, BAD_KEY])
    data = drill(observation(cells), slices(cells, "model"), ("model",))
    assert {(row.family, tuple(row.where.items())) for row in data.causes} == {
        ("rate_limit_requests", (("model", "qwen-plus"),)),
        ("auth", (("app", "desk"),)),
    }
    assert sum(row.explains for row in data.causes) == pytest.approx(1, abs=0.05)
    assert data.causes[0].explains >= data.causes[1].explains
    paste = sentence(data.paste)
    for word in ("429 Throttling.RateQuota", "qwen-plus", "401 InvalidApiKey", "app desk"):
        assert word in paste
    assert "?" not in paste


def test_a_fault_that_hides_another_does_not_narrow_it():
    """A call refused for its key never meets the rate limit: that must not look like a spared app."""
    refused = traffic(faults=[(lambda where: where.app == "desk", KEY, 0.9, 0)])
    cells = []
    for one in refused:
        share = 0.4 if one.ok and one.period == "now" and one.where.model == "qwen-plus" else 0
        throttled = round(one.calls * share)
        cells.append(one._replace(calls=one.calls - throttled, slow=0))
        cells.append(cell(one.period, (one.bucket_ms - T0) // MINUTE, one.where, throttled, QUOTA))
    found = {row.family: row.where for row in drill(observation([one for one in cells if one.calls]), [], ()).causes}
    assert found == {"auth": {"app": "desk"}, "rate_limit_requests": {"model": "qwen-plus"}}


def test_an_error_on_every_call_says_since_when():
    cells = traffic(faults=[BAD_KEY], noise=0)
    (cause,) = drill(observation(cells), [], ()).causes
    notes = [sentence(note) for note in cause.notes]
    assert "401 InvalidApiKey on every call since 14:08:08" in notes


def test_a_combination_is_named_when_only_it_rose():
    fault = (lambda where: (where.model, where.workspace) == ("qwen-turbo", "llm-b"), SERVER, 0.5, 2)
    cells = traffic(faults=[fault])
    (cause,) = drill(observation(cells), [], ()).causes
    assert cause.where == {"model": "qwen-turbo", "workspace": "llm-b"}
    assert cause.elsewhere_failure_rate < 0.01


def test_everything_alike_is_the_empty_combination():
    cells = traffic(faults=[(lambda _: True, SERVER, 0.4, 3)])
    (cause,) = drill(observation(cells), [], ()).causes
    assert cause.where == {}
    assert cause.elsewhere_failure_rate is None
    assert "everything" in sentence(drill(observation(cells), [], ()).paste)


@pytest.mark.parametrize("seed", range(8))
def test_healthy_traffic_has_no_cause(seed):
    cells = traffic(seed=seed, calls=5 + 10 * seed)
    data = drill(observation(cells), slices(cells, "app"), ("app",))
    assert data.causes == ()
    assert data.paste.id == "drill.paste_nothing"
    assert len(data.rows) == 2


def test_without_a_baseline_elsewhere_is_the_measure():
    cells = traffic(faults=[RATE_LIMITED], baseline=False)
    data = drill(observation(cells, baseline=False), slices(cells, "model"), ("model",))
    assert data.causes[0].where == {"model": "qwen-plus"}
    assert data.causes[0].baseline_failure_rate is None
    assert [row.value for row in data.rows] == ["qwen-plus", "qwen-turbo"]
    assert all(row.baseline is None for row in data.rows)


def test_a_baseline_without_calls_is_none():
    cells = traffic(faults=[RATE_LIMITED], baseline=False)
    assert drill(observation(cells), [], ()).causes[0].where == {"model": "qwen-plus"}


def test_what_lies_between_is_not_counted():
    cells = traffic(faults=[RATE_LIMITED])
    more = [cell("between", 0, PLACES[-1], 5_000, SERVER)]
    assert drill(observation(cells + more), [], ()).causes == drill(observation(cells), [], ()).causes


def test_slow_calls_are_localized_when_nothing_failed():
    cells = [
        one if one.where.model != "qwen-turbo" or one.period != "now" or not one.ok
        else cell("now", (one.bucket_ms - T0) // MINUTE, one.where, one.calls, slow=one.calls * 2 // 3)
        for one in traffic()
    ]  # fmt: skip
    assert telling_dimension(observation(cells)) == "model"
    (cause,) = drill(observation(cells), [], ()).causes
    assert (cause.measure, cause.family, dict(cause.where)) == ("slow", "latency", {"model": "qwen-turbo"})
    assert drill(observation(cells), [], ()).paste.id == "drill.paste_slow"


@pytest.mark.parametrize(("times", "family"), [(6, "traffic_surge"), (0, "traffic_drop")])
def test_demand_is_localized_when_nothing_else_rose(times, family):
    cells = [
        one if one.where.workspace != "llm-c" or one.period != "now"
        else cell("now", (one.bucket_ms - T0) // MINUTE, one.where, one.calls * times)
        for one in traffic(noise=0)
    ]  # fmt: skip
    data = drill(observation([one for one in cells if one.calls]), [], ())
    (cause,) = data.causes
    assert (cause.measure, cause.family, dict(cause.where)) == ("calls", family, {"workspace": "llm-c"})
    assert "workspace llm-c" in sentence(data.paste)
    assert sentence(cause.notes[0])


def test_a_new_workspace_is_a_surge_of_its_own():
    new = [cell("now", minute, PLACES[0]._replace(workspace="llm-new"), 100) for minute in range(15)]
    data = drill(observation(traffic(noise=0) + new), [], ())
    assert data.causes[0].where == {"workspace": "llm-new"}


def test_rows_are_sorted_by_who_explains_the_change():
    cells = traffic(faults=[BAD_KEY, RATE_LIMITED], noise=0)
    data = drill(observation(cells), slices(cells, "app", "model"), ("app", "model"))
    assert data.rows[0].value == "desk × qwen-plus"
    assert data.rows[0].where == {"app": "desk", "model": "qwen-plus"}
    assert sum(row.failure_share for row in data.rows) == pytest.approx(1)
    assert data.rows[-1].failures == 0
    assert data.rows[0].baseline.failure_rate == 0


def test_error_codes_are_compared_by_their_number():
    cells = traffic(faults=[RATE_LIMITED])
    given = [*slices(cells, "error_code"), Slice({"error_code": ""}, 900, 0, 1.0, 5, 900, 0, 1.0)]
    data = drill(observation(cells), given, ("error_code",))
    assert data.rows[0].value == "Throttling.RateQuota"
    assert "" not in [row.value for row in data.rows]
    assert data.rows[0].failure_rate == 1


def test_without_by_the_most_telling_dimension_is_shown():
    cells = traffic(faults=[BAD_KEY])
    one = observation(cells)
    assert telling_dimension(one) == "app"
    data = drill(one, [], ())
    assert data.by == ("app",)
    assert data.rows[0].value == "desk"
    with_p95 = drill(one, slices(cells, "app"), ())
    assert [row.value for row in with_p95.rows] == [row.value for row in data.rows]
    assert with_p95.rows[0].p95_ms == 900


def test_nothing_at_all_is_an_answer():
    data = drill(observation([]), [], ())
    assert (data.rows, data.causes, data.excess_failures) == ((), (), 0)
    assert data.paste.id == "drill.paste_no_calls"


def test_excess_failures_are_those_beyond_the_rate_before():
    place = PLACES[0]
    cells = [cell("before", 0, place, 90), cell("before", 0, place, 10, SERVER)]
    cells += [cell("now", 0, place, 120), cell("now", 0, place, 80, SERVER)]
    assert drill(observation(cells), [], ()).excess_failures == 60


def test_next_commands_carry_cause_filters_and_options_safely():
    evil = "a b'; $(reboot)"
    cells = [
        one._replace(where=one.where._replace(workspace=evil)) if one.where.workspace == "llm-a" else one
        for one in traffic(faults=[(lambda where: where.workspace == "llm-a", QUOTA, 0.5, 1)])
    ]
    data = drill(observation(cells, filters=Filters(app=("shop", "desk"))), [], (), next_options="--log 'x y'")
    assert data.causes[0].where == {"workspace": evil}
    for command in data.next[:2]:
        words = shlex.split(command)
        assert words[0] == "llmops"
        assert evil in words
        assert words.count("--app") == 2
        assert words[-2:] == ["--log", "x y"]
    assert "llmops recover --runbook rate_limit_requests" in data.next


def test_failures_of_many_small_kinds_are_localized_together():
    codes = [KEY, SERVER, QUOTA, (404, "ModelNotFound", "x"), (400, "Arrearage", "x"), (400, "InvalidParameter", "x")]
    desk = [where for where in PLACES if where.app == "desk"]
    cells = traffic(noise=0) + [cell("now", n, where, 1, error) for n, where in enumerate(desk) for error in codes]
    (cause,) = drill(observation(cells), [], ()).causes
    assert cause.where == {"app": "desk"}
    assert cause.family == ""
    assert sentence(drill(observation(cells), [], ()).paste)


def test_the_order_of_cells_does_not_matter():
    cells = traffic(faults=[RATE_LIMITED, BAD_KEY])
    shuffled = random.Random(7).sample(cells, len(cells))
    assert drill(observation(cells), [], ()) == drill(observation(shuffled), [], ())


def test_every_sentence_exists():
    names = (
        "alike every_call code more_codes demand missing additional elsewhere_calls since driver driver_tokens no_driver "
        "ratings paste_failures paste_slow paste_negative paste_demand paste_nothing paste_no_calls"
    )
    assert [name for name in names.split() if phrase(f"drill.{name}") is None] == []


def test_the_way_on_is_not_the_question_that_was_asked():
    cells = traffic(faults=[(lambda where: where.app == "shop", SERVER, 0.5, 1)])
    seen = observation(cells, filters=Filters(app=("shop",)))
    asked = "llmops drill --app shop --by error_code --log app.log"
    assert asked in drill(seen, [], ("model",), next_options="--log app.log").next
    assert asked not in drill(seen, [], ("error_code",), next_options="--log app.log").next


def test_a_dimension_that_the_question_fixed_is_not_proposed():
    """Its table would have one row."""
    cells = [one for one in traffic(faults=[(lambda where: True, SERVER, 0.5, 1)]) if one.where.app == "shop"]
    seen = observation(cells, filters=Filters(app=("shop",), model=("qwen-plus",)))
    assert drill(seen, [], ()).by[0] not in ("app", "model")
