"""`charrnn sample`: options -> texts on stdout or in a file."""

import os
from pathlib import Path
from typing import Any

import click

from charrnn.completing import complete_models
from charrnn.config import SampleConfig
from charrnn.configfile import read_small_file
from charrnn.errors import InputError, printable
from charrnn.options import GroupedCommand, Integer, common, config_options, make_console, option

LONGEST_PROMPT = 64 << 20
"""Bytes; a device may go on for ever."""


@click.command(cls=GroupedCommand)
@click.argument("model", required=False, shell_complete=complete_models)
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
