"""n-gram prediction in validation and `score`: NumPy against the compiled look-up, CPU time.

Both predict the same contexts of held-out text in turn, on one thread. The second row adds what
stands around a prediction: gate, mixture and the loss of each target. The bits must be the same.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import Row, make_parser, show
from speed_encoding import make_text

from charrnn.core.config import TrainConfig
from charrnn.data.corpus import load_corpus
from charrnn.evaluation.loss import _mixture_losses
from charrnn.native.build import load_or_build
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.model import chunks
from charrnn.ngram.native import predictor
from charrnn.ngram.word_model import count_corpus

ORDER, NUM_STREAMS, MOST = 7, 16, 1 << 16


def contexts_of(memory, ids):
    """Return contexts, their lengths and targets of a text read in streams, (B, T) each."""
    streams = ids[: len(ids) // NUM_STREAMS * NUM_STREAMS].reshape(NUM_STREAMS, -1)
    contexts, lengths = ContextTracker(memory, NUM_STREAMS).read(streams[:, :-1])
    return contexts, lengths, streams[:, 1:].astype(np.int64)


def predict_all(predict, memory, contexts, lengths):
    """Return the predictions of all contexts, in chunks as `score` asks for them."""
    flat = contexts.ravel(), lengths.ravel()
    return [
        predict(*(each[part] for each in flat)).p
        for part in chunks(flat[0].size, memory.vocab_size)
    ]


def microseconds(work, count):
    """Return the CPU time of some work for each of so many contexts, and its result."""
    start = time.process_time()
    result = work()
    return (time.process_time() - start) / count * 1e6, result


def is_same(ours, others):
    """True if two results have the same bits."""
    return all(np.array_equal(a, b) for a, b in zip(ours, others, strict=True))


def row(what, works, count, rounds):
    """Return the row of two works in turn: NumPy, then compiled."""
    times = []
    for _ in range(rounds):
        (slow, expected), (fast, found) = (microseconds(work, count) for work in works)
        assert is_same(found, expected)
        times.append((slow, fast))
    slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
    note = f"{slow:.2f} and {fast:.2f} µs of CPU time a character, the same bits"
    return Row(what, "the same in NumPy", "3.0", tuple(a / b for a, b in times), note)


def rows(rounds, text):
    """Yield the rows of a text: prediction alone, then with the mixture."""
    if load_or_build() is None:
        yield Row("n-gram prediction", "the same in NumPy", "3.0", (), "no C compiler")
        return
    torch.set_num_threads(1)
    corpus = load_corpus([text], TrainConfig())
    memory = count_corpus(corpus, ORDER)
    contexts, lengths, targets = contexts_of(memory, np.asarray(corpus.val)[:MOST])
    V, both = memory.vocab_size, (memory.predict, predictor(memory))
    logits = torch.randn((*contexts.shape, V), generator=torch.Generator().manual_seed(0)) * 3
    yield row(
        f"n-gram prediction, V = {V}",
        [lambda p=p: predict_all(p, memory, contexts, lengths) for p in both], contexts.size, rounds,
    )  # fmt: skip
    yield row(
        "the same with gate, mixture and loss",
        [lambda p=p: _mixture_losses(logits, targets, p, None, contexts, lengths) for p in both],
        contexts.size, rounds,
    )  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--text", type=Path, default=Path("data/shakespeare.txt"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        text = arguments.text
        if not text.exists():
            text = Path(name) / "text.txt"
            make_text(text, 2)
        show("n-gram prediction", rows(arguments.rounds, text), arguments)


if __name__ == "__main__":
    main()
