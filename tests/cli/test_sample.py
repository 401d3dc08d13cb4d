"""Prompts: one, a file's text, a line each, JSON lines."""

import io
from pathlib import Path

import pytest

from charrnn.cli.sample import read_prompts
from charrnn.core.errors import InputError


def from_stdin(monkeypatch, data):
    class Stdin:
        buffer = io.BytesIO(data)

        def isatty(self):
            return False

    monkeypatch.setattr("sys.stdin", Stdin())
    return read_prompts(None, None, Path("-"))


def test_without_a_prompt_there_is_an_empty_one():
    assert read_prompts(None, None, None) == [""]


def test_every_line_of_a_file_is_a_prompt_an_empty_one_too():
    Path("p.txt").write_bytes("Zoë\n\nThe king\r\n two\n".encode())
    assert read_prompts(None, None, Path("p.txt")) == ["Zoë", "", "The king", " two"]


def test_an_empty_file_has_no_prompts():
    Path("p.txt").write_bytes(b"")
    assert read_prompts(None, None, Path("p.txt")) == []


def test_stdin_has_json_lines_strings_or_what_sample_has_written(monkeypatch):
    data = b'"a\\nb"\n\n{"index": 4, "prompt": "c", "text": "d"}\n'
    assert from_stdin(monkeypatch, data) == ["a\nb", "c"]


def test_a_file_may_have_json_lines_too():
    Path("p.jsonl").write_text('"a\\nb"\n', encoding="utf-8")
    assert read_prompts(None, None, Path("p.jsonl")) == ["a\nb"]


@pytest.mark.parametrize("line", ["a", "7", '{"text": "a"}', '{"prompt": 7}', "[" * 100_000])
def test_what_is_no_prompt_is_named_with_its_line(monkeypatch, line):
    with pytest.raises(InputError, match=r"stdin: line 2 is neither a JSON string nor an object"):
        from_stdin(monkeypatch, b'"a"\n' + line.encode() + b"\n")


def test_two_kinds_of_prompt_are_refused():
    with pytest.raises(InputError, match="--prompt and --prompts: they exclude each other"):
        read_prompts("a", None, Path("p.txt"))
