"""The architecture of a network: its sizes, and the names and shapes of its weights."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from charrnn.core.config import LONGEST_CONTEXT, TrainConfig
from charrnn.core.console import count_text
from charrnn.core.errors import InputError

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
"""Rows of a recurrent matrix, in multiples of the hidden size."""

KEY_WIDTH = 64
"""Numbers of an output that are its key, at most: a quarter of 192 is as good as all of them."""

LAYER_NORM_EPSILON = 1e-5
"""What LayerNorm adds to the variance."""
PERIOD = LONGEST_CONTEXT
"""Characters after which all angles of a transformer's positions repeat."""

SIDES = ("before", "after")
"""The networks of both directions: what they read, seen from the character that they predict."""

DEFAULT_CONTEXT, DEFAULT_HEAD = 256, 64
"""Characters that a transformer looks back on, and the least width of a head."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Architecture of a network: everything besides its weights.

    A field with a default came after the first format; files leave it out at its default.
    """

    cell: str
    """lstm, gru, rnn or transformer."""
    vocab_size: int
    """Distinct characters (V)."""
    embedding_size: int
    """Width of a character's vector (E)."""
    hidden_size: int
    """Width of the recurrent state, or of a transformer's residual stream (H)."""
    num_layers: int
    """Recurrent layers, or blocks of a transformer (L)."""
    attention: int = 0
    """Outputs of the last layer that the network looks back on, the newest included (N); 0: none."""
    context: int = 0
    """Characters that a transformer looks back on, the last one included (N)."""
    num_heads: int = 0
    """Heads of a transformer."""
    num_directions: int = 1
    """2: one network reads what is before a character, another of these sizes what is after it."""

    @classmethod
    def from_settings(cls, config: TrainConfig, vocab_size: int) -> "ModelConfig":
        """Return the architecture that a run trains.

        Raises:
            InputError: The heads of a transformer do not divide its width into even parts.
        """
        is_transformer = config.cell == "transformer"
        H = config.hidden_size
        found = cls(
            cell=config.cell,
            vocab_size=vocab_size,
            embedding_size=H if is_transformer else config.embedding_size,
            hidden_size=H,
            num_layers=config.num_layers,
            attention=config.attention,
            context=config.context or DEFAULT_CONTEXT * is_transformer,
            num_heads=config.num_heads or default_heads(H) * is_transformer,
            num_directions=2 if config.direction == "both" else 1,
        )
        if why := found.mistake():
            raise InputError(f"--num-heads and --hidden-size: {why}")
        return found

    def mistake(self) -> str | None:
        """Return why there can be no such transformer, or None."""
        if self.cell != "transformer":
            return None
        if not (self.context and self.num_heads):
            return "a transformer needs context and num_heads"
        if self.hidden_size % (2 * self.num_heads) == 0:
            return None
        return (
            f"{count_text(self.num_heads, 'head')} cannot share a width of {self.hidden_size}: "
            "each needs an equal, even part of it"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, without those at their default."""
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}

    def check_writes(self, consequence: str = "it writes no text") -> None:
        """Refuse a network of both directions where one that writes is needed.

        Args:
            consequence: What a network of both directions cannot do, for the message.

        Raises:
            InputError: It is one.
        """
        if self.num_directions == 2:
            raise InputError(
                "a model of both directions predicts a character from those on both sides, so "
                f"{consequence}; use a forward or backward model, or charrnn proof"
            )

    def half(self) -> "ModelConfig":
        """Return the architecture of one of two directions."""
        return replace(self, num_directions=1)

    def num_parameters(self) -> int:
        """Return the number of trainable parameters."""
        return sum(math.prod(shape) for shape in shapes(self).values())

    def flops_per_char(self) -> float:
        """Return floating-point operations to train on one character.

        They are 6 for each matrix weight, and for each product of a score with a number.
        """
        if self.num_directions == 2:
            return 2 * self.half().flops_per_char()
        products = [s for n, s in shapes(self).items() if len(s) == 2 and n != "embedding.weight"]
        looked_at = self.attention * (key_width(self) + self.hidden_size)  # they have no gradient
        scores = 2 * self.num_layers * self.context * self.hidden_size
        return 6.0 * (sum(math.prod(shape) for shape in products) + scores) + 4.0 * looked_at


def default_heads(hidden_size: int) -> int:
    """Return the most heads of at least 64 units, each an equal and even part of the width; or 1."""
    fitting = (n for n in range(hidden_size // DEFAULT_HEAD, 1, -1) if hidden_size % (2 * n) == 0)
    return next(fitting, 1)


def attention_shape(config: ModelConfig) -> tuple[int, int]:
    """Return the number of blocks with attention, and of heads in each; (0, 0) without."""
    if config.cell == "transformer":
        return config.num_layers, config.num_heads
    return (1, 1) if config.attention else (0, 0)


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of all weights, as in the torch model's `state_dict()`.

    The gates are stacked along the rows: i, f, g, o for LSTM; r, z, n for GRU.
    """
    if config.num_directions == 2:
        half = shapes(config.half())
        return {f"{side}.{name}": shape for side in SIDES for name, shape in half.items()}
    if config.cell == "transformer":
        return transformer_shapes(config)
    V, E, H = config.vocab_size, config.embedding_size, config.hidden_size
    rows = GATES[config.cell] * H
    result: dict[str, tuple[int, ...]] = {"embedding.weight": (V, E)}
    for layer in range(config.num_layers):
        result[f"layers.{layer}.weight_ih_l0"] = (rows, E if layer == 0 else H)
        result[f"layers.{layer}.weight_hh_l0"] = (rows, H)
        result[f"layers.{layer}.bias_ih_l0"] = (rows,)
        result[f"layers.{layer}.bias_hh_l0"] = (rows,)
    result["decoder.weight"] = (V, H)
    result["decoder.bias"] = (V,)
    if config.attention:
        result["attention.key_gate"] = (key_width(config),)
        result["attention.value_gate"] = (H,)
        result["attention.distance_bias"] = (num_buckets(config),)
        result["attention.query.weight"] = (key_width(config), H)
    return result


def size_text(cell: str, num_layers: int | None, hidden_size: int | None, attention: int) -> str:
    """Return cell and size of a network, for messages and tables."""
    return f"{cell} {num_layers}×{hidden_size}" + (f" attention {attention}" if attention else "")


def direction_text(direction: str | None) -> str:
    """Return what follows the size of a network that does not read forward."""
    return f" {direction}" if direction in ("backward", "both") else ""


def key_width(config: ModelConfig) -> int:
    """Return how many numbers of an output are its key (D)."""
    return min(config.hidden_size, KEY_WIDTH)


def num_buckets(config: ModelConfig) -> int:
    """Return the number of buckets of distances: 0, 1, 2-3, 4-7, 8-15 and so on."""
    return (config.attention - 1).bit_length() + 1


def transformer_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of all weights of a transformer."""
    V, H = config.vocab_size, config.hidden_size
    result: dict[str, tuple[int, ...]] = {"embedding.weight": (V, H)}
    for block in range(config.num_layers):
        name = f"layers.{block}."
        result |= {name + "qkv.weight": (3 * H, H), name + "output.weight": (H, H)}
        result |= {name + "up.weight": (4 * H, H), name + "down.weight": (H, 4 * H)}
    return result | {"decoder.weight": (V, H), "decoder.bias": (V,)}
