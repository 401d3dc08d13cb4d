"""Exact resume: interrupted after any step, the end is the same to the last bit."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sessions import VARIANTS, Session, digest

from charrnn.checkpoints.format import pack, unpack
from charrnn.checkpoints.metadata import End
from charrnn.checkpoints.model import read_model
from charrnn.checkpoints.run_folder import step_files
from charrnn.checkpoints.state import load_snapshot, state_digest
from charrnn.core.errors import CheckpointError, InputError, NewerFormatError
from charrnn.core.events import Evaluated, Finished, RolledBack, Started, Step
from charrnn.data.corpus import load_corpus
from charrnn.launch.prepare import SettingSources
from charrnn.launch.resume import (
    check_corpus,
    check_settings,
    leaves_nothing_to_do,
    newest_snapshot,
    prepare_resumed,
    resumed_config,
    with_best_model,
)
from charrnn.training.trainer import Trainer


def make_end(step, stop_reason):
    return End(
        step=step, epoch=1.0, val_loss=2.5, bits_per_char=3.6, chars_per_second=1e4, seconds=3.0,
        stop_reason=stop_reason,
    )  # fmt: skip


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("name", VARIANTS)
def test_an_interrupted_run_ends_as_one_that_never_was(text_file, name):
    session = Session(text_file, **VARIANTS[name])
    whole = session.new_run()
    session.train(whole)
    for stop_at in (1, 2, 9, 10, 16, 29):
        run = session.new_run()
        session.train(run, stop_at=stop_at)
        assert step_files(run.folder)[-1].name == f"step-{stop_at:08d}.safetensors"
        session.train(run)
        assert digest(run) == digest(whole), f"stopped at step {stop_at}"


def test_a_run_may_be_interrupted_after_every_step(text_file):
    session = Session(text_file)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    for stop_at in range(1, 30):
        session.train(run, stop_at=stop_at)
    session.train(run)
    assert digest(run) == digest(whole)


def without(prefix):
    """Return a change of a snapshot: its tensors of a kind become zeros."""

    def change(snapshot):
        state = snapshot.state
        tensors = {
            name: np.zeros_like(array) if name.startswith(prefix) else array
            for name, array in state.tensors.items()
        }
        return dataclasses.replace(snapshot, state=dataclasses.replace(state, tensors=tensors))

    return change


def with_progress(**values):
    """Return a change of a snapshot: other counts."""

    def change(snapshot):
        progress = dataclasses.replace(snapshot.state.progress, **values)
        return dataclasses.replace(
            snapshot, state=dataclasses.replace(snapshot.state, progress=progress)
        )

    return change


def with_plan(snapshot):
    state = dataclasses.replace(snapshot.state, plan=[(0, 40), (5, 30)])
    return dataclasses.replace(snapshot, state=state)


def swapped_moments(snapshot):
    """Two parameters of one shape with each other's moments, as a list by index may give."""
    tensors = dict(snapshot.state.tensors)
    for moment in ("exp_avg", "exp_avg_sq"):
        names = [f"optim/layers.{layer}.weight_hh_l0/{moment}" for layer in (0, 1)]
        tensors |= {names[0]: tensors[names[1]], names[1]: tensors[names[0]]}
    state = dataclasses.replace(snapshot.state, tensors=tensors)
    return dataclasses.replace(snapshot, state=state)


FORGOTTEN = {
    "weights": without("raw/"),
    "averaged weights": without("model/"),
    "first moments": without("optim/decoder.bias/exp_avg"),
    "second moments": without("optim/embedding.weight/exp_avg_sq"),
    "hidden state": without("state/h"),
    "cell state": without("state/c"),
    "step": with_progress(step=15),
    "steps of the optimiser": with_progress(skipped=1),
    "halvings of the rate": with_progress(halvings=1),
    "plan": with_plan,
    "names of moments": swapped_moments,
}


@pytest.mark.parametrize("item", FORGOTTEN)
def test_a_state_that_lacks_one_item_ends_otherwise(text_file, item):
    """The negative control of the tests above: each item counts, and they would notice."""
    session = Session(text_file, num_layers=2)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    session.train(run, stop_at=16)
    session.train(run, change=FORGOTTEN[item])
    assert digest(run) != digest(whole)


def break_gradients(first):
    """Return a hook on a trainer: from a step on gradients are not finite, at the full rate."""

    def prepare(trainer):
        trainer.learner.model.decoder.bias.register_hook(
            lambda grad: grad * (math.nan if trainer.step >= first and not trainer.halvings else 1)
        )

    return prepare


def test_gradients_that_were_bad_before_are_still_counted(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=16, prepare=break_gradients(12))
    events = session.train(run, prepare=break_gradients(12))
    # Four bad ones before the stop, steps 12 to 15, and six after it make ten.
    assert of_kind(events, RolledBack)[0].step == 22


def test_patience_goes_on_counting(text_file):
    changes = {"lr": 1e-12, "eval_every": 2, "patience": 4, "steps": 200}
    session = Session(text_file, **changes)
    whole, run = session.new_run(), session.new_run()
    end = session.train(whole)[-1]
    assert end.stop_reason == "early_stop"
    session.train(run, stop_at=5)
    assert session.train(run)[-1].step == end.step


def test_only_more_patience_trains_on_after_an_early_stop(text_file):
    session = Session(text_file, lr=1e-12, eval_every=2, patience=3, steps=200)
    run = session.new_run()
    assert session.train(run)[-1].stop_reason == "early_stop"
    snapshot = newest_snapshot(run)[0]
    assert snapshot.state.best.num_worse == 3
    for patience, over in ((2, True), (3, True), (4, False), (None, False)):
        config = dataclasses.replace(session.config, patience=patience)
        assert leaves_nothing_to_do(snapshot, config, 10) == over


def test_the_best_of_before_is_still_the_best(text_file):
    session = Session(text_file, eval_every=5)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    session.train(run, stop_at=17)
    session.train(run, lr=0.01)
    ours, theirs = (read_model(r.best)[0] for r in (run, whole))
    assert ours.metadata.best == theirs.metadata.best
    assert all(np.array_equal(ours.weights[n], theirs.weights[n]) for n in ours.weights)


def test_a_better_model_from_steps_that_are_repeated_is_not_lost(text_file):
    """The file may be ahead of the newest full checkpoint, and a repeat may end before it."""
    session = Session(text_file, eval_every=10)
    run = session.new_run()
    session.train(run, stop_at=12)
    best = read_model(run.best)[0]

    def ahead(snapshot):
        return dataclasses.replace(
            snapshot, best_model=dataclasses.replace(snapshot.best_model, loss=0.5, step=19)
        )

    events = session.train(run, change=ahead)
    assert [e.is_best for e in of_kind(events, Evaluated)][:1] == [True]
    assert np.array_equal(
        read_model(run.best)[0].weights["decoder.bias"], best.weights["decoder.bias"]
    )


def test_a_best_file_that_is_lost_is_made_anew(text_file):
    session = Session(text_file, eval_every=5)
    run = session.new_run()
    session.train(run, stop_at=12)
    run.best.unlink()
    session.train(run)
    assert read_model(run.best)[0].metadata.best.step > 12


@pytest.mark.parametrize("change", [{"eval_every": 3}, {"save_every": 4}, {"eval_every": 1000}])
def test_the_digest_does_not_depend_on_cadences(text_file, change):
    session = Session(text_file)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    session.train(run, stop_at=11)
    session.train(run, sample_every=7, **change)
    assert digest(run) == digest(whole)


# Budgets.


def test_a_larger_budget_before_the_end_bends_the_rate(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=15)
    events = session.train(run, steps=60)
    assert events[-1].step == 60
    rates = [e.lr for e in of_kind(events, Step)]
    assert all(later <= earlier for earlier, later in pairwise(rates))
    assert unpack(step_files(run.folder)[-1].read_bytes())[1]["plan"] == [[0, 30], [15, 60]]


def test_a_larger_budget_after_the_end_is_a_second_cycle(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run)
    events = session.train(run, steps=50)
    rates = [e.lr for e in of_kind(events, Step)]
    assert rates[0] == pytest.approx(0.005, rel=0.02)  # half the peak of 0.01
    assert rates[-1] == pytest.approx(0.005 / 20)
    assert events[-1].step == 50
    assert unpack(step_files(run.folder)[-1].read_bytes())[1]["plan"] == [[0, 30], [30, 50]]


@pytest.mark.parametrize(("stop_at", "over"), [(29, False), (30, True)])
def test_a_plan_is_over_at_its_last_step_though_the_end_was_not_written(text_file, stop_at, over):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=stop_at)
    assert dataclasses.replace(newest_snapshot(run)[0], end=None).plan_is_complete == over


def test_a_second_cycle_can_be_interrupted_too(text_file):
    session = Session(text_file)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    session.train(whole, steps=50)
    session.train(run)
    session.train(run, steps=50, stop_at=41)
    session.train(run, steps=50)
    assert digest(run) == digest(whole)


def test_a_run_cut_by_time_begins_its_second_cycle_where_it_was(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=20)
    snapshot, _ = newest_snapshot(run)
    ended = dataclasses.replace(snapshot, end=make_end(20, "max_time"))
    events = session.train(run, steps=60, change=lambda _: ended)
    assert unpack(step_files(run.folder)[-1].read_bytes())[1]["plan"] == [
        [0, 30], [20, 20], [20, 60],
    ]  # fmt: skip
    assert of_kind(events, Step)[0].lr == pytest.approx(0.005, rel=0.02)


# Divergence.


def test_a_divergence_goes_back_and_halves_the_rate(text_file):
    session = Session(text_file, save_every=10)
    run = session.new_run()
    events = session.train(run, prepare=break_gradients(13))
    (back,) = of_kind(events, RolledBack)
    assert (back.step, back.good_step, back.lr) == (23, 10, 0.005)
    assert events[-1].step == 30
    assert events[-1].stop_reason == "finished"
    assert read_model(step_files(run.folder)[-1])[0].metadata.progress.halvings == 1


def test_weights_that_are_not_finite_are_a_divergence_too(text_file):
    session = Session(text_file, save_every=10)
    run = session.new_run()

    def prepare(trainer):
        update = trainer.learner.update

        def spoil(batch, step, lr):
            update(batch, step, lr)
            if step == 12 and not trainer.halvings:
                with torch.no_grad():
                    trainer.learner.model.decoder.bias[3] = math.nan

        trainer.learner.update = spoil

    events = session.train(run, prepare=prepare)
    (back,) = of_kind(events, RolledBack)
    assert back.good_step == 10
    for path in run.folder.glob("*.safetensors"):
        read_model(path)  # refuses what is not finite


def test_a_halved_rate_is_kept_by_a_resume(text_file):
    session = Session(text_file, save_every=10)
    run = session.new_run()
    session.train(run, prepare=break_gradients(13), stop_at=24)
    snapshot, _ = newest_snapshot(run)
    assert snapshot.state.progress.halvings == 1
    assert of_kind(session.train(run), Step)[0].lr < 0.005


def test_a_text_that_is_not_the_same_is_refused(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    snapshot, _ = newest_snapshot(run)
    text_file.write_text(text_file.read_text("utf-8").replace("king", "sing"), "utf-8")
    with pytest.raises(InputError, match="the corpus .* is not the one that run was trained on"):
        check_corpus(snapshot, load_corpus([text_file], session.config))


def test_a_run_keeps_the_digest_that_an_earlier_version_gave_its_text(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    snapshot, _ = newest_snapshot(run)
    corpus = load_corpus([text_file], session.config)
    assert snapshot.corpus.digest == corpus.digest != corpus.other_digest
    old = dataclasses.replace(snapshot.corpus, digest=corpus.other_digest)
    resumed = prepare_resumed(
        [text_file], SettingSources({}, {}, {}), dataclasses.replace(snapshot, corpus=old)
    )
    assert resumed.corpus.digest == corpus.other_digest


def test_settings_that_make_another_run_are_named_with_both_values(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    snapshot, _ = newest_snapshot(run)
    given = {"hidden_size": 32, "dropout": 0.2, "steps": 99, "threads": 2, "seed": 4}
    with pytest.raises(InputError) as caught:
        check_settings(snapshot, resumed_config(snapshot, given))
    assert "--hidden-size (was 16, is 32), --seed (was 0, is 4)" in str(caught.value)


def test_a_budget_that_is_given_replaces_the_old_one(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    snapshot, _ = newest_snapshot(run)
    assert resumed_config(snapshot, {"max_time": 60.0}).budget() == (None, None, 60.0)
    assert resumed_config(snapshot, {}).budget() == (None, 30, None)
    assert resumed_config(snapshot, {}).threads == 1


def test_a_file_without_the_number_of_processes_is_of_one(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    snapshot, _ = newest_snapshot(run)
    environment = dataclasses.replace(snapshot.environment, threads=7, processes=None)
    older = dataclasses.replace(snapshot, environment=environment)
    assert resumed_config(older, {}, 1).threads == 7
    assert resumed_config(older, {}, 2).threads != 7


def test_a_resumed_run_keeps_its_parent_and_the_names_of_its_text(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    tensors, metadata = unpack(step_files(run.folder)[-1].read_bytes())
    metadata |= {"parent": "abcd", "corpus": metadata["corpus"] | {"files": ["elsewhere.txt"]}}
    step_files(run.folder)[-1].write_bytes(pack(tensors, metadata))
    session.train(run, stop_at=6)
    resumed = read_model(step_files(run.folder)[-1])[0].metadata
    assert (resumed.progress.step, resumed.parent) == (6, "abcd")
    assert resumed.corpus.files == ["elsewhere.txt"]


def test_what_was_picked_for_a_machine_is_kept_where_it_still_fits(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    snapshot, _ = newest_snapshot(run)
    environment = dataclasses.replace(
        snapshot.environment, threads=7, precision="bf16", processes=2
    )
    snapshot = dataclasses.replace(snapshot, environment=environment)
    both = resumed_config(snapshot, {}, 2)
    assert (both.threads, both.precision) == (7, "bf16")
    assert resumed_config(snapshot, {}, 3).threads == session.config.threads == 1
    assert resumed_config(snapshot, {"threads": 5}, 2).threads == 5
    assert resumed_config(snapshot, {"device": "cpu"}, 2).precision == "bf16"
    assert resumed_config(snapshot, {"device": "cuda"}, 2).precision == "fp32"
    assert resumed_config(snapshot, {"precision": "fp32"}, 2).precision == "fp32"


def test_a_run_that_has_ended_is_over_for_a_budget_that_it_has_just_used_up(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run)
    snapshot, _ = newest_snapshot(run)
    seconds = snapshot.state.timing.seconds
    for steps, max_time, over in (
        (30, 1e6, True), (31, 1e6, False), (29, None, True), (31, seconds, True),
        (31, seconds + 1, False), (None, seconds, True), (None, seconds + 1, False),
    ):  # fmt: skip
        config = dataclasses.replace(session.config, steps=steps, max_time=max_time)
        assert leaves_nothing_to_do(snapshot, config, 10) == over
    unended = dataclasses.replace(snapshot, end=None)
    assert not leaves_nothing_to_do(unended, session.config, 10)


def test_an_end_counts_only_for_its_own_plan_and_step(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run)
    snapshot, _ = newest_snapshot(run)
    assert snapshot.end is not None
    state = snapshot.state
    longer = dataclasses.replace(state, plan=[(0, 30), (30, 50)])
    later = dataclasses.replace(state, progress=dataclasses.replace(state.progress, step=31))
    for each in (longer, later):
        assert with_best_model(dataclasses.replace(snapshot, state=each), run)[0].end is None


# Damage.


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_passed_over_and_left_where_it_is(text_file):
    session = Session(text_file, save_every=10)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    session.train(run, stop_at=25)
    damage(step_files(run.folder)[-1])
    snapshot, (problem,) = newest_snapshot(run)
    assert snapshot.state.progress.step == 20
    assert "step-00000025.safetensors: damaged" in problem
    assert "continuing from step-00000020.safetensors" in problem
    session.train(run)
    assert [p.stem[-2:] for p in step_files(run.folder)] == ["25", "30"]
    assert digest(run) == digest(whole)


def test_without_any_whole_checkpoint_nothing_is_started(text_file):
    session = Session(text_file, save_every=10)
    run = session.new_run()
    session.train(run, stop_at=15)
    for path in step_files(run.folder):
        damage(path)
    with pytest.raises(
        CheckpointError, match="no other full checkpoint can be read; .*--init-from run"
    ):
        newest_snapshot(run)


def test_a_later_format_is_never_passed_over(text_file, monkeypatch):
    session = Session(text_file, save_every=10)
    run = session.new_run()
    session.train(run, stop_at=15)
    monkeypatch.setattr("charrnn.checkpoints.model.FORMAT_VERSION", 0)
    with pytest.raises(CheckpointError, match="update charrnn"):
        newest_snapshot(run)


def test_a_model_alone_cannot_be_resumed(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    step_files(run.folder)[0].unlink()
    with pytest.raises(InputError, match="no full checkpoint to continue from.*--init-from run"):
        newest_snapshot(run)


def test_a_signal_during_validation_is_made_up_for(text_file):
    session = Session(text_file, eval_every=10)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    trainer = Trainer(session.config, session.corpus, run, lambda: trainer.step >= 10, lambda: 0.0)
    events = list(trainer.events())
    assert of_kind(events, Evaluated) == []
    events = session.train(run)
    assert of_kind(events, Evaluated)[0].step == 10
    assert digest(run) == digest(whole)


def test_started_says_where(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=7)
    events = session.train(run)
    assert of_kind(events, Started)[0].step == 7
    assert of_kind(events, Finished)[0].step == 30


def test_a_cpu_may_be_asked_to_be_deterministic(text_file):
    session = Session(text_file)
    plain, asked = session.new_run(), session.new_run()
    try:
        session.train(plain)
        session.train(asked, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert digest(asked) == digest(plain)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_resumes_exactly_when_it_is_deterministic(text_file, precision):
    session = Session(text_file, device="cuda", precision=precision, deterministic=True)
    whole, again, run = session.new_run(), session.new_run(), session.new_run()
    session.train(whole)
    session.train(again)
    assert digest(again) == digest(whole)
    for stop_at in (1, 10, 16, 29):
        session.train(run, stop_at=stop_at)
    session.train(run)
    assert digest(run) == digest(whole)


# What a reader found, and what holds now.


def test_a_first_best_never_stands_without_a_full_checkpoint(text_file):
    session = Session(text_file, eval_every=5)
    run, seen = session.new_run(), []

    def prepare(trainer):
        save = trainer.checkpointer.save_best

        def look(*arguments, **options):
            seen.append([path.name for path in step_files(run.folder)])
            return save(*arguments, **options)

        trainer.checkpointer.save_best = look

    session.train(run, prepare=prepare)
    assert seen[0] == ["step-00000005.safetensors"]


def test_a_strong_decay_is_resumed_exactly(text_file):
    session = Session(text_file, weight_decay=150.0, warmup_steps=0)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    session.train(run, stop_at=22)
    session.train(run)
    assert digest(run) == digest(whole)


def test_a_streak_of_bad_gradients_is_noticed_however_rarely_one_looks(text_file):
    session = Session(text_file, eval_every=1000, steps=40)
    run = session.new_run()

    def prepare(trainer):
        trainer.budget.window = lambda: 1000
        trainer.learner.model.decoder.bias.register_hook(
            lambda grad: (
                grad * (math.nan if 12 <= trainer.step < 23 and not trainer.halvings else 1)
            )
        )

    assert len(of_kind(session.train(run, prepare=prepare), RolledBack)) == 1


def test_nothing_is_saved_in_the_middle_of_bad_gradients(text_file):
    session = Session(text_file, save_every=2)
    run, saved = session.new_run(), []

    def prepare(trainer):
        break_gradients(11)(trainer)
        save = run.save_step
        run.save_step = lambda step, data: (saved.append(step), save(step, data))[1]

    session.train(run, prepare=prepare)
    assert saved[:6] == [2, 4, 6, 8, 10, 10]  # and then back at 10, with the smaller rate


def test_patience_does_not_count_what_was_undone(text_file):
    session = Session(text_file, eval_every=3, patience=4)
    run = session.new_run()
    counts = []

    def prepare(trainer):
        break_gradients(5)(trainer)
        back = trainer.roll_back

        def look():
            yield from back()
            counts.append((trainer.validator.best.num_worse, trainer.validator.best.evaluated))

        trainer.roll_back = look

    session.train(run, prepare=prepare)
    assert counts == [(0, 3)]  # the first full checkpoint came with the first best, at step 3


def test_a_larger_budget_is_known_before_its_first_step(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=15)
    session.train(run, steps=60, stop_at=15)
    snapshot, _ = newest_snapshot(run)
    assert snapshot.config.steps == 60
    assert snapshot.state.plan == [(0, 30), (15, 60)]


def test_a_second_cycle_that_is_killed_at_once_is_still_one(text_file):
    session = Session(text_file)
    whole, run = session.new_run(), session.new_run()
    session.train(whole)
    session.train(whole, steps=50)
    session.train(run)
    session.train(run, steps=50, stop_at=30)
    snapshot, _ = newest_snapshot(run)
    assert snapshot.end is None  # what the best file says of the first cycle is no longer so
    session.train(run, steps=50)
    assert digest(run) == digest(whole)


def test_a_newer_best_is_not_replaced(text_file, monkeypatch):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=12)
    read = newest_snapshot.__globals__["read_model"]

    def newer(path):
        if path == run.best:
            raise NewerFormatError("update charrnn")
        return read(path)

    monkeypatch.setattr("charrnn.launch.resume.read_model", newer)
    with pytest.raises(NewerFormatError):
        newest_snapshot(run)


def test_a_lost_best_is_told(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=12)
    damage(run.best)
    _, (problem,) = newest_snapshot(run)
    assert "best.safetensors: damaged" in problem
    assert "writes a new one" in problem


def test_the_state_of_other_streams_is_refused(text_file):
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    with pytest.raises(CheckpointError, match="the state of 3 streams, not of 2"):
        session.train(run, batch_size=2)


def as_written_before(path, **changes):
    """Rewrite a checkpoint as a version without the settings of line ends and normal form did."""
    tensors, raw = unpack(path.read_bytes())
    train = {n: v for n, v in raw["config"]["train"].items() if n not in ("newlines", "normalize")}
    path.write_bytes(pack(tensors, raw | {"config": raw["config"] | {"train": train | changes}}))


@pytest.mark.parametrize("changes", [{}, {"newlines": "keep"}])
def test_a_run_from_before_line_ends_were_converted_continues_with_its_own(
    tmp_path, charrnn, changes
):
    (tmp_path / "old.txt").write_bytes(b"the quick brown\r\nfox\r\n" * 200)
    how = ("--size", "tiny", "--threads", "1", "--sample-every", "0")
    digests = []
    for name in ("whole", "old"):
        charrnn("train", "old.txt", "--run", name, "--newlines", "keep", "--steps", "4", *how)
        folder = tmp_path / "checkpoints" / name
        path = step_files(folder)[-1]
        before = load_snapshot(path)
        if name == "old":
            as_written_before(path, **changes)
        after = load_snapshot(path)
        assert (after.config, after.corpus) == (before.config, before.corpus)
        digests.append(state_digest(*unpack(path.read_bytes())))
        charrnn("train", "--run", name, "--resume", "--steps", "8")
        digests.append(state_digest(*unpack(step_files(folder)[-1].read_bytes())))
    assert digests[:2] == digests[2:]
    assert after.model.vocab.knows("\r")
    charrnn("train", "old.txt", "--run", "new", "--steps", "4", *how)
    new = load_snapshot(step_files(tmp_path / "checkpoints" / "new")[-1])
    assert not new.model.vocab.knows("\r")
    assert new.corpus.digest != after.corpus.digest
