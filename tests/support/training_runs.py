"""Small training runs, and a clock that tests set."""

import dataclasses
from pathlib import Path

from charrnn.checkpoints.names import create_run
from charrnn.core.config import TrainConfig
from charrnn.core.events import Step
from charrnn.data.corpus import load_corpus
from charrnn.training.trainer import train

CONFIG = TrainConfig(
    hidden_size=16, embedding_size=5, batch_size=3, seq_len=8, steps=25, lr=0.01, ema_decay=0.9,
    device="cpu", precision="fp32", threads=1, eval_every=10, save_every=10, sample_every=10,
)  # fmt: skip


class Clock:
    """A clock that shows the seconds it was set to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def run_training(text_file, *, run=None, stop_after=None, **changes):
    """Train on the small text; return the events, the corpus and the run."""
    config = dataclasses.replace(CONFIG, **changes)
    corpus = load_corpus([text_file], config)
    run = run or create_run(Path("checkpoints"), None, [text_file])
    events = []

    def should_stop():
        return stop_after is not None and any(
            isinstance(e, Step) and e.step >= stop_after for e in events
        )

    events.extend(iter_into(train(config, corpus, run, should_stop=should_stop), events))
    return events, corpus, run


def iter_into(source, seen):
    """Yield nothing, but see every event as it comes."""
    for event in source:
        seen.append(event)
    return ()


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]
