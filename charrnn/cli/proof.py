"""`charrnn proof`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charrnn.cli.completion import complete_files
from charrnn.cli.fill import ModelNames, find_models, of_models
from charrnn.cli.option_types import Integer, Number
from charrnn.cli.options import Common, GroupedCommand, common, option
from charrnn.cli.page import PageTarget, show, to_page
from charrnn.cli.viz import MOST
from charrnn.core.errors import InputError
from charrnn.core.overwriting import check_output

if TYPE_CHECKING:
    from charrnn.infill.proof import Suspicions
    from charrnn.infill.suggestions import Suggestion
    from charrnn.viz.render.elements import Picture
    from charrnn.viz.view import View

LENGTH = 20_000
"""Default of --length."""


@click.command(cls=GroupedCommand)
@click.argument("file", shell_complete=complete_files)
@of_models
@option(
    "-l", "--length", type=Integer(), default=LENGTH, group="Text",
    help=f"Number of characters to read, from the first. [default: {LENGTH}]",
)  # fmt: skip
@option(
    "--threshold", type=Number(), default=0.5, group="Text",
    help="Least probability of a change that is suggested, if one character in a hundred is wrong. "
    "[default: 0.5]",
)  # fmt: skip
@to_page
@common
def proof(
    file: str, models: ModelNames, length: int, threshold: float, page: PageTarget, common: Common
) -> None:  # fmt: skip
    """Show which characters of a text look wrong, and what was probably meant.

    Each character is coloured by its surprise given both sides, in bits. Changes that make the text
    likelier follow: a character replaced, inserted or deleted, or two swapped. With --json, each line
    of the text is an object with the bits of its characters and its suggestions. The file is never
    changed.
    """
    if not 1 <= length <= MOST:
        raise InputError(f"--length: must be in [1, {MOST:,}], got {length:,}")
    if not 0 <= threshold <= 1:
        raise InputError(f"--threshold: must be in [0, 1], got {threshold:g}")

    from charrnn.core.stdin import spooled, spooled_names
    from charrnn.data.vocab import ByteVocabulary
    from charrnn.infill.proof import Proof
    from charrnn.infill.suggestions import line_numbers, suggestions
    from charrnn.viz.view import read_view

    pair = find_models("proof", models, [file], common)
    check_output(page.output, [pair.path, Path(file)], force=page.force)
    with spooled((file,), common.checkpoints) as paths:
        view = read_view(pair.path, paths, spooled_names((file,), paths), length=length)
    print_notes(view, length, common)
    with common.console.waiting("reading from both sides"):
        is_bytes = isinstance(view.model.vocab, ByteVocabulary)
        proof = Proof(pair.sides, view.ids, is_bytes=is_bytes, two_way=pair.two_way)
        found = proof.suspicions()
    changes = suggestions(found, threshold)
    show(
        page, common, lambda: proof_picture(view, found, changes),
        lambda: line_numbers(view.ids, found, changes, view.model.vocab),
    )  # fmt: skip


def print_notes(view: "View", length: int, common: Common) -> None:
    """Print what is converted, and what is left out."""
    for line in view.notes:
        common.console.note(line)
    if len(view.ids) == length == LENGTH:
        unit = view.model.vocab.unit
        common.console.note(f"only the first {LENGTH:,} {unit}s are read; --length N reads more")
    if view.num_unknown:
        common.console.note(
            f"{view.num_unknown:,} characters that the model has never seen are left out"
        )


def proof_picture(view: "View", found: "Suspicions", changes: "Sequence[Suggestion]") -> "Picture":
    """Return the text, coloured by its surprise given both sides, and the suggestions."""
    from charrnn.core.console import count_text
    from charrnn.infill.suggestions import Shown, shown
    from charrnn.viz.render.colours import SURPRISE, surprise_levels
    from charrnn.viz.render.elements import Coloured, Picture, Remark, Rows
    from charrnn.viz.view import glyph

    def row(words: "Shown", probability: float) -> tuple[str, ...]:
        texts = ("".join(map(glyph, each)) for each in (words.found, words.meant))
        return f"{words.line}", f"{words.column}", *texts, f"{probability:.0%}"

    glyphs, levels = view.running_glyphs, surprise_levels(found.bits)
    elements: list[Any] = [
        Remark(
            f"{count_text(len(changes), 'suggestion')} in {count_text(len(view.ids), view.unit)}."
        ),
        Coloured(glyphs, levels, SURPRISE, "Text coloured by surprise given both sides"),
    ]
    if changes:
        names = ("line", "column", "found", "meant", "probability")
        rows = [row(shown(view.ids, each, view.model.vocab), each.probability) for each in changes]
        elements.append(Rows(names, rows, numeric=(0, 1, 4)))
    return Picture(f"Proof: {view.title}", elements, lambda: page_data(view, found))


def page_data(view: "View", found: "Suspicions") -> Mapping[str, object]:
    """Return the details of each symbol for the script of the page."""
    import numpy as np

    percent = np.rint(found.shares * 100).astype(int).tolist()
    pairs = zip(found.guesses.tolist(), percent, strict=True)
    return {
        "signs": view.alphabet,
        "bits": [round(value, 2) for value in found.bits.tolist()],
        "what": "other characters that fit",
        "guesses": [[pair for pair in zip(*each, strict=True) if pair[1]] for each in pairs],
    }
