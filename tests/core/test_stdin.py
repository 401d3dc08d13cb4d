"""Text from a pipe: it is kept in a file, in its place among the others, while it is read."""

import io
from pathlib import Path

import pytest

from charrnn.core.errors import InputError
from charrnn.core.stdin import spooled


class Stdin:
    def __init__(self, data, *, is_terminal=False):
        self.buffer, self._is_terminal = io.BytesIO(data), is_terminal

    def isatty(self):
        return self._is_terminal


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_piped_has_its_place_among_the_files(checkpoints, monkeypatch, place):
    monkeypatch.setattr("sys.stdin", Stdin(b"the king\n" * 9))
    names = ["a.txt", "b.txt"]
    names.insert(place, "-")
    with spooled(tuple(names), checkpoints) as paths:
        spool = paths.pop(place)
        assert paths == [Path("a.txt"), Path("b.txt")]
        assert spool.parent == checkpoints
        assert spool.read_bytes() == b"the king\n" * 9
    assert not spool.exists()
    assert not checkpoints.exists()  # it was made for that file alone


def test_without_a_pipe_nothing_is_made_or_read(checkpoints, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with spooled(("a.txt", "b.txt"), checkpoints) as paths:
        assert paths == [Path("a.txt"), Path("b.txt")]
    assert not checkpoints.exists()


@pytest.mark.parametrize("stdin", [None, Stdin(b"", is_terminal=True)])
def test_a_terminal_is_no_text(checkpoints, monkeypatch, stdin):
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(InputError, match="terminal"), spooled(("-",), checkpoints):
        pass
    assert not checkpoints.exists()


def test_a_pipe_can_be_read_once(checkpoints, monkeypatch):
    monkeypatch.setattr("sys.stdin", Stdin(b"x"))
    with pytest.raises(InputError, match="once"), spooled(("-", "-"), checkpoints):
        pass
