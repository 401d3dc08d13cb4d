"""The prediction of an n-gram model after one context."""

import numpy as np

from charrnn.ngram.context import ContextTracker


def distribution(memory, context):
    """Return the probability of each symbol after a context, (V,), the newest id last."""
    tracker = ContextTracker(memory, 1)
    tracker.read(np.array([context], dtype=np.int64).reshape(1, -1))
    return memory.predict(tracker.contexts, tracker.lengths).p[0]
