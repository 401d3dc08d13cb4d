"""The editor as a user has it: keys through a pipe, and `charrnn write` in a pseudo-terminal."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import forks
import pytest
from command_line import QUICK
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from terminals import in_terminal

from charrnn.apps.draft import Draft
from charrnn.apps.editor import Written, rescuing
from charrnn.apps.keys import bind
from charrnn.apps.screen import Screen
from charrnn.apps.text_file import TextFile
from charrnn.apps.writing import Proposed, Writing

UP, DOWN, RIGHT, LEFT, ESCAPE = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b"
TAB, SHIFT_TAB, ENTER, BACKSPACE = "\t", "\x1b[Z", "\r", "\x7f"


def control(letter):
    return chr(ord(letter) - 64)


def propose(request, is_cancelled):
    """Return proposals that name what they continue."""
    last = request.before[-1:]
    return Proposed(tuple(f" {number} after {last}" for number in range(request.count)))


class Editor:
    """A screen whose keys come from a pipe."""

    def __init__(self, pipe, text, path, propose):
        self.pipe = pipe
        self.writing = Writing(Draft(text), 0.8, 3)
        self.draft = self.writing.draft
        file = TextFile(path and Path(path), (), force=False)
        file.open()
        self.screen = Screen(self.writing, propose, file, "king")
        bind(self.screen)

    def shown(self):
        """Return the rows of the screen."""
        screen = self.screen.app.renderer.last_rendered_screen
        if screen is None:  # it is about to be drawn
            return [""] * 24
        rows = [screen.data_buffer[y] for y in range(screen.height)]
        return ["".join(row[x].char for x in range(80)).rstrip() for row in rows]

    def play(self, *steps):
        """Send keys, and wait after each until what is expected is true."""

        async def play():
            for keys, is_done in steps:
                self.pipe.send_text(keys)
                for _ in range(1000):
                    await asyncio.sleep(0.005)
                    if is_done():
                        break
                else:
                    failed.append((keys, self.shown()))
                    break
            self.screen.app.exit()

        failed = []
        self.screen.app.pre_run_callables.append(
            lambda: self.screen.app.create_background_task(play())
        )
        self.screen.run()
        assert not failed, (failed, self.draft.text, self.writing.shown)


@pytest.fixture
def editor():
    """Return a function that makes an editor."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield lambda text="", path=None, propose=propose: Editor(pipe, text, path, propose)


def test_a_text_is_typed_proposed_chosen_taken_undone_and_saved(editor):
    e = editor("The", "novel.txt")
    e.play(
        (" king", lambda: e.draft.text == "The king"),
        (TAB, lambda: e.writing.shown[:1] == (" 0 after g",)),
        (DOWN + DOWN, lambda: e.writing.chosen == 2),
        (UP, lambda: e.writing.chosen == 1),
        (RIGHT, lambda: e.draft.text == "The king 1"),
        ("", lambda: " 0 after 1" in e.writing.shown),
        (ENTER, lambda: e.draft.text == "The king 1 after g"),
        ("!" + ENTER, lambda: e.draft.text == "The king 1 after g!\n"),
        (control("Z"), lambda: e.draft.text == "The king 1 after g"),
        (control("Y"), lambda: e.draft.text == "The king 1 after g!\n"),
        (control("S"), lambda: e.draft.is_saved),
    )
    assert Path("novel.txt").read_text() == "The king 1 after g!\n"


def test_the_screen_shows_its_keys_and_nothing_enters_the_text_before_it_is_taken(editor):
    e = editor("The", "novel.txt")

    def is_first():
        rows = e.shown()
        return (
            rows[0].split() == ["novel.txt", "model", "king", "temperature", "0.8"]
            and rows[1] == "The"
            and rows[-2].split()[:4] == ["Tab", "propose", "Ctrl-S", "save"]
            and "Ctrl-Q quit" in rows[-1]
        )

    e.play(
        ("", is_first),
        (TAB, lambda: "> " in "".join(e.shown()) and "Enter take all" in " ".join(e.shown())),
        (ESCAPE, is_first),
        (TAB, lambda: bool(e.writing.shown)),
        (SHIFT_TAB, lambda: "This is the first set." in "".join(e.shown())),
    )
    assert e.draft.text == "The"


def test_a_word_that_was_taken_is_given_back(editor):
    e = editor("The")
    e.play(
        (TAB, lambda: bool(e.writing.shown)),
        (RIGHT, lambda: e.draft.text == "The 0"),
        (LEFT, lambda: e.draft.text == "The" and e.writing.shown[0] == " 0 after e"),
        (LEFT, lambda: e.draft.cursor == 2 and not e.writing.shown),
    )


def test_keys_work_while_a_proposal_is_written_and_typing_cancels_it(editor):
    began, stopped, calls = threading.Event(), threading.Event(), []

    def slow(request, is_cancelled):
        calls.append(request)
        began.set()
        while not is_cancelled():
            stopped.wait(0.001)
        stopped.set()

    e = editor("The", propose=slow)
    e.play(
        (TAB, began.is_set),
        (TAB + SHIFT_TAB, lambda: True),  # one is under way
        (control("T"), lambda: e.writing.temperature == 0.9),
        ("x", lambda: e.draft.text == "Thex" and e.writing.request is None),
        ("", stopped.is_set),
        (TAB, lambda: calls[-1] is e.writing.request),  # leaving cancels it too
    )
    assert len(calls) == 3


def test_a_proposer_that_fails_costs_no_text(editor):
    def fails(request, is_cancelled):
        raise MemoryError("too large")

    e = editor("The", propose=fails)
    e.play(
        (TAB, lambda: "No proposals: MemoryError: too large" in "".join(e.shown())),
        ("x", lambda: e.draft.text == "Thex"),
    )


def test_leaving_asks_when_the_text_is_not_saved(editor):
    e = editor("The")
    e.play(
        ("x" + control("Q"), lambda: "The text is not saved. Save it?" in "".join(e.shown())),
        (BACKSPACE + ENTER + "z", lambda: e.draft.text == "Thex"),  # no key reaches the text
        (ESCAPE, lambda: e.screen.mode == "text"),
        (control("C"), lambda: e.screen.mode == "leave"),
        ("y", lambda: e.screen.mode == "name"),
        ("new.txt" + ENTER, lambda: not e.screen.app.is_running),
    )
    assert Path("new.txt").read_text() == "Thex"


def test_leaving_without_saving_and_with_nothing_to_save(editor):
    for keys in (control("Q"), "x" + control("Q") + "n"):
        e = editor("The")
        e.play((keys, lambda e=e: not e.screen.app.is_running))
        assert list(Path().iterdir()) == []


def test_a_name_that_is_taken_is_asked_for_again(editor):
    Path("taken.txt").write_text("theirs")
    e = editor("The")
    e.play(
        ("x" + control("S"), lambda: e.screen.mode == "name"),
        ("taken.txt" + ENTER, lambda: "exists; give another name" in "".join(e.shown())),
        (BACKSPACE * 9 + "free.txt" + ENTER, lambda: e.draft.is_saved),
        ("y", lambda: e.draft.text == "Thexy"),
    )
    assert Path("taken.txt").read_text() == "theirs"
    assert Path("free.txt").read_text() == "Thex"


def test_marks_wide_characters_and_rows(editor):
    e = editor("日本 e\u0301")
    long = " word" * 40
    e.play(
        (BACKSPACE, lambda: e.draft.text == "日本 "),
        (LEFT + LEFT + BACKSPACE, lambda: e.draft.text == "本 "),
        (control("E") + long, lambda: e.draft.text == "本 " + long),
        (UP, lambda: 0 < len(e.draft.before) < 160),
        (DOWN, lambda: e.draft.before == e.draft.text),
        ("\x1b[H" + "y", lambda: e.draft.text.find("y") > 80),  # at the start of the row
        (control("Z") + control("E"), lambda: e.draft.before == "本 " + long),
        ("\x1b[200~a\r\nb\x1b[201~", lambda: e.draft.text.endswith("worda\nb")),
    )


def test_a_long_session_keeps_its_memory_bounded(editor):
    e = editor()
    e.play(*[(f"{n} ", lambda n=n: e.draft.text.endswith(f"{n} ")) for n in range(30)])
    assert len(e.screen.buffer._undo_stack) == 0


@pytest.fixture
def trained(made):
    text = "The quick brown fox jumps over the lazy dog.\n" * 60
    return made({"text.txt": text}, ["train", "text.txt", *QUICK, "-q"])


def test_write_in_a_terminal(trained):
    command = [*forks.python(), "-m", "charrnn", "write", "-o", "novel.txt"]
    with in_terminal(command, trained, NO_COLOR="1") as (process, keys, wait_for):
        wait_for(b"Tab")
        os.write(keys, b"The quick\t")
        wait_for(b"Enter")
        os.write(keys, b"\x1b[C\x13")
        wait_for(b"Saved")
        os.write(keys, b"\x11")
        wait_for(b"\x1b[?1049l")
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
    text = (trained / "novel.txt").read_text()
    assert text.startswith("The quick")
    assert len(text) > 9
    assert f"novel.txt: {len(text)} characters" in errors.decode()


def test_a_signal_leaves_the_text_in_a_file(trained):
    command = [*forks.python(), "-m", "charrnn", "write", "text"]
    with in_terminal(command, trained) as (process, keys, wait_for):
        wait_for(b"Tab")
        os.write(keys, b"not saved")
        wait_for(b"mnot saved")
        process.send_signal(signal.SIGHUP)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 129
    assert "charrnn-write.txt.save" in errors.decode()
    assert (trained / "charrnn-write.txt.save").read_text() == "not saved"


def test_a_signal_that_follows_does_not_stop_the_rescue():
    saved = []

    def rescue():
        os.kill(os.getpid(), signal.SIGTERM)  # a terminal that closes sends more than one
        saved.append("text")

    with pytest.raises(SystemExit), rescuing(rescue):
        os.kill(os.getpid(), signal.SIGTERM)
    assert saved
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_last_line_says_what_is_in_the_file():
    path = Path("a.txt")
    assert Written(path, "two", True).line() == "a.txt: 3 characters"
    assert Written(path, "two", False).line() == "a.txt: the last changes are not saved"
    assert Written(None, "two", False).line() == "3 characters not saved"
    assert Written(None, "", True).line() == "no text"
