"""The text of an editor: cursor, edits, undo and redo. It knows no terminal and no model."""

from bisect import bisect
from collections import deque
from dataclasses import dataclass, replace

from charrnn.data.reading import continues

MOST_EDITS, MOST_CHARACTERS = 1000, 1 << 22
"""Steps that can be undone, and characters in them; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement in a text."""

    start: int
    removed: str
    inserted: str
    cursor: int
    """Where the cursor was before it."""

    @property
    def size(self) -> int:
        """Number of characters that it holds."""
        return len(self.removed) + len(self.inserted)


class Draft:
    """A text with a cursor.

    Args:
        text: The text at the start, which counts as saved.
    """

    def __init__(self, text: str = "") -> None:
        self.text, self.cursor, self._saved = text, len(text), text
        self._past: deque[Edit] = deque(maxlen=MOST_EDITS)
        self._future: list[Edit] = []
        self._is_open = False  # whether typing may extend the last edit

    @property
    def before(self) -> str:
        """The text before the cursor."""
        return self.text[: self.cursor]

    @property
    def is_saved(self) -> bool:
        """Whether the text is the one that was saved, or that was there at the start."""
        return self.text == self._saved

    def mark_saved(self) -> None:
        """Note that the text is in its file."""
        self._saved = self.text

    def move(self, cursor: int) -> None:
        """Put the cursor at an index; typing there is a new step."""
        if cursor != self.cursor:
            self.cursor, self._is_open = cursor, False

    def step(self, by: int) -> int:
        """Return the index one character before or after the cursor; marks stay with their letter.

        Args:
            by: -1 or 1.
        """
        index = self.cursor
        while 0 <= index + by <= len(self.text):
            index += by
            if not (0 < index < len(self.text) and continues(self.text[index])):
                break
        return index

    def edit(self, text: str, cursor: int) -> bool:
        """Take over a text that was changed by typing; return whether it is another one.

        Characters typed one after the other are one step, up to the end of a word.
        """
        if text == self.text:
            self.move(cursor)
            return False
        most = min(self.cursor, cursor)  # of "aa", the one that was typed
        start = common_prefix(self.text[:most], text[:most])
        rest = common_prefix(self.text[start:][::-1], text[start:][::-1])
        removed = self.text[start : len(self.text) - rest]
        edit = Edit(start, removed, text[start : len(text) - rest], self.cursor)
        if not self._extend(edit):
            self._add(edit)
        self.text, self.cursor, self._is_open = text, cursor, True
        return True

    def _extend(self, edit: Edit) -> bool:
        """Join a typed character to the last step if it continues its word."""
        last = self._past[-1] if self._past and self._is_open else None
        if last is None or last.removed or edit.removed or len(edit.inserted) != 1:
            return False
        is_next = edit.start == last.start + len(last.inserted)
        is_new_word = last.inserted[-1:].isspace() and not edit.inserted.isspace()
        if not is_next or is_new_word:
            return False
        self._past[-1] = replace(last, inserted=last.inserted + edit.inserted)
        self._future.clear()
        return True

    def _add(self, edit: Edit) -> None:
        self._past.append(edit)
        self._future.clear()
        total = sum(each.size for each in self._past)
        while total > MOST_CHARACTERS and len(self._past) > 1:
            total -= self._past.popleft().size

    def insert(self, piece: str) -> None:
        """Insert a text at the cursor, as a step of its own."""
        self._add(Edit(self.cursor, "", piece, self.cursor))
        self.text = self.text[: self.cursor] + piece + self.text[self.cursor :]
        self.cursor += len(piece)
        self._is_open = False

    def undo(self) -> bool:
        """Take the last step back; return whether there was one."""
        if not self._past:
            return False
        edit = self._past.pop()
        self._future.append(edit)
        self._replace(edit.start, edit.inserted, edit.removed)
        self.cursor, self._is_open = edit.cursor, False
        return True

    def redo(self) -> bool:
        """Take the last undo back; return whether there was one."""
        if not self._future:
            return False
        edit = self._future.pop()
        self._past.append(edit)
        self._replace(edit.start, edit.removed, edit.inserted)
        self.cursor, self._is_open = edit.start + len(edit.inserted), False
        return True

    def _replace(self, start: int, old: str, new: str) -> None:
        self.text = self.text[:start] + new + self.text[start + len(old) :]


def common_prefix(first: str, second: str) -> int:
    """Return the number of characters that two texts begin with in common."""
    most = min(len(first), len(second))
    return bisect(range(1, most + 1), False, key=lambda n: first[:n] != second[:n])
