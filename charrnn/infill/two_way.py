"""What a network of both directions predicts for each symbol of a text, from both sides at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.infill.edits import Edits
from charrnn.infill.reader import Reader, Symbols, memory_of
from charrnn.ngram.counts import Floats
from charrnn.ngram.gate import log_probabilities
from charrnn.nn.architecture import SIDES

TWO_WAY = (0.82, 0.20)
"""Powers of the gain by which `edits` judges a symbol in place of another one, and of this network's
prediction. They were fitted by benchmarks/fit_powers.py on the ends of training texts."""


@dataclass(frozen=True, eq=False, slots=True)
class TwoWay:
    """The network of what is before a symbol, and that of what is after it."""

    before: Reader
    after: Reader
    """Reads the text from its end."""

    @classmethod
    def of(cls, model: Model) -> "TwoWay":
        """Return the networks of a model of both directions."""
        frame = memory_of(model), model.vocab.newline, model.records
        return cls(*(Reader(*frame, half(model, side)) for side in SIDES))

    def logs(self, ids: Symbols, begin: int, end: int) -> Floats:
        """Return the log-probabilities of all symbols at each position of a part, (end - begin, V).

        Args:
            ids: The text, (T,).
            begin: First position of the part.
            end: Position after the part, at most T.
        """
        T = len(ids)
        logits = self.before.network_logits(ids, begin, end)
        logits += self.after.network_logits(ids[::-1], T - end, T - begin)[::-1]
        return log_probabilities(logits)

    def judged(self, ids: Symbols, begin: int, end: int, edits: Edits, gains: Floats) -> Floats:
        """Return the gains of symbols in place of others, with what this network predicts, (n,).

        Args:
            ids: The text, (T,).
            begin: First position of the part that is changed.
            end: Position after the part.
            edits: Changes of one symbol each.
            gains: By how much each makes the text likelier, without this network.
        """
        logs, at = self.logs(ids, begin, end), edits.begin - begin
        better = logs[at, edits.new[:, 0]] - logs[at, ids[edits.begin]]
        judged: Floats = TWO_WAY[0] * gains + TWO_WAY[1] * better
        return judged


def half(model: Model, side: str) -> Model:
    """Return one network of a model of both directions, whose logits are a part of the whole."""
    weights: Mapping[str, NDArray[np.float32]] = {
        name.removeprefix(f"{side}."): weight
        for name, weight in model.weights.items()
        if name.startswith(f"{side}.")
    }
    return replace(model, config=model.config.half(), weights=dict(weights))
