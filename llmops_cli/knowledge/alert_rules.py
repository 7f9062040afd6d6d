"""The alert rules, `alert_rules.toml`: what is watched, over which window, from which level on."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from llmops_cli.evidence import Thresholds

SEVERITIES: Mapping[int, str] = {6: "medium", 8: "high", 10: "critical"}
"""Log Service's numbers of a severity, by name."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a column of the statement with a number: `op` is ">=" or "<="."""

    column: str
    op: Literal[">=", "<="]
    number: float

    def holds(self, value: float | None) -> bool:
        """Tell whether a value passes; none never does."""
        return value is not None and (value >= self.number if self.op == ">=" else value <= self.number)

    @property
    def text(self) -> str:
        """Write it as a condition of Log Service."""
        number = f"{self.number:.6f}".rstrip("0").rstrip(".")
        return f"{self.column} {self.op} {number}"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule with its numbers: `levels` are severities and what each asks for, the gravest first.

    `floor`: what every level asks for besides: enough traffic. `by`: columns whose combinations are alerts of their
    own. It fires when `lasting` evaluations in a row do. `value` is the column that says how bad it is, in `unit`.
    `command` follows `llmops`.
    """

    name: str
    statement: str
    minutes: int
    by: tuple[str, ...]
    runbook: str
    command: str
    value: str
    unit: str
    floor: tuple[Comparison, ...]
    levels: tuple[tuple[int, Comparison], ...]
    lasting: int = 1

    def severity(self, row: Mapping[str, Any]) -> int | None:
        """Give the severity at which a row of the statement fires; None where it does not."""
        if not all(test.holds(row[test.column]) for test in self.floor):
            return None
        return next((severity for severity, test in self.levels if test.holds(row[test.column])), None)


def alert_rules(thresholds: Thresholds) -> tuple[AlertRule, ...]:
    """Give every rule, with the configuration's thresholds filled in."""
    return tuple(_rule(told, thresholds) for told in _file()["rule"])


def core_models() -> tuple[str, ...]:
    """Name the models whose water level is watched where nothing names any."""
    return tuple(_file()["core_models"])


@cache
def _file() -> Mapping[str, Any]:
    text = resources.files(__package__).joinpath("alert_rules.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _rule(told: Mapping[str, Any], thresholds: Thresholds) -> AlertRule:
    floor = {
        name: getattr(thresholds, least) if isinstance(least, str) else least for name, least in told["floor"].items()
    }
    return AlertRule(
        name=told["name"],
        statement=told["statement"],
        minutes=told["minutes"],
        by=tuple(told.get("by", ())),
        runbook=told["runbook"],
        command=told["command"],
        value=told["value"],
        unit=told["unit"],
        floor=tuple(Comparison(name, ">=", least) for name, least in floor.items()),
        lasting=told.get("lasting", 1),
        levels=tuple((level["severity"], _test(level, thresholds)) for level in told["levels"]),
    )


def _test(level: Mapping[str, Any], thresholds: Thresholds) -> Comparison:
    if "at_most" in level:
        return Comparison(level["column"], "<=", level["at_most"])
    if "at_least" in level:
        return Comparison(level["column"], ">=", level["at_least"])
    band, _, side = level["threshold"].partition(".")
    return Comparison(level["column"], ">=", getattr(getattr(thresholds, band), side))
