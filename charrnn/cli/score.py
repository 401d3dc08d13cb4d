"""`charrnn score`."""

import json
from typing import Any

import click

from charrnn.cli.completion import complete_files, complete_models
from charrnn.cli.options import Common, GroupedCommand, common, config_options, option
from charrnn.core.config import ScoreConfig
from charrnn.core.errors import InputError, printable

BACKWARD = (
    "a backward model predicts each character from those after it; its loss on a whole text compares "
    "with that of a forward model, its loss at a single character does not"
)


@click.command(cls=GroupedCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=complete_files)
@option(
    "-m", "--model", metavar="MODEL", group="Scoring", shell_complete=complete_models,
    help="Name or folder of a run, or a checkpoint file. [default: the newest model]",
)  # fmt: skip
@option(
    "--protocol", "protocols", multiple=True, metavar="NAME", group="Scoring",
    allow_from_autoenv=False,
    help="streamed keeps the state through the whole text; cold-W resets it every W characters. "
    "Can be given several times. [default: streamed and cold-256]",
)  # fmt: skip
@option(
    "--adapt", is_flag=True, group="Scoring",
    help="Score with dynamic evaluation (streamed-adapted): network and n-gram memory keep "
    "learning from the text that they have scored.",
)  # fmt: skip
@option(
    "--held-out", is_flag=True, group="Scoring",
    help="FILE is the training text; score only the part that was held out.",
)  # fmt: skip
@config_options(ScoreConfig, group="Scoring")
@common
def score(
    files: tuple[str, ...], model: str | None, protocols: tuple[str, ...], adapt: bool,
    held_out: bool, common: Common, **settings: Any,
) -> None:  # fmt: skip
    """Compute the loss of a model on text files.

    FILE is a text, a folder, or - for stdin. The loss is the mean over the text, in nats per
    character, with bits per character, bits per byte and perplexity. A model of lines scores each
    line by itself; --worst prints the most surprising ones, --json each line with its loss.
    """
    config = ScoreConfig(**{name: v for name, v in settings.items() if v is not None})
    if config.worst and common.as_json:
        raise InputError("--worst: --json prints every line with its loss; leave out one of them")

    from charrnn.checkpoints.model import load_model
    from charrnn.checkpoints.names import find_model, newest_note
    from charrnn.core.output import print_result
    from charrnn.core.stdin import spooled, spooled_names
    from charrnn.evaluation.protocols import ADAPTED, parse_protocol

    wanted = tuple(map(parse_protocol, protocols)) + ((ADAPTED,) if adapt else ())
    path = find_model(common.checkpoints, model, "charrnn score {texts} -m {model}", files)
    if model is None:
        common.console.note(newest_note(path))
    loaded = load_model(path)
    if loaded.is_backward:
        common.console.note(BACKWARD)
    with spooled(files, common.checkpoints) as paths:
        from charrnn.evaluation.scorer import Scorer, json_scores

        scorer = Scorer(loaded, config, wanted, common.console.counting)
        names = spooled_names(files, paths)
        for text in scorer.texts(paths, names, is_held_out=held_out):
            for note in scorer.notes:
                common.console.note(note)
            if common.as_json:
                scores = list(scorer.score(text, each=True))
                rows = list(map(json.dumps, json_scores(text, scores, loaded.vocab)))
            else:
                rows = scorer.score_lines(text)
            print_result("\n".join(rows))
    if common.console.verbosity > 0:
        common.console.line(f"model {printable(path)}")
