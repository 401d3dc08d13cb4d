"""What the editor shows around the text: title, proposals, messages, keys. No terminal is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.utils import get_cwidth

from charrnn.apps.wrapping import rows_of, sign_of
from charrnn.apps.writing import Writing
from charrnn.data.vocab import describe

BAR, CHOSEN, KEY = "class:bar", "class:chosen", "class:key"
STYLES = {"bar": "reverse", "chosen": "reverse", "key": "bold"}
"""Attributes and no colours: readable on any background, and without colours."""

Keys = Sequence[tuple[str, str]]

WRITING: Keys = (
    ("Tab", "propose"),
    ("Ctrl-S", "save"),
    ("Ctrl-Z", "undo"),
    ("Ctrl-Y", "redo"),
    ("Ctrl-T/Ctrl-L", "temperature up/down"),
    ("Ctrl-Q", "quit"),
)
CHOOSING: Keys = (
    ("Up/Down", "choose"),
    ("Enter", "take all"),
    ("Right", "take a word"),
    ("Left", "give it back"),
    ("Tab", "others"),
    ("Shift-Tab", "those before"),
    ("Esc", "none"),
    ("Ctrl-T/Ctrl-L", "temperature"),
)
WAITING: Keys = (("Esc", "cancel"), ("Ctrl-T/Ctrl-L", "temperature up/down"), ("Ctrl-Q", "quit"))
NAMING: Keys = (("Enter", "save"), ("Esc", "back to the text"))
LEAVING: Keys = (
    ("Y", "save and quit"),
    ("N", "quit, lose what is not saved"),
    ("Esc", "back to the text"),
)

MOST_BAR_ROWS = 3

MOST_UNKNOWN = 3
"""Characters that a message names."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Characters outside ASCII, or what stands for them where the terminal has none."""

    line_end: str = "⏎"
    more: str = "…"

    @classmethod
    def of(cls, encoding: str | None) -> "Signs":
        """Return the signs that an encoding has."""
        try:
            "⏎…".encode(encoding or "utf-8")
        except (LookupError, UnicodeEncodeError):
            return cls("/", "...")
        return cls()


def title(name: str, file: str, writing: Writing, width: int) -> str:
    """Return the first line: model, file, temperature; what does not fit is left out."""
    state = "" if writing.draft.is_saved else ", not saved"
    right = f"temperature {writing.temperature:g} "
    left = f" {file or 'new text'}{state}"
    for words in (f"{left}   model {name}", left, f" {file or 'new text'}"):
        if get_cwidth(words) + len(right) < width:
            return words + " " * (width - get_cwidth(words) - len(right)) + right
    return fitted(left, width)


def fitted(text: str, width: int) -> str:
    """Return the part of a text that has a width, filled with blanks."""
    while get_cwidth(text) > width:
        text = text[:-1]
    return text + " " * (width - get_cwidth(text))


def proposals(writing: Writing, width: int, signs: Signs) -> list[list[str]]:
    """Return the rows of each proposal that is shown."""
    shown = []
    for index, text in enumerate(writing.shown):
        line = text.replace("\n", signs.line_end) + " (end of the line)" * (text == "\n")
        rows = rows_of(line, max(4, width - 2))
        parts = [line[a:b] for a, b in pairwise([*rows.starts, len(line)])]
        marks = [" >"[index == writing.chosen] + " ", *["  "] * (len(parts) - 1)]
        shown.append(
            [mark + "".join(map(sign_of, part)) for mark, part in zip(marks, parts, strict=True)]
        )
    return shown


def pane(writing: Writing, width: int, height: int, signs: Signs, name: str) -> StyleAndTextTuples:
    """Return what is under the text: the proposals, or what to do."""
    rows = proposals(writing, width, signs)
    if not rows:
        hint = (
            "The model is reading, and writing proposals" + signs.more
            if writing.request
            else f"Write above. Tab asks the model {name} how the text could continue at the cursor; "
            "nothing enters the text before you take it."
        )
        return [("", "\n".join(wrapped(hint, width)[:height]))]
    first = 0  # of the proposals that fit, so that the chosen one does
    while first < writing.chosen and sum(map(len, rows[first : writing.chosen + 1])) > height:
        first += 1
    lines = [
        (CHOSEN if index == writing.chosen else "", fitted(row, width - 1))
        for index, part in enumerate(rows)
        if index >= first
        for row in part
    ]
    result: StyleAndTextTuples = []
    for style, line in lines[:height]:
        result += [(style, line), ("", "\n")]
    return result[:-1]


def pane_height(writing: Writing, width: int, signs: Signs) -> int:
    """Return the number of rows that the proposals need."""
    return max(writing.count, sum(map(len, proposals(writing, width, signs))))


def wrapped(text: str, width: int) -> list[str]:
    """Return the rows of a line of words."""
    starts = [*rows_of(text, width).starts, len(text)]
    return [text[a:b].rstrip() for a, b in pairwise(starts)]


def message(writing: Writing) -> str:
    """Return what there is to say: what a key came to, or about the proposals."""
    if writing.message:
        return writing.message
    at, of = writing.place
    if writing.unknown and of <= 1:  # said once at a place; then the sets are counted
        names = ", ".join(map(describe, writing.unknown[:MOST_UNKNOWN]))
        more = f" and {len(writing.unknown) - MOST_UNKNOWN} more" * (
            len(writing.unknown) > MOST_UNKNOWN
        )
        return f"The model does not know {names}{more}; it reads the text without."
    return "Proposals" + f", set {at} of {of}" * (of > 1) if writing.shown else ""


def keys_of(writing: Writing) -> Keys:
    """Return the keys that do something now."""
    if writing.shown:
        return CHOOSING
    return WAITING if writing.request else WRITING


def key_lines(keys: Keys, width: int, most: int) -> StyleAndTextTuples:
    """Return keys and what they do, as many as fit into so many rows."""
    rows: list[list[tuple[str, str]]] = [[]]
    used = 0
    for key, what in keys:
        size = len(f" {key} {what} ")
        if used + size > width and rows[-1]:
            rows.append([])
            used = 0
        rows[-1].append((key, what))
        used += size
    result: StyleAndTextTuples = []
    for number, row in enumerate(rows[:most]):
        result += [("", "\n")] if number else []
        for key, what in row:
            result += [("", " "), (KEY, key), ("", f" {what} ")]
    return result


def bar(text: str, width: int) -> StyleAndTextTuples:
    """Return a message on as many rows as it needs, in the colours of a bar."""
    rows = wrapped(text, width - 1)[:MOST_BAR_ROWS]
    return [(BAR, "\n".join(fitted(f" {row}", width) for row in rows))]


def num_rows(fragments: StyleAndTextTuples) -> int:
    """Return the number of rows of a text."""
    return 1 + sum(each[1].count("\n") for each in fragments)
