"""What a report says in words, for each way that a run can go."""

import math
from pathlib import Path

import pytest

from charrnn.advice import ALONE, advice
from charrnn.checkpoint import Model
from charrnn.config import ModelConfig
from charrnn.history import ALONE_CURVE, CURVES, History
from charrnn.overview import RunInfo
from charrnn.parts import Listing, Picture, Remark
from charrnn.plain import plain_text
from charrnn.verdict import Facts, duration, kind_of, verdict
from charrnn.vocab import ByteVocabulary, CharVocabulary

NOTHING = dict.fromkeys(
    ("stop_reason", "code", "error", "val_loss", "corpus", "num_files", "corpus_digest", "cell",
     "num_layers", "hidden_size", "num_parameters", "step", "total_steps", "seconds",
     "chars_per_second", "best")
)  # fmt: skip


def facts(state="finished", *, loss=None, says="", vocab=None, folder="checkpoints/king", **more):
    vocab = vocab or CharVocabulary(range(97, 117))  # 20 characters
    config = ModelConfig(
        cell="lstm", vocab_size=vocab.size, embedding_size=2, hidden_size=3, num_layers=1
    )
    said = {
        "config": {"train": {"dropout": 0.5, "lr": 0.009}},
        "corpus": {"files": ["my plays.txt"]},
    }
    model = Model(config=config, weights={}, vocab=vocab, records=False, starts={}, facts=said)
    info = RunInfo(
        **NOTHING | more | {"val_loss": loss},
        run="king", state=state, is_alive=state == "running", folder=Path(folder),
    )  # fmt: skip
    curves = {name: [] for name in CURVES} | {ALONE_CURVE: [(10, math.log(8)), (20, 1.0)]}
    last = {"advice": says, "epoch": 2.5, "scores": [{"network_loss": math.log(4)}]}
    return Facts(info, History("king", curves, last=last), model)


def remarks(found):
    return [part.text for part in verdict(found) if isinstance(part, Remark)]


def steps(found):
    return [part.text for part in verdict(found) if isinstance(part, Listing)]


def said(val, train, best_at=1.0, epochs=2.0):
    return advice(val, train, best_at=best_at, epochs=epochs)


@pytest.mark.parametrize(
    ("found", "kind", "words", "command"),
    [
        (facts("running", step=5, total_steps=10), "running", "still training: 5 of 10", "sample"),
        (facts("stopped", step=5), "stopped", "after 5 steps", "train --run king --resume"),
        (facts("killed"), "killed", "died", "train --run king --resume"),
        (facts("failed", error="disk full"), "failed", "failed: disk full", "--resume"),
        (facts("diverged", loss=1.0), "diverged", "failed", "train 'my plays.txt' --lr 0.003"),
        (facts(), "unknown", "held out", "--val-frac 0.1"),
        (facts(loss=2.9), "little", "which characters are frequent", "--max-time 30m"),
        (facts(loss=1.0, says=said(1.0, 0.2)), "overfitting", "by heart", "--dropout 0.6"),
        (facts(loss=1.0, says=said(1.0, 0.9), seconds=1800), "underfitting", "read its text 2.5",
         "train 'my plays.txt' --max-time 1h30m"),
        (facts(loss=1.0, says=said(1.0, 0.9, epochs=9)), "good", "went well", "--max-time 30m"),
        (facts(loss=1.0), "ended", "ended", "--max-time"),
    ],
)  # fmt: skip
def test_each_end_has_its_words_and_its_next_step(found, kind, words, command):
    assert kind_of(found) == kind
    assert words in remarks(found)[0]
    assert command in steps(found)[0]
    assert "charrnn sample king" in steps(found)[-1]


def test_a_loss_is_told_as_characters_that_it_hesitates_between():
    """e^1 = 2.7 of 20; the network alone went from ln 8 to ln 4."""
    _, first, second = remarks(facts(loss=1.0))
    assert "hesitates between 2.7 characters" in first
    assert "between all 20" in first
    assert "began, at its first test, with 8.0, and ended with 4.0" in second
    assert "2.7 bytes" in remarks(facts(loss=1.0, vocab=ByteVocabulary()))[1]


def test_a_memory_that_does_harm_is_named():
    assert "would do harm" in remarks(facts(loss=1.0, says=f"a good fit: x; {ALONE}"))[3]


def test_runs_elsewhere_are_named_so():
    found = steps(facts("killed", folder="/tmp/runs/king"))
    assert all("--checkpoints /tmp/runs" in each for each in found)


def test_what_is_not_known_is_not_shown():
    text = plain_text(Picture("", verdict(facts())), colour=False)
    assert "?" not in text
    assert "validation loss, nats" not in text


def test_a_duration_is_as_max_time_takes_it():
    assert [duration(s) for s in (10, 90, 3600, 5400)] == ["1m", "2m", "1h", "1h30m"]
