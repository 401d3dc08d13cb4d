"""A resumed output file: its content, its request, an incomplete last line."""

import json
import os
from pathlib import Path

import pytest

from charrnn.core.config import SampleConfig
from charrnn.core.errors import BusyError, InputError
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.output_file import PIECE, open_resumed

OUT = Path("out.jsonl")
JOBS = Jobs(["a"], [SampleConfig(temperature=0.5)], 4, seed=7)


def line_of(number, **changes):
    job = JOBS[number]
    sample = {"index": number, "seed": job.seed, "prompt": "a", "text": "b", "temperature": 0.5}
    return json.dumps(sample | changes) + "\n"


def write(*lines):
    OUT.write_text("".join(lines), encoding="utf-8")


def test_a_file_that_is_not_there_is_made_and_begins_at_the_beginning():
    with open_resumed(OUT) as (resumed, _):
        assert (resumed.next_index, resumed.seed, resumed.last) == (0, None, None)
    assert OUT.read_bytes() == b""


def test_it_continues_after_the_last_whole_line():
    write(line_of(0), line_of(1), line_of(2)[:-9])
    with open_resumed(OUT) as (resumed, file):
        resumed.check(JOBS)
        assert (resumed.next_index, resumed.seed) == (2, 7)
        resumed.truncate()
        file.write(b"x\n")
    assert OUT.read_text() == line_of(0) + line_of(1) + "x\n"


def test_nothing_is_cut_before_it_is_known_whose_file_it_is():
    write(line_of(0), "torn")
    with open_resumed(OUT):
        pass
    assert OUT.read_text() == line_of(0) + "torn"


def test_a_line_longer_than_what_is_read_at_a_time_is_found():
    long = line_of(1, text="b" * (3 * PIECE))
    write(line_of(0), long, "torn" * PIECE)
    with open_resumed(OUT) as (resumed, _):
        assert resumed.next_index == 2
        assert resumed.size == len(line_of(0) + long)


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_a_newline_at_the_edge_of_what_is_read_at_a_time_is_found(size):
    write(line_of(0), "t" * size)
    with open_resumed(OUT) as (resumed, _):
        assert resumed.size == len(line_of(0))


def test_a_first_line_that_was_left_out_does_not_say_the_seed():
    write(line_of(1), line_of(3))
    with open_resumed(OUT) as (resumed, _):
        assert (resumed.next_index, resumed.seed) == (4, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 8}, "seed of text 1 was 8, is"),
        ({"prompt": "c"}, "prompt of text 1 was 'c', is 'a'"),
        ({"temperature": 0.8}, "temperature of text 1 was 0.8, is 0.5"),
        (
            {"index": 4, "seed": 8},
            "it has text 4, but this command writes 4 texts, numbered from 0",
        ),
    ],
)
def test_another_calls_file_is_refused(changes, said):
    write(line_of(0), line_of(1, **changes))
    with open_resumed(OUT) as (resumed, _), pytest.raises(InputError, match=said):
        resumed.check(JOBS)


@pytest.mark.parametrize(
    "text",
    [
        "verse\n",
        "note",
        '{"inde_',
        "[]\n",
        '{"index": 0}\n',
        '{"index": -1, "seed": 1, "text": ""}\n',
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(text):
    write(text)
    with (
        pytest.raises(InputError, match="not a file of samples written with --json"),
        open_resumed(OUT),
    ):
        pass
    assert OUT.read_text() == text


def test_two_do_not_write_one_file():
    with (
        open_resumed(OUT),
        pytest.raises(BusyError, match="another process writes to it"),
        open_resumed(OUT),
    ):
        pass


def test_a_pipe_cannot_be_resumed():
    os.mkfifo("pipe")
    with pytest.raises(InputError, match="pipe"), open_resumed(Path("pipe")):
        pass
