"""Write samples: stream, separated texts, columns, JSON lines."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, zip_longest
from typing import Any, TypeVar

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.console import Console, count_text
from charrnn.core.errors import InputError, escape_controls
from charrnn.core.output import OutputStream, json_line, rendered
from charrnn.data.vocab import ByteVocabulary, Decoder, WholeCharacters
from charrnn.ngram.model import NgramModel
from charrnn.nn.engine import Engine
from charrnn.sampling.corpus.copies import LONG, WINDOW, Copies
from charrnn.sampling.corpus.source import TOGETHER, Source
from charrnn.sampling.jobs import Job, Jobs, Sample
from charrnn.sampling.sampler import Sampler

SEPARATOR = b"\n---\n"

MARK, UNMARK = b"\x1b[7m", b"\x1b[27m"
"""A terminal's reverse video, on and off."""

FIELDS = ("index", "seed", "prompt", "text", "finish", "temperature")
"""Keys of a sample in JSON."""

Checked = tuple[Sample, Copies | None]
"""A sample, and its copied spans if the request has --check-copies."""

Explain = Callable[[OutputStream, Iterable[Checked], Sampler, Source | None], None]
"""Writes texts of a sampler with their origins, and passages of a corpus."""

T = TypeVar("T")


def make_sampler(
    model: Model, stops: Sequence[str], device: str, num_symbols: int = 0,
    added: Sequence[NgramModel] = (), engine: Engine | None = None,
) -> Sampler:  # fmt: skip
    """Return a sampler on a device; torch is imported only for devices other than "cpu".

    Args:
        model: Model with its weights.
        stops: Strings that end a text.
        device: As in --device.
        num_symbols: About how many symbols will be written in all.
        added: n-gram memories of other texts.
        engine: What steps several models (--with).

    Raises:
        InputError: The device does not exist or is not supported.
    """
    if device != "cpu":
        from charrnn.nn.device import pick_device

        picked = pick_device(device)
        if picked.type == "mps":
            raise InputError("--device: mps: sampling runs on cpu or cuda only; use --device cpu")
        what = "--with" if engine else "a network with attention" * bool(model.config.attention)
        if picked.type == "cuda" and what and device != "auto":
            raise InputError(f"--device: {device}: {what} writes on the CPU only; use --device cpu")
        if picked.type == "cuda" and not what:
            from charrnn.sampling.cuda import DeviceSampler

            return DeviceSampler(model, stops, picked, added=added)
    return Sampler(model, stops, num_symbols=num_symbols, added=added, engine=engine)


def written_alone(sampler: Sampler, job: Job, console: Console) -> Sample:
    """Return the only text; a terminal shows why that of a backward model is not there yet."""
    with ExitStack() as stack:
        if sampler.model.is_backward:
            text = "writing from the end; the text appears when it is finished"
            stack.enter_context(console.waiting(text))
        return sampler.sample(job.prompt, job.config, job.seed)


def write_stream(
    out: OutputStream, sampler: Sampler, prompt: str, config: SampleConfig, seed: int, *, echo: bool
) -> None:
    """Write one text, each character as soon as it is generated."""
    vocab = sampler.model.vocab
    decoder = Decoder(vocab)
    if echo:
        out.text(prompt, vocab.raw(vocab.encode(prompt)))
    out.hurry()
    whole = WholeCharacters()
    for ids in sampler.stream(prompt, config, seed):
        raw = vocab.raw(ids)
        out.text(decoder.feed(ids), whole.feed(raw) if isinstance(vocab, ByteVocabulary) else raw)
    if rest := decoder.end():
        out.text(rest, b"")
    if out.for_terminal or sampler.model.records:
        out.put(b"\n")


def write_samples(
    out: OutputStream, samples: Iterable[Checked], sampler: Sampler, *, echo: bool
) -> None:
    """Write texts: records as lines, other texts separated by a line ---."""
    vocab, records = sampler.model.vocab, sampler.model.records
    for count, (sample, copies) in enumerate(samples):
        if count and not records:
            out.put(SEPARATOR)
        is_echoed = echo and sample.prompt
        prompt = (sample.prompt, vocab.raw(vocab.encode(sample.prompt))) if is_echoed else ("", b"")
        if not sample.is_backward:
            out.text(*prompt)
        write_marked(out, sample, copies)
        if sample.is_backward:
            out.text(*prompt)
        if records:
            out.put(b"\n")
    if out.for_terminal and not records:
        out.put(b"\n")


def write_marked(out: OutputStream, sample: Sample, copies: Copies | None) -> None:
    """Write a text; a terminal shows copied spans in reverse video."""
    if not out.for_terminal or copies is None:
        out.text(sample.text, sample.raw)
        return
    position = 0
    for begin, end in [*copies.spans, (copies.num_symbols, copies.num_symbols)]:
        out.text(piece_of(sample, copies, position, begin), b"")
        if end > begin:
            out.put(MARK)
            out.text(piece_of(sample, copies, begin, end), b"")
            out.put(UNMARK)
        position = end


def piece_of(sample: Sample, copies: Copies, begin: int, end: int) -> str:
    """Return a part of a text; positions count characters, or bytes for a byte model."""
    if copies.num_symbols == len(sample.text):
        return sample.text[begin:end]
    return sample.raw[begin:end].decode("utf-8", "replace")


def checked(
    samples: Iterable[Sample], source: Source | None, console: Console
) -> Iterator[Checked]:
    """Yield samples with their copied spans, and print a summary; without a corpus, with None."""
    if source is None:
        yield from ((sample, None) for sample in samples)
        return
    longest, copied, total = "", 0.0, 0
    for group in grouped(samples, TOGETHER):
        found = source.search([source.codes(sample.text, sample.raw) for sample in group])
        for sample, copies in zip(group, found, strict=True):
            longest = max(longest, piece_of(sample, copies, *copies.longest), key=len)
            copied += copies.share * copies.num_symbols
            total += copies.num_symbols
            yield sample, copies
    unit = "bytes" if source.reading.bytes else "characters"
    size = f"{len(longest)} characters, {longest!r}" if longest else f"under {WINDOW} {unit}"
    console.line(
        f"copies: the longest span has {size}; {copied / max(1, total):.1%} of the text is in "
        f"spans of {LONG} or more"
    )


def grouped(samples: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield samples in lists of `size`; the last one may be shorter."""
    iterator = iter(samples)
    while group := list(islice(iterator, size)):
        yield group


def write_json(out: OutputStream, samples: Iterable[Checked]) -> None:
    """Write samples as JSON objects, one on each line."""
    for sample, copies in samples:
        out.put(json_line(sample_fields(sample, copies)).encode("utf-8") + b"\n")


def sample_fields(sample: Sample, copies: Copies | None) -> dict[str, Any]:
    """Return a sample as a JSON object; what is neutral is left out."""
    fields = {name: getattr(sample, name) for name in FIELDS}
    if sample.precision != "fp32":
        fields["precision"] = sample.precision
    if sample.is_backward:
        fields["direction"] = "backward"
    fields |= sample.settings
    if sample.best_of > 1:
        fields["loss"] = sample.loss
    if copies is not None:
        fields |= {
            "copied": copies.share,
            "longest_copy": piece_of(sample, copies, *copies.longest),
        }
    return fields


def order_text(jobs: Jobs, *, are_at_most: bool) -> str:
    """Return which texts of each prompt have which temperature."""
    texts = "at most " * are_at_most + count_text(jobs.num_samples, "text")
    parts = [f"{texts} at temperature {each.temperature:g}" for each in jobs.configs]
    return ", then ".join(parts) + ", for each prompt" * (len(jobs.prompts) > 1)


def write_columns(
    out: OutputStream, samples: Iterable[Checked], prompt_of: Callable[[int], int], *, echo: bool
) -> None:
    """Write a table for each prompt, with a column for each temperature.

    Args:
        out: Receives the tables.
        samples: All samples of a prompt follow each other.
        prompt_of: Returns the number of the prompt of a sample, given its index.
        echo: Show the prompt before each text.
    """
    groups: dict[int, list[Sample]] = {}
    for sample, _ in samples:
        prompt = prompt_of(sample.index)
        if groups and prompt not in groups:
            out.put(as_columns(groups.popitem()[1], echo=echo).encode("utf-8"))
        groups.setdefault(prompt, []).append(sample)
    for group in groups.values():
        out.put(as_columns(group, echo=echo).encode("utf-8"))


def as_columns(samples: Sequence[Sample], *, echo: bool) -> str:
    """Return the texts of one prompt as a table: a column for each temperature."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    columns: dict[float, list[Text]] = {}
    for sample in samples:
        text = sample.whole if echo else sample.text
        columns.setdefault(sample.temperature, []).append(
            Text(escape_controls(text.removesuffix("\r")))
        )
    table = Table(box=SIMPLE_HEAD, show_edge=False, show_lines=True)
    for temperature in columns:
        table.add_column(f"{temperature:g}", ratio=1, overflow="fold")
    for row in zip_longest(*columns.values(), fillvalue=Text()):
        table.add_row(*row)
    return rendered(table) + "\n"
