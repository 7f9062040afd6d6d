"""Water levels: demand in the busiest minute against the limit, one row for a model or a model in one workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmops_cli.report import Level, QuotaData, QuotaRow, Report
from llmops_cli.views.figures import bar, compact, count, percent
from llmops_cli.views.heading import clock
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.page import STYLES, Page, Piece

LEVELS = (
    Column("water level", least=22),
    Column("busiest minute"),
    Column("state"),
    Column("requests/min", right=True),
    Column("tokens/min", right=True),
    Column("refused", right=True),
    Column("full at"),
    Column("requests/s", right=True),
    Column("tokens/s", right=True),
    Column("mean/min", right=True),
    Column("limit from"),
)
LEVELS_DROP = (
    *("limit from", "mean/min", "tokens/s", "requests/s", "full at", "refused"),
    "tokens/min",
    "requests/min",
)
BAR = 6
STYLED = frozenset({"warning", "critical"})
_LIMITS = ("limits", "dim")
_HOW_TO_SET = 'set rpm and tpm under [profiles.NAME.limits."{model}"] in llmops.toml'
_SHARED = "a workspace without a limit of its own is measured against its account's"


def draw(report: Report, page: Page) -> None:
    """Add the report of `quota` to the page."""
    data: QuotaData = report.data
    page.heading(report)
    page.blank()
    if data.rows:
        levels(page, data.rows)
    else:
        page.prose("no model was called: there is no water level")
    if data.coverage:
        page.blank()
        page.prose(data.coverage)
    sources: dict[str, list[str]] = {}
    for row in data.rows:
        if row.workspace is None:
            sources.setdefault(row.limit_source, []).append(row.model)
        elif not row.limit_source.startswith("account, ") and row.limit_source != "unknown":
            sources.setdefault(row.limit_source, []).append(f"{row.model} in {row.workspace}")
    if known := {one: names for one, names in sources.items() if one != "unknown"}:
        page.prose("; ".join(f"{one} for {_some(names)}" for one, names in known.items()), label=_LIMITS, hang=8)
    if missing := sources.get("unknown"):
        page.prose(f"not known for {_some(missing)}; {_HOW_TO_SET.format(model=missing[0])}", label=_LIMITS, hang=8)
    if any(row.limit_source.startswith("account, ") for row in data.rows):
        page.prose(_SHARED, label="" if sources else _LIMITS, indent=0 if not sources else 8, hang=8)
    if data.next:
        page.blank()
        page.commands(data.next)


def _some(names: Sequence[str], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def levels(page: Page, rows: Sequence[QuotaRow], *, most: int | None = None) -> None:
    """Add the table of water levels.

    With `most`, that many rows: those that are not well first, then the models' totals; what was left out is counted.
    """
    shown = rows
    if most is not None and len(rows) > most:
        ranked = sorted(range(len(rows)), key=lambda n: (rows[n].state not in STYLED, rows[n].workspace is not None, n))
        shown = [rows[n] for n in sorted(ranked[:most])]
    grid(page, LEVELS, list(_rows(_grouped(shown))), drops=LEVELS_DROP)
    if len(shown) < len(rows):
        page.line((f"{len(rows) - len(shown)} more: ", "dim"), ("llmops quota", "cyan"))


def _grouped(rows: Sequence[QuotaRow]) -> list[QuotaRow]:
    """Each model's workspaces right below its total, models in the order in which they first come."""
    models = list(dict.fromkeys(row.model for row in rows))
    return sorted(rows, key=lambda row: (models.index(row.model), row.workspace is not None))


def _rows(rows: Sequence[QuotaRow]) -> Iterator[tuple[Piece, ...]]:
    """Each row under its model; a model whose total is not among the rows gets a line with its name."""
    model = None
    for row in rows:
        if row.workspace is not None and row.model != model:
            yield (row.model, *[""] * (len(LEVELS) - 1))
        model = row.model
        yield _row(row)


def _row(row: QuotaRow) -> tuple[Piece, ...]:
    style = STYLES[row.state] if row.state in STYLED else ""
    name = row.model if row.workspace is None else f"  {row.workspace or '(empty)'}"
    return (
        name,
        (f"{bar(row.level, BAR)} {percent(row.level, 0) if row.level is not None else '?':>6}", style),
        (row.state, style),
        _of(row.rpm),
        _of(row.tpm),
        count(row.throttled) if row.throttled else "",
        "" if row.exhausted_at is None else clock(row.exhausted_at)[:5],
        _of(row.rps),
        _of(row.tps),
        " / ".join(compact(level.mean) for level in (row.rpm, row.tpm) if level.mean is not None),
        row.limit_source,
    )


def _of(level: Level) -> str:
    return f"{compact(level.peak)} of {'?' if level.limit is None else compact(level.limit)}"
