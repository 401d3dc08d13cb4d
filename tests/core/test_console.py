"""Messages on stderr, and numbers for people."""

import io
import time

import pytest

from charrnn.core.console import Console, count_text, perplexity_text, speed_text, time_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0s"),
        (59, "59s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (60, "1m00s"),
        (250, "4m10s"),
        (3599.4, "59m59s"),
        (3599.7, "1h00m"),
        (3600, "1h00m"),
        (3659, "1h00m"),
        (3660, "1h01m"),
        (7_500, "2h05m"),
        (None, "?"),
    ],
)
def test_times_are_for_people(seconds, text):
    assert time_text(seconds) == text


def test_one_of_a_unit_is_singular():
    assert [count_text(n, "step") for n in (0, 1, 2, 3_000)] == [
        "0 steps", "1 step", "2 steps", "3,000 steps",
    ]  # fmt: skip
    assert [count_text(n, "epoch") for n in (1.0, 0.5, 40.0)] == [
        "1 epoch",
        "0.5 epochs",
        "40 epochs",
    ]


def test_speeds_are_for_people():
    assert [speed_text(v) for v in (950, 1000, 31_240, 1_000_000, 1_800_000, None)] == [
        "950 char/s", "1.0k char/s", "31.2k char/s", "1.0M char/s", "1.8M char/s", "? char/s",
    ]  # fmt: skip


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x202E, 0x2066, 0x2028])
def test_no_control_reaches_a_terminal(code):
    stream = io.StringIO()
    Console(0, stream).line(f"a{chr(code)}b")
    shown = stream.getvalue().removesuffix("\n")
    assert shown == f"a{chr(code)}b" if chr(code) in "\n\t" else chr(code) not in shown


def test_quiet_says_nothing_but_errors():
    stream = io.StringIO()
    console = Console(-1, stream)
    console.note("hello")
    assert stream.getvalue() == ""
    console.error("what: why\n\x1b[2J; what to do")
    assert stream.getvalue() == "charrnn: error: what: why\\n\\x1b[2J; what to do\n"


def test_a_narrow_encoding_loses_no_line():
    raw = io.BytesIO()
    console = Console(0, io.TextIOWrapper(raw, encoding="ascii"))
    console.line("1×512 é")
    assert raw.getvalue() == b"1\\xd7512 \\xe9\n"


def test_a_perplexity_is_told_in_words():
    """e^1.386 = 4."""
    assert perplexity_text(1.3863, "byte") == "as unsure as between 4.0 equally likely bytes"


def test_a_number_and_its_noun_agree():
    found = [count_text(n, "file") for n in (0, 1, 2, 2000)]
    assert found == ["0 files", "1 file", "2 files", "2,000 files"]


def test_a_count_in_a_log_is_of_this_call_and_ten_seconds_apart(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("charrnn.core.console.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with Console(0, stream).counting(1000, "text", 400) as report:
        for seconds, done in ((5, 420), (5, 500), (9.9, 600), (0.1, 700), (10, 1000)):
            now[0] += seconds
            report(done)
    assert stream.getvalue().splitlines() == [
        "500 of 1,000 texts, 10 a second, left 50s",
        "700 of 1,000 texts, 15 a second, left 20s",
        "1,000 of 1,000 texts, 20 a second, left 0s",
    ]


class Tty(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "limit", "is_shown"),
    [(Tty(), 0.01, True), (Tty(), 30.0, False), (io.StringIO(), 0.01, False)],
)
def test_only_a_terminal_shows_a_wait_and_only_a_long_one(monkeypatch, stream, limit, is_shown):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("charrnn.core.console.WAIT_SECONDS", limit)
    with Console(0, stream).waiting("reading [bold]"):
        time.sleep(0.2)
    assert ("reading [bold]" in stream.getvalue()) == is_shown
    assert is_shown or not stream.getvalue()


class Deaf(io.StringIO):
    """A stream that is closed at its other end."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_console_without_a_stream_says_nothing(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    for console in (Console(), Console(0, Deaf())):
        console.line("one")
        console.warn("two")
        console.error("three", 2)
        assert console.stream is None


def test_a_line_stands_above_a_bar():
    written = []

    class Bar:
        def write(self, text, file):
            written.append((text, file))

    stream = io.StringIO()
    console = Console(0, stream)
    console.bar = Bar()
    console.line("saved \x1b")
    assert written == [("saved \\x1b", stream)]
    assert stream.getvalue() == ""
