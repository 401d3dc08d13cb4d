"""Pictures of a whole run: how its text improved, how it went, what it writes and expects."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from charrnn.checkpoint import Model, load_model
from charrnn.config import SampleConfig
from charrnn.console import loss_text
from charrnn.container import read_facts
from charrnn.corpus import load_corpus
from charrnn.durable import write_durably
from charrnn.errors import CharRNNError, InputError, printable
from charrnn.heldout import held_out_ids
from charrnn.history import History, Preview, read_history
from charrnn.lenient import as_mapping
from charrnn.overview import look_at
from charrnn.pages import page
from charrnn.parts import Chart, Heading, Listing, Part, Picture, Remark, Rows, Stages
from charrnn.pictures import surprise_picture
from charrnn.reading import has_learned, train_config
from charrnn.runs import BEST, CONFIG, step_files
from charrnn.sampling import Sampler
from charrnn.verdict import Facts, verdict
from charrnn.viewing import View

REPORT = "report.html"

SHOWN_SURPRISE = 2000
"""Symbols of held-out text in a report."""

SEED, LENGTH, NUM_RECORDS = 1, 600, 20
"""Of what a report lets the model write."""

MOST_PREVIEWS = 12


# Evolution


def evolution_picture(folders: Sequence[Path]) -> Picture:
    """Return the curves of some runs, and the previews of the first one.

    Raises:
        InputError: One of them has no log.
    """
    histories = [read_history(folder) for folder in folders]
    if len({history.name for history in histories}) < len(histories):
        for history, folder in zip(histories, folders, strict=True):
            history.name = str(folder)
    names = " and ".join(history.name for history in histories)
    of_first = f" of {histories[0].name}" if len(histories) > 1 else ""
    return Picture(f"Evolution: {names}", [*curves(histories), *evolution(histories[0], of_first)])


def curves(histories: Sequence[History]) -> list[Part]:
    """Return the losses of runs in one chart; of a single one also its rate and gradients."""
    if len(histories) > 1:
        title = "Validation loss, nats (lower is better)"
        charts = [Chart(title, {each.name: each.curves["validation loss"] for each in histories})]
    else:
        found = histories[0].curves
        losses = {name: found[name] for name in found if "loss" in name}
        charts = [Chart("Loss, nats (lower is better)", losses)]
        charts += [Chart(n.capitalize(), {n: found[n]}) for n in found if "loss" not in n]
    has_any = any(points for chart in charts for points in chart.series.values())
    remark = "Validations in a run read a part of the held-out text, the last one all of it."
    return [Heading("Curves"), Remark(remark if has_any else "No curve yet."), *charts]


def evolution(history: History, of_which: str = "") -> list[Part]:
    """Return what a run wrote at some of its steps, side by side."""
    texts = [(preview_title(each), each.text) for each in spread(history.previews)]
    remark = "The same prompt and the same random numbers each time: only the network has changed."
    shown = Stages(texts) if texts else Remark("It has no previews.")
    return [Heading(f"How the text{of_which} improved"), Remark(remark), shown]


def spread(previews: Sequence[Preview]) -> list[Preview]:
    """Return some of the previews, the first and the last among them, denser at the beginning."""
    if len(previews) <= MOST_PREVIEWS:
        return list(previews)
    last = len(previews) - 1
    places = {round(last * (i / (MOST_PREVIEWS - 1)) ** 2) for i in range(MOST_PREVIEWS)}
    return [previews[place] for place in sorted(places)]


def preview_title(preview: Preview) -> str:
    """Return the step of a preview and how good the model was."""
    return f"step {preview.step:,}, validation loss {loss_text(preview.val_loss)}"


# Report


def report_picture(folder: Path, *, is_over: bool = False) -> Picture:
    """Return all that is to be said about a run, which may just be over and still locked.

    Raises:
        InputError: It has no log, or no model yet.
        CheckpointError: Its model is damaged.
    """
    history, model = read_history(folder), load_model(folder / BEST)
    facts = Facts(look_at(folder, is_over=is_over), history, model)
    surprise = surprise_of_held_out(folder, model)
    parts = [
        *verdict(facts),
        *sample_of(model),
        *evolution(history),
        *curves([history]),
        Heading("Surprise on text it never learned"),
        *surprise.parts,
        *how_to_make_it(folder, facts),
    ]
    return Picture(f"Report: {folder.name}", parts, surprise.data)


def write_report(folder: Path) -> None:
    """Write the page about a run into its folder.

    Raises:
        InputError: As of `report_picture`.
        OSError: The disk is full, among others.
    """
    write_durably(folder / REPORT, page(report_picture(folder, is_over=True)).encode("utf-8"))


def sample_of(model: Model) -> list[Part]:
    """Return what the model writes, the same each time."""
    sampler, config = Sampler(model), SampleConfig(length=LENGTH)
    count = NUM_RECORDS if model.records else 1
    texts = [sample.text for sample in sampler.many("", config, SEED, count, 2)]
    remark = f"Temperature {config.temperature:g}, seed {SEED}."
    return [Heading("What it writes"), Remark(remark), Listing("\n".join(texts))]


def surprise_of_held_out(folder: Path, model: Model) -> Picture:
    """Return the surprise at held-out text, or why it is not shown."""
    try:
        view = held_out_view(folder, model)
    except CharRNNError as error:
        return Picture("", [Remark(f"Not shown: {printable(error)}")])
    return surprise_picture(view)


def held_out_view(folder: Path, model: Model) -> View:
    """Read the texts of a run again.

    Raises:
        InputError: They are gone, have changed, or nothing was held out.
    """
    steps = step_files(folder)
    facts = read_facts(steps[-1]) if steps else {}
    names = facts.get("sources")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise InputError("the run does not say where its text is")
    config = train_config(model)
    if isinstance(facts.get("val_source"), str):
        config = replace(config, val_file=Path(facts["val_source"]))
    corpus = load_corpus([Path(name) for name in names], config)
    if not has_learned(model, corpus):
        raise InputError("the text has changed since it was learned")
    if not len(corpus.val):
        raise InputError("nothing was held out")
    return View(model, held_out_ids(corpus)[:SHOWN_SURPRISE], "held-out text")


def how_to_make_it(folder: Path, facts: Facts) -> list[Part]:
    """Return the settings of a run, and the command that makes it again."""
    corpus = as_mapping(facts.model.facts.get("corpus"))
    again = [*facts.text, "--config", str(folder / CONFIG), "--run", "again"]
    rows = [
        ("text", ", ".join(facts.text[:5])),
        ("its digest", str(corpus.get("digest"))),
        *((name, str(v)) for name, v in sorted(facts.settings.items()) if v is not None),
        ("made with", f"charrnn {facts.model.facts.get('version')}"),
    ]
    return [
        Heading("How to make it again"),
        Listing(shlex.join(["charrnn", "train", *again])),
        Rows(("setting", "value"), rows),
    ]
