"""`charrnn export`."""

import shlex
from pathlib import Path

import click

from charrnn.cli.completion import complete_models
from charrnn.cli.option_types import FilePath
from charrnn.cli.options import Common, GroupedCommand, common, force_option, option
from charrnn.core.overwriting import check_output


@click.command(cls=GroupedCommand)
@click.argument("model", shell_complete=complete_models)
@option("--no-memory", is_flag=True, group="Model", help="Leave out the n-gram memory.")
@option(
    "--title", metavar="TEXT", group="Model",
    help="Title of the page. [default: the name of the run or file]",
)  # fmt: skip
@option(
    "--with-text", "texts", type=FilePath(), multiple=True, metavar="FILE", group="Model",
    allow_from_autoenv=False,
    help="Put this text into the page, which then underlines spans of 12 characters or more that are "
    "in it, names file and line, and lists units that respond to it. Can be given several times.",
)  # fmt: skip
@option(
    "-o", "--output", type=FilePath(), metavar="FILE", group="Output", required=True,
    help="A page (.html), or the model in it as a checkpoint (.safetensors).",
)  # fmt: skip
@force_option
@common
def export(
    model: str, no_memory: bool, title: str | None, texts: tuple[Path, ...], output: Path,
    force: bool, common: Common,
) -> None:  # fmt: skip
    """Export a model as one page that writes, for any browser.

    MODEL is the name or folder of a run, or a checkpoint file. The page needs no other file and no
    network: it can be sent, opened from a disk and used on a phone. Its readers type and let the
    model continue, look at any character and take another one. Weights have 16 bits; contexts of the
    n-gram memory are shortened if the page would have more than 5 MB. The page has no text that the
    model was trained on, except with --with-text.

    With -o FILE.safetensors, the same model is written as a checkpoint: sample draws from it as the
    page does.
    """
    from charrnn.checkpoints.names import find_model
    from charrnn.core.output import json_line, print_result
    from charrnn.export.command import ExportRequest, run_export

    use = f"charrnn export {{model}} -o {shlex.quote(str(output))}"
    path = find_model(common.checkpoints, model, use, writes=True)
    check_output(output, [path, *texts], force=force)
    request = ExportRequest(
        model=path, output=output, with_memory=not no_memory, title=title, texts=texts
    )
    with common.console.waiting("packing the model"):
        exported = run_export(request)
    for note in exported.notes():
        common.console.note(note)
    if common.as_json:
        print_result(
            json_line(
                {
                    "output": str(output),
                    "bytes": exported.num_bytes,
                    "weights": "fp16",
                    "order": exported.order,
                }
            )
        )
    else:
        print_result(str(output))
