"""Texts of several temperatures side by side on a terminal."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from charrnn.console import escape_text
from charrnn.sampling import Sample
from charrnn.tables import rendered
from charrnn.writing import Checked, Page


def write_columns(
    page: Page, samples: Iterable[Checked], num_samples: int, num_columns: int, *, echo: bool
) -> None:
    """Write the texts of several temperatures side by side: a column each, prompt after prompt."""
    groups: dict[int, list[Sample]] = {}
    for sample, _ in samples:
        prompt = sample.index // (num_samples * num_columns)
        if groups and prompt not in groups:
            page.put(as_columns(groups.popitem()[1], echo=echo).encode("utf-8"))
        groups.setdefault(prompt, []).append(sample)
    for group in groups.values():
        page.put(as_columns(group, echo=echo).encode("utf-8"))


def as_columns(samples: Sequence[Sample], *, echo: bool) -> str:
    """Return the texts of one prompt as a table as wide as the terminal, a column a temperature."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    columns: dict[float, list[Text]] = {}
    for sample in samples:
        text = (sample.prompt if echo else "") + sample.text
        columns.setdefault(sample.temperature, []).append(Text(escape_text(text)))
    table = Table(box=SIMPLE_HEAD, show_edge=False, show_lines=True)
    for temperature in columns:
        table.add_column(f"{temperature:g}", ratio=1, overflow="fold")
    for row in zip_longest(*columns.values(), fillvalue=Text()):
        table.add_row(*row)
    return rendered(table) + "\n"
