"""One step of the same network for batched generation on a GPU."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.core.config import ModelConfig


class DeviceNetwork:
    """The weights on a device, arranged as in numpy_engine.py, and one step of them."""

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, NDArray[np.float32]], device: torch.device
    ) -> None:
        self.config = config

        def moved(name: str) -> Tensor:
            return torch.from_numpy(np.array(weights[name], dtype=np.float32)).to(device)

        layers = range(config.num_layers)
        self._inputs = [moved(f"layers.{i}.weight_ih_l0").T.contiguous() for i in layers]
        self._recurrents = [moved(f"layers.{i}.weight_hh_l0").T.contiguous() for i in layers]
        self._input_biases = [moved(f"layers.{i}.bias_ih_l0") for i in layers]
        self._biases = [moved(f"layers.{i}.bias_hh_l0") for i in layers]
        self._table = moved("embedding.weight") @ self._inputs[0] + self._input_biases[0]
        self._decoder, self._decoder_bias = moved("decoder.weight").T, moved("decoder.bias")

    def step(self, ids: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Read one character of each stream, (B,); return logits, (B, V), and the new state."""
        x = self._table[ids]
        layers: list[tuple[Tensor, ...]] = []
        for i in range(self.config.num_layers):
            if i:
                x = torch.addmm(self._input_biases[i], layers[-1][0], self._inputs[i])
            old = [part[i] for part in state]
            from_h = torch.addmm(self._biases[i], old[0], self._recurrents[i])
            layers.append(CELLS[self.config.cell](x, from_h, *old))
        new = [torch.stack(parts) for parts in zip(*layers, strict=True)]
        return torch.addmm(self._decoder_bias, layers[-1][0], self._decoder), new


def lstm(x: Tensor, from_h: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Return the new (h, c)."""
    i, f, g, o = (x + from_h).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(x: Tensor, from_h: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    """Return the new (h,)."""
    (r_x, z_x, n_x), (r_h, z_h, n_h) = x.chunk(3, dim=1), from_h.chunk(3, dim=1)
    n = (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
    return (n + (z_x + z_h).sigmoid() * (h - n),)


def rnn(x: Tensor, from_h: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    """Return the new (h,)."""
    return ((x + from_h).tanh(),)


CELLS: dict[str, Callable[..., tuple[Tensor, ...]]] = {"lstm": lstm, "gru": gru, "rnn": rnn}
