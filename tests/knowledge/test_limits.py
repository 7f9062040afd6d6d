"""The shipped table of rate limits."""

import csv
from importlib import resources

import pytest

from llmops_cli.knowledge.limits import REGIONS, find_limit, table_date

with resources.files("llmops_cli.knowledge").joinpath("rate_limits.tsv").open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_every_row_is_found_under_its_own_name():
    assert len(ROWS) > 700
    for row in ROWS:
        limit = find_limit(row["region"], row["model"])
        assert limit is not None
        assert limit.rpm == (float(row["rpm"]) if row["rpm"] else None)
        assert limit.tpm == (float(row["tpm"]) if row["tpm"] else None)
        assert (limit.note, limit.as_of, limit.source) == (row["note"], row["as_of"], row["source"])


def test_no_model_stands_twice_in_a_region():
    names = [(row["region"], row["model"].lower()) for row in ROWS]
    assert len(names) == len(set(names))


def test_a_limit_says_where_it_came_from():
    limit = find_limit("cn-beijing", "qwen-plus")
    assert limit is not None
    assert (limit.rpm, limit.tpm) == (30_000, 5_000_000)
    assert limit.label == "table 2026-05 (cn-beijing)"


def test_the_same_name_has_other_limits_elsewhere():
    beijing, singapore = find_limit("cn-beijing", "qwen-max"), find_limit("ap-southeast-1", "qwen-max")
    assert beijing is not None
    assert singapore is not None
    assert beijing.rpm != singapore.rpm


@pytest.mark.parametrize("model", ["qwen-plus-2031-01-01", "qwen", "", "qwen-plus@llm-x", "QWEN-PLUS\n-x", "模型"])
def test_nothing_is_guessed(model):
    assert find_limit("cn-beijing", model) is None


def test_case_and_outer_blanks_do_not_matter():
    assert find_limit(" CN-Beijing", "Qwen-Plus ") == find_limit("cn-beijing", "qwen-plus")


def test_regions_and_dates():
    assert set(REGIONS) == {row["region"] for row in ROWS}
    for region in REGIONS:
        assert table_date(region) == max(row["as_of"] for row in ROWS if row["region"] == region)
    assert table_date("mars-1") is None
    assert find_limit("mars-1", "qwen-plus") is None
