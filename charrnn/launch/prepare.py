"""Load the corpus and resolve every setting of a new run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charrnn.checkpoints.model import load_model
from charrnn.checkpoints.state import Snapshot
from charrnn.core.config import NEUTRAL, TrainConfig
from charrnn.core.console import count_text, time_text
from charrnn.core.errors import printable
from charrnn.core.rank import check_shares
from charrnn.core.settings import resolve
from charrnn.data.batches import fit_batches
from charrnn.data.corpus import Corpus, load_corpus, validation_notes
from charrnn.data.file_kinds import unfit
from charrnn.evaluation.text_end import split_notes
from charrnn.launch.size_presets import NOMINAL_SPEED, Task, preset, probe
from charrnn.nn.architecture import ModelConfig, direction_text, size_text
from charrnn.nn.device import pick_device, pick_precision, set_threads, speed_class
from charrnn.training.schedule import DEFAULT_EPOCHS, DEFAULT_SECONDS
from charrnn.training.transfer import (
    Initial,
    architecture,
    held_out_notes,
    transfer,
    transfer_notes,
)

SECOND_RATE = 0.5
"""Factor of the preset learning rate for a run that starts from trained weights."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that is ready to train."""

    config: TrainConfig
    origins: dict[str, str]
    """Source of each setting."""
    corpus: Corpus
    notes: list[str]
    resume: Snapshot | None = None
    """The training state to resume."""
    init: Initial | None = None
    """Weights to start from, instead of random ones."""


@dataclass(frozen=True, slots=True)
class SettingSources:
    """Settings of a command line, by source."""

    flags: Mapping[str, Any]
    environment: Mapping[str, Any]
    file: Mapping[str, Any]

    @property
    def all(self) -> dict[str, Any]:
        """All named settings: a flag overrides an environment variable, which overrides the file."""
        values, origins = resolve(self.flags, self.environment, self.file, {})
        return {name: value for name, value in values.items() if origins[name] != "default"}


def prepare(
    paths: list[Path],
    given: SettingSources,
    init_from: Path | None = None,
    corpus: Corpus | None = None,
    num_processes: int = 1,
) -> PreparedRun:
    """Read the text, choose a network size, and resolve all settings of a new run.

    Args:
        paths: Text files and folders.
        given: Settings by source.
        init_from: A checkpoint that gives initial weights and network size.
        corpus: The text, if the caller has read and described it: then no note is about it.
        num_processes: World size; a default batch size is a multiple of it.

    Raises:
        InputError: A setting, file or device cannot be used.
        CheckpointError: The checkpoint of `init_from` is damaged.
    """
    model = load_model(init_from) if init_from else None
    fixed = architecture(model, given.all) if model else {}
    flags = {**given.flags, **fixed}
    values, origins = resolve(flags, given.environment, given.file, {})
    draft = TrainConfig(**values)  # checks everything before a long text is read
    notes: list[str] = []
    if corpus is None:
        corpus = load_corpus(paths, draft)
        notes = [*corpus.notes, *validation_notes(corpus, draft.val_frac)]
        notes += split_notes(corpus.in_reading_order())
    init = transfer(model, corpus.vocab) if model else None
    named = {name: value for name, value in values.items() if origins[name] != "default"}
    chosen = preset(draft.size, make_task(draft, corpus, named), named)
    chosen["batch_size"] = -(-chosen["batch_size"] // num_processes) * num_processes
    if init:
        chosen["lr"] *= SECOND_RATE
    values, origins = resolve(flags, given.environment, given.file, chosen)
    origins |= {name: "model" for name in fixed}
    if not draft.lines and not corpus.has_repeated:  # recorded only where the text depends on it
        values["corpus_rule"] = NEUTRAL["corpus_rule"]
    config, fit_notes = fit_to_text(TrainConfig(**values), corpus, num_processes)
    ModelConfig.from_settings(config, corpus.vocab.size)  # before anything is said or created
    notes += fit_notes
    if init and model:
        notes += [*transfer_notes(init, corpus), *held_out_notes(model, corpus, config)]
    return PreparedRun(config, origins, corpus, notes, init=init)


def make_task(config: TrainConfig, corpus: Corpus, given: Mapping[str, Any]) -> Task:
    """Return the task for a preset; the speed of the machine is measured only if it is needed."""
    device = pick_device(config.device)
    precision = pick_precision(config.precision, device)
    is_open = config.steps is None and config.epochs is None and config.max_time is None
    has_size = config.size != "auto" or {"hidden_size", "num_layers"} <= given.keys()
    set_threads(config.threads, device)
    is_timed = not has_size and (is_open or config.max_time is not None)
    on_gpu = device.type == "cuda"
    timed = probe(config.cell, config.attention, on_gpu=on_gpu)
    speed = speed_class(device, precision, *timed) if is_timed else NOMINAL_SPEED
    return Task(
        num_chars=len(corpus.train),
        vocab_size=corpus.vocab.size,
        epochs=DEFAULT_EPOCHS if is_open else config.epochs,
        steps=config.steps,
        seconds=DEFAULT_SECONDS if is_open else config.max_time,
        flops_per_second=speed / (2 if config.direction == "both" else 1),  # two networks
        cell=config.cell,
        attention=config.attention,
        on_gpu=on_gpu,
        chars_per_record=corpus.chars_per_record,
    )


def fit_to_text(
    config: TrainConfig, corpus: Corpus, num_processes: int = 1
) -> tuple[TrainConfig, list[str]]:
    """Reduce batch size and window to what the text can fill; return a note if they changed.

    Raises:
        InputError: The batch size is not a multiple of the number of processes.
    """
    check_shares(config.batch_size, num_processes)
    size, window = fit_batches(corpus, config)
    if size < num_processes:
        raise unfit(
            corpus.files,
            f"the text is too small for {num_processes} processes: it fills "
            f"{count_text(size, 'stream')}; use fewer processes",
        )
    size -= size % num_processes
    if (size, window) == (config.batch_size, config.seq_len):
        return config, []
    note = (
        f"a small text: {count_text(size, 'stream')} of {count_text(window, 'character')} "
        f"instead of {config.batch_size} of {config.seq_len}"
    )
    return replace(config, batch_size=size, seq_len=window), [note]


def shown_name(name: str) -> str:
    """Return the name of a file without its folder; `stdin` for a spooled text."""
    return "stdin" if Path(name).name.startswith(".stdin.") else Path(name).name


def plan_text(config: TrainConfig, corpus: Corpus) -> str:
    """Return one line about text, network and budget."""
    names = ", ".join(printable(shown_name(name)) for name in corpus.files[:3])
    more = f" and {len(corpus.files) - 3} more" if len(corpus.files) > 3 else ""
    unit = "bytes" if config.bytes else "characters"
    num_symbols = corpus.num_train + corpus.num_val
    return (
        f"{names}{more}: {num_symbols:,} {unit}, {corpus.vocab.size:,} different; "
        f"{size_text(config.cell, config.num_layers, config.hidden_size, config.attention)}"
        f"{direction_text(config.direction)}; {budget_text(config)}"
    )


def budget_text(config: TrainConfig) -> str:
    """Return the limits of a run: steps, epochs, time."""
    limits = [count_text(config.steps, "step")] if config.steps else []
    limits += [count_text(config.epochs, "epoch")] if config.epochs else []
    limits += [time_text(config.max_time)] if config.max_time else []
    return " or ".join(limits) or "40 epochs or 10m, whichever is first; --max-time 1h for more"
