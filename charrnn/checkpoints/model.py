"""Load and validate a model: weights, vocabulary, n-gram memory, metadata.

Tensors: model/<weight> (averaged); in a full checkpoint also raw/<weight> (not averaged),
optim/<weight>/exp_avg and exp_avg_sq, state/h and state/c (of all streams). With an n-gram
memory, memory/<order>/keys and memory/<order>/counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.format import (
    FORMAT_VERSION,
    JsonObject,
    Tensors,
    are_counts,
    read_file,
    unpack,
)
from charrnn.checkpoints.metadata import Metadata, check_direction, parse_metadata, parse_network
from charrnn.checkpoints.parsing import parse_dataclass
from charrnn.core.config import HISTORICAL, TrainConfig
from charrnn.core.errors import CheckpointError, InputError, NewerFormatError, printable
from charrnn.data.corpus import Corpus
from charrnn.data.reading import Reading
from charrnn.data.vocab import (
    ByteVocabulary,
    CharVocabulary,
    Ids,
    Vocabulary,
    parse_vocabulary,
    turned_round,
)
from charrnn.native.arrays import as_bfloat16
from charrnn.ngram.counts import bits_of, mask
from charrnn.ngram.model import NgramModel
from charrnn.ngram.stored import parse_memory
from charrnn.nn.architecture import ModelConfig, shapes

MIGRATIONS: dict[int, Callable[[Tensors, JsonObject], tuple[Tensors, JsonObject]]] = {}
"""By format version: a pure function from its tensors and JSON object to those of the next version."""

FINITE_CHUNK = 1 << 20
"""Values that a check compares at once, so that it needs little RAM."""

LARGEST_WEIGHT = 1e6
"""With weights up to this size no product in a network overflows float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A trained network with all that generation needs."""

    config: ModelConfig
    weights: dict[str, NDArray[np.float32]]
    """Arrays named as in shapes(config)."""
    vocab: Vocabulary
    records: bool
    """Whether each line is a separate text, started and ended by a newline (--lines)."""
    starts: dict[int, int]
    """Number of lines that begin with each id; only for texts without newlines."""
    memory: NgramModel | None = None
    """N-gram model of the training text, mixed into the network's predictions."""
    metadata: Metadata = field(default_factory=Metadata)
    precision: str = "fp32"
    """Number format that the matrices were rounded to: fp32 or bf16."""

    def rounded(self, precision: str) -> "Model":
        """Return the model with its matrices rounded to a number format, fp32 or bf16."""
        if precision == self.precision:
            return self
        if precision != "bf16":
            raise ValueError(f"weights of {self.precision} cannot be rounded to {precision}")
        weights = {n: as_bfloat16(w) if w.ndim == 2 else w for n, w in self.weights.items()}
        return replace(self, weights=weights, precision=precision)

    def setting(self, name: str) -> Any:
        """Return a training setting; its default where the file lacks it."""
        default = HISTORICAL.get(name, getattr(TrainConfig(), name))
        value = self.metadata.settings.get(name)
        return value if type(value) is type(default) else default

    @property
    def is_backward(self) -> bool:
        """Whether the network reads and writes from the end of a text to its start."""
        return self.metadata.direction == "backward"

    @property
    def is_both(self) -> bool:
        """Whether two networks predict a symbol: from what is before it, and from what is after."""
        return self.config.num_directions == 2

    def turned(self, ids: Ids) -> Ids:
        """Return ids in reading order as the network reads them, or the other way round."""
        return turned_round(ids) if self.is_backward else ids

    def train_config(self) -> TrainConfig:
        """Return all training settings.

        Raises:
            CheckpointError: A setting is malformed, or unknown to this version.
            InputError: The file holds no settings.
        """
        if not self.metadata.settings:
            raise InputError("the model has no training settings")
        return parse_dataclass(TrainConfig, {**HISTORICAL, **self.metadata.settings}, "settings")

    def reading(self, encoding: str | None = None) -> Reading:
        """Return how text becomes this model's ids, in its own encoding or another one."""
        if isinstance(self.vocab, ByteVocabulary):
            return Reading(bytes=True)
        return Reading(
            encoding=encoding or self.setting("encoding"),
            newlines=self.line_ends(),
            normalize=self.setting("normalize"),
            column=self.setting("column"),
            one_line=self.records,
            known=self.vocab.characters if isinstance(self.vocab, CharVocabulary) else None,
            errors=self.setting("errors"),
            has_options=False,
            has_encoding=False,
        )

    def line_ends(self) -> str:
        """Return the line ends of the text as it was learned: lf, crlf, cr, or keep for a mixture."""
        newlines = "lf" if self.records else self.setting("newlines")
        if newlines == "lf" or not isinstance(self.vocab, CharVocabulary):
            return newlines
        if not self.vocab.knows("\r"):
            return "lf"
        if not self.vocab.knows("\n"):
            return "cr"
        return "crlf" if self._follows("\n", "\r") else "keep"

    def _follows(self, last: str, before: str) -> bool:
        """Whether nearly always one character stands before another; without a memory, True."""
        if self.memory is None or len(self.memory.orders) < 2:
            return True
        pairs, bits = self.memory.orders[1], np.uint64(bits_of(self.vocab.size))
        first, second = (int(self.vocab.encode(each)[0]) for each in (before, last))
        befores, lasts = pairs.keys >> bits, pairs.keys & mask(int(bits))
        if self.is_backward:
            befores, lasts = lasts, befores
        counts = pairs.counts[lasts == second]
        return bool(2 * counts[befores[lasts == second] == first].sum() > counts.sum())

    def has_learned(self, corpus: Corpus) -> bool:
        """Return whether a corpus has the texts and the reading of the training corpus."""
        known = self.metadata.corpus
        return known is not None and corpus.has_digest(known.digest)


def load_model(path: Path | str) -> Model:
    """Load a checkpoint for generation.

    Raises:
        CheckpointError: The file is damaged, foreign or of a newer format.
        InputError: There is no such file, or it cannot be read.
    """
    return read_model(Path(path))[0]


def read_model(path: Path) -> tuple[Model, Tensors]:
    """Load a checkpoint; also return its tensors of training state, by name."""
    data = read_file(path)
    try:
        return parse_model(data)
    except CheckpointError as error:
        raise type(error)(f"{printable(path)}: {error}") from None


def parse_model(data: bytes) -> tuple[Model, Tensors]:
    """Parse the bytes of a checkpoint; arrays are views into them.

    Raises:
        CheckpointError: They are damaged, foreign or of a newer format.
    """
    try:
        return _build(*upgrade(*unpack(data)))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, InputError):
        raise CheckpointError("its metadata is incomplete") from None


def upgrade(tensors: Tensors, raw: JsonObject) -> tuple[Tensors, JsonObject]:
    """Convert a checkpoint's content to the newest format.

    Raises:
        CheckpointError: Its format is newer than this program knows, or not given.
    """
    version = raw.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        writer = printable(raw.get("version"))[:40]
        raise NewerFormatError(
            f"written by charrnn {writer} in format {printable(version)[:40]}, "
            f"this program reads formats up to {FORMAT_VERSION}; update charrnn"
        )
    for old in range(version, FORMAT_VERSION):
        tensors, raw = MIGRATIONS[old](tensors, raw)
    return tensors, raw


def _build(tensors: Tensors, raw: JsonObject) -> tuple[Model, Tensors]:
    vocab = parse_vocabulary(raw["vocabulary"])
    config = parse_network(raw["config"]["model"])
    if config.vocab_size != vocab.size:
        raise CheckpointError(
            f"it has {vocab.size:,} characters, but its network has {config.vocab_size:,}"
        )
    weights = {
        name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")
    }
    check_tensors(weights, shapes(config))
    metadata = parse_metadata(raw)
    check_direction(metadata)
    model = Model(
        config=config,
        weights=weights,
        vocab=vocab,
        records=raw["records"] is True,
        starts=_starts(raw["starts"], vocab),
        memory=parse_memory(tensors, raw.get("memory"), vocab.size),
        metadata=metadata,
    )
    return model, {n: t for n, t in tensors.items() if not n.startswith(("model/", "memory/"))}


def _starts(pairs: Any, vocab: Vocabulary) -> dict[int, int]:
    """Return how often each id begins a line; required for a text without newlines."""
    for pair in pairs:
        if not are_counts(pair) or len(pair) != 2 or pair[0] >= vocab.size or pair[1] >= 2**63:
            raise CheckpointError("its counts of line beginnings are not valid")
    starts: dict[int, int] = dict(pairs)
    if vocab.newline is None and not any(starts.values()):
        raise CheckpointError("it has no counts of line beginnings")
    return starts


def check_tensors(
    tensors: Mapping[str, NDArray[Any]],
    expected: Mapping[str, tuple[int, ...]],
    largest: float = LARGEST_WEIGHT,
) -> None:
    """Check that tensors have the expected names and shapes, are float32 and finite.

    Raises:
        CheckpointError: A tensor is missing, unknown, of another shape or type, or has values
            that are not finite or beyond `largest` in size.
    """
    if strange := sorted(tensors.keys() ^ expected.keys()):
        kind = "lacks" if strange[0] in expected else "has an unknown"
        raise CheckpointError(f"it {kind} tensor {printable(strange[0])[:80]!r}")
    for name, shape in expected.items():
        array = tensors[name]
        if array.shape != shape or array.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name!r} is {array.dtype} {array.shape}, float32 {shape} was expected"
            )
        if not is_finite(array, largest):
            raise CheckpointError(f"tensor {name!r} has values that are not finite, or too large")


def is_finite(array: NDArray[Any], largest: float = float(np.finfo(np.float32).max)) -> bool:
    """Return whether an array has no inf, no NaN, and no value beyond `largest` in size."""
    flat = array.reshape(-1)
    pieces = (flat[i : i + FINITE_CHUNK] for i in range(0, len(flat), FINITE_CHUNK))
    # A NaN fails every comparison; max and min return it.
    return all(bool(piece.max() <= largest and piece.min() >= -largest) for piece in pieces)
