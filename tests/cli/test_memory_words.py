"""`charrnn train --memory-words`: what is counted, recorded and resumed."""

import json
from pathlib import Path

import pytest
from command_line import QUICK

from charrnn.checkpoints.format import unpack
from charrnn.checkpoints.metadata import read_metadata
from charrnn.checkpoints.model import load_model
from charrnn.checkpoints.run_folder import step_files
from charrnn.checkpoints.state import state_digest

SAYINGS = "Who's there?\nNay, answer me, who is there.\n" * 30
NAMES = "".join(f"{name}{number}\n" for number in range(60) for name in ("Anna", "Bo", "Cleo"))


@pytest.fixture(autouse=True)
def texts():
    Path("sayings.txt").write_text(SAYINGS, "utf-8")
    Path("names.txt").write_text(NAMES, "utf-8")


def best(run):
    return Path("checkpoints", run, "best.safetensors")


def digest(run):
    return state_digest(*unpack(step_files(Path("checkpoints", run))[-1].read_bytes()))


def train(charrnn, run, *arguments):
    return charrnn("train", *arguments, "--run", run, *QUICK, "-q")


def test_a_text_is_counted_with_its_words_and_a_list_of_names_without(charrnn):
    train(charrnn, "text", "sayings.txt")
    train(charrnn, "lines", "sayings.txt", "--lines")
    train(charrnn, "names", "names.txt", "--lines")
    train(charrnn, "alone", "sayings.txt", "--memory", "off")
    knows = {run: load_model(best(run)).memory for run in ("text", "lines", "names", "alone")}
    assert knows["text"].words is not None
    assert knows["lines"].words is None  # 22 characters a line
    assert knows["names"].words is None
    assert knows["alone"] is None
    assert "memory_words" not in read_metadata(best("alone")).settings
    assert "words, " in charrnn("info", str(best("text"))).stdout


def test_without_words_a_file_is_what_it_was_before_there_were_words(charrnn):
    train(charrnn, "plain", "sayings.txt", "--memory-words", "off")
    content, raw = unpack(best("plain").read_bytes())
    assert "memory_words" not in raw["config"]["train"]
    assert "words" not in raw["memory"]
    assert not any("w" in name for name in content if name.startswith("memory/"))


def test_an_interrupted_run_ends_as_one_that_never_was(charrnn):
    train(charrnn, "whole", "sayings.txt", "--save-every", 5)
    whole, figures = digest("whole"), read_metadata(best("whole")).raw["shipped"]
    for path in step_files(Path("checkpoints/whole"))[1:]:
        path.unlink()
    best("whole").unlink()
    charrnn("train", "sayings.txt", "--run", "whole", "--resume", "-q")
    assert digest("whole") == whole
    assert read_metadata(best("whole")).raw["shipped"] == figures


def test_words_lower_the_loss_and_name_themselves_in_its_signature(charrnn):
    losses = {}
    for run, words in (("with", "on"), ("without", "off")):
        train(charrnn, run, "sayings.txt", "--memory-words", words)
        line = charrnn("score", "sayings.txt", "-m", str(best(run)), "--json", "-q").stdout
        found = json.loads(line.splitlines()[0])
        losses[run] = found["loss"]
        assert ("memory:7+words" in found["signature"]) == (words == "on")
    assert losses["with"] < losses["without"]
