"""What an editor with a model is doing: its draft, the proposals to choose from, the temperature.

It knows no terminal and no model. `request` is what it wants proposed; `receive` takes the answer.
"""

import re
from dataclasses import dataclass

from charrnn.apps.draft import Draft

MOST_SETS = 20
"""Sets of proposals that can be looked at again."""

HOTTEST, STEP = 2.0, 0.1
"""Highest temperature that keys reach, and how far one key goes."""

ALONE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Japanese and Chinese characters, which are words of their own: no blanks separate words there."""

WORD = re.compile(rf"\s*(?:[{ALONE}]|[^\s{ALONE}]+)|\s+")

Set = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Proposals that are wanted for one place in a text."""

    before: str
    """The text before the cursor."""
    temperature: float
    number: int
    """Each request has another one, and so other random numbers."""
    count: int
    """Number of proposals."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """The answer to a request."""

    texts: Set
    unknown: str = ""
    """Characters of the text that the model does not know; it read the text without them."""


class Writing:
    """A draft, and proposals for the place of its cursor.

    Args:
        draft: The text.
        temperature: That of the first proposals.
        count: Number of proposals in a set.
    """

    def __init__(self, draft: Draft, temperature: float, count: int) -> None:
        self.draft, self.temperature, self.count = draft, temperature, count
        self.request: Request | None = None
        """What is being proposed; None if nothing is."""
        self.chosen = 0
        self.unknown = ""
        self.message = ""
        """What the last key came to, if the text does not show it."""
        self._sets: list[Set] = []
        self._at = 0
        self._kept: Set = ()  # shown again in the set that is awaited, before the new ones
        self._taken: list[tuple[list[Set], int, int]] = []  # before each word that was taken
        self._number = 0

    @property
    def shown(self) -> Set:
        """The proposals to choose from."""
        return self._sets[self._at] if self._sets else ()

    @property
    def has_taken(self) -> bool:
        """Whether a word was taken that can be given back."""
        return bool(self._taken)

    @property
    def place(self) -> tuple[int, int]:
        """The number of the set, and of all sets that can be looked at."""
        return self._at + 1, len(self._sets)

    def edited(self, text: str, cursor: int) -> None:
        """Take over what was typed, or where the cursor was moved: proposals are for elsewhere."""
        if (text, cursor) != (self.draft.text, self.draft.cursor):
            self.draft.edit(text, cursor)
            self.drop()

    def drop(self) -> None:
        """Leave the proposals, and cancel what is awaited."""
        self._sets, self._at, self.chosen, self._taken = [], 0, 0, []
        self.request, self.message, self.unknown = None, "", ""

    def propose(self) -> None:
        """Show the next set of proposals, and ask for one if there is none."""
        self.message = ""
        if self._at + 1 < len(self._sets):
            self._at, self.chosen = self._at + 1, 0
        elif self.request is None:
            self._ask()

    def back(self) -> None:
        """Show the set of proposals before this one."""
        if self._at:
            self._at, self.chosen = self._at - 1, 0
        elif self._sets:
            self.message = "This is the first set."

    def _ask(self, kept: Set = ()) -> None:
        self._number += 1
        self._kept = kept
        self.request = Request(self.draft.before, self.temperature, self._number, self.count)

    def receive(self, request: Request, answer: Proposed) -> None:
        """Take the proposals for a request, unless it was cancelled."""
        if request is not self.request:
            return
        self.request, self.unknown = None, answer.unknown
        texts = tuple(dict.fromkeys(text for text in (*self._kept, *answer.texts) if text))
        if not texts:
            self.message = "The model proposes nothing here."
        elif self._kept:
            self._sets = [texts[: self.count]]
        else:
            self._sets = [*self._sets, texts][-MOST_SETS:]
            self._at, self.chosen = len(self._sets) - 1, 0

    def choose(self, by: int) -> None:
        """Choose another proposal, so many lines below; after the last comes the first."""
        if self.shown:
            self.chosen = (self.chosen + by) % len(self.shown)

    def take(self) -> None:
        """Insert the chosen proposal."""
        if self.shown:
            text = self.shown[self.chosen]
            self.drop()
            self.draft.insert(text)

    def take_word(self) -> None:
        """Insert the first word of the chosen proposal, and propose what may follow it."""
        if not self.shown:
            return
        before = self._sets, self._at, self.chosen
        shown, chosen, taken = self.shown, self.shown[self.chosen], self._taken
        found = WORD.match(chosen)
        word = found[0] if found else chosen
        self.drop()
        self._taken = [*taken, before][-MOST_SETS:]
        self.draft.insert(word)
        alike = [text for text in (chosen, *shown) if text.startswith(word)]
        kept = tuple(dict.fromkeys(text[len(word) :] for text in alike if text != word))
        self._sets = [kept] if kept else []
        self._ask(kept)

    def give_back(self) -> bool:
        """Take back the last word that was taken; return whether there was one."""
        if not self._taken:
            return False
        *taken, (sets, at, chosen) = self._taken
        self.drop()
        self.draft.undo()
        self._sets, self._at, self.chosen, self._taken = sets, at, chosen, taken
        return True

    def undo(self) -> None:
        """Take the last step back."""
        self.drop()
        self.message = "" if self.draft.undo() else "Nothing to undo."

    def redo(self) -> None:
        """Take the last undo back."""
        self.drop()
        self.message = "" if self.draft.redo() else "Nothing to redo."

    def heat(self, by: int) -> None:
        """Change the temperature by so many steps; proposals that are shown are made again."""
        before, is_wanted = self.temperature, bool(self.shown or self.request)
        self.temperature = min(max(0.0, round(before + by * STEP, 2)), max(HOTTEST, before))
        if is_wanted and self.temperature != before:
            self.drop()
            self._ask()
        else:
            self.message = "" if self.temperature != before else "It goes no further."
