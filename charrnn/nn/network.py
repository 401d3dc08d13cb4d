"""What all networks in PyTorch share: the calls of training, scoring and texts on a GPU.

Legend of shapes, for the whole package:
    B batch (streams)   T time steps   V vocabulary
    E embedding         H hidden       L layers
The batch comes first everywhere. A state (`nn/state.py`) is an argument and a result, never an
attribute of the module.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charrnn.core.seeds import derive_seed
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.state import State


@dataclass(frozen=True, slots=True)
class Masks:
    """Dropout of one step: factors of 0 or 1/(1-p), the same at every time step of a window."""

    embedding: Tensor | None
    """(B, 1, E)."""
    layers: tuple[Tensor | None, ...]
    """On the output of each layer, (B, 1, H)."""
    recurrent: tuple[Tensor | None, ...]
    """On the recurrent matrix of each layer (weight drop, arXiv:1708.02182), (gates * H, H)."""

    def part(self, rows: slice) -> "Masks":
        """Return the masks of some streams."""
        embedding, *layers = (
            None if mask is None else mask[rows] for mask in (self.embedding, *self.layers)
        )
        return Masks(embedding, tuple(layers), self.recurrent)


class Network(nn.Module):
    """A network over characters; its weights are named and shaped as in shapes(config).

    Its weights are not set: `initialise` draws them, `load_weights` copies them.
    """

    is_time_major = False
    """Whether tensors lie in memory as (T, B, ...), in which recurrent layers read and write."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    def empty_state(self, batch_size: int) -> State:
        """Return the state before any text: float32 zeros."""
        return State.empty(
            self.config, batch_size, zeros=lambda shape: torch.zeros(shape, device=self.device)
        )

    def given(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return what `forward` reads of a window: its inputs, unless a network reads both sides."""
        return inputs

    def forward(
        self, inputs: Tensor, state: State, masks: Masks | None = None
    ) -> tuple[Tensor, State]:
        """Return logits of the next character, and the state after the last one.

        Args:
            inputs: Ids, (B, T), int64.
            state: State after the text before, float32.
            masks: Dropout of this step; None for evaluation.

        Returns:
            Logits, (B, T, V), and the new state; float32, also under autocast.
        """
        raise NotImplementedError

    def draw_weights(self, generator: torch.Generator) -> None:
        """Fill all weights before training."""
        raise NotImplementedError

    def draw_masks(
        self,
        rates: tuple[float, float, float],
        shape: tuple[int, int],
        generator: torch.Generator,
        rule: int = 3,
    ) -> Masks | None:
        """Return the dropout masks of one step, on the device of the generator; None without dropout.

        Args:
            rates: Fractions dropped of the embedding, of layer outputs and of recurrent weights.
            shape: Streams and characters of the window (B, T).
            generator: Seeded for this step.
            rule: Number of the rule by which a CPU draws the masks of recurrent weights.
        """
        raise NotImplementedError


def initialise(model: Network, seed: int) -> None:
    """Fill all weights; they follow from the seed."""
    model.draw_weights(torch.Generator().manual_seed(derive_seed(seed, "init", 0)))


def times(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return x times a dropout mask, or x without one, in the dtype of x."""
    return x if mask is None else x * mask.to(x.dtype)


def draw_mask(shape: tuple[int, ...], rate: float, generator: torch.Generator) -> Tensor | None:
    """Return factors of 0 or 1/(1-rate); None for a rate of 0."""
    if not rate:
        return None
    kept = torch.empty(shape, device=generator.device).bernoulli_(1.0 - rate, generator=generator)
    return kept.div_(1.0 - rate)


def load_weights(model: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Copy arrays, named as in shapes(config), into a network."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(np.array(weights[name])))


def weight_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """Return copies of tensors as float32 arrays."""
    return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in tensors.items()}
