"""What texts cost a model, for `score`: by protocol, by file, or by record."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charrnn.checkpoints.model import Model
from charrnn.core.config import ScoreConfig
from charrnn.core.console import figures_text
from charrnn.core.errors import InputError, printable
from charrnn.core.events import Figures
from charrnn.data.batches import Batch
from charrnn.data.corpus import LONGEST, Records, find_records
from charrnn.data.encoding import read_ids
from charrnn.data.text_files import find_files
from charrnn.data.vocab import Ids
from charrnn.evaluation.dynamic import score_dynamically
from charrnn.evaluation.loss import Score, costs_of, figures_of, score, signature
from charrnn.evaluation.protocols import (
    BY_RECORD,
    COLD,
    STREAMED,
    Protocol,
    by_record,
    held_out_corpus,
    record_groups,
    split_name,
)
from charrnn.nn.device import pick_device, set_threads
from charrnn.nn.model import CharRNN, load_weights

Counting = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Shows how far something has come: told how many there are, then how many are done."""


@dataclass(frozen=True, slots=True)
class Text:
    """Something to score."""

    name: str
    ids: Ids
    num_skipped: int = 0
    """Characters that the model never saw, left out."""
    num_cut: int = 0
    """Lines of which only the beginning is scored, since no longer ones are learned."""
    split: str = "all"
    records: Records | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What a text, or one record of it, costs."""

    file: str
    record: int | None
    """Of a text of lines: its number among those that are not empty, from 1; None for all."""
    text: Text
    figures: Figures

    def as_json(self) -> dict[str, Any]:
        """Return it as `score --json` prints it."""
        place = {"file": self.file} | ({"record": self.record} if self.record else {})
        counts = {"skipped": self.text.num_skipped, "cut": self.text.num_cut}
        return place | asdict(self.figures) | counts


class Scorer:
    """Scores texts with one model.

    Args:
        model: As from `load_model`.
        config: How to score.
        protocols: By which; none means streamed and cold-256.
        counting: Told how far it has come.

    Raises:
        InputError: The device is not there, or a protocol does not fit the model.
    """

    def __init__(
        self,
        model: Model,
        config: ScoreConfig,
        protocols: tuple[Protocol, ...] = (),
        counting: Counting = lambda total: nullcontext(lambda done: None),
    ) -> None:
        self.model, self.config, self.protocols, self.counting = model, config, protocols, counting
        if model.records and protocols:
            raise InputError(
                "--protocol, --adapt: this model learned lines, each a text of its own; "
                "it scores line by line"
            )
        self.memory = model.memory.weighted(config.memory_weight) if model.memory else None
        self.network = CharRNN(model.config)
        load_weights(self.network, model.weights)
        device = pick_device(config.device)
        self.network.to(device)
        set_threads(None, device)

    def texts(
        self, paths: list[Path], names: dict[Path, str], *, is_held_out: bool = False
    ) -> Iterator[Text]:
        """Yield what is to be scored: each file, or what was held out of all together.

        Args:
            paths: Files and folders.
            names: What to call a file instead of its path.
            is_held_out: Only what the model's run held out of these files.

        Raises:
            InputError: A file cannot be read, or is not the one that the model learned.
        """
        if is_held_out:
            yield self.held_out(paths, names)
            return
        reading = self.model.reading(self.config.encoding)
        for path in find_files(paths)[0]:
            ids, num_skipped = read_ids(
                self.model.vocab, reading, path, skips=self.config.unknown == "skip"
            )
            newline, records, num_cut = self.model.vocab.newline, None, 0
            if self.model.records and newline is not None:
                records, num_cut = find_records(ids, newline)
            name = names.get(path, str(path))
            yield Text(name, ids, num_skipped=num_skipped, num_cut=num_cut, records=records)

    def held_out(self, paths: list[Path], names: dict[Path, str]) -> Text:
        """Return what the model's run held out of these files."""
        if self.config.encoding:
            raise InputError("--held-out: reads as training did; leave out --encoding")
        corpus = held_out_corpus(self.model, paths)
        name = ", ".join(names.get(Path(file), file) for file in corpus.files)
        return Text(
            name,
            corpus.val,
            split=split_name(self.model.train_config()),
            records=corpus.val_records,
        )

    def score(self, text: Text, *, each: bool) -> Iterator[Scored]:
        """Yield what a text costs, by every protocol.

        Args:
            text: As from `texts`.
            each: Of a text of lines, every line by itself.

        Raises:
            InputError: It is too short.
        """
        if text.records is not None:
            yield from self.score_records(text, text.records, each=each)
            return
        wanted = self.protocols
        for protocol in wanted or (STREAMED, COLD):
            if protocol.num_predictions(len(text.ids)):
                found = self.score_by(text.ids, protocol)
                yield self.scored(text, protocol, found, text.ids)
            elif wanted or protocol is STREAMED:
                needed = (protocol.window or 1) + 1
                raise InputError(
                    f"{printable(text.name)}: {len(text.ids)} characters; "
                    f"{protocol.name} needs at least {needed}"
                )

    def score_by(self, ids: Ids, protocol: Protocol) -> Score:
        """Return what a text costs by one protocol."""
        with self.counting(protocol.num_predictions(len(ids))) as report:
            if protocol.is_adapted:
                return score_dynamically(self.network, ids, self.memory, show_done=report)
            return score(self.network, told(protocol.batches(ids), report), self.memory)

    def score_records(self, text: Text, records: Records, *, each: bool) -> Iterator[Scored]:
        """Yield what the lines of a text cost."""
        newline = self.model.vocab.newline
        if not len(records) or newline is None:
            raise InputError(f"{printable(text.name)}: no lines to score")
        found = list(self.costs_of_records(text.ids, records, newline))
        places = range(len(records)) if each else []
        for place in places:
            ids = records.take(np.array([place])).joined(text.ids, newline)
            yield self.scored(text, BY_RECORD, total([found[place]]), ids, place + 1)
        if not each:
            yield self.scored(text, BY_RECORD, total(found), records.joined(text.ids, newline))

    def costs_of_records(self, ids: Ids, records: Records, newline: int) -> list[Score]:
        """Return what each record costs, in their order."""
        result: list[Score] = [Score(0.0, 0.0, 0, 0.0)] * len(records)
        batches = by_record(ids, records, newline)
        costs = costs_of(self.network, batches, self.memory)
        for group, cost in zip(record_groups(records), costs, strict=True):
            rows = [
                p.sum(dim=1, dtype=torch.float64) for p in (cost.mix, cost.network, cost.weight)
            ]
            for place, sums in zip(group.tolist(), torch.stack(rows, 1).tolist(), strict=True):
                chars = int(records.lengths[place]) + 1
                result[place] = Score(sums[0] / chars, sums[1] / chars, chars, sums[2] / chars)
        return result

    def scored(
        self, text: Text, protocol: Protocol, found: Score, ids: Ids, record: int | None = None
    ) -> Scored:
        """Return a score with its signature."""
        mark = signature(
            protocol,
            self.memory,
            split=text.split,
            precision="fp32",
            seed=self.model.setting("seed"),
        )
        figures = figures_of(found, protocol, self.model.vocab, ids, mark)
        return Scored(text.name, record, text, figures)


def told(batches: Iterator[Batch], report: Callable[[int], None]) -> Iterator[Batch]:
    """Yield batches, and tell how many symbols were scored before each."""
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_chars
        report(done)


def total(scores: Sequence[Score]) -> Score:
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


def lines_of(scored: Sequence[Scored]) -> list[str]:
    """Return the scores of one text for people."""
    text = scored[0].text
    skipped = f", {text.num_skipped:,} unknown characters left out" if text.num_skipped else ""
    cut = f", {text.num_cut:,} lines cut to {LONGEST} characters" if text.num_cut else ""
    lines = [f"{printable(text.name)}{skipped}{cut}"]
    for each in scored:
        figures = each.figures
        line = figures_text(figures, "symbol")
        if figures.bits_per_byte not in (None, figures.bits_per_char):
            line += f", {figures.bits_per_byte:.3f} bits per byte"
        line += f", perplexity {figures.perplexity:.3f}, {figures.chars:,} scored"
        lines.append(f"  {figures.protocol:<16} {line}")
    return lines + [f"  {each.figures.signature}" for each in scored]
