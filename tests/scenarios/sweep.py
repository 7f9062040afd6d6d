"""Ask many made-up logs, as files, many ways and count the answers: `python -m tests.scenarios.sweep latency --seeds 9`.

Not a test: it is how thresholds are weighed. Each answer whose first incident is not right is printed, then a table.
"""

# ruff: noqa: T201 - printing is what this is for
from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from llmops_cli.demo.scenarios import SCENARIOS
from tests.scenarios.asking import MINUTE, Told, ask, forget, shortcoming, tell, told_as


def main() -> None:
    """Ask, and print the table: scenario by what was found first, and what was wrong with it."""
    asked = _asked()
    found: dict[str, Counter[str]] = {}
    wrong: dict[str, Counter[str]] = {}
    began = time.perf_counter()
    for name in asked.scenarios:
        first, bad = found.setdefault(name, Counter()), wrong.setdefault(name, Counter())
        for where, told in _logs(name, asked):
            for window in asked.windows:
                incidents = ask(told, window).status.incidents
                short = shortcoming(told, incidents, window)
                first[incidents[0].type if incidents else "none"] += 1
                bad[short.split("+")[0].split("-")[0]] += 1
                if short:
                    truths = [f"truth: {t.type} {t.scope} {_ago(told, t.started_ms)} {t.driver}" for t in told.truths]
                    print(f"{where} window {window:g}: {short}", *truths, *map(told_as, incidents), sep="\n    ")
        print(f"{name:18} right {bad['']} of {bad.total()}, {time.perf_counter() - began:.0f} s", flush=True)
    print(f"\n{'':18} {'right':>6} {'of':>6}  found first; what was wrong")
    for name, bad in wrong.items():
        rest = ", ".join(f"{word} {count}" for word, count in bad.most_common() if word)
        kinds = ", ".join(f"{kind} {count}" for kind, count in found[name].most_common())
        print(f"{name:18} {bad['']:6} {bad.total():6}  {kinds}{'; ' * bool(rest)}{rest}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--calls", type=int, nargs="*", default=[20_000])
    parser.add_argument("--windows", type=float, nargs="*", default=[5, 15, 120])
    parser.add_argument("--ages", type=float, nargs="*", default=[12, 35])
    parser.add_argument("--hours", type=float, nargs="*", default=[0], help="later ends; seeds end at all hours anyway")
    return parser.parse_args()


def _logs(name: str, asked: argparse.Namespace) -> Iterator[tuple[str, Told]]:
    """Write one log after the other, and remove it when it has been asked."""
    ages = asked.ages if name != "healthy" else asked.ages[:1]
    seeds = range(asked.first, asked.first + asked.seeds)
    with tempfile.TemporaryDirectory() as folder:
        for calls, seed, age, hour in product(asked.calls, seeds, ages, asked.hours):
            told = tell(Path(folder), name, seed=seed, age=age, calls=calls, hour=hour)
            yield f"{name} seed {seed} calls {calls} age {age:g} hour {hour:g}", told
            forget(told)


def _ago(told: Told, ms: int) -> str:
    return f"{(told.end_ms - ms) / MINUTE:g} min ago"


if __name__ == "__main__":
    main()
