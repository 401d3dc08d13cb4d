"""Models whose prediction depends on nothing that they read."""

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.data.vocab import CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes


def unigram(probabilities, cell="rnn", hidden_size=3, **more):
    """Return a model that always predicts {character: probability}."""
    vocab = CharVocabulary(map(ord, probabilities))
    config = ModelConfig(
        cell=cell, vocab_size=vocab.size, embedding_size=2, hidden_size=hidden_size, num_layers=1
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    ordered = [probabilities[character] for character in sorted(probabilities)]
    weights["decoder.bias"] = np.log(np.array(ordered, dtype=np.float32))
    return Model(**{
        "config": config, "weights": weights, "vocab": vocab, "records": False,
        "starts": {} if vocab.newline is not None else {0: 1},
    } | more)  # fmt: skip
