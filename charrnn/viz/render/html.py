"""Render elements as one self-contained HTML page."""

import json
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from charrnn.core.errors import InputError, escape_controls, printable, reason_of
from charrnn.viz.render.colours import ACTIVATION, PROBABILITY, Levels, Scale, probability_levels
from charrnn.viz.render.elements import (
    Chart,
    Coloured,
    Element,
    Guesses,
    Heading,
    Listing,
    Picture,
    Remark,
    Rows,
    Stages,
    UnitText,
    bare,
)
from charrnn.viz.render.svg import line_chart

Html = str
"""Markup; whatever comes from a text or a file went through `escape`."""


def page_bytes(picture: Picture) -> bytes:
    """Return a picture as the content of a file."""
    return page(picture).encode("utf-8", "backslashreplace")


def page(picture: Picture) -> Html:
    """Return a picture as a whole page."""
    package = files("charrnn.viz.render")
    style, script = (package.joinpath(n).read_text("utf-8") for n in ("page.css", "page.js"))
    title, sections = escape(printable(picture.title)), "\n".join(map(section, picture.elements))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        '<div class="bar"><button type="button" id="theme" hidden>theme</button></div>\n'
        f'{sections}\n</main>\n<script type="application/json" id="data">{as_data(picture.data())}'
        f"</script>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def as_data(data: object) -> str:
    """Return JSON that no page reads as markup."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def section(element: Element) -> Html:
    """Return one part of a page."""
    match element:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Remark(text, is_main):
            kind = "main" if is_main else "faint"
            return f'<p class="{kind}">{escape(text)}</p>'
        case Listing(text):
            return f"<pre>{escape(escape_controls(text))}</pre>"
        case Rows(names, rows, numeric, summary):
            shown = table(names, rows, numeric)
            fold = f"<details><summary>{escape(summary)}</summary>{shown}</details>"
            return fold if summary else shown
        case Chart(title, series):
            return line_chart(title, series)
        case Stages(texts):
            return stages(texts)
        case Coloured(signs, levels, scale, label):
            return legend(scale) + text_box(signs, levels, scale, label)
        case Guesses():
            return (
                legend(element.scale)
                + legend(PROBABILITY)
                + reader(grid(element), "grid", "Text and guesses for the next")
            )
        case UnitText(signs, units):
            first = next(iter(units.values()))
            box = text_box(signs, first, ACTIVATION, "Text coloured by a unit")
            return unit_choice(list(units)) + legend(ACTIVATION) + box


def table(names: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int]) -> Html:
    """Return a table; columns of numbers are aligned at their right."""

    def cells(tag: str, values: Sequence[str]) -> Html:
        marks = (' class="n"' if place in numeric else "" for place in range(len(values)))
        pairs = zip(marks, values, strict=True)
        return "".join(f"<{tag}{mark}>{escape(value)}</{tag}>" for mark, value in pairs)

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    head = f"<thead><tr>{cells('th', names)}</tr></thead>" if names else ""
    return f'<div class="scroll"><table>{head}<tbody>\n{body}</tbody></table></div>'


def stages(texts: Iterable[tuple[str, str]]) -> Html:
    """Return texts side by side."""
    boxes = "".join(
        f'<section class="stage"><strong>{escape(title)}</strong>'
        f"<pre>{escape(escape_controls(text))}</pre></section>"
        for title, text in texts
    )
    return f'<div class="stages">{boxes}</div>'


def legend(scale: Scale) -> Html:
    """Return what the levels of a scale mean."""
    boxes = "".join(
        f'<span class="{scale.letter}{level}">{escape(label)}</span>'
        for level, label in enumerate(scale.labels)
    )
    label = escape(f"{scale.name}: {scale.order}")
    return f'<div class="legend" role="img" aria-label="{label}">{escape(scale.name)} {boxes}</div>'


def text_box(signs: Sequence[str], levels: Levels, scale: Scale, label: str) -> Html:
    """Return a text whose characters are coloured by levels.

    Args:
        signs: What each symbol looks like, (T,); with a newline behind it where a line ends.
        levels: Of each symbol, (T,).
        scale: How levels are shown.
        label: What it is, for those who do not see it.
    """
    letters = (
        f'<i class="{scale.letter}{level}">{escape(bare(sign))}</i>' + "\n" * sign.endswith("\n")
        for sign, level in zip(signs, levels.tolist(), strict=True)
    )
    return reader(letters, "text", label)


def reader(symbols: Iterable[Html], kind: str, label: str) -> Html:
    """Return a text that one reads with mouse, finger or keys, each symbol an element of its own.

    Args:
        symbols: An element each.
        kind: Its class.
        label: What it is, for those who do not see it.
    """
    return (
        f'<div class="reader"><div class="{kind}" id="text" tabindex="0" role="application" '
        f'aria-label="{escape(label)}; arrow keys move from character to character" '
        f'>{"".join(symbols)}</div>\n<div class="now" id="now" aria-live="polite"></div></div>'
    )


def grid(part: Guesses) -> Iterator[Html]:
    """Yield a column for each symbol: itself, and the guesses for the next."""
    steps = probability_levels(part.shares).tolist()
    for t, (sign, level) in enumerate(zip(part.signs, part.levels.tolist(), strict=True)):
        pairs = zip(part.guesses[t], steps[t], strict=True) if t < len(steps) else ()
        cells = "".join(f'<i class="s{step}">{escape(guess)}</i>' for guess, step in pairs)
        yield f'<div><b class="{part.scale.letter}{level}">{escape(bare(sign))}</b>{cells}</div>'


def unit_choice(labels: Sequence[str]) -> Html:
    """Return what one chooses a unit with; the first one is shown."""
    options = "".join(f"<option>{escape(label)}</option>" for label in labels)
    return (
        '<div class="bar"><label for="unit">Unit</label>'
        f'<select id="unit" autocomplete="off">{options}</select></div>'
    )


def write_page(path: Path, picture: Callable[[], "Picture"]) -> None:
    """Write a picture as a page.

    Raises:
        InputError: The file is something else, or cannot be written.
    """
    from charrnn.core.files import write_durably

    check_page(path)
    html = page_bytes(picture())
    try:
        write_durably(path.resolve(), html)  # of a link, what it leads to
    except OSError as error:
        raise InputError(f"-o: {printable(path)}: {reason_of(error)}") from None


def check_page(path: Path) -> None:
    """Refuse to put a page in the place of something else, such as the text that it shows.

    Raises:
        InputError: There is a file that is no page.
    """
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        is_page = is_file and first_bytes(path) in (b"<!doctype html>", b"")
    except (OSError, ValueError):
        return  # there is none, or writing says what is wrong
    if not is_page:
        raise InputError(f"-o: {printable(path)}: is there, and is no page; name another file")


def first_bytes(path: Path) -> bytes:
    """Return how a file begins, in small letters."""
    with path.open("rb") as file:
        return file.read(15).lower()
