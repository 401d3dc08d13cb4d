"""A checkpoint's meaning: weights, vocabulary, config and, in a full one, training state.

Tensors: model/<weight> (averaged); in a full file also raw/<weight> (as trained),
optim/<weight>/exp_avg and exp_avg_sq, state/h and state/c (of all streams). With a memory,
memory/<order>/keys and memory/<order>/counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
from charrnn.checkpoints.metadata import Metadata, parse_metadata, parse_network
from charrnn.checkpoints.parsing import parse_dataclass
from charrnn.core.config import ModelConfig, TrainConfig, shapes
from charrnn.core.errors import CheckpointError, InputError, NewerFormatError, printable
from charrnn.data.corpus import Corpus
from charrnn.data.text_files import Reading
from charrnn.data.vocab import ByteVocabulary, Vocabulary, parse_vocabulary
from charrnn.ngram.counts import WORD, Discounts, Order, bits_of, mask
from charrnn.ngram.model import NgramModel

MIGRATIONS: dict[int, Callable[[Tensors, JsonObject], tuple[Tensors, JsonObject]]] = {}
"""By format version: a pure function from its tensors and JSON object to those of the next version."""

FINITE_CHUNK = 1 << 20
"""Numbers looked at in one piece, so that a check needs little memory."""

LARGEST_WEIGHT = 1e6
"""With weights up to this no product of a network overflows float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """All that is needed to write with a trained network."""

    config: ModelConfig
    weights: dict[str, NDArray[np.float32]]
    """Arrays named as in shapes(config)."""
    vocab: Vocabulary
    records: bool
    """Each line is a text of its own, started and ended by a newline."""
    starts: dict[int, int]
    """How often each id begins a line, for texts without newlines."""
    memory: NgramModel | None = None
    """An n-gram memory of the training text, mixed into what the network predicts."""
    metadata: Metadata = field(default_factory=Metadata)

    def setting(self, name: str) -> Any:
        """Return a training setting; its default where the file lacks it."""
        default = getattr(TrainConfig(), name)
        value = self.metadata.settings.get(name)
        return value if type(value) is type(default) else default

    def train_config(self) -> TrainConfig:
        """Return all training settings.

        Raises:
            CheckpointError: A setting is malformed, or unknown to this version.
            InputError: The file holds no settings.
        """
        if not self.metadata.settings:
            raise InputError("the model does not say how it was trained")
        return parse_dataclass(TrainConfig, self.metadata.settings, "settings")

    def reading(self, encoding: str | None = None) -> Reading:
        """Return how text files become this model's ids, in its own encoding or another one.

        A record is a line, and a line does not end in a carriage return.
        """
        if isinstance(self.vocab, ByteVocabulary):
            return Reading(bytes=True)
        newlines = "lf" if self.records else self.setting("newlines")
        return Reading(encoding=encoding or self.setting("encoding"), newlines=newlines)

    def has_learned(self, corpus: Corpus) -> bool:
        """Return whether a corpus has the texts and the reading of the training corpus."""
        known = self.metadata.corpus
        return known is not None and known.digest == corpus.digest


def load_model(path: Path | str) -> Model:
    """Open a checkpoint for writing text.

    Raises:
        CheckpointError: The file is damaged, foreign or newer.
        InputError: There is no such file, or it cannot be read.
    """
    return read_model(Path(path))[0]


def read_model(path: Path) -> tuple[Model, Tensors]:
    """Open a checkpoint; also return its other tensors, by name without their model/ part."""
    data = read_file(path)
    try:
        return parse_model(data)
    except CheckpointError as error:
        raise type(error)(f"{printable(path)}: {error}") from None


def parse_model(data: bytes) -> tuple[Model, Tensors]:
    """Return what a checkpoint's bytes hold; arrays are views into them.

    Raises:
        CheckpointError: They are damaged, foreign or newer.
    """
    try:
        return _build(*upgrade(*unpack(data)))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, InputError):
        raise CheckpointError("its description lacks something") from None


def upgrade(tensors: Tensors, raw: JsonObject) -> tuple[Tensors, JsonObject]:
    """Return a checkpoint's content as the newest format has it.

    Raises:
        CheckpointError: It is of a newer format than this program knows, or of none.
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
        raise CheckpointError(f"{vocab.size} characters, but a network for {config.vocab_size}")
    weights = {
        name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")
    }
    check_tensors(weights, shapes(config))
    model = Model(
        config=config,
        weights=weights,
        vocab=vocab,
        records=raw["records"] is True,
        starts=_starts(raw["starts"], vocab),
        memory=parse_memory(tensors, raw.get("memory"), vocab.size),
        metadata=parse_metadata(raw),
    )
    return model, {n: t for n, t in tensors.items() if not n.startswith(("model/", "memory/"))}


def parse_memory(tensors: Tensors, said: Any, vocab_size: int) -> NgramModel | None:
    """Return the memory of a checkpoint, None without.

    Raises:
        CheckpointError: Its counts are none, or say otherwise than its description.
    """
    names = {name for name in tensors if name.startswith("memory/")}
    if said is None and not names:
        return None
    if not isinstance(said, dict) or not are_counts([said.get("order")]) or said["order"] > 63:
        raise CheckpointError("its memory is not described")
    orders, discounts = [], _discounts(said)
    for k in range(said["order"] + 1):
        keys, counts = tensors.get(f"memory/{k}/keys"), tensors.get(f"memory/{k}/counts")
        names -= {f"memory/{k}/keys", f"memory/{k}/counts"}
        if keys is None or counts is None or not _are_counted(keys, counts, k, vocab_size):
            raise CheckpointError(f"its memory of order {k} holds no counts")
        orders.append(Order.of(keys, counts, discounts[k]))
    weight = said.get("weight")
    if names or not (weight is None or (type(weight) is float and 0 <= weight <= 1)):
        raise CheckpointError("its memory is not what is described")
    memory = NgramModel(orders, vocab_size, weight)
    if memory.facts() != said:
        raise CheckpointError("its memory is not what is described")
    return memory


def _discounts(said: Mapping[str, Any]) -> list[Discounts]:
    """Return what is taken off the counts of each order; before, one number stood for all.

    Raises:
        CheckpointError: It is not less than the counts.
    """
    result = []
    for each in said["discounts"]:
        three = tuple(each) if isinstance(each, list) else (each,) * 3
        if len(three) != 3 or not all(
            type(d) is float and 0 < d < count for count, d in enumerate(three, start=1)
        ):
            raise CheckpointError("the discounts of its memory are none")
        result.append(three)
    if len(result) != said["order"] + 1:
        raise CheckpointError("its memory is not what is described")
    return result


def _are_counted(keys: NDArray[Any], counts: NDArray[Any], order: int, vocab_size: int) -> bool:
    """Say whether keys ascend, fit their order and end in symbols that exist, and counts count."""
    if keys.dtype != np.uint64 or counts.dtype != np.int32 or keys.shape != counts.shape:
        return False
    if keys.ndim != 1 or (order == 0 and not len(keys)):
        return False
    bits = bits_of(vocab_size)
    fits = bits * (order + 1) <= WORD and (not len(keys) or keys[-1] <= mask(bits * (order + 1)))
    pieces = [slice(i, i + FINITE_CHUNK + 1) for i in range(0, len(keys), FINITE_CHUNK)]
    return fits and all(
        bool((keys[p][1:] > keys[p][:-1]).all() and (keys[p] & mask(bits) < vocab_size).all())
        and bool((counts[p] >= 1).all())
        for p in pieces
    )


def _starts(pairs: Any, vocab: Vocabulary) -> dict[int, int]:
    """Return how often each id begins a line; a text without newlines cannot begin without."""
    for pair in pairs:
        if not are_counts(pair) or len(pair) != 2 or pair[0] >= vocab.size or pair[1] >= 2**63:
            raise CheckpointError("its counts of line beginnings are no counts")
    starts: dict[int, int] = dict(pairs)
    if vocab.newline is None and not any(starts.values()):
        raise CheckpointError("it does not say how a text begins")
    return starts


def check_tensors(
    found: Mapping[str, NDArray[Any]],
    expected: Mapping[str, tuple[int, ...]],
    largest: float = LARGEST_WEIGHT,
) -> None:
    """Hold tensors against the names and shapes that the config asks for, all float32, finite.

    Raises:
        CheckpointError: One is missing, unknown, of another shape or type, or holds numbers that
            are not finite or larger than `largest`.
    """
    if strange := sorted(found.keys() ^ expected.keys()):
        kind = "lacks" if strange[0] in expected else "has an unknown"
        raise CheckpointError(f"it {kind} tensor {printable(strange[0])[:80]!r}")
    for name, shape in expected.items():
        array = found[name]
        if array.shape != shape or array.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name!r} is {array.dtype} {array.shape}, float32 {shape} was expected"
            )
        if not is_finite(array, largest):
            raise CheckpointError(f"tensor {name!r} holds values that are not finite, or absurd")


def is_finite(array: NDArray[Any], largest: float = float(np.finfo(np.float32).max)) -> bool:
    """Say whether an array holds no inf, no NaN, and nothing beyond `largest`."""
    flat = array.reshape(-1)
    pieces = (flat[i : i + FINITE_CHUNK] for i in range(0, len(flat), FINITE_CHUNK))
    # A NaN fails every comparison, and max and min pass it on.
    return all(bool(piece.max() <= largest and piece.min() >= -largest) for piece in pieces)
