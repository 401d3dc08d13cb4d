"""`charrnn sample`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charrnn.cli.completion import complete_models
from charrnn.cli.option_types import FilePath, Integer
from charrnn.cli.options import Common, GroupedCommand, common, config_options, force_option, option
from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.core.overwriting import check_output

if TYPE_CHECKING:
    from charrnn.sampling.generate import SampleRequest
    from charrnn.sampling.writer import Explain


@click.command(cls=GroupedCommand)
@click.argument("model", required=False, shell_complete=complete_models)
@option("-p", "--prompt", group="Text", metavar="TEXT", help="Text to continue.")
@option(
    "--prompt-file", type=FilePath(), metavar="FILE", group="Text",
    help="Continue the text of a file.",
)  # fmt: skip
@option(
    "--prompts", type=FilePath(allow_dash=True), metavar="FILE", group="Text",
    help="Continue each line of a file; stdin (-) and files named *.jsonl have JSON lines: strings, "
    "or objects with a prompt.",
)  # fmt: skip
@option(
    "--ends-with", metavar="TEXT", group="Text",
    help="End with TEXT: written from the end to the start by a backward model (train --direction "
    "backward) of the text of MODEL.",
)  # fmt: skip
@option(
    "--backward", metavar="MODEL", group="Text", shell_complete=complete_models,
    help="Backward model for --ends-with. [default: MODEL, or the newest run on the same text]",
)  # fmt: skip
@config_options(SampleConfig)
@option(
    "-n",
    "num_samples",
    type=Integer(),
    default=1,
    group="Text",
    help="Number of texts for each prompt and temperature. [default: 1]",
)
@option(
    "--stop", "stops", multiple=True, metavar="STR", group="Text", allow_from_autoenv=False,
    help="End a text before this string; can be given several times.",
)  # fmt: skip
@option(
    "--seed",
    type=Integer(),
    group="Text",
    help="The same seed gives the same text. [default: random]",
)
@option(
    "--batch-size", type=Integer(), group="Text",
    help="Number of texts generated side by side; a GPU uses its own. [default: 64, 256 for "
    "a model of lines, 1 for a single text]",
)  # fmt: skip
@option(
    "--device", default="cpu", metavar="D", group="Text",
    help="cpu, or cuda[:N] for thousands of texts; auto is cuda if there is a GPU. [default: cpu]",
)  # fmt: skip
@option(
    "--precision", type=click.Choice(("fp32", "bf16")), default="fp32", group="Text",
    help="Number format of the weights: bf16 takes half the memory, which is faster on a CPU; the "
    "same seed then gives another text. [default: fp32]",
)  # fmt: skip
@option(
    "--memory-from", multiple=True, metavar="FILE[:F]", group="Mixing", allow_from_autoenv=False,
    help="Mix in the n-gram memory of another text with weight F, without training: 0 is the model "
    "as it is, 1 that memory alone. [default: 0.5] Can be given several times.",
)  # fmt: skip
@option(
    "--with", "others", multiple=True, metavar="MODEL[:F]", group="Mixing",
    allow_from_autoenv=False, shell_complete=complete_models,
    help="Multiply the probabilities p of the model with those of another one, q, as p^(1 - F) q^F: "
    "the text is what both find likely. [default: 0.5] Can be given several times.",
)  # fmt: skip
@option(
    "-o", "--output", type=FilePath(), metavar="FILE", group="Output",
    help="Write to a file instead of stdout.",
)  # fmt: skip
@force_option
@option(
    "--resume", is_flag=True, group="Output",
    help="Continue the output file of an interrupted command, or create it; no text is lost or "
    "repeated. Needs --json and -o.",
)  # fmt: skip
@option(
    "--novel", type=FilePath(allow_dash=True), metavar="CORPUS", group="Output",
    help="Leave out texts that occur in a corpus: as one of its lines, if the model has --lines, else "
    "anywhere in it. No text is written twice, and -n counts the texts that are kept.",
)  # fmt: skip
@option(
    "--check-copies", type=FilePath(allow_dash=True), metavar="CORPUS", group="Output",
    help="Find spans that occur verbatim in a corpus: the longest, if it has 16 characters or more, "
    "and the share of text in spans of 30 or more, which a terminal shows in reverse video.",
)  # fmt: skip
@option(
    "--explain", is_flag=True, group="Output",
    help="Show where each character comes from: the share of the n-gram memory in its probability, "
    "as colours or as marks below each line, and spans of 12 characters or more of the training "
    "text (or of --check-copies), with file and line. With --json: shares and passages.",
)  # fmt: skip
@option(
    "--no-echo-prompt", is_flag=True, group="Output", help="Do not print the prompt before a text."
)
@option(
    "--raw", is_flag=True, group="Output", help="Send control characters to a terminal unchanged."
)
@common
def sample(
    model: str | None, prompt: str | None, prompt_file: Path | None, prompts: Path | None,
    ends_with: str | None, backward: str | None,
    num_samples: int, stops: tuple[str, ...], seed: int | None, batch_size: int | None,
    device: str, precision: str, memory_from: tuple[str, ...], others: tuple[str, ...], output: Path | None, force: bool, resume: bool, novel: Path | None, check_copies: Path | None,
    explain: bool, no_echo_prompt: bool, raw: bool, common: Common, **settings: Any,
) -> None:  # fmt: skip
    """Generate text with a trained model.

    MODEL is the name or folder of a run, or a checkpoint file; the default is the newest
    forward model. Without a prompt, a text starts at the beginning of a line. With --json, each text is
    an object with its seed; -n 1 --batch-size 2 --seed SEED generates it again.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    temperatures = given.pop("temperature", (SampleConfig().temperature,))
    configs = [SampleConfig(**given, temperature=each) for each in temperatures]

    from charrnn.checkpoints.names import find_model, newest_note
    from charrnn.checkpoints.partner import named_model
    from charrnn.mixing.request import parse_mixing
    from charrnn.sampling.generate import SampleRequest, generate
    from charrnn.sampling.prefill import PromptOptions

    if model is None and backward is not None:
        path = named_model(common.checkpoints, "backward", backward)
    else:
        path = find_model(common.checkpoints, model, writes=ends_with is None)
    if model is None and backward is None:
        common.console.note(newest_note(path))
    if ends_with is not None or backward is not None:
        path = backward_model(path, ends_with, backward, common)
    mixing = parse_mixing(memory_from, others, common.checkpoints)
    inputs = (path, prompt_file, prompts, novel, check_copies, *mixing.paths)
    check_output(output, inputs, force=force or resume)  # --resume has a stricter check of its own
    request = SampleRequest(
        model=path,
        configs=configs,
        num_samples=num_samples,
        stops=stops,
        seed=seed,
        batch_size=batch_size,
        device=device,
        precision=precision,
        output=output,
        resume=resume,
        check_copies=check_copies,
        novel=novel,
        mixing=mixing,
        echo=not no_echo_prompt,
        raw=raw,
        as_json=common.as_json,
    )
    given_prompts = PromptOptions(
        ends_with=ends_with, prompt=prompt, file=prompt_file, lines=prompts
    )
    origins = make_origins(request, common) if explain else None
    generate(request, given_prompts, common.console, common.checkpoints, origins)


def make_origins(request: "SampleRequest", common: Common) -> "Explain":
    """Return what writes texts with their origins.

    Raises:
        InputError: Several models are multiplied: no part of a product has a share.
    """
    from charrnn.viz.origins import Origins

    if request.mixing.models:
        raise InputError("--explain and --with: a product of models has no shares; leave out one")
    added = tuple(str(path) for path, weight in request.mixing.texts if weight)
    return Origins(
        request.model, request.configs[0], added, request.as_json, request.echo, common.console
    ).write


def backward_model(model: Path, ending: str | None, named: str | None, common: Common) -> Path:
    """Return the backward model that writes a text with this ending; name it unless the user did.

    Raises:
        InputError: There is none, or no ending.
    """
    from charrnn.checkpoints.partner import find_partner, name_of, no_partner

    if ending is None:
        raise InputError(
            "--backward: is for --ends-with TEXT; to use a model itself, name it as MODEL"
        )
    path = find_partner(common.checkpoints, model, "backward", named)
    if path is None:
        raise no_partner(model, "backward")
    if named is None and path != model:
        common.console.note(f"--ends-with: the backward model is {name_of(path)}")
    return path
