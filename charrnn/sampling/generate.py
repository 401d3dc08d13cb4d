"""Run one `sample` request from prompts to output."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from charrnn.checkpoints.model import load_model
from charrnn.core.config import SampleConfig
from charrnn.core.console import Console
from charrnn.core.errors import InputError, printable
from charrnn.core.output import OutputStream, open_output
from charrnn.sampling.copies import Novelty, Source
from charrnn.sampling.jobs import Jobs, Sample
from charrnn.sampling.output_file import Earlier, continued
from charrnn.sampling.prefill import prompt_ids
from charrnn.sampling.sampler import Sampler
from charrnn.sampling.writer import (
    checked,
    grouped,
    make_sampler,
    write_columns,
    write_json,
    write_samples,
    write_stream,
)

LOOKED_UP_TOGETHER = 64
"""Samples that are looked up in a corpus in one pass over it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRequest:
    """A command line of `sample`."""

    model: Path
    prompts: list[str]
    configs: list[SampleConfig]
    """One for each temperature."""
    num_samples: int
    stops: tuple[str, ...]
    seed: int | None
    batch_size: int | None
    device: str
    output: Path | None
    resume: bool
    check_copies: Path | None
    novel: Path | None
    echo: bool
    raw: bool
    as_json: bool

    def __post_init__(self) -> None:
        counts = {"-n": (self.num_samples, 0), "--batch-size": (self.batch_size, 1)}
        for name, (count, least) in counts.items():
            if count is not None and count < least:
                raise InputError(f"{name}: must be at least {least}, got {count}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise InputError(f"--seed: must be in [0, 2^63), got {self.seed}")
        if self.resume and not (self.as_json and self.output):
            raise InputError("--resume: goes on with a file of JSON lines: add --json -o FILE")
        if self.resume and self.novel and self.seed is None:
            raise InputError(
                "--resume and --novel: the file may not tell the seed of the call; add --seed N"
            )
        if len(set(self.configs)) < len(self.configs):
            raise InputError("--temperature: one of them stands there twice; leave one out")

    def jobs(self, seed: int) -> Jobs:
        """Return all texts of this call."""
        return Jobs(self.prompts, self.configs, self.num_samples, seed)


@dataclass(slots=True)
class Generation:
    """Writes what one call asks for.

    Args:
        request: The command line.
        sampler: Of the model that is asked for.
        console: For progress, and what was left out.
    """

    request: SampleRequest
    sampler: Sampler
    console: Console
    num_tried: int = field(default=0, init=False)
    num_kept: int = field(default=0, init=False)

    def run(self) -> None:
        """Write all texts, or those that an output file lacks."""
        request = self.request
        self.check_prompts()
        novelty = Novelty(request.novel, self.sampler.model) if request.novel else None
        reading = self.sampler.model.reading()
        source = Source([request.check_copies], reading) if request.check_copies else None
        with opened(request) as (stream, earlier):
            jobs = request.jobs(self.seed(earlier))
            begin = self.begin(jobs, earlier)
            with open_output(request.output, raw=request.raw, stream=stream) as out:
                if self.is_streamed(jobs, out, source, novelty):
                    self.stream(out, jobs)
                    return
                samples = self.kept(self.made(out, jobs, begin), novelty)
                self.write(out, samples, source)
        self.sum_up()

    def check_prompts(self) -> None:
        """Refuse prompts that the model cannot read, before anything is written."""
        for number, prompt in enumerate(self.request.prompts, start=1):
            try:
                prompt_ids(self.sampler.model, prompt)
            except InputError as error:
                where = f"prompt {number}: " if len(self.request.prompts) > 1 else ""
                raise InputError(f"{where}{error}") from None

    def seed(self, earlier: Earlier | None) -> int:
        """Return the seed of the first text, and say it where nobody has named it."""
        if self.request.seed is not None:
            return self.request.seed
        if earlier and earlier.last:
            if earlier.seed is None:
                raise earlier.other("it does not begin with text 0, so --seed has to be named")
            return earlier.seed
        seed = int.from_bytes(os.urandom(6), "big")
        self.console.line(f"seed {seed}")
        return seed

    def begin(self, jobs: Jobs, earlier: Earlier | None) -> int:
        """Return the index to begin with, behind what an output file holds.

        The file's last text is made again: so no other model or setting goes on with it.

        Raises:
            InputError: Another call has written it.
        """
        if earlier is None:
            return 0
        earlier.check(jobs)
        if earlier.last:
            index = earlier.next_index - 1
            (again,) = self.sampler.write([jobs[index]])
            if (again.text, again.finish) != (earlier.last["text"], earlier.last.get("finish")):
                raise earlier.other(f"its text {index} is another one: other settings or model")
            if ("copied" in earlier.last) != (self.request.check_copies is not None):
                raise earlier.other("its lines are with --check-copies, or without, unlike these")
        earlier.cut()
        if earlier.next_index:
            self.console.note(f"goes on behind text {earlier.next_index - 1:,}")
        return earlier.next_index

    def is_streamed(
        self, jobs: Jobs, out: OutputStream, source: Source | None, novelty: Novelty | None
    ) -> bool:
        """Say whether a single text can be shown as it is made."""
        is_plain = not self.request.as_json and source is None and novelty is None
        return self.is_alone(jobs) and is_plain and self.sampler.is_streaming

    def is_alone(self, jobs: Jobs) -> bool:
        """Say whether there is one text, to be written by itself: the fastest way for one."""
        is_batch = (self.request.batch_size or 1) > 1 or self.request.resume
        return len(jobs) == 1 and not is_batch

    def stream(self, out: OutputStream, jobs: Jobs) -> None:
        """Write the only text, each character as it is made."""
        job = jobs[0]
        write_stream(out, self.sampler, job.prompt, job.config, job.seed, echo=self.request.echo)

    def made(self, out: OutputStream, jobs: Jobs, begin: int) -> Iterator[Sample]:
        """Yield the texts from an index on, and show how many there are."""
        if self.is_alone(jobs):
            job = jobs[0]
            yield self.sampler.sample(job.prompt, job.config, job.seed)
            return
        samples = self.sampler.write(jobs.since(begin), self.request.batch_size)
        if out.for_terminal:  # the texts show themselves
            yield from samples
            return
        with self.console.counting(len(jobs), "text", begin) as report:
            for sample in samples:
                report(sample.index + 1)
                yield sample

    def kept(self, samples: Iterator[Sample], novelty: Novelty | None) -> Iterator[Sample]:
        """Yield the samples that are new, if only those are wanted; count both."""
        for group in grouped(samples, LOOKED_UP_TOGETHER if novelty else 1):
            are_new = novelty.are_new(group) if novelty else [True] * len(group)
            self.num_tried += len(group)
            for sample, is_new in zip(group, are_new, strict=True):
                self.num_kept += is_new
                if is_new:
                    yield sample

    def write(self, out: OutputStream, samples: Iterator[Sample], source: Source | None) -> None:
        """Write samples as JSON, side by side on a terminal, or one after the other."""
        found = checked(samples, source, self.console)
        num_columns = len(self.request.configs)
        if self.request.as_json:
            write_json(out, found)
        elif out.for_terminal and num_columns > 1:
            write_columns(out, found, self.request.num_samples, num_columns, echo=self.request.echo)
        else:
            write_samples(out, found, self.sampler, echo=self.request.echo)

    def sum_up(self) -> None:
        """Say what was left out, and in a log what has happened."""
        if self.request.novel:
            self.console.line(
                f"kept {self.num_kept:,} of {self.num_tried:,} texts; the others stand in "
                f"{printable(self.request.novel)}"
            )
        if self.request.output:
            name = printable(self.request.output)
            self.console.last(f"{name}: {self.num_kept:,} texts written", 0)


@contextmanager
def opened(request: SampleRequest) -> Iterator[tuple[BinaryIO | None, Earlier | None]]:
    """Yield the output file to go on with, and what it holds; nothing unless that is wanted."""
    if not (request.resume and request.output):
        yield None, None
        return
    with continued(request.output) as (earlier, file):
        yield file, earlier


def generate(request: SampleRequest, console: Console) -> None:
    """Write what a command line of `sample` asks for.

    Raises:
        InputError: A prompt, a file or a setting cannot be used.
        CheckpointError: The model is damaged.
        BusyError: Another process writes the output file.
    """
    sampler = make_sampler(load_model(request.model), request.stops, request.device)
    if console.verbosity > 0:
        console.line(f"model {printable(request.model)}; {sampler.engine}")
    Generation(request, sampler, console).run()
