"""How likely texts are to a model, and the likeliest of several (--best-of).

Likely: at temperature 1, with the n-gram memory, without filters and steering.

Legend of shapes:
    B texts   n of them that have a further symbol   V symbols   T symbols of a text
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.seeds import derive_seed
from charrnn.data.vocab import ByteVocabulary, Ids
from charrnn.ngram.context import BatchMixer
from charrnn.ngram.counts import Floats
from charrnn.ngram.gate import log_probabilities
from charrnn.ngram.model import NgramModel
from charrnn.sampling.jobs import Job, Sample
from charrnn.sampling.prefill import Prefill


def predictions(
    prefill: Prefill, memories: Sequence[NgramModel], prompts: Sequence[str], texts: Sequence[Ids]
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield what network and memories predict at the first, second, ... symbol of all texts.

    Args:
        prefill: Reads the prompts, and steps the network.
        memories: n-gram memories, mixed in one after the other.
        prompts: What each text continues, (B).
        texts: Ids in the order in which they were written, (B) of (T,).

    Yields:
        Indices of the texts that have such a symbol, (n,), and log-probabilities, (n, V).
    """
    if not texts:
        return
    logits, state = prefill.many(prompts)
    mixer = BatchMixer(memories, [prefill.ids(each) for each in prompts]) if memories else None
    rows, sizes = np.arange(len(texts)), np.array([len(text) for text in texts])
    for t in range(sizes.max()):
        is_open = sizes[rows] > t
        if not is_open.all():
            rows, logits, state = rows[is_open], logits[is_open], state.rows(is_open)
            if mixer is not None:
                mixer.keep(is_open)
        yield rows, log_probabilities(logits if mixer is None else mixer.mixed(logits))
        symbols = np.array([texts[row][t] for row in rows.tolist()], dtype=np.int64)
        if mixer is not None:
            mixer.read(symbols)
        logits, state = prefill.engine.step(symbols, state)


def losses(
    prefill: Prefill, memories: Sequence[NgramModel], prompts: Sequence[str], texts: Sequence[Ids]
) -> list[float]:
    """Return the mean loss of each text in nats per symbol; 0 for an empty one.

    Arguments are those of `predictions`.
    """
    sums, sizes = np.zeros(len(texts)), np.array([len(text) for text in texts])
    for t, (rows, logs) in enumerate(predictions(prefill, memories, prompts, texts)):
        symbols = [texts[row][t] for row in rows.tolist()]
        sums[rows] -= logs[np.arange(len(rows)), symbols]
    means: list[float] = (sums / np.maximum(sizes, 1)).tolist()
    return means


def candidates(jobs: Iterable[Job]) -> Iterator[Job]:
    """Yield each job as often as it is to be tried, with seeds that follow from its own.

    The first seed is that of the job. The others are seeds of no other job: two texts of a call
    would be chosen from the same candidates.
    """
    for job in jobs:
        yield job
        for number in range(1, job.config.best_of):
            yield replace(job, seed=derive_seed(job.seed, "best-of", number))


def likeliest(samples: Iterator[Sample]) -> Iterator[Sample]:
    """Yield of the candidates of each job the one with the lowest loss, the first one on a tie.

    Args:
        samples: The samples of `candidates`, in their order.
    """
    for first in samples:
        found = [first, *islice(samples, first.best_of - 1)]
        best = min(found, key=lambda each: math.inf if each.loss is None else each.loss)
        yield replace(best, seed=first.seed)


def with_losses(
    samples: Sequence[Sample], prefill: Prefill, memories: Sequence[NgramModel], model: Model
) -> list[Sample]:
    """Return samples with their mean losses; an empty text has none, and is the last choice."""
    prompts = [sample.prompt for sample in samples]
    texts = [written_ids(sample, model) for sample in samples]
    found = losses(prefill, memories, prompts, texts)
    return [
        replace(sample, loss=loss if len(text) else None)
        for sample, text, loss in zip(samples, texts, found, strict=True)
    ]


def written_ids(sample: Sample, model: Model) -> Ids:
    """Return the ids of a text in the order in which they were written."""
    if isinstance(model.vocab, ByteVocabulary):
        return model.turned(np.frombuffer(sample.raw, dtype=np.uint8))
    return model.turned(model.vocab.encode(sample.text))
