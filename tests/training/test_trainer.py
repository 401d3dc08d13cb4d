"""The training loop: events, their order, stops and divergence."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from training_runs import CONFIG, Clock, iter_into, of_kind, run_training

from charrnn.checkpoints.model import load_model, read_model
from charrnn.checkpoints.names import create_run
from charrnn.checkpoints.run_folder import step_files
from charrnn.core.errors import DivergedError
from charrnn.core.events import Evaluated, Finished, Planned, RolledBack, Sampled, Started, Step
from charrnn.data.corpus import load_corpus
from charrnn.training.learner import Learner
from charrnn.training.schedule import learning_rate
from charrnn.training.trainer import Trainer, train


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


def test_cadences_do_not_change_training(text_file):
    _, _, often = run_training(text_file, eval_every=3, save_every=4, sample_every=2)
    _, _, never = run_training(text_file, eval_every=1000, save_every=1000, sample_every=0)
    ours, theirs = (read_model(step_files(run.folder)[0])[1] for run in (often, never))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_the_same_seed_gives_the_same_file(text_file):
    runs = [run_training(text_file)[2] for _ in range(2)]
    first, again = (load_model(run.best) for run in runs)
    assert all(np.array_equal(first.weights[n], again.weights[n]) for n in first.weights)


def test_patience_ends_a_run_that_gets_no_better(text_file):
    events, _, _ = run_training(text_file, lr=1e-12, eval_every=2, patience=3, steps=200)
    assert events[-1].stop_reason == "early_stop"
    assert events[-1].step < 30


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


def test_every_cell_trains(text_file, cell):
    events, _, _ = run_training(text_file, cell=cell)
    assert events[-1].val_loss < 5


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
    cpu, _, _ = run_training(text_file, steps=60)
    gpu, _, _ = run_training(text_file, steps=60, device="cuda", precision=precision)
    assert gpu[-1].val_loss == pytest.approx(cpu[-1].val_loss, abs=0.05)


def test_the_memory_changes_nothing_of_what_the_network_learns(text_file):
    _, _, with_memory = run_training(text_file, memory=4)
    _, _, without = run_training(text_file)
    ours, theirs = (read_model(step_files(r.folder)[-1])[1] for r in (with_memory, without))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_the_rate_that_an_event_reports_is_that_of_the_newest_step(text_file):
    events, _, _ = run_training(text_file, warmup_steps=2)
    rates = [learning_rate(step, [(0, 25)], CONFIG.lr, 2) for step in range(25)]
    assert len(set(rates)) == 25
    steps = of_kind(events, Step)
    assert len(steps) >= 3
    assert [event.lr for event in steps] == [rates[event.step - 1] for event in steps]


def test_a_plan_from_slow_first_steps_is_corrected_without_a_validation(text_file, monkeypatch):
    clock, update = Clock(), Learner.update

    def slow_at_first(learner, batch, step, lr):
        clock.now += 1.0 if step < 10 else 0.1
        return update(learner, batch, step, lr)

    monkeypatch.setattr(Learner, "update", slow_at_first)
    config = dataclasses.replace(CONFIG, steps=None, max_time=60, eval_every=10**6, sample_every=0)
    *_, end = train(config, load_corpus([text_file], config), clock=clock)
    assert (end.stop_reason, round(end.seconds, -1)) == ("finished", 60)
    assert end.step > 400  # (60 - 10) / 0.1, less what the end takes
