"""Run one `sample` request from prompts to output."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from charrnn.checkpoints.model import load_model
from charrnn.core.config import SampleConfig
from charrnn.core.console import Console, count_text
from charrnn.core.errors import InputError, printable
from charrnn.core.output import OutputStream, open_output
from charrnn.core.seeds import random_seed
from charrnn.core.stdin import spooled
from charrnn.mixing.request import Mixing
from charrnn.sampling.corpus.novelty import Novelty
from charrnn.sampling.corpus.source import TOGETHER, Source
from charrnn.sampling.jobs import Job, Jobs, Sample, joined
from charrnn.sampling.output_file import ResumedFile, resumed_file
from charrnn.sampling.prefill import PromptOptions, check_prompts, fitted
from charrnn.sampling.sampler import Sampler
from charrnn.sampling.writer import (
    Explain,
    checked,
    grouped,
    make_sampler,
    order_text,
    write_columns,
    write_json,
    write_samples,
    write_stream,
    written_alone,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRequest:
    """The settings of one `sample` command."""

    model: Path
    prompts: Sequence[str] = ()
    configs: list[SampleConfig]
    """One for each temperature."""
    num_samples: int
    stops: tuple[str, ...]
    seed: int | None
    batch_size: int | None
    device: str
    precision: str
    output: Path | None
    resume: bool
    check_copies: Path | None
    novel: Path | None
    mixing: Mixing = field(default_factory=Mixing)
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
            raise InputError("--resume: continues a file of JSON lines only; add --json -o FILE")
        if self.resume and self.novel and self.seed is None:
            raise InputError(
                "--resume and --novel: the file may lack text 0 with the seed; add --seed N"
            )
        if len(set(self.configs)) < len(self.configs):
            raise InputError("--temperature: the same value is given twice; leave one out")

    def jobs(self, seed: int) -> Jobs:
        """Return the jobs of all texts, given the seed of the first one."""
        return Jobs(self.prompts, self.configs, self.num_samples, seed)

    def recorded(self) -> dict[str, Any]:
        """Return what made all texts, besides their configs, as in JSON, without what is neutral."""
        mixed = {"memory_from": self.mixing.texts, "with": self.mixing.models}
        found: dict[str, Any] = {
            name: [[str(path), weight] for path, weight in pairs if weight]
            for name, pairs in mixed.items()
        }
        found |= {"stop": list(self.stops), "device": self.device if self.device != "cpu" else ""}
        return {name: value for name, value in found.items() if value}


@dataclass(slots=True)
class Generation:
    """Runs one request.

    Args:
        request: Settings of the command.
        sampler: Sampler of the model.
        console: Console for progress and notes.
        copied: Files with the corpora that are pipes, by the name given.
        explain: Writes the texts with their origins, if that is asked for.
    """

    request: SampleRequest
    sampler: Sampler
    console: Console
    copied: Mapping[Path, Path] = field(default_factory=dict)
    explain: Explain | None = None
    num_tried: int = field(default=0, init=False)
    num_kept: int = field(default=0, init=False)

    def run(self) -> None:
        """Write all texts, or the texts that a resumed output file lacks."""
        request = self.request
        for config in request.configs:
            self.sampler.steering(config)  # an error comes before any output
        model = self.sampler.model
        corpus = request.check_copies
        with self.console.waiting("reading the corpus"):
            novelty = Novelty(self.file_of(request.novel), model) if request.novel else None
            source = Source([self.file_of(corpus)], model.reading()) if corpus else None
        for note in {note: None for each in (novelty, source) if each for note in each.notes}:
            self.console.note(note)
        with resumed_file(request.output if request.resume else None) as (resumed, stream):
            jobs = request.jobs(self.seed(resumed))
            first = self.first_index(jobs, resumed)
            with open_output(request.output, raw=request.raw, stream=stream) as out:
                if self.is_streamed(jobs, source, novelty):
                    self.stream(out, jobs[0])
                    return
                if novelty:
                    samples = self.novel(out, jobs, first, novelty, resumed)
                else:
                    samples = self.counted(self.samples(out, jobs, first))
                self.write(out, samples, source, jobs)
        self.sum_up()

    def file_of(self, corpus: Path) -> Path:
        """Return the file or folder to read for a corpus."""
        return self.copied.get(corpus, corpus)

    def seed(self, resumed: ResumedFile | None) -> int:
        """Return the seed of the first text; print it if it is random."""
        if self.request.seed is not None:
            return self.request.seed
        if resumed and resumed.last:
            if resumed.seed is None:
                raise resumed.mismatch("it does not begin with text 0, so --seed is needed")
            return resumed.seed
        seed = random_seed()
        self.console.line(f"seed {seed}")
        return seed

    def first_index(self, jobs: Jobs, resumed: ResumedFile | None) -> int:
        """Return the index of the first text to write, after the texts of a resumed file.

        The last text of the file is generated again, to find another model or other settings.

        Raises:
            InputError: The file is of another request.
        """
        if resumed is None:
            return 0
        num_rounds = jobs.num_rounds if self.request.novel else 1
        resumed.check(jobs, num_rounds, self.request.precision, self.request.recorded())
        if resumed.last:
            index = resumed.next_index - 1
            (again,) = self.sampler.write([jobs[index]])
            if (again.text, again.finish) != (resumed.last["text"], resumed.last.get("finish")):
                raise resumed.mismatch(
                    f"its text {index} is different: other settings or another model"
                )
            resumed.check_keys("copied", "--check-copies", self.request.check_copies is not None)
            resumed.check_keys("shares", "--explain", self.explain is not None)
        resumed.truncate()
        if resumed.next_index:
            self.console.note(f"continues after text {resumed.next_index - 1:,}")
        return resumed.next_index

    def is_streamed(self, jobs: Jobs, source: Source | None, novelty: Novelty | None) -> bool:
        """True if the only text can be written while it is generated."""
        is_plain = (
            not (self.request.as_json or source or novelty or self.explain)
            and jobs.configs[0].best_of == 1
        )
        return self.is_single(jobs) and is_plain and self.sampler.is_streaming

    def is_single(self, jobs: Jobs) -> bool:
        """True if there is one text and no batch size: a single stream is faster for it."""
        is_batch = (self.request.batch_size or 1) > 1 or self.request.resume
        return len(jobs) == 1 and not is_batch

    def stream(self, out: OutputStream, job: Job) -> None:
        """Write the only text, each character as soon as it is generated."""
        write_stream(out, self.sampler, job.prompt, job.config, job.seed, echo=self.request.echo)

    def samples(self, out: OutputStream, jobs: Jobs, first: int) -> Iterator[Sample]:
        """Yield the texts from an index on, and show progress unless a terminal shows the texts."""
        if self.is_single(jobs):
            yield written_alone(self.sampler, jobs[0], self.console)
            return
        samples = self.sampler.write(jobs.since(first), self.request.batch_size)
        if out.for_terminal:
            yield from samples
            return
        with self.console.counting(len(jobs), "text", first) as report:
            for sample in samples:
                report(sample.index + 1)
                yield sample

    def counted(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Yield and count all samples."""
        for sample in samples:
            self.num_kept += 1
            yield sample

    def novel(
        self, out: OutputStream, jobs: Jobs, first: int, novelty: Novelty,
        resumed: ResumedFile | None,
    ) -> Iterator[Sample]:  # fmt: skip
        """Yield samples that are new until each prompt and temperature has enough of them.

        A prompt or temperature that lacks texts tries its jobs again with other seeds, after all
        others had their turn, `Jobs.num_rounds` times at most.
        """
        found: Counter[int] = Counter()
        for line in resumed.samples() if resumed else ():
            found[jobs.group_of(line["index"])] += 1
            novelty.add(joined(line["prompt"], line["text"], self.sampler.model.is_backward))
        samples = self.tried(jobs, first, found, novelty)
        if not self.request.as_json and len(jobs) > jobs.num_samples:
            samples = iter(sorted(samples, key=lambda each: jobs.group_of(each.index)))
        if out.for_terminal:
            yield from samples
        else:
            with self.console.counting(len(jobs), "text", found.total()) as report:
                for sample in samples:
                    yield sample
                    report(found.total())
        self.note_missing(len(jobs) - found.total())

    def tried(
        self, jobs: Jobs, first: int, found: Counter[int], novelty: Novelty
    ) -> Iterator[Sample]:
        """Yield new samples in the order of their indices, and count them by `Jobs.group_of`."""
        for begin in range(0, len(jobs) * jobs.num_rounds, max(1, len(jobs))):
            indices = range(max(first, begin), begin + len(jobs))
            wanted = (i for i in indices if found[jobs.group_of(i)] < jobs.num_samples)
            samples = self.sampler.write((jobs[i] for i in wanted), self.request.batch_size)
            for group in grouped(samples, TOGETHER):
                for sample, is_new in zip(group, novelty.are_new(group), strict=True):
                    number = jobs.group_of(sample.index)
                    if found[number] == jobs.num_samples:
                        continue  # it was generated beside the last text that was wanted
                    self.num_tried += 1
                    if is_new and novelty.add(sample.whole):
                        found[number] += 1
                        self.num_kept += 1
                        yield sample

    def note_missing(self, num_missing: int) -> None:
        """Print how many new texts were wanted and not found."""
        if num_missing:
            self.console.note(
                f"{count_text(num_missing, 'text')} fewer than asked for: no more new "
                f"ones in {self.num_tried:,} tries; a higher --temperature gives other texts"
            )

    def write(
        self, out: OutputStream, samples: Iterator[Sample], source: Source | None, jobs: Jobs
    ) -> None:
        """Write samples as JSON, side by side on a terminal, or one after the other."""
        made_by = self.request.recorded()
        whole = (replace(each, settings=each.settings | made_by) for each in samples)
        with_copies = checked(whole, source, self.console)
        num_columns = len(self.request.configs)
        has_columns = out.for_terminal and self.explain is None
        if num_columns > 1 and not (self.request.as_json or has_columns):
            self.console.note(order_text(jobs, are_at_most=self.request.novel is not None))
        if self.explain is not None:
            self.explain(out, with_copies, self.sampler, source)
        elif self.request.as_json:
            write_json(out, with_copies)
        elif out.for_terminal and num_columns > 1:
            write_columns(out, with_copies, jobs.prompt_of, echo=self.request.echo)
        else:
            write_samples(out, with_copies, self.sampler, echo=self.request.echo)

    def sum_up(self) -> None:
        """Print how many texts are new, and how many an output file got."""
        if self.request.novel:
            corpus, are_all_new = printable(self.request.novel), self.num_kept == self.num_tried
            rest = "" if are_all_new else f"; the others are empty, repeated or occur in {corpus}"
            self.console.line(f"kept {self.num_kept:,} of {self.num_tried:,} texts{rest}")
        if self.request.output:
            name, count = printable(self.request.output), self.num_kept
            self.console.last(f"{name}: {count_text(count, 'text')} written", 0)


def generate(
    request: SampleRequest, given: PromptOptions, console: Console, checkpoints: Path,
    explain: Explain | None = None,
) -> None:  # fmt: skip
    """Run a `sample` request; a corpus that is a pipe is copied into the folder `checkpoints`.

    Raises:
        InputError: A prompt, a file or a setting cannot be used.
        CheckpointError: The model file is damaged.
        BusyError: Another process writes to the output file.
    """
    model = load_model(request.model).rounded(request.precision)
    model, engine = request.mixing.product(model, request.configs[0].memory_weight)
    prompts, stops, notes = fitted(model, given, request.stops)
    for note in notes:
        console.note(note)
    request = replace(request, prompts=prompts, stops=stops)
    texts = [path for path, _ in request.mixing.texts]
    corpora = [path for path in (request.novel, request.check_copies, *texts) if path]
    with spooled(tuple(map(str, corpora)), checkpoints) as paths:
        copied = dict(zip(corpora, paths, strict=True))
        added = request.mixing.memories(model, copied, console.note)
        count = request.jobs(0).num_symbols
        sampler = make_sampler(model, request.stops, request.device, count, added, engine)
        if console.verbosity > 0:
            weights = "" if model.precision == "fp32" else f", weights in {model.precision}"
            console.line(f"model {printable(request.model)}; {sampler.engine}{weights}")
        check_prompts(model, prompts, given.name)
        Generation(request, sampler, console, copied, explain).run()
