"""Validation: which weights are scored, kept, reported and previewed."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from training_runs import CONFIG, of_kind, run_training

import charrnn.evaluation.loss
from charrnn.checkpoints.checkpoint_info import format_checkpoint, inspect
from charrnn.checkpoints.model import load_model, read_model
from charrnn.checkpoints.run_folder import Run, step_files
from charrnn.core.config import SampleConfig
from charrnn.core.events import Evaluated, Sampled
from charrnn.data.corpus import load_corpus
from charrnn.evaluation.loss import Score, score, score_held_out
from charrnn.evaluation.protocols import streamed
from charrnn.ngram.word_model import count_corpus
from charrnn.nn.model import make_network
from charrnn.nn.network import load_weights
from charrnn.sampling.sampler import Sampler
from charrnn.training.trainer import Trainer
from charrnn.training.validation import known_curve


def test_the_final_loss_is_that_of_the_file_over_all_held_out_text(text_file):
    events, corpus, run = run_training(text_file)
    model = load_model(run.best)
    network = make_network(model.config)
    load_weights(network, model.weights)
    expected = score(network, streamed(corpus.val))
    assert events[-1].val_loss == pytest.approx(expected.loss, abs=1e-7)
    assert expected.chars == len(corpus.val) - 1
    assert model.metadata.metrics.val_loss == events[-1].val_loss
    assert events[-1].bits_per_char == pytest.approx(expected.loss / math.log(2))


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


def test_a_last_evaluation_never_takes_most_of_the_time(text_file, monkeypatch):
    monkeypatch.setattr("charrnn.training.step_budget.FEWEST_FINAL", 50)
    monkeypatch.setattr("charrnn.training.step_budget.FEWEST_SCORED", 50)
    monkeypatch.setattr("charrnn.training.step_budget.FINAL_SHARE", 0.0)
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


@pytest.mark.parametrize(("network", "is_alone"), [(2.4, True), (2.5, False), (2.6, False)])
def test_a_memory_has_no_say_only_where_it_costs_more(text_file, network, is_alone):
    validator = validated(text_file, memory=2).validator
    validator.memory = count_corpus(validator.corpus, 2)
    name = validator.protocols[0].name
    validator.final[name] = Score(loss=2.5, network=network, chars=50, weight=0.3)
    assert validator.memory_hurts == is_alone
    (first, *_) = validator.figures
    assert (first.loss, first.memory) == ((2.4, 0.0) if is_alone else (2.5, 0.3))
    assert validator.loss == first.loss
    assert ("memory:off" in first.signature) == is_alone


def test_a_score_of_a_part_of_the_text_says_which_part(text_file):
    validator = validated(text_file).validator
    protocol, marks = validator.protocols[0], []
    whole = protocol.num_predictions(len(validator.corpus.val))
    for chars in (whole, whole // 2):
        validator.final[protocol.name] = Score(loss=2.5, network=2.5, chars=chars, weight=0.0)
        marks.append(validator.figures[0].signature.split("|")[0])
    assert marks == ["split:last-0.1", f"split:last-0.1*{whole // 2 / whole:.2g}"]


def test_a_resumed_run_knows_the_validations_in_its_log(tmp_path):
    """Step 15 follows a rollback, step 35 the checkpoint; the final score is no point."""
    run = Run(tmp_path)
    event = Evaluated(
        step=10, loss=1.0, network_loss=3.0, chars=9, protocol="streamed", is_best=True,
        is_final=False,
    )  # fmt: skip
    for step, network_loss in ((10, 3.0), (20, 2.5), (30, 2.0), (15, 2.75), (25, 2.25), (35, 1.75)):
        run.log.record(dataclasses.replace(event, step=step, network_loss=network_loss))
    run.log.record(dataclasses.replace(event, step=25, network_loss=9.0, is_final=True))
    assert known_curve(run, 25) == [(10, 3.0), (15, 2.75), (25, 2.25)]
    assert known_curve(None, 20) == []
    run.close()


def test_a_rollback_forgets_the_validations_after_the_good_step(text_file):
    corpus = load_corpus([text_file], CONFIG)
    validator = Trainer(CONFIG, corpus, None, lambda: False, lambda: 0.0).validator
    validator.curve = [(10, 3.0), (20, 2.5), (30, 9.0)]
    validator.roll_back(validator.best, 20)
    assert validator.curve == [(10, 3.0), (20, 2.5)]


def test_the_end_of_a_run_has_a_diagnosis_in_one_word(text_file):
    events, _, _ = run_training(text_file)
    assert events[-1].fit
    assert events[-1].advice.startswith(events[-1].fit)


def test_a_best_model_is_described_with_the_scores_in_the_log_of_its_run(text_file):
    events, _, run = run_training(text_file)
    rows = format_checkpoint(inspect(run.best))
    score = events[-1].scores[0]
    assert f"streamed         {score.loss:.4f} nats, {score.signature}" in rows
    other = run.best.rename(run.folder / "other.safetensors")
    assert not any(row.startswith("streamed") for row in format_checkpoint(inspect(other)))
