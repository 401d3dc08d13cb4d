"""A picture as one HTML file: no network, no server, readable without scripts. Text is data."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

Html = str
"""Markup; whatever comes from a text or a file went through `escape`."""


def page(title: str, sections: Iterable[Html], data: object = None) -> str:
    """Return a whole page.

    Args:
        title: Its heading, any text.
        sections: What it shows.
        data: For the script: what is said of a character, and how units colour it.
    """
    package = files("charrnn")
    style, script = (package.joinpath(n).read_text("utf-8") for n in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        '<div class="bar"><button type="button" id="theme">light or dark</button></div>\n'
        + "\n".join(sections)
        + f'\n</main>\n<script type="application/json" id="data">{as_data(data)}</script>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def as_data(data: object) -> str:
    """Return JSON that no page reads as markup."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def text_box(signs: Sequence[str], levels: Sequence[int], kind: str, label: str) -> Html:
    """Return a text whose characters are coloured by levels.

    Args:
        signs: What each symbol looks like; ↵ ends a line.
        levels: 0 to 8 each.
        kind: s for a sequential scale, d for one that diverges.
        label: What it is, for those who do not see it.
    """
    letters = "".join(
        f'<i class="{kind}{level}">{escape(sign)}</i>' + ("\n" if sign == "↵" else "")
        for sign, level in zip(signs, levels, strict=True)
    )
    return (
        f'<div class="reader"><div class="text" id="text" tabindex="0" role="application" '
        f'aria-label="{escape(label)}; arrow keys move from character to character" '
        f'aria-describedby="now">{letters}</div>\n<div class="now" id="now" aria-live="polite">'
        "Point at a character, or move with the arrow keys.</div></div>"
    )


def legend(kind: str, labels: Sequence[str]) -> Html:
    """Return what the nine levels of a scale mean."""
    boxes = "".join(
        f'<span class="{kind}{level}">{escape(label)}</span>' for level, label in enumerate(labels)
    )
    return f'<div class="legend" aria-hidden="true">{boxes}</div>'


def unit_choice(labels: Sequence[str]) -> Html:
    """Return what one chooses a unit with; the first one is shown."""
    options = "".join(f"<option>{escape(label)}</option>" for label in labels)
    return (
        f'<div class="bar"><label for="unit">Unit</label><select id="unit">{options}</select></div>'
    )


def paragraph(text: str) -> Html:
    """Return a remark."""
    return f'<p class="faint">{escape(text)}</p>'


def heading(text: str) -> Html:
    """Return the heading of a part of a page."""
    return f"<h2>{escape(text)}</h2>"


def table(names: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> Html:
    """Return a table; columns of numbers are aligned at their right."""

    def cells(tag: str, values: Sequence[str]) -> Html:
        marks = (' class="n"' if place in numeric else "" for place in range(len(values)))
        pairs = zip(marks, values, strict=True)
        return "".join(f"<{tag}{mark}>{escape(value)}</{tag}>" for mark, value in pairs)

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    head = f"<thead><tr>{cells('th', names)}</tr></thead>" if any(names) else ""
    return f'<div class="scroll"><table>{head}<tbody>\n{body}</tbody></table></div>'
