"""A transformer behind the commands that know recurrent networks."""

import json
from pathlib import Path

import pytest

from charrnn.launch.size_presets import NAMED_TRANSFORMERS

QUICK = ["--cell", "transformer", "--hidden-size", 12, "--num-layers", 2, "--num-heads", 3,
         "--context", 9, "--memory", 3, "--steps", 8, "--eval-every", 4]  # fmt: skip


@pytest.fixture
def trained(charrnn, text_file):
    charrnn("train", text_file, *QUICK)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--num-heads", 5], ["--num-heads and --hidden-size", "5 heads", "width of 12"]),
        (["--hidden-size", 7, "--num-heads", 1], ["--num-heads and --hidden-size", "width of 7"]),
        (["--embedding-size", 8], ["--embedding-size and --cell transformer", "--hidden-size"]),
        (["--weight-drop", 0.1], ["--weight-drop and --cell transformer"]),
        (["--context", 16_385], ["--context: must be in [0, 16384]"]),
        (["--cell", "gru", "--num-heads", 0], ["--context: only --cell transformer"]),
        (["--cell", "lstm", "--context", 0], ["--num-heads: only --cell transformer"]),
    ],
)
def test_what_a_network_lacks_is_refused_in_a_line_before_a_run_is_made(
    charrnn, text_file, options, words
):
    result = charrnn("train", text_file, *QUICK, *options, check=False)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in words)
    assert result.stderr.count("\n") == 1
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize("name", NAMED_TRANSFORMERS)
def test_each_size_has_a_transformer(charrnn, text_file, name):
    options = ["--cell", "transformer", "--size", name, "--steps", 5, "--dry-run", "--json"]
    settings = json.loads(charrnn("train", text_file, *options).stdout)["settings"]
    assert settings["hidden_size"] == settings["embedding_size"] == NAMED_TRANSFORMERS[name]
    assert settings["context"] > 0
    assert settings["hidden_size"] % (2 * settings["num_heads"]) == 0
    assert settings["weight_drop"] == 0


def test_a_recurrent_network_has_no_settings_of_a_transformer(charrnn, text_file):
    options = ["--size", "tiny", "--steps", 5, "--dry-run", "--json"]
    settings = json.loads(charrnn("train", text_file, *options).stdout)["settings"]
    assert not {"context", "num_heads"} & settings.keys()


def test_it_writes_in_numpy_and_says_so(charrnn, trained):
    result = charrnn("sample", "text", "-l", 40, "--seed", 1, "-v")
    assert "loop in NumPy" in result.stderr
    again = charrnn("sample", "text", "-l", 40, "--seed", 1)
    assert again.stdout == result.stdout


def test_it_is_described_by_its_blocks_and_width(charrnn, trained):
    assert "transformer 2×12" in charrnn("info", "text").stdout
    assert "transformer 2×12" in charrnn("runs").stdout


def test_it_is_scored_with_and_without_learning_as_it_reads(charrnn, trained, text_file):
    for more in ((), ("--adapt",)):
        line = charrnn("score", "-m", "text", text_file, "--json", *more).stdout.splitlines()[0]
        assert 0 < json.loads(line)["network_loss"] < 5


def test_its_weights_begin_another_run(charrnn, trained, text_file):
    charrnn("train", text_file, "--init-from", "text", "--steps", 3, "--run", "second")
    assert "transformer 2×12" in charrnn("info", "second").stdout
    other = ["--init-from", "text", "--context", 10, "--steps", 3]
    result = charrnn("train", text_file, *other, check=False)
    assert "the model has context 9, not 10" in result.stderr


def test_its_units_are_those_of_the_residual_stream(charrnn, trained, text_file):
    plain = charrnn("viz", "cells", "text", text_file, "-l", 50, "-o", "c.html")
    assert plain.exit_code == 0
    assert "tanh of the residual stream behind a block" in Path("c.html").read_text("utf-8")
    lines = charrnn("viz", "cells", "text", text_file, "-l", 50, "--unit", "1:11", "--json").stdout
    values = [json.loads(line)["units"]["1:11"] for line in lines.splitlines()]
    assert len(values) == 50
    assert all(-1 <= value <= 1 for value in values)
    assert len(set(values)) > 25


def test_attention_is_a_page_a_text_and_numbers(charrnn, trained, text_file):
    viz = ("viz", "attention", "text", text_file, "-l", 30)
    [name] = charrnn(*viz, "-o", "a.html").stdout.split()
    page = Path(name).read_text("utf-8")
    labels = ["mean of all 6 heads", *(f"block {b}, head {h}" for b in (0, 1) for h in (0, 1, 2))]
    assert "".join(f"<option>{label}</option>" for label in labels) in page
    shown = charrnn(*viz, "--head", "1:2", "--head", "0:0").stdout.split("\n")
    assert [shown[3], shown[35]] == ["block 1, head 2", "block 0, head 0"]
    lines = charrnn(*viz, "--head", "1:2", "--json").stdout.splitlines()
    assert len(lines) == 30
    last = json.loads(lines[-1])
    assert last["seen"] == [*range(21, 30)]  # --context 9
    assert sum(last["weights"]["1:2"]) == pytest.approx(1, abs=1e-5)


def test_attention_of_a_model_that_has_none_is_refused_in_a_line(charrnn, text_file):
    charrnn("train", text_file, "--steps", 2, "--hidden-size", 8)
    result = charrnn("viz", "attention", "text", text_file, "-q", check=False)
    assert result.exit_code == 2
    assert "charrnn train FILE --attention 512, or --cell transformer" in result.stderr
    assert result.stderr.count("\n") == 1


def test_surprise_is_the_loss_that_score_gives(charrnn, trained, text_file):
    """viz reads the residual stream of NumPy and multiplies it by the decoder; score uses torch."""
    options = ["-l", 5000, "--memory-weight", 0, "--json"]
    shown = charrnn("viz", "surprise", "text", text_file, *options).stdout.splitlines()
    bits = [json.loads(line)["bits"] for line in shown][1:]
    line = charrnn("score", "-m", "text", text_file, "--memory-weight", 0, "--json").stdout
    scores = {each["protocol"]: each for each in map(json.loads, line.splitlines())}
    # The first character has no predecessor in score, and a line end in viz.
    expected = scores["streamed"]["network_loss"] / 0.6931471805599453
    assert sum(bits) / len(bits) == pytest.approx(expected, abs=2e-2)
