"""What `sample` mixes a model with: files and models with their weights, read as the model needs them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from charrnn.checkpoints.model import Model, load_model
from charrnn.checkpoints.names import find_model
from charrnn.core.errors import InputError, printable
from charrnn.core.files import expanded, split_number
from charrnn.core.stdin import shown_name
from charrnn.data.text_files import find_files
from charrnn.mixing.memories import count_file
from charrnn.mixing.product import multiplied
from charrnn.ngram.model import NgramModel
from charrnn.nn.engine import Engine

DEFAULT_WEIGHT = 0.5
"""Weight of a text or model that is named without one."""

Weighted = tuple[tuple[Path, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixing:
    """Files and models, each with the weight that it takes from all before it."""

    texts: Weighted = ()
    """Files and folders whose n-gram memory is mixed in."""
    models: Weighted = ()
    """Checkpoints whose probabilities are multiplied."""

    @property
    def paths(self) -> list[Path]:
        """All files and folders that are read."""
        return [path for path, _ in self.texts + self.models]

    def product(
        self, model: Model, memory_weight: float | None = None
    ) -> tuple[Model, Engine | None]:
        """Return a model with the symbols of all models, and the engine that steps them.

        Without other models that have weight, return the same model and None.

        Raises:
            CheckpointError: A file is damaged.
            InputError: A model cannot be multiplied with the first one.
        """
        others = [
            (load_model(path).rounded(model.precision), weight)
            for path, weight in self.models
            if weight
        ]
        if not others:
            return model, None
        try:
            return multiplied(model, others, memory_weight)
        except InputError as error:
            raise InputError(f"--with: {error}") from None

    def memories(
        self, model: Model, copied: Mapping[Path, Path], note: Callable[[str], None]
    ) -> list[NgramModel]:
        """Return the n-gram memories of the texts that have weight.

        Args:
            model: Its characters are counted.
            copied: Files with the texts that are pipes, by the name given.
            note: Receives notes about the texts.

        Raises:
            InputError: A file cannot be read, or has no character of the model.
        """
        found = []
        for path, weight in self.texts:
            try:
                file = copied.get(path, path)
                if weight == 0:
                    find_files([file])  # a wrong name is an error with any weight
                    continue
                memory, notes = count_file(file, model)
            except InputError as error:
                raise InputError(f"--memory-from: {error}") from None
            for each in notes:
                shown = each.replace(printable(file), printable(shown_name(str(path))))
                note(f"--memory-from: {shown}")
            found.append(NgramModel(memory.orders, memory.vocab_size, weight))
        return found


def parse_mixing(memory_from: Sequence[str], models: Sequence[str], checkpoints: Path) -> Mixing:
    """Return what the options --memory-from and --with name.

    Args:
        memory_from: FILE or FILE:WEIGHT each.
        models: MODEL or MODEL:WEIGHT each.
        checkpoints: Folder of all runs.

    Raises:
        InputError: A weight is out of range, or there is no such model.
        CheckpointError: A text is named as a model.
    """
    texts = [weighted("--memory-from", name) for name in memory_from]
    named = [weighted("--with", name) for name in models]
    return Mixing(
        texts=tuple((Path(expanded(name)), weight) for name, weight in texts),
        models=tuple((other_model(checkpoints, name), weight) for name, weight in named),
    )


def other_model(checkpoints: Path, name: str) -> Path:
    """Return the checkpoint of a model of --with.

    Raises:
        InputError: There is no such model.
        CheckpointError: It is a text.
    """
    try:
        return find_model(checkpoints, name, "--with {model}")
    except InputError as error:
        raise InputError(f"--with: {error}") from None


def weighted(option: str, text: str) -> tuple[str, float]:
    """Return the name and the weight in one value of an option.

    Raises:
        InputError: There is no name, or the weight is not in [0, 1].
    """
    name, weight = split_number(text)
    if not name:
        raise InputError(f"{option}: the name is empty")
    weight = DEFAULT_WEIGHT if weight is None else weight
    if not 0 <= weight <= 1:
        raise InputError(f"{option}: {printable(name)}: weight must be in [0, 1], got {weight:g}")
    return name, weight
