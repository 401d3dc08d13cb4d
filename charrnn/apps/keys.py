"""The keys of the editor. What prompt_toolkit binds to other keys stays: words, line ends, cut."""

from collections.abc import Callable

from prompt_toolkit.filters import Condition, FilterOrBool
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from charrnn.apps.screen import Screen

Action = Callable[[], object]


def bind(screen: Screen) -> None:
    """Give a screen its keys."""
    keys, writing = KeyBindings(), screen.writing
    in_text = Condition(lambda: screen.mode == "text")
    is_choosing = in_text & Condition(lambda: bool(writing.shown))
    has_taken = in_text & Condition(lambda: writing.has_taken)
    is_busy = in_text & Condition(lambda: bool(writing.shown or writing.request))

    def on(names: str, when: FilterOrBool, do: Action) -> None:
        """Bind keys, each of which does the same."""

        def act(event: KeyPressEvent) -> None:
            do()
            screen.sync()

        for name in names.split():
            keys.add(name, filter=when)(act)

    bind_text(screen, on, in_text)
    on("tab", in_text, writing.propose)
    on("s-tab", in_text, writing.back)
    on("up", is_choosing, lambda: writing.choose(-1))
    on("down", is_choosing, lambda: writing.choose(1))
    on("enter", is_choosing, writing.take)
    on("right", is_choosing, writing.take_word)
    on("left", has_taken, writing.give_back)
    on("escape", is_busy, writing.drop)
    on("c-z c-_", in_text, writing.undo)
    on("c-y", in_text, writing.redo)
    on("c-t", in_text, lambda: writing.heat(1))
    on("c-l", in_text, lambda: writing.heat(-1))
    bind_file(screen, on, in_text)
    screen.app.key_bindings = keys


def bind_text(
    screen: Screen, on: Callable[[str, FilterOrBool, Action], None], in_text: Condition
) -> None:
    """Bind the keys that move by what a reader sees: rows, and letters with their marks."""
    draft, buffer = screen.writing.draft, screen.buffer

    def delete(by: int) -> None:
        first, last = sorted((draft.cursor, draft.step(by)))
        if buffer.selection_state:
            screen.app.clipboard.set_data(buffer.cut_selection())
        elif first < last:
            screen.put(draft.text[:first] + draft.text[last:], first)

    def paste() -> None:
        buffer.paste_clipboard_data(screen.app.clipboard.get_data())

    on("up", in_text, lambda: screen.move_rows(-1))
    on("down", in_text, lambda: screen.move_rows(1))
    on("pageup", in_text, lambda: screen.move_rows(1 - screen.text_height))
    on("pagedown", in_text, lambda: screen.move_rows(screen.text_height - 1))
    on("home", in_text, lambda: screen.move_in_row(-1))
    on("end", in_text, lambda: screen.move_in_row(1))
    on("left", in_text, lambda: screen.move(draft.step(-1)))
    on("right", in_text, lambda: screen.move(draft.step(1)))
    on("backspace", in_text, lambda: delete(-1))
    on("delete", in_text, lambda: delete(1))
    on("enter", in_text, lambda: buffer.newline(copy_margin=False))
    on("c-v", in_text, paste)


def bind_file(
    screen: Screen, on: Callable[[str, FilterOrBool, Action], None], in_text: Condition
) -> None:
    """Bind the keys that save and leave, and those of their questions."""
    is_naming = Condition(lambda: screen.mode == "name")
    is_leaving = Condition(lambda: screen.mode == "leave")
    on("c-s", in_text, screen.save)
    on("c-q c-c", in_text, screen.leave)
    on("enter", is_naming, screen.accept_name)
    on("escape c-c", is_naming | is_leaving, screen.stay)
    on("y Y", is_leaving, screen.leave_after_saving)
    on("n N", is_leaving, screen.app_exit)
