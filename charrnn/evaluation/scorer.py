"""Score files and records, for `score`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charrnn.checkpoints.model import Model
from charrnn.core.config import ScoreConfig
from charrnn.core.console import count_text, figures_text
from charrnn.core.errors import InputError, printable
from charrnn.core.events import PSEUDO, Figures
from charrnn.core.output import trimmed
from charrnn.data.batches import Batch
from charrnn.data.ids import read_ids
from charrnn.data.reading import Survey, conversion_notes
from charrnn.data.records import LONGEST, Records, find_records
from charrnn.data.text_files import find_files
from charrnn.data.vocab import Ids, Vocabulary
from charrnn.evaluation.dynamic import score_dynamically
from charrnn.evaluation.loss import Score, make_figures, score, signature, symbol_losses
from charrnn.evaluation.protocols import (
    BY_RECORD,
    COLD,
    STREAMED,
    Protocol,
    by_record,
    held_out_corpus,
    pseudo,
    record_groups,
    split_name,
)
from charrnn.nn.device import float64_device, pick_device, set_threads
from charrnn.nn.model import make_network
from charrnn.nn.network import load_weights

ProgressDisplay = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Called with a total; the function that it yields is called with the number that is done."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text to score."""

    name: str
    ids: Ids
    num_skipped: int = 0
    """Characters left out, which the model does not know."""
    num_cut: int = 0
    """Lines of which only the beginning is scored: training cuts them at the same length."""
    split: str = "all"
    """Name of the part of the text, for the signature."""
    records: Records | None = None
    has_lines: bool = True
    """Whether the text is a whole file, so that its lines have numbers."""


class Scorer:
    """Scores texts with one model.

    Args:
        model: As from `load_model`.
        config: How to score.
        protocols: How to read the texts; none means streamed and cold-256.
        counting: Shows the progress.

    Raises:
        InputError: The device is not available, or a protocol does not suit the model.
    """

    def __init__(
        self,
        model: Model,
        config: ScoreConfig,
        protocols: tuple[Protocol, ...] = (),
        counting: ProgressDisplay = lambda total: nullcontext(lambda done: None),
    ) -> None:
        self.model, self.config, self.protocols, self.counting = model, config, protocols, counting
        if model.records and protocols:
            raise InputError(
                "--protocol, --adapt: this model was trained on lines and scores each line by "
                "itself; leave out these options"
            )
        if config.worst and not model.records:
            raise InputError(
                "--worst: this model was not trained on lines (train --lines); leave out the option"
            )
        self.notes: list[str] = []
        """About the text that was yielded last."""
        if model.is_both and (protocols or config.memory_weight is not None):
            raise InputError(
                "--protocol, --adapt, --memory-weight: a model of both directions has only its "
                "pseudo-likelihood; leave out these options"
            )
        memory = None if model.is_both else model.memory
        self.memory = memory.weighted(config.memory_weight) if memory else None
        self.network = make_network(model.config)
        load_weights(self.network, model.weights)
        device = pick_device(config.device)
        self.network.to(device)
        set_threads(None, device)

    def texts(
        self, paths: list[Path], names: dict[Path, str], *, is_held_out: bool = False
    ) -> Iterator[Text]:
        """Yield the texts to score: each file, or the held-out text of all files together.

        Args:
            paths: Files and folders.
            names: Names of files to report instead of their paths.
            is_held_out: Whether to score only what the model's run held out of these files.

        Raises:
            InputError: A file cannot be read, or differs from the one that the model learned.
        """
        if is_held_out:
            yield self.held_out(paths, names)
            return
        reading = replace(self.model.reading(self.config.encoding), has_encoding=True)
        files, folder_notes = find_files(paths, reading)
        for number, path in enumerate(files):
            survey, skips = Survey(), self.config.unknown == "skip"
            ids, num_skipped = read_ids(self.model.vocab, reading, path, skips=skips, survey=survey)
            if self.model.records:
                survey.num_line_ends.clear()
            self.notes = folder_notes * (number == 0) + conversion_notes(survey, reading)
            newline, records, num_cut = self.model.vocab.newline, None, 0
            if self.model.records and newline is not None:
                records, num_cut = find_records(ids, newline)
            name = names.get(path, str(path))
            yield Text(
                name, ids, num_skipped=num_skipped, num_cut=num_cut, records=records,
                has_lines=not reading.column,
            )  # fmt: skip

    def held_out(self, paths: list[Path], names: dict[Path, str]) -> Text:
        """Return the part of these files that the model's run held out."""
        if self.config.encoding:
            raise InputError("--held-out: uses the encoding of training; leave out --encoding")
        corpus = held_out_corpus(self.model, paths)
        name = ", ".join(names.get(Path(file), file) for file in corpus.files)
        return Text(
            name,
            corpus.val,
            split=split_name(self.model.train_config()),
            records=corpus.val_records,
            has_lines=len(corpus.files) == 1
            and corpus.val is corpus.train
            and not self.model.setting("column"),
        )

    def score(self, text: Text, *, each: bool) -> Iterator[Figures]:
        """Yield the scores of a text by every protocol.

        Args:
            text: As from `texts`.
            each: Yield a score for each record of a text of lines, in order.

        Raises:
            InputError: The text is too short.
        """
        if text.records is not None:
            yield from self.record_figures(text, self.record_scores(text), each=each)
            return
        wanted = self.protocols
        usual = (pseudo(records=False),) if self.model.is_both else (STREAMED, COLD)
        for protocol in wanted or usual:
            if protocol.num_predictions(len(text.ids)):
                result = self.score_by(text.ids, protocol)
                yield self.figures(text, protocol, result, text.ids)
            elif wanted or protocol is usual[0]:
                needed = (protocol.window or 1) + 1
                raise InputError(
                    f"{printable(text.name)}: {count_text(len(text.ids), 'character')}; "
                    f"{protocol.name} needs at least {needed}"
                )

    def score_by(self, ids: Ids, protocol: Protocol) -> Score:
        """Return the score of a text by one protocol; ids are in reading order."""
        ids = self.model.turned(ids)
        with self.counting(protocol.num_predictions(len(ids))) as show_done:
            if protocol.is_adapted:
                return score_dynamically(self.network, ids, self.memory, show_done=show_done)
            batches = with_progress(protocol.batches(ids), show_done)
            return score(self.network, batches, self.memory, num_symbols=len(ids))

    def record_scores(self, text: Text) -> list[Score]:
        """Return the score of each line of a text of lines, in order.

        Raises:
            InputError: The text has no lines.
        """
        records, newline = text.records, self.model.vocab.newline
        if not records or newline is None:
            raise InputError(f"{printable(text.name)}: no lines to score")
        result: list[Score] = [Score(0.0, 0.0, 0, 0.0)] * len(records)
        read = records.turned_round(len(text.ids)) if self.model.is_backward else records
        batches = by_record(self.model.turned(text.ids), read, newline)
        losses = symbol_losses(
            self.network, batches, self.memory, num_symbols=int(records.lengths.sum())
        )
        home = float64_device(self.network.device)
        for group, batch in zip(record_groups(records), losses, strict=True):
            rows = [
                part.to(home).sum(dim=1, dtype=torch.float64)
                for part in (batch.mix, batch.network, batch.weight)
            ]
            for i, sums in zip(group.tolist(), torch.stack(rows, 1).tolist(), strict=True):
                chars = int(records.lengths[i]) + 1
                result[i] = Score(sums[0] / chars, sums[1] / chars, chars, sums[2] / chars)
        return result

    def record_figures(self, text: Text, scores: list[Score], *, each: bool) -> Iterator[Figures]:
        """Yield the scores of the lines of a text, or that of all lines together."""
        records, newline = text.records, self.model.vocab.newline
        assert records is not None  # the scores are those of records
        assert newline is not None  # a text of records has one
        protocol = pseudo(records=True) if self.model.is_both else BY_RECORD
        if not each:
            ids = records.joined(text.ids, newline)
            yield self.figures(text, protocol, mean_score(scores), ids)
            return
        for i, record_score in enumerate(scores):
            ids = records.take(np.array([i])).joined(text.ids, newline)
            yield self.figures(text, protocol, mean_score([record_score]), ids)

    def score_lines(self, text: Text) -> list[str]:
        """Return the scores of a text as lines for people, with the worst of its records."""
        if text.records is None:
            return format_scores(text, list(self.score(text, each=False)), self.model.vocab.unit)
        scores = self.record_scores(text)
        figures = list(self.record_figures(text, scores, each=False))
        rows = format_scores(text, figures, self.model.vocab.unit)
        return rows + worst_rows(text, scores, self.model.vocab, self.config.worst)

    def figures(self, text: Text, protocol: Protocol, result: Score, ids: Ids) -> Figures:
        """Return a score in every unit, with its signature."""
        mark = signature(
            protocol,
            self.memory,
            split=text.split,
            precision="fp32",
            seed=self.model.setting("seed"),
            direction=self.model.setting("direction"),
        )
        return make_figures(result, protocol, self.model.vocab, ids, mark)


def with_progress(batches: Iterator[Batch], show_done: Callable[[int], None]) -> Iterator[Batch]:
    """Yield batches; after each, show the number of symbols scored."""
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_chars
        show_done(done)


def mean_score(scores: Sequence[Score]) -> Score:
    """Return the mean of scores over all their symbols."""
    chars = sum(each.chars for each in scores)

    def mean(values: Iterable[float]) -> float:
        return sum(v * each.chars for v, each in zip(values, scores, strict=True)) / max(1, chars)

    return Score(
        loss=mean(each.loss for each in scores),
        network=mean(each.network for each in scores),
        chars=chars,
        weight=mean(each.weight for each in scores),
    )


def json_scores(text: Text, scores: Sequence[Figures], vocab: Vocabulary) -> list[dict[str, Any]]:
    """Return the scores of one text, by protocol or of each record, for `score --json`."""
    counts = {"skipped": text.num_skipped, "cut": text.num_cut}
    names = (
        named_records(text, text.records, vocab) if text.records is not None else [{}] * len(scores)
    )
    return [
        {"file": text.name} | name | asdict(figures) | counts
        for name, figures in zip(names, scores, strict=True)
    ]


def named_records(text: Text, records: Records, vocab: Vocabulary) -> list[dict[str, Any]]:
    """Return number, line in the file (from 1) and text of each record."""
    newlines = np.flatnonzero(text.ids == vocab.newline)
    lines = np.searchsorted(newlines, records.starts) + 1
    return [
        {"record": i}
        | ({"line": line} if text.has_lines else {})
        | {"text": vocab.decode(text.ids[start : start + length].tolist())}
        for i, (line, start, length) in enumerate(
            zip(lines.tolist(), records.starts.tolist(), records.lengths.tolist(), strict=True), 1
        )
    ]


def format_scores(text: Text, scores: Sequence[Figures], unit: str) -> list[str]:
    """Return the scores of one text as lines for people; the unit is a character or byte."""
    skipped = f", {count_text(text.num_skipped, 'unknown character')} left out"
    cut = f", {count_text(text.num_cut, 'line')} cut to {LONGEST} characters"
    lines = [f"{printable(text.name)}{skipped * bool(text.num_skipped)}{cut * bool(text.num_cut)}"]
    for figures in scores:
        line = figures_text(figures, unit)
        if figures.bits_per_byte not in (None, figures.bits_per_char):
            line += f", {figures.bits_per_byte:.3f} bits per byte"
        line += f", perplexity {figures.perplexity:.3f}" * (figures.protocol != PSEUDO)
        line += f", {figures.chars:,} scored"
        lines.append(f"  {figures.protocol:<16} {line}")
    return lines + [f"  {figures.signature}" for figures in scores]


def worst_rows(text: Text, scores: list[Score], vocab: Vocabulary, most: int) -> list[str]:
    """Return a table of the records with the highest loss, the highest first; no rows for none."""
    if text.records is None or not most:
        return []
    order = np.argsort([-each.loss for each in scores], kind="stable")[:most]
    records = named_records(text, text.records.take(order), vocab)
    number = "line" if text.has_lines else "record"
    rows = [f"    loss  {number:>8}  text"]
    for i, record in zip(order.tolist(), records, strict=True):
        at = record.get("line", i + 1)
        rows.append(trimmed(f"  {scores[i].loss:6.3f}  {at:>8}  {printable(record['text'])}"))
    return rows
