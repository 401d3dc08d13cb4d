"""Networks that are chains: the next character depends on the last one alone."""

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.data.vocab import CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes

IMPOSSIBLE = -1000.0


def chain(links, *, vocab=None, records=False, starts=None):
    """Return a network that follows links: {last: {next: probability}}, ids or characters.

    tanh(20) is 1 in float32: the state says which character came last, and column `last` of the
    decoder holds the logs of what may follow.
    """
    vocab = vocab or CharVocabulary(map(ord, links))
    V = vocab.size
    table = np.full((V, V), IMPOSSIBLE, dtype=np.float32)
    for last, following in links.items():
        for symbol, share in following.items():
            table[_id(vocab, symbol), _id(vocab, last)] = np.log(share)
    config = ModelConfig(cell="rnn", vocab_size=V, embedding_size=V, hidden_size=V, num_layers=1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    weights["embedding.weight"] = np.eye(V, dtype=np.float32)
    weights["layers.0.weight_ih_l0"] = 20 * np.eye(V, dtype=np.float32)
    weights["decoder.weight"] = table
    return Model(
        config=config, weights=weights, vocab=vocab, records=records,
        starts=starts or {} ,
    )  # fmt: skip


def _id(vocab, symbol):
    return symbol if isinstance(symbol, int) else int(vocab.encode(symbol)[0])


def cycle(symbols, **options):
    """Return a chain that goes round and round."""
    follows = zip(symbols, [*symbols[1:], symbols[0]], strict=True)
    return chain({last: {following: 1.0} for last, following in follows}, **options)
