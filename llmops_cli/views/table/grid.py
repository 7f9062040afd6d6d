"""Aligned columns that know how to become narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from llmops_cli.views.table.page import Page, Piece, padded, shortened

COMFORT = 40
"""Cells that a column of logged values gets before any other column is dropped for it."""

ROOMY = 100
"""Cells from which a terminal shows what explains rather than tells."""

GAP = 2
"""Cells between columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its side, and whether its values may be shortened with `…` down to `least` cells.

    Its heading is what its name is called (table `column` of the sentences), unless `title` says it. `detail` is for
    pipes and for terminals of `ROOMY` cells.
    """

    name: str
    right: bool = False
    least: int | None = None
    title: str | None = None
    detail: bool = False

    def heading(self, page: Page) -> str:
        """Return the heading in the page's language; a column without a name has none."""
        if self.title is not None or not self.name:
            return self.title or ""
        return page.word(f"column.{self.name}")


def grid(
    page: Page,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Piece]],
    *,
    drops: Sequence[str] = (),
    indent: int = 0,
    headings: bool = True,
) -> None:
    """Add a table to the page.

    On a terminal that is too narrow, values of logged text are brought to `COMFORT` cells, then the columns named in
    `drops` go, first named first, then logged text shrinks to its least. On a pipe everything keeps its natural width.
    """
    table = [[cell if isinstance(cell, tuple) else (cell, "") for cell in row] for row in rows]
    terse = page.terminal and page.width < ROOMY
    filled = [
        n for n, one in enumerate(columns) if any(row[n][0].strip() for row in table) and not (terse and one.detail)
    ]
    titles = [column.heading(page) for column in columns]
    widths = {n: max([cell_len(row[n][0]) for row in table] + [cell_len(titles[n]) * headings]) for n in filled}
    if page.terminal:
        _fit(widths, columns, drops, page.width - indent)
    if headings:
        _row(page, columns, widths, [(title, "dim") for title in titles], indent)
    for row in table:
        _row(page, columns, widths, row, indent)


def _fit(widths: dict[int, int], columns: Sequence[Column], drops: Sequence[str], room: int) -> None:
    def excess() -> int:
        return sum(widths.values()) + GAP * (len(widths) - 1) - room

    if excess() > 0:
        _shrink(widths, columns, COMFORT, excess())
    for name in drops:
        if excess() <= 0:
            return
        for number in [n for n in widths if columns[n].name == name]:
            del widths[number]
    if excess() > 0:
        _shrink(widths, columns, 0, excess())


def _shrink(widths: dict[int, int], columns: Sequence[Column], floor: int, excess: int) -> None:
    """Take `excess` cells from the widest shrinkable columns, none below its least or `floor`."""
    while excess > 0:
        able = [n for n in widths if (least := columns[n].least) is not None and widths[n] > max(least, floor)]
        if not able:
            return
        widths[max(able, key=lambda n: widths[n])] -= 1
        excess -= 1


def _row(
    page: Page, columns: Sequence[Column], widths: dict[int, int], cells: Sequence[tuple[str, str]], indent: int
) -> None:
    pieces: list[Piece] = [" " * indent]
    for number, width in widths.items():
        text, style = cells[number]
        pieces += [(padded(shortened(text, width), width, right=columns[number].right), style), " " * GAP]
    page.line(*pieces[:-1])
