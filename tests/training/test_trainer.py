"""The loop: what happens, in which order, and what is left on disk."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import charrnn.evaluation.loss
from charrnn.checkpoints.model import load_model, read_model
from charrnn.checkpoints.names import create_run
from charrnn.checkpoints.run_folder import step_files
from charrnn.core.config import SampleConfig, TrainConfig
from charrnn.core.errors import DivergedError
from charrnn.core.events import Evaluated, Finished, Planned, RolledBack, Sampled, Started, Step
from charrnn.core.files import write_durably
from charrnn.data.corpus import load_corpus
from charrnn.evaluation.loss import bits_per_char, score, score_held_out
from charrnn.evaluation.protocols import streamed
from charrnn.ngram.model import count_corpus
from charrnn.nn.model import CharRNN, load_weights
from charrnn.sampling.sampler import Sampler
from charrnn.training.schedule import learning_rate
from charrnn.training.trainer import Trainer, train

CONFIG = TrainConfig(
    hidden_size=16, embedding_size=5, batch_size=3, seq_len=8, steps=25, lr=0.01, ema_decay=0.9,
    device="cpu", precision="fp32", threads=1, eval_every=10, save_every=10, sample_every=10,
)  # fmt: skip


def run_training(text_file, *, run=None, stop_after=None, **changes):
    """Train on the small text; return the events, the corpus and the run."""
    config = dataclasses.replace(CONFIG, **changes)
    corpus = load_corpus([text_file], config)
    run = run or create_run(Path("checkpoints"), None, [text_file])
    events = []

    def should_stop():
        return stop_after is not None and any(
            isinstance(e, Step) and e.step >= stop_after for e in events
        )

    events.extend(iter_into(train(config, corpus, run, should_stop=should_stop), events))
    return events, corpus, run


def iter_into(source, seen):
    """Yield nothing, but see every event as it comes."""
    for event in source:
        seen.append(event)
    return ()


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_events_come_in_order(text_file):
    events, _, _ = run_training(text_file)
    assert isinstance(events[0], Started)
    assert isinstance(events[1], Step)
    assert isinstance(events[-1], Finished)
    assert [e.step for e in of_kind(events, Evaluated)] == [10, 20, 25, 25]
    assert [e.step for e in of_kind(events, Sampled)] == [10, 20]
    steps = [e.step for e in of_kind(events, Step)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 25
    assert len(of_kind(events, Planned)) == 1


def test_the_loss_falls(text_file):
    events, corpus, _ = run_training(text_file, steps=150, eval_every=50)
    losses = [e.loss for e in of_kind(events, Evaluated)]
    assert losses[-1] < 0.85 * math.log(corpus.vocab.size)
    assert losses[-1] < losses[0]


def test_the_final_loss_is_that_of_the_file_over_all_held_out_text(text_file):
    events, corpus, run = run_training(text_file)
    model = load_model(run.best)
    network = CharRNN(model.config)
    load_weights(network, model.weights)
    expected = score(network, streamed(corpus.val))
    assert events[-1].val_loss == pytest.approx(expected.loss, abs=1e-7)
    assert expected.chars == len(corpus.val) - 1
    assert model.metadata.metrics.val_loss == events[-1].val_loss
    assert events[-1].bits_per_char == pytest.approx(expected.loss / math.log(2))


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


def test_cadences_do_not_change_training(text_file):
    _, _, often = run_training(text_file, eval_every=3, save_every=4, sample_every=2)
    _, _, never = run_training(text_file, eval_every=1000, save_every=1000, sample_every=0)
    ours, theirs = (read_model(step_files(run.folder)[0])[1] for run in (often, never))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_the_same_seed_gives_the_same_file(text_file):
    runs = [run_training(text_file)[2] for _ in range(2)]
    first, again = (load_model(run.best) for run in runs)
    assert all(np.array_equal(first.weights[n], again.weights[n]) for n in first.weights)


def test_previews_are_the_same_prompt_and_seed_each_time(text_file):
    events, _, _ = run_training(text_file, lr=1e-12, ema_decay=0.0)
    first, second = (e.text for e in of_kind(events, Sampled))
    assert first == second
    assert len(first) == 200


def test_without_held_out_text_the_newest_weights_are_the_best(text_file):
    events, _, run = run_training(text_file, val_frac=0.0)
    assert of_kind(events, Evaluated) == []
    assert events[-1].val_loss is None
    model, _ = read_model(run.best)
    full, _ = read_model(step_files(run.folder)[0])
    assert np.array_equal(model.weights["decoder.weight"], full.weights["decoder.weight"])
    assert model.metadata.metrics.val_loss is None


def test_patience_ends_a_run_that_gets_no_better(text_file):
    events, _, _ = run_training(text_file, lr=1e-12, eval_every=2, patience=3, steps=200)
    assert events[-1].stop_reason == "early_stop"
    assert events[-1].step < 30


def test_a_stop_saves_where_it_is(text_file):
    events, _, run = run_training(text_file, stop_after=13, eval_every=1000)
    end = events[-1]
    assert end.stop_reason == "signal"
    assert 13 <= end.step < 25
    assert step_files(run.folder)[-1].name == f"step-{end.step:08d}.safetensors"
    assert load_model(run.best).metadata.metrics.val_loss is None


def test_a_rate_that_is_far_too_high_never_reaches_a_file(text_file):
    run = create_run(Path("checkpoints"), "hot", [text_file])
    run_training(text_file, run=run, lr=1e3, steps=400)
    assert len(list(run.folder.glob("*.safetensors"))) == 2
    for path in run.folder.glob("*.safetensors"):
        load_model(path)  # refuses what is not finite


def test_weights_that_explode_are_a_divergence(text_file):
    run = create_run(Path("checkpoints"), "hot", [text_file])
    with pytest.raises(DivergedError, match="for the 4th time"):
        run_training(text_file, run=run, lr=1e30)
    assert not list(run.folder.glob("*.safetensors"))


def test_ten_bad_gradients_in_a_row_are_a_divergence(text_file):
    config = dataclasses.replace(CONFIG, eval_every=1000)
    corpus = load_corpus([text_file], config)
    trainer = Trainer(config, corpus, None, lambda: False, lambda: 0.0)
    trainer.learner.model.decoder.bias.register_hook(lambda grad: grad * float("inf"))
    events = []
    with pytest.raises(
        DivergedError, match="step 10: training diverged for the 4th time; newest checkpoint: none"
    ):
        events.extend(iter_into(trainer.events(), events))
    assert [e.lr for e in of_kind(events, RolledBack)] == [0.005, 0.0025, 0.00125]


def test_records_are_trained_and_previewed(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(f"name{i % 17}{'x' * (i % 5)}" for i in range(200)), encoding="utf-8")
    config = dataclasses.replace(CONFIG, lines=True, batch_size=7)
    corpus = load_corpus([path], config)
    events = list(train(config, corpus))
    assert "\n" in of_kind(events, Sampled)[0].text
    assert events[-1].val_loss is not None


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_every_cell_trains(text_file, kind):
    events, _, _ = run_training(text_file, cell=kind)
    assert events[-1].val_loss < 5


def test_bytes_count_their_bits_over_decoded_characters(tmp_path):
    path = tmp_path / "bytes.txt"
    path.write_text("é" * 500 + "a" * 500, encoding="utf-8")
    corpus = load_corpus([path], dataclasses.replace(CONFIG, bytes=True, val_frac=0.6))
    # held out: 900 bytes, the last 500 of them "a", the first 400 are 200 times é
    assert len(corpus.val) == 900
    assert bits_per_char(math.log(2), corpus.vocab, corpus.val) == pytest.approx(900 / 700)


def test_bytes_that_are_no_text_have_no_bits_per_character(tmp_path):
    path = tmp_path / "noise.bin"
    path.write_bytes(bytes(range(256)) * 10)
    corpus = load_corpus([path], dataclasses.replace(CONFIG, bytes=True))
    assert bits_per_char(1.0, corpus.vocab, corpus.val) is None


def test_logs_are_json_lines(text_file):
    _, _, run = run_training(text_file)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["event"] == "started"
    assert lines[-1]["event"] == "finished"
    assert lines[-1]["stop_reason"] == "finished"
    samples = [json.loads(line) for line in (run.folder / "samples.jsonl").read_text().splitlines()]
    assert [line["step"] for line in samples] == [10, 20]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_trains_to_the_same_loss(text_file, precision):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cpu, _, _ = run_training(text_file, steps=60)
    gpu, _, _ = run_training(text_file, steps=60, device="cuda", precision=precision)
    assert gpu[-1].val_loss == pytest.approx(cpu[-1].val_loss, abs=0.05)


def test_a_stop_before_the_first_step_saves_nothing(text_file):
    config = CONFIG
    corpus = load_corpus([text_file], config)
    run = create_run(Path("checkpoints"), "early", [text_file])
    events = list(train(config, corpus, run, should_stop=lambda: True))
    assert events[-1].step == 0
    assert not list(run.folder.glob("*.safetensors"))


def test_a_last_evaluation_never_takes_most_of_the_time(text_file, monkeypatch):
    monkeypatch.setattr("charrnn.training.budget.FEWEST_FINAL", 50)
    monkeypatch.setattr("charrnn.training.budget.FEWEST_SCORED", 50)
    monkeypatch.setattr("charrnn.training.budget.FINAL_SHARE", 0.0)
    events, corpus, _ = run_training(text_file, val_frac=0.5)
    assert len(corpus.val) > 500
    assert [each.chars for each in events[-1].scores] == [50, 256]  # a window at least


def test_the_memory_of_the_training_text_is_in_every_checkpoint_and_in_every_loss(text_file):
    events, corpus, run = run_training(text_file, memory=4)
    plain, _, _ = run_training(text_file)
    ours, theirs = ([e for e in of_kind(es, Evaluated) if not e.is_final] for es in (events, plain))
    assert [e.network_loss for e in ours] == pytest.approx([e.loss for e in theirs], abs=1e-6)
    assert all(e.loss < e.network_loss for e in ours)
    expected = count_corpus(corpus, 4)
    for path in (run.best, step_files(run.folder)[-1]):
        memory = load_model(path).memory
        assert memory.num_entries == expected.num_entries
        assert memory.order == 4


def test_the_memory_changes_nothing_of_what_the_network_learns(text_file):
    _, _, with_memory = run_training(text_file, memory=4)
    _, _, without = run_training(text_file)
    ours, theirs = (read_model(step_files(r.folder)[-1])[1] for r in (with_memory, without))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_a_memory_that_does_harm_is_left_out_and_said(text_file, tmp_path, monkeypatch):
    """Held out is the text in capitals, of which the memory, here always believed, knows nothing."""
    monkeypatch.setattr(
        charrnn.evaluation.loss, "share", lambda logs, *_: np.full(len(logs), 0.9999)
    )
    text = text_file.read_text(encoding="utf-8")
    learned, held_out = tmp_path / "learned.txt", tmp_path / "held out.txt"
    learned.write_text(text, encoding="utf-8")
    held_out.write_text(text.upper(), encoding="utf-8")
    events, _, run = run_training(learned, val_file=held_out, steps=20, lr=1e-4, memory=4)
    end = events[-1]
    last = next(e for e in of_kind(events, Evaluated) if e.is_final)
    assert last.network_loss < last.loss
    assert end.val_loss == end.scores[0].loss == last.network_loss
    assert end.scores[0].memory == 0
    assert "|memory:off|" in end.scores[0].signature
    assert "the model writes without it" in end.advice
    model = load_model(run.best)
    assert model.memory.weight == 0
    sampler = Sampler(model)
    assert sampler.memory(SampleConfig()) is None
    assert sampler.memory(SampleConfig(memory_weight=0.5)).weight == 0.5


def test_a_memory_that_helps_keeps_its_say(text_file):
    events, _, run = run_training(text_file, memory=4)
    last = next(e for e in of_kind(events, Evaluated) if e.is_final)
    assert last.loss < last.network_loss
    assert events[-1].val_loss == last.loss
    assert load_model(run.best).memory.weight is None


def test_a_validation_scores_the_averaged_weights(text_file):
    config = dataclasses.replace(CONFIG, lr=0.05)
    corpus = load_corpus([text_file], config)
    trainer = Trainer(config, corpus, None, lambda: False, lambda: 0.0)
    while trainer.step < 9:
        trainer.train_until_report()
    learner, protocol = trainer.learner, trainer.validator.protocols[0]
    averaged, raw = (
        score_held_out(m, corpus, protocol).loss for m in (learner.averaged, learner.model)
    )
    assert abs(averaged - raw) > 1e-3
    event = trainer.validator.validate(trainer.step, 10**6)
    assert event.loss == pytest.approx(averaged, abs=1e-9)
    kept = trainer.validator.best_model.weights["decoder.bias"]
    assert np.array_equal(kept, learner.averaged.decoder.bias.numpy())


def validated(text_file, **changes):
    """Return a trainer after ten steps and a validation, the averaged weights unlike the raw."""
    config = dataclasses.replace(CONFIG, lr=0.05, **changes)
    trainer = Trainer(config, load_corpus([text_file], config), None, lambda: False, lambda: 0.0)
    while trainer.step < 10:
        trainer.train_until_report()
    trainer.validator.validate(trainer.step, 10**6)
    return trainer


def test_the_last_scores_are_those_of_the_best_weights_in_float32(text_file, monkeypatch):
    trainer = validated(text_file)
    validator, learner, asked = trainer.validator, trainer.learner, []
    best = validator.best_model.loss
    with torch.no_grad():
        learner.averaged.decoder.bias += torch.linspace(-1, 1, len(learner.averaged.decoder.bias))
    assert validator.validate(20, 10**6).loss > best + 0.01

    def score_and_keep(*arguments, **given):
        asked.append(given)
        return score_held_out(*arguments, **given)

    monkeypatch.setattr("charrnn.training.validation.score_held_out", score_and_keep)
    monkeypatch.setattr(learner, "precision", "bf16")
    events = list(validator.score_best(10**6))
    assert len(events) == len(validator.protocols) == len(asked)
    assert (events[0].loss, events[0].step) == (pytest.approx(best, abs=1e-7), 10)
    assert all(given.get("precision", "fp32") == "fp32" for given in asked)


def test_a_validation_as_good_as_the_best_changes_nothing(text_file):
    validator = validated(text_file).validator
    best_model = validator.best_model
    event = validator.validate(15, 10**6)
    assert (event.loss, event.is_best) == (best_model.loss, False)
    assert validator.best_model is best_model
    assert (validator.best.step, validator.best.num_worse) == (10, 1)


def test_where_the_best_is_lost_the_next_validation_is_the_best(text_file):
    validator = validated(text_file).validator
    known = dataclasses.replace(validator.best, loss=0.01, step=5, evaluated=5)
    validator.resume(known, None)
    assert (validator.best.loss, validator.best.evaluated) == (None, 0)
    assert (known.loss, known.evaluated) == (0.01, 5)  # the checkpoint's own stays
    assert validator.validate(15, 10**6).is_best
    validator.resume(known, validator.best_model)
    assert not validator.validate(18, 10**6).is_best


def test_a_preview_is_by_the_averaged_weights(text_file):
    trainer = validated(text_file, ema_decay=0.99)
    learner, validator = trainer.learner, trainer.validator
    before = validator.preview()
    with torch.no_grad():
        learner.model.decoder.bias[0] += 50
    assert validator.preview() == before
    with torch.no_grad():
        learner.averaged.decoder.bias[0] += 50
    assert validator.preview() != before


def test_the_rate_that_an_event_reports_is_that_of_the_newest_step(text_file):
    events, _, _ = run_training(text_file, warmup_steps=2)
    rates = [learning_rate(step, [(0, 25)], CONFIG.lr, 2) for step in range(25)]
    assert len(set(rates)) == 25
    steps = of_kind(events, Step)
    assert len(steps) >= 3
    assert [event.lr for event in steps] == [rates[event.step - 1] for event in steps]


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
