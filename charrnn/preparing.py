"""Settings and texts -> what a run needs: the text as ids, and every setting decided."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charrnn.batches import fit_batches
from charrnn.config import TrainConfig, resolve
from charrnn.console import time_text
from charrnn.corpus import Corpus, load_corpus
from charrnn.device import pick_device, pick_precision, set_threads, speed_class
from charrnn.errors import printable
from charrnn.schedule import DEFAULT_EPOCHS, DEFAULT_SECONDS
from charrnn.sizes import NOMINAL_SPEED, Task, preset


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a run needs to begin."""

    config: TrainConfig
    origins: dict[str, str]
    """Where each setting came from."""
    corpus: Corpus
    notes: list[str]


def prepare(
    paths: list[Path],
    flags: Mapping[str, Any],
    environment: Mapping[str, Any],
    file: Mapping[str, Any],
) -> Prepared:
    """Read the text, pick a size for it, and decide every setting.

    Raises:
        InputError: A setting, a file or a device cannot be used.
    """
    values, origins = resolve(flags, environment, file, {})
    draft = TrainConfig(**values)  # checks everything before a long text is read
    corpus = load_corpus(paths, draft)
    given = {name: value for name, value in values.items() if origins[name] != "default"}
    chosen = preset(draft.size, make_task(draft, corpus, given), given)
    values, origins = resolve(flags, environment, file, chosen)
    config, notes = fit_to_text(TrainConfig(**values), corpus)
    return Prepared(config, origins, corpus, [*corpus.notes, *notes])


def make_task(config: TrainConfig, corpus: Corpus, given: Mapping[str, Any]) -> Task:
    """Return what a network is wanted for; the machine is only timed where it matters."""
    device = pick_device(config.device)
    precision = pick_precision(config.precision, device)
    is_open = config.steps is None and config.epochs is None and config.max_time is None
    has_size = config.size != "auto" or {"hidden_size", "num_layers"} <= given.keys()
    set_threads(config.threads)
    is_timed = not has_size and (is_open or config.max_time is not None)
    return Task(
        num_chars=len(corpus.train),
        vocab_size=corpus.vocab.size,
        epochs=DEFAULT_EPOCHS if is_open else config.epochs,
        steps=config.steps,
        seconds=DEFAULT_SECONDS if is_open else config.max_time,
        flops_per_second=speed_class(device, precision) if is_timed else NOMINAL_SPEED,
        cell=config.cell,
    )


def fit_to_text(config: TrainConfig, corpus: Corpus) -> tuple[TrainConfig, list[str]]:
    """Return settings whose batch and window the text can fill, and a note if that took a change."""
    size, window = fit_batches(corpus, config)
    if (size, window) == (config.batch_size, config.seq_len):
        return config, []
    note = (
        f"a small text: {size} streams of {window} characters "
        f"instead of {config.batch_size} of {config.seq_len}"
    )
    return replace(config, batch_size=size, seq_len=window), [note]


def plan_text(config: TrainConfig, corpus: Corpus) -> str:
    """Return the line about text, network and budget."""
    names = ", ".join(printable(Path(name).name) for name in corpus.files[:3])
    more = f" and {len(corpus.files) - 3} more" if len(corpus.files) > 3 else ""
    limits = [f"{config.steps:,} steps"] if config.steps else []
    limits += [f"{config.epochs:g} epochs"] if config.epochs else []
    limits += [time_text(config.max_time)] if config.max_time else []
    budget = " or ".join(limits) or "40 epochs or 10m, whichever is first; --max-time 1h for more"
    unit = "bytes" if config.bytes else "characters"
    num_symbols = len(corpus.train) + (0 if corpus.val is corpus.train else len(corpus.val))
    return (
        f"{names}{more}: {num_symbols:,} {unit}, {corpus.vocab.size:,} different; "
        f"{config.cell} {config.num_layers}×{config.hidden_size}; {budget}"
    )
