"""Water levels: demand in the busiest minute against the limit, one row for a model or a model in one workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmops_cli.report import QuotaData, QuotaRow, Report
from llmops_cli.views.figures import bar, compact, count, percent
from llmops_cli.views.heading import clock, note_texts
from llmops_cli.views.saying import of_limit
from llmops_cli.views.table.grid import Column, grid
from llmops_cli.views.table.page import STYLES, Page, Piece
from llmops_cli.views.words import joined, listed, place, source, term, told, valued

LEVELS = (
    Column("water_level", least=22),
    Column("busiest_minute"),
    Column("state"),
    Column("requests_min", right=True),
    Column("tokens_min", right=True),
    Column("refused", right=True),
    Column("full_at"),
    Column("requests_s", right=True, detail=True),
    Column("tokens_s", right=True, detail=True),
    Column("mean_min", right=True, detail=True),
    Column("limit_from", detail=True),
)
LEVELS_DROP = ("limit_from", "mean_min", "tokens_s", "requests_s", "full_at")
BAR = 4
STYLED = frozenset({"warning", "critical"})


def draw(report: Report, page: Page) -> None:
    """Add the report of `quota` to the page."""
    data: QuotaData = report.data
    page.heading(report)
    page.blank()
    if data.rows:
        levels(page, data.rows)
    else:
        page.prose(page.word("view.no_level"))
    if data.coverage:
        page.blank()
        page.prose(told(data.coverage, page.lang))
    page.notes(note_texts(data.notes, page.lang))
    _sources(page, data.rows)
    if data.next:
        page.blank()
        page.commands(data.next)


def _sources(page: Page, rows: Sequence[QuotaRow]) -> None:
    """Say where the limits come from, how to set those that are not known, and what a share is a share of."""
    sources: dict[str, list[str]] = {}
    shared = False
    for row in rows:
        if row.workspace is None or row.limit_source != "unknown":
            shared = shared or row.limit_source.startswith("account, ")
            if not row.limit_source.startswith("account, "):
                sources.setdefault(row.limit_source, []).append(place(row.model, row.workspace, page.lang))
    missing = sources.pop("unknown", [])
    said = [
        page.word("view.limits_from", source=source(one, page.lang), models=_some(names, page))
        for one, names in sources.items()
    ]
    texts = [joined(said, page.lang)] if said else []
    if missing:
        texts.append(page.word("view.limits_missing", models=_some(missing, page), model=missing[0]))
    if shared:
        texts.append(page.word("view.limits_shared"))
    for number, text in enumerate(texts):
        page.prose(text, label=(page.word("label.limits") if number == 0 else "", "dim"), hang=8)


def _some(names: Sequence[str], page: Page, most: int = 4) -> str:
    shown, rest = listed(names[:most], page.lang), len(names) - most
    return page.word("view.and_more", items=shown, count=rest) if rest > 0 else shown


def levels(page: Page, rows: Sequence[QuotaRow], *, most: int | None = None, more: str = "") -> None:
    """Add the table of water levels.

    With `most`, that many rows: those that are not well first, then the models' totals; what was left out is counted,
    and `more` is the command that shows it.
    """
    shown = rows
    if most is not None and len(rows) > most:
        ranked = sorted(range(len(rows)), key=lambda n: (rows[n].state not in STYLED, rows[n].workspace is not None, n))
        shown = [rows[n] for n in sorted(ranked[:most])]
    grid(page, LEVELS, list(_rows(_grouped(shown), page.lang)), drops=(*LEVELS_DROP, *_halves(shown)))
    if len(shown) < len(rows):
        said = page.word("view.more_by", count=len(rows) - len(shown))
        page.line((said, "dim"), " ", (more or "llmops quota", "cyan"))


def _halves(rows: Sequence[QuotaRow]) -> tuple[str, ...]:
    """Return what else a narrow terminal does without: where calls are refused, the half that is not the reason."""
    rpm, tpm = (max((getattr(row, half).level or 0.0 for row in rows), default=0.0) for half in ("rpm", "tpm"))
    more, less = ("requests_min", "tokens_min") if rpm >= tpm else ("tokens_min", "requests_min")
    return (less, "refused", more) if any(row.throttled for row in rows) else ("refused", "tokens_min", "requests_min")


def _grouped(rows: Sequence[QuotaRow]) -> list[QuotaRow]:
    """Each model's workspaces right below its total, models in the order in which they first come."""
    models = list(dict.fromkeys(row.model for row in rows))
    return sorted(rows, key=lambda row: (models.index(row.model), row.workspace is not None))


def _rows(rows: Sequence[QuotaRow], lang: str) -> Iterator[tuple[Piece, ...]]:
    """Each row under its model; a model whose total is not among the rows gets a line with its name."""
    model = None
    for row in rows:
        if row.workspace is not None and row.model != model:
            yield (row.model, *[""] * (len(LEVELS) - 1))
        model = row.model
        yield _row(row, lang)


def _row(row: QuotaRow, lang: str) -> tuple[Piece, ...]:
    style = STYLES[row.state] if row.state in STYLED else ""
    name = row.model if row.workspace is None else f"  {valued(row.workspace, lang)}"
    return (
        name,
        (f"{bar(row.level, BAR)} {percent(row.level, 0) if row.level is not None else '?':>6}", style),
        (term("severity", row.state, lang), style),
        of_limit(row.rpm, lang),
        of_limit(row.tpm, lang),
        count(row.throttled) if row.throttled else "",
        "" if row.exhausted_at is None else clock(row.exhausted_at)[:5],
        of_limit(row.rps, lang),
        of_limit(row.tps, lang),
        " / ".join(compact(level.mean) for level in (row.rpm, row.tpm) if level.mean is not None),
        source(row.limit_source, lang),
    )
