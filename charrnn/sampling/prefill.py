"""Read prompts into logits and state before generation."""

from collections.abc import Sequence

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.nn.native import NativeEngine
from charrnn.nn.numpy_engine import Engine, Floats
from charrnn.nn.state import State


def prompt_ids(model: Model, prompt: str) -> list[int]:
    """Return the ids that the network reads before it generates.

    A text without a prompt, and every record, starts after a newline if the vocabulary has one.

    Raises:
        InputError: The prompt has characters that the vocabulary lacks, or is more than one record.
    """
    if model.records and "\n" in prompt:
        raise InputError(
            "prompt: has a line end, but each text of this model is a single line; give each line "
            "a prompt of its own, for example with --prompts FILE"
        )
    ids, newline = [int(i) for i in model.vocab.encode(prompt)], model.vocab.newline
    return [newline, *ids] if newline is not None and (model.records or not ids) else ids


def start_logits(model: Model) -> Floats:
    """Return logits of the first symbol of a text if nothing is read before it, (V,).

    They are the logs of how often each symbol starts a line of the training text.
    """
    counts = np.zeros(model.vocab.size, dtype=np.float32)
    for symbol, count in model.starts.items():
        counts[symbol] = count
    with np.errstate(divide="ignore"):
        logits: Floats = np.log(counts)
    return logits


class Prefill:
    """Reads prompts with the network of a model.

    Args:
        model: Its vocabulary and the symbols that start its lines.
        engine: Steps the network of the model.
    """

    def __init__(self, model: Model, engine: Engine | NativeEngine) -> None:
        self._model, self._engine = model, engine
        self._last: tuple[tuple[str, ...], tuple[Floats, State]] | None = None

    def one(self, prompt: str) -> tuple[Floats, State]:
        """Return logits, (V,), and state after a prompt, for a single stream."""
        state = self._engine.empty_state()
        logits = start_logits(self._model)
        for i in prompt_ids(self._model, prompt):
            logits, state = self._engine.step(i, state)
        return logits, state

    def many(self, prompts: Sequence[str]) -> tuple[Floats, State]:
        """Return logits, (B, V), and states after prompts; the last result is cached.

        Each distinct prompt is read once, and all of them side by side.
        """
        distinct = tuple(dict.fromkeys(prompts))
        if self._last is None or self._last[0] != distinct:
            self._last = distinct, self._read([prompt_ids(self._model, p) for p in distinct])
        row_of = {prompt: row for row, prompt in enumerate(distinct)}
        rows = np.array([row_of[prompt] for prompt in prompts])
        logits, state = self._last[1]
        return logits[rows], state.rows(rows)

    def _read(self, texts: Sequence[list[int]]) -> tuple[Floats, State]:
        """Return logits, (B, V), and states after the ids of B >= 2 streams; one is doubled.

        The engine rounds a single stream differently from a batch; two rows make a batch.
        """
        texts = [*texts, *texts[:1]] if len(texts) == 1 else list(texts)
        state = self._engine.empty_state(len(texts))
        logits = np.tile(start_logits(self._model), (len(texts), 1))
        for t in range(max(map(len, texts))):
            rows = [row for row, ids in enumerate(texts) if len(ids) > t]
            rows = rows * 2 if len(rows) == 1 else rows
            symbols = np.array([texts[row][t] for row in rows])
            logits[rows], part = self._engine.step(symbols, state.rows(rows))
            state.put(rows, part)
        return logits, state
