"""Characters named by --ban and --bias: their ids, and what is added to their logits."""

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.data.reading import clusters
from charrnn.data.vocab import visible

Biases = NDArray[np.float32]
"""What is added to the logits of each symbol, (V,); -inf for a banned one."""


def character_bias(config: SampleConfig, model: Model) -> Biases | None:
    """Return the sum of --bias for each symbol, and -inf for those of --ban; None without either.

    Raises:
        InputError: The model does not know a character, or all of them are banned.
    """
    if not config.bias and not config.ban:
        return None
    bias = np.zeros(model.vocab.size, dtype=np.float32)
    for characters, number in config.bias:
        bias[symbols_of(model, characters, "--bias")] += np.float32(number)
    bias[symbols_of(model, config.ban, "--ban")] = -np.inf
    if np.isneginf(bias).all():
        raise InputError(
            f"--ban: all {model.vocab.size} {model.vocab.unit}s of this model are banned; leave one"
        )
    return bias


def symbols_of(model: Model, characters: str, option: str) -> list[int]:
    """Return the ids of characters, each once; they are read as the text of the model was.

    Raises:
        InputError: The model does not know a character, or writes it as several symbols.
    """
    ids: dict[int, None] = {}
    read = model.reading().convert(characters)
    model.vocab.encode(read, option)  # one error names all that are not known
    for character in clusters(read):
        symbols = model.vocab.encode(character, option).tolist()
        if len(symbols) > 1:
            raise InputError(
                f"{option}: '{visible(character)}' is {len(symbols)} {model.vocab.unit}s for this "
                "model, which are parts of other characters too; leave it out"
            )
        ids |= dict.fromkeys(symbols)
    return list(ids)
