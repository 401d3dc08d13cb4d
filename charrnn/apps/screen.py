"""The editor on a terminal: keys in, rows out; proposals come from a thread, so keys never wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    VSplit,
    Window,
)
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.styles import Style

from charrnn.apps import panes
from charrnn.apps.text_file import TextFile
from charrnn.apps.wrapping import Wrapped, row_ends, vertical
from charrnn.apps.writing import Proposed, Request, Writing
from charrnn.core.errors import CharRNNError, printable

ESCAPE_SECONDS = 0.1
"""After Esc, how long a key is waited for that would make it Alt."""

LEAST_TEXT, MOST_KEY_ROWS = 3, 3
"""Rows that the text has at least, and the keys at most."""

Propose = Callable[[Request, Callable[[], bool]], Proposed | None]


class TextBuffer(Buffer):
    """A buffer without an undo of its own, which would keep the whole text for each key."""

    def save_to_undo_stack(self, clear_redo_stack: bool = True) -> None:
        """Keep nothing: the draft remembers the edits."""


class Screen:
    """The editor; `keys.bind` gives it its keys.

    Args:
        writing: Its state.
        propose: Returns the proposals for a request; called in a thread.
        file: Where the text is saved.
        name: Name of the model.
        terminal: Input, output and encoding, as arguments of Application; for tests.
    """

    def __init__(
        self, writing: Writing, propose: Propose, file: TextFile, name: str, **terminal: Any
    ) -> None:
        self.writing, self.file, self.name = writing, file, name
        self.mode = "text"
        """What keys are for: "text", "name" (of the file) or "leave" (the question)."""
        self._propose, self._asked = propose, writing.request
        self._leaves = False  # after the file got its name
        self._goal = (-1, 0)  # cursor after it went up or down, and the column it keeps
        self._thread = ThreadPoolExecutor(1)
        draft = writing.draft
        self.buffer = TextBuffer(
            document=Document(draft.text, draft.cursor),
            on_text_changed=lambda buffer: self._edited(),
            on_cursor_position_changed=lambda buffer: self._edited(),
        )
        self.name_buffer = Buffer(multiline=False)
        self.app: Application[None] = Application(
            layout=self._layout(),
            style=Style.from_dict(panes.STYLES),
            full_screen=True,
            include_default_pygments_style=False,
            **terminal,
        )
        self.app.ttimeoutlen = self.app.timeoutlen = ESCAPE_SECONDS
        self._signs = panes.Signs.of(self.app.output.encoding())

    def run(self) -> None:
        """Show the editor until the user leaves it.

        Raises:
            CharRNNError: The terminal is closed.
        """
        try:
            self.app.run()
        except (EOFError, OSError) as error:
            raise CharRNNError(f"the terminal was closed: {printable(error)}") from None
        finally:
            self.writing.drop()  # so that the thread stops
            self._thread.shutdown()

    # --- layout

    @property
    def text_height(self) -> int:
        """Rows of the text that are on the screen."""
        info = self._window.render_info
        return info.window_height if info else LEAST_TEXT

    @property
    def _width(self) -> int:
        return self.app.output.get_size().columns

    @property
    def _height(self) -> int:
        return self.app.output.get_size().rows

    def _layout(self) -> Layout:
        self._window = Window(
            BufferControl(self.buffer, input_processors=[Wrapped()]), wrap_lines=True
        )
        named = Window(
            BufferControl(self.name_buffer, input_processors=[BeforeInput("File name: ")]), height=1
        )
        is_naming = Condition(lambda: self.mode == "name")

        def row(
            text: Callable[[], StyleAndTextTuples],
            height: Callable[[], int],
            *,
            focusable: bool = False,
        ) -> Window:
            control = FormattedTextControl(text, focusable=focusable)
            return Window(control, height=height, dont_extend_height=True)

        self._named, self._asking = (
            named,
            row(self._message, lambda: panes.num_rows(self._message()), focusable=True),
        )
        return Layout(
            HSplit(
                [
                    row(self._title, lambda: 1),
                    self._window,
                    self._asking,
                    row(self._pane, self._pane_height),
                    ConditionalContainer(VSplit([named]), filter=is_naming),
                    row(self._key_rows, lambda: panes.num_rows(self._key_rows())),
                ]
            ),
            focused_element=self._window,
        )

    def _title(self) -> StyleAndTextTuples:
        file = printable(self.file.path.name) if self.file.path else ""
        return [(panes.BAR, panes.title(self.name, file, self.writing, self._width))]

    def _pane(self) -> StyleAndTextTuples:
        return panes.pane(self.writing, self._width, self._pane_height(), self._signs, self.name)

    def _pane_height(self) -> int:
        needed = panes.pane_height(self.writing, self._width, self._signs)
        others = 1 + sum(map(panes.num_rows, (self._message(), self._key_rows()))) + LEAST_TEXT
        return max(1, min(needed, self._height // 2, self._height - others))

    def _message(self) -> StyleAndTextTuples:
        asks = self.mode == "leave"
        text = "The text is not saved. Save it?" if asks else panes.message(self.writing)
        return panes.bar(text, self._width)

    def _key_rows(self) -> StyleAndTextTuples:
        keys = {"name": panes.NAMING, "leave": panes.LEAVING}.get(
            self.mode, panes.keys_of(self.writing)
        )
        return panes.key_lines(keys, self._width, max(1, min(MOST_KEY_ROWS, self._height // 4)))

    # --- state

    def _edited(self) -> None:
        self.writing.edited(self.buffer.text, self.buffer.cursor_position)

    def sync(self) -> None:
        """Show the text of the draft, and have proposed what is wanted."""
        draft = self.writing.draft
        if (self.buffer.text, self.buffer.cursor_position) != (draft.text, draft.cursor):
            self.buffer.set_document(Document(draft.text, draft.cursor))
        request = self.writing.request
        if request is not self._asked:
            self._asked = request
            if request is not None:
                self.app.create_background_task(self._answer(request))
        self.app.invalidate()

    async def _answer(self, request: Request) -> None:
        """Have a request answered in the thread."""
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(
                self._thread, self._propose, request, lambda: self.writing.request is not request
            )
        except Exception as error:  # noqa: BLE001  (the text must not be lost by it)
            answer = Proposed(())
            self.writing.receive(request, answer)
            self.writing.message = f"No proposals: {type(error).__name__}: {printable(error)}"
        if answer is not None:
            self.writing.receive(request, answer)
        self.sync()

    # --- file

    def save(self) -> bool:
        """Save the text, or ask for the name of its file; return whether it is saved."""
        if self.file.path is None:
            self.go("name")
            return False
        try:
            self.file.save(self.writing.draft.text)
        except CharRNNError as error:
            self.writing.message = str(error).removeprefix("-o: ")
            self.go("name")
            return False
        self.writing.draft.mark_saved()
        self.writing.message = f"Saved: {printable(self.file.path)}"
        return True

    def accept_name(self) -> None:
        """Save under the name that was typed."""
        try:
            self.file.name(self.name_buffer.text.strip())
        except CharRNNError as error:
            self.writing.message = str(error).removeprefix("-o: ")
            return
        self.go("text")
        if self.save() and self._leaves:
            self.app.exit()

    def leave_after_saving(self) -> None:
        """Save and leave; without a name, leave when it is given."""
        self._leaves = True
        self.go("text")
        if self.save():
            self.app.exit()

    def leave(self) -> None:
        """Leave the editor; ask first if the text is not saved."""
        if self.writing.draft.is_saved:
            self.app.exit()
        else:
            self.go("leave")

    def stay(self) -> None:
        """Go back to the text from a question."""
        self._leaves, self.writing.message = False, ""
        self.go("text")

    def app_exit(self) -> None:
        """Leave without saving."""
        self.app.exit()

    def go(self, mode: str) -> None:
        """Change what keys are for; with the question, none reaches the text."""
        self.mode = mode
        windows = {"text": self._window, "name": self._named, "leave": self._asking}
        self.app.layout.focus(windows[mode])

    # --- cursor

    def move_rows(self, by: int) -> None:
        """Move the cursor up or down by rows of the screen, in the column where it started."""
        draft = self.writing.draft
        kept = self._goal[1] if self._goal[0] == draft.cursor else None
        for _ in range(abs(by)):
            cursor, kept = vertical(
                draft.text, draft.cursor, 1 if by > 0 else -1, self._width, kept
            )
            self.move(cursor)
        self._goal = draft.cursor, kept or 0

    def move_in_row(self, by: int) -> None:
        """Move the cursor to the first or the last place of its row."""
        draft = self.writing.draft
        self.move(row_ends(draft.text, draft.cursor, self._width)[by > 0])

    def move(self, cursor: int) -> None:
        """Put the cursor at an index."""
        self.buffer.cursor_position = cursor

    def put(self, text: str, cursor: int) -> None:
        """Change the text as typing does."""
        self.buffer.set_document(Document(text, cursor))
