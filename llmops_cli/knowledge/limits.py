"""The shipped table of rate limits, `rate_limits.tsv`: the last resort after configuration and the live API.

Source: https://help.aliyun.com/zh/model-studio/rate-limit, as of the month in each row. A limit belongs to the main
account × model, summed over all RAM users, workspaces and API keys; it is also enforced per second (RPM/60, TPM/60).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

REGIONS = ("cn-beijing", "ap-southeast-1", "us-east-1")
"""Regions the table knows: mainland China, International (Singapore), and the `-us` models of Virginia."""


@dataclass(frozen=True, slots=True)
class TableLimit:
    """One row. `rpm` counts requests and `tpm` tokens per minute; None where the page does not state them."""

    region: str
    model: str
    rpm: float | None
    tpm: float | None
    note: str
    as_of: str
    source: str

    @property
    def label(self) -> str:
        """Where the limit came from, as every output shows it: "table 2026-05 (cn-beijing)"."""
        return f"table {self.as_of} ({self.region})"


def find_limit(region: str, model: str) -> TableLimit | None:
    """Return the limit of `model` in `region`; None when the table does not have it.

    Only the exact model name counts (case and outer blanks aside): a dated snapshot has far smaller limits than the
    stable name it resembles, so nothing is guessed from a prefix.
    """
    return _table().get((region.strip().lower(), model.strip().lower()))


def table_date(region: str) -> str | None:
    """Return the month ("2026-05") of the newest row of `region`; None for a region that the table does not have."""
    return _dates().get(region.strip().lower())


@cache
def _table() -> Mapping[tuple[str, str], TableLimit]:
    text = resources.files(__package__).joinpath("rate_limits.tsv").read_text(encoding="utf-8")
    table: dict[tuple[str, str], TableLimit] = {}
    for line in text.splitlines()[1:]:
        region, model, rpm, tpm, note, as_of, source = line.split("\t")
        row = TableLimit(region, model, _number(rpm), _number(tpm), note, as_of, source)
        table.setdefault((region, model.lower()), row)
    return table


@cache
def _dates() -> Mapping[str, str]:
    dates: dict[str, str] = {}
    for (region, _), row in _table().items():
        dates[region] = max(row.as_of, dates.get(region, ""))
    return dates


def _number(text: str) -> float | None:
    return float(text) if text else None
