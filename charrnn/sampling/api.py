"""`charrnn.sample`: one text as a stream of characters, for the Python API."""

from collections.abc import Iterator, Sequence
from typing import Any

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import Decoder
from charrnn.sampling.sampler import Sampler


def stream(
    model: Model, prompt: str = "", *, seed: int, stops: Sequence[str] = (), **settings: Any
) -> Iterator[str]:
    """Yield the characters of one text as they are generated, or when it is finished.

    The latter for a backward model, and for the likeliest of several.

    Args:
        model: Model from `charrnn.load`.
        prompt: Text to continue; for a backward model, the end of the text.
        seed: The same seed gives the same text.
        stops: Strings that end the text; they are not part of it.
        **settings: length, temperature, top_k, top_p, min_p, memory_weight, ban, bias,
            no_repeat, match, best_of, as in SampleConfig.
    """
    decoder, reading = Decoder(model.vocab), model.reading()
    config = SampleConfig(**settings)
    sampler = Sampler(model, [*map(reading.convert, stops)], num_symbols=config.length)
    if model.is_backward or config.best_of > 1:
        yield from sampler.sample(reading.convert(prompt), config, seed).text
        return
    for ids in sampler.stream(reading.convert(prompt), config, seed):
        yield from decoder.feed(ids)
    yield from decoder.end()
