"""The words of a report, for each outcome of a run."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from charrnn.checkpoints.metadata import parse_metadata
from charrnn.checkpoints.model import Model
from charrnn.checkpoints.runs import RunInfo
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.nn.architecture import ModelConfig
from charrnn.viz.commands import max_time
from charrnn.viz.history import ALONE_CURVE, CURVES, History
from charrnn.viz.render.elements import Listing, Picture, Remark
from charrnn.viz.render.plain_text import plain_text
from charrnn.viz.verdict import RunSummary, figures, outcome, verdict

NOTHING = dict.fromkeys(
    ("stop_reason", "code", "error", "val_loss", "corpus", "num_files", "corpus_digest", "cell",
     "num_layers", "hidden_size", "num_parameters", "step", "total_steps", "seconds",
     "chars_per_second", "best")
)  # fmt: skip


def facts(state="finished", *, loss=None, train=None, vocab=None, folder="checkpoints/king", epoch=2.5,
          memory=True, **more):  # fmt: skip
    vocab = vocab or CharVocabulary(range(97, 117))  # 20 characters
    config = ModelConfig(
        cell="lstm", vocab_size=vocab.size, embedding_size=2, hidden_size=3, num_layers=1
    )
    said = {
        "progress": {"step": 840},
        "config": {"train": {"dropout": 0.5, "lr": 0.009, "newlines": "lf"}},
        "corpus": {
            "files": ["my plays.txt"],
            "num_files": 1,
            "digest": "",
            "num_train": 9,
            "num_val": 1,
        },
    }
    model = Model(config=config, weights={}, vocab=vocab, records=False, starts={}, metadata=parse_metadata(said),
        memory=SimpleNamespace(weight=None) if memory else None)  # fmt: skip
    info = RunInfo(
        **NOTHING | more | {"val_loss": loss},
        run="king", state=state, is_alive=state == "running", folder=Path(folder),
    )  # fmt: skip
    curves = {name: [] for name in CURVES} | {ALONE_CURVE: [(10, math.log(8)), (20, 1.0)]}
    last = {"train_loss": train, "scores": [{"network_loss": math.log(4)}]}
    return RunSummary(
        info=info, history=History("king", curves, last=last, epoch=epoch), model=model,
        sources=("my plays.txt",), unigram_entropy=3.0,
    )  # fmt: skip


def remarks(found):
    return [part.text for part in verdict(found) if isinstance(part, Remark)]


def steps(found):
    return [part.text for part in verdict(found) if isinstance(part, Listing)]


@pytest.mark.parametrize(
    ("found", "kind", "words", "command"),
    [
        (facts("running", step=5, total_steps=10), "running", "still training: 5 of 10", "sample"),
        (facts("stopped", step=5), "stopped", "after 5 steps", "train --run king --resume"),
        (facts("killed"), "killed", "died before its end", "train --run king --resume"),
        (facts("failed", error="disk full"), "failed", "failed: disk full", "--resume"),
        (facts("diverged", loss=1.0), "diverged", "failed", "--lr 0.003"),
        (facts(), "unknown", "held out", "--val-frac 0.1"),
        (facts(loss=2.9, memory=False), "little", "which characters are frequent", "--max-time 5m"),
        (facts(loss=1.0, train=0.2), "overfitting", "after step 840", "--dropout 0.6"),
        (facts(loss=1.0, train=1.3, seconds=1800), "underfitting", "read its text 2.5",
         "train 'my plays.txt' --max-time 1h30m"),
        (facts(loss=1.0, train=1.3, epoch=9, seconds=600), "good", "went well", "--max-time 30m"),
        (facts(loss=1.0, train=1.3, epoch=0.25), "begun", "has read 25%", "5m"),
        (facts(loss=1.0, train=1.3, epoch=1.0), "underfitting", "read its text 1.0", "5m"),
        (facts(loss=1.0), "ended", "ended", "--max-time"),
    ],
)  # fmt: skip
def test_each_end_has_its_words_and_its_next_step(found, kind, words, command):
    assert outcome(found) == kind
    assert words in remarks(found)[0]
    assert command in steps(found)[0]
    assert "charrnn sample king" in steps(found)[-1]


def test_a_loss_is_told_as_equally_likely_characters():
    """e^1 = 2.7 of 20; the network alone went from ln 8 to ln 4."""
    _, first, second = remarks(facts(loss=1.0))
    assert "as unsure as between 2.7 equally likely characters" in first
    assert "between all 20" in first
    assert "between 4.0 characters. At its first test, at step 10, it was 8.0." in second
    assert len(remarks(facts(loss=1.0, memory=False))) == 2
    assert "2.7 equally likely bytes" in remarks(facts(loss=1.0, vocab=ByteVocabulary()))[1]


def test_a_memory_that_does_harm_is_named():
    found = facts(loss=1.0, train=1.3)
    found.model.memory.weight = 0
    assert "would do harm" in remarks(found)[2]
    assert "network alone" not in " ".join(remarks(found))


def test_runs_elsewhere_are_named_so():
    found = steps(facts("killed", folder="/tmp/runs/king"))
    assert all("--checkpoints /tmp/runs" in each for each in found)


def test_what_is_not_known_is_not_shown():
    text = plain_text(Picture("", verdict(facts())), colour=False)
    assert "?" not in text
    assert "validation loss  " not in text


def test_a_run_without_a_test_is_judged_by_the_text_that_is_shown():
    found = replace(facts("stopped"), shown_loss=math.log(5))
    assert (
        "shown below, the model is on average as unsure as between 5.0 equally" in remarks(found)[1]
    )


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"cell": "transformer", "context": 256, "num_heads": 3}, "--cell transformer"),
        ({"cell": "gru", "attention": 512}, "--cell gru --attention 512"),
        ({"cell": "lstm", "attention": 0}, ""),
    ],
)
def test_a_new_run_has_the_cell_of_the_old_one_and_sizes_of_its_own(settings, options):
    found = facts(loss=1.0, train=1.3, seconds=1800)
    found.model.metadata.raw["config"]["train"] |= settings | {"hidden_size": 192}
    command = " ".join(["train 'my plays.txt'", *options.split(), "--max-time 1h30m"])
    assert steps(found)[0].endswith(command)


def test_what_is_left_is_told_and_a_new_run_reads_as_the_old_one():
    """30 s for 10 of 40 steps: 90 s are left."""
    found = facts("stopped", step=10, total_steps=40, seconds=30)
    assert steps(found)[0].startswith("continue the run, for about 1m30s:")
    found.model.metadata.raw["config"]["train"] |= {
        "lines": True,
        "encoding": "latin-1",
        "newlines": "keep",
    }
    ended = replace(found, info=replace(found.info, state="diverged"))
    assert "train 'my plays.txt' --lines --encoding latin-1 --max-time 1m" in steps(ended)[0]


def test_a_run_that_kept_its_line_ends_keeps_them_again():
    found = facts("stopped")
    for settings, flags in (
        ({}, " --newlines keep"),
        ({"newlines": "lf"}, ""),
        ({"bytes": True}, " --bytes"),
    ):
        found.model.metadata.raw["config"]["train"].clear()
        found.model.metadata.raw["config"]["train"].update(settings)
        ended = replace(found, info=replace(found.info, state="diverged"))
        assert f"train 'my plays.txt'{flags} --max-time" in steps(ended)[0]


def test_texts_are_named_as_they_lie_from_here():
    """A folder as a folder, and the text that was held out too."""
    here = Path.cwd()
    names = (str(here / "texts"), "/elsewhere/a.txt")
    found = replace(facts(loss=1.0), sources=names, val_source=str(here / "v.txt"))
    assert "charrnn train texts /elsewhere/a.txt --val-file v.txt" in steps(found)[0]
    assert "charrnn train FILE..." in steps(replace(found, sources=()))[0]


def test_a_network_that_the_memory_carries_is_not_praised():
    """The loss is 0.5, of the network alone 2.9, and frequencies alone would leave 3."""
    found = facts(loss=0.5, train=2.8, epoch=9)
    found.history.last["scores"][0]["network_loss"] = 2.9
    assert outcome(found) == "little"


def test_figures_of_a_run_that_was_killed_are_those_of_its_log():
    found = facts("killed", loss=1.0, epoch=3.25)
    found.history.last.clear()
    found.history.curves["training loss"] = [(10, 2.0), (840, 0.5)]
    found.history.curves[ALONE_CURVE].append((840, 1.5))
    assert (found.history.epoch, found.train_loss, found.network_loss) == (3.25, 0.5, 1.5)


def test_a_training_loss_says_what_it_is_the_mean_of():
    """One point is not a mean of points; the last one is shown of a run that was killed."""
    found = facts(loss=1.0, train=math.log(4))
    rows = dict(figures(found))
    expected = "1.386 nats per character, mean of the last points of its curve: as unsure as "
    assert rows["training loss, network alone"].startswith(expected)
    assert "mean" not in rows["validation loss"]
    found.history.last.clear()
    found.history.curves["training loss"] = [(10, 2.0), (840, 0.5)]
    assert dict(figures(found))["training loss"].startswith("0.500 nats per character: ")


def test_a_run_with_one_test_has_no_progress_to_tell():
    found = facts(loss=1.0)
    found.history.curves[ALONE_CURVE].pop()
    assert "first test" not in remarks(found)[2]


def test_a_duration_is_as_max_time_takes_it():
    assert [max_time(s) for s in (10, 90, 3600, 5400)] == ["1m", "2m", "1h", "1h30m"]


@pytest.mark.parametrize(("loss", "kind"), [(2.99, "random"), (0.01, "known")])
def test_no_training_is_advised_where_nothing_is_left_to_learn(loss, kind):
    """Frequencies alone would leave 3 nats."""
    found = facts(loss=loss, train=loss, memory=False, epoch=9)
    found.history.curves[ALONE_CURVE][:] = [(10, 2.99), (20, 2.99), (30, 2.99), (40, 2.99)]
    assert outcome(found) == kind
    assert "More training will not help" in remarks(found)[0]
    assert len(steps(found)) == 1
    assert "charrnn sample king" in steps(found)[0]


def test_the_report_has_the_loss_by_each_protocol_with_its_signature():
    scores = [{"protocol": "cold-256", "loss": 1.5, "signature": "W:256"}, 7, {"loss": 1.0}]
    found = facts(loss=1.0)
    found.history.last["scores"][:] = scores
    text = plain_text(Picture("", verdict(found)), colour=False)
    assert "validation loss, cold-256" in text
    assert "1.5000 nats, W:256" in text
