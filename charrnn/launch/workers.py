"""Ranks above 0: receive the prepared run from rank 0 and train without output."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charrnn.checkpoints.run_folder import Run
from charrnn.checkpoints.state import Snapshot
from charrnn.core.config import TrainConfig
from charrnn.core.console import Console
from charrnn.core.errors import CharRNNError, InputError
from charrnn.core.events import Event
from charrnn.core.signals import Interrupts
from charrnn.data.corpus import load_corpus
from charrnn.launch.prepare import PreparedRun
from charrnn.nn.distributed import ALONE, World
from charrnn.training.trainer import train
from charrnn.training.transfer import Initial


@dataclass(frozen=True, slots=True)
class SharedRun:
    """A run that is ready, as it goes to another process; the text is read there."""

    config: TrainConfig
    sources: tuple[str, ...]
    """Absolute names of the texts."""
    digest: str
    resume: Snapshot | None
    init: Initial | None

    def prepare(self) -> PreparedRun:
        """Read the text.

        Raises:
            InputError: It cannot be read, or differs from the text that rank 0 has read.
        """
        corpus = load_corpus([Path(name) for name in self.sources], self.config)
        if corpus.digest != self.digest:
            raise InputError("the text is another one than the first process has read")
        return PreparedRun(self.config, {}, corpus, [], self.resume, self.init)


Task = SharedRun | int
"""What to train, or the exit code to leave with."""


class RankZero:
    """What the first process knows of the others; they wait for exactly one of two calls."""

    def __init__(self, world: World = ALONE) -> None:
        self.world = world
        self._is_waiting = True

    def send_run(self, prepared: PreparedRun) -> None:
        """Let them train along."""
        assert self._is_waiting  # they would take a second call for something else
        self._is_waiting = False
        corpus = prepared.corpus
        task: Task = SharedRun(
            prepared.config, corpus.sources, corpus.digest, prepared.resume, prepared.init
        )
        self.world.broadcast(task)

    def send_exit(self, code: int) -> None:
        """Let them leave with an exit code, if they still wait for something to do."""
        if self._is_waiting:
            self._is_waiting = False
            task: Task = code
            self.world.broadcast(task)


def follow_rank_zero(world: World) -> int:
    """Train the run that rank 0 shares; return the exit code of rank 0."""
    task: Task = 0
    shared = world.broadcast(task)
    if isinstance(shared, int):
        return shared
    with Interrupts(world.all_reduce_max) as interrupts:
        try:
            prepared = shared.prepare()
        except CharRNNError as error:
            Console().error(f"process {world.rank} of {world.size}: {error}")
            return error.exit_code
        try:
            with world.peer_errors():
                train_prepared(prepared, interrupts, world)
                return world.broadcast(0)
        except CharRNNError as error:
            return error.exit_code  # rank 0 prints the reason


def train_prepared(
    prepared: PreparedRun,
    interrupts: Interrupts,
    world: World,
    run: Run | None = None,
    show: Callable[[Event], object] = lambda event: None,
) -> None:
    """Train to the end. Only rank 0 has a run to write, and shows the events."""
    for event in train(
        prepared.config,
        prepared.corpus,
        run,
        resume=prepared.resume,
        init=prepared.init,
        should_stop=interrupts,
        world=world,
    ):
        show(event)
