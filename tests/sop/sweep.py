"""Ask many made-up logs many ways and print what was found: `python -m tests.sop.sweep --seeds 10 bad-key latency`.

Not a test: it is how thresholds are tuned. Every line that is not as it should be is printed.
"""

# ruff: noqa: T201 - printing is what this is for
from __future__ import annotations

import argparse
import time
from collections import Counter
from datetime import timedelta

from llmops_cli.demo.scenarios import SCENARIOS, generate
from llmops_cli.evidence import Span
from tests.sop.walking import Log, status

END_MS = 1_752_042_204_748
MINUTE = 60_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--windows", type=float, nargs="*", default=[5, 15, 120])
    parser.add_argument("--ages", type=float, nargs="*", default=[12, 35])
    parser.add_argument("--hours", type=int, nargs="*", default=[0])
    asked = parser.parse_args()
    slowest = 0.0
    for name in asked.scenarios:
        outcome: Counter[str] = Counter()
        for seed in range(asked.first, asked.first + asked.seeds):
            for age in asked.ages:
                for hour in asked.hours:
                    end_ms = END_MS + hour * 3_600_000 + seed * 7_777_777
                    made = generate(name, seed=seed, calls=asked.calls, end_ms=end_ms, age=timedelta(minutes=age))
                    log = Log(made.events)
                    for window in asked.windows:
                        began = time.perf_counter()
                        answer = status(log, Span(end_ms - int(window * MINUTE), end_ms), made.limits)
                        slowest = max(slowest, time.perf_counter() - began)
                        words = compare(made.truths, answer)
                        outcome[words[0]] += 1
                        if words[0] != "right":
                            print(f"{name} seed {seed} +{age:g}m window {window:g}m hour {hour}:", *words)
        print(f"{name:18}", dict(outcome), flush=True)
    print(f"slowest {slowest:.2f} s")


def compare(truths, answer) -> list[str]:
    """One word, and details."""
    found = [
        (i.type, dict(i.scope), i.started_at, i.started_before, i.severity, [dict(d.where) for d in i.drivers])
        for i in answer.incidents
    ]
    told = [f"{t} {s} {at} <{b} {sev} {d}" for t, s, at, b, sev, d in found]
    wanted = {(t.type, tuple(sorted(t.scope.items()))) for t in truths}
    have = {(t, tuple(sorted(s.items()))) for t, s, *_ in found}
    if not wanted <= have:
        return ["MISSED" if not {t for t, _ in wanted} <= {t for t, _ in have} else "SCOPE", str(wanted), *told]
    if have - wanted:
        return ["EXTRA", str(wanted), *told]
    for truth in truths:
        mine = next(f for f in found if f[0] == truth.type and f[1] == truth.scope)
        if mine[2] is None:
            return ["NOSTART", *told]
        off = mine[2].timestamp() - truth.started_ms / 1000
        if abs(off) > 75:
            return ["START", f"{off:+.0f}s", *told]
        if truth.driver and not any(truth.driver.items() <= where.items() for where in mine[5]):
            return ["DRIVER", str(truth.driver), *told]
    return ["right"]


if __name__ == "__main__":
    main()
