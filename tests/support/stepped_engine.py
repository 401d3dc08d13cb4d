"""The compiled network behind the interface of Engine, so that tests of one are tests of both."""

from typing import Any

import numpy as np

from charrnn.nn.engine import Floats
from charrnn.nn.native import NativeEngine
from charrnn.nn.state import State


class SteppedEngine(NativeEngine):
    """Steps a network, one stream or many, as `Engine` does."""

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text, of one stream, or of a batch of them."""
        return State.empty(self.config, *batch)

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream; arguments and results are those of Engine.step."""
        old = state.arrays()
        arrays, H, shape = self.arrays, self.config.hidden_size, old["h"].shape
        B = shape[1] if len(shape) > 2 else 1
        symbols = np.array(ids, dtype=np.int64)
        parts = {}
        for name, part in old.items():
            parts[name] = np.zeros((shape[0], B, arrays.padded), dtype=np.float32)
            parts[name][..., :H] = part.reshape(shape[0], B, H)
        logits = np.empty((B, arrays.symbols), dtype=np.float32)
        gates = np.empty((2 * B, arrays.gates), dtype=np.float32)
        h, c = parts["h"], parts.get("c", parts["h"])
        self.library.network_step(
            arrays.address, B, B, symbols.ctypes.data, h.ctypes.data, c.ctypes.data,
            gates.ctypes.data, logits.ctypes.data,
        )  # fmt: skip
        new = {name: part[..., :H].reshape(shape) for name, part in parts.items()}
        result = logits[:, : self.config.vocab_size].reshape(*shape[1:-1], -1)
        return result, State.from_arrays(new)
