"""Numbers, durations and little pictures as a tired reader takes them in. Plain strings; no rich."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"

ASCII = str.maketrans(
    {
        **dict(zip(BLOCKS, "_.-:=+*#", strict=True)),
        **dict.fromkeys("▉▊▋▌", "="),
        **dict.fromkeys("▍▎▏", "-"),
        "…": "~",
        "–": "-",
        "·": "|",
        "×": "x",
        "├": "|",
        "└": "`",
        "│": "|",
        "─": "-",
        "—": "-",
        "→": ">",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "≥": ">",
        "≤": "<",
        "−": "-",
        "±": "~",
    }
)
"""One ASCII character for each typographic one of ours, so that columns stay where they are."""


def count(number: float) -> str:
    """`3641` → `3,641`."""
    return f"{number:,.0f}"


def compact(number: float) -> str:
    """Three significant digits: `212345` → `212 k`, `5000000` → `5 M`; below 10,000 all digits."""
    if abs(number) < 10_000:
        if number == round(number) or abs(number) >= 100:
            return count(number)
        return f"{number:.3g}" if abs(number) >= 10 else f"{number:.2g}"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size * 0.9995:
            scaled = number / size
            digits = 0 if abs(scaled) >= 99.95 else 1 if abs(scaled) >= 9.995 else 2
            text = f"{scaled:,.{digits}f}"
            return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {unit}"
    return count(number)


def percent(fraction: float | None, digits: int = 1) -> str:
    """`0.124` → `12.4 %`. What is not zero never reads as zero, and what is not all never reads as 100 %."""
    if fraction is None or not math.isfinite(fraction):
        return "–"
    if fraction in {0, 1}:
        return f"{fraction:.0%}"[:-1] + " %"
    least = 10.0**-digits
    if 0 < fraction * 100 < least / 2:
        return f"<{least:g} %"
    if 100 - least / 2 <= fraction * 100 < 100:
        return f">{100 - least:g} %"
    return f"{fraction * 100:,.{digits}f} %"


def milliseconds(ms: float | None) -> str:
    """`2914` → `2,914 ms`; from 100 s on in seconds or minutes."""
    if ms is None or not math.isfinite(ms):
        return "–"
    return f"{ms:,.0f} ms" if abs(ms) < 100_000 else timespan(ms)


def timespan(ms: float) -> str:
    """Return a duration as people say it: `38 ms`, `8.1 s`, `12 min`, `1 h 30 min`, `502 d`."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 59.5:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours and days < 7 else f"{days} d"


def change(now: float | None, before: float | None) -> str:
    """How `now` compares with `before`: `+25 %`, `-3 %`, `×41`, `new`; empty when there is nothing to compare."""
    if now is None or before is None:
        return ""
    if before == 0:
        return "new" if now else ""
    ratio = now / before
    if ratio >= 2:
        return f"×{ratio:,.0f}" if ratio >= 9.95 else f"×{ratio:.1f}".removesuffix(".0")
    points = round((ratio - 1) * 100)
    return f"{points:+d} %" if points else "same"


def whole(part: float, share: float) -> float | None:
    """Return a sum over `share` of some time as it would be over all of it; None when nothing was covered."""
    return part / share if share > 0 else None


def sparkline(values: Sequence[float | None], *, calm: bool = False) -> str:
    """One block per value, from zero to the largest; a blank where nothing is known.

    The scale starts at zero: a dip from 100 to 98 is no drama. Zero is the lowest block. `calm` gives twice the median
    room at least, so that what does not change stays at half height.
    """
    known = sorted(value for value in values if value is not None and math.isfinite(value))
    top = max(known, default=0.0)
    if calm and known:
        top = max(top, 2 * known[len(known) // 2])
    return "".join(_block(value, top) for value in values)


def _block(value: float | None, top: float) -> str:
    if value is None or not math.isfinite(value):
        return " "
    if value <= 0 or top <= 0:
        return BLOCKS[0]
    return BLOCKS[min(len(BLOCKS) - 1, max(1, math.ceil(value / top * len(BLOCKS)) - 1))]


def bar(level: float | None, cells: int = 10) -> str:
    """Return a water level: `cells` blocks are 100 %; what is above 100 % is left to the number beside it."""
    if level is None or not math.isfinite(level):
        return " " * cells
    eighths = round(max(0.0, min(level, 1.0)) * cells * 8)
    if level > 0:
        eighths = max(eighths, 1)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(cells)


def shares(sizes: int, cells: int) -> list[tuple[int, int]]:
    """Index ranges that put `sizes` points into at most `cells` groups of equal length, the last one maybe shorter."""
    if sizes <= 0 or cells <= 0:
        return []
    step = -(-sizes // cells)
    return [(start, min(start + step, sizes)) for start in range(0, sizes, step)]
