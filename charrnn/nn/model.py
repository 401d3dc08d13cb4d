"""The network in PyTorch: embedding -> recurrent layers -> decoder.

Legend of shapes, for the whole package:
    B batch (streams)   T time steps   V vocabulary
    E embedding         H hidden       L layers
The batch comes first everywhere. A state (`nn/state.py`) is an argument and a result, never an
attribute of the module.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charrnn.core.seeds import derive_seed
from charrnn.nn.architecture import GATES, ModelConfig
from charrnn.nn.state import State

LEVELS = 1 << 8
"""Values of the random bytes that weight drop draws on a CPU."""

OLD_LEVELS = 1 << 16
"""Values of the random numbers that it draws by the first rule."""

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}

FUNCTIONS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
}
"""What the modules call, by their mode."""

WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
"""Weights of a module in the order in which these functions take them."""

# In fp32 on CUDA; the advice, to join all weights in one buffer at each step, would cost more.
warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")


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


class CharRNN(nn.Module):
    """A recurrent network over characters.

    One torch module per layer: the dropout of cuDNN inside a module of several layers cannot be
    resumed exactly, and gradients of separate layers are sent while others are computed.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        E, H = config.embedding_size, config.hidden_size
        # On "meta" torch draws no random numbers; initialise() fills the weights.
        with torch.device("meta"):
            self.embedding = nn.Embedding(config.vocab_size, E)
            self.layers = nn.ModuleList(
                CELLS[config.cell](E if layer == 0 else H, H, batch_first=True)
                for layer in range(config.num_layers)
            )
            self.decoder = nn.Linear(H, config.vocab_size)
        self.to_empty(device="cpu")

    def empty_state(self, batch_size: int) -> State:
        """Return the state before any text: float32 zeros."""
        device = self.decoder.weight.device
        return State.empty(
            self.config, batch_size, zeros=lambda shape: torch.zeros(shape, device=device)
        )

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
        x = times(self.embedding(inputs), masks.embedding if masks else None)
        ends: list[tuple[Tensor, ...]] = []
        parts = state.arrays()
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.RNNBase)  # for the type checker
            start = tuple(part[i : i + 1] for part in parts.values())
            x, end = run_layer(layer, x, start, masks.recurrent[i] if masks else None)
            x = times(x, masks.layers[i] if masks else None)
            ends.append(end)
        joined = (torch.cat(layers).float() for layers in zip(*ends, strict=True))
        logits: Tensor = self.decoder(x).float()
        return logits, State.from_arrays(dict(zip(parts, joined, strict=True)))


def times(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return x times a dropout mask, or x without one, in the dtype of x."""
    return x if mask is None else x * mask.to(x.dtype)


def run_layer(
    layer: nn.RNNBase, x: Tensor, state: tuple[Tensor, ...], recurrent_mask: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one recurrent layer, (B, T, E) -> (B, T, H); its state is a tuple of (1, B, H)."""
    start = state if len(state) == 2 else state[0]
    if recurrent_mask is None:
        output, end = layer(x, start)
        return output, end if len(state) == 2 else (end,)
    # A call of the module would first copy all weights into one new buffer on CUDA.
    w_input, w_recurrent, *biases = map(layer.get_parameter, WEIGHTS)
    weights = [w_input, w_recurrent * recurrent_mask, *biases]
    output, *parts = FUNCTIONS[layer.mode](x, start, weights, True, 1, 0.0, True, False, True)
    return output, tuple(parts)


def initialise(model: CharRNN, seed: int) -> None:
    """Fill all weights: orthogonal recurrent matrices, forget bias 1, small decoder.

    Orthogonal matrices preserve norms through time (arXiv:1312.6120); a forget bias of 1 lets an
    untrained LSTM remember (Jozefowicz et al., 2015).
    """
    config, generator = model.config, torch.Generator().manual_seed(derive_seed(seed, "init", 0))
    H, num_gates = config.hidden_size, GATES[config.cell]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name == "embedding.weight":
                parameter.normal_(0.0, 1.0, generator=generator)
            elif name == "decoder.weight":
                parameter.normal_(0.0, 0.02, generator=generator)
            elif "weight_ih" in name:
                nn.init.xavier_uniform_(parameter, generator=generator)
            elif "weight_hh" in name:
                for gate in range(num_gates):
                    nn.init.orthogonal_(parameter[gate * H : (gate + 1) * H], generator=generator)
            else:
                parameter.zero_()
            if config.cell == "lstm" and "bias_hh" in name:
                parameter[H : 2 * H] = 1.0


def draw_masks(
    config: ModelConfig,
    rates: tuple[float, float, float],
    batch_size: int,
    generator: torch.Generator,
    rule: int = 2,
) -> Masks | None:
    """Return the dropout masks of one step, on the device of the generator; None without dropout.

    Args:
        config: The architecture.
        rates: Fractions dropped of the embedding, of layer outputs and of recurrent weights.
        batch_size: Streams (B).
        generator: Seeded for this step.
        rule: Number of the rule by which a CPU draws the masks of recurrent weights.
    """
    embedding, outputs, recurrent = rates
    if not any(rates):
        return None
    E, H, L = config.embedding_size, config.hidden_size, config.num_layers
    matrix = (GATES[config.cell] * H, H)
    return Masks(
        _mask((batch_size, 1, E), embedding, generator),
        tuple(_mask((batch_size, 1, H), outputs, generator) for _ in range(L)),
        tuple(_matrix_mask(matrix, recurrent, generator, layer, rule) for layer in range(L)),
    )


def _matrix_mask(
    shape: tuple[int, int], rate: float, generator: torch.Generator, layer: int, rule: int
) -> Tensor | None:
    """Return the mask of a matrix, drawn by NumPy on a CPU: torch draws numbers one by one.

    That took 10 of the 36 ms of a step at H = 384.
    """
    if not rate or generator.device.type != "cpu":
        return _mask(shape, rate, generator)
    keep = _keep_by_bytes if rule > 1 else _keep_by_words
    kept = keep(shape, rate, (generator.initial_seed(), layer)).astype(np.float32)
    return torch.from_numpy(np.multiply(kept, np.float32(1.0 / (1.0 - rate)), out=kept))


def _keep_by_bytes(shape: tuple[int, int], rate: float, seed: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw which elements are kept, each by a random byte.

    The threshold of a row is 256 * rate, rounded up or down at random, so that the rate is exact.
    """
    rows, columns = shape
    bits = np.random.SFC64(seed)
    thresholds = np.floor(LEVELS * rate + np.random.Generator(bits).random(rows))
    fits = rate <= (LEVELS - 1) / LEVELS  # a comparison of equal types is ten times as fast
    thresholds = thresholds.astype(np.uint8 if fits else np.uint16)
    drawn = bits.random_raw(-(-rows * columns // 8)).view(np.uint8)[: rows * columns]
    kept: NDArray[np.bool_] = drawn.reshape(shape) >= thresholds[:, None]
    return kept


def _keep_by_words(shape: tuple[int, int], rate: float, seed: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw the same by 16 bits, as the first rule does, for runs that began with it."""
    drawn = np.random.default_rng(seed).integers(0, OLD_LEVELS, shape, dtype=np.uint16)
    kept: NDArray[np.bool_] = drawn >= round(rate * OLD_LEVELS)
    return kept


def _mask(shape: tuple[int, ...], rate: float, generator: torch.Generator) -> Tensor | None:
    if not rate:
        return None
    kept = torch.empty(shape, device=generator.device).bernoulli_(1.0 - rate, generator=generator)
    return kept.div_(1.0 - rate)


def load_weights(model: CharRNN, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Copy arrays, named as in shapes(config), into a network."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(np.array(weights[name])))


def weight_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """Return copies of tensors as float32 arrays."""
    return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in tensors.items()}
