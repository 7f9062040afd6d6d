"""Default thresholds, each with the reason for its number, and how much evidence a rule needs before it may fire.

A profile's `[profiles.NAME.thresholds]` overrides the first; the minima are constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from llmops_cli.evidence import Thresholds

DEFAULT_THRESHOLDS = Thresholds()
"""The numbers stand in `evidence.Thresholds`; why they are so stands in `THRESHOLD_SOURCES`."""

THRESHOLD_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "failure_rate": "SRE practice: 1 % failed calls eats a 99 % objective, 5 % is felt by every twentieth user",
        "p95_ms": "interactive chat: after 5 s readers doubt, after 15 s gateways and users give up",
        "water_level": "headroom: 70 % leaves time for an expansion request, at 90 % the next burst is refused",
        "negative_rate": "one rating in twenty is a trend worth reading, one in seven is a broken answer",
        "min_calls": "below 20 calls one failure moves the rate by 5 points or more",
    }
)

CONFIDENCE_Z = 1.96
"""Normal quantile of the bound on a rate (two-sided 95 %): a rule fires on the Wilson lower bound, not on the rate."""

MIN_FAILURES = 5
"""Fewer failures of one family than this are shown, never an incident."""

MIN_RATINGS = 10
"""Fewer ratings than this say nothing about a negative rate."""

MIN_RISE = 2.0
"""A rate or a latency has to grow by this factor over a healthy baseline to count as a change."""

BACKGROUND_RATE = 0.005
"""Failures of one family that are always there: up to 0.5 % of the calls never page (0.3 % is an ordinary day)."""

APPLICATION_CEILING = 0.2
"""Steady failures that the caller's own input causes (moderation, length, parameters) are too many from here on."""

MASSIVE_RATE = 0.3
"""Such failures are critical only when nearly every third call of all is hit."""

NEARLY_DOWN = 0.75
"""A scope that fails this often, with confidence, is down: critical however small its part of the traffic is."""

LEAST_LASTING_MS = 10_000
"""Failures within fewer ms are a blip that is over before anyone can look, or one trace with its retries."""

LEAST_SPREAD_MS = 60_000
"""Failures of all kinds together are a state, not an event: they have to be spread over a minute at least."""

USUAL_SLOW_SHARE = 0.05
"""By definition, this share of the baseline's answers is slower than its p95."""

SLOW_SHARE = 0.15
"""Three times the usual share of slow answers: below it, latency drifts with the hours and the length of answers."""

LATENCY_DISPERSION = 2.0
"""Slow answers come together (one busy backend, one long prompt template): so much less does each of them prove."""

LONGER_ANSWERS = 1.4
"""Answers that became longer by this factor explain a latency that rose alike."""

DROP_RATIO = 0.4
"""A drop leaves at most this part of the calls; less than that is an ordinary evening."""

SURGE_RATIO = 3.0
"""A surge is at least so many times the calls of before."""

SURGE_SHARE = 0.5
"""A surge adds at least half of all calls of before: a small job that starts is none."""

ABRUPT_DROP = 0.5
"""A change halves (or doubles) what was right before it; a slope of the day does not."""

LEAST_EXPECTED = 30.0
"""Fewer expected calls than this do not show that calls are missing."""

TRAFFIC_LASTING_MS = 60_000
"""A gap shorter than a minute is a slow log writer, a pause, or chance."""

TRAFFIC_DISPERSION = 2.0
"""Variance over mean that traffic has at least: users act in clumps, agents call several times."""

LEAST_RISE = 0.15
"""Demand that rose by less than this part has no driver."""

DRIVER_SHARE = 0.5
"""A driver brings at least half of a rise."""

OUTGROWN = 1.3
"""And grows by this factor more than the rest; else everyone's demand rose alike."""

OUTGROWN_Z = 3.0
"""With so many standard deviations between the two: a dozen candidates are compared."""

TREND_LEAST_POINTS = 6
"""Fewer minutes than this show no trend."""

TREND_Z = 3.0
"""Normal quantile that Mann–Kendall's test must reach: one window in about 700 rises so by chance."""

TREND_WINDOWS = 10
"""A trend is continued for at most so many windows: nobody knows demand further ahead than that."""

TREND_HORIZON_MS = 86_400_000
"""And for at most a day."""
