"""A transformer in PyTorch: decoder only, RMSNorm before each part, rotary positions.

Keys and values of the last N characters are its state, as in Transformer-XL (arXiv:1901.02860): a
window continues the one before it. Shapes as in `nn/network.py`, and N context, D = H / heads.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from charrnn.nn.architecture import PERIOD, ModelConfig
from charrnn.nn.network import Masks, Network, draw_mask, times
from charrnn.nn.state import State
from charrnn.nn.transformer_engine import rotations

EPSILON = 1e-6
"""Added to the root mean square in RMSNorm."""

PARTS = ("keys", "values", "before")
"""Parts of the state that each block has."""

SPREAD = 0.02
"""Standard deviation of the weights before training, as in GPT-2."""


class Normed(torch.autograd.Function):
    """RMSNorm (arXiv:1910.07467) without a gain, which the matrix after it includes.

    Written by hand it takes 0.65 instead of 1.5 ms, forward and backward, at 2,048 x 192.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return x divided by its root mean square over the last axis."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        factor = norm.mul_(x.shape[-1] ** -0.5).add_(EPSILON).reciprocal_()
        result: Tensor = x * factor
        ctx.save_for_backward(result, factor)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the gradient of x: what is left without its part along the result, scaled."""
        result, factor = ctx.saved_tensors
        along = (gradients[0] * result).mean(-1, keepdim=True)
        return torch.addcmul(gradients[0], result, along, value=-1).mul_(factor)


def normed(x: Tensor) -> Tensor:
    """Return x divided by its root mean square over the last axis."""
    result: Tensor = Normed.apply(x)  # type: ignore[no-untyped-call]
    return result


class Block(nn.Module):
    """Attention, then two layers of a perceptron; each adds to the residual stream."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(
        self,
        x: Tensor,
        past: tuple[Tensor, Tensor, Tensor],
        turns: Tensor,
        hidden: Tensor,
        masks: tuple[Tensor | None, ...] = (None, None),
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the residual stream, (B, T, H), and what `past` is after the window.

        Args:
            x: Residual stream, (B, T, H), float32.
            past: Keys and values before the window, (B, N, H) each, and what attention and
                perceptron read of the character before it, (B, 2, H / 2).
            turns: Rotation at each position of the window, complex, (B, T, 1, 1, D / 2).
            hidden: Added to scores: -inf where a character does not look, (B, 1, T, N + T).
            masks: Dropout of what attention and perceptron add, (B, T, H) each.
        """
        *rings, before = past
        mixed, kept = with_character_before(normed(x), before[:, 0])
        qkv = self.qkv(mixed)
        qkv = qkv.view(*qkv.shape[:2], 3, self.num_heads, -1)
        q, k = rotated(qkv[..., :2, :, :], turns).unbind(2)
        keys, values = (
            torch.cat([old.to(qkv.dtype), new.flatten(-2).to(qkv.dtype)], 1)
            for old, new in zip(rings, (k, qkv[..., 2, :, :]), strict=True)
        )
        found = self._attended(q.to(qkv.dtype), keys, values, hidden)
        x = x + times(self.output(found), masks[0])
        mixed, kept_too = with_character_before(normed(x), before[:, 1])
        x = x + times(self.down(torch.relu(self.up(mixed)).square()), masks[1])
        T = x.shape[1]
        return x, keys[:, T:], values[:, T:], torch.stack([kept, kept_too], 1)

    def _attended(self, q: Tensor, keys: Tensor, values: Tensor, hidden: Tensor) -> Tensor:
        """Return what the heads find, (B, T, H).

        On a CPU with bf16, plain products take 12 ms where the fused function takes 33.
        """
        shape = (*keys.shape[:2], self.num_heads, -1)
        k, v = (part.view(shape).transpose(1, 2) for part in (keys, values))
        scores = (q * q.shape[-1] ** -0.5).transpose(1, 2) @ k.transpose(2, 3)
        shares = torch.softmax(scores.add_(hidden.to(scores.dtype)), -1)
        found: Tensor = (shares.to(v.dtype) @ v).transpose(1, 2).flatten(-2)
        return found


def with_character_before(x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Return x with the first half of each character's units from the one before, as in RWKV.

    Args:
        x: (B, T, H).
        before: What the first character gets, (B, H / 2).

    Returns:
        The mixture, (B, T, H), and what the character after the window gets, (B, H / 2).
    """
    first, second = x.tensor_split(2, dim=-1)
    shifted = torch.cat([before[:, None], first[:, :-1]], 1)
    return torch.cat([shifted, second], -1), first[:, -1]


@torch.no_grad()
def as_part(parts: tuple[Tensor, ...]) -> Tensor:
    """Return a part of the state of all blocks, (L, B, ...), float32, finite, without gradient."""
    return torch.stack(parts).float().nan_to_num_(0.0, 0.0, 0.0)


def rotated(x: Tensor, turns: Tensor) -> Tensor:
    """Return (..., D) with each pair of numbers turned by the angle of its position, float32."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)


def draw_words(
    shape: tuple[int, ...], rate: float, generator: torch.Generator, number: int
) -> Tensor | None:
    """Return factors of 0 or 1/(1-rate), drawn by NumPy on a CPU: torch draws numbers one by one.

    Args:
        shape: Of the mask.
        rate: Fraction that is dropped, to 1/65536; None is returned for 0.
        generator: Its seed and the number decide what is dropped.
        number: Of the mask in its step.
    """
    if not rate or generator.device.type != "cpu":
        return draw_mask(shape, rate, generator)
    count, bits = math.prod(shape), np.random.SFC64((generator.initial_seed(), number))
    drawn = bits.random_raw(-(-count // 4)).view(np.uint16)[:count]
    factors = (drawn >= round(rate * (1 << 16))).astype(np.float32)
    factors *= np.float32(1 / (1 - rate))
    return torch.from_numpy(factors.reshape(shape))


class Transformer(Network):
    """A transformer over characters."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        H = config.hidden_size
        with torch.device("meta"):  # torch draws no random numbers there
            self.embedding = nn.Embedding(config.vocab_size, H)
            blocks = (Block(H, config.num_heads) for _ in range(config.num_layers))
            self.layers = nn.ModuleList(blocks)
            self.decoder = nn.Linear(H, config.vocab_size)
        self.to_empty(device="cpu")
        table = torch.from_numpy(rotations(H // config.num_heads))
        self.register_buffer("rotations", table, persistent=False)
        self.rotations: Tensor

    def draw_weights(self, generator: torch.Generator) -> None:
        """Fill the weights; a block adds nothing to the residual stream at first."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith(("output.weight", "down.weight", "bias")):
                    parameter.zero_()
                else:
                    parameter.normal_(0.0, SPREAD, generator=generator)

    def draw_masks(
        self,
        rates: tuple[float, float, float],
        shape: tuple[int, int],
        generator: torch.Generator,
        rule: int = 2,
    ) -> Masks | None:
        """Return the dropout masks of one step: nothing recurs, so each character has its own."""
        embedding, outputs, _ = rates
        if not any(rates):
            return None
        size, count = (*shape, self.config.hidden_size), 2 * self.config.num_layers
        first, *others = (
            draw_words(size, rate, generator, i)
            for i, rate in enumerate([embedding, *[outputs] * count])
        )
        return Masks(first, tuple(others), ())

    def forward(
        self, inputs: Tensor, state: State, masks: Masks | None = None
    ) -> tuple[Tensor, State]:
        """Return logits and state, as every network does; dropout has two masks a block."""
        parts, T = state.arrays(), inputs.shape[1]
        position = parts["position"][0]
        steps = torch.arange(T, device=inputs.device)
        turns = self.rotations[(position.long() + steps) % PERIOD][:, :, None, None]
        hidden = self._hidden(position, T)
        x = times(self.embedding(inputs), masks.embedding if masks else None)
        ends = []
        for i, block in enumerate(self.layers):
            own = masks.layers[2 * i : 2 * i + 2] if masks else (None, None)
            x, *end = block(x, tuple(parts[name][i] for name in PARTS), turns, hidden, own)
            ends.append(end)
        new = position + T
        new = torch.where(new >= 2 * PERIOD, new - PERIOD * (new // PERIOD - 1), new)
        logits: Tensor = self.decoder(normed(x)).float()
        joined = map(as_part, zip(*ends, strict=True))
        after = dict(zip(PARTS, joined, strict=True))
        return logits, State.from_arrays(after | {"position": new[None]})

    def _hidden(self, position: Tensor, T: int) -> Tensor:
        """Return -inf where one of T characters does not look at one of N + T, else 0.

        Args:
            position: Characters that each stream has read, (B, 1).
            T: Characters of the window.
        """
        N = self.config.context
        at = torch.arange(N + T, device=position.device)
        ago = at[N:, None] - at
        is_near, is_read = (ago >= 0) & (ago < N), at >= N - position
        zeros = torch.zeros((len(position), 1, T, N + T), device=position.device)
        return zeros.masked_fill(~(is_near & is_read[:, None])[:, None], -torch.inf)
