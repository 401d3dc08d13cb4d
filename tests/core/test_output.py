"""What goes to a terminal, into a pipe or a file, and as JSON; tables."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from charrnn.core.errors import CharRNNError, ClosedPipeError, InputError
from charrnn.core.output import (
    OutputStream,
    json_line,
    open_output,
    print_result,
    print_table,
    trimmed,
)


def shown(text, **options):
    """Return the characters that reach a terminal."""
    stream = io.BytesIO()
    OutputStream(stream, for_terminal=True, **options).text(text, b"not this")
    return stream.getvalue().decode()


class Terminal:
    """Stands in for sys.stdout."""

    def __init__(self):
        self.buffer = io.BytesIO()

    def isatty(self):
        return True


# Characters.


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("\x1b", r"\x1b"), ("\x00", r"\x00"), ("\x07", r"\x07"), ("\r", r"\r"), ("\x7f", r"\x7f"),
        ("\x9b", r"\x9b"), ("\x85", r"\x85"), ("\u202e", r"\u202e"), ("\u2066", r"\u2066"),
        ("\u2028", r"\u2028"), ("\udc80", r"\udc80"),
    ],
)  # fmt: skip
def test_a_terminal_gets_controls_as_escapes(character, expected):
    assert shown(f"a{character}b") == f"a{expected}b"


def test_a_terminal_gets_newline_and_tab_and_all_letters_as_they_are():
    assert shown("Zoë\n\t“ça” 3 × 7 €\U0001f600") == "Zoë\n\t“ça” 3 × 7 €\U0001f600"


def test_raw_sends_controls_to_a_terminal():
    assert shown("a\x1b[1m\u202eb", raw=True) == "a\x1b[1m\u202eb"


def test_raw_never_fails_on_surrogates():
    assert shown("a\udc80b", raw=True) == r"a\udc80b"


def test_a_pipe_gets_the_bytes_as_they_are():
    stream = io.BytesIO()
    OutputStream(stream).text("not this", b"\x1b[1m\xff\x00\r\n")
    assert stream.getvalue() == b"\x1b[1m\xff\x00\r\n"


# Opening.


def test_a_file_gets_what_a_pipe_would_get(tmp_path):
    with open_output(tmp_path / "out.txt", raw=False) as out:
        out.text("not this", b"\x1b\xff")
    assert (tmp_path / "out.txt").read_bytes() == b"\x1b\xff"


def test_stdout_is_written_for_a_terminal_only_if_it_is_one(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with open_output(None, raw=False) as out:
        out.text("\x1b", b"\x1b")
    assert terminal.buffer.getvalue() == rb"\x1b"


def test_a_file_is_never_taken_for_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    with open_output(tmp_path / "out.txt", raw=False) as out:
        assert not out.for_terminal


def test_an_output_that_cannot_be_opened_is_an_input_error(tmp_path):
    with (
        pytest.raises(InputError, match="^-o: .*missing.*No such file"),
        open_output(tmp_path / "missing" / "out.txt", raw=False),
    ):
        pass


def test_a_closed_stdout_is_an_error_with_a_way_out(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(CharRNNError, match="-o FILE"), open_output(None, raw=False):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_full_disk_is_reported_in_one_line(size):
    with (
        pytest.raises(CharRNNError, match="^/dev/full: not written: No space left"),
        open_output(Path("/dev/full"), raw=False) as out,
    ):
        out.put(b"x" * size)


def test_a_pipe_whose_reader_has_gone_ends_the_output_quietly(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(ClosedPipeError), open_output(None, raw=False) as out:
            out.put(b"x" * 100_000)
        stdout.write("goes nowhere, without an error")


class Counted(io.BytesIO):
    """Counts its flushes."""

    num_flushes = 0

    def flush(self):
        self.num_flushes += 1


@pytest.mark.parametrize(("for_terminal", "expected"), [(True, 4), (False, 2)])
def test_a_terminal_sees_each_piece_at_once_and_a_pipe_ten_times_a_second(
    monkeypatch, for_terminal, expected
):
    """The first piece is seen at once."""
    now = iter([0.05, 0.09, 0.11, 0.2])
    monkeypatch.setattr("charrnn.core.output.time.monotonic", lambda: next(now))
    stream = Counted()
    out = OutputStream(stream, for_terminal=for_terminal)
    for piece in (b"a", b"b", b"c", b"d"):
        out.put(piece)
    assert (stream.num_flushes, stream.getvalue()) == (expected, b"abcd")


def test_a_piece_in_a_hurry_is_seen_at_once(monkeypatch):
    monkeypatch.setattr("charrnn.core.output.time.monotonic", lambda: 0.0)
    stream = Counted()
    out = OutputStream(stream)
    flushes = []
    for piece in (b"prompt", b"first", b"second"):
        out.put(piece)
        flushes.append(stream.num_flushes)
        out.hurry() if piece == b"prompt" else None
    assert flushes == [1, 2, 2]


class Unbuffered(io.RawIOBase):
    """Counts its writes; takes at most 1,000 bytes in each, as a pipe may."""

    def __init__(self):
        self.num_writes, self.data = 0, b""

    def writable(self):
        return True

    def write(self, data):
        self.num_writes += 1
        self.data += bytes(data[:1000])
        return min(1000, len(data))


def test_an_unbuffered_stdout_gets_pieces_together_and_stays_open(monkeypatch):
    """As with PYTHONUNBUFFERED, in containers."""
    raw, stdout = Unbuffered(), Terminal()
    stdout.buffer, stdout.isatty = raw, lambda: False
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr("charrnn.core.output.time.monotonic", lambda: 0.0)
    with open_output(None, raw=False) as out:
        for _ in range(2500):
            out.put(b"x")
    assert raw.data == b"x" * 2500
    assert raw.num_writes == 4  # the first piece, and 2,499 in three parts
    assert not raw.closed
    with open_output(None, raw=False) as out:
        out.put(b"y")
    assert raw.data.endswith(b"xy")


# Lines, JSON and tables.


def test_a_line_of_a_result_keeps_bytes_that_are_no_text(capfdbinary):
    print_result("Zoë \udcff")
    assert capfdbinary.readouterr().out == "Zoë ".encode() + b"\xff\n"


def test_json_has_letters_as_letters_and_controls_as_escapes():
    line = json_line({"a": "Zoë €\n", "b": "\x1b\x7f\u202e\udcff"})
    assert line == r'{"a": "Zoë €\n", "b": "\u001b\u007f\u202e\udcff"}'
    assert json.loads(line)["b"] == "\x1b\x7f\u202e\udcff"


def test_json_has_no_nan():
    with pytest.raises(ValueError, match="Out of range"):
        json_line({"loss": float("nan")})


def test_a_table_in_a_pipe_has_tabs_between_its_cells(capfd):
    print_table(["name", "loss"], [["a\x1b", "1.5"], ["b", ""]], numeric=[1])
    assert capfd.readouterr().out == "name\tloss\na\\x1b\t1.5\nb\t\n"


def test_a_table_on_a_terminal_has_columns_and_numbers_at_their_right(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table(["name", "loss"], [["a[b]", "1.5"], ["b", "10.25"]], numeric=[1])
    lines = [line.rstrip() for line in terminal.buffer.getvalue().decode().splitlines()]
    assert [lines[0], *lines[2:]] == ["name    loss", "a[b]     1.5", "b      10.25"]


def test_a_line_is_cut_to_the_columns_of_a_terminal_alone(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "8")
    assert trimmed("123456789") == "123456789"
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert trimmed("12345678") == "12345678"
    assert trimmed("123456789") == "1234567…"
    assert trimmed("日本語中文") == "日本語 …"  # two columns each
