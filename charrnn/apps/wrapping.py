"""Lines of a text as a screen shows them: wrapped between words, with control characters escaped."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.utils import get_cwidth

from charrnn.core.errors import SHOWN_ESCAPED, escape

TAB = "    "


def sign_of(character: str) -> str:
    """Return how a character is shown; a terminal obeys no control character."""
    if character == "\t":
        return TAB
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return escape(character) if SHOWN_ESCAPED.match(character) else character


@dataclass(frozen=True, slots=True)
class Rows:
    """A line on a screen."""

    shown: str
    """What is printed: rows that another one follows are filled with blanks."""
    offsets: tuple[int, ...]
    """Where each character of the line, and its end, is in what is printed."""
    starts: tuple[int, ...]
    """Index of the first character of each row."""
    columns: tuple[int, ...]
    """Column of each character, and of the end, in its row."""

    def row_of(self, index: int) -> int:
        """Return the row that a character of the line is in."""
        return bisect_right(self.starts, index) - 1

    def nearest(self, row: int, column: int) -> int:
        """Return the index in a row that is at a column, or the last one before it."""
        first = self.starts[row]
        is_last = row + 1 == len(self.starts)
        end = len(self.columns) - 1 if is_last else self.starts[row + 1] - 1
        return max(first, first + bisect_right(self.columns[first : end + 1], column) - 1)


@lru_cache(maxsize=512)
def rows_of(line: str, width: int) -> Rows:
    """Return a line wrapped for a window; its last column is left to the cursor.

    A blank that does not fit is not shown; a word longer than a row is broken.
    """
    signs = [sign_of(each) for each in line]
    widths = [get_cwidth(each) for each in signs]
    starts, begin, x, most = [0], 0, 0, max(1, width - 1)
    for i, wide in enumerate(widths):
        if line[i] == " ":
            begin = i + 1
        elif wide > 1:  # of a script without blanks
            begin = i
        if x + wide > most and line[i] == " ":
            signs[i], widths[i], wide = "", 0, 0
        elif x + wide > most and i > starts[-1]:
            starts.append(begin if begin > starts[-1] else i)
            x = sum(widths[starts[-1] : i])
        x += wide
    return placed(signs, widths, starts, width)


def placed(signs: list[str], widths: list[int], starts: list[int], width: int) -> Rows:
    """Return the rows of a line that begin at some of its characters."""
    shown, length, x = [], 0, 0
    offsets, columns, firsts = [], [], set(starts[1:])
    for i, (sign, wide) in enumerate(zip(signs, widths, strict=True)):
        if i in firsts:
            shown.append(" " * max(0, width - x))
            length, x = length + max(0, width - x), 0
        offsets.append(length)
        columns.append(x)
        shown.append(sign)
        length, x = length + len(sign), x + wide
    return Rows("".join(shown), (*offsets, length), tuple(starts), (*columns, x))


def line_at(text: str, index: int) -> tuple[int, str]:
    """Return where the line of a text that an index is in starts, and the line."""
    start, end = text.rfind("\n", 0, index) + 1, text.find("\n", index)
    return start, text[start:] if end < 0 else text[start:end]


def row_ends(text: str, cursor: int, width: int) -> tuple[int, int]:
    """Return the first and the last index of the row that the cursor is in."""
    start, line = line_at(text, cursor)
    rows = rows_of(line, width)
    row = rows.row_of(cursor - start)
    return start + rows.starts[row], start + rows.nearest(row, width)


def vertical(
    text: str, cursor: int, by: int, width: int, column: int | None = None
) -> tuple[int, int]:
    """Return the cursor one row above or below, and the column that it keeps.

    Args:
        text: The whole text.
        cursor: Index of the cursor.
        by: -1 or 1.
        width: Width of the window.
        column: Column that was kept before; None for that of the cursor.
    """
    start, line = line_at(text, cursor)
    rows = rows_of(line, width)
    column = rows.columns[cursor - start] if column is None else column
    row = rows.row_of(cursor - start) + by
    if not 0 <= row < len(rows.starts):
        other = start - 1 if by < 0 else start + len(line) + 1  # in the line above or below
        if not 0 <= other <= len(text):
            return (0 if by < 0 else len(text)), column
        start, line = line_at(text, other)
        rows = rows_of(line, width)
        row = len(rows.starts) - 1 if by < 0 else 0
    return start + rows.nearest(row, column), column


class Wrapped(Processor):
    """Shows each line of a buffer as rows."""

    def apply_transformation(self, given: TransformationInput) -> Transformation:
        """Return what is printed of a line, and where its characters are in it."""
        rows = rows_of(given.document.lines[given.lineno], given.width)
        last = len(rows.offsets) - 1
        fragments: StyleAndTextTuples = [("", rows.shown)]
        return Transformation(
            fragments,
            source_to_display=lambda i: rows.offsets[min(i, last)] + max(0, i - last),
            display_to_source=lambda i: max(0, bisect_right(rows.offsets, i) - 1),
        )
