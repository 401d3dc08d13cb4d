"""One optimiser update: a network, its average, its optimiser, and the state of all streams."""

from dataclasses import dataclass

import torch
from torch import Tensor

from charrnn.batches import IGNORED, Batch
from charrnn.config import ModelConfig, TrainConfig
from charrnn.device import autocast, pick_device, pick_precision
from charrnn.model import CharRNN, Masks, clear_rows, detach, draw_masks, initialise
from charrnn.seeds import derive_seed

BETAS = (0.9, 0.99)
"""AdamW's memory of gradients and of their squares; short, as small texts want."""


@dataclass(frozen=True, slots=True)
class Report:
    """Means over the updates since the last report."""

    loss: float | None
    """None if no update was made."""
    grad_norm: float | None
    skipped: int
    """Updates left out since the start, their gradients not being finite."""
    skipped_in_a_row: int


class Learner:
    """What is trained. All sums stay on the device until they are asked for.

    Args:
        config: Settings; device and precision may be "auto".
        model_config: The architecture.
        batch_size: Streams (S).
    """

    def __init__(self, config: TrainConfig, model_config: ModelConfig, batch_size: int) -> None:
        self.config = config
        self.device = pick_device(config.device)
        self.precision = pick_precision(config.precision, self.device)
        self.model, self.averaged = CharRNN(model_config), CharRNN(model_config)
        initialise(self.model, config.seed)
        self.averaged.load_state_dict(self.model.state_dict())
        self.model.to(self.device)
        self.averaged.to(self.device).requires_grad_(False)
        self.optimizer = make_optimizer(self.model, config.weight_decay)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.state = self.model.empty_state(batch_size)
        self.skipped = torch.zeros((), device=self.device)
        self.skipped_in_a_row = torch.zeros((), device=self.device)
        self.sums = torch.zeros(3, device=self.device)

    def update(self, batch: Batch, step: int, lr: float) -> None:
        """Learn from one batch, at one learning rate."""
        loss = self.loss(batch, step)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        self._apply(loss.detach(), norm, lr)
        self._average(step)

    def loss(self, batch: Batch, step: int) -> Tensor:
        """Run the network over a window, carry its state on, and return the mean loss."""
        inputs, targets, is_fresh = (
            torch.from_numpy(array).to(self.device, non_blocking=True)
            for array in (batch.inputs, batch.targets, batch.is_fresh)
        )
        state = self.state
        if state[0].shape[1] != len(inputs):  # the last records of an epoch may be fewer
            state = self.model.empty_state(len(inputs))
        with autocast(self.device, self.precision):
            masks = self._masks(len(inputs), step)
            logits, state = self.model(inputs, clear_rows(state, is_fresh), masks)
        self.state = detach(state)
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED
        )

    def _masks(self, num_rows: int, step: int) -> Masks | None:
        config = self.config
        generator = torch.Generator(self.device)
        generator.manual_seed(derive_seed(config.seed, "dropout", step))
        rates = (config.embedding_dropout, config.dropout, config.weight_drop)
        return draw_masks(self.model.config, rates, num_rows, generator)

    def _apply(self, loss: Tensor, norm: Tensor, lr: float) -> None:
        """Change the weights, unless the gradient is not finite.

        The check needs no answer from the device: the fused optimiser reads `found_inf` there.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        is_bad = (~torch.isfinite(norm)).float()
        self.optimizer.found_inf = is_bad  # type: ignore[attr-defined]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        seen = torch.stack([loss, norm, torch.ones_like(norm)])
        self.sums += torch.where(is_bad > 0, torch.zeros_like(seen), seen)
        self.skipped += is_bad
        self.skipped_in_a_row = (self.skipped_in_a_row + 1) * is_bad

    def _average(self, step: int) -> None:
        """Move the averaged weights a little towards the new ones; fast at the beginning."""
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay
            )

    def report(self) -> Report:
        """Return the means since the last report, and wait for the device to have them."""
        loss, norm, count = self.sums.tolist()
        self.sums.zero_()
        skipped = int(self.skipped), int(self.skipped_in_a_row)
        return (
            Report(loss / count, norm / count, *skipped) if count else Report(None, None, *skipped)
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that training goes on from, by its name in a checkpoint."""
        result: dict[str, Tensor] = {
            f"raw/{name}": tensor for name, tensor in self.model.named_parameters()
        }
        for name, parameter in self.model.named_parameters():
            moments = self.optimizer.state.get(parameter, {})
            for key in ("exp_avg", "exp_avg_sq"):
                if key in moments:
                    result[f"optim/{name}/{key}"] = moments[key]
        result |= {f"state/{name}": part for name, part in zip("hc", self.state, strict=False)}
        return result


def make_optimizer(model: CharRNN, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW that decays the matrices of products, not embedding and biases."""
    decayed = [p for n, p in model.named_parameters() if p.ndim == 2 and n != "embedding.weight"]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or n == "embedding.weight"]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=BETAS, fused=True)
