"""What -o may overwrite: one rule for all commands."""

import json
import os
from pathlib import Path

import pytest

from charrnn.core.errors import InputError
from charrnn.core.output import open_output
from charrnn.core.overwriting import PAGE_START, check_output, is_remembered, remember_output

SAMPLE = '{"index": 0, "seed": 7, "prompt": "", "text": "a"}\n'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cache"


def refusal(path, inputs=(), *, force=False):
    with pytest.raises(InputError) as caught:
        check_output(Path(path), inputs, force=force)
    return str(caught.value)


def test_a_new_or_empty_file_is_free():
    Path("empty").touch()
    for path in (None, Path("new"), Path("no/such/folder"), Path("empty"), Path("a\0b")):
        check_output(path, [], force=False)


def test_a_device_or_pipe_is_free():
    os.mkfifo("pipe")
    check_output(Path("pipe"), [], force=False)
    check_output(Path(os.devnull), [], force=False)


@pytest.mark.parametrize("text", [PAGE_START + "style-src", SAMPLE])
def test_an_output_that_shows_who_wrote_it_is_free(text):
    Path("out").write_text(text, encoding="utf-8")
    check_output(Path("out"), [], force=False)


@pytest.mark.parametrize(
    "text",
    [
        "my novel",
        "<!doctype html>\n<html><body>my page",
        json.dumps({"index": {"_index": "test"}}),  # of another program
        '{"index": 1, "name": "mine"}',
    ],
)
def test_a_foreign_file_is_refused_without_force(text):
    Path("mine").write_text(text, encoding="utf-8")
    assert refusal("mine") == (
        "-o: mine: exists, and charrnn did not write it; name another file, or overwrite it: --force"
    )
    check_output(Path("mine"), [], force=True)


def test_a_model_is_refused_without_force_by_name_or_content():
    Path("a.safetensors").write_text("damaged", encoding="utf-8")
    Path("renamed").write_bytes((2).to_bytes(8, "little") + b"{}" + b"rest")
    for name in ("a.safetensors", "renamed"):
        assert "is a model; name another file, or overwrite it: --force" in refusal(name)
        check_output(Path(name), [], force=True)


def test_an_input_is_refused_even_with_force_by_any_name():
    Path("names.txt").write_text(SAMPLE, encoding="utf-8")
    Path("link").symlink_to("names.txt")
    os.link("names.txt", "hard")
    for name in ("names.txt", "link", "hard", "../here/names.txt"):
        for force in (False, True):
            message = refusal(name, [None, Path("gone"), Path("names.txt")], force=force)
            assert message == f"-o: {name}: this command reads it; name another file"


def test_a_file_in_a_folder_that_is_read_is_refused():
    Path("corpus/part").mkdir(parents=True)
    Path("corpus/part/a.txt").write_text(SAMPLE, encoding="utf-8")
    assert "this command reads it" in refusal("corpus/part/a.txt", [Path("corpus")], force=True)
    check_output(Path("corpus/new.txt"), [Path("corpus")], force=False)


def test_a_text_that_charrnn_wrote_is_free_until_it_changes():
    with open_output(Path("out.txt"), raw=False) as out:
        out.put(b"written by charrnn")
    check_output(Path("out.txt"), [], force=False)
    with Path("out.txt").open("a", encoding="utf-8") as file:
        file.write(" and changed by hand")
    assert "did not write it" in refusal("out.txt")


def test_a_text_that_was_cut_short_is_known_too():
    def write():
        with open_output(Path("out.txt"), raw=False) as out:
            out.put(b"written")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    check_output(Path("out.txt"), [], force=False)


def test_another_file_in_the_place_of_an_output_is_foreign():
    Path("out.txt").write_text("one", encoding="utf-8")
    remember_output(Path("out.txt"))
    Path("mine").write_text("two", encoding="utf-8")
    Path("mine").replace("out.txt")
    assert not is_remembered(Path("out.txt"))


def test_without_a_cache_an_output_is_foreign_and_nothing_fails(cache):
    cache.write_text("no folder", encoding="utf-8")
    with open_output(Path("out.txt"), raw=False) as out:
        out.put(b"written")
    assert "did not write it" in refusal("out.txt")


def test_each_output_is_remembered_by_itself():
    for name in ("one", "two"):
        Path(name).write_text(name)
        remember_output(Path(name))
    assert is_remembered(Path("one"))
    assert is_remembered(Path("two"))
    Path("one").write_text("mine, and longer")
    assert not is_remembered(Path("one"))
    assert is_remembered(Path("two"))
