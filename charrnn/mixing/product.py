"""A product of models: their probabilities multiplied, each to the power of its weight.

log p(x) = sum_i w_i log p_i(x) + constant, with sum_i w_i = 1. The symbols are those of all models.
The symbols that a model lacks share 1 / V_i evenly, the probability of one symbol of a model that
knows nothing; it does not read them. With 1 / V_i for each, symbols that one model lacks and the
other has hardly ever seen beat those on which both disagree. Each p_i is the mixture of a network
with its own n-gram memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.data.vocab import CharVocabulary, Vocabulary
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.gate import SMALLEST, log_probabilities, mix
from charrnn.ngram.model import NgramModel
from charrnn.ngram.words import CONTEXT
from charrnn.nn.engine import Engine, Floats
from charrnn.nn.numpy_engine import make_engine
from charrnn.nn.state import State


class Factor:
    """One model of a product, and what it predicts for the symbols of all.

    A state has the parts of its network, and more: `logs` are the logarithms of its prediction, in
    its own symbols, (1, B, V_i); `context`, as numbers, and `length`, (1, B, 1), are those of its memory.

    Args:
        model: The model.
        vocab: The symbols of all models.
        memory: Its n-gram memory, if that has influence.
    """

    def __init__(self, model: Model, vocab: Vocabulary, memory: NgramModel | None) -> None:
        self.engine = make_engine(model.config, model.weights)
        self._own = own_ids(model.vocab, vocab)
        self._memory = memory if memory and memory.order else None
        self._start = first_logs(model)
        num_unknown = max(1, int((self._own < 0).sum()))
        self._floor = -np.log(np.float32(model.vocab.size * num_unknown))

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text, of one stream or of a batch."""
        logs = np.broadcast_to(self._start, (1, *batch, len(self._start))).copy()
        size = CONTEXT.itemsize // 8 if self._memory and self._memory.words else 1
        context = np.zeros((1, *batch, size), dtype=np.uint64)
        own = self.engine.empty_state(*batch).arrays()
        length = np.zeros((1, *batch, 1), np.int64)
        return State(own | {"logs": logs, "context": context, "length": length})

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read a symbol of each stream; return log-probabilities of all symbols, and the state."""
        symbols = self._own[ids]
        is_unknown = symbols < 0
        if not is_unknown.all():
            old, state = state, self._read(np.maximum(symbols, 0), state)
            if is_unknown.any():
                rows = np.flatnonzero(is_unknown)
                state.put(rows, old.rows(rows))
        logs = state.parts["logs"][0]
        return np.where(self._own >= 0, logs[..., self._own], self._floor), state

    def _read(self, symbols: Any, state: State) -> State:
        parts = state.arrays()
        extra = {name: parts.pop(name) for name in ("logs", "context", "length")}
        logits, new = self.engine.step(symbols if symbols.ndim else int(symbols), State(parts))
        if (memory := self._memory) is None:
            logs = log_probabilities(logits)
        else:
            tracker = ContextTracker(memory, 0)
            tracker.contexts = extra["context"].view(tracker.contexts.dtype).reshape(-1)
            tracker.lengths = extra["length"].reshape(-1)
            tracker.read(symbols.reshape(-1, 1))
            prediction = memory.predict(tracker.contexts, tracker.lengths)
            extra["context"] = tracker.contexts.view(np.uint64).reshape(extra["context"].shape)
            extra["length"] = tracker.lengths.reshape(extra["length"].shape)
            logs = mix(logits.reshape(-1, logits.shape[-1]), prediction, memory.weight)
        extra["logs"] = logs.reshape(extra["logs"].shape).astype(np.float32)
        return State(new.arrays() | extra)


class Product(Engine):
    """Steps several models as if they were one network.

    Args:
        factors: The models.
        weights: The power of each; their sum is 1.
    """

    def __init__(self, factors: Sequence[Factor], weights: Sequence[float]) -> None:
        super().__init__(factors[0].engine.config)
        self._factors = dict(zip(map(str, range(len(factors))), factors, strict=True))
        self._weights = [np.float32(weight) for weight in weights]

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text: the parts of each model, with its number."""
        return self._joined(factor.empty_state(*batch) for factor in self._factors.values())

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one symbol of each stream, as every engine does."""
        parts: dict[str, dict[str, Any]] = {number: {} for number in self._factors}
        for name, part in state.parts.items():
            number, _, own = name.partition("/")
            parts[number][own] = part
        steps = [f.step(ids, State(parts[number])) for number, f in self._factors.items()]
        weighted = [w * logs for w, (logs, _) in zip(self._weights, steps, strict=True)]
        return np.add.reduce(weighted), self._joined(new for _, new in steps)

    def _joined(self, states: Iterable[State]) -> State:
        pairs = zip(self._factors, states, strict=True)
        return State(
            {f"{i}/{name}": part for i, each in pairs for name, part in each.parts.items()}
        )


def multiplied(
    model: Model, others: Sequence[tuple[Model, float]], memory_weight: float | None = None
) -> tuple[Model, Engine]:
    """Return a model with the symbols of several, for prompts and texts, and the engine that steps them.

    Args:
        model: The first model.
        others: Further models; each takes its weight from those before it.
        memory_weight: Weight of the first model's n-gram memory; None is the model's own.

    Raises:
        InputError: A model reads text in another way: its direction, bytes, lines.
    """
    models, weights = [model, *(other for other, _ in others)], [1.0]
    for other, weight in others:
        check_alike(model, other)
        weights = [each * (1 - weight) for each in weights] + [weight]
    vocab = joint_vocabulary([each.vocab for each in models])
    chosen = [memory_weight, *[None] * len(others)]
    memories = [
        each.memory.weighted(own) if each.memory else None
        for each, own in zip(models, chosen, strict=True)
    ]
    factors = [Factor(each, vocab, own) for each, own in zip(models, memories, strict=True)]
    whole = replace(model, vocab=vocab, starts=joint_starts(models, vocab), memory=None)
    return whole, Product(factors, weights)


def check_alike(model: Model, other: Model) -> None:
    """Check that two models read text in the same way.

    Raises:
        InputError: They do not.
    """
    pairs = {
        "direction: one writes from the end": (model.is_backward, other.is_backward),
        "unit: one has bytes, the other characters": (model.vocab.unit, other.vocab.unit),
        "kind: one writes lines (--lines), the other text": (model.records, other.records),
    }
    for what, (mine, theirs) in pairs.items():
        if mine != theirs:
            raise InputError(f"the two models differ in {what}; name a model of the same kind")


def joint_vocabulary(vocabularies: Sequence[Vocabulary]) -> Vocabulary:
    """Return the symbols of all vocabularies of one unit."""
    codes = [each.code_points for each in vocabularies if isinstance(each, CharVocabulary)]
    return CharVocabulary(np.concatenate(codes).tolist()) if codes else vocabularies[0]


def own_ids(own: Vocabulary, joint: Vocabulary) -> Any:
    """Return the id in one vocabulary of each symbol of all, (V,); -1 where it lacks it."""
    if not isinstance(own, CharVocabulary) or not isinstance(joint, CharVocabulary):
        return np.arange(joint.size)
    places = np.searchsorted(own.code_points, joint.code_points)
    found = own.code_points[np.minimum(places, own.size - 1)] == joint.code_points
    return np.where(found, places, -1)


def joint_starts(models: Sequence[Model], vocab: Vocabulary) -> dict[int, int]:
    """Return how often each symbol begins a line in the texts of models without newline."""
    starts: dict[int, int] = {}
    for model in models if vocab.newline is None else ():
        for joint, own in enumerate(own_ids(model.vocab, vocab).tolist()):
            if own in model.starts:
                starts[joint] = starts.get(joint, 0) + model.starts[own]
    return starts


def first_logs(model: Model) -> Floats:
    """Return what a model predicts before it has read anything, (V,): the starts of its lines."""
    counts = np.zeros(model.vocab.size)
    for symbol, count in model.starts.items():
        counts[symbol] = count
    p = counts / counts.sum() if counts.any() else np.full(len(counts), 1 / len(counts))
    logs: Floats = np.log(np.maximum(p, SMALLEST)).astype(np.float32)
    return logs
