"""Where a picture goes: the terminal, a page, a text, or numbers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.cli.option_types import FilePath
from charrnn.cli.options import Common, as_one, force_option, option
from charrnn.core.errors import InputError, printable
from charrnn.core.overwriting import PAGES, remember_output

if TYPE_CHECKING:
    from charrnn.viz.render.elements import Picture

JsonLines = Callable[[], Iterable[dict[str, Any]]]
"""Returns the objects that --json prints, one per line."""

TEXT = ".txt"
"""Suffix of a text; a name without a suffix is a page."""


@dataclass(frozen=True, slots=True)
class PageTarget:
    """The file that a picture is written to, if any: a page, or a text."""

    output: Path | None
    opens: bool
    force: bool

    def __post_init__(self) -> None:
        name = printable(self.output)
        if self.opens and (self.output is None or self.is_text):
            raise InputError("--open: needs a page to open; name it with -o FILE.html")
        if self.output and self.output.suffix.lower() not in ("", TEXT, *PAGES):
            raise InputError(
                f"-o: {name}: not written; end its name in .html for a page, in .txt for a text"
            )

    @property
    def is_text(self) -> bool:
        """Whether the file is a text, by its name."""
        return self.output is not None and self.output.suffix.lower() == TEXT


to_page = as_one(
    "page", PageTarget,
    option(
        "-o", "--output", type=FilePath(), metavar="FILE.html", group="Output",
        help="Write a page: one HTML file that needs no other files. FILE.txt is written as text.",
    ),
    option("--open", "opens", is_flag=True, group="Output", help="Open the page in a browser."),
    force_option,
)  # fmt: skip


def show(
    page: PageTarget, common: Common, picture: Callable[[], "Picture"], numbers: JsonLines
) -> None:
    """Write a picture as a page or text (-o), as JSON lines (--json), or as text on stdout."""
    from charrnn.core.output import json_line, print_result, stdout_has_colours
    from charrnn.viz.render.html import page_bytes, write_page
    from charrnn.viz.render.plain_text import plain_text, text_bytes

    if page.output is not None and common.as_json:
        raise InputError("-o and --json: cannot be combined; use -o for a page, or --json")
    if page.output is not None:
        write_page(page.output, picture, text_bytes if page.is_text else page_bytes)
        if page.is_text:
            remember_output(page.output)
        print_result(str(page.output))
        if page.opens:
            import webbrowser  # slow to import

            webbrowser.open(page.output.absolute().as_uri())
    elif common.as_json:
        for line in numbers():
            print_result(json_line(line))
    else:  # control characters of the text are escaped already
        print_result(plain_text(picture(), colour=stdout_has_colours()), raw=True)
