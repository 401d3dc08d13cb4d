"""What training leaves on disk, and when."""

import dataclasses
import json
from pathlib import Path

import pytest
from training_runs import CONFIG, run_training

from charrnn.checkpoints.model import load_model, read_model
from charrnn.checkpoints.names import create_run
from charrnn.checkpoints.run_folder import step_files
from charrnn.core.config import TrainConfig
from charrnn.core.errors import CharRNNError
from charrnn.core.files import write_durably
from charrnn.data.corpus import load_corpus
from charrnn.nn.architecture import ModelConfig
from charrnn.training.checkpointing import describe, describe_sources
from charrnn.training.trainer import Trainer, train


def test_a_normal_end_leaves_best_and_one_full_checkpoint(text_file):
    _, _, run = run_training(text_file)
    assert [path.name for path in step_files(run.folder)] == ["step-00000025.safetensors"]
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        ".lock", "best.safetensors", "metrics.jsonl", "samples.jsonl", "step-00000025.safetensors",
    }  # fmt: skip


def test_a_full_checkpoint_holds_the_training_state(text_file):
    _, _, run = run_training(text_file)
    model, rest = read_model(step_files(run.folder)[0])
    assert {"state/h", "state/c", "raw/decoder.weight", "optim/decoder.bias/exp_avg"} <= set(rest)
    assert rest["state/h"].shape == (1, 3, 16)
    assert model.metadata.progress.step == 25
    assert model.metadata.plan == [(0, 25)]
    assert model.memory is None


def test_the_shared_model_holds_weights_only(text_file):
    _, _, run = run_training(text_file)
    _, rest = read_model(run.best)
    assert rest == {}


def test_a_stop_saves_where_it_is(text_file):
    events, _, run = run_training(text_file, stop_after=13, eval_every=1000)
    end = events[-1]
    assert end.stop_reason == "signal"
    assert 13 <= end.step < 25
    assert step_files(run.folder)[-1].name == f"step-{end.step:08d}.safetensors"
    assert load_model(run.best).metadata.metrics.val_loss is None


def test_a_stop_before_the_first_step_saves_nothing(text_file):
    config = CONFIG
    corpus = load_corpus([text_file], config)
    run = create_run(Path("checkpoints"), "early", [text_file])
    events = list(train(config, corpus, run, should_stop=lambda: True))
    assert events[-1].step == 0
    assert not list(run.folder.glob("*.safetensors"))


def test_a_best_model_that_could_not_be_written_is_written_with_the_next_save(
    text_file, monkeypatch
):
    tries = []

    def fail_once(path, data):
        if path.name == "best.safetensors":
            tries.append(path)
            if len(tries) == 1:
                raise OSError(28, "No space left on device")
        write_durably(path, data)

    monkeypatch.setattr("charrnn.checkpoints.run_folder.write_durably", fail_once)
    config = dataclasses.replace(CONFIG, steps=100)
    corpus, run = load_corpus([text_file], config), create_run(Path("checkpoints"), "a", [])
    trainer = Trainer(config, corpus, run, lambda: False, lambda: 0.0)
    while trainer.step < 10:
        trainer.train_until_report()
    list(trainer.validate())  # the first best, with a full checkpoint
    assert not run.best.exists()
    assert trainer.checkpointer.is_best_due
    list(trainer.save())
    assert run.best.exists()
    assert not trainer.checkpointer.is_best_due
    assert len(tries) == 2
    list(trainer.save())  # a full checkpoint alone
    assert len(tries) == 2


def test_of_many_files_with_long_names_the_first_hundred_and_the_ends_are_kept(text_file):
    config = TrainConfig()
    corpus = load_corpus([text_file], config)
    names = tuple(f"{n:03}/" + "folder/" * 100 + f"{n}.txt" for n in range(101))
    many = dataclasses.replace(corpus, files=names)
    said = describe(config, ModelConfig.from_settings(config, corpus.vocab.size), many, {}, None)[
        "corpus"
    ]
    assert said["files"] == [name[-500:] for name in names[:100]]
    assert said["files"][99].endswith("/99.txt")
    assert said["num_files"] == 101


def test_where_the_texts_are_is_said_while_the_names_are_not_too_long(text_file):
    config = TrainConfig(val_file=Path("held.txt"))
    corpus = dataclasses.replace(
        load_corpus([text_file], TrainConfig()), sources=("/texts/a.txt", "/texts/b.txt")
    )
    said = describe_sources(config, corpus)
    assert said["sources"] == ["/texts/a.txt", "/texts/b.txt"]
    assert said["val_source"] == str(Path("held.txt").absolute())
    room = 50_000 - len(json.dumps(json.dumps([""])))
    assert describe_sources(config, dataclasses.replace(corpus, sources=("x" * room,)))["sources"]
    longer = dataclasses.replace(corpus, sources=("x" * (room + 1),))
    assert describe_sources(TrainConfig(), longer) == {"sources": [], "val_source": None}


def test_a_model_to_share_says_nothing_of_where_its_text_is(text_file):
    _, _, run = run_training(text_file)
    place = str(text_file.absolute().parent).encode()
    full, best = (path.read_bytes() for path in (step_files(run.folder)[0], run.best))
    assert b"sources" in full
    assert place in full
    assert b"sources" not in best


def test_a_last_save_that_fails_is_an_error_and_keeps_the_older_checkpoints(text_file, monkeypatch):
    def fail_at_the_end(path, data):
        if path.name == "best.safetensors" and (path.parent / "step-00000025.safetensors").exists():
            raise OSError(28, "No space left on device")
        write_durably(path, data)

    monkeypatch.setattr("charrnn.checkpoints.run_folder.write_durably", fail_at_the_end)
    run = create_run(Path("checkpoints"), "full", [text_file])
    newest = r"not saved at step \d+: No space left on device; .* step-00000025\.safetensors; free"
    with pytest.raises(CharRNNError, match=newest):
        run_training(text_file, run=run)
    assert [path.name for path in step_files(run.folder)] == [
        "step-00000010.safetensors", "step-00000020.safetensors", "step-00000025.safetensors",
    ]  # fmt: skip
    assert load_model(run.best).metadata.end is None


def test_a_run_without_a_folder_saves_nothing_and_has_no_error(text_file):
    corpus = load_corpus([text_file], CONFIG)
    trainer = Trainer(CONFIG, corpus, None, lambda: False, lambda: 0.0)
    trainer.train_until_report()
    assert list(trainer.save()) == []
    assert trainer.checkpointer.last_saved == trainer.step
    trainer.checkpointer.check()
