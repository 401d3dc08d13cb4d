"""Small architectures of every cell, for tests."""

from charrnn.nn.architecture import ModelConfig


def small(cell, *, hidden_size, vocab_size=11, embedding_size=5, num_layers=2):
    """Return an architecture; a transformer has a width of 12 in 3 heads, and looks back on 5."""
    own = {"embedding_size": embedding_size, "hidden_size": hidden_size}
    if cell == "transformer":
        own = {"embedding_size": 12, "hidden_size": 12, "context": 5, "num_heads": 3}
    return ModelConfig(cell=cell, vocab_size=vocab_size, num_layers=num_layers, **own)
