"""Render elements as one self-contained HTML page."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import numpy as np

from charrnn.core.errors import InputError, escape_controls, printable, reason_of
from charrnn.core.overwriting import PAGE_START
from charrnn.viz.render.colours import (
    ACTIVATION,
    ATTENTION,
    PROBABILITY,
    Levels,
    Scale,
    probability_levels,
)
from charrnn.viz.render.elements import (
    Chart,
    Coloured,
    Element,
    Guesses,
    Heading,
    Link,
    Listing,
    LookBack,
    Picture,
    Remark,
    Rows,
    Stages,
    UnitText,
    bare,
)
from charrnn.viz.render.svg import line_chart

Html = str
"""Markup; all text from users, models and files in it is escaped."""


def page_bytes(picture: Picture) -> bytes:
    """Return a picture as the bytes of an HTML file."""
    return page(picture).encode("utf-8", "backslashreplace")


def page(picture: Picture) -> Html:
    """Return a picture as a complete HTML page."""
    package = files("charrnn.viz.render")
    style, script = (package.joinpath(n).read_text("utf-8") for n in ("page.css", "page.js"))
    title, sections = escape(printable(picture.title)), "\n".join(map(section, picture.elements))
    return (
        f"{PAGE_START}style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        '<div class="bar"><button type="button" id="theme" hidden>theme</button></div>\n'
        f'{sections}\n</main>\n<script type="application/json" id="data">{as_data(picture.data())}'
        f"</script>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def as_data(data: object) -> str:
    """Return JSON that is safe inside a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def section(element: Element) -> Html:
    """Return the markup of one element."""
    match element:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Remark(text, is_main):
            kind = "main" if is_main else "faint"
            return f'<p class="{kind}">{escape(text)}</p>'
        case Link(text, name):
            return f'<p><a href="{quote(os.fsencode(name), safe="")}">{escape(text)}</a></p>'
        case Listing(text):
            return f'<pre dir="auto">{escape(escape_controls(text))}</pre>'
        case Rows(names, rows, numeric, summary):
            shown = table(names, rows, numeric)
            fold = f"<details><summary>{escape(summary)}</summary>{shown}</details>"
            return fold if summary else shown
        case Chart(title, series):
            return line_chart(title, series)
        case Stages(texts):
            return stages(texts)
        case Coloured(glyphs, levels, scale, label):
            return legend(scale) + text_box(glyphs, levels, scale, label)
        case Guesses():
            return (
                legend(element.scale)
                + legend(PROBABILITY)
                + reader(grid(element), "grid", "Text, with guesses for the next character")
            )
        case UnitText(glyphs, units):
            first = next(iter(units.values()))
            box = text_box(glyphs, first, ACTIVATION, "Text coloured by a unit")
            return choice("Unit", list(units)) + legend(ACTIVATION) + box
        case LookBack(glyphs, labels):
            none = np.zeros(len(glyphs), dtype=np.int64)
            box = text_box(glyphs, none, ATTENTION, "Text, with what each character looked at")
            return choice("Head", labels) + legend(ATTENTION) + box


def table(names: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int]) -> Html:
    """Return a table; numeric columns are aligned right."""

    def cells(tag: str, values: Sequence[str]) -> Html:
        marks = (' class="n"' if i in numeric else "" for i in range(len(values)))
        pairs = zip(marks, values, strict=True)
        return "".join(f"<{tag}{mark}>{escape(value)}</{tag}>" for mark, value in pairs)

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    head = f"<thead><tr>{cells('th', names)}</tr></thead>" if names else ""
    return f'<div class="scroll"><table>{head}<tbody>\n{body}</tbody></table></div>'


def stages(texts: Iterable[tuple[str, str]]) -> Html:
    """Return boxes side by side, each with a title and a text."""
    boxes = "".join(
        f'<section class="stage"><strong>{escape(title)}</strong>'
        f'<pre dir="auto">{escape(escape_controls(text))}</pre></section>'
        for title, text in texts
    )
    return f'<div class="stages">{boxes}</div>'


def legend(scale: Scale) -> Html:
    """Return the legend of a scale."""
    boxes = "".join(
        f'<span class="{scale.letter}{level}">{escape(label)}</span>'
        for level, label in enumerate(scale.labels)
    )
    label = escape(f"{scale.name}: {scale.order}")
    return f'<div class="legend" role="img" aria-label="{label}">{escape(scale.name)} {boxes}</div>'


def text_box(glyphs: Sequence[str], levels: Levels, scale: Scale, label: str) -> Html:
    """Return a text with a background colour for each symbol.

    Args:
        glyphs: Glyph of each symbol, (T,); a glyph that ends with a newline ends its line.
        levels: Level of each symbol, (T,).
        scale: How levels are shown.
        label: Description for screen readers.
    """
    letters = (
        f'<i class="{scale.letter}{level}">{escape(bare(glyph))}</i>' + "\n" * glyph.endswith("\n")
        for glyph, level in zip(glyphs, levels.tolist(), strict=True)
    )
    return reader(letters, "text", label, direction="auto")


def reader(symbols: Iterable[Html], kind: str, label: str, direction: str = "ltr") -> Html:
    """Return a text whose symbols readers explore with mouse, finger or keyboard.

    Args:
        symbols: One HTML element per symbol.
        kind: CSS class of the text.
        label: Description for screen readers.
        direction: Value of `dir`; "auto" follows the text.
    """
    return (
        f'<div class="reader"><div class="{kind}" id="text" dir="{direction}" tabindex="0" '
        f'role="application" aria-label="{escape(label)}; arrow keys move from character to character" '
        f'>{"".join(symbols)}</div>\n<div class="now" id="now" aria-live="polite"></div></div>'
    )


def grid(element: Guesses) -> Iterator[Html]:
    """Yield one column per symbol: its glyph, and below it the guesses for the next."""
    steps = probability_levels(element.shares).tolist()
    for t, (glyph, level) in enumerate(zip(element.glyphs, element.levels.tolist(), strict=True)):
        pairs = zip(element.guesses[t], steps[t], strict=True) if t < len(steps) else ()
        cells = "".join(f'<i class="s{step}">{escape(guess)}</i>' for guess, step in pairs)
        yield f'<div><b class="{element.scale.letter}{level}">{escape(bare(glyph))}</b>{cells}</div>'


def choice(name: str, labels: Sequence[str]) -> Html:
    """Return the menu of units or heads; the first one is selected."""
    options = "".join(f"<option>{escape(label)}</option>" for label in labels)
    return (
        f'<div class="bar"><label for="unit">{name}</label>'
        f'<select id="unit" autocomplete="off">{options}</select></div>'
    )


def write_page(
    path: Path,
    picture: Callable[[], "Picture"],
    render: Callable[["Picture"], bytes] = page_bytes,
) -> None:
    """Write a picture as a file, by default as an HTML page.

    Raises:
        InputError: The path is something other than a file, or cannot be written.
    """
    from charrnn.core.files import write_durably

    if path.exists() and not path.is_file():
        raise InputError(f"-o: {printable(path)}: not a file; name another one")
    content = render(picture())
    try:
        write_durably(path.resolve(), content)  # a link stays a link; its target is replaced
    except OSError as error:
        raise InputError(f"-o: {printable(path)}: {reason_of(error)}") from None
