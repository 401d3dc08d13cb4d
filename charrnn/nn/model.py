"""The recurrent network in PyTorch: embedding -> recurrent layers -> attention -> decoder.

Shapes as in `nn/network.py`.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charrnn.core.seeds import derive_seed
from charrnn.data.batches import IGNORED
from charrnn.nn.architecture import GATES, ModelConfig
from charrnn.nn.attention import Attention
from charrnn.nn.network import Masks, Network, draw_mask, load_weights, times
from charrnn.nn.state import State
from charrnn.nn.transformer import Transformer

LEVELS = 1 << 8
"""Values of the random bytes that weight drop draws on a CPU."""

WORD_LEVELS = 1 << 16
"""Values of the random numbers that it draws by the first rule and by the third."""

ROW_SHIFT = 32
"""Columns by which each row of a mask is shifted against the row before it, by the third rule."""

Kept = tuple[NDArray[np.bool_], tuple[int, int]]
"""Which elements of a matrix are kept, and the strides with which rows and columns read that."""

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


class CharRNN(Network):
    """A recurrent network over characters.

    One torch module per layer: the dropout of cuDNN inside a module of several layers cannot be
    resumed exactly, and gradients of separate layers are sent while others are computed.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        E, H = config.embedding_size, config.hidden_size
        # On "meta" torch draws no random numbers; draw_weights() fills the weights.
        with torch.device("meta"):
            self.embedding = nn.Embedding(config.vocab_size, E)
            self.layers = nn.ModuleList(
                CELLS[config.cell](E if layer == 0 else H, H, batch_first=True)
                for layer in range(config.num_layers)
            )
            self.decoder = nn.Linear(H, config.vocab_size)
            self.attention = Attention(config) if config.attention else None
        self.to_empty(device="cpu")

    def forward(
        self, inputs: Tensor, state: State, masks: Masks | None = None
    ) -> tuple[Tensor, State]:
        """Return logits and state, as every network does; masks are the same at every time step."""
        x = self._in_order(self.embedding, inputs)
        x = times(x, masks.embedding if masks else None)
        ends: list[tuple[Tensor, ...]] = []
        parts = state.arrays()
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.RNNBase)  # for the type checker
            start = tuple(parts[name][i : i + 1] for name in "hc" if name in parts)
            x = times(x, masks.layers[i - 1] if masks and i else None)
            x, end = run_layer(layer, x, start, masks.recurrent[i] if masks else None)
            ends.append(end)
        joined = (torch.cat(layers).float() for layers in zip(*ends, strict=True))
        after = dict(zip("hc", joined, strict=False))
        if self.attention is not None:
            added, past, count = self.attention(x, parts["past"][0], parts["count"][0])
            x, after = x + added, after | {"past": past[None], "count": count[None]}
        x = times(x, masks.layers[-1] if masks else None)
        logits = self._in_order(self.decoder, x).float()
        return logits, State.from_arrays(after)

    def _in_order(self, module: nn.Module, x: Tensor) -> Tensor:
        """Apply a module to (B, T, ...); its result lies in memory as `is_time_major` says."""
        result = module(x.transpose(0, 1)).transpose(0, 1) if self.is_time_major else module(x)
        assert isinstance(result, Tensor)  # for the type checker
        return result

    def draw_weights(self, generator: torch.Generator) -> None:
        """Fill all weights: orthogonal recurrent matrices, forget bias 1, small decoder.

        Orthogonal matrices preserve norms through time (arXiv:1312.6120); a forget bias of 1 lets
        an untrained LSTM remember (Jozefowicz et al., 2015).
        """
        H = self.config.hidden_size
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name == "embedding.weight":
                    parameter.normal_(0.0, 1.0, generator=generator)
                elif name == "decoder.weight":
                    parameter.normal_(0.0, 0.02, generator=generator)
                elif "weight_ih" in name:
                    nn.init.xavier_uniform_(parameter, generator=generator)
                elif "weight_hh" in name:
                    for gate in parameter.view(-1, H, H):
                        nn.init.orthogonal_(gate, generator=generator)
                else:
                    parameter.zero_()
                if self.config.cell == "lstm" and "bias_hh" in name:
                    parameter[H : 2 * H] = 1.0
        if self.attention is not None:
            self.attention.draw_weights(generator)

    def draw_masks(
        self,
        rates: tuple[float, float, float],
        shape: tuple[int, int],
        generator: torch.Generator,
        rule: int = 3,
    ) -> Masks | None:
        """Return the dropout masks of one step, the same at every time step of a window."""
        embedding, outputs, recurrent = rates
        if not any(rates):
            return None
        E, H, L = self.config.embedding_size, self.config.hidden_size, self.config.num_layers
        B, matrix = shape[0], (GATES[self.config.cell] * H, H)
        return Masks(
            draw_mask((B, 1, E), embedding, generator),
            tuple(draw_mask((B, 1, H), outputs, generator) for _ in range(L)),
            tuple(_matrix_mask(matrix, recurrent, generator, layer, rule) for layer in range(L)),
        )


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


def _matrix_mask(
    shape: tuple[int, int], rate: float, generator: torch.Generator, layer: int, rule: int
) -> Tensor | None:
    """Return the mask of a matrix, drawn by NumPy on a CPU: torch draws numbers one by one.

    That took 10 of the 36 ms of a step at H = 384.
    """
    if not rate or generator.device.type != "cpu":
        return draw_mask(shape, rate, generator)
    keep = {1: _keep_by_words, 2: _keep_by_bytes}.get(rule, _keep_shifted)
    kept, strides = keep(shape, rate, (generator.initial_seed(), layer))
    factors = kept.astype(np.float32)
    np.multiply(factors, np.float32(1.0 / (1.0 - rate)), out=factors)
    return torch.from_numpy(factors).as_strided(shape, strides)


def _keep_shifted(shape: tuple[int, int], rate: float, seed: tuple[int, int]) -> Kept:
    """Draw which elements are kept, in rows that overlap in memory.

    Few numbers are drawn, and they fit into the cache. Elements of one row, or of one column,
    are independent.
    """
    rows, columns = shape
    count = (rows - 1) * ROW_SHIFT + columns
    drawn = np.random.SFC64(seed).random_raw(-(-count // 4)).view(np.uint16)[:count]
    return drawn >= round(rate * WORD_LEVELS), (ROW_SHIFT, 1)


def _keep_by_bytes(shape: tuple[int, int], rate: float, seed: tuple[int, int]) -> Kept:
    """Draw which elements are kept, each by a random byte, as the second rule does.

    The threshold of a row is 256 * rate, rounded up or down at random, so that the rate is exact.
    """
    rows, columns = shape
    bits = np.random.SFC64(seed)
    thresholds = np.floor(LEVELS * rate + np.random.Generator(bits).random(rows))
    fits = rate <= (LEVELS - 1) / LEVELS  # a comparison of equal types is ten times as fast
    thresholds = thresholds.astype(np.uint8 if fits else np.uint16)
    drawn = bits.random_raw(-(-rows * columns // 8)).view(np.uint8)[: rows * columns]
    return drawn.reshape(shape) >= thresholds[:, None], (columns, 1)


def _keep_by_words(shape: tuple[int, int], rate: float, seed: tuple[int, int]) -> Kept:
    """Draw the same by 16 bits, as the first rule does, for runs that began with it."""
    drawn = np.random.default_rng(seed).integers(0, WORD_LEVELS, shape, dtype=np.uint16)
    return drawn >= round(rate * WORD_LEVELS), (shape[1], 1)


@dataclass(frozen=True, slots=True)
class BothMasks:
    """Dropout of one step of both directions."""

    before: Masks
    after: Masks

    def part(self, rows: slice) -> "BothMasks":
        """Return the masks of some streams."""
        return BothMasks(self.before.part(rows), self.after.part(rows))


class BothDirections(Network):
    """Two networks, which read what is before a character and what is after it.

    A decoder that reads both outputs is the sum of two decoders: so are its logits. This is the
    bidirectional network of arXiv:1504.01575; in deeper layers, too, no direction sees the other,
    which would have seen the character itself.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.before, self.after = make_network(config.half()), make_network(config.half())

    def given(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return inputs and targets, (2, B, T)."""
        return torch.stack([inputs, targets])

    def forward(self, inputs: Tensor, state: State, masks: Any = None) -> tuple[Tensor, State]:
        """Return logits of each target given all others of its row, and the state after the inputs.

        The network of what is after begins with an empty state behind the last target of a row.

        Args:
            inputs: As from `given`; targets that are ignored end a row.
            state: Of the network of what is before.
            masks: Dropout of this step.
        """
        inputs, targets = inputs
        (B, T), steps = targets.shape, torch.arange(targets.shape[1], device=targets.device)
        self.before.is_time_major = self.after.is_time_major = self.is_time_major
        logits, state = self.before(inputs, state, masks and masks.before)
        ends = (targets != IGNORED).sum(1, keepdim=True)
        turned = targets.gather(1, (ends - 1 - steps) % T)[:, : max(1, T - 1)].clamp(min=0)
        later, _ = self.after(turned, self.after.empty_state(B), masks and masks.after)
        later = nn.functional.pad(later, (0, 0, 1, 0))[:, :T]  # nothing is after the last one
        index = (ends - 1 - steps).clamp(min=0)[..., None].expand(-1, -1, later.shape[2])
        return logits + later.gather(1, index), state

    def draw_weights(self, generator: torch.Generator) -> None:
        """Fill all weights, one direction after the other."""
        self.before.draw_weights(generator)
        self.after.draw_weights(generator)

    def draw_masks(
        self,
        rates: tuple[float, float, float],
        shape: tuple[int, int],
        generator: torch.Generator,
        rule: int = 3,
    ) -> Any:
        """Return the dropout masks of one step, others for each direction."""
        B, T = shape
        other = torch.Generator(generator.device)
        other.manual_seed(derive_seed(generator.initial_seed(), "after", 0))
        before = self.before.draw_masks(rates, shape, generator, rule)
        after = self.after.draw_masks(rates, (B, max(1, T - 1)), other, rule)
        return BothMasks(before, after) if before and after else None


def make_network(config: ModelConfig) -> Network:
    """Return the network of an architecture; its weights are not set."""
    if config.num_directions == 2:
        return BothDirections(config)
    return Transformer(config) if config.cell == "transformer" else CharRNN(config)


def network_on(
    device: torch.device, config: ModelConfig, weights: Mapping[str, NDArray[np.float32]]
) -> Network:
    """Return the network of training with these weights, on a device."""
    network = make_network(config)
    load_weights(network, weights)
    return network.to(device).requires_grad_(False)
