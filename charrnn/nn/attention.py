"""Attention of a recurrent network to its past outputs, in PyTorch: one head (arXiv:1911.11423).

The outputs of the last layer, normalised, are the values. The key of an output is the start of the
output before it, which is what the network knew as it read that character: the head finds what
followed in a similar context. Neither has a matrix. Its twin is in `nn/numpy_engine.py`. Shapes as
in `nn/network.py`, and N outputs that are looked at, the own one included; D width of a key.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad

from charrnn.nn.architecture import LAYER_NORM_EPSILON, ModelConfig, key_width, num_buckets

VALUE_GATE = -2.0
"""Initial gate, before the sigmoid: a new head adds little."""


class Attention(nn.Module):
    """One head over the last N outputs of the last recurrent layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        H, D, self.size = config.hidden_size, key_width(config), config.attention
        self.query = nn.Linear(H, D, bias=False)
        self.key_gate = nn.Parameter(torch.empty(D))
        self.value_gate = nn.Parameter(torch.empty(H))
        self.distance_bias = nn.Parameter(torch.empty(num_buckets(config)))

    def draw_weights(self, generator: torch.Generator) -> None:
        """Fill all weights: a new head looks at all outputs alike, and adds little."""
        nn.init.xavier_uniform_(self.query.weight, generator=generator)
        nn.init.zeros_(self.key_gate)
        nn.init.zeros_(self.distance_bias)
        nn.init.constant_(self.value_gate, VALUE_GATE)

    def forward(self, x: Tensor, past: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the head adds to the outputs of a window, and the past after it.

        Args:
            x: Outputs of the last layer, (B, T, H).
            past: Normalised outputs before the window, oldest first, (B, N, H).
            count: How many of them exist, (B, 1); the rest is masked.

        Returns:
            What is added, (B, T, H), float32; new past and count, without gradient.
        """
        N, T, D = self.size, x.shape[1], len(self.key_gate)
        own = normalised(x)
        q = normalised(self.query(own)) * (2 * D**-0.5 * torch.sigmoid(self.key_gate))
        keys = past[..., :D].transpose(1, 2), own[:, :-1, :D].transpose(1, 2)
        scores = torch.cat([q @ each for each in keys], -1).float()
        weights = self._weights(scores, count)
        found = weights[..., : N - 1] @ past[:, 1:] + weights[..., N - 1 :] @ own
        new = own.detach().nan_to_num(0.0, 0.0, 0.0)[:, -N:]
        added = found.float() * torch.sigmoid(self.value_gate)
        return added, torch.cat([past[:, T:], new], 1), (count + T).clamp(max=N)

    def _weights(self, scores: Tensor, count: Tensor) -> Tensor:
        """Return the weight of all outputs but the oldest, from scores of keys, (B, T, N - 1 + T).

        The own output has no key: its score is its bias. An output needs the one before it as key.
        """
        N, T = self.size, scores.shape[1]
        at = torch.arange(1, N + T, device=scores.device)
        is_own = at == torch.arange(N, N + T, device=scores.device)[:, None]
        has_key = (at > N - count)[:, None]
        scores = torch.where(is_own, 0.0, scores) + self._bias(T)
        return torch.where(is_own | has_key, scores, -torch.inf).softmax(-1)

    def _bias(self, T: int) -> Tensor:
        """Return the bias of all outputs but the oldest, by distance, (T, N - 1 + T).

        -inf for later outputs, and for those that are N or more away.
        """
        N, device = self.size, self.distance_bias.device
        distance = torch.arange(N - 1, -1, -1, device=device)[:, None]
        end = 2 ** torch.arange(len(self.distance_bias), device=device)  # of each bucket
        is_inside = (distance >= end // 2) & (distance < end)
        oldest_first = (is_inside * self.distance_bias).sum(-1)
        rows = pad(oldest_first, (T - 1, T - 1), value=-torch.inf).unfold(0, N + T - 1, 1)
        return rows.flip(0)


def normalised(x: Tensor) -> Tensor:
    """Return x with mean 0 and variance 1 over its last axis, float32."""
    return layer_norm(x.float(), x.shape[-1:], eps=LAYER_NORM_EPSILON)
