"""Several processes train as one: shares of a batch, and whole jobs under torchrun on the CPU."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from forks import python, script
from sessions import Session

from charrnn.checkpoints.format import unpack
from charrnn.checkpoints.run_folder import step_files
from charrnn.checkpoints.state import state_digest
from charrnn.core.config import TrainConfig
from charrnn.core.errors import CharRNNError, InputError
from charrnn.core.events import Evaluated
from charrnn.core.rank import Rank, check_shares, rank_from_env
from charrnn.core.signals import Interrupts
from charrnn.data.batches import IGNORED, Batch
from charrnn.launch import workers
from charrnn.launch.prepare import PreparedRun
from charrnn.launch.resume import newest_snapshot
from charrnn.ngram.word_model import count_corpus
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.device import default_threads
from charrnn.nn.distributed import ALONE, World, _init_process_group, is_lost, joined
from charrnn.nn.state import State
from charrnn.training.learner import Learner
from charrnn.training.trainer import Trainer, train

TEXT = "Who's there?\nNay, answer me: stand, and unfold yourself.\nLong live the king!\n" * 40
SETTINGS = [
    "--steps", "20", "--hidden-size", "16", "--num-layers", "2", "--batch-size", "4", "--seq-len",
    "16", "--dropout", "0.2", "--embedding-dropout", "0.1", "--weight-drop", "0.2", "--eval-every",
    "5", "--save-every", "5", "--sample-every", "0", "--threads", "1", "--device", "cpu",
    "--precision", "fp32", "-q",
]  # fmt: skip


def torchrun(num_ranks, *arguments, launcher=()):
    """Start a job in the current folder."""
    command = [
        *python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
        str(num_ranks), *launcher, "-m", "--", "charrnn", *map(str, arguments),
    ]  # fmt: skip
    environment = os.environ | {"PYTHON_EXEC": str(script(Path("python").absolute()))}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def kill_process(rank):
    """Kill one of the processes that torchrun has started in the current folder."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process of another user, or one that has just ended
            variables = (folder / "environ").read_bytes().split(b"\0")
            if b"RANK=%d" % rank in variables and (folder / "cwd").samefile("."):
                os.kill(int(folder.name), signal.SIGKILL)
                return
    pytest.fail(f"no process has rank {rank}")


def finish(job):
    out, err = job.communicate(timeout=120)
    return job.returncode, out, err


def lines_of(name):
    path = Path("checkpoints", name, "metrics.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def losses(name):
    """Validation losses by step, the two at the end included."""
    return [line["loss"] for line in lines_of(name) if line["event"] == "evaluated"]


def digest(name):
    return state_digest(*unpack(step_files(Path("checkpoints", name))[-1].read_bytes()))


@pytest.fixture
def text():
    Path("text.txt").write_text(TEXT, encoding="utf-8")


# --- shares


def test_rows_of_all_processes_are_all_rows_in_order():
    rows = [World(rank, 4).shard(8) for rank in range(4)]
    assert rows == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    assert [World(rank, 4).shard(3) for rank in range(4)] == [
        slice(0, 0), slice(0, 1), slice(1, 2), slice(2, 3),
    ]  # fmt: skip


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused():
    check_shares(8, 4)
    with pytest.raises(InputError, match="6 streams cannot be divided evenly among 4 processes"):
        check_shares(6, 4)


def test_for_one_process_everything_is_the_identity():
    state, clock = State({"h": torch.ones(2, 3, 5)}), time.monotonic
    assert ALONE.broadcast("said") == "said"
    assert ALONE.all_reduce_max(7) == 7
    assert ALONE.all_gather(state) is state
    assert ALONE.clock(clock) is clock
    assert ALONE.shard(5) == slice(0, 5)


def test_a_share_without_rows_is_one_whose_targets_do_not_count():
    batch = Batch(np.array([[1, 2], [3, 4]]), np.array([[2, 3], [4, 5]]), np.array([True, False]))
    empty, second = batch.part(slice(1, 1)), batch.part(slice(1, 2))
    assert (empty.targets.tolist(), empty.num_chars) == ([[IGNORED, IGNORED]], 0)
    assert (second.inputs.tolist(), second.targets.tolist()) == ([[3, 4]], [[4, 5]])
    assert second.is_fresh.tolist() == [False]


class Apart(World):
    """A process that is asked for its share, and never hears of the others."""

    def wrap_ddp(self, model):
        return model


@pytest.mark.parametrize("num_rows", [6, 5])
def test_the_mean_of_all_shares_gradients_is_the_batchs(num_rows):
    """5 rows: the last records of an epoch, of which one process has 1 row and the others 2."""
    config = TrainConfig(
        hidden_size=7, embedding_size=5, num_layers=2, dropout=0.3, weight_drop=0.3, device="cpu",
        precision="fp32", threads=1,
    )  # fmt: skip
    network = ModelConfig(cell="lstm", vocab_size=11, embedding_size=5, hidden_size=7, num_layers=2)
    rng = np.random.default_rng(0)
    inputs, targets = rng.integers(0, 11, (2, num_rows, 9))
    targets[0, 3:] = IGNORED  # rows that count for less
    batch = Batch(inputs, targets, np.zeros(num_rows, dtype=bool))

    def gradients(world):
        learner = Learner(config, network, 6, world=world)
        torch.autograd.backward(learner.loss(batch, 3))
        return torch.cat([p.grad.flatten() for p in learner.model.parameters()])

    shares = torch.stack([gradients(Apart(rank, 3)) for rank in range(3)])
    torch.testing.assert_close(shares.mean(0), gradients(ALONE), rtol=1e-4, atol=1e-7)
    assert not torch.allclose(shares[0], shares[1], atol=1e-3)


def test_errors_that_speak_of_others_are_told_from_bugs():
    assert is_lost(RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"))
    assert not is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with (
        pytest.raises(CharRNNError, match="another of the 2 processes has ended"),
        World(0, 2).peer_errors(),
    ):
        raise RuntimeError("Connection closed by peer")
    with pytest.raises(RuntimeError, match="peer"), ALONE.peer_errors():
        raise RuntimeError("Connection closed by peer")
    with pytest.raises(RuntimeError, match="shapes"), World(0, 2).peer_errors():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


# --- ranks as threads of this process


class Ranks:
    """Calls a function once for each rank, in threads; their collectives meet in this object."""

    def __init__(self, size, monkeypatch):
        self.size, self._found = size, [None] * size
        self._barrier, self._local = threading.Barrier(size, timeout=30), threading.local()
        for name in ("all_reduce", "all_gather", "broadcast_object_list"):
            monkeypatch.setattr(torch.distributed, name, getattr(self, name))

    def __call__(self, function):
        """Return what the function returns for each rank; it is given its world."""
        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(lambda rank: self._one(rank, function), range(self.size)))

    def _one(self, rank, function):
        self._local.rank = rank
        try:
            return function(Joined(rank, self.size))
        except BaseException:
            self._barrier.abort()
            raise

    def exchange(self, value):
        self._found[self._local.rank] = value
        self._barrier.wait()
        found = list(self._found)
        self._barrier.wait()
        return found

    def all_reduce(self, tensor, op=torch.distributed.ReduceOp.SUM):
        found = torch.stack(self.exchange(tensor.clone()))
        is_max = op == torch.distributed.ReduceOp.MAX
        tensor.copy_(found.amax(0) if is_max else found.sum(0))

    def all_gather(self, parts, mine):
        for part, found in zip(parts, self.exchange(mine), strict=True):
            part.copy_(found)

    def broadcast_object_list(self, box, src, device):
        box[:] = self.exchange(list(box))[src]


class Joined(World):
    """A rank whose gradients become the mean over all ranks, as DistributedDataParallel does."""

    def wrap_ddp(self, model):
        def mean(parameter):
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= self.size

        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(mean)
        return model


def test_a_collective_call_combines_what_all_ranks_have(monkeypatch):
    ranks = Ranks(3, monkeypatch)
    assert ranks(lambda world: world.all_reduce_max(5 - world.rank)) == [5, 5, 5]
    assert ranks(lambda world: world.all_reduce_max(world.rank)) == [2, 2, 2]
    assert ranks(lambda world: world.broadcast(f"of {world.rank}")) == ["of 0"] * 3
    assert ranks(lambda world: world.clock(lambda: 10.0 + world.rank)()) == [10.0] * 3
    sums = ranks(lambda world: world.all_reduce_sum(torch.tensor([1.0, world.rank])).tolist())
    assert sums == [[3.0, 3.0]] * 3
    whole = torch.arange(2 * 6 * 5).reshape(2, 6, 5)  # layers, streams, units
    state = State({"h": whole, "c": -whole})
    for found in ranks(lambda world: world.all_gather(state.rows(world.shard(6)))):
        assert torch.equal(found.arrays()["h"], whole)
        assert torch.equal(found.arrays()["c"], -whole)


def train_as_rank(world, corpus, config, run, resume=None, stop_at=None):
    """Train as one rank, and return all events and the last state."""
    trainer = Trainer(
        config, corpus, run if world.is_rank_zero else None,
        lambda: stop_at is not None and trainer.step >= stop_at,
        itertools.count().__next__, memory=count_corpus(corpus, config.memory), world=world,
    )  # fmt: skip
    if resume:
        trainer.resume(resume)
    return list(trainer.events()), trainer.state()


def evaluated(events):
    return [event.loss for event in events if isinstance(event, Evaluated)]


@pytest.mark.parametrize(
    ("lines", "attention", "direction"),
    [
        (False, 0, "forward"),
        (True, 0, "forward"),
        (False, 12, "forward"),
        (False, 0, "both"),
        (True, 0, "both"),
    ],
)
def test_ranks_train_as_one_process_does_whoever_resumes(monkeypatch, lines, attention, direction):
    """Dropout, restarts, a memory; 19 lines in batches of 4, so that a last one has only 3."""
    Path("text.txt").write_text("".join(f"name {i * i} x\n" for i in range(21)), "utf-8")
    session = Session(
        Path("text.txt"), batch_size=4, steps=9, eval_every=4, memory=2, lines=lines,
        attention=attention, direction=direction,
    )  # fmt: skip
    corpus, config = session.corpus, session.config
    (alone, state) = train_as_rank(ALONE, corpus, config, session.new_run())
    ranks, run = Ranks(2, monkeypatch), session.new_run()
    both = ranks(lambda world: train_as_rank(world, corpus, config, run))
    assert [evaluated(events) for events, _ in both] == [evaluated(both[0][0])] * 2
    assert evaluated(both[0][0]) == pytest.approx(evaluated(alone), abs=1e-5)
    for name, array in state.tensors.items():
        for _, other in both:
            np.testing.assert_allclose(other.tensors[name], array, rtol=0.02, atol=2e-4)
    cut = session.new_run()
    ranks(lambda world: train_as_rank(world, corpus, config, cut, stop_at=6))
    snapshot = newest_snapshot(cut)[0]
    assert snapshot.environment.processes == 2
    ended = ranks(lambda world: train_as_rank(world, corpus, config, cut, snapshot))
    assert all(
        np.array_equal(ended[rank][1].tensors[name], both[rank][1].tensors[name])
        for rank in range(2)
        for name in state.tensors
    )
    (by_one, _) = train_as_rank(ALONE, corpus, config, None, snapshot)
    assert evaluated(by_one)[-1] == pytest.approx(evaluated(alone)[-1], abs=1e-5)


def test_each_attempt_of_torchrun_meets_by_itself(monkeypatch):
    met = []
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "3")
    monkeypatch.setattr(
        "charrnn.nn.distributed.rendezvous", lambda url, timeout: iter([("store", 1, 2)])
    )
    monkeypatch.setattr("charrnn.nn.distributed.PrefixStore", lambda prefix, store: (prefix, store))
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda backend, **said: met.append(said)
    )
    _init_process_group()
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT")
    _init_process_group()
    assert [said["store"] for said in met] == [("attempt 3", "store"), ("attempt 0", "store")]
    assert (met[0]["rank"], met[0]["world_size"]) == (1, 2)


class NoSignals:
    """In the place of Interrupts, which only the main thread may set."""

    def __init__(self, all_reduce_max):
        self.all_reduce_max = all_reduce_max

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __call__(self):
        return ""


def prepared(**changes):
    """A run of the text that is ready, for the ranks above 0."""
    session = Session(Path("text.txt"), batch_size=4, steps=3)
    corpus = dataclasses.replace(session.corpus, **changes)
    return PreparedRun(session.config, {}, corpus, [])


def test_ranks_above_0_leave_with_the_code_of_rank_0(monkeypatch):
    def start(world):
        if not world.is_rank_zero:
            return workers.follow_rank_zero(world)
        first = workers.RankZero(world)
        first.send_exit(4)
        first.send_exit(5)  # a second call would wait for ever
        return 4

    assert Ranks(3, monkeypatch)(start) == [4, 4, 4]


def test_ranks_above_0_train_the_shared_run_and_leave_as_rank_0_does(text, monkeypatch):
    monkeypatch.setattr(workers, "Interrupts", NoSignals)
    ready = prepared()

    def start(world):
        if not world.is_rank_zero:
            return workers.follow_rank_zero(world)
        first = workers.RankZero(world)
        first.send_run(ready)
        list(train(ready.config, ready.corpus, world=world))
        code = world.broadcast(7)
        first.send_exit(8)  # they have gone
        return code

    assert Ranks(2, monkeypatch)(start) == [7, 7]


def test_a_rank_that_reads_another_text_says_so_and_trains_nothing(text, monkeypatch, capsys):
    monkeypatch.setattr(workers, "Interrupts", NoSignals)
    ready = prepared(digest="0" * 64)

    def start(world):
        if not world.is_rank_zero:
            return workers.follow_rank_zero(world)
        workers.RankZero(world).send_run(ready)
        return 0

    assert Ranks(2, monkeypatch)(start) == [0, 2]
    assert "text.txt: differs from the text of process 0" in capsys.readouterr().err


# --- what torchrun says


def told(monkeypatch, **values):
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("rank", [0, 1])
def test_only_rank_0_reports_a_command_line_that_all_have(monkeypatch, call, rank):
    told(
        monkeypatch, RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK="0", LOCAL_WORLD_SIZE="2",
        MASTER_ADDR="a",
    )  # fmt: skip
    code, _, err = call("train", "--nothing")
    assert (code, err.count("\n")) == (2, 1 - rank)


def test_a_signal_ends_a_rank_that_waits_for_others(monkeypatch):
    told(
        monkeypatch, RANK="1", WORLD_SIZE="2", LOCAL_RANK="1", LOCAL_WORLD_SIZE="2", MASTER_ADDR="a"
    )
    calls = []
    monkeypatch.setattr(
        "charrnn.nn.distributed._init_process_group",
        lambda: calls.append(signal.getsignal(signal.SIGTERM)),
    )
    monkeypatch.setattr(
        torch.distributed, "destroy_process_group", lambda: calls.append("destroyed")
    )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with joined() as world:
            assert (world.rank, world.size) == (1, 2)
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        with pytest.raises(InputError), joined():
            raise InputError("the other rank may have exited")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert calls == [signal.SIG_DFL, "destroyed", signal.SIG_DFL]


def test_a_rank_is_read_from_torchruns_variables(monkeypatch):
    told(
        monkeypatch, RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", LOCAL_WORLD_SIZE="4", MASTER_ADDR="a"
    )
    assert rank_from_env() == Rank(rank=5, size=8, local_rank=1, local_size=4)


@pytest.mark.parametrize("size", ["1", "many", "", "-2", "٢"])
def test_anything_else_is_one_process_by_itself(monkeypatch, size):
    told(
        monkeypatch,
        RANK="0",
        WORLD_SIZE=size,
        LOCAL_RANK="0",
        LOCAL_WORLD_SIZE="1",
        MASTER_ADDR="a",
    )
    assert rank_from_env() == Rank()


def test_processes_share_the_cores_whatever_torchrun_has_set(monkeypatch):
    monkeypatch.setattr("charrnn.nn.device.available_cores", lambda: 12)
    told(
        monkeypatch, RANK="0", WORLD_SIZE="4", LOCAL_RANK="0", LOCAL_WORLD_SIZE="4", MASTER_ADDR="a"
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert default_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # nobody but the user sets that
    assert default_threads() == 2


def test_alone_the_users_variable_counts_then_the_cores(monkeypatch):
    monkeypatch.setattr("charrnn.nn.device.available_cores", lambda: 12)
    told(monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert default_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert default_threads() == 8


def test_several_processes_stop_for_a_signal_that_only_one_has_had():
    others = Interrupts(all_reduce_max=lambda number: max(number, signal.SIGUSR1))
    assert (others(), others.exit_code) == ("requeue", 75)


# --- jobs


def test_two_processes_learn_what_one_does(text, call):
    """The same losses, dropout and weight drop on, and nothing is said or written twice."""
    call("train", "text.txt", "--run", "one", *SETTINGS)
    code, out, _ = finish(torchrun(2, "train", "text.txt", "--run", "two", *SETTINGS))
    assert (code, out) == (0, "checkpoints/two/best.safetensors\n")
    assert losses("two") == pytest.approx(losses("one"), abs=1e-5)
    assert len(losses("two")) == 6  # after 5, 10, 15, 20 steps, and the end's two
    assert lines_of("two")[0]["processes"] == 2
    assert [line["event"] for line in lines_of("two")].count("ended") == 1


def test_four_processes_learn_what_one_does_of_lines_too(text, call):
    """77 lines in batches of 8: those of an epoch's last one cannot be shared out evenly."""
    Path("lines.txt").write_text("".join(f"name {i * i} x\n" for i in range(85)), "utf-8")
    for name, file, more in (("text", "text.txt", ()), ("lines", "lines.txt", ("--lines",))):
        arguments = ["train", file, *SETTINGS, "--batch-size", "8", *more, "--run"]
        call(*arguments, f"{name}1")
        assert finish(torchrun(4, *arguments, f"{name}4"))[0] == 0
        assert losses(f"{name}4") == pytest.approx(losses(f"{name}1"), abs=1e-5)


def test_a_run_goes_on_with_another_number_of_processes(text, call):
    """Stopped as a queue does; resumed by as many it is the same bit for bit, by one to rounding."""
    endless = [*SETTINGS, "--steps", "300", "--eval-every", "150", "--save-every", "20", "--run"]
    assert finish(torchrun(2, "train", "text.txt", *endless, "whole"))[0] == 0
    for name in ("two", "one"):
        launcher = ("--signals-to-handle", "SIGTERM,SIGUSR1")
        job = torchrun(2, "train", "text.txt", *endless, name, launcher=launcher)
        while not step_files(Path("checkpoints", name)):
            time.sleep(0.01)
            assert job.poll() is None
        job.send_signal(signal.SIGUSR1)
        assert finish(job)[0] == 1  # torchrun's own code says nothing
        assert (lines_of(name)[-1]["stop_reason"], lines_of(name)[-1]["code"]) == ("requeue", 75)
        assert lines_of(name)[-1]["step"] < 300
    assert finish(torchrun(2, "train", "--resume", "-q", "--run", "two"))[0] == 0
    assert call("train", "--resume", "-q", "--run", "one")[0] == 0
    assert digest("two") == digest("whole")
    assert losses("one")[-2:] == pytest.approx(losses("whole")[-2:], abs=1e-4)


def test_a_dead_process_ends_the_job_and_the_run_goes_on(text):
    arguments = ["train", "text.txt", *SETTINGS, "--steps", "100000", "--run", "text"]
    job = torchrun(2, *arguments)
    while not step_files(Path("checkpoints/text")):
        time.sleep(0.01)
        assert job.poll() is None
    kill_process(1)
    begin = time.monotonic()
    assert finish(job)[0] == 1
    assert time.monotonic() - begin < 60
    last = lines_of("text")[-1]
    assert (last["event"], last["code"]) == ("ended", 1)
    assert "another of the 2 processes has ended" in last["error"]
    step = int(step_files(Path("checkpoints/text"))[-1].stem.removeprefix("step-"))
    more = [*arguments, "--resume", "--steps", str(step + 20)]
    code, _, err = finish(torchrun(2, *more))
    assert code == 0, err
    assert lines_of("text")[-1]["step"] == step + 20


def test_torchrun_may_start_all_again_after_a_death(text):
    endless = [*SETTINGS, "--steps", "300", "--eval-every", "150", "--save-every", "20"]
    arguments = ["train", "text.txt", *endless, "--resume", "--run", "text"]
    job = torchrun(2, *arguments, launcher=("--max-restarts", "1"))
    while not step_files(Path("checkpoints/text")):
        time.sleep(0.01)
        assert job.poll() is None
    kill_process(1)
    assert finish(job)[0] == 0
    assert [line["code"] for line in lines_of("text") if line["event"] == "ended"] == [1, 0]
    assert lines_of("text")[-1]["step"] == 300


def test_what_cannot_be_trained_is_said_once(text):
    code, out, err = finish(torchrun(2, "train", "text.txt", *SETTINGS, "--batch-size", "3"))
    assert (code, out) == (1, "")
    said = [line for line in err.splitlines() if line.startswith("charrnn:")]
    (line,) = said
    assert line == (
        "charrnn: error: --batch-size: 3 streams cannot be divided evenly among 2 processes; "
        "choose a multiple of 2, or another number of processes (exit code 2)"
    )
    assert not Path("checkpoints").exists() or not any(Path("checkpoints").iterdir())


def test_an_optional_batch_is_a_multiple_of_the_processes(text):
    from charrnn.launch.prepare import SettingSources, prepare

    given = SettingSources({"steps": 5, "hidden_size": 8, "num_layers": 1}, {}, {})
    sizes = [
        prepare([Path("text.txt")], given, num_processes=count).config.batch_size
        for count in (1, 3)
    ]
    assert sizes[1] % 3 == 0
    assert sizes[0] <= sizes[1] < sizes[0] + 3


def test_a_batch_that_a_small_text_shrinks_stays_a_multiple(text):
    from charrnn.launch.prepare import SettingSources, prepare

    Path("small.txt").write_text(TEXT[:700], encoding="utf-8")
    given = SettingSources({"steps": 5, "hidden_size": 8, "num_layers": 1, "val_frac": 0.0}, {}, {})
    alone = prepare([Path("small.txt")], given).config.batch_size
    three = prepare([Path("small.txt")], given, num_processes=3).config.batch_size
    assert (alone % 3 > 0, three, three % 3) == (True, alone - alone % 3, 0)
    Path("tiny.txt").write_text(TEXT[:20], encoding="utf-8")
    with pytest.raises(InputError, match="too small for 3 processes: it fills 1 stream;"):
        prepare([Path("tiny.txt")], given, num_processes=3)


def test_a_world_is_made_of_its_rank_and_size():
    assert dataclasses.astuple(World(2, 5)) == (2, 5)
    assert [World(0, 2).is_rank_zero, World(1, 2).is_rank_zero, ALONE.is_single] == [
        True,
        False,
        True,
    ]
