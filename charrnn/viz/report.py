"""The report and evolution pages of a run."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.checkpoints.metadata import Metadata, read_metadata
from charrnn.checkpoints.model import Model, load_model
from charrnn.checkpoints.run_folder import BEST, CONFIG, step_files
from charrnn.checkpoints.runs import look_at
from charrnn.core.config import SampleConfig
from charrnn.core.console import loss_text
from charrnn.core.errors import CharRNNError, InputError, printable
from charrnn.core.files import write_durably
from charrnn.data.corpus import Corpus, load_corpus
from charrnn.data.vocab import Ids
from charrnn.evaluation.protocols import held_out_ids
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler
from charrnn.viz.activations import BITS
from charrnn.viz.history import ALONE_CURVE, History, Preview, read_history
from charrnn.viz.pictures import surprise_picture
from charrnn.viz.render.elements import (
    Chart,
    Element,
    Heading,
    Listing,
    Picture,
    Remark,
    Rows,
    Stages,
)
from charrnn.viz.render.html import page_bytes
from charrnn.viz.verdict import RunSummary, headline, next_steps, outcome, verdict
from charrnn.viz.view import View

REPORT = "report.html"

SHOWN_SURPRISE = 1000
"""Symbols of held-out text in a report."""

SEED, LENGTH, NUM_RECORDS = 1, 600, 20
"""Of what a report lets the model write."""

MOST_PREVIEWS = 12

COUNTED = 1_000_000
"""Symbols of training text whose frequencies are counted."""


ABOUT_CURVES = "The first chart says how good it is."

IN_PART = (
    " While it trains it is tested on a part of the held-out text only, so these losses are not "
    "quite the one on all of it."
)

ABOUT_PREVIEWS = (
    "Each begins as a line does and takes the same random numbers: only the network has changed."
)

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
    return Picture(
        f"Evolution: {names}",
        [*curve_elements(histories), *preview_elements(histories[0], of_first)],
    )


def curve_elements(histories: Sequence[History]) -> list[Element]:
    """Return the losses of runs in one chart; of a single one also its rate and gradients."""
    if len(histories) > 1:
        title = "Validation loss, nats (lower is better)"
        charts = [Chart(title, {each.name: each.curves["validation loss"] for each in histories})]
    else:
        found = histories[0].curves
        losses = {name: found[name] for name in found if "loss" in name}
        charts = [Chart("Loss, nats (lower is better)", losses)]
        if losses.get(ALONE_CURVE) == losses.get("validation loss"):
            losses.pop(ALONE_CURVE)  # there is no memory
        charts += [Chart(n.capitalize(), {n: found[n]}) for n in found if "loss" not in n]
    has_any = any(points for chart in charts for points in chart.series.values())
    is_part = any(min(each.chars, default=0) < max(each.chars, default=0) for each in histories)
    remark = ABOUT_CURVES + IN_PART * is_part if has_any else "No curve yet."
    return [Heading("Curves"), Remark(remark), *charts]


def preview_elements(history: History, of_which: str = "") -> list[Element]:
    """Return what a run wrote at some of its steps, side by side."""
    texts = [(preview_title(each), each.text) for each in chosen_previews(history.previews)]
    shown = [Remark(ABOUT_PREVIEWS), Stages(texts)] if texts else [Remark("It has no previews.")]
    return [Heading(f"How the text{of_which} changed"), *shown]


def chosen_previews(previews: Sequence[Preview]) -> list[Preview]:
    """Return some of the previews, the first and the last among them, denser at the beginning."""
    if len(previews) <= MOST_PREVIEWS:
        return list(previews)
    last = len(previews) - 1
    places = {round(last * (i / (MOST_PREVIEWS - 1)) ** 2) for i in range(MOST_PREVIEWS)}
    return [previews[place] for place in sorted(places)]


def preview_title(preview: Preview) -> str:
    """Return the step of a preview and how good the model was."""
    loss = "" if preview.val_loss is None else f", validation loss {loss_text(preview.val_loss)}"
    return f"step {preview.step:,}{loss}"


# Report


def report_picture(folder: Path, *, is_over: bool = False) -> Picture:
    """Return all that is to be said about a run, which may just be over and still locked.

    Raises:
        InputError: It has no log, or no model yet.
        CheckpointError: Its model is damaged.
    """
    run, surprise = read_run(folder, is_over=is_over)
    elements = [
        *verdict(run),
        *sample_elements(run.model),
        *preview_elements(run.history),
        *curve_elements([run.history]),
        Heading("Surprise on text it never learned"),
        *surprise.elements,
        *reproduction(run),
    ]
    return Picture(f"Report: {folder.name}", elements, surprise.data)


def report_numbers(folder: Path) -> dict[str, Any]:
    """Return the same as an object of JSON; raises as `report_picture` does."""
    run, _ = read_run(folder)
    kind = outcome(run)
    return {
        "run": folder.name,
        "state": run.info.state,
        "verdict": kind,
        "text": headline(run, kind),
        "next": [{"why": why, "command": c} for why, c in next_steps(run, kind)],
        "val_loss": run.loss,
        "network_loss": run.network_loss,
        "train_loss": run.train_loss,
        "epochs": run.epochs,
        "sample": sample_text(run.model),
        "history": asdict(run.history),
    }


def read_run(folder: Path, *, is_over: bool = False) -> tuple[RunSummary, Picture]:
    """Return what is known of a run, and the surprise at its held-out text or why there is none."""
    history, model = read_history(folder), load_model(folder / BEST)
    steps = step_files(folder)
    newest = read_metadata(steps[-1]) if steps else Metadata()
    run = RunSummary(
        info=look_at(folder, is_over=is_over),
        history=history,
        model=model,
        sources=tuple(newest.sources),
        val_source=newest.val_source,
    )
    try:
        corpus = read_corpus_again(run)
        run = replace(run, unigram_entropy=entropy(corpus.train[:COUNTED]))
        view = held_out_view(model, corpus)
    except CharRNNError as error:
        return run, Picture("", [Remark(f"Not shown: {printable(error)}")])
    shown = float(view.expected.bits.mean()) / BITS
    return replace(run, shown=shown), surprise_picture(view)


def read_corpus_again(run: RunSummary) -> Corpus:
    """Read the texts of a run again.

    Raises:
        InputError: They are gone, or have changed.
    """
    if not run.sources:
        raise InputError("the run does not say where its text is")
    config = run.model.train_config()
    if run.val_source:
        config = replace(config, val_file=Path(run.val_source))
    corpus = load_corpus([Path(name) for name in run.sources], config)
    if not run.model.has_learned(corpus):
        raise InputError("the text has changed since it was learned")
    return corpus


def held_out_view(model: Model, corpus: Corpus) -> View:
    """Return the held-out text of a run, as far as a report shows it.

    Raises:
        InputError: Nothing was held out.
    """
    if not len(corpus.val):
        raise InputError("nothing was held out")
    return View(model, held_out_ids(corpus)[:SHOWN_SURPRISE], "held-out text")


def entropy(ids: Ids) -> float:
    """Return the entropy of symbols by their frequencies, nats each."""
    counts = np.bincount(ids)
    shares = counts[counts > 0] / len(ids)
    return float(-(shares * np.log(shares)).sum())


def write_report(folder: Path) -> Path:
    """Write the page about a run into its folder; return where it is.

    Raises:
        InputError, CheckpointError: As of `report_picture`.
        OSError: The disk is full, among others.
    """
    path = folder / REPORT
    write_durably(path, page_bytes(report_picture(folder, is_over=True)))
    return path


def sample_elements(model: Model) -> list[Element]:
    """Return what the model writes, the same each time."""
    remark = f"Temperature {SampleConfig().temperature:g}, seed {SEED}."
    return [Heading("What it writes"), Remark(remark), Listing(sample_text(model))]


def sample_text(model: Model) -> str:
    """Return a text by the model, or some of its lines."""
    count = NUM_RECORDS if model.records else 1
    jobs = Jobs([""], [SampleConfig(length=LENGTH)], count, SEED)
    return "\n".join(sample.text for sample in Sampler(model).write(jobs, batch_size=2))


def reproduction(run: RunSummary) -> list[Element]:
    """Return the settings of a run, and the command that makes it again."""
    metadata = run.model.metadata
    again = ["--config", str(run.info.folder / CONFIG), "--run", "again", *run.checkpoints_option]
    rows = [
        ("text", ", ".join(run.text_arguments[:5])),
        ("digest of text, split and reading", str(metadata.corpus and metadata.corpus.digest)),
        *((name, str(v)) for name, v in sorted(run.settings.items()) if v is not None),
        ("made with", f"charrnn {metadata.version}"),
    ]
    return [
        Heading("How to make it again"),
        Listing(shlex.join(["charrnn", "train", *run.text_arguments, *again])),
        Rows(("setting", "value"), rows, summary="all settings"),
    ]
