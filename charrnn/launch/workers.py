"""Ranks above 0: receive the prepared run from rank 0, and train without output."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charrnn.checkpoints.run_folder import Run
from charrnn.checkpoints.state import Snapshot
from charrnn.core.config import TrainConfig
from charrnn.core.console import Console
from charrnn.core.errors import CharRNNError
from charrnn.core.events import Event
from charrnn.core.signals import Interrupts
from charrnn.data.corpus import load_corpus
from charrnn.data.file_kinds import unfit
from charrnn.launch.prepare import PreparedRun
from charrnn.nn.distributed import ALONE, World
from charrnn.training.trainer import train
from charrnn.training.transfer import Initial


@dataclass(frozen=True, slots=True)
class SharedRun:
    """A prepared run as rank 0 broadcasts it; each rank reads the text itself."""

    config: TrainConfig
    sources: tuple[str, ...]
    """Absolute paths of the texts."""
    digest: str
    """Digest of the corpus."""
    resume: Snapshot | None
    init: Initial | None

    def prepare(self) -> PreparedRun:
        """Read the text, and check that it is the text of rank 0.

        Raises:
            InputError: It cannot be read, or differs from the text that rank 0 has read.
        """
        corpus = load_corpus([Path(name) for name in self.sources], self.config)
        if not corpus.has_digest(self.digest):
            raise unfit(self.sources, "differs from the text of process 0")
        return PreparedRun(self.config, {}, corpus, [], self.resume, self.init)


Message = SharedRun | int
"""What rank 0 broadcasts: a run to train, or an exit code."""


class RankZero:
    """Rank 0's side of the one broadcast that the other ranks wait for."""

    def __init__(self, world: World = ALONE) -> None:
        self.world = world
        self._is_waiting = True

    def send_run(self, prepared: PreparedRun) -> None:
        """Let the other ranks train."""
        assert self._is_waiting  # a second broadcast would meet another collective call
        self._is_waiting = False
        corpus = prepared.corpus
        message: Message = SharedRun(
            prepared.config, corpus.sources, corpus.digest, prepared.resume, prepared.init
        )
        self.world.broadcast(message)

    def send_exit(self, code: int) -> None:
        """Let the other ranks exit with a code, if they are still waiting."""
        if self._is_waiting:
            self._is_waiting = False
            message: Message = code
            self.world.broadcast(message)


def follow_rank_zero(world: World) -> int:
    """Train the run that rank 0 broadcasts; return the exit code of rank 0."""
    message: Message = 0
    shared = world.broadcast(message)
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
    """Train to the end. Only rank 0 writes a run and shows the events."""
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
