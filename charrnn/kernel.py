"""The step of engine.py, compiled: optional, made once on a machine by `python -m charrnn.kernel`.

A C compiler is all it takes. Where it was not built everything works without it, slower. The
library lies in the cache folder, under a name made of its source, its flags and this processor's.
"""

import ctypes
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from charrnn import cache
from charrnn.config import GATES, ModelConfig, shapes
from charrnn.engine import LAYERS, Engine, Floats, State
from charrnn.errors import CharRNNError, InputError, printable, reason_of

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ("-O3", "-march=native", "-Wno-psabi", "-shared", "-fPIC")
WIDE = 16
"""Columns of a panel, as in kernel.c."""

CELLS = ("lstm", "gru", "rnn")

FURTHEST = 1e-5
"""How far a logit may be from the one of NumPy, for weights of a usual size."""


class _Network(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("layers", "padded", "gates", "symbols", "cell")),
        *((n, ctypes.c_void_p) for n in ("tables", "inputs", "recurrents", "biases")),
        *((n, ctypes.c_void_p) for n in ("decoder", "bias")),
    )


class KernelEngine:
    """Steps a network, one stream or many, as Engine does.

    Args:
        library: As from `load`.
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """

    def __init__(
        self, library: ctypes.CDLL, config: ModelConfig, weights: Mapping[str, Floats]
    ) -> None:
        self.config, self._step = config, library.step
        self._padded, self._symbols = up(config.hidden_size), up(config.vocab_size)
        self._gates = GATES[config.cell] * self._padded
        self._kept: list[Any] = []  # what the library has addresses of
        self._rooms: dict[int, _Room] = {}
        self._network = self._arranged(weights)
        self._address = ctypes.addressof(self._network)

    def _arranged(self, weights: Mapping[str, Floats]) -> _Network:
        config = self.config
        embedding = weights["embedding.weight"]
        layers = [
            LAYERS[config.cell](weights, i, config.hidden_size, None if i else embedding)
            for i in range(config.num_layers)
        ]
        is_gru = config.cell == "gru"
        tables = []
        for each in layers:
            bias = each.bias_input if is_gru else each.bias_input + each.bias_recurrent
            tables.append(self._by_gate(each.from_input + bias if each.is_first else bias[None]))
        return _Network(
            layers=len(layers),
            padded=self._padded,
            gates=GATES[config.cell],
            symbols=self._symbols,
            cell=CELLS.index(config.cell),
            tables=self._all(tables),
            inputs=self._all([self._panels(self._by_gate(e.from_input)) for e in layers]),
            recurrents=self._all([self._panels(self._by_gate(e.recurrent)) for e in layers]),
            biases=self._all([self._by_gate(e.bias_recurrent[None]) for e in layers]),
            decoder=self._one(self._panels(wider(weights["decoder.weight"].T, self._symbols))),
            bias=self._one(wider(weights["decoder.bias"][None], self._symbols)),
        )

    def _by_gate(self, matrix: Floats) -> Floats:
        """Return a matrix of gates with each gate's columns filled up with zeros."""
        parts = np.split(matrix, GATES[self.config.cell], axis=1)
        return np.concatenate([wider(part, self._padded) for part in parts], axis=1)

    def _panels(self, matrix: Floats) -> Floats:
        """Return (K, N) as panels, (N / WIDE, K filled up, WIDE)."""
        K, N = matrix.shape
        full = np.zeros((self._padded, N), dtype=np.float32)
        full[: min(K, self._padded)] = matrix[: self._padded]  # a table of ids is never multiplied
        return np.ascontiguousarray(full.reshape(self._padded, -1, WIDE).transpose(1, 0, 2))

    def _one(self, array: Floats) -> int:
        kept = np.ascontiguousarray(array, dtype=np.float32)
        self._kept.append(kept)
        return kept.ctypes.data

    def _all(self, arrays: list[Floats]) -> int:
        addresses = np.array([self._one(array) for array in arrays], dtype=np.uintp)
        self._kept.append(addresses)
        return addresses.ctypes.data

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text, of one stream, or of a batch of them."""
        shape = (self.config.num_layers, *batch, self.config.hidden_size)
        count = 2 if self.config.cell == "lstm" else 1
        return tuple(np.zeros(shape, dtype=np.float32) for _ in range(count))

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream; arguments and results are those of Engine.step."""
        H, shape = self.config.hidden_size, state[0].shape
        B = shape[1] if len(shape) > 2 else 1
        room = self._rooms.get(B) or self._new_room(B)
        room.ids[:] = ids
        new = np.empty(room.size, dtype=np.float32)
        parts = []
        for part, begin in zip(state, (0, room.state), strict=False):
            own = new[begin : begin + room.state].reshape(*shape[:-1], -1)
            if self._padded > H:
                own[..., H:] = 0
            own[..., :H] = part
            parts.append(own[..., :H])
        address = new.__array_interface__["data"][0]
        scores = 4 * len(parts) * room.state
        self._step(
            self._address, B, room.ids_at, address, address + 4 * (len(parts) - 1) * room.state,
            *room.gates_at, address + scores,
        )  # fmt: skip
        logits = new[scores // 4 :].reshape(*shape[1:-1], -1)
        return logits[..., : self.config.vocab_size], tuple(parts)

    def _new_room(self, B: int) -> "_Room":
        states = 2 if self.config.cell == "lstm" else 1
        state = self.config.num_layers * B * self._padded
        room = _Room(B, state, states * state + B * self._symbols, self._gates)
        self._rooms = {B: room}
        return room


class _Room:
    """Where a step of B streams puts what it needs, and how much it returns."""

    def __init__(self, B: int, state: int, size: int, gates: int) -> None:
        self.state, self.size = state, size
        self.ids = np.zeros(B, dtype=np.int64)
        self._gates = np.empty((2, B, gates), dtype=np.float32)
        self.ids_at = self.ids.ctypes.data
        self.gates_at = [part.ctypes.data for part in self._gates]


def up(size: int) -> int:
    """Return a size filled up to whole panels."""
    return -(-size // WIDE) * WIDE


def wider(matrix: Floats, width: int) -> Floats:
    """Return a matrix with columns of zeros added."""
    return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])))


def path_of() -> Path:
    """Return where the library of this machine lies, or would."""
    facts = (SOURCE.read_text(encoding="utf-8"), *FLAGS, processor())
    return cache.folder() / f"kernel-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.so"


def processor() -> str:
    """Return what this processor can do: code for another one might end the process."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    can = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{sys.platform} {os.uname().machine if hasattr(os, 'uname') else ''} {can}"


def load() -> ctypes.CDLL | None:
    """Return the library, if it was built here, and by nobody else."""
    path = path_of()
    try:
        stat = path.stat()
        if stat.st_uid != os.getuid() or stat.st_mode & 0o022:
            return None
        library = ctypes.CDLL(str(path))
    except (OSError, AttributeError):  # not there; or a system without users
        return None
    library.step.argtypes = (ctypes.c_void_p, ctypes.c_long, *[ctypes.c_void_p] * 6)
    library.step.restype = None
    return library


def fastest(config: ModelConfig, weights: Mapping[str, Floats]) -> Engine | KernelEngine:
    """Return the compiled engine where it was built, else the one in NumPy."""
    library = load()
    return KernelEngine(library, config, weights) if library else Engine(config, weights)


def build() -> Path:
    """Compile the library, try it against NumPy, and put it in its place.

    Raises:
        InputError: There is no compiler.
        CharRNNError: It fails, or what it made computes something else.
    """
    import secrets
    import shutil

    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise InputError("no C compiler: install one, or name it in CC; sampling works without")
    path = path_of()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        compile_to(temporary, compiler)
        temporary.chmod(0o700)
        temporary.replace(path)
    except OSError as error:
        where = printable(error.filename or path)
        raise CharRNNError(f"{where}: {reason_of(error)}; not built") from None
    finally:
        temporary.unlink(missing_ok=True)
    if (library := load()) is None or not all(agrees(library, cell) for cell in CELLS):
        path.unlink(missing_ok=True)
        raise CharRNNError("what the compiler made does not compute the network; nothing is kept")
    return path


def compile_to(target: Path, compiler: str) -> None:
    """Run a compiler, given with its options, if it has any."""
    import shlex
    import subprocess

    command = [*shlex.split(compiler), *FLAGS, str(SOURCE), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise CharRNNError(f"{compiler}: failed: {printable(said[0] if said else done.returncode)}")


def agrees(library: ctypes.CDLL, cell: str) -> bool:
    """Say whether a compiled step is that of NumPy, on a small network with random weights."""
    config = ModelConfig(cell=cell, vocab_size=21, embedding_size=7, hidden_size=37, num_layers=2)
    rng = np.random.default_rng(0)
    weights = {n: rng.normal(0, 0.1, s).astype(np.float32) for n, s in shapes(config).items()}
    engines: list[Engine | KernelEngine] = [
        Engine(config, weights),
        KernelEngine(library, config, weights),
    ]
    states = [engine.empty_state(9) for engine in engines]
    for ids in rng.integers(0, 21, (20, 9)):
        results = [each.step(ids, s) for each, s in zip(engines, states, strict=True)]
        states = [state for _, state in results]
        if not np.abs(results[0][0] - results[1][0]).max() < FURTHEST:
            return False
    return True


if __name__ == "__main__":
    try:
        sys.stdout.write(f"built: {printable(build())}\n")
    except CharRNNError as error:
        sys.exit(f"charrnn: error: {error}")
