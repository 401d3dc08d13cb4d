"""Options -> configs -> library -> console and stdout. One short function a command."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Small products are faster on one BLAS thread, and a text must not depend on their number.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
from click.core import ParameterSource

from charrnn import __version__
from charrnn.config import SampleConfig, TrainConfig, resolve
from charrnn.configfile import read_settings, to_toml
from charrnn.console import Console
from charrnn.errors import CharRNNError, ClosedPipeError, InputError, printable
from charrnn.options import GroupedCommand, Integer, config_options, convert_settings, option

if TYPE_CHECKING:
    from charrnn.corpus import Corpus
    from charrnn.events import Finished
    from charrnn.runs import Run

EXAMPLE = """Train a small recurrent network on any text, and write more like it.

\b
charrnn train shakespeare.txt
charrnn sample --temperature 0.8
"""

EXIT_CODES = """\b
Exit codes:
  0    done (a time budget reached and a closed pipe too)
  1    failure while running: disk, memory, a bug
  2    usage, or input that cannot be used
  3    training diverged
  4    checkpoint damaged, foreign or newer
  75   try again: the run is being trained by another process
  129, 130, 143   stopped by a signal; saved, if there was something to save
"""

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CHARRNN"}

SCHEMA = 1
"""Version of the JSON that commands print."""


@click.group(context_settings=CONTEXT, help=EXAMPLE, epilog=EXIT_CODES)
@click.version_option(__version__, message="charrnn %(version)s")
def cli() -> None:
    """Hold the commands."""


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command has."""
    for decorate in (
        option("--debug", is_flag=True, group="Output", help="Show tracebacks."),
        option("-v", "--verbose", is_flag=True, group="Output", help="Say more on stderr."),
        option("-q", "--quiet", is_flag=True, group="Output", help="Only errors on stderr."),
        option("--json", "as_json", is_flag=True, group="Output", help="Print JSON on stdout."),
        option(
            "--checkpoints", type=click.Path(path_type=Path), default=Path("checkpoints"),
            metavar="DIR", group="Output", help="Folder of all runs. [default: checkpoints]",
        ),
    ):  # fmt: skip
        function = decorate(function)
    return function


def make_console(quiet: bool, verbose: bool) -> Console:
    """Return the console for -q and -v."""
    if quiet and verbose:
        raise InputError("-q and -v: they exclude each other; give one of them")
    return Console(-1 if quiet else int(verbose))


@cli.command(cls=GroupedCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@config_options(TrainConfig)
@option("--run", metavar="NAME", group="Output", help="Name of the run. [default: the file's]")
@option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", group="Output",
    help="TOML with settings; flags and environment beat it.",
)  # fmt: skip
@option("--dry-run", is_flag=True, group="Output", help="Show all settings and stop.")
@common
@click.pass_context
def train(
    ctx: click.Context, /, files: tuple[str, ...], run: str | None, config_file: Path | None,
    dry_run: bool, checkpoints: Path, as_json: bool, quiet: bool, verbose: bool, debug: bool,
    **settings: Any,
) -> None:  # fmt: skip
    """Learn a text: files, directories, or - for stdin.

    Prints the path of the model on stdout. Without a budget it takes 40 epochs or 10 minutes,
    whichever is shorter; --max-time 1h for more.

    Every option can also be set by environment: CHARRNN_TRAIN_LR=0.002.
    """
    from charrnn.runs import create_run, default_name

    console = make_console(quiet, verbose)
    with spooled(files, checkpoints) as paths:
        config, origins, corpus = prepare(ctx, settings, config_file, paths, console)
        if dry_run:
            from charrnn.writing import print_result

            print_result(to_toml(as_settings(config), origins).rstrip())
            return
        sources = [Path(name) for name in files]
        new_run = create_run(checkpoints, run, sources)
        corpus = keep_spooled(corpus, paths, sources, new_run.folder)
        if new_run.folder.name != default_name(sources) and run is None:
            console.note(f"the name was taken; this run is {new_run.folder.name}")
        train_run(new_run, config, corpus, console, as_json)


def prepare(
    ctx: click.Context, settings: dict[str, Any], config_file: Path | None, paths: list[Path],
    console: Console,
) -> tuple[TrainConfig, dict[str, str], "Corpus"]:  # fmt: skip
    """Return the resolved settings, where each came from, and the text."""
    from charrnn.corpus import load_corpus
    from charrnn.sizes import preset

    flags = from_source(ctx, settings, ParameterSource.COMMANDLINE)
    environment = from_source(ctx, settings, ParameterSource.ENVIRONMENT)
    where = f"--config: {config_file}"
    file = convert_settings(read_settings(config_file), where) if config_file else {}
    values, origins = resolve(flags, environment, file, {})
    draft = TrainConfig(**values)  # checks everything before a long text is read
    corpus = load_corpus(paths, draft)
    for note in corpus.notes:
        console.note(note)
    given = {name: value for name, value in values.items() if origins[name] != "default"}
    chosen = preset(draft.size, make_task(draft, corpus, given), given)
    values, origins = resolve(flags, environment, file, chosen)
    config = fit_to_text(TrainConfig(**values), corpus, console)
    console.line(plan_text(config, corpus))
    return config, origins, corpus


def from_source(
    ctx: click.Context, settings: dict[str, Any], source: ParameterSource
) -> dict[str, Any]:
    """Return the settings that came from one source."""
    return {n: v for n, v in settings.items() if ctx.get_parameter_source(n) is source}


def make_task(config: TrainConfig, corpus: "Corpus", given: dict[str, Any]) -> Any:
    """Return what a network is wanted for; the machine is only timed where it matters."""
    from charrnn.device import pick_device, pick_precision, speed_class
    from charrnn.schedule import DEFAULT_EPOCHS, DEFAULT_SECONDS
    from charrnn.sizes import NOMINAL_SPEED, Task

    device = pick_device(config.device)
    precision = pick_precision(config.precision, device)
    is_open = config.steps is None and config.epochs is None and config.max_time is None
    seconds = DEFAULT_SECONDS if is_open else config.max_time
    has_size = config.size != "auto" or {"hidden_size", "num_layers"} <= given.keys()
    return Task(
        num_chars=len(corpus.train),
        vocab_size=corpus.vocab.size,
        epochs=DEFAULT_EPOCHS if is_open else config.epochs,
        steps=config.steps,
        seconds=seconds,
        flops_per_second=NOMINAL_SPEED if has_size else speed_class(device, precision),
        cell=config.cell,
    )


def fit_to_text(config: TrainConfig, corpus: "Corpus", console: Console) -> TrainConfig:
    """Return settings whose batch and window the text can fill, noting what was changed."""
    from charrnn.training import fit_batches

    size, window = fit_batches(corpus, config)
    if (size, window) != (config.batch_size, config.seq_len):
        console.note(
            f"a small text: {size} streams of {window} characters "
            f"instead of {config.batch_size} of {config.seq_len}"
        )
    return replace(config, batch_size=size, seq_len=window)


def plan_text(config: TrainConfig, corpus: "Corpus") -> str:
    """Return the line about text, network and budget."""
    from charrnn.console import time_text

    names = ", ".join(printable(Path(name).name) for name in corpus.files[:3])
    more = f" and {len(corpus.files) - 3} more" if len(corpus.files) > 3 else ""
    limits = [f"{config.steps:,} steps"] if config.steps else []
    limits += [f"{config.epochs:g} epochs"] if config.epochs else []
    limits += [time_text(config.max_time)] if config.max_time else []
    budget = " or ".join(limits) or "40 epochs or 10m, whichever is first; --max-time 1h for more"
    unit = "bytes" if config.bytes else "characters"
    return (
        f"{names}{more}: {len(corpus.train) + len(corpus.val):,} {unit}, "
        f"{corpus.vocab.size:,} different; {config.cell} "
        f"{config.num_layers}×{config.hidden_size}; {budget}"
    )


def as_settings(config: TrainConfig) -> dict[str, Any]:
    """Return the settings by name."""
    return {each.name: getattr(config, each.name) for each in fields(TrainConfig)}


@contextmanager
def spooled(files: tuple[str, ...], checkpoints: Path) -> Iterator[list[Path]]:
    """Yield the paths to read: stdin, given as -, is copied into a file first."""
    paths = [Path(name) for name in files]
    if "-" not in files:
        yield paths
        return
    if files.count("-") > 1:
        raise InputError("-: stdin can be read only once")
    spool = checkpoints / f".stdin.{os.getpid()}.tmp"
    try:
        copy_stdin(spool)
        yield [spool if str(path) == "-" else path for path in paths]
    finally:
        spool.unlink(missing_ok=True)


def copy_stdin(spool: Path) -> None:
    """Copy stdin into a file."""
    import shutil

    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("-: stdin is a terminal; pipe a text into it")
    try:
        spool.parent.mkdir(parents=True, exist_ok=True)
        with spool.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    except OSError as error:
        raise InputError(f"{printable(spool.parent)}: {os.strerror(error.errno or 0)}") from None


def keep_spooled(
    corpus: "Corpus", paths: list[Path], sources: list[Path], folder: Path
) -> "Corpus":
    """Move what came from stdin into the run, so that it can be read again."""
    for path, source in zip(paths, sources, strict=True):
        if path != source:
            path.replace(folder / "input.txt")
            files = (str(folder / "input.txt") if f == str(path) else f for f in corpus.files)
            return replace(corpus, files=tuple(files))
    return corpus


def train_run(
    run: "Run", config: TrainConfig, corpus: "Corpus", console: Console, as_json: bool
) -> None:
    """Train, show what happens, and print the result; the exit code tells how it ended."""
    from charrnn.events import Finished, Planned, Step
    from charrnn.signals import Interrupts
    from charrnn.training import train as run_training

    result: dict[str, Any] = {"step": 0, "epoch": 0.0, "stop_reason": "error"}
    settings = as_settings(config)
    write_config(run, settings)
    with Interrupts() as interrupts:
        try:
            for event in run_training(config, corpus, run, should_stop=interrupts):
                console.show(event)
                if isinstance(event, Planned):
                    names = ("eval_every", "save_every", "sample_every")
                    write_config(run, settings | {name: getattr(event, name) for name in names})
                if isinstance(event, Step):
                    result |= {"step": event.step, "epoch": event.epoch, "seconds": event.seconds}
                    result |= {"chars_per_second": event.chars_per_second}
                if isinstance(event, Finished):
                    result |= finished_result(event)
        except CharRNNError as error:
            result["stop_reason"] = "diverged" if error.exit_code == 3 else "error"
            raise
        finally:
            console.close()
            run.discard_if_empty()
            report_result(run, result, as_json)
            run.close()
    hint_at_sampling(run, console)
    if interrupts.received is not None:
        sys.exit(128 + interrupts.received)


def write_config(run: "Run", settings: dict[str, Any]) -> None:
    """Write the run's settings; without --size, since the sizes stand there."""
    text = to_toml({name: value for name, value in settings.items() if name != "size"})
    (run.folder / "config.toml").write_text(text, encoding="utf-8")


def finished_result(event: "Finished") -> dict[str, Any]:
    """Return what a run's JSON says of its end."""
    names = ("step", "epoch", "val_loss", "bits_per_char", "chars_per_second", "seconds")
    return {name: getattr(event, name) for name in (*names, "stop_reason")}


def report_result(run: "Run", result: dict[str, Any], as_json: bool) -> None:
    """Print the path of the best model, or the run as JSON, if anything was saved."""
    from charrnn.writing import print_result

    if not run.best.exists():
        return
    if not as_json:
        print_result(os.fspath(run.best))
        return
    keys = ("step", "epoch", "val_loss", "bits_per_char", "chars_per_second", "seconds")
    line = {"schema": SCHEMA, "run": run.folder.name, "best": os.fspath(run.best)}
    line |= {key: result.get(key) for key in (*keys, "stop_reason")}
    print_result(json.dumps(line, ensure_ascii=False))


def hint_at_sampling(run: "Run", console: Console) -> None:
    """Say what to do next, to people."""
    if console.is_live:
        where = (
            ""
            if run.folder.parent == Path("checkpoints")
            else f" --checkpoints {run.folder.parent}"
        )
        console.line(f"try: charrnn sample {run.folder.name}{where}")


@cli.command(cls=GroupedCommand)
@click.argument("model", required=False)
@option("-p", "--prompt", group="Text", metavar="TEXT", help="Go on from this text.")
@option(
    "--prompt-file", type=click.Path(path_type=Path), metavar="FILE", group="Text",
    help="Go on from the text of a file.",
)  # fmt: skip
@config_options(SampleConfig, group="Text")
@option(
    "-n",
    "num_samples",
    type=Integer(),
    default=1,
    group="Text",
    help="How many texts. [default: 1]",
)
@option(
    "--stop", "stops", multiple=True, metavar="STR", group="Text", allow_from_autoenv=False,
    help="End a text before this string; may be given several times.",
)  # fmt: skip
@option("--seed", type=Integer(), group="Text", help="Same seed, same text. [default: random]")
@option(
    "--batch-size", type=Integer(), group="Text",
    help="Texts written side by side. [default: 64, or 1 for a single text]",
)  # fmt: skip
@option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", group="Output",
    help="Write into a file instead of stdout.",
)  # fmt: skip
@option("--no-echo-prompt", is_flag=True, group="Output", help="Leave the prompt out of the text.")
@option(
    "--raw", is_flag=True, group="Output", help="Send control characters to a terminal as they are."
)
@common
def sample(
    model: str | None, prompt: str | None, prompt_file: Path | None, num_samples: int,
    stops: tuple[str, ...], seed: int | None, batch_size: int | None, output: Path | None,
    no_echo_prompt: bool, raw: bool, checkpoints: Path, as_json: bool, quiet: bool,
    verbose: bool, debug: bool, **settings: Any,
) -> None:  # fmt: skip
    """Write text with a trained model.

    MODEL is a run's name or folder, or a checkpoint file; without it the newest model of all
    runs is taken. Without a prompt the text starts as a line does.
    """
    console = make_console(quiet, verbose)
    config = SampleConfig(**{name: v for name, v in settings.items() if v is not None})
    check_counts(num_samples, batch_size, seed)
    prompt = read_prompt(prompt, prompt_file)

    from charrnn.checkpoint import load_model
    from charrnn.runs import find_model
    from charrnn.sampling import BATCH_SIZE, Sampler
    from charrnn.writing import open_page, write_json, write_samples, write_stream

    path = find_model(checkpoints, model)
    sampler = Sampler(load_model(path), stops)
    sampler.check_prompt(prompt)
    if verbose:
        console.line(f"model {printable(path)}")
    if seed is None:
        seed = int.from_bytes(os.urandom(6), "big")
        console.line(f"seed {seed}")
    echo, is_single = not no_echo_prompt, num_samples == 1 and (batch_size or 1) == 1
    with open_page(output, raw=raw) as page:
        if is_single and not as_json:
            write_stream(page, sampler, prompt, config, seed, echo=echo)
            return
        rows = max(2, batch_size or BATCH_SIZE)
        samples = (
            iter([sampler.sample(prompt, config, seed)])
            if is_single
            else sampler.many(prompt, config, seed, num_samples, rows)
        )
        if as_json:
            write_json(page, samples)
        else:
            write_samples(page, samples, sampler, echo=echo)


def check_counts(num_samples: int, batch_size: int | None, seed: int | None) -> None:
    """Refuse counts that make no sense."""
    if num_samples < 0:
        raise InputError(f"-n: must be at least 0, got {num_samples}")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"--batch-size: must be at least 1, got {batch_size}")
    if seed is not None and not 0 <= seed < 2**63:
        raise InputError(f"--seed: must be in [0, 2^63), got {seed}")


def read_prompt(prompt: str | None, path: Path | None) -> str:
    """Return the prompt from the command line or a file."""
    if path is None:
        return prompt or ""
    if prompt is not None:
        raise InputError("--prompt and --prompt-file: they exclude each other; give one of them")
    try:
        return path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise InputError(
            f"--prompt-file: {printable(path)}: {os.strerror(error.errno or 0)}"
        ) from None


def main() -> None:
    """Run the command line; leave with the exit code that the help describes."""
    sys.exit(run_cli(sys.argv[1:]))


def run_cli(arguments: list[str]) -> int:
    """Return the exit code of a command line; every error is one line on stderr."""
    try:
        result = cli.main(arguments, prog_name="charrnn", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.exceptions.Abort):
        return 130
    except Exception as error:
        if "--debug" in arguments:
            raise
        return report(error)


def report(error: Exception) -> int:
    """Print an error as one line and return its exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, click.ClickException):
        command = (
            error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        )
        hint = f"; see {command} --help" if command else ""
        Console().error(error.format_message().rstrip(".") + hint)
        return 2
    if isinstance(error, ClosedPipeError):
        return error.exit_code
    if isinstance(error, CharRNNError):
        Console().error(str(error))
        return error.exit_code
    Console().error(describe_failure(error))
    return 1


def describe_failure(error: Exception) -> str:
    """Return what happened, for errors that no command expects."""
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, MemoryError) or "memory" in first_line:
        return f"out of memory: {first_line}; use a smaller --batch-size or --hidden-size"
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or first_line}"
    return f"{type(error).__name__}: {first_line}; this is a bug, --debug shows where"
