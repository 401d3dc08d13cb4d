"""Run one `export` request: load, round, cut, write; what a user should know about the result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from charrnn.checkpoints.model import Model, load_model
from charrnn.checkpoints.run_folder import BEST
from charrnn.core.errors import InputError, printable, reason_of
from charrnn.core.files import write_durably
from charrnn.core.overwriting import PAGES
from charrnn.export.model import check_network, checkpoint_bytes, fitted, rounded
from charrnn.export.page import LARGEST_PAGE, page_bytes
from charrnn.export.text import PageText, page_text

CHECKPOINTS = (".safetensors",)
"""Suffixes of models that can be written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """The settings of one `export` command."""

    model: Path
    output: Path
    with_memory: bool
    title: str | None
    texts: Sequence[Path] = ()
    """Files and folders in which the page finds passages."""

    def __post_init__(self) -> None:
        name = printable(self.output)
        if self.output.suffix.lower() not in PAGES + CHECKPOINTS:
            raise InputError(f"-o: {name}: name a page (.html) or a model (.safetensors)")
        if self.output.exists() and not self.output.is_file():
            raise InputError(f"-o: {name}: not a file; name another one")
        if self.texts and not self.is_page:
            raise InputError("--with-text: only a page shows passages; name a page (-o FILE.html)")
        if self.title is not None and not self.is_page:
            raise InputError("--title: only a page has a title; name a page (-o FILE.html)")
        if self.title is not None and not self.title.strip():
            raise InputError("--title: the title is empty; leave out --title for the model's name")

    @property
    def is_page(self) -> bool:
        """Whether a page is written, not a checkpoint."""
        return self.output.suffix.lower() in PAGES

    @property
    def page_title(self) -> str:
        """The title that is asked for, or the name of the run or file."""
        if self.title is not None:
            return self.title
        path = self.model.resolve()
        return path.parent.name if path.name == BEST else path.stem


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written."""

    is_page: bool
    num_bytes: int
    whole: Model
    """The model, its weights rounded."""
    model: Model
    """The same with the n-gram memory that the file has."""
    text: PageText | None
    """What the page has from a text."""

    @property
    def order(self) -> int:
        """Symbols in the longest context of the n-gram memory; 0 without one."""
        return self.model.memory.order if self.model.memory else 0

    def notes(self) -> Iterator[str]:
        """Yield what is left out, and what is large."""
        yield from self.text.notes if self.text else ()
        is_large = self.is_page and self.num_bytes > LARGEST_PAGE
        aim = "" if is_large else f", to keep the page under {LARGEST_PAGE / 1e6:g} MB"
        if self.whole.memory and self.order < self.whole.memory.order:
            yield (
                f"n-gram memory with contexts of up to {self.order} {self.whole.vocab.unit}s "
                f"instead of {self.whole.memory.order}{aim}"
            )
        if is_large:
            what = "network and text are" if self.text else "the network alone is"
            yield f"{self.num_bytes / 1e6:.1f} MB: {what} large for a page"


def run_export(request: ExportRequest) -> Exported:
    """Write the page or the checkpoint.

    Raises:
        InputError: The model cannot be exported, a text cannot be read, or the file cannot be
            written.
        CheckpointError: The model file is damaged.
    """
    whole = load_model(request.model)
    whole.config.check_writes()
    if request.is_page:
        check_network(whole)
    whole = rounded(whole, with_memory=request.with_memory)
    text = page_text(request.texts, whole) if request.texts else None
    of_text = text.fields if text else None
    model, data = fitted(whole, lambda each: page_bytes(each, request.page_title, of_text))
    data = data if request.is_page else checkpoint_bytes(model)
    try:
        write_durably(request.output.resolve(), data)  # a link stays a link
    except OSError as error:
        raise InputError(f"-o: {printable(request.output)}: {reason_of(error)}") from None
    return Exported(
        is_page=request.is_page, num_bytes=len(data), whole=whole, model=model, text=text
    )
