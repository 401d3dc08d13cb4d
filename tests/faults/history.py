"""A history of saves as training makes it, without training, for faults of disks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness import TEXT

from charrnn.checkpoints.names import open_run
from charrnn.checkpoints.run_folder import Run
from charrnn.checkpoints.state import State
from charrnn.core.config import TrainConfig
from charrnn.core.events import Saved, SaveFailed
from charrnn.data.corpus import load_corpus
from charrnn.launch.resume import newest_snapshot
from charrnn.training.checkpointing import Checkpointer
from charrnn.training.trainer import Trainer

CONFIG = TrainConfig(
    hidden_size=2, embedding_size=2, batch_size=2, seq_len=8, steps=9, device="cpu",
    precision="fp32", threads=1,
)  # fmt: skip

NOTHING: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Template:
    """A training state to save at any step, and the metadata of its run."""

    state: State
    facts: dict[str, object]
    vocab_size: int

    def at(self, step: int) -> State:
        """Return a state that differs at each step."""
        state = self.state
        tensors = {name: array + step / 64 for name, array in state.tensors.items()}
        progress = replace(state.progress, step=step)
        return replace(state, tensors=tensors, progress=progress)


def make_template(hidden_size: int = 2) -> Template:
    """Return the state of a tiny network before its first step."""
    config = replace(CONFIG, hidden_size=hidden_size)
    text = Path("text.txt")
    text.write_text("abcabd\n" * 40 + TEXT[:30].replace("W", ""), encoding="utf-8")
    corpus = load_corpus([text], config)
    trainer = Trainer(config, corpus, None, lambda: False, lambda: 0.0)
    return Template(trainer.good, trainer.checkpointer.metadata, corpus.vocab.size)


def saves(run: Run, template: Template, steps: range) -> Iterator[Saved | SaveFailed]:
    """Save full checkpoints and best models in turn, as training does; yield the events."""
    checkpointer = Checkpointer(run, template.facts, {"sources": ["text.txt"]})
    for step in steps:
        state = template.at(step)
        weights = {
            name.removeprefix("model/"): array
            for name, array in state.tensors.items()
            if name.startswith("model/")
        }
        yield from [
            *checkpointer.save_state(state, NOTHING),
            *checkpointer.save_best(weights, step, state.plan, NOTHING, loss=5 - step / 8),
        ]


def recover(folder: Path) -> tuple[int, int]:
    """Return the steps of the newest full checkpoint and of the best model; 0 if missing."""
    run = open_run(folder)
    try:
        if run.is_empty:
            return 0, 0
        snapshot, _ = newest_snapshot(run)
        return snapshot.state.progress.step, snapshot.best_model.step if snapshot.best_model else 0
    finally:
        run.close()
