"""Training in this process, stopped at a given step, for exact resumes."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

from charrnn.checkpoints.format import unpack
from charrnn.checkpoints.names import create_run
from charrnn.checkpoints.run_folder import Run, step_files
from charrnn.checkpoints.state import Snapshot, state_digest
from charrnn.core.config import TrainConfig
from charrnn.core.events import Event
from charrnn.data.corpus import load_corpus
from charrnn.launch.resume import newest_snapshot
from charrnn.ngram.word_model import count_corpus
from charrnn.training.trainer import Trainer

CONFIG = TrainConfig(
    hidden_size=16, embedding_size=5, batch_size=3, seq_len=8, steps=30, lr=0.01, ema_decay=0.9,
    device="cpu", precision="fp32", threads=1, eval_every=10, save_every=1000, sample_every=0,
    warmup_steps=3, dropout=0.2, weight_drop=0.1, restart_prob=0.1,
)  # fmt: skip

VARIANTS: dict[str, dict[str, object]] = {
    "plain": {},
    "no dropout": {"dropout": 0.0, "weight_drop": 0.0},
    "three layers": {"num_layers": 3},
    "slow average": {"ema_decay": 0.99},
    "gru": {"cell": "gru"},
    "rnn": {"cell": "rnn"},
    "transformer": {
        "cell": "transformer",
        "hidden_size": 12,
        "num_heads": 3,
        "context": 11,
        "weight_drop": 0.0,
    },
    "epochs end inside": {"batch_size": 7, "seq_len": 64},  # 4 steps an epoch
    "lines": {"lines": True, "batch_size": 5},
    "memory": {"memory": 3},
    "attention": {"attention": 20},
}


class Session:
    """Trains runs on one text, in one folder."""

    def __init__(self, text_file: Path, **changes: object) -> None:
        self.config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]
        self.corpus = load_corpus([text_file], self.config)

    def new_run(self) -> Run:
        """Return a new run with an unused name."""
        return create_run(Path("checkpoints"), None, [Path("run")])

    def train(
        self,
        run: Run,
        *,
        stop_at: int | None = None,
        change: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot,
        prepare: Callable[[Trainer], None] | None = None,
        **changes: object,
    ) -> list[Event]:
        """Train or resume a run; return its events."""
        config = dataclasses.replace(self.config, **changes)  # type: ignore[arg-type]
        snapshot = newest_snapshot(run)[0] if step_files(run.folder) else None
        memory = snapshot.model.memory if snapshot else count_corpus(self.corpus, config.memory)
        trainer = Trainer(
            config,
            self.corpus,
            run,
            lambda: stop_at is not None and trainer.step >= stop_at,
            itertools.count().__next__,  # a second per reading reports every step
            memory=memory,
        )
        if snapshot:
            trainer.resume(change(snapshot))
        if prepare:
            prepare(trainer)
        return list(trainer.events())


def digest(run: Run) -> str:
    """Return the state digest of a run's newest full checkpoint."""
    return state_digest(*unpack(step_files(run.folder)[-1].read_bytes()))
