"""Options -> configs -> library -> console and stdout. One short function a command."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from charrnn import __version__
from charrnn.config import SampleConfig, ScoreConfig, TrainConfig
from charrnn.configfile import read_settings, read_small_file
from charrnn.console import Console
from charrnn.errors import InputError, printable
from charrnn.options import GroupedCommand, Integer, config_options, convert_settings, option

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
  75   try again: another process trains the run, or it was saved on SIGUSR1
  129, 130, 143   stopped by a signal; saved, if there was something to save
"""

READING = ("bytes", "encoding", "newlines", "lines", "val_frac", "max_time")
"""Settings that say how a text is read and what time there is for it, for `info`."""

LONGEST_PROMPT = 64 << 20
"""Bytes; a device may go on for ever."""

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CHARRNN"}


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
@click.argument("files", nargs=-1, metavar="FILE...")
@config_options(TrainConfig)
@option("--run", metavar="NAME", group="Output", help="Name of the run. [default: the file's]")
@option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", group="Output",
    help="TOML with settings; flags and environment beat it.",
)  # fmt: skip
@option(
    "--resume", is_flag=True, group="Output",
    help="Go on with the run exactly where it was saved, or start it if there is none; FILE may "
    "be left out with --run. For a new run from trained weights see --init-from.",
)  # fmt: skip
@option(
    "--init-from", metavar="MODEL", group="Size",
    help="Start a new run from the weights of a model, with its sizes. To go on with a run that "
    "was stopped see --resume.",
)  # fmt: skip
@option("--dry-run", is_flag=True, group="Output", help="Show all settings and stop.")
@common
@click.pass_context
def train(
    ctx: click.Context, /, files: tuple[str, ...], run: str | None, config_file: Path | None,
    resume: bool, init_from: str | None, dry_run: bool, checkpoints: Path, as_json: bool,
    quiet: bool, verbose: bool, debug: bool, **settings: Any,
) -> None:  # fmt: skip
    """Learn a text: files, directories, or - for stdin.

    Prints the path of the model on stdout. Without a budget it takes 40 epochs or 10 minutes,
    whichever is shorter; --max-time 1h for more.

    Every option can also be set by environment: CHARRNN_TRAIN_LR=0.002.
    """
    console = make_console(quiet, verbose)
    flags = from_source(ctx, settings, ParameterSource.COMMANDLINE)
    environment = from_source(ctx, settings, ParameterSource.ENVIRONMENT)
    file = read_config(config_file)

    from charrnn.preparing import Given
    from charrnn.starting import Request, start

    request = Request(
        files=files,
        given=Given(flags, environment, file),
        run=run,
        resume=resume,
        init_from=init_from,
        checkpoints=checkpoints,
        dry_run=dry_run,
        as_json=as_json,
    )
    ctx.exit(start(request, console))


def read_config(path: Path | None) -> dict[str, Any]:
    """Return the settings of a --config file, as the command line would have them."""
    if path is None:
        return {}
    return convert_settings(read_settings(path), f"--config: {printable(path)}")


def from_source(
    ctx: click.Context, settings: dict[str, Any], source: ParameterSource
) -> dict[str, Any]:
    """Return the settings that came from one source."""
    return {n: v for n, v in settings.items() if ctx.get_parameter_source(n) is source}


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
    help="Texts written side by side; a GPU takes as many as it likes. [default: 64, or 1 for a "
    "single text]",
)  # fmt: skip
@option(
    "--device", default="cpu", metavar="D", group="Text",
    help="cpu, or cuda[:N] for very many texts; auto is cuda where there is one. [default: cpu]",
)  # fmt: skip
@option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", group="Output",
    help="Write into a file instead of stdout.",
)  # fmt: skip
@option(
    "--check-copies", type=click.Path(path_type=Path), metavar="CORPUS", group="Output",
    help="Say which spans stand verbatim in a text: the longest, and the share in spans of 30 "
    "characters or more, which a terminal shows in reverse.",
)  # fmt: skip
@option("--no-echo-prompt", is_flag=True, group="Output", help="Leave the prompt out of the text.")
@option(
    "--raw", is_flag=True, group="Output", help="Send control characters to a terminal as they are."
)
@common
def sample(
    model: str | None, prompt: str | None, prompt_file: Path | None, num_samples: int,
    stops: tuple[str, ...], seed: int | None, batch_size: int | None, device: str,
    output: Path | None, check_copies: Path | None, no_echo_prompt: bool, raw: bool,
    checkpoints: Path, as_json: bool, quiet: bool, verbose: bool, debug: bool, **settings: Any,
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
    from charrnn.copies import Source
    from charrnn.finding import find_model
    from charrnn.reading import reading_of
    from charrnn.writing import (
        checked,
        make_sampler,
        open_page,
        write_json,
        write_samples,
        write_stream,
    )

    path = find_model(checkpoints, model)
    sampler = make_sampler(load_model(path), stops, device)
    sampler.check_prompt(prompt)
    source = Source([check_copies], reading_of(sampler.model)) if check_copies else None
    if verbose:
        console.line(f"model {printable(path)}; {sampler.engine}")
    if seed is None:
        seed = int.from_bytes(os.urandom(6), "big")
        console.line(f"seed {seed}")
    echo, is_single = not no_echo_prompt, num_samples == 1 and (batch_size or 1) == 1
    with open_page(output, raw=raw) as page:
        if is_single and sampler.is_streaming and not as_json and source is None:
            write_stream(page, sampler, prompt, config, seed, echo=echo)
            return
        samples = (
            iter([sampler.sample(prompt, config, seed)])
            if is_single
            else sampler.many(prompt, config, seed, num_samples, batch_size)
        )
        if as_json:
            write_json(page, checked(samples, source, console))
        else:
            write_samples(page, checked(samples, source, console), sampler, echo=echo)


@cli.command(cls=GroupedCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@option(
    "-m", "--model", metavar="MODEL", group="Scoring",
    help="A run's name or folder, or a checkpoint file. [default: the newest]",
)  # fmt: skip
@option(
    "--protocol", "protocols", multiple=True, metavar="NAME", group="Scoring",
    allow_from_autoenv=False,
    help="streamed carries the state through the text; cold-W begins anew every W characters. May "
    "be given several times. [default: streamed and cold-256]",
)  # fmt: skip
@option(
    "--adapt", is_flag=True, group="Scoring",
    help="Network and memory go on learning from what they have scored: streamed-adapted.",
)  # fmt: skip
@option(
    "--held-out", is_flag=True, group="Scoring",
    help="Of the files that the model learned, score only the part that was held out.",
)  # fmt: skip
@config_options(ScoreConfig, group="Scoring")
@common
def score(
    files: tuple[str, ...], model: str | None, protocols: tuple[str, ...], adapt: bool,
    held_out: bool, checkpoints: Path, as_json: bool, quiet: bool, verbose: bool, debug: bool,
    **settings: Any,
) -> None:  # fmt: skip
    """Say what texts cost a model: how well it expects each next character.

    FILE is a text, a folder, or - for stdin. A loss is in nats per character, a mean over the
    text; beside it stand bits per character and per byte, and perplexity. A model of lines scores
    line by line; --json prints each.
    """
    console = make_console(quiet, verbose)
    config = ScoreConfig(**{name: v for name, v in settings.items() if v is not None})

    from charrnn.checkpoint import load_model
    from charrnn.finding import find_model
    from charrnn.protocols import ADAPTED, parse_protocol
    from charrnn.spool import spooled
    from charrnn.writing import print_result

    wanted = tuple(map(parse_protocol, protocols)) + ((ADAPTED,) if adapt else ())
    path = find_model(checkpoints, model)
    loaded = load_model(path)
    with spooled(files, checkpoints) as paths:
        from charrnn.scoring import Scorer, lines_of

        scorer = Scorer(loaded, config, wanted, console.counting)
        names = {path: "stdin" for path, name in zip(paths, files, strict=True) if name == "-"}
        for text in scorer.texts(paths, names, is_held_out=held_out):
            found = list(scorer.score(text, each=as_json))
            lines = [json.dumps(each.as_json()) for each in found] if as_json else lines_of(found)
            print_result("\n".join(lines))
    if verbose:
        console.line(f"model {printable(path)}")


@cli.command(cls=GroupedCommand)
@click.argument("path", required=False)
@config_options(TrainConfig, group="Of a text", only=READING)
@common
@click.pass_context
def info(
    ctx: click.Context, /, path: str | None, checkpoints: Path, as_json: bool, quiet: bool,
    verbose: bool, debug: bool, **settings: Any,
) -> None:  # fmt: skip
    """Say what a text or a checkpoint is, before an hour is spent on it.

    PATH is a text or a folder of texts; or a checkpoint file, or a run's name or folder, which
    means its best; without it the newest model of all runs is taken.

    Of a text: encoding, characters, split, what the memory alone makes of it, which network would
    be picked, and how fast it learns here. Of a checkpoint: network, characters, text, settings,
    losses and digests; two full ones with the same state digest go on alike, bit for bit.
    """
    make_console(quiet, verbose)

    from charrnn.finding import find_model, is_text
    from charrnn.inspection import inspect, lines_of
    from charrnn.writing import print_result

    if path is not None and is_text(checkpoints, path, has_any_bytes=bool(settings["bytes"])):
        flags = from_source(ctx, settings, ParameterSource.COMMANDLINE)
        environment = from_source(ctx, settings, ParameterSource.ENVIRONMENT)
        survey_text(Path(path), flags, environment, as_json=as_json)
        return
    found = inspect(find_model(checkpoints, path))
    print_result(json.dumps(found) if as_json else "\n".join(lines_of(found)))


def survey_text(
    path: Path, flags: dict[str, Any], environment: dict[str, Any], *, as_json: bool
) -> None:
    """Print what a text is, each line as it is found."""
    from charrnn.preparing import Given
    from charrnn.surveying import survey
    from charrnn.writing import print_result

    facts: dict[str, Any] = {}
    for finding in survey([path], Given(flags, environment, {})):
        facts |= finding.facts
        if not as_json:
            print_result(f"{finding.name:<16} {finding.text}")
    if as_json:
        print_result(json.dumps(facts))


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
    data = read_small_file(path, "--prompt-file", LONGEST_PROMPT)
    return data.decode("utf-8-sig", "surrogateescape")
