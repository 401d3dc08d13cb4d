"""Every block of shell in docs/guide.md runs as it stands, in the page's order.

A hundred thousand samples are a thousand here; unit 0:7 is the last of the small network.
"""

import re

import pytest
from doc_pages import bash, blocks, page, write_commands, write_texts

BLOCKS = blocks(page("docs/guide.md"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guide")
    write_commands(folder / "bin")
    write_texts(folder)
    return folder


@pytest.fixture(scope="module")
def done(home):
    """What each block came to."""
    return [bash(home, text.replace("-n 100000 ", "-n 1000 ")) for text in BLOCKS]


def test_every_block_of_shell_passes(done):
    failed = [
        (text, each.stderr) for text, each in zip(BLOCKS, done, strict=True) if each.returncode
    ]
    assert failed == []
    assert len(done) >= 12


def test_the_page_shows_every_command_of_the_program(done):
    shown = set(re.findall(r"\bcharrnn ([a-z]+)", "".join(BLOCKS)))
    assert shown >= {
        "train",
        "sample",
        "score",
        "info",
        "runs",
        "viz",
        "export",
        "serve",
        "completion",
    }


def test_files_are_written_where_the_page_says(home, done):
    names = {path.name for path in home.iterdir()}
    assert names >= {
        "out.jsonl",
        "texts.jsonl",
        "surprise.html",
        "attention.html",
        "evolution.html",
        "report.html",
        "page.html",
    }
    assert len((home / "texts.jsonl").read_text("utf-8").splitlines()) == 100
    assert len((home / "out.jsonl").read_text("utf-8").splitlines()) == 1000
    for run in ("shakespeare", "names", "from-stdin", "as-bytes", "letters", "tuned", "same-again"):
        assert (home / "checkpoints" / run / "best.safetensors").is_file()
    for run in ("lstm", "gru", "rnn", "transformer", "attention"):
        assert (home / "cells" / run / "best.safetensors").is_file()
