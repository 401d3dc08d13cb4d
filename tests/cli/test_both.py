"""A model of both directions behind each command: what it does, and what it refuses in a line."""

import json
from pathlib import Path

import pytest
from command_line import QUICK

from charrnn.checkpoints.model import load_model

SENTENCE = "The quick brown fox jumps over the lazy dog, said Zoë.\n"
BOTH = ["--direction", "both", *QUICK, "--memory", "4", "--precision", "fp32", "-q"]
KINDS = {
    "text": [],
    "lines": ["--lines"],
    "bytes": ["--bytes"],
    "attention": ["--attention", "9"],
    "transformer": ["--cell", "transformer", "--num-heads", "2", "--context", "20"],
}


@pytest.fixture
def trained(made, monkeypatch):
    """A folder with runs of both directions, and a forward run, on text.txt."""
    lines = "".join(f"name {i * i} of {i}\n" for i in range(120))
    runs = [["train", "text.txt", *BOTH], ["train", "text.txt", *QUICK, "-q"]]
    monkeypatch.chdir(made({"text.txt": SENTENCE * 60, "lines.txt": lines}, *runs))


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_model_trains_is_scored_and_resumed(call, kind):
    file, run = ("lines.txt" if kind == "lines" else "text.txt"), f"a-{kind}"
    words = ["train", file, *BOTH, *KINDS[kind], "--dropout", "0.2", "--run", run]
    assert call(*words, "--eval-every", "8")[0] == 0
    score = json.loads(call("score", file, "-m", run, "--held-out", "--json")[1].splitlines()[0])
    assert score["protocol"] == "pseudo-likelihood"
    assert score["bits_per_char"] is score["bits_per_byte"] is None
    best = load_model(f"checkpoints/{run}/best.safetensors")
    end = best.metadata.raw["end"]
    assert end["bits_per_char"] is None
    if kind != "lines":
        assert score["loss"] == pytest.approx(end["val_loss"], abs=1e-5)
    assert score["signature"].endswith("|direction:both")
    assert call(*words, "--steps", "30", "--resume")[0] == 0
    assert json.loads(call("info", run, "--json")[1])["progress"]["step"] > 20


@pytest.mark.usefixtures("trained")
def test_a_line_is_scored_alike_with_and_without_other_lines(call):
    assert call("train", "lines.txt", *BOTH, "--lines", "--run", "names")[0] == 0
    Path("one.txt").write_text("name 81 of 9\n")
    Path("more.txt").write_text("name 81 of 9\nname 1 of 1 name 12\nname\n")
    losses = [
        json.loads(call("score", file, "-m", "names", "--json")[1].splitlines()[0])["loss"]
        for file in ("one.txt", "more.txt")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.usefixtures("trained")
def test_its_loss_has_its_name_everywhere_and_no_bits_beside_it(call):
    code, _, err = call("train", "text.txt", *BOTH[:-1], "--run", "shown", "-v")
    assert code == 0
    assert "pseudo-likelihood: " in err
    assert "val " not in err.replace("val ?", "")
    assert "validation loss:" not in err
    out = call("score", "text.txt", "-m", "shown")[1]
    assert "pseudo-likelihood" in out
    shown = call("info", "shown")[1]
    assert "direction        both" in shown
    assert "pseudo-likelihood" in shown
    assert "validation loss" not in shown
    for text in (err, out, shown):
        assert "bits" not in text
        assert "perplexity" not in text


@pytest.mark.usefixtures("trained")
def test_runs_are_compared_within_their_kind(call):
    assert call("runs", "best")[1] == "checkpoints/text/best.safetensors\n"
    best = call("runs", "best", "--direction", "both")[1]
    assert best == "checkpoints/text-both/best.safetensors\n"
    _, out, err = call("runs")
    assert "lstm 1×16 both" in out
    assert "text (text.txt" in err  # two groups
    assert "text-both (text.txt" in err


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "text-both"], "it writes no text"),
        (["sample", "text-both", "-n", "3", "-o", "made.txt"], "it writes no text"),
        (["sample", "text", "--with", "text-both"], "it writes no text"),
        (["serve", "text-both", "--port", "0"], "it writes no text"),
        (["export", "text-both", "-o", "made.html"], "it writes no text"),
        (
            ["viz", "surprise", "text-both", "text.txt", "-o", "made.html"],
            "it does not read a text in one direction",
        ),
        (["viz", "cells", "text-both", "text.txt"], "it does not read a text in one direction"),
        (["viz", "report", "text-both", "-o", "made.html"], "it has no report"),
        (["sample", "text", "--ends-with", "dog", "--backward", "text-both"], "of both directions"),
        (["fill", "--after", "x", "-m", "text", "--backward", "text-both"], "of both directions"),
        (["score", "text.txt", "-m", "text-both", "--adapt"], "pseudo-likelihood"),
        (["score", "text.txt", "-m", "text-both", "--protocol", "cold-8"], "pseudo-likelihood"),
        (["score", "text.txt", "-m", "text-both", "--memory-weight", "0"], "pseudo-likelihood"),
        (
            ["train", "text.txt", *BOTH, "--sample-every", "5"],
            "--sample-every and --direction both",
        ),
        (["train", "text.txt", *BOTH, "--init-from", "text"], "the model has direction forward"),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_line(call, words, message):
    before = sorted(Path().rglob("*"))
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert sorted(Path().rglob("*")) == before


@pytest.mark.usefixtures("trained")
def test_its_weights_begin_another_run(call):
    words = ["train", "text.txt", "--init-from", "text-both", "--steps", "3", "--run", "second"]
    assert call(*words)[0] == 0
    assert load_model("checkpoints/second/best.safetensors").is_both


@pytest.mark.usefixtures("trained")
def test_proof_finds_it_and_takes_it_as_either_model(call):
    Path("wrong.txt").write_text(SENTENCE * 2 + SENTENCE.replace("brown", "brawn"))
    code, out, err = call("proof", "wrong.txt", "-m", "text", "--json")
    assert code == 0
    assert "model of both directions text-both" in err
    for names in (["-m", "text-both"], ["-m", "text", "--backward", "text-both"]):
        assert call("proof", "wrong.txt", *names, "--json")[1] == out
    found = [each for line in out.splitlines() for each in json.loads(line)["suggestions"]]
    assert [(each["found"], each["meant"]) for each in found] == [("brawn", "brown")]


@pytest.mark.usefixtures("trained")
def test_without_a_forward_model_its_n_grams_read_beside_it(call):
    assert call("train", "lines.txt", *BOTH)[0] == 0
    Path("wrong.txt").write_text("name 81 of 9\nnaqe 81 of 9\n")
    code, out, _ = call("proof", "wrong.txt", "-m", "lines-both", "--json")
    assert code == 0
    meant = [each["meant"] for line in out.splitlines() for each in json.loads(line)["suggestions"]]
    assert meant == ["name"]
    words = ["--before", "name 8", "--after", " of 9\n", "--seed", "1"]
    assert call("fill", "-m", "lines-both", *words)[0] == 0
