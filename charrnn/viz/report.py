"""The report and evolution pages of a run."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from charrnn.checkpoints.metadata import Metadata, read_metadata
from charrnn.checkpoints.model import Model, load_model
from charrnn.checkpoints.run_folder import BEST, CONFIG, step_files
from charrnn.checkpoints.runs import summarize_run
from charrnn.core.config import SampleConfig
from charrnn.core.console import loss_text
from charrnn.core.errors import CharRNNError, InputError, printable
from charrnn.core.files import write_durably
from charrnn.core.overwriting import PAGES, is_exported
from charrnn.data.corpus import Corpus, load_corpus
from charrnn.data.file_kinds import unfit
from charrnn.evaluation.diagnosis import unigram_entropy
from charrnn.evaluation.protocols import held_out_ids
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler
from charrnn.viz.activations import BITS
from charrnn.viz.commands import text_arguments
from charrnn.viz.history import ALONE_CURVE, History, Preview, read_history
from charrnn.viz.pictures import surprise_picture
from charrnn.viz.render.elements import (
    Chart,
    Element,
    Heading,
    Link,
    Listing,
    Picture,
    Remark,
    Rows,
    Stages,
)
from charrnn.viz.render.html import page_bytes
from charrnn.viz.verdict import RunSummary, headline, next_steps, outcome, verdict
from charrnn.viz.view import View

REPORT, PAGE = "report.html", "page.html"
"""Names of pages in a run's folder; a report there links to any page of `export` there."""

SHOWN_SURPRISE = 1000
"""Symbols of held-out text that a report shows."""

SEED, LENGTH, NUM_RECORDS = 1, 600, 20
"""Seed, characters and, for a model of lines, number of lines of the sample in a report."""

MOST_PREVIEWS = 12


ABOUT_CURVES = "The first chart shows how good the model is."

ABOUT_TRAINING = " Each point of the training loss is the mean of the steps since the point before."

IN_PART = (
    " During training, only a part of the held-out text is tested, so these losses differ a little "
    "from the loss on all of it."
)

ABOUT_PREVIEWS = (
    "Each text begins a new line and uses the same random numbers: only the network has changed."
)

# Evolution


def evolution_picture(folders: Sequence[Path]) -> Picture:
    """Return the curves of one or more runs, and the previews of the first one.

    Raises:
        InputError: A run has no log.
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
    """Return the validation losses of runs in one chart; for a single run, all its curves."""
    if len(histories) > 1:
        title = "Validation loss, nats (lower is better)"
        charts = [Chart(title, {each.name: each.curves["validation loss"] for each in histories})]
    else:
        found = histories[0].curves
        losses = {name: found[name] for name in found if "loss" in name}
        charts = [Chart("Loss, nats (lower is better)", losses)]
        if losses.get(ALONE_CURVE) == losses.get("validation loss"):
            losses.pop(ALONE_CURVE)  # the model has no memory
        charts += [Chart(n.capitalize(), {n: found[n]}) for n in found if "loss" not in n]
    has_any = any(points for chart in charts for points in chart.series.values())
    is_part = any(min(each.chars, default=0) < max(each.chars, default=0) for each in histories)
    is_trained = len(histories) == 1 and bool(histories[0].curves["training loss"])
    remark = ABOUT_CURVES + ABOUT_TRAINING * is_trained + IN_PART * is_part
    remark = remark if has_any else "No curves yet."
    return [Heading("Curves"), Remark(remark), *charts]


def preview_elements(history: History, of_which: str = "") -> list[Element]:
    """Return previews of a run, side by side."""
    texts = [(preview_title(each), each.text) for each in chosen_previews(history.previews)]
    shown = (
        [Remark(ABOUT_PREVIEWS), Stages(texts)] if texts else [Remark("The run has no previews.")]
    )
    return [Heading(f"How the text{of_which} changed"), *shown]


def chosen_previews(previews: Sequence[Preview]) -> list[Preview]:
    """Return at most MOST_PREVIEWS previews, first and last included, denser at the beginning."""
    if len(previews) <= MOST_PREVIEWS:
        return list(previews)
    last = len(previews) - 1
    indices = {round(last * (i / (MOST_PREVIEWS - 1)) ** 2) for i in range(MOST_PREVIEWS)}
    return [previews[i] for i in sorted(indices)]


def preview_title(preview: Preview) -> str:
    """Return the step of a preview and the validation loss."""
    loss = "" if preview.val_loss is None else f", validation loss {loss_text(preview.val_loss)}"
    return f"step {preview.step:,}{loss}"


# Report


def report_picture(folder: Path, *, has_ended: bool = False, is_inside: bool = False) -> Picture:
    """Return the report of a run.

    Args:
        folder: The run's folder.
        has_ended: The run has just ended, although its lock is still held.
        is_inside: The report is for a page in that folder, and may link to others there.

    Raises:
        InputError: The run has no log, or no model yet.
        CheckpointError: The model is damaged.
    """
    run, surprise = read_run(folder, has_ended=has_ended)
    elements = [
        *verdict(run),
        *sample_elements(run, is_inside=is_inside),
        *preview_elements(run.history),
        *curve_elements([run.history]),
        Heading("Surprise on held-out text"),
        *surprise.elements,
        *reproduction(run),
    ]
    return Picture(f"Report: {folder.name}", elements, surprise.data)


def report_numbers(folder: Path) -> dict[str, Any]:
    """Return the report as a JSON object. Raises as `report_picture`."""
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
        "epochs": run.history.epoch,
        "sample": sample_text(run.model),
        "history": asdict(run.history),
    }


def read_run(folder: Path, *, has_ended: bool = False) -> tuple[RunSummary, Picture]:
    """Return a summary of a run, and the surprise picture of its held-out text.

    Without a held-out text the picture is a remark that says why.
    """
    history, model = read_history(folder), load_model(folder / BEST)
    model.config.check_writes("it has no report, which shows a text of the model")
    steps = step_files(folder)
    newest = read_metadata(steps[-1]) if steps else Metadata()
    run = RunSummary(
        info=summarize_run(folder, has_ended=has_ended),
        history=history,
        model=model,
        sources=tuple(newest.sources),
        val_source=newest.val_source,
    )
    try:
        corpus = read_corpus_again(run)
        run = replace(run, unigram_entropy=unigram_entropy(corpus.train))
        view = held_out_view(model, corpus)
    except CharRNNError as error:
        return run, Picture("", [Remark(f"Not shown: {printable(error)}")])
    shown = float(view.expected.bits.mean()) / BITS
    return replace(run, shown_loss=shown), surprise_picture(view)


def read_corpus_again(run: RunSummary) -> Corpus:
    """Read the training text of a run again; return it in reading order.

    Raises:
        InputError: The text is missing, or has changed.
    """
    if not run.sources:
        raise InputError("the run has not recorded where its text is")
    config = run.model.train_config()
    if run.val_source:
        config = replace(config, val_file=Path(run.val_source))
    corpus = load_corpus([Path(name) for name in run.sources], config)
    if not run.model.has_learned(corpus):
        raise unfit(run.sources, "the text has changed since training")
    return corpus.in_reading_order()


def held_out_view(model: Model, corpus: Corpus) -> View:
    """Return the first SHOWN_SURPRISE symbols of the held-out text.

    Raises:
        InputError: No text was held out.
    """
    if not corpus.num_val:
        raise InputError("no text was held out")
    return View(model, held_out_ids(corpus)[:SHOWN_SURPRISE], "held-out text")


def write_report(folder: Path) -> Path:
    """Write the report of a run as a page into its folder, and return the path.

    Raises:
        InputError, CheckpointError: As of `report_picture`.
        OSError: The page cannot be written, for example because the disk is full.
    """
    path = folder / REPORT
    write_durably(path, page_bytes(report_picture(folder, has_ended=True, is_inside=True)))
    return path


def sample_elements(run: RunSummary, *, is_inside: bool) -> list[Element]:
    """Return a sample of the model's text, and how to write with it; the seed is fixed."""
    remark = f"Temperature {SampleConfig().temperature:g}, seed {SEED}."
    link = exported_page(run.info.folder) if is_inside else None
    ways = ways_to_write(run, has_page=link is not None)
    commands = "\n".join(f"{why}:\n    {command}" for why, command in ways)
    return [
        Heading("What it writes"),
        Remark(remark),
        Listing(sample_text(run.model)),
        *([Listing(commands)] if commands else []),
        *([Link("Its page writes in a browser, without a network", link)] if link else []),
    ]


def exported_page(folder: Path) -> str | None:
    """Return the name of the first page of `export` in a folder."""
    pages = (each for each in folder.iterdir() if each.suffix.lower() in PAGES and each.is_file())
    return min((each.name for each in pages if is_exported(each)), default=None)


def ways_to_write(run: RunSummary, *, has_page: bool) -> list[tuple[str, str]]:
    """Return how a user writes together with a model, as pairs: what, command."""
    config, name, where = run.model.config, run.info.run, run.checkpoints_option
    if run.model.is_backward:
        return []
    ways = [("write together with it, in the terminal", ["charrnn", "write", name, *where])]
    if config.cell != "transformer" and not config.attention and not has_page:  # a page can run it
        page = ["charrnn", "export", name, "-o", str(run.info.folder / PAGE), *where]
        ways.append(("or on a page, in any browser, without a network", page))
    return [(why, shlex.join(command)) for why, command in ways]


def sample_text(model: Model) -> str:
    """Return a text from the model, or, for a model of lines, some lines."""
    count = NUM_RECORDS if model.records else 1
    jobs = Jobs([""], [SampleConfig(length=LENGTH)], count, SEED)
    return "\n".join(sample.text for sample in Sampler(model).write(jobs, batch_size=2))


def reproduction(run: RunSummary) -> list[Element]:
    """Return the command that repeats a run, and its settings."""
    metadata = run.model.metadata
    texts = text_arguments(run.sources, metadata.settings)
    again = ["--config", str(run.info.folder / CONFIG), "--run", "again", *run.checkpoints_option]
    rows = [
        ("text", ", ".join(texts[:5])),
        ("digest of the text and its split", str(metadata.corpus and metadata.corpus.digest)),
        *((name, str(v)) for name, v in sorted(metadata.settings.items()) if v is not None),
        ("trained with", f"charrnn {metadata.version}"),
    ]
    return [
        Heading("How to repeat the run"),
        Listing(shlex.join(["charrnn", "train", *texts, *again])),
        Rows(("setting", "value"), rows, summary="all settings"),
    ]
