"""One optimiser update: model, EMA weights, AdamW, stream states."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.checkpoints.metadata import Progress
from charrnn.checkpoints.state import MOMENTS, Weights
from charrnn.core.config import TrainConfig
from charrnn.core.rank import check_shares
from charrnn.core.seeds import derive_seed
from charrnn.data.batches import IGNORED, Batch
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.device import autocast, pick_device, pick_precision, scales_loss
from charrnn.nn.distributed import ALONE, World
from charrnn.nn.model import make_network
from charrnn.nn.network import Masks, Network, initialise, load_weights, weight_arrays
from charrnn.nn.state import State
from charrnn.training.transfer import PER_CHARACTER, Initial

BETAS = (0.9, 0.99)
"""Decay of AdamW's moments; the second is below the usual 0.999, which suits small texts."""

MOST_ENLARGED = 1000.0
"""Most times that an update is enlarged of which nearly all elements are left out."""

MOST_COUNTED = 1 << 24
"""AdamW counts steps in float32, which is exact up to here; its bias correction is 1 long before."""

AVERAGE_ALL, AVERAGE_EVERY = 100, 4
"""After so many steps, only every fourth is averaged; a pass over all weights is 2% of a step."""

DIVERGED_WEIGHT = 1e4
"""A weight of a larger magnitude means that training has diverged."""

SMALLEST_SCALE = 1.0
"""An fp16 loss scale below this means that training has diverged: no scale avoids overflow."""


@dataclass(frozen=True, slots=True)
class UpdateStats:
    """Means over the updates since the last `take_stats`."""

    loss: float | None
    """Nats per symbol; None if all updates were skipped."""
    grad_norm: float | None
    skipped: int
    """Updates skipped since the start of the run, because their gradients were not finite."""
    longest_streak: int
    """Most updates skipped in a row; a streak may have begun before the last `take_stats`."""
    is_sound: bool
    """Whether the weights and the fp16 scale are finite and of a normal size."""


class Learner:
    """The network in training and its optimiser; sums stay on the device until `take_stats`.

    Args:
        config: Settings; device and precision may be "auto".
        model_config: The architecture.
        batch_size: Streams (S).
        init: Initial weights instead of random ones.
        world: The processes that train together, each with its rows of every batch.
    """

    def __init__(
        self,
        config: TrainConfig,
        model_config: ModelConfig,
        batch_size: int,
        init: Initial | None = None,
        world: World = ALONE,
    ) -> None:
        check_shares(batch_size, world.size)
        self.config, self.batch_size, self.world = config, batch_size, world
        self.device = pick_device(config.device)
        self.precision = pick_precision(config.precision, self.device)
        self.model, self.averaged = make_network(model_config), make_network(model_config)
        initialise(self.model, config.seed)
        if init is not None:
            load_initial(self.model, init)
        self.averaged.load_state_dict(self.model.state_dict())
        self.model.to(self.device)
        self.averaged.to(self.device).requires_grad_(False)
        self.model.is_time_major = config.step_rule > 2
        self.forward = world.wrap_ddp(self.model)
        self.optimizer = make_optimizer(self.model, config.weight_decay)
        is_scaled = scales_loss(self.device, self.precision)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=is_scaled)
        self.state = self.model.empty_state(batch_size // world.size)
        self.skipped = torch.zeros((), device=self.device)
        self.skipped_in_a_row = torch.zeros((), device=self.device)
        self.longest_streak = self.skipped_in_a_row.clone()
        self.sums = torch.zeros(3, device=self.device)

    def update(self, batch: Batch, step: int, lr: float) -> None:
        """Make one optimiser update."""
        loss = self.loss(batch, step)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        self._apply(loss.detach(), norm, lr)
        self._average(step)

    def loss(self, batch: Batch, step: int) -> Tensor:
        """Run the network over a window, keep its state, and return the mean loss.

        Each rank returns a part, so that the mean over all ranks is the loss of the batch.
        """
        num_rows = len(batch.inputs)
        rows = self.world.shard(num_rows)
        part = batch if self.world.is_single else batch.part(rows)
        inputs, targets = self._on_device(part.inputs), self._on_device(part.targets)
        state = self.state
        if state.num_streams != len(inputs):  # the last records of an epoch may be fewer
            state = self.model.empty_state(len(inputs))
        if part.is_fresh.any():
            state = state.clear(self._on_device(part.is_fresh))
        with autocast(self.device, self.precision):
            masks = self._masks((num_rows, inputs.shape[1]), step, rows)
            logits, state = self.forward(self.model.given(inputs, targets), state, masks)
        if num_rows == self.batch_size:
            self.state = state.detach()
        if self.model.is_time_major:
            logits, targets = logits.transpose(0, 1), targets.t()
        costs = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return costs * (self.world.size / batch.num_chars)

    def _on_device(self, array: Any) -> Tensor:
        """Return an array as a tensor; a blocking copy would wait for all earlier kernels."""
        return torch.as_tensor(array).to(self.device, non_blocking=True)

    def _masks(self, shape: tuple[int, int], step: int, rows: slice) -> Masks | None:
        """Return the dropout masks of some rows; every rank draws those of all rows."""
        config = self.config
        generator = torch.Generator(self.device)
        generator.manual_seed(derive_seed(config.seed, "dropout", step))
        rates = (config.embedding_dropout, config.dropout, config.weight_drop)
        masks = self.model.draw_masks(rates, shape, generator, config.step_rule)
        return masks if masks is None or self.world.is_single else masks.part(rows)

    def _apply(self, loss: Tensor, norm: Tensor, lr: float) -> None:
        """Update the weights if the gradient is finite.

        Nothing waits for the device: the fused optimiser reads `found_inf` there.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            # With more than 1 / lr, decay would change the sign of the weights and enlarge them.
            group["weight_decay"] = min(group["target_decay"], 1 / lr if lr else 1.0)
        is_bad = (~torch.isfinite(norm)).float()
        self.optimizer.found_inf = is_bad  # type: ignore[attr-defined]
        only_decayed = decayed(self.optimizer, 1 - is_bad) if self.config.step_rule > 3 else {}
        self.scaler.step(self.optimizer)
        leave_out_opposed(self.optimizer, only_decayed)
        self.scaler.update()
        seen = torch.stack([loss, norm, torch.ones_like(norm)])
        self.sums += torch.where(is_bad > 0, torch.zeros_like(seen), seen)
        self.skipped += is_bad
        self.skipped_in_a_row = (self.skipped_in_a_row + 1) * is_bad
        self.longest_streak = torch.maximum(self.longest_streak, self.skipped_in_a_row)

    def _average(self, step: int) -> None:
        """Update the exponential moving average (EMA) of the weights; it is faster at first."""
        gap = AVERAGE_EVERY if self.config.step_rule > 2 and step >= AVERAGE_ALL else 1
        if step % gap:
            return
        decay = min(self.config.ema_decay, (1 + step) / (10 + step)) ** gap
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay
            )

    def take_stats(self) -> UpdateStats:
        """Return the means since the last call, and reset them; waits for the device."""
        loss, norm, count = (self.world.all_reduce_sum(self.sums) / self.world.size).tolist()
        stats = UpdateStats(
            loss=loss / count if count else None,
            grad_norm=norm / count if count else None,
            skipped=int(self.skipped),
            longest_streak=int(self.longest_streak),
            is_sound=self._is_sound(),
        )
        self.sums.zero_()
        self.longest_streak.copy_(self.skipped_in_a_row)
        return stats

    def _is_sound(self) -> bool:
        largest = torch.stack(torch._foreach_norm(list(self.model.parameters()), float("inf")))
        is_lost = self.scaler.is_enabled() and self.scaler.get_scale() < SMALLEST_SCALE
        return bool((largest <= DIVERGED_WEIGHT).all()) and not is_lost  # a NaN fails it too

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors that training continues from, by their names in a checkpoint."""
        result: dict[str, Tensor] = {
            f"model/{name}": tensor for name, tensor in self.averaged.named_parameters()
        }
        for name, parameter in self.model.named_parameters():
            result[f"raw/{name}"] = parameter
            for key in MOMENTS:
                moment = self.optimizer.state[parameter].get(key)
                zeros = torch.zeros_like(parameter)  # AdamW has no moments before its first update
                result[f"optim/{name}/{key}"] = zeros if moment is None else moment
        return result | {
            f"state/{name}": part
            for name, part in self.world.all_gather(self.state).arrays().items()
        }

    def averaged_arrays(self) -> Weights:
        """Return a copy of the averaged weights."""
        return weight_arrays(dict(self.averaged.named_parameters()))

    def progress(self, step: int, halvings: int) -> Progress:
        """Return the counts that a checkpoint stores with the tensors."""
        scale = self.scaler.state_dict() if self.scaler.is_enabled() else {}
        return Progress(
            step=step,
            skipped=int(self.skipped),
            skipped_in_a_row=int(self.skipped_in_a_row),
            halvings=halvings,
            loss_scale=scale.get("scale"),
            scale_growth=scale.get("_growth_tracker"),
        )

    def restore(self, tensors: Mapping[str, NDArray[Any]], progress: Progress) -> None:
        """Restore tensors and counts.

        Args:
            tensors: Float32 arrays with the names and shapes of `tensors()`.
            progress: The counts stored with them.
        """
        for prefix, model in (("model", self.averaged), ("raw", self.model)):
            load_weights(model, {n: tensors[f"{prefix}/{n}"] for n, _ in model.named_parameters()})
        applied = min(progress.step - progress.skipped, MOST_COUNTED)
        for name, parameter in self.model.named_parameters():
            device = parameter.device  # the fused optimiser needs its count there too
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(applied), device=device)
            } | {key: copied(tensors[f"optim/{name}/{key}"], device) for key in MOMENTS}
        rows = self.world.shard(self.batch_size)
        self.state = State.from_arrays(
            {
                name: copied(tensors[f"state/{name}"][:, rows], self.device)
                for name in self.state.arrays()
            }
        )
        self.skipped.fill_(progress.skipped)
        self.skipped_in_a_row.fill_(progress.skipped_in_a_row)
        self.longest_streak.fill_(progress.skipped_in_a_row)
        self.sums.zero_()
        if self.scaler.is_enabled() and progress.loss_scale is not None:
            kept = {"scale": progress.loss_scale, "_growth_tracker": progress.scale_growth or 0}
            self.scaler.load_state_dict(self.scaler.state_dict() | kept)


def load_initial(model: Network, init: Initial) -> None:
    """Copy trained weights into a network; rows of new characters keep their random values."""
    old = torch.from_numpy(~init.is_new)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            weight = torch.from_numpy(init.weights[name].copy())
            if name.endswith(PER_CHARACTER):
                parameter[old] = weight[old]
            else:
                parameter.copy_(weight)


def copied(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return a copy of an array as a tensor; arrays of a checkpoint are views into its bytes."""
    return torch.from_numpy(array.copy()).to(device)


def decayed(optimizer: torch.optim.AdamW, is_good: Tensor) -> dict[Tensor, Tensor]:
    """Return the weights that have a gradient, after weight decay alone."""
    with torch.no_grad():
        return {
            parameter: parameter * (1 - group["lr"] * group["weight_decay"] * is_good)
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        }


def leave_out_opposed(optimizer: torch.optim.AdamW, before: Mapping[Tensor, Tensor]) -> None:
    """Keep of an update only what goes down the gradient, and enlarge that to make up for the rest.

    AdamW follows a mean of gradients, to which the newest one is often opposed
    (arXiv:2411.16085). Weights without a gradient, such as those that are dropped, stay.

    Args:
        optimizer: After its step.
        before: Weights without the update.
    """
    with torch.no_grad():
        for parameter, start in before.items():
            factors = optimizer.state[parameter]["exp_avg"] * parameter.grad
            num_moved = factors.count_nonzero()
            factors.gt_(0)
            num_kept = factors.sum().maximum(num_moved / MOST_ENLARGED).clamp(min=1)
            factors.mul_(num_moved / num_kept)
            torch.lerp(start, parameter, factors, out=parameter)


def make_optimizer(model: Network, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices, not on the embedding and the biases."""
    named, kept = list(model.named_parameters()), "embedding.weight"
    decayed = [p for n, p in named if p.ndim == 2 and not n.endswith(kept)]
    others = [p for n, p in named if p.ndim != 2 or n.endswith(kept)]
    groups = [
        {"params": decayed, "target_decay": weight_decay},
        {"params": others, "target_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=BETAS, fused=True)
