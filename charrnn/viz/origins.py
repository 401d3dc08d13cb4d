"""`sample --explain`: the share of the n-gram memory in each character, and copied passages.

Legend of shapes:
    T symbols of a text   M memories   V symbols of the vocabulary   n symbols that are computed together
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.checkpoints.metadata import read_metadata
from charrnn.checkpoints.model import Model
from charrnn.checkpoints.run_folder import step_files
from charrnn.core.config import SampleConfig
from charrnn.core.console import Console
from charrnn.core.errors import CharRNNError, printable
from charrnn.core.output import OutputStream, json_line, stdout_has_colours
from charrnn.data.corpus import load_corpus
from charrnn.data.vocab import Ids
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import Floats
from charrnn.ngram.gate import SMALLEST, log_probabilities, mixed, share
from charrnn.ngram.model import NgramModel, chunks
from charrnn.sampling.corpus.copies import Copies
from charrnn.sampling.corpus.passages import Passage, find_passages
from charrnn.sampling.corpus.source import TOGETHER, Source
from charrnn.sampling.jobs import Sample
from charrnn.sampling.likelihood import written_ids
from charrnn.sampling.sampler import Sampler
from charrnn.sampling.writer import SEPARATOR, Checked, grouped, piece_of, sample_fields
from charrnn.viz.render.colours import SHARE, probability_levels
from charrnn.viz.render.elements import Coloured, Element, Picture, Remark, Rows
from charrnn.viz.render.plain_text import plain_text
from charrnn.viz.view import View, glyph

NETWORK, MEMORY = "network", "memory"
"""Names of the sources of a probability; another text has its path."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A text, and where it comes from."""

    sample: Sample
    shares: dict[str, Floats]
    """By source, its share in the mixed probability of each symbol, (T,)."""
    passages: list[Passage]


@dataclass(frozen=True, slots=True)
class Origins:
    """Writes texts with their origins.

    Args:
        model: The checkpoint.
        config: Its weight of the model's memory is used.
        added: Names of the texts whose memories are mixed in.
        as_json: Write JSON lines.
        echo: Show the prompt with a text.
        console: Receives notes.
    """

    model: Path
    config: SampleConfig
    added: Sequence[str]
    as_json: bool
    echo: bool
    console: Console

    def write(
        self, out: OutputStream, samples: Iterable[Checked], sampler: Sampler, source: Source | None
    ) -> None:
        """Write texts with shares and passages.

        Args:
            out: Receives them.
            samples: The texts, with their copies if the request has --check-copies.
            sampler: What wrote them.
            source: The text whose passages are found; None for the training text.
        """
        source = source or training_source(self.model, sampler.model)
        if source is None:
            self.console.note(
                "the training text is not where it was, or has changed: shares only; "
                "--check-copies FILE also finds passages"
            )
        for count, (explained, fields) in enumerate(self.explained(samples, sampler, source)):
            if self.as_json:
                out.put(json_line(fields | json_fields(explained)).encode("utf-8") + b"\n")
                continue
            colour = out.for_terminal and stdout_has_colours()
            text = plain_text(self.picture(explained, sampler.model), colour=colour) + "\n"
            out.put(SEPARATOR[1:] * (count > 0) + text.encode("utf-8", "backslashreplace"))

    def explained(
        self, samples: Iterable[Checked], sampler: Sampler, source: Source | None
    ) -> Iterator[tuple[Explained, dict[str, Any]]]:
        """Yield texts with their origins, and with their fields in JSON."""
        own = [MEMORY] if sampler.memory(self.config) else []
        names = [NETWORK, *own, *self.added]
        for group in grouped(samples, TOGETHER if self.as_json else 1):
            codes = [source.codes(each.text, each.raw) for each, _ in group] if source else []
            found = find_passages(source, codes) if source else [[]] * len(group)
            for (sample, copies), passages in zip(group, found, strict=True):
                named: dict[str, Floats] = {}
                shares = source_shares(sampler, sample, self.config)
                for name, own_share in zip(names, shares, strict=True):  # a text may be there twice
                    named[name] = named.get(name, 0) + own_share
                yield Explained(sample, named, passages), sample_fields(sample, copies)

    def picture(self, explained: Explained, model: Model) -> Picture:
        """Return a text coloured by the share of memories, and a table of its passages."""
        sample, shares = explained.sample, explained.shares
        prompt = view_of(model, sample.prompt * self.echo, None).running_glyphs
        text = view_of(model, sample.text, sample.raw).running_glyphs
        parts = [(prompt, np.zeros(len(prompt))), (text, 1 - shares[NETWORK])]
        glyphs, values = zip(*(parts[::-1] if sample.is_backward else parts), strict=True)
        means = [f"{name} {each.mean():.0%}" for name, each in shares.items() if len(each)]
        levels = probability_levels(np.concatenate(values))
        elements: list[Element] = [
            Coloured([*chain(*glyphs)], levels, SHARE, "Text coloured by the share of n-grams"),
            Remark(f"shares: {', '.join(means) or 'none, the text is empty'}"),
        ]
        if explained.passages:
            rows = [self.row(explained, each) for each in explained.passages]
            elements.append(Rows(("characters", "passage", "from"), rows, numeric=(0,)))
        return Picture("Origins", elements)

    def row(self, explained: Explained, passage: Passage) -> tuple[str, str, str]:
        """Return a passage for the table: its place in the text, the text, file and line."""
        shown = "".join(map(glyph, span_of(explained, passage))).replace("␣", " ")
        place = f"{passage.begin + 1}-{passage.end}"
        return place, shown, f"{printable(near(passage.file))}:{passage.line}"


def near(path: Path) -> Path:
    """Return a path as seen from the working folder, if it lies in that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def json_fields(explained: Explained) -> dict[str, Any]:
    """Return shares and passages in JSON; positions count symbols from 0."""
    shares = {name: np.round(each, 3).tolist() for name, each in explained.shares.items()}
    passages = [
        {
            "begin": each.begin,
            "end": each.end,
            "text": span_of(explained, each),
            "file": str(each.file),
            "line": each.line,
        }
        for each in explained.passages
    ]
    return {"shares": shares, "passages": passages}


def span_of(explained: Explained, passage: Passage) -> str:
    """Return the text of a passage."""
    copies = Copies(len(explained.shares[NETWORK]))
    return piece_of(explained.sample, copies, passage.begin, passage.end)


def view_of(model: Model, text: str, raw: bytes | None) -> View:
    """Return a text to show, for its glyphs; raw has the bytes of a byte model."""
    is_bytes = model.vocab.unit == "byte" and raw is not None
    ids = np.frombuffer(raw or b"", np.uint8) if is_bytes else model.vocab.encode(text)
    return View(model, ids, "")


def source_shares(sampler: Sampler, sample: Sample, config: SampleConfig) -> Floats:
    """Return the share of network and memories in the mixed probability of each symbol, (1 + M, T).

    Each column sums to one. The symbols are in reading order.

    Args:
        sampler: What wrote the text.
        sample: The text.
        config: Its weight of the model's own memory is used.
    """
    model, memories = sampler.model, sampler.memories(config)
    ids = written_ids(sample, model)
    prompt = sampler.prefill.ids(sample.prompt)
    places = contexts_before(memories, prompt, ids)
    rows = network_logits(sampler, sample.prompt, ids)
    parts = [np.zeros((1 + len(memories), 0))]
    for part in chunks(len(ids), model.vocab.size):
        logits = np.array([next(rows) for _ in ids[part]])
        contexts, lengths = (each[part] for each in places)
        if len(logits):
            parts.append(mixture_shares(logits, memories, contexts, lengths, ids[part]))
    shares = np.concatenate(parts, axis=1)
    return shares[:, ::-1] if model.is_backward else shares


def network_logits(sampler: Sampler, prompt: str, ids: Ids) -> Iterator[Any]:
    """Yield the logits of the network before each symbol of a text, (V,)."""
    logits, state = sampler.prefill.one(prompt)
    for symbol in ids.tolist():
        yield logits
        logits, state = sampler.prefill.engine.step(symbol, state)


def contexts_before(
    memories: Sequence[NgramModel], prompt: Sequence[int], ids: Ids
) -> tuple[Any, Any]:
    """Return the context before each symbol of a text, (T,), and its length, (T,)."""
    if not memories:
        return np.zeros(len(ids), dtype=np.uint64), np.zeros(len(ids), dtype=np.int64)
    whole = np.array([*prompt, *ids.tolist()], dtype=np.int64)
    contexts, lengths = ContextTracker(memories, 1).read(whole[None])
    before = slice(len(prompt), len(prompt) + len(ids))
    pairs = ((np.zeros(1, each.dtype), each[0]) for each in (contexts, lengths))
    first, second = (np.concatenate(pair)[before] for pair in pairs)
    return first, second


def mixture_shares(
    logits: Any, memories: Sequence[NgramModel], contexts: Any, lengths: Any, targets: Ids
) -> Floats:
    """Return the share of network and memories in the probability of one symbol each, (1 + M, n).

    Args:
        logits: Of the network, (n, V).
        memories: Mixed in one after the other.
        contexts: What they read before each symbol, (n,).
        lengths: Number of symbols in each context, (n,); nothing is mixed in where it is 0.
        targets: The symbols, (n,).
    """
    logs, at = log_probabilities(logits), (np.arange(len(targets)), targets)
    parts = [np.exp(logs[at])]
    for memory in memories:
        prediction = memory.predict(contexts, lengths)
        weight = share(logs, prediction, memory.weight) * (lengths > 0)
        parts = [part * (1 - weight) for part in parts] + [weight * prediction.p[at]]
        logs = np.log(np.maximum(mixed(logs, prediction, weight), SMALLEST))
    whole = np.array(parts)
    result: Floats = whole / np.maximum(whole.sum(axis=0), SMALLEST)
    return result


def training_source(path: Path, model: Model) -> Source | None:
    """Return the training text of a model, if it is where it was and has not changed."""
    known = model.metadata.corpus
    steps = step_files(path.parent)
    try:
        names = read_metadata(steps[-1]).sources if steps else known.files if known else []
        corpus = load_corpus([Path(name) for name in names], model.train_config())
        if known is None or not names or not corpus.has_digest(known.digest):
            return None
        return Source([Path(name) for name in corpus.files], model.reading())
    except (CharRNNError, OSError, ValueError):  # ValueError: a NUL in a name
        return None
