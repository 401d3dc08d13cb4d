"""`charrnn fill`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from charrnn.cli.completion import complete_files, complete_models
from charrnn.cli.option_types import Integer
from charrnn.cli.options import Common, GroupedCommand, as_one, common, option
from charrnn.core.errors import InputError
from charrnn.core.seeds import random_seed

if TYPE_CHECKING:
    from charrnn.checkpoints.model import Model
    from charrnn.infill.draft import Filled
    from charrnn.infill.models import Pair
    from charrnn.infill.reader import Symbols

BOLD, PLAIN = b"\x1b[1m", b"\x1b[22m"
"""A terminal shows fillings in bold letters."""


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The models that read in both directions, as the user names them."""

    model: str | None
    backward: str | None


of_models = as_one(
    "models", ModelNames,
    option(
        "-m", "--model", metavar="MODEL", group="Text", shell_complete=complete_models,
        help="Name or folder of a run, or a checkpoint file. [default: the newest forward model]",
    ),
    option(
        "--backward", metavar="MODEL", group="Text", shell_complete=complete_models,
        help="The model that reads from the end (train --direction backward). [default: the newest on "
        "the same text; else the n-grams of the model, turned round]",
    ),
)  # fmt: skip


def find_models(command: str, names: ModelNames, texts: list[str], common: Common) -> "Pair":
    """Return the models of a command; name on stderr those that the user did not."""
    from charrnn.infill.models import find_pair

    use = f"charrnn {command} {{texts}} -m {{model}}"
    pair = find_pair(
        common.checkpoints, names.model, names.backward, use, texts, with_both=command == "proof"
    )
    for note in pair.notes:
        common.console.note(note)
    return pair


@click.command(cls=GroupedCommand)
@click.argument("draft", required=False, shell_complete=complete_files)
@of_models
@option("--before", metavar="TEXT", group="Text", help="What is before the gap.")
@option("--after", metavar="TEXT", group="Text", help="What is after the gap.")
@option(
    "--min", "least", type=Integer(), default=1, group="Text",
    help="Least number of characters in a gap. [default: 1]",
)  # fmt: skip
@option(
    "--max", "most", type=Integer(), default=40, group="Text",
    help="Most characters in a gap. [default: 40]",
)  # fmt: skip
@option(
    "-n", "count", type=Integer(), default=1, group="Text",
    help="Number of texts, the likeliest first. [default: 1]",
)  # fmt: skip
@option(
    "--seed", type=Integer(), group="Text",
    help="The same seed gives the same texts. [default: random]",
)  # fmt: skip
@common
def fill(
    draft: str | None, models: ModelNames, before: str | None, after: str | None, least: int,
    most: int, count: int, seed: int | None, common: Common,
) -> None:  # fmt: skip
    """Write what fits between two texts.

    DRAFT is a text in which [...] marks each gap, or - for stdin; or give --before and --after. The
    text is printed with its gaps filled. With --json, each text is an object with its fillings and
    their losses, in nats per character.
    """
    if (draft is None) == (after is None):
        raise InputError("fill needs either DRAFT, or --before TEXT and --after TEXT")
    if draft is not None and before is not None:
        raise InputError("--before: DRAFT has what is before each gap; leave out one of them")

    from charrnn.infill.draft import FillConfig, filled

    is_random = seed is None
    seed = random_seed() if seed is None else seed
    config = FillConfig(least, most, count, seed)
    pair = find_models("fill", models, [draft] if draft else [], common)
    pieces = read_pieces(pair.model, draft, before or "", after, common)
    if is_random:
        common.console.line(f"seed {seed}")
    total = (len(pieces) - 1) * (count if len(pieces) > 2 else 1)
    with common.console.counting(total, "gap") as report:
        texts = filled(pair.sides, pieces, pair.model.vocab, config, report)
    write(texts, pair.model, seed, common)


def read_pieces(
    model: "Model", draft: str | None, before: str, after: str | None, common: Common
) -> "tuple[Symbols, ...]":
    """Return what is around the gaps, as the text of the model was read; print what is converted."""
    from charrnn.core.stdin import spooled
    from charrnn.infill.draft import ends, read_draft

    if draft is None:
        pieces, notes = ends(model, before, after or "")
    else:
        with spooled((draft,), common.checkpoints) as (path,):
            pieces, notes = read_draft(model, path)
    for note in notes:
        common.console.note(note)
    return pieces


def write(texts: "Sequence[Filled]", model: "Model", seed: int, common: Common) -> None:
    """Print texts: records as lines, others separated by a line ---; or as JSON lines."""
    from charrnn.core.output import json_line, open_output, print_result, stdout_has_colours

    if common.as_json:
        for index, text in enumerate(texts):
            print_result(json_line(text.numbers(index, seed, model.vocab)))
        return
    marks, decode = stdout_has_colours(), model.vocab.decode
    with open_output(None, raw=False) as out:
        for index, text in enumerate(texts):
            if index:
                out.put(b"\n" if model.records else b"\n---\n")
            for ids, is_filling in text.parts():
                out.put(BOLD * (marks and is_filling))
                out.text(decode(ids), model.vocab.raw(ids))
                out.put(PLAIN * (marks and is_filling))
        if out.for_terminal or (model.records and texts):
            out.put(b"\n")
