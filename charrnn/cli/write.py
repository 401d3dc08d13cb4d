"""`charrnn write`."""

from pathlib import Path
from typing import Any

import click

from charrnn.cli.completion import complete_models
from charrnn.cli.option_types import FilePath, Integer, Number
from charrnn.cli.options import Common, GroupedCommand, common, config_options, option
from charrnn.core.config import SampleConfig

SETTINGS = ("top_k", "top_p", "memory_weight", "ban", "bias", "no_repeat")
"""Settings of `sample` that keep their meaning here."""


@click.command(cls=GroupedCommand)
@click.argument("model", required=False, shell_complete=complete_models)
@option("-p", "--prompt", group="Text", metavar="TEXT", help="Text to start with.")
@option(
    "-n", "count", type=Integer(), default=5, group="Text",
    help="Number of proposals to choose from. [default: 5]",
)  # fmt: skip
@option(
    "-l", "--length", type=Integer(), default=70, group="Text",
    help="Most characters of a proposal, which ends with its line. [default: 70]",
)  # fmt: skip
@option(
    "-t", "--temperature", type=Number(), default=0.8, group="Text",
    help="Lower is safer, higher is wilder; keys change it. [default: 0.8]",
)  # fmt: skip
@option(
    "--min-p", type=Number(), default=0.02, group="Text",
    help="Leave out characters less likely than this fraction of the most likely one, which misspell "
    "most words; 0 for none. [default: 0.02]",
)  # fmt: skip
@config_options(SampleConfig, only=SETTINGS)
@option(
    "--seed", type=Integer(), group="Text",
    help="The same seed and the same keys give the same proposals. [default: random]",
)  # fmt: skip
@option(
    "-o", "--output", type=FilePath(), metavar="FILE", group="Output",
    help="Where the text is saved; a text that was saved there before is continued. [default: asked "
    "for when you save]",
)  # fmt: skip
@option(
    "--force", is_flag=True, group="Output", allow_from_autoenv=False,
    help="Continue the text in FILE, and save there, also if charrnn did not write it.",
)  # fmt: skip
@common
def write(
    model: str | None, prompt: str | None, count: int, length: int, temperature: float, min_p: float,
    seed: int | None, output: Path | None, force: bool, common: Common, **settings: Any,
) -> None:  # fmt: skip
    """Write a text together with a model, in the terminal.

    MODEL is the name or folder of a run, or a checkpoint file; the default is the newest forward
    model. You type; Tab proposes how the text could continue at the cursor; the arrow keys choose a
    proposal, and take it whole or word by word. The screen shows its keys.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    config = SampleConfig(length=length, temperature=temperature, min_p=min_p, **given)

    from charrnn.apps.editor import WriteRequest, run_write
    from charrnn.checkpoints.names import find_model, newest_note
    from charrnn.checkpoints.partner import find_partner, name_of, no_partner
    from charrnn.core.output import json_line, print_result

    texts = [model] if model else []
    named = find_model(common.checkpoints, model, "charrnn write {model}", texts, writes=True)
    if model is None:
        common.console.note(newest_note(named))
    path = find_partner(common.checkpoints, named, "forward")
    if path is None:
        raise no_partner(named, "forward")
    if path != named:
        common.console.note(f"{name_of(named)} does not read forward; {name_of(path)} writes")
    random = {} if seed is None else {"seed": seed}
    request = WriteRequest(
        model=path,
        name=name_of(path),
        prompt=prompt,
        output=output,
        force=force,
        count=count,
        config=config,
        **random,
    )
    written = run_write(request, common.console)
    common.console.line(written.line())
    if common.as_json:
        print_result(json_line(written.numbers()))
