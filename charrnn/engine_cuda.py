"""Many streams on a CUDA device: network, memory, filters and draw, many characters in one graph.

What engine.py, memory.py, mixing.py and filters.py do in NumPy, again in torch, with shapes that
never change and no answer that the CPU would have to wait for: so a CUDA graph of CHARACTERS steps
can be replayed, and its characters are copied back once. The draw takes its uniform numbers from
the CPU, a function of each text's seed. On a CPU, where tests run it, the same code runs without
a graph.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import takewhile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.config import ModelConfig, SampleConfig
from charrnn.filters import COLDEST, HOTTEST
from charrnn.memory import SMALLEST, Memory
from charrnn.mixing import GATE_INPUT, GATE_OUTPUT
from charrnn.mixing import SMALLEST as SMALLEST_MIXED
from charrnn.orders import mask

CHARACTERS = 32
"""Steps of one graph."""

WARM_UP = 3
"""Runs before a capture, as CUDA's libraries want them."""

SIGN = -(1 << 63)
"""Flips the order of unsigned numbers into that of signed ones, which torch can search."""


class DeviceNetwork:
    """Weights on a device, arranged as in engine.py; one step at a time."""

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
        """Read a character of each stream, (B,): logits, (B, V), and the state after it."""
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


class DeviceMemory:
    """The counts of a memory on a device; what it says after B contexts at once."""

    def __init__(self, memory: Memory, device: torch.device) -> None:
        self.bits, self.weight, self._vocab_size = memory.bits, memory.weight, memory.vocab_size
        self.mask = int(mask(memory.bits * memory.order))
        self.longest = memory.order
        self._orders = [
            tuple(
                torch.from_numpy(array).to(device)
                for array in (
                    each.keys.astype(np.uint64).view(np.int64) ^ np.int64(SIGN),
                    each.counts.astype(np.int64),
                    np.array(each.sums),
                    np.array(each.spares),
                    np.array([0.0, *each.discounts]),
                )
            )
            for each in takewhile(lambda order: len(order.keys), memory.orders)  # none is above
        ]
        self._symbols = torch.arange(memory.vocab_size, device=device)

    def recall(self, contexts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities, (B, V), and of the longest context seen its order, total and followers.

        Args:
            contexts: Packed as in memory.py, (B,), int64.
            lengths: Symbols in them, (B,).
        """
        B, V, ones = len(contexts), self._vocab_size, (1 << self.bits) - 1
        p = torch.full((B, V), 1.0 / V, dtype=torch.float64, device=contexts.device)
        sure = torch.ones((3, B), dtype=torch.float64, device=contexts.device)
        sure[0] = 0
        is_seen = torch.ones_like(lengths, dtype=torch.bool)
        for k, (keys, counts, sums, spares, taken_off) in enumerate(self._orders):
            low = (contexts & ((1 << self.bits * k) - 1)) << self.bits
            begin = torch.searchsorted(keys, low ^ SIGN)
            end = torch.searchsorted(keys, (low | ones) ^ SIGN, right=True)
            is_seen = is_seen & (lengths >= k) & (end > begin)
            total = (sums[end] - sums[begin]).clamp(min=1).double()
            places = begin[:, None] + self._symbols
            is_follower = places < end[:, None]
            places = places.clamp(max=len(keys) - 1)
            count = counts[places]
            shares = (count - taken_off[count.clamp(max=3)]) * is_follower / total[:, None]
            names = torch.where(is_follower, (keys[places] ^ SIGN) & ones, V)
            longer = p * ((spares[end] - spares[begin]) / total)[:, None]
            longer = torch.nn.functional.pad(longer, (0, 1)).scatter_add(1, names, shares)[:, :V]
            p = torch.where(is_seen[:, None], longer, p)
            found = torch.stack([torch.full_like(total, k), total, (end - begin).double()])
            sure = torch.where(is_seen, found, sure)
        return p, sure


class Gate:
    """The mix of mixing.py on a device."""

    def __init__(self, weight: float | None, device: torch.device) -> None:
        self._weight = weight
        self._input = torch.tensor(GATE_INPUT, dtype=torch.float64, device=device)
        self._output = torch.tensor(GATE_OUTPUT, dtype=torch.float64, device=device)

    def mixed(self, logits: Tensor, q: Tensor, sure: Tensor) -> Tensor:
        """Return scores of the mix, (B, V); the memory says q, (B, V), as sure as (3, B)."""
        logs = logits.double().log_softmax(dim=1)
        p = logs.exp()
        w = self._weight if self._weight is not None else self._share(p, logs, q, sure)
        return (p + w * (q - p)).clamp(min=SMALLEST_MIXED).log().float()

    def _share(self, p: Tensor, logs: Tensor, q: Tensor, sure: Tensor) -> Tensor:
        order, total, followers = sure
        log_q = q.clamp(min=float(SMALLEST)).log()
        network, memory = (p * logs).sum(1), (q * log_q).sum(1)
        features = torch.stack(
            [
                torch.ones_like(order), -network, order, total.log(), followers.log(), -memory,
                logs.amax(1), log_q.amax(1), memory - (q * logs).sum(1), network - (p * log_q).sum(1),
            ],
            dim=1,
        )  # fmt: skip
        hidden = (features @ self._input).tanh()
        return (hidden @ self._output[:-1] + self._output[-1]).sigmoid()[:, None]


def filtered(logits: Tensor, config: SampleConfig) -> Tensor:
    """Return weights of the characters that stay possible, (B, V): filters.py in torch."""
    if config.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1]).float()
    logits = logits - logits.amax(1, keepdim=True)
    logits = logits / min(max(config.temperature, COLDEST), HOTTEST)
    if 0 < config.top_k < logits.shape[1]:
        threshold = logits.topk(config.top_k, dim=1).values[:, -1:]
        logits = torch.where(logits < threshold, -torch.inf, logits)
    if config.top_p < 1:
        ordered, order = logits.sort(dim=1, descending=True, stable=True)
        shares = ordered.softmax(dim=1)
        is_out = shares.cumsum(1) - shares >= config.top_p
        logits = logits.masked_fill(torch.zeros_like(is_out).scatter(1, order, is_out), -torch.inf)
    weights = logits.exp()
    return torch.where(weights < config.min_p, 0.0, weights) if config.min_p > 0 else weights


class Writer:
    """Writes B texts side by side.

    Args:
        network: The weights.
        memory: Mixed in, if there is one.
        config: Filters.
        num_rows: Texts (B).
        device: Where all of it lies.
    """

    def __init__(
        self,
        network: DeviceNetwork,
        memory: DeviceMemory | None,
        config: SampleConfig,
        num_rows: int,
        device: torch.device,
    ) -> None:
        self._network, self._memory, self._config = network, memory, config
        self._gate = Gate(memory.weight, device) if memory else None
        model, B = network.config, num_rows
        count = 2 if model.cell == "lstm" else 1
        shape = (model.num_layers, B, model.hidden_size)
        self._state = [torch.zeros(shape, device=device) for _ in range(count)]
        self._logits = torch.zeros((B, model.vocab_size), device=device)
        self._contexts = torch.zeros(B, dtype=torch.int64, device=device)
        self._lengths = torch.zeros(B, dtype=torch.int64, device=device)
        self._uniforms = torch.zeros((CHARACTERS, B), dtype=torch.float64, device=device)
        self._chosen = torch.zeros((CHARACTERS, B), dtype=torch.int64, device=device)
        self._changing = (*self._state, self._logits, self._contexts, self._lengths)
        self._begun: tuple[list[tuple[int, ...]], list[Tensor]] | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    @torch.inference_mode()
    def begin(self, fed: Sequence[Sequence[int]], first: NDArray[np.float32]) -> None:
        """Forget all texts, and read what new ones begin with.

        Args:
            fed: Symbols of each text, for B texts or fewer; the rows that are left do as the first.
            first: Scores of the first symbol of a text that is fed nothing, (V,).
        """
        texts = [*map(tuple, fed), *[tuple(fed[0])] * (self._lengths.shape[0] - len(fed))]
        with self._current():
            if self._begun is None or self._begun[0] != texts:
                for part in self._changing:
                    part.zero_()
                self._logits.copy_(torch.from_numpy(first).expand_as(self._logits))
                for t in range(max(map(len, texts))):
                    self._read_beginnings(texts, t)
                self._begun = texts, [part.clone() for part in self._changing]
            self._go_back_to(self._begun[1])

    def _read_beginnings(self, texts: Sequence[Sequence[int]], t: int) -> None:
        """Read symbol t of the texts that begin with so many; the others stay as they are."""
        before = [part.clone() for part in self._changing]
        symbols = torch.tensor([text[t] if t < len(text) else 0 for text in texts])
        is_over = torch.tensor([t >= len(text) for text in texts]).to(self._logits.device)
        self._read(symbols.to(self._contexts.device))
        for part, old in zip(self._changing, before, strict=True):
            rows_at = 1 if part.ndim == 3 else 0  # a state is (L, B, H)
            shape = [-1 if place == rows_at else 1 for place in range(part.ndim)]
            part.copy_(torch.where(is_over.view(shape), old, part))

    @torch.inference_mode()
    def write(self, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return what the texts go on with, (CHARACTERS, B).

        Args:
            uniforms: A number in [0, 1) for each of them.
        """
        self._uniforms.copy_(torch.from_numpy(uniforms))
        if self._uniforms.device.type != "cuda":
            self._steps()
        else:
            with self._current():
                self._graph = self._graph or self._captured()
                self._graph.replay()
        return self._chosen.cpu().numpy()

    def _current(self) -> AbstractContextManager[object]:
        """Return the context in which streams and graphs belong to this device."""
        device = self._uniforms.device
        return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

    def _go_back_to(self, kept: Sequence[Tensor]) -> None:
        for part, old in zip(self._changing, kept, strict=True):
            part.copy_(old)

    def _captured(self) -> torch.cuda.CUDAGraph:
        """Record CHARACTERS steps; the texts are where they were afterwards."""
        before = [part.clone() for part in self._changing]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._steps()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._steps()
        self._go_back_to(before)
        return graph

    def _steps(self) -> None:
        for t in range(CHARACTERS):
            weights = filtered(self._mixed(), self._config)
            sums = weights.double().cumsum(1)
            threshold = self._uniforms[t][:, None] * sums[:, -1:]
            chosen = (sums <= threshold).sum(1)
            self._chosen[t] = chosen
            self._read(chosen)

    def _mixed(self) -> Tensor:
        if self._memory is None or self._gate is None:
            return self._logits
        mixed = self._gate.mixed(self._logits, *self._memory.recall(self._contexts, self._lengths))
        return torch.where(self._lengths[:, None] > 0, mixed, self._logits)

    def _read(self, symbols: Tensor) -> None:
        logits, state = self._network.step(symbols, self._state)
        self._logits.copy_(logits)
        for part, new in zip(self._state, state, strict=True):
            part.copy_(new)
        if self._memory is not None:
            packed = (self._contexts << self._memory.bits | symbols) & self._memory.mask
            self._contexts.copy_(packed)
            self._lengths.copy_((self._lengths + 1).clamp(max=self._memory.longest))
