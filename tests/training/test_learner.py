"""One update at a time: what changes, what must not."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from graph_rules import Forbidden, GraphRules

from charrnn.core.config import TrainConfig
from charrnn.data.batches import IGNORED, Batch, Streams
from charrnn.data.cuda import GpuBatch
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.network import Masks, weight_arrays
from charrnn.training import learner as learner_module
from charrnn.training.learner import Learner, leave_out_opposed

V, S, T = 11, 3, 8
CONFIG = TrainConfig(
    hidden_size=7, embedding_size=5, num_layers=2, device="cpu", precision="fp32", restart_prob=0.0,
    dropout=0.2, embedding_dropout=0.1, weight_drop=0.3, ema_decay=0.9, lr=0.01,
)  # fmt: skip


@pytest.fixture
def batches():
    ids = np.random.default_rng(0).integers(0, V, 400).astype(np.uint8)
    return Streams(ids, S, T, seed=0, restart_prob=0.0)


def make_learner(**changes):
    if changes.get("cell") == "transformer":
        changes |= {
            "hidden_size": 12,
            "num_heads": 3,
            "context": 5,
            "weight_drop": 0.0,
            "attention": 0,
        }
    config = dataclasses.replace(CONFIG, **changes)
    return Learner(config, ModelConfig.from_settings(config, V), S)


def train(learner, batches, steps):
    for step in steps:
        learner.update(batches.batch(step), step, lr=0.01)
    return learner


def weights(learner):
    return {n: p.detach().clone() for n, p in learner.model.named_parameters()}


def test_ten_steps_leave_torchs_global_generator_unchanged(batches, cell):
    before = torch.get_rng_state()
    train(make_learner(cell=cell), batches, range(10))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("attention", [0, 12])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_an_update_waits_for_no_device(batches, cell, is_scaled, attention):
    learner = make_learner(cell=cell, attention=attention)
    train(learner, batches, range(1))  # AdamW makes its moments
    learner.scaler = torch.amp.GradScaler("cpu", enabled=is_scaled)
    before = weights(learner)
    with GraphRules():
        train(learner, batches, range(1, 3))
    assert not torch.equal(weights(learner)["decoder.bias"], before["decoder.bias"])
    with pytest.raises(Forbidden), GraphRules():
        learner.skipped.item()


@pytest.mark.parametrize("attention", [0, 12])
def test_an_update_copies_nothing_to_or_from_the_device(monkeypatch, cell, attention):
    """The device is "meta", for which torch has no generator, autocast or fused optimiser."""
    meta = torch.device("meta")
    monkeypatch.setattr(learner_module, "pick_device", lambda name: meta)
    monkeypatch.setattr(learner_module, "autocast", lambda *a: nullcontext())
    learner = make_learner(cell=cell, attention=attention)
    assert {p.device for p in learner.model.parameters()} == {meta}
    masks = learner.model.draw_masks((0.2, 0.2, 0.2), (S, T), torch.Generator())
    on_device = Masks(
        masks.embedding.to(meta),
        *(tuple(each.to(meta) for each in part) for part in (masks.layers, masks.recurrent)),
    )
    monkeypatch.setattr(learner, "_masks", lambda *a: on_device)
    moments = {p: {"exp_avg": torch.zeros_like(p)} for p in learner.model.parameters()}
    monkeypatch.setattr(learner.optimizer, "step", lambda: learner.optimizer.state.update(moments))
    ids = torch.zeros((S, T), dtype=torch.int64, device=meta)
    batch = GpuBatch(ids, ids, np.zeros(S, dtype=np.bool_))
    with GraphRules():
        learner.update(batch, 0, lr=0.01)
    with pytest.raises(Forbidden), GraphRules():
        learner.update(Batch(np.zeros((S, T), np.int64), ids, batch.is_fresh), 0, lr=0.01)


def test_the_same_seed_gives_the_same_weights_bit_for_bit(batches):
    first, again = (weights(train(make_learner(), batches, range(5))) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = weights(train(make_learner(seed=1), batches, range(5)))
    assert not torch.equal(first["decoder.weight"], other["decoder.weight"])


def test_masks_depend_on_the_step_and_not_on_what_came_before(batches):
    fresh, used = make_learner(), train(make_learner(), batches, range(3))
    ours, theirs = (each._masks((S, T), 7, slice(S)) for each in (fresh, used))
    assert torch.equal(ours.layers[1], theirs.layers[1])
    assert not torch.equal(ours.layers[1], fresh._masks((S, T), 8, slice(S)).layers[1])


def test_the_state_is_carried_from_window_to_window(batches):
    learner = make_learner(dropout=0.0, embedding_dropout=0.0, weight_drop=0.0)
    first, second = batches.batch(0), batches.batch(1)
    learner.loss(first, 0)
    carried = learner.loss(second, 1).item()
    both = torch.from_numpy(np.concatenate([first.inputs, second.inputs], axis=1))
    logits, _ = learner.model(both, learner.model.empty_state(S))
    expected = torch.nn.functional.cross_entropy(
        logits[:, T:].reshape(-1, V), torch.from_numpy(second.targets).flatten()
    )
    assert carried == pytest.approx(expected.item(), abs=1e-6)
    assert not learner.state.arrays()["h"].requires_grad


@pytest.mark.parametrize("rule", [3, 4])
def test_an_update_equals_torchs_plain_adamw_on_clipped_gradients(batches, rule):
    """By rule 4, without the elements that point up the gradient, and the others enlarged."""
    plain = {"dropout": 0.0, "embedding_dropout": 0.0, "weight_drop": 0.0, "step_rule": rule}
    learner, other = make_learner(**plain), make_learner(**plain)
    train(learner, batches, range(3))
    decayed = [p for n, p in other.model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in other.model.named_parameters() if p.ndim == 1 or "embed" in n]
    reference = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
        lr=0.01, betas=(0.9, 0.99), foreach=False, fused=False,
    )  # fmt: skip
    for step in range(3):
        loss = other.loss(batches.batch(step), step)
        reference.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(other.model.parameters(), 1.0)
        before = weights(other)
        reference.step()
        if rule == 4:
            for name, parameter in other.model.named_parameters():
                moments = reference.state[parameter]
                mean = moments["exp_avg"] / (1 - 0.9 ** (step + 1))
                update = mean / ((moments["exp_avg_sq"] / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8)
                agrees = update * parameter.grad > 0
                decay = 0.01 * 0.01 * (parameter.ndim == 2 and "embed" not in name)
                factors = agrees * (update * parameter.grad != 0).sum() / agrees.sum()
                parameter.data = before[name] * (1 - decay) - 0.01 * factors * update
    for name, weight in weights(learner).items():
        torch.testing.assert_close(weight, weights(other)[name], atol=1e-6, rtol=1e-5)


def test_a_decay_beyond_one_over_the_rate_leaves_no_weight_and_does_not_throw_it_past_zero(
    batches,
):
    learner = make_learner(weight_decay=1000.0)
    for step, lr in enumerate((0.01, 1e-4, 0.0)):
        before = weights(learner)
        learner.update(batches.batch(step), step, lr)
        kept = 1 - min(1.0, 1000 * lr)
        for name in ("decoder.weight", "layers.0.weight_hh_l0"):
            rest = weights(learner)[name] - kept * before[name]
            assert rest.abs().max() <= 11 * lr + 1e-9  # the update itself
        moved = weights(learner)["embedding.weight"] - before["embedding.weight"]
        assert moved.abs().max() <= 11 * lr  # it does not decay


def test_the_average_follows_the_weights(batches):
    learner = make_learner()
    average = learner.averaged.decoder.bias.detach().clone()
    for step in range(4):
        train(learner, batches, [step])
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * learner.model.decoder.bias.detach()
    torch.testing.assert_close(learner.averaged.decoder.bias.detach(), average)


@pytest.mark.parametrize(("rule", "averaged"), [(2, (0, 1, 2, 3, 4, 5)), (3, (0, 1, 4))])
def test_after_the_first_steps_only_every_fourth_is_averaged(batches, monkeypatch, rule, averaged):
    monkeypatch.setattr(learner_module, "AVERAGE_ALL", 2)
    learner = make_learner(step_rule=rule, ema_decay=0.2)  # 0.1, 2/11, 0.2, 0.2, ...
    average = learner.averaged.decoder.bias.detach().clone()
    for step in range(6):
        train(learner, batches, [step])
        decay = (0.1, 2 / 11, 0.2, 0.2, 0.2**4 if rule == 3 else 0.2, 0.2)[step]
        if step in averaged:
            average = decay * average + (1 - decay) * learner.model.decoder.bias.detach()
    torch.testing.assert_close(learner.averaged.decoder.bias.detach(), average)


def test_a_gradient_that_is_not_finite_changes_no_weight(batches):
    learner = train(make_learner(), batches, range(2))
    before, average = weights(learner), learner.averaged.decoder.weight.detach().clone()
    state = {k: v.clone() for k, v in learner.optimizer.state[learner.model.decoder.bias].items()}
    learner.take_stats()
    good = learner.model.decoder.bias.register_hook(lambda grad: grad * float("nan"))
    train(learner, batches, [2])
    good.remove()
    assert all(torch.equal(before[name], weight) for name, weight in weights(learner).items())
    assert torch.isfinite(learner.averaged.decoder.weight).all()
    torch.testing.assert_close(
        learner.averaged.decoder.weight.detach(),
        average.lerp(before["decoder.weight"], 1 - 3 / 12),
    )
    after = learner.optimizer.state[learner.model.decoder.bias]
    assert all(torch.equal(state[key], after[key]) for key in state)
    stats = learner.take_stats()
    assert (stats.loss, stats.skipped, stats.longest_streak) == (None, 1, 1)
    train(learner, batches, [3])
    stats = learner.take_stats()
    assert (stats.skipped, stats.longest_streak) == (1, 1)
    assert stats.loss is not None


def test_a_report_is_the_mean_since_the_last_one(batches):
    learner = make_learner(lr=1e-9, dropout=0.0, embedding_dropout=0.0, weight_drop=0.0)
    losses = []
    for step in range(3):
        losses.append(make_loss(learner, batches, step))
        train(learner, batches, [step])
    assert learner.take_stats().loss == pytest.approx(sum(losses) / 3, abs=1e-6)
    assert learner.take_stats().loss is None


def make_loss(learner, batches, step):
    """The loss of a step, without making it."""
    state = learner.state
    loss = learner.loss(batches.batch(step), step).item()
    learner.state = state
    return loss


@pytest.mark.parametrize(("longest", "is_cut"), [(0.01, True), (100.0, False)])
def test_gradients_are_shortened_to_their_longest(batches, longest, is_cut):
    learner = make_learner(max_grad_norm=longest)
    train(learner, batches, [0])
    norm = torch.cat([p.grad.flatten() for p in learner.model.parameters()]).norm().item()
    assert (norm == pytest.approx(0.01, rel=1e-3)) == is_cut
    assert learner.take_stats().grad_norm > 0.05  # as they were


def test_a_loss_is_a_mean_over_the_characters_that_count(batches):
    learner = make_learner(dropout=0.0, embedding_dropout=0.0, weight_drop=0.0)
    batch = batches.batch(0)
    targets = np.array(batch.targets)
    targets[0, 2:] = targets[2, 5:] = IGNORED  # records end there
    logits, _ = learner.model(torch.from_numpy(batch.inputs), learner.model.empty_state(S))
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(targets).flatten(), ignore_index=IGNORED
    )
    found = learner.loss(Batch(batch.inputs, targets, batch.is_fresh), 0)
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_optimiser_counts_the_updates_that_were_made_also_after_a_resume(batches):
    learner = train(make_learner(), batches, range(3))
    bad = learner.model.decoder.bias.register_hook(lambda grad: grad * float("nan"))
    train(learner, batches, [3])
    bad.remove()
    train(learner, batches, [4])
    progress = learner.progress(5, 0)
    assert (progress.step, progress.skipped, progress.skipped_in_a_row) == (5, 1, 0)
    again = make_learner()
    again.restore(weight_arrays(learner.tensors()), progress)
    for ours, theirs in zip(again.model.parameters(), learner.model.parameters(), strict=True):
        assert again.optimizer.state[ours]["step"] == learner.optimizer.state[theirs]["step"] == 4
    train(again, batches, [5])
    train(learner, batches, [5])
    for name, weight in weights(learner).items():
        assert torch.equal(weights(again)[name], weight)


def test_rows_that_are_fewer_leave_the_state_of_all_streams_as_it_was(batches):
    learner = train(make_learner(), batches, [0])
    before, batch = learner.state, batches.batch(1)
    learner.loss(Batch(batch.inputs[:2], batch.targets[:2], batch.is_fresh[:2]), 1)
    assert learner.state is before


def test_tensors_name_everything_that_training_goes_on_from(batches):
    learner = train(make_learner(), batches, range(2))
    names = set(learner.tensors())
    assert {"raw/decoder.weight", "optim/decoder.weight/exp_avg", "state/h", "state/c"} <= names
    num_weights = len(list(learner.model.parameters()))
    assert len(names) == 4 * num_weights + 2


def test_a_short_text_is_learned_by_heart():
    text = b"the quick brown fox jumps over the lazy dog. "
    ids = np.frombuffer(text * 20, dtype=np.uint8) % 31
    learner = make_learner(
        hidden_size=64, num_layers=1, dropout=0.0, embedding_dropout=0.0, weight_drop=0.0
    )
    streams = Streams(ids, S, T, seed=0, restart_prob=0.0)
    learner = Learner(learner.config, ModelConfig.from_settings(learner.config, 31), S)
    for step in range(300):
        learner.update(streams.batch(step), step, lr=0.01)
        if step == 250:
            learner.take_stats()
    assert learner.take_stats().loss < 0.1


def test_what_is_left_of_an_update_is_enlarged_a_thousand_times_at_most():
    """Of 100,000 elements one goes down the gradient: 1000 times its step of 1e-3, from 0 to 1."""
    parameter = torch.nn.Parameter(torch.zeros(100_000))
    optimizer = torch.optim.AdamW([parameter])
    parameter.grad = torch.ones(100_000)
    optimizer.state[parameter]["exp_avg"] = -torch.ones(100_000)
    optimizer.state[parameter]["exp_avg"][7] = 1.0
    before = {parameter: torch.zeros(100_000)}
    parameter.data.fill_(1e-3)
    leave_out_opposed(optimizer, before)
    assert parameter[7].item() == pytest.approx(1.0)
    assert parameter.sum().item() == pytest.approx(1.0)
