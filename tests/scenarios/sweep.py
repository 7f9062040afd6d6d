"""Ask many made-up logs many ways, as files, and count the answers: `python -m tests.scenarios.sweep --seeds 10 latency`.

Not a test: it is how thresholds are weighed. Each answer whose first incident is not right is printed, then a table.
"""

# ruff: noqa: T201 - printing is what this is for
from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from llmops_cli.demo.scenarios import SCENARIOS
from tests.scenarios.asking import MINUTE, ask, forget, shortcoming, tell, told_as


def main() -> None:
    """Read what to ask, ask it, and print the table: scenario by what was found first, and what was wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--calls", type=int, nargs="*", default=[20_000])
    parser.add_argument("--windows", type=float, nargs="*", default=[5, 15, 120])
    parser.add_argument("--ages", type=float, nargs="*", default=[12, 35])
    parser.add_argument("--hours", type=float, nargs="*", default=[0])
    asked = parser.parse_args()
    first: dict[str, Counter[str]] = {}
    wrong: dict[str, Counter[str]] = {}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.scenarios or SCENARIOS:
            found, bad = first.setdefault(name, Counter()), wrong.setdefault(name, Counter())
            ages = asked.ages if name != "healthy" else asked.ages[:1]
            for calls in asked.calls:
                for seed in range(asked.first, asked.first + asked.seeds):
                    for age in ages:
                        for hour in asked.hours:
                            told = tell(Path(folder), name, seed=seed, age=age, calls=calls, hour=hour)
                            for window in asked.windows:
                                answer = ask(told, window)
                                found[answer.incidents[0].type if answer.incidents else "none"] += 1
                                short = shortcoming(told, answer.incidents, window)
                                bad[short.rstrip("+-0123456789s") if short.startswith("START") else short] += 1
                                if short:
                                    truths = "; ".join(
                                        f"{t.type} {t.scope} {(told.end_ms - t.started_ms) / MINUTE:g}m {t.driver}"
                                        for t in told.truths
                                    )
                                    where = f"{name} seed {seed} calls {calls} age {age:g} hour {hour:g} window {window:g}"
                                    print(f"{where}: {short} [{truths}]", *map(told_as, answer.incidents), sep="\n    ")
                            forget(told)
            asked_s = time.perf_counter() - began
            print(f"{name:18} right {bad['']} of {bad.total()}, first: {dict(found)}, {asked_s:.0f} s", flush=True)
    print(f"\n{'':18} {'right':>6} {'of':>6}  what was wrong")
    for name, bad in wrong.items():
        rest = ", ".join(f"{word} {count}" for word, count in bad.most_common() if word)
        print(f"{name:18} {bad['']:6} {bad.total():6}  {rest}")


if __name__ == "__main__":
    main()
