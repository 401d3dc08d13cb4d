"""Describe a text before training on it, for `info`."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.core.config import MEMORY_ORDER, TrainConfig
from charrnn.core.console import count_text, speed_text, time_text
from charrnn.core.errors import printable
from charrnn.data.batches import Batch, fit_batches, make_batches
from charrnn.data.corpus import Corpus, load_corpus
from charrnn.data.vocab import CharVocabulary, describe, visible
from charrnn.evaluation.protocols import held_out_batches, held_out_protocols, num_held_out
from charrnn.evaluation.text_end import memory_loss, split_notes
from charrnn.launch.prepare import SettingSources, budget_text, prepare
from charrnn.launch.size_presets import knows_words
from charrnn.ngram.word_model import count_corpus
from charrnn.nn.architecture import ModelConfig, size_text

RARE = 10
"""A character with fewer occurrences than this is hardly learned."""

MOST_SHOWN = 12
"""Largest number of rare characters in the list."""

MOST_SCORED = 200_000
"""Largest number of held-out characters that the n-gram memory is scored on."""

MOST_CELLS = 200_000_000
"""Largest product of that number and the vocabulary size, which the time is proportional to."""

Counts = NDArray[np.int64]

NUM_COLD, NUM_TIMED = 3, 8
"""Warm-up steps and timed steps."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about a text."""

    name: str
    text: str
    """For the terminal."""
    values: dict[str, Any]
    """The same for --json."""


def survey(
    paths: list[Path], given: SettingSources, names: Mapping[Path, str] | None = None
) -> Iterator[Finding]:
    """Yield findings about a text, the slowest last.

    Args:
        paths: Text files and folders.
        given: Settings by source: how the text is read, and the budget.
        names: Names of copied pipes by the path of the copy.

    Raises:
        InputError: The text cannot be read, or is too short.
    """
    config = TrainConfig(**given.all)
    corpus = load_corpus(paths, config)
    fit_batches(corpus, config)  # fails now if the text is too short
    counts = counts_of(corpus)
    yield files_finding(corpus, names or {})
    yield encoding_finding(corpus, config, counts)
    yield from character_findings(corpus, counts)
    yield split_finding(corpus)
    yield memory_finding(corpus)
    yield from training_findings(paths, given, corpus)


def files_finding(corpus: Corpus, names: Mapping[Path, str]) -> Finding:
    """Return files and bytes."""
    size = sum(Path(name).stat().st_size for name in corpus.files)
    files = [names.get(Path(name), name) for name in corpus.files]
    shown = ", ".join(map(printable, files[:3]))
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return Finding("text", f"{shown}{more}, {size:,} bytes", {"files": files, "bytes": size})


def encoding_finding(corpus: Corpus, config: TrainConfig, counts: Counts) -> Finding:
    """Return encoding, lines and line ends."""
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
        f"{encoding}, {count_text(lines, 'line')}, {ends}{notes}",
        {"encoding": encoding, "lines": lines, "carriage_returns": returns, "notes": corpus.notes},
    )


def counts_of(corpus: Corpus) -> Counts:
    """Return occurrences of each symbol, (V,)."""
    size, chunk = corpus.vocab.size, 1 << 24
    parts = [corpus.train] if corpus.train is corpus.val else [corpus.train, corpus.val]
    pieces = [part[i : i + chunk] for part in parts for i in range(0, len(part), chunk)]
    counts = np.zeros(size, dtype=np.int64)
    for piece in pieces:
        counts += np.bincount(piece, minlength=size)
    return counts


def character_findings(corpus: Corpus, counts: Counts) -> Iterator[Finding]:
    """Yield the vocabulary, and its rare characters."""
    vocab = corpus.vocab
    if not isinstance(vocab, CharVocabulary):
        num = int(np.count_nonzero(counts))
        yield Finding("bytes", f"{num} of 256 different ones occur", {"num_symbols": num})
        return
    shown = "".join(vocab.decode(range(min(100, vocab.size)))).replace("\n", "⏎")
    more = "..." if vocab.size > 100 else ""
    values = {"num_symbols": vocab.size, "vocabulary": vocab.to_json()}
    yield Finding(
        "characters", f"{vocab.size:,} different: {printable(visible(shown))}{more}", values
    )
    rare = np.flatnonzero(counts < RARE)
    if len(rare):
        by_count = rare[np.argsort(counts[rare], kind="stable")]
        names = [f"{describe(vocab.decode([i]))} {counts[i]}" for i in by_count[:MOST_SHOWN]]
        more = ", ..." if len(rare) > MOST_SHOWN else ""
        yield Finding(
            "rare",
            f"{len(rare)} occur{'s' * (len(rare) == 1)} fewer than {RARE} times: "
            f"{', '.join(names)}{more}",
            {"num_rare": len(rare)},
        )


def split_finding(corpus: Corpus) -> Finding:
    """Return the sizes of training text and held-out text."""
    text = f"{corpus.num_train:,} to learn, {corpus.num_val:,} held out"
    if corpus.train_records is not None and corpus.val_records is not None:
        text += (
            f"; {len(corpus.train_records):,} and {len(corpus.val_records):,} records "
            "(lines that are not empty; what is held out counts once, and is not learned elsewhere)"
        )
    notes = split_notes(corpus)
    values = {"num_train": corpus.num_train, "num_val": corpus.num_val, "held_out_notes": notes}
    return Finding("split", "; ".join([text, *notes]), values)


def memory_finding(corpus: Corpus) -> Finding:
    """Return the loss of the n-gram memory alone on the held-out text."""
    begin = time.monotonic()
    has_words = knows_words(corpus.chars_per_record)
    memory = count_corpus(corpus, MEMORY_ORDER, has_words=has_words)
    assert memory is not None  # None only for order 0
    seconds = time.monotonic() - begin
    loss = memory_loss(memory, scored_batches(corpus))
    values = {"memory_loss": loss, "memory_entries": memory.num_entries}
    made = f"{memory.num_entries:,} entries, counted in {seconds:.1f} s"
    if loss is None:
        return Finding("n-gram memory", f"nothing is held out; {made}", values)
    unit = corpus.vocab.unit
    bits = f"{loss / math.log(2):.3f} bits per {unit} ({loss:.4f} nats)"
    return Finding(
        "n-gram memory",
        f"{bits}; {made}; a model that trains for long enough has a lower loss",
        values,
    )


def scored_batches(corpus: Corpus) -> Iterator[Batch]:
    """Return batches of held-out text, of a long text only the first part."""
    if not num_held_out(corpus):
        return iter(())
    most = min(MOST_SCORED, MOST_CELLS // corpus.vocab.size)
    return held_out_batches(corpus, held_out_protocols(corpus)[0], most)


def training_findings(
    paths: list[Path], given: SettingSources, corpus: Corpus
) -> Iterator[Finding]:
    """Yield the network that `train` would choose, and its training speed on this machine."""
    config = prepare(paths, given, corpus=corpus).config
    model = ModelConfig.from_settings(config, corpus.vocab.size)
    yield Finding(
        "network",
        f"{size_text(config.cell, config.num_layers, config.hidden_size, config.attention)}, "
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
    """Return the median duration of an update in seconds, and its number of symbols."""
    from charrnn.nn.device import pick_device, set_threads
    from charrnn.training.learner import Learner

    set_threads(config.threads, pick_device(config.device))
    batches = make_batches(corpus, config)
    learner = Learner(
        config, ModelConfig.from_settings(config, corpus.vocab.size), batches.batch_size
    )
    times, chars = [], []
    for step in range(NUM_COLD + NUM_TIMED):
        batch, begin = batches.batch(step), time.monotonic()
        learner.update(batch, step, config.lr)
        learner.take_stats()  # waits until the device has finished
        times.append(time.monotonic() - begin)
        chars.append(batch.num_chars)
    return float(np.median(times[NUM_COLD:])), int(np.median(chars[NUM_COLD:]))
