"""Settings and texts -> what a run needs: the text as ids, and every setting decided."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charrnn.batches import check_shares, fit_batches, make_batches
from charrnn.checkpoint import Model, load_model
from charrnn.config import TrainConfig
from charrnn.console import time_text
from charrnn.corpus import Corpus, load_corpus
from charrnn.device import pick_device, pick_precision, set_threads, speed_class
from charrnn.errors import InputError, printable
from charrnn.merging import resolve
from charrnn.resuming import check_corpus, check_settings, is_over, resumed_config
from charrnn.runs import SPOOLED
from charrnn.schedule import DEFAULT_EPOCHS, DEFAULT_SECONDS
from charrnn.sizes import NOMINAL_SPEED, Task, preset
from charrnn.snapshots import Snapshot
from charrnn.transfer import Initial, transfer
from charrnn.vocab import ByteVocabulary

SECOND_RATE = 0.5
"""Learning rate of a run that begins with trained weights, as a share of the usual one."""

MOST_SHOWN = 40
"""Characters that a note lists."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a run needs to begin."""

    config: TrainConfig
    origins: dict[str, str]
    """Where each setting came from."""
    corpus: Corpus
    notes: list[str]
    resume: Snapshot | None = None
    """Where to go on from."""
    init: Initial | None = None
    """What to start from instead of random weights."""
    is_over: bool = False
    """The run has ended, and these settings leave nothing more to do."""


@dataclass(frozen=True, slots=True)
class Given:
    """Settings by where they come from."""

    flags: Mapping[str, Any]
    environment: Mapping[str, Any]
    file: Mapping[str, Any]

    @property
    def all(self) -> dict[str, Any]:
        """Settings that somebody has named, the stronger source winning."""
        values, origins = resolve(self.flags, self.environment, self.file, {})
        return {name: value for name, value in values.items() if origins[name] != "default"}


def prepare(
    paths: list[Path],
    given: Given,
    init_from: Path | None = None,
    corpus: Corpus | None = None,
    num_processes: int = 1,
) -> Prepared:
    """Read the text, pick a size for it, and decide every setting.

    Args:
        paths: Files and folders.
        given: Settings as they were named.
        init_from: A checkpoint whose weights the run starts from, and whose sizes it has.
        corpus: The text, where it was read already.
        num_processes: How many train together; a batch of our own choice is a multiple of it.

    Raises:
        InputError: A setting, a file or a device cannot be used.
        CheckpointError: What to start from is damaged.
    """
    model = load_model(init_from) if init_from else None
    fixed = architecture(model, given.all) if model else {}
    flags = {**given.flags, **fixed}
    values, origins = resolve(flags, given.environment, given.file, {})
    draft = TrainConfig(**values)  # checks everything before a long text is read
    corpus = corpus or load_corpus(paths, draft)
    init = transfer(model, corpus.vocab) if model else None
    named = {name: value for name, value in values.items() if origins[name] != "default"}
    chosen = preset(draft.size, make_task(draft, corpus, named), named)
    chosen["batch_size"] = -(-chosen["batch_size"] // num_processes) * num_processes
    if init:
        chosen["lr"] *= SECOND_RATE
    values, origins = resolve(flags, given.environment, given.file, chosen)
    origins |= {name: "model" for name in fixed}
    config, notes = fit_to_text(TrainConfig(**values), corpus, num_processes)
    notes = [*corpus.notes, *notes, *(transfer_notes(init, corpus) if init else [])]
    return Prepared(config, origins, corpus, notes, init=init)


def architecture(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a model's weights ask for.

    Raises:
        InputError: Others were named.
    """
    config = model.config
    fixed: dict[str, Any] = {
        "cell": config.cell,
        "hidden_size": config.hidden_size,
        "num_layers": config.num_layers,
        "embedding_size": config.embedding_size,
    }
    for name, value in fixed.items():
        if given.get(name, value) != value:
            raise InputError(
                f"--init-from: its {name} is {value}, not {printable(given[name])}; "
                f"leave out --{name.replace('_', '-')}"
            )
    return fixed | ({"bytes": True} if isinstance(model.vocab, ByteVocabulary) else {})


def transfer_notes(init: Initial, corpus: Corpus) -> list[str]:
    """Return what became of the characters."""
    known = corpus.vocab.size - len(init.new)
    notes = [f"starts from trained weights: {known} of {corpus.vocab.size} characters are known"]
    for what, characters in (("new", init.new), ("dropped, not in this text", init.dropped)):
        if characters:
            more = f" and {len(characters) - MOST_SHOWN:,} more" * (len(characters) > MOST_SHOWN)
            shown = " ".join(
                repr(c) if c == " " else repr(c)[1:-1] for c in characters[:MOST_SHOWN]
            )
            notes.append(f"{len(characters):,} characters {what}: {shown}{more}")
    return notes


def prepare_resumed(
    paths: list[Path], given: Given, snapshot: Snapshot, num_processes: int = 1
) -> Prepared:
    """Read a run's text again, and hold text and settings against its checkpoint.

    Args:
        paths: Files and folders; none means those from before.
        given: Settings as they were named.
        snapshot: Where the run stands.
        num_processes: How many train together; it need not be the number of before.

    Raises:
        InputError: It would be another run, or a file is not there any more.
    """
    config, old = resumed_config(snapshot, given.all, num_processes), snapshot.config
    unfitted = replace(config, batch_size=old.batch_size, seq_len=old.seq_len)
    check_settings(snapshot, unfitted)  # before a text that was read otherwise seems to differ
    corpus = load_corpus(paths or sources(snapshot), config)
    check_corpus(snapshot, corpus)
    config, _ = fit_to_text(config, corpus, num_processes)
    check_settings(snapshot, config)
    origins = dict.fromkeys(config.__slots__, "checkpoint")
    for origin in ("file", "environment", "flags"):
        origins |= dict.fromkeys(getattr(given, origin), origin.removesuffix("s"))
    over = is_over(snapshot, config, make_batches(corpus, config).steps_per_epoch)
    return Prepared(config, origins, corpus, [], resume=snapshot, is_over=over)


def sources(snapshot: Snapshot) -> list[Path]:
    """Return the files and folders that a run was started on.

    Raises:
        InputError: Its checkpoint does not say.
    """
    names, folder = snapshot.model.facts.get("sources"), snapshot.path.parent
    run = printable(folder.name)
    again = f"name it: charrnn train FILE --run {run} --resume"
    if not isinstance(names, list) or not names:
        raise InputError(f"{run}: its checkpoint does not say which text it learns; {again}")
    paths = []
    for name in names:
        if not isinstance(name, str) or "\0" in name:
            raise InputError(f"{run}: its checkpoint names a text in vain; {again}")
        path = Path(name)
        if path.name == SPOOLED and not path.exists():
            path = folder / SPOOLED  # came from stdin, and the run was moved
        if not path.exists():
            raise InputError(f"{printable(name)}: the text of {run} is not there; {again}")
        paths.append(path)
    return paths


def make_task(config: TrainConfig, corpus: Corpus, given: Mapping[str, Any]) -> Task:
    """Return what a network is wanted for; the machine is only timed where it matters."""
    device = pick_device(config.device)
    precision = pick_precision(config.precision, device)
    is_open = config.steps is None and config.epochs is None and config.max_time is None
    has_size = config.size != "auto" or {"hidden_size", "num_layers"} <= given.keys()
    set_threads(config.threads, device)
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


def fit_to_text(
    config: TrainConfig, corpus: Corpus, num_processes: int = 1
) -> tuple[TrainConfig, list[str]]:
    """Return settings whose batch and window the text can fill, and a note if that took a change.

    Raises:
        InputError: The processes that train together could not share the batch out evenly.
    """
    check_shares(config.batch_size, num_processes)
    size, window = fit_batches(corpus, config)
    if size < num_processes:
        raise InputError(
            f"the text is too small for {num_processes} processes: it fills {size} streams; "
            "use fewer processes"
        )
    size -= size % num_processes
    if (size, window) == (config.batch_size, config.seq_len):
        return config, []
    note = (
        f"a small text: {size} streams of {window} characters "
        f"instead of {config.batch_size} of {config.seq_len}"
    )
    return replace(config, batch_size=size, seq_len=window), [note]


def shown_name(name: str) -> str:
    """Return a file's name for people; a text that came through a pipe has none."""
    return "stdin" if Path(name).name.startswith(".stdin.") else Path(name).name


def plan_text(config: TrainConfig, corpus: Corpus) -> str:
    """Return the line about text, network and budget."""
    names = ", ".join(printable(shown_name(name)) for name in corpus.files[:3])
    more = f" and {len(corpus.files) - 3} more" if len(corpus.files) > 3 else ""
    unit = "bytes" if config.bytes else "characters"
    num_symbols = corpus.num_train + corpus.num_val
    return (
        f"{names}{more}: {num_symbols:,} {unit}, {corpus.vocab.size:,} different; "
        f"{config.cell} {config.num_layers}×{config.hidden_size}; {budget_text(config)}"
    )


def budget_text(config: TrainConfig) -> str:
    """Return how long a run may take."""
    limits = [f"{config.steps:,} steps"] if config.steps else []
    limits += [f"{config.epochs:g} epochs"] if config.epochs else []
    limits += [time_text(config.max_time)] if config.max_time else []
    return " or ".join(limits) or "40 epochs or 10m, whichever is first; --max-time 1h for more"
