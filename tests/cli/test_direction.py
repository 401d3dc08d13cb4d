"""A backward model, against a forward model of a file that was turned round by hand.

Both learn the same symbols in the same order, so weights, figures and texts are the same.
"""

import json
import shutil
from pathlib import Path

import pytest
from command_line import QUICK

from charrnn.__main__ import run_cli
from charrnn.checkpoints.model import load_model

TEXT = "The quick brown fox jumps over the lazy dog,\nsaid Zoë ünd Jürgen: 1234.\n\n" * 40
OTHER = "A quick dog jumps over Zoë,\nsaid the lazy fox.\n\n" * 6
NAMES = "".join(f"{a}n{b}\n" for a in "ABCDEFGH" for b in ("a", "ee", "is", "olë"))
NEW_NAMES = "Hana\nBnolë\nGis\n"

TEXTS = {
    "text": (TEXT, OTHER, []),
    "names": (NAMES, NEW_NAMES, ["--lines"]),
    "bytes": (TEXT, OTHER, ["--bytes"]),
}


QUICKER = ["-q", "--memory", "4", "--precision", "fp32", *QUICK]


def turned(text, options):
    """Return the bytes of the file that a forward model learns instead."""
    if "--bytes" in options:
        return text.encode()[::-1]
    if "--lines" in options:
        return "".join(f"{line[::-1]}\n" for line in text.splitlines()).encode()
    return text[::-1].encode()


@pytest.fixture(scope="module", params=TEXTS)
def trained(request, tmp_path_factory):
    """A folder with the runs b, backward, and f, forward on the turned file; and the options."""
    text, other, options = TEXTS[request.param]
    folder = tmp_path_factory.mktemp("directions")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CHARRNN_CACHE", str(folder / "cache"))
        Path("b.txt").write_text(text, encoding="utf-8")
        Path("b-val.txt").write_text(other, encoding="utf-8")
        Path("f.txt").write_bytes(turned(text, options))
        Path("f-val.txt").write_bytes(turned(other, options))
        for run, direction in (("b", "backward"), ("f", "forward")):
            words = ["train", f"{run}.txt", "--val-file", f"{run}-val.txt", "--run", run]
            assert run_cli([*words, "--direction", direction, *options, *QUICKER]) == 0
    return folder, options


@pytest.fixture
def options(trained, tmp_path):
    """Options of the two runs, which are copied into the folder of the test."""
    folder, options = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return options


@pytest.fixture
def lines(charrnn, options):
    """Return a function that gives the JSON lines of a command."""
    return lambda *words: list(map(json.loads, charrnn(*words, "--json").stdout.splitlines()))


def best(run):
    return load_model(Path("checkpoints", run, "best.safetensors"))


def test_the_weights_and_the_losses_are_the_same(options):
    b, f = best("b"), best("f")
    assert {name: w.tobytes() for name, w in b.weights.items()} == {
        name: w.tobytes() for name, w in f.weights.items()
    }
    assert (b.is_backward, f.is_backward) == (True, False)
    assert b.metadata.metrics.val_loss == f.metadata.metrics.val_loss
    scores = [each.metadata.raw["end"]["scores"] for each in (b, f)]
    assert "direction:backward" in scores[0][0].pop("signature")
    assert "direction" not in scores[1][0].pop("signature")
    assert scores[0][0]["loss"] == scores[1][0]["loss"]
    assert scores[0][0]["bits_per_char"] is not None  # bytes are decoded in reading order


def test_score_finds_the_same_loss_and_names_lines_in_reading_order(lines, options):
    b, f = (lines("score", f"{run}-val.txt", "-m", run) for run in "bf")
    assert [each["loss"] for each in b] == [each["loss"] for each in f]
    if "--lines" in options:
        assert [(each["line"], each["text"]) for each in b] == [
            (1, "Hana"),
            (2, "Bnolë"),
            (3, "Gis"),
        ]


@pytest.mark.parametrize("count", [1, 3])
def test_texts_are_the_reverse_with_prompts_and_stop_strings(lines, options, count):
    prompt, stop, few = "olë", "i", ["-n", count, "-l", 40, "--seed", 3]
    b = lines("sample", "b", "-p", prompt, "--stop", stop, *few)
    f = lines("sample", "f", "-p", prompt[::-1], "--stop", stop[::-1], *few)
    if "--bytes" not in options:
        assert [each["text"][::-1] for each in b] == [each["text"] for each in f]
    assert [each["finish"] for each in b] == [each["finish"] for each in f]
    assert {(each["direction"], each["prompt"]) for each in b} == {("backward", prompt)}
    assert not any("direction" in each for each in f)


def test_a_text_of_bytes_begins_with_a_whole_character(charrnn, options):
    def written(run, prompt):
        few = ["-n", 4, "-l", 60, "--seed", 3, "--no-echo-prompt"]
        charrnn("sample", run, "-p", prompt, *few, "-o", f"{run}.out")
        return Path(f"{run}.out").read_bytes()

    if "--bytes" in options:
        texts = written("b", "234.").split(b"\n---\n")
        others = written("f", ".432").split(b"\n---\n")
        for text, other in zip(texts, others, strict=True):
            assert other[::-1].endswith(text)
            assert len(text) > 57
            text.decode()


def test_the_surprise_is_that_of_the_turned_text(lines, options):
    Path("short.txt").write_text("Gis\nHanolë\n", encoding="utf-8")
    Path("short-turned.txt").write_bytes(turned("Gis\nHanolë\n", options))
    b = lines("viz", "surprise", "b", "short.txt")
    f = lines("viz", "surprise", "f", "short-turned.txt")
    f = f[2::-1] + f[3:4] + f[9:3:-1] + f[10:] if "--lines" in options else f[::-1]
    for t, (ours, theirs) in enumerate(zip(b, f, strict=True)):
        assert ours == theirs | {"index": t}
