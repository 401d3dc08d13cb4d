"""Unit activations and next-symbol predictions at each position of a text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import Ids
from charrnn.ngram.context import StreamMixer
from charrnn.ngram.gate import log_probabilities
from charrnn.nn.engine import Engine, Floats
from charrnn.nn.numpy_engine import make_engine
from charrnn.nn.state import State
from charrnn.sampling.prefill import Prefill, prompt_ids
from charrnn.sampling.sampler import Sampler

KINDS = ("cell", "hidden", "residual")
"""cell: tanh(c) of an LSTM, before the output gate. hidden: h, the output of a recurrent layer.
residual: tanh of a transformer's residual stream behind a block."""

NUM_PIECES, WARM_UP = 16, 128
"""Pieces of a text that are read as one batch, and symbols that are read before each piece."""

NUM_GUESSES = 5

BITS = 1 / np.log(2)
"""Bits in a nat."""


T = TypeVar("T")

Parts = Mapping[str, Floats]
"""Values after each symbol of a text: h, and c of an LSTM, (T, L, H) each; logits, (T, V)."""


def activations_of(states: Parts, kind: str) -> Floats:
    """Return the activation of every unit, in [-1, 1]: tanh(c) for cell, if there is a c; else h."""
    name = "c" if kind == "cell" and "c" in states else "h"
    return states["h"] if name == "h" and kind != "residual" else np.tanh(states[name])


def kind_of(model: Model, is_hidden: bool) -> str:
    """Return the kind of activation to show: cell for an LSTM without --hidden, else hidden.

    A transformer has one kind: its residual stream.
    """
    if model.config.cell == "transformer":
        return "residual"
    return "hidden" if is_hidden or model.config.cell != "lstm" else "cell"


def states(model: Model, ids: Sequence[int]) -> Parts:
    """Return units and logits after each symbol of a text.

    The network runs step by step, because a torch layer returns c of the last step only. A backward
    model reads the text from its end.

    Args:
        model: The network and its vocabulary.
        ids: The text in reading order, (T,).
    """
    order, engine = reading_order(model, ids), make_engine(model.config, model.weights)
    results = {"logits": np.empty((len(ids), model.vocab.size), np.float32)}
    read = steps(model, engine, np.asarray(ids)[order], engine.observe)
    for t, (results["logits"][t], units) in enumerate(read):
        record(results, units, t, len(ids))
    return {name: result[order] for name, result in results.items()}


def steps(
    model: Model, engine: Engine, ids: Ids, step: Callable[[int, State], tuple[Floats, State, T]]
) -> Iterator[tuple[Floats, T]]:
    """Yield the logits after each symbol, and what else a step returns.

    The state before the text is the state after a newline, if the vocabulary has one. A model of
    lines resets its state after each newline.

    Args:
        model: The network and its vocabulary.
        engine: Steps the network of the model.
        ids: The text in the order in which the network reads it.
        step: Method of the engine: symbol and state to logits, new state and anything else.
    """
    _, begin = Prefill(model, engine).one("")
    state, newline = begin, model.vocab.newline
    for symbol in ids.tolist():
        logits, state, result = step(symbol, state)
        yield logits, result
        if model.records and symbol == newline:
            state = begin


def reading_order(model: Model, ids: Any) -> Any:
    """Return the index of the symbols as the network reads them, and of the results as the text is.

    A backward model reads from the end; a backward model of lines reads each line from its end, and
    then its newline.
    """
    if not model.is_backward:
        return slice(None)
    if not model.records:
        return slice(None, None, -1)
    is_end = np.asarray(ids) == model.vocab.newline
    lines = np.cumsum(is_end) - is_end
    return np.lexsort((-np.arange(len(is_end)), is_end, lines))


def states_in_pieces(model: Model, ids: Sequence[int]) -> Parts:
    """Return about the units of `states`, faster: pieces of the text are read as one batch.

    Each piece is preceded by WARM_UP symbols. The result of a network that forgets within so many
    symbols, as untrained ones do, differs by less than 0.01. Arguments as of `states`.
    """
    engine, newline = make_engine(model.config, model.weights), model.vocab.newline
    order, size = reading_order(model, ids), -(-len(ids) // NUM_PIECES)
    text = np.asarray(ids)[order]
    starts = np.arange(NUM_PIECES) * size
    begin = Prefill(model, engine).one("")[1].repeated(NUM_PIECES)
    state = begin
    results: dict[str, Floats] = {}
    for t in range(-WARM_UP, size):
        symbols = text[np.clip(starts + t, 0, len(text) - 1)]
        _, state, units = engine.observe(symbols, state)
        begins_anew = starts + t < 0
        if model.records:
            begins_anew |= symbols == newline
        if t >= 0:
            record(results, units, t, size)
        state.put(begins_anew, begin.rows(begins_anew))
    return {name: in_order(result)[: len(text)][order] for name, result in results.items()}


def record(results: dict[str, Floats], units: Parts, t: int, count: int) -> None:
    """Keep the units of one of `count` steps."""
    for name, part in units.items():
        if name not in results:
            results[name] = np.empty((count, *part.shape), np.float32)
        results[name][t] = part


def in_order(pieces: Floats) -> Floats:
    """Return what was read in pieces as one text, (size, L, P, H) -> (P * size, L, H)."""
    size, layers, count, units = pieces.shape
    return pieces.transpose(2, 0, 1, 3).reshape(count * size, layers, units)


@dataclass(frozen=True, slots=True)
class Expectations:
    """Predictions for each symbol of a text, made before the symbol is read."""

    bits: NDArray[np.float64]
    """Surprise at the actual symbol, in bits, (T,)."""
    guesses: NDArray[np.int64]
    """The likeliest symbols, best first, (T, K)."""
    probabilities: NDArray[np.float64]
    """Probabilities of the guesses, (T, K)."""


def expectations(
    sampler: Sampler, ids: Ids, logits: Floats, memory_weight: float | None = None
) -> Expectations:
    """Return the predictions for each symbol of a text.

    The text begins as a text of `sample` does: after a newline, if the vocabulary has one. A model
    of lines begins anew after each newline.

    Args:
        sampler: Sampler of the model.
        ids: The text, (T,).
        logits: Logits of the network after each symbol is read, (T, V).
        memory_weight: Weight of the n-gram memory, 0 for the network alone; None is the model's own.
    """
    model, memory = sampler.model, sampler.memory(SampleConfig(memory_weight=memory_weight))
    order = reading_order(model, ids)
    ids, logits = ids[order], logits[order]
    newline = model.vocab.newline if model.records else None
    logits = logits_before(sampler, ids, logits, newline)
    follower = StreamMixer([memory], prompt_ids(model, "")) if memory else None
    K = min(NUM_GUESSES, model.vocab.size)
    bits, guesses = np.empty(len(ids)), np.empty((len(ids), K), dtype=np.int64)
    probabilities = np.empty((len(ids), K))
    for t, symbol in enumerate(ids.tolist()):
        logs = log_probabilities(logits[t] if follower is None else follower.mixed(logits[t]))
        bits[t] = -logs[symbol] * BITS
        guesses[t] = np.argsort(-logs, kind="stable")[:K]
        probabilities[t] = np.exp(logs[guesses[t]])
        if follower is not None:
            follower.read(symbol)
        if memory is not None and symbol == newline:
            follower = StreamMixer([memory], prompt_ids(model, ""))
    return Expectations(bits[order], guesses[order], probabilities[order])


def logits_before(sampler: Sampler, ids: Ids, logits: Floats, newline: int | None) -> Floats:
    """Return the logits of the network before each symbol is read, (T, V).

    Args:
        sampler: Sampler of the model.
        ids: The text, (T,).
        logits: Logits of the network after each symbol is read, (T, V).
        newline: Id after which the state is reset; None to keep it.
    """
    first, _ = sampler.prefill.one("")
    before = np.concatenate([first[None], logits[:-1]])
    before[1:][ids[:-1] == newline] = first
    return before
