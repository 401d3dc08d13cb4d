"""Proposals for a text from a model: several side by side, each up to the end of a line.

The network reads what is new since the last time. Reading and writing stop between two characters
if the proposals are no longer wanted.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from charrnn.apps.writing import Proposed, Request
from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.seeds import derive_seed
from charrnn.data.vocab import ByteVocabulary, CharVocabulary, WholeCharacters
from charrnn.ngram.model import NgramModel
from charrnn.nn.engine import Engine, Floats
from charrnn.nn.numpy_engine import make_engine
from charrnn.nn.state import State
from charrnn.sampling.filters import Chooser
from charrnn.sampling.prefill import prompt_ids, start_logits
from charrnn.steering.steering import steering_of

LOOK_BACK = 2000
"""Characters before the cursor that are read at least, and half of what is read at most."""

MOST_KNOWN, SAVED_EVERY = 8, 500
"""States that a reader keeps, and after how many characters it keeps one."""

MOST_ROUNDS = 3
"""Times that proposals are written until enough of them differ."""

SENTENCE = re.compile(r"[.!?…。！？]+[\"'”’»)]*(?=\s|$)")

Cancelled = Callable[[], bool]


class Reader:
    """Reads texts with the network, each from the longest beginning that was read before.

    Args:
        model: The model.
        engine: Its network.
    """

    def __init__(self, model: Model, engine: Engine) -> None:
        self._engine = engine
        self._empty = start_logits(model), engine.empty_state()
        self._known: deque[tuple[list[int], Floats, State]] = deque(maxlen=MOST_KNOWN)

    def after(self, ids: list[int], is_cancelled: Cancelled) -> tuple[Floats, State] | None:
        """Return logits, (V,), and state of a single stream after a text; None if cancelled."""
        done, logits, state = 0, *self._empty
        for known, its_logits, its_state in self._known:
            if done <= len(known) <= len(ids) and ids[: len(known)] == known:
                done, logits, state = len(known), its_logits, its_state
        for index in range(done, len(ids)):
            if is_cancelled():
                self._keep(ids[:index], logits, state)
                return None
            logits, state = self._engine.step(ids[index], state)
            if (index + 1) % SAVED_EVERY == 0 or index + 1 == len(ids):
                self._keep(ids[: index + 1], logits, state)
        return logits, state

    def _keep(self, ids: list[int], logits: Floats, state: State) -> None:
        if ids:
            self._known.append((ids, logits, state))


class Proposer:
    """Writes proposals with a model.

    Args:
        model: The model, which reads forward.
        config: Filters; `length` is the most characters of a proposal.
        seed: The same seed, text and number of a request give the same proposals.
    """

    def __init__(self, model: Model, config: SampleConfig, seed: int) -> None:
        self._model, self._config, self._seed = model, config, seed
        self._engine = make_engine(model.config, model.weights)
        self._reader, self._steering = Reader(model, self._engine), steering_of(config, model)
        self._memory: NgramModel | None = None
        if model.memory is not None:
            self._memory = model.memory.weighted(config.memory_weight)
        signs = [model.vocab.decode([i]) for i in range(model.vocab.size)]
        self._is_end = np.array([sign in "\r\n" for sign in signs])
        self._is_visible = np.array([not sign.isspace() for sign in signs])

    def propose(self, request: Request, is_cancelled: Cancelled) -> Proposed | None:
        """Return the proposals for a request; None if it was cancelled."""
        text, unknown = self.known_part(request.before)
        ids = prompt_ids(self._model, text)
        read = self._reader.after(ids, is_cancelled)
        config = replace(self._config, temperature=request.temperature)
        rounds = MOST_ROUNDS if config.temperature > 0 else 1
        texts: dict[str, None] = {}
        for number in range(rounds):
            count = request.count - len(texts)
            rng = np.random.default_rng(
                derive_seed(self._seed, f"proposals {number}", request.number)
            )
            written = self._write(ids, read, config, rng, count, is_cancelled) if read else None
            if written is None:
                return None
            texts |= dict.fromkeys(filter(None, written))
            if len(texts) >= request.count:
                break
        return Proposed(tuple(texts), unknown)

    def known_part(self, before: str) -> tuple[str, str]:
        """Return the end of a text as the model reads it, and the characters that it lacks."""
        if self._model.records:
            part = before[before.rfind("\n") + 1 :]
        else:  # its start stays where it is for a while: what was read need not be read again
            part = before[max(0, (len(before) // LOOK_BACK - 1) * LOOK_BACK) :]
        text, vocab = self._model.reading().convert(part), self._model.vocab
        if not isinstance(vocab, CharVocabulary):
            return text, ""
        unknown = "".join(sorted({each for each in text if not vocab.knows(each)}))
        return "".join(filter(vocab.knows, text)) if unknown else text, unknown

    def _write(
        self, ids: Sequence[int], read: tuple[Floats, State], config: SampleConfig,
        rng: np.random.Generator, count: int, is_cancelled: Cancelled,
    ) -> list[str] | None:  # fmt: skip
        """Return texts that are written side by side; None if cancelled."""
        logits, state = np.tile(read[0], (count, 1)), read[1].repeated(count)
        memories = [self._memory] if self._memory else []
        chooser = Chooser(memories, self._steering, [ids] * count, config)
        texts: list[list[int]] = [[] for _ in range(count)]
        rows, has_begun = np.arange(count), np.full(count, self._model.records)
        for _ in range(config.length):
            if is_cancelled():
                return None
            chosen = chooser.choose(logits, rng.random(len(rows)))
            is_open = ~(self._is_end[chosen] & has_begun)
            has_begun = (has_begun | self._is_visible[chosen])[is_open]
            rows, chosen = rows[is_open], chosen[is_open]
            for row, symbol in zip(rows.tolist(), chosen.tolist(), strict=True):
                texts[row].append(symbol)
            if not len(rows):
                break
            if not is_open.all():
                state = state.rows(is_open)
                chooser.keep(is_open)
            logits, state = self._engine.step(chosen, state)
        cut = set(rows.tolist())
        return [self._text_of(each, is_cut=row in cut) for row, each in enumerate(texts)]

    def _text_of(self, ids: list[int], *, is_cut: bool) -> str:
        """Return the text of a proposal; the empty end of a line is the step to the next one."""
        raw = self._model.vocab.raw(ids)
        if isinstance(self._model.vocab, ByteVocabulary):
            raw = WholeCharacters().feed(raw)
        text = raw.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
        if not text and self._model.records:
            return "\n"
        return shortened(text) if is_cut else text


def shortened(text: str) -> str:
    """Return a text that was cut off, up to its last sentence or, if that is short, its last word."""
    ends = [found.end() for found in SENTENCE.finditer(text)]
    if ends and ends[-1] >= len(text) / 2:
        return text[: ends[-1]]
    found = re.match(r"(.*\S)\s+\S*$", text, re.DOTALL)
    return found[1] if found else text
