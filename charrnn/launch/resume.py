"""Load the newest intact checkpoint, and check that text and settings match."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from charrnn.checkpoints.model import Model, read_model
from charrnn.checkpoints.run_folder import SPOOLED, Run, step_files
from charrnn.checkpoints.state import BestModel, Snapshot, load_snapshot
from charrnn.core.config import BUDGETS, MAY_CHANGE, TrainConfig
from charrnn.core.console import time_text
from charrnn.core.errors import CheckpointError, InputError, NewerFormatError, printable
from charrnn.data.batches import make_batches
from charrnn.data.corpus import Corpus, load_corpus
from charrnn.launch.prepare import PreparedRun, SettingSources, fit_to_text
from charrnn.training.schedule import steps_for_budget
from charrnn.training.threads import is_open


def newest_snapshot(run: Run) -> tuple[Snapshot, list[str]]:
    """Return the newest intact full checkpoint of a run, and a warning for each damaged one.

    Raises:
        CheckpointError: All are damaged, or one is of a newer version.
        InputError: The run contains only a model.
    """
    problems: list[str] = []
    for path in reversed(step_files(run.folder)):
        try:
            snapshot = load_snapshot(path)
        except NewerFormatError:
            raise
        except (CheckpointError, InputError) as error:
            problems.append(str(error))
            run.damaged.add(path)
            continue
        warnings = [f"{problem}; continuing from {snapshot.path.name}" for problem in problems]
        snapshot, problem = with_best_model(snapshot, run)
        return snapshot, warnings + ([problem] if problem else [])
    name = run.folder.name
    way_out = f"another run can start from its model, if that is intact: --init-from {name}"
    if problems:
        raise CheckpointError(f"{problems[0]}; no other full checkpoint can be read; {way_out}")
    raise InputError(f"{printable(run.folder)}: no full checkpoint to continue from; {way_out}")


def with_best_model(snapshot: Snapshot, run: Run) -> tuple[Snapshot, str]:
    """Return a snapshot with the run's best model and its end, and a warning or "".

    Raises:
        NewerFormatError: The best model is of a newer version, and must not be replaced.
    """
    try:
        model, _ = read_model(run.best)
    except NewerFormatError:
        raise
    except (CheckpointError, InputError) as error:
        return snapshot, f"{error}; the next validation writes a new one"
    if (model.config, model.vocab.to_json()) != (
        snapshot.model.config, snapshot.model.vocab.to_json(),
    ):  # fmt: skip
        return snapshot, ""
    end, plan, state = model.metadata.end, model.metadata.plan, snapshot.state
    if end is not None and not (plan == state.plan and end.step == state.progress.step):
        end = None  # the run has continued since, with a larger budget
    return replace(snapshot, best_model=parse_best_model(model), end=end), ""


def parse_best_model(model: Model) -> BestModel | None:
    """Return the weights that a validation chose; None if no validation chose them."""
    best = model.metadata.best
    return BestModel(weights=model.weights, loss=best.loss, step=best.step) if best else None


def resumed_config(
    snapshot: Snapshot, given: Mapping[str, Any], num_processes: int = 1
) -> TrainConfig:
    """Return the settings of a run, replaced by the given ones; precision and threads are kept.

    Threads are kept only with the same number of processes, since these share the cores, and not
    where the run chooses them. A given budget replaces the old budget as a whole.
    """
    kept: dict[str, Any] = {}
    if snapshot.config.device == given.get("device", snapshot.config.device):
        kept["precision"] = snapshot.environment.precision
    if any(name in given for name in BUDGETS):
        kept |= dict.fromkeys(BUDGETS)
    config = replace(snapshot.config, **(kept | dict(given)))
    is_alike = num_processes == (snapshot.environment.processes or 1)
    if "threads" in given or not is_alike or is_open(config):
        return config
    return replace(config, threads=snapshot.environment.threads)


def source_of(name: str) -> str:
    """Return what gives a setting on the command line: its option, or the text itself."""
    return "FILE:WEIGHT" if name == "weights" else f"--{name.replace('_', '-')}"


def check_settings(snapshot: Snapshot, config: TrainConfig) -> None:
    """Check that only settings of MAY_CHANGE differ from those of the checkpoint.

    Raises:
        InputError: Others differ; the message has both values.
    """
    differing = [
        f"{source_of(name)} (was {printable(old)}, is {printable(new)})"
        for name in (each.name for each in fields(TrainConfig))
        if name not in MAY_CHANGE
        and (old := getattr(snapshot.config, name)) != (new := getattr(config, name))
    ]
    if differing:
        raise InputError(
            f"--resume: {printable(snapshot.path.parent)}: was started with other settings: "
            f"{', '.join(differing)}; leave them out, or start another run: --run OTHER"
        )


def check_corpus(snapshot: Snapshot, corpus: Corpus) -> None:
    """Check that the text is the training text of the run.

    Raises:
        InputError: It differs; the message has the counts of both.
    """
    known, name = snapshot.corpus, printable(snapshot.path.parent.name)
    if not corpus.has_digest(known.digest):
        raise InputError(
            f"--resume: the corpus (text or --val-file) is not the one that {name} was trained on: "
            f"{corpus.num_train:,} + {corpus.num_val:,} held-out characters of SHA-256 "
            f"{corpus.digest[:12]}, instead of {known.num_train:,} + {known.num_val:,} of "
            f"{printable(known.digest)[:12]}; use that text, or start another run from the "
            f"weights: --run OTHER --init-from {name}"
        )


def leaves_nothing_to_do(snapshot: Snapshot, config: TrainConfig, steps_per_epoch: int) -> bool:
    """True if a run has ended and the settings allow no further step."""
    if snapshot.end is None:
        return False
    if config.budget() != snapshot.config.budget():
        steps, seconds = steps_for_budget(
            config.epochs, config.steps, config.max_time, steps_per_epoch
        )
        state = snapshot.state
        has_steps = steps is None or steps > state.progress.step
        return not (has_steps and (seconds is None or seconds > state.timing.seconds))
    is_patient = config.patience is None or config.patience > snapshot.state.best.num_worse
    return not (snapshot.end.stop_reason == "early_stop" and is_patient)


def has_ended(snapshot: Snapshot, given: SettingSources) -> bool:
    """True if the run has ended and no new budget is given; its text is not needed then."""
    return snapshot.end is not None and not {*BUDGETS, "patience"} & given.all.keys()


def prepare_resumed(
    paths: list[Path], given: SettingSources, snapshot: Snapshot, num_processes: int = 1
) -> PreparedRun | None:
    """Read the text of a run again, and compare text and settings with its checkpoint.

    Args:
        paths: Text files and folders; empty for those of the checkpoint.
        given: Settings by source.
        snapshot: The training state to resume.
        num_processes: World size; it may differ from before.

    Returns:
        The run; None if it has ended and the settings allow no further step.

    Raises:
        InputError: Text or settings differ, or a file does not exist.
    """
    config, old = resumed_config(snapshot, given.all, num_processes), snapshot.config
    if not paths and has_ended(snapshot, given):
        check_settings(snapshot, config)
        return None
    unfitted = replace(config, batch_size=old.batch_size, seq_len=old.seq_len)
    check_settings(snapshot, unfitted)  # first: other settings of reading change the text too
    corpus = load_corpus(paths or sources(snapshot), config)
    check_corpus(snapshot, corpus)
    corpus = replace(corpus, digest=snapshot.corpus.digest)
    config, _ = fit_to_text(config, corpus, num_processes)
    check_settings(snapshot, config)
    if leaves_nothing_to_do(snapshot, config, make_batches(corpus, config).steps_per_epoch):
        return None
    origins = dict.fromkeys(config.__slots__, "checkpoint")
    for origin in ("file", "environment", "flags"):
        origins |= dict.fromkeys(getattr(given, origin), origin.removesuffix("s"))
    notes = [resume_text(snapshot, config)]
    return PreparedRun(config, origins, corpus, notes, resume=snapshot)


def resume_text(snapshot: Snapshot, config: TrainConfig) -> str:
    """Return the note about the state that a run resumes."""
    state = snapshot.state
    text = (
        f"continues from {printable(snapshot.path)}, "
        f"step {state.progress.step:,}, after {time_text(state.timing.seconds)}"
    )
    if snapshot.plan_is_complete and config.budget() != snapshot.config.budget():
        text += "; its plan was complete, so the learning rate starts again at half its peak"
    threads = snapshot.environment.threads if is_open(config) else config.threads
    if (config.device, threads) != (snapshot.config.device, snapshot.environment.threads):
        text += "; with another device or number of threads the last bits may differ"
    return text


def sources(snapshot: Snapshot) -> list[Path]:
    """Return the text files and folders of a run, from its checkpoint.

    Raises:
        InputError: The checkpoint does not name them, or one does not exist.
    """
    names, folder = snapshot.model.metadata.sources, snapshot.path.parent
    run = printable(folder.name)
    again = f"name it: charrnn train FILE --run {run} --resume"
    if not names:
        raise InputError(f"{run}: its checkpoint does not name its text; {again}")
    paths = []
    for name in names:
        if "\0" in name:
            raise InputError(f"{run}: the text path in its checkpoint is not valid; {again}")
        path = Path(name)
        if path.name == SPOOLED and not path.exists():
            path = folder / SPOOLED  # spooled from stdin; the run was moved
        if not path.exists():
            raise InputError(f"{printable(name)}: the text of {run} does not exist; {again}")
        paths.append(path)
    return paths
