"""A table -> stdout: aligned on a terminal, tab-separated lines elsewhere."""

import io
import sys
from collections.abc import Sequence

from charrnn.console import is_terminal
from charrnn.errors import printable
from charrnn.writing import print_result


def print_table(
    names: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()
) -> None:
    """Print a table under the names of its columns.

    Args:
        names: Of the columns.
        rows: A text for each column.
        numeric: Columns that are aligned at their right.
    """
    lines = [[printable(cell) for cell in row] for row in (names, *rows)]
    if is_terminal(sys.stdout):
        print_result(aligned(lines, numeric))
    else:
        print_result("\n".join("\t".join(line) for line in lines))


def aligned(lines: Sequence[Sequence[str]], numeric: Sequence[int]) -> str:
    """Return a table as wide as the terminal, the first line its head."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, name in enumerate(lines[0]):
        table.add_column(
            Text(name), justify="right" if place in numeric else "left", overflow="fold"
        )
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    return rendered(table).rstrip("\n")


def rendered(table: object) -> str:
    """Return what rich makes of a table, as wide as the terminal."""
    from rich.console import Console

    page = io.StringIO()
    Console(file=page, color_system=None).print(table)
    return page.getvalue()
