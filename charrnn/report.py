"""Pages about a whole run: how its text improved, how it went, what it writes and expects."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from charrnn.charts import line_chart
from charrnn.checkpoint import Model, load_model
from charrnn.config import SampleConfig
from charrnn.console import escape_text, loss_text, speed_text, time_text
from charrnn.container import read_facts
from charrnn.corpus import load_corpus
from charrnn.durable import write_durably
from charrnn.errors import CharRNNError, InputError, printable
from charrnn.history import History, Preview, read_history
from charrnn.lenient import as_count, as_mapping, as_number, as_text
from charrnn.pages import Html, heading, page, paragraph, table
from charrnn.pictures import page_data, surprise_sections
from charrnn.reading import has_learned, train_config
from charrnn.runs import BEST, CONFIG, step_files
from charrnn.sampling import Sampler
from charrnn.viewing import View

REPORT = "report.html"

SHOWN_SURPRISE = 2000
"""Characters of held-out text in a report."""

SEED, LENGTH, NUM_RECORDS = 1, 600, 20
"""Of what a report lets the model write."""

MOST_PREVIEWS = 12


def evolution_page(folders: Sequence[Path]) -> str:
    """Return the curves of some runs, and the previews of the first one.

    Raises:
        InputError: One of them has no log.
    """
    histories = [read_history(folder) for folder in folders]
    if len({history.name for history in histories}) < len(histories):
        for history, folder in zip(histories, folders, strict=True):
            history.name = str(folder)
    names = " and ".join(history.name for history in histories)
    return page(f"Evolution: {names}", [*curves(histories), *evolution(histories[0])])


def evolution_plain(folders: Sequence[Path]) -> str:
    """Return the previews of a run one under the other, and how the losses of all have fallen."""
    lines = []
    for history in (read_history(folder) for folder in folders):
        losses = history.curves["validation loss"]
        shown = ", ".join(f"{step:g}: {loss:.3f}" for step, loss in losses[-MOST_PREVIEWS:])
        lines.append(f"{history.name}: validation loss by step: {shown or 'none yet'}")
        lines += [f"--- {preview_title(each)}\n{each.text}" for each in spread(history.previews)]
    return "\n".join(lines)


def curves(histories: Sequence[History]) -> list[Html]:
    """Return the losses of runs in one chart; of a single one also its rate and gradients."""
    alone = len(histories) == 1
    losses = {}
    for history in histories:
        prefix = "" if alone else f"{history.name}: "
        names = [name for name in history.curves if "loss" in name]
        for name in names if alone else ["validation loss"]:
            losses[prefix + name] = history.curves[name]
    charts = [line_chart("Loss, nats per character (lower is better)", losses)]
    if alone:
        rest = [name for name in histories[0].curves if "loss" not in name]
        charts += [
            line_chart(name.capitalize(), {name: histories[0].curves[name]}) for name in rest
        ]
    return [heading("Curves"), *(charts if any(charts) else [paragraph("No curve yet.")])]


def evolution(history: History) -> list[Html]:
    """Return what a run wrote at some of its steps, side by side."""
    boxes = "".join(
        f'<section class="stage"><strong>{escape(preview_title(each))}</strong>'
        f"<pre>{escape(escape_text(each.text))}</pre></section>"
        for each in spread(history.previews)
    )
    shown = f'<div class="stages">{boxes}</div>' if boxes else paragraph("It has no previews.")
    remark = "The same prompt and the same random numbers each time: only the network has changed."
    return [heading("How its text improved"), paragraph(remark), shown]


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


def report_page(folder: Path) -> str:
    """Return one page about a run.

    Raises:
        InputError: It has no log, or no model yet.
        CheckpointError: Its model is damaged.
    """
    history, model = read_history(folder), load_model(folder / BEST)
    surprise, data = surprise_of_held_out(folder, model)
    sections = [
        *verdict(history, model),
        *curves([history]),
        *evolution(history),
        *sample_of(model),
        heading("Surprise on text it never learned"),
        *surprise,
        *how_to_make_it(folder, model),
    ]
    return page(f"Report: {folder.name}", sections, data)


def write_report(folder: Path) -> Path:
    """Write the page about a run into its folder; return where it is.

    Raises:
        InputError: As of `report_page`.
        OSError: The disk is full, among others.
    """
    path = folder / REPORT
    write_durably(path, report_page(folder).encode("utf-8"))
    return path


WORDS = (
    "The validation loss is how surprised the model is, in nats per character, by text that it never "
    "learned from: about 4 before training, 2 when words begin to look right, 1.4 for good prose. "
    "Underfitting means that it could still learn much more; overfitting that it learns its text by "
    "heart, so that new text surprises it more and more."
)
"""What the figures of a report mean, for somebody who has never trained a network."""

NO_ADVICE = "nothing can be said yet: no text is held out, or the run has not ended"


def verdict(history: History, model: Model) -> list[Html]:
    """Return how the run went, in words and figures, and what to try next."""
    facts = model.facts
    end = history.last or as_mapping(facts.get("end")) or as_mapping(facts.get("metrics"))
    advice = sentence(as_text(end.get("advice")) or NO_ADVICE)
    return [
        heading("How it went, and what to try next"),
        f"<p><strong>{escape(advice)}</strong></p>",
        paragraph(WORDS),
        table(("", ""), figures(end)),
    ]


def figures(end: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a run has ended with, by name."""
    scores = end.get("scores")
    first = as_mapping(scores[0]) if isinstance(scores, list) and scores else {}
    return [
        ("validation loss: what counts", loss_text(as_number(end.get("val_loss")))),
        ("the same without its memory", loss_text(as_number(first.get("network_loss")))),
        ("training loss, without its memory", loss_text(as_number(end.get("train_loss")))),
        ("steps", f"{as_count(end.get('step')) or 0:,}"),
        ("passes over the text", f"{as_number(end.get('epoch')) or 0:.2f}"),
        ("time", time_text(as_number(end.get("seconds")))),
        ("speed", speed_text(as_number(end.get("chars_per_second")))),
        ("ended", as_text(end.get("stop_reason")) or "not yet"),
    ]


def sentence(text: str) -> str:
    """Return a remark as a sentence."""
    return text[:1].upper() + text[1:] + "."


def sample_of(model: Model) -> list[Html]:
    """Return what the model writes, the same each time."""
    sampler, config = Sampler(model), SampleConfig(length=LENGTH)
    count = NUM_RECORDS if model.records else 1
    texts = [sample.text for sample in sampler.many("", config, SEED, count, 2)]
    remark = f"Temperature {config.temperature:g}, seed {SEED}."
    shown = f'<div class="text">{escape(escape_text(chr(10).join(texts)))}</div>'
    return [heading("What it writes"), paragraph(remark), shown]


def surprise_of_held_out(folder: Path, model: Model) -> tuple[list[Html], dict[str, Any] | None]:
    """Return the surprise at held-out text, and what the script says of it; or why there is none."""
    try:
        view = held_out_view(folder, model)
    except CharRNNError as error:
        return [paragraph(f"Not shown: {printable(error)}")], None
    return surprise_sections(view), page_data(view)


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
    return View(model, corpus.val[:SHOWN_SURPRISE], "held-out text")


def how_to_make_it(folder: Path, model: Model) -> list[Html]:
    """Return the settings of a run, and the commands that go on with it and repeat it."""
    facts = model.facts
    corpus, settings = as_mapping(facts.get("corpus")), as_mapping(facts["config"].get("train"))
    files = corpus.get("files")
    names = [str(name) for name in files] if isinstance(files, list) else ["FILE"]
    again = shlex.join(
        ["charrnn", "train", *names, "--config", str(folder / CONFIG), "--run", "again"]
    )
    rows = [
        ("text", ", ".join(names[:5])),
        ("its digest", str(corpus.get("digest"))),
        *((name, str(value)) for name, value in sorted(settings.items()) if value is not None),
        ("made with", f"charrnn {facts.get('version')}"),
    ]
    return [
        heading("How to make it again"),
        f"<pre>{escape(printable(again))}</pre>",
        table(("setting", "value"), rows),
    ]
