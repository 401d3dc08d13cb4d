"""The state of a network after some text: a small value, for PyTorch and NumPy alike.

A state consists of named float32 arrays, its parts: h and c of an LSTM, h of a GRU or RNN, each
(L, B, H); with attention also past outputs, (1, B, N, H), the oldest first, and their count,
(1, B, 1). A transformer has keys and values, (L, B, N, H), the oldest first, what attention
and perceptron get of the character before, (L, B, 2, H / 2), and a position, (1, B, 1). Streams
are axis 1 of every part; the state of a single stream in NumPy lacks that axis.
Operations return new states. Other modules know parts by name only, as files and digests do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charrnn.nn.architecture import ModelConfig

UNITS = ("h", "c")
"""Parts with one number for each recurrent unit."""

RINGS = {"past", "keys", "values"}
"""Parts with a row for each of many characters. A count masks them; they are never cleared."""


def part_shapes(config: ModelConfig, *batch: int) -> dict[str, tuple[int, ...]]:
    """Return name and shape of each part, for one stream or for a batch."""
    if config.cell == "transformer":
        ring = (config.num_layers, *batch, config.context, config.hidden_size)
        before = (config.num_layers, *batch, 2, config.hidden_size // 2)
        return {"keys": ring, "values": ring, "before": before, "position": (1, *batch, 1)}
    names = "hc" if config.cell == "lstm" else "h"
    result = dict.fromkeys(names, (config.num_layers, *batch, config.hidden_size))
    if config.attention:
        result["past"] = (1, *batch, config.attention, config.hidden_size)
        result["count"] = (1, *batch, 1)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """State of one stream or of a batch; tensors or arrays by name."""

    parts: dict[str, Any]

    @classmethod
    def empty(
        cls, config: ModelConfig, *batch: int, zeros: Callable[..., Any] | None = None
    ) -> "State":
        """Return the state before any text.

        Args:
            config: The architecture.
            batch: Number of streams; none for a single stream in NumPy.
            zeros: Returns float32 zeros in a shape; by default NumPy arrays.
        """
        make = zeros or (lambda shape: np.zeros(shape, dtype=np.float32))
        return cls({name: make(shape) for name, shape in part_shapes(config, *batch).items()})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "State":
        """Return the state with these parts."""
        return cls(dict(arrays))

    @classmethod
    def cat(cls, states: "Sequence[State]", join: Callable[..., Any] = np.concatenate) -> "State":
        """Return the streams of all states in one; `join` joins arrays (or tensors) along axis 1."""
        names = states[0].parts
        return cls({name: join([s.parts[name] for s in states], 1) for name in names})

    def arrays(self) -> dict[str, Any]:
        """Return the parts by name, without copying them."""
        return dict(self.parts)

    def units(self) -> dict[str, Any]:
        """Return the parts with one number for each recurrent unit: h, and c of an LSTM."""
        return {name: self.parts[name] for name in UNITS if name in self.parts}

    @property
    def num_streams(self) -> int:
        """Number of streams of a batch (B)."""
        return int(next(iter(self.parts.values())).shape[1])

    def map(self, function: Callable[[Any], Any]) -> "State":
        """Return the state with `function` applied to each part."""
        return State({name: function(part) for name, part in self.parts.items()})

    def rows(self, index: Any) -> "State":
        """Return the state of some streams."""
        return self.map(lambda part: part[:, index])

    def put(self, index: Any, other: "State") -> None:
        """Overwrite the state of some streams, in place."""
        for name, part in self.parts.items():
            part[:, index] = other.parts[name]

    def copy_(self, other: "State") -> None:
        """Overwrite the state of all streams, in place: tensors keep their memory."""
        self.put(slice(None), other)

    def repeated(self, num_streams: int) -> "State":
        """Return a batch of copies of the state of a single stream."""
        return self.map(lambda part: part[:, None].repeat(num_streams, 1))

    def clear(self, is_fresh: Any) -> "State":
        """Return the state with zeros for the streams in is_fresh, (B,), bool; rings stay."""

        def cleared(part: Any) -> Any:
            return part * (~is_fresh)[(None, ..., *(None,) * (part.ndim - 2))]

        return State({n: p if n in RINGS else cleared(p) for n, p in self.parts.items()})

    def detach(self) -> "State":
        """Return the state without its gradient: the truncation of BPTT.

        Values that are not finite become 0; otherwise they would spoil all windows after this one.
        Rings have none: the network sees to that.
        """
        parts = {n: p if n in RINGS else p.nan_to_num(0.0, 0.0, 0.0) for n, p in self.parts.items()}
        return State({name: part.detach() for name, part in parts.items()})
