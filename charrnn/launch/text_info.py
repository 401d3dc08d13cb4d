"""Describe a text before training on it, for `info`."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.core.config import TrainConfig
from charrnn.core.console import speed_text, time_text
from charrnn.core.errors import printable
from charrnn.data.batches import IGNORED, Batch, fit_batches, make_batches
from charrnn.data.corpus import Corpus, load_corpus
from charrnn.data.vocab import CharVocabulary, describe
from charrnn.evaluation.protocols import held_out_batches, held_out_protocols, num_held_out
from charrnn.launch.prepare import SettingSources, budget_text, prepare
from charrnn.launch.presets import MEMORY_ORDER
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.model import NgramModel, chunks, count_corpus

RARE = 10
"""A character that occurs fewer times than this can hardly be learned."""

MOST_SHOWN = 12
"""Rare characters that are listed."""

MOST_ASKED = 200_000
"""Held-out characters that the memory is asked about."""

MOST_CELLS = 200_000_000
"""The same times V: what is asked takes time for each symbol that might come."""

Counts = NDArray[np.int64]

NUM_COLD, NUM_TIMED = 3, 8
"""Steps before the clock runs, and those that are timed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a text."""

    name: str
    text: str
    """For people."""
    facts: dict[str, Any]
    """The same for scripts."""


def survey(paths: list[Path], given: SettingSources) -> Iterator[Finding]:
    """Yield what a text is; what takes longest comes last.

    Args:
        paths: Files and folders.
        given: How to read it, and what time there is.

    Raises:
        InputError: It cannot be read, or there is nothing to learn in it.
    """
    config = TrainConfig(**given.all)
    corpus = load_corpus(paths, config)
    fit_batches(corpus, config)  # there is enough to learn, or an error now
    counts = counts_of(corpus)
    yield files_finding(corpus)
    yield encoding_finding(corpus, config, counts)
    yield from character_findings(corpus, counts)
    yield split_finding(corpus)
    yield memory_finding(corpus)
    yield from training_findings(paths, given, corpus)


def files_finding(corpus: Corpus) -> Finding:
    """Return what is read."""
    size = sum(Path(name).stat().st_size for name in corpus.files)
    names = ", ".join(map(printable, corpus.files[:3]))
    more = f" and {len(corpus.files) - 3} more" if len(corpus.files) > 3 else ""
    return Finding("text", f"{names}{more}, {size:,} bytes", {"files": corpus.files, "bytes": size})


def encoding_finding(corpus: Corpus, config: TrainConfig, counts: Counts) -> Finding:
    """Return encoding and line ends."""
    vocab = corpus.vocab
    if not isinstance(vocab, CharVocabulary):
        return Finding("read as", "bytes", {"encoding": "bytes"})
    is_ascii = int(vocab.code_points[-1]) < 128
    encoding = "ASCII" if is_ascii and config.encoding == "utf-8" else config.encoding.upper()
    lines = int(counts[vocab.newline]) if vocab.newline is not None else 0
    returns = int(counts[vocab.code_points == 13].sum())
    ends = "line ends LF" if lines else "no line ends"
    if returns:
        ends = "line ends CRLF" if returns == lines else f"{lines:,} LF and {returns:,} CR"
    notes = "".join(f"; {note}" for note in corpus.notes)
    return Finding(
        "read as",
        f"{encoding}, {lines:,} lines, {ends}{notes}",
        {"encoding": encoding, "lines": lines, "carriage_returns": returns, "notes": corpus.notes},
    )


def counts_of(corpus: Corpus) -> Counts:
    """Return how often each symbol occurs, (V,)."""
    size, chunk = corpus.vocab.size, 1 << 24
    parts = [corpus.train] if corpus.train is corpus.val else [corpus.train, corpus.val]
    pieces = [part[i : i + chunk] for part in parts for i in range(0, len(part), chunk)]
    counts = np.zeros(size, dtype=np.int64)
    for piece in pieces:
        counts += np.bincount(piece, minlength=size)
    return counts


def character_findings(corpus: Corpus, counts: Counts) -> Iterator[Finding]:
    """Yield the vocabulary, and what is rare in it."""
    vocab = corpus.vocab
    if not isinstance(vocab, CharVocabulary):
        num = int(np.count_nonzero(counts))
        yield Finding("bytes", f"{num} of 256 different ones occur", {"num_symbols": num})
        return
    shown = "".join(vocab.decode(range(min(100, vocab.size)))).replace("\n", "⏎")
    more = "..." if vocab.size > 100 else ""
    facts = {"num_symbols": vocab.size, "vocabulary": vocab.to_json()}
    yield Finding("characters", f"{vocab.size:,} different: {printable(shown)}{more}", facts)
    rare = np.flatnonzero(counts < RARE)
    if len(rare):
        by_count = rare[np.argsort(counts[rare], kind="stable")]
        names = [f"{describe(vocab.decode([i]))} {counts[i]}" for i in by_count[:MOST_SHOWN]]
        more = ", ..." if len(rare) > MOST_SHOWN else ""
        yield Finding(
            "rare",
            f"{len(rare)} occur fewer than {RARE} times: {', '.join(names)}{more}",
            {"num_rare": len(rare)},
        )


def split_finding(corpus: Corpus) -> Finding:
    """Return how much is learned, and how much held out."""
    text = f"{corpus.num_train:,} to learn, {corpus.num_val:,} held out"
    if corpus.train_records is not None and corpus.val_records is not None:
        text += (
            f"; {len(corpus.train_records):,} and {len(corpus.val_records):,} records "
            "(lines that are not empty; what is held out counts once, and is not learned elsewhere)"
        )
    return Finding("split", text, {"num_train": corpus.num_train, "num_val": corpus.num_val})


def memory_finding(corpus: Corpus) -> Finding:
    """Return what the memory alone makes of the held-out text."""
    begin = time.monotonic()
    memory = count_corpus(corpus, MEMORY_ORDER)
    assert memory is not None  # an order was named
    seconds = time.monotonic() - begin
    loss = memory_loss(memory, asked_of(corpus))
    facts = {"memory_loss": loss, "memory_entries": memory.num_entries}
    made = f"{memory.num_entries:,} entries, made in {seconds:.1f} s"
    if loss is None:
        return Finding("memory alone", f"nothing is held out; {made}", facts)
    unit = corpus.vocab.unit
    bits = f"{loss / math.log(2):.3f} bits per {unit} ({loss:.4f} nats)"
    return Finding(
        "memory alone",
        f"{bits}; {made}; a network that learned for long enough comes below it",
        facts,
    )


def memory_loss(memory: NgramModel, batches: Iterable[Batch]) -> float | None:
    """Return nats per symbol of a text for the memory alone, None where nothing is asked."""
    total = count = 0.0
    reader = None
    for batch in batches:
        if reader is None or len(reader.lengths) != len(batch.inputs):
            reader = ContextTracker(memory, len(batch.inputs))
        contexts, lengths = reader.read(batch.inputs, batch.is_fresh)
        asked = batch.targets != IGNORED
        places = contexts[asked], lengths[asked], batch.targets[asked]
        for part in chunks(len(places[0]), memory.vocab_size):
            context, length, target = (each[part] for each in places)
            p = memory.predict(context, length).p[np.arange(len(target)), target]
            total -= float(np.log(p).sum())
            count += len(p)
    return total / count if count else None


def asked_of(corpus: Corpus) -> Iterator[Batch]:
    """Return held-out text; of a long one a part."""
    if not num_held_out(corpus):
        return iter(())
    most = min(MOST_ASKED, MOST_CELLS // corpus.vocab.size)
    return held_out_batches(corpus, held_out_protocols(corpus)[0], most)


def training_findings(
    paths: list[Path], given: SettingSources, corpus: Corpus
) -> Iterator[Finding]:
    """Yield the network that would be picked, and how fast it learns here."""
    config = prepare(paths, given, corpus=corpus).config
    model = config.model(corpus.vocab.size)
    yield Finding(
        "network",
        f"{config.cell} {config.num_layers}×{config.hidden_size}, "
        f"{model.num_parameters():,} parameters, for {budget_text(config)}",
        {"hidden_size": config.hidden_size, "num_parameters": model.num_parameters()},
    )
    seconds, chars = step_seconds(config, corpus)
    epoch = seconds * make_batches(corpus, config).steps_per_epoch
    yield Finding(
        "here",
        f"{speed_text(chars / seconds)}, one pass over the text takes {time_text(epoch)}",
        {"chars_per_second": chars / seconds, "epoch_seconds": epoch},
    )


def step_seconds(config: TrainConfig, corpus: Corpus) -> tuple[float, int]:
    """Return the median time of an update, and the symbols it trains on."""
    from charrnn.nn.device import pick_device, set_threads
    from charrnn.training.learner import Learner

    set_threads(config.threads, pick_device(config.device))
    batches = make_batches(corpus, config)
    learner = Learner(config, config.model(corpus.vocab.size), batches.batch_size)
    times, chars = [], []
    for step in range(NUM_COLD + NUM_TIMED):
        batch, begin = batches.batch(step), time.monotonic()
        learner.update(batch, step, config.lr)
        learner.take_stats()  # waits for the device
        times.append(time.monotonic() - begin)
        chars.append(batch.num_chars)
    return float(np.median(times[NUM_COLD:])), int(np.median(chars[NUM_COLD:]))
