"""Malformed checkpoints, half of them with a valid hash: refused cleanly, or a working model.

No other exception, no second of processor time, no more than 64 MiB of RAM is allowed. A model that
is accepted must match its metadata, give finite logits, and be printed by `info`.
"""

import copy
import hashlib
import json
import math
import multiprocessing
import random
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import expect, obeyed, rng_of, run_script, work_folder
from history import make_template

from charrnn.checkpoints.checkpoint_info import describe, format_checkpoint
from charrnn.checkpoints.format import FORMAT_VERSION, NO_HASH
from charrnn.checkpoints.model import parse_model
from charrnn.checkpoints.state import parse_snapshot
from charrnn.core.errors import CheckpointError
from charrnn.launch.resume import parse_best_model
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.nn.architecture import shapes
from charrnn.nn.numpy_engine import make_engine
from charrnn.training.checkpointing import Checkpointer, describe_state

END = {
    "step": 1, "epoch": 0.5, "val_loss": 2.5, "bits_per_char": 3.6, "chars_per_second": None,
    "seconds": 1.5, "stop_reason": "finished", "unit": "character",
}  # fmt: skip

TYPES = {"float32": "F32", "uint64": "U64", "int32": "I32"}

BATCH = 2_000
MOST_MEMORY = 64 << 20

NASTY: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 8, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**53, 2**62, 2**63,
    2**64, 2**80, -(2**63), 10**400, 0.0, -0.0, 0.5, 1e-320, 1e308, math.inf, -math.inf, math.nan,
    "", "0", "bytes", "lstm", "gru", "rnn", "F32", "F64", "U64", "BF16", "full", "model", "auto",
    "\x00", "\x1b[2J", "\u202e", "\ud800", "../../etc/passwd", "x" * 5000, [], {}, [[]], [{}],
    [0, 0], [1, 2], [-1, 5], [2**62, 0], [2**40, 2**40], [0] * 300, {"a": 1}, {"step": 1},
    [[0, 1]] * 50,
)  # fmt: skip


def base_file(kind: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return header, metadata and tensor bytes of a valid checkpoint."""
    with work_folder():
        template = make_template()
    texts = runs_of(np.array([1, 2, 3, 1, 2, 4, 1, 2], dtype=np.uint8))
    checkpointer = Checkpointer(None, template.facts, {}, build(texts, template.vocab_size, 2))
    facts = checkpointer.metadata | describe_state(template.state)
    facts |= {
        "kind": kind, "metrics": {"val_loss": 2.5}, "sources": ["text.txt"],
        "format_version": FORMAT_VERSION, "shipped": {"loss": 2.5, "step": 1}, "end": END,
    }  # fmt: skip
    header: dict[str, Any] = {}
    body = b""
    for name, array in (template.state.tensors | checkpointer.memory).items():
        if kind == "model" and not name.startswith(("model/", "memory/")):
            continue
        end = len(body) + array.nbytes
        header[name] = {
            "dtype": TYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [len(body), end],
        }  # fmt: skip
        body += array.tobytes()
    return header, facts, body


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every node of a JSON tree below its root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found: list[tuple[Any, ...]] = []
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


class Mutator:
    """Makes malformed files from a valid one."""

    def __init__(self, kind: str) -> None:
        self.header, self.facts, self.body = base_file(kind)
        self.header_places, self.fact_places = places(self.header), places(self.facts)
        facts = self.facts | {"sha256": NO_HASH}
        self.texts = json.dumps(self.header), json.dumps(facts, separators=(",", ":"))

    def file(self, rng: random.Random) -> bytes:
        """Return a file with one to four faults; half of the files have a valid hash."""
        kinds = [rng.randrange(10) for _ in range(rng.choice((1, 1, 2, 4)))]
        body, (header_text, facts_text) = self.body, self.texts
        if any(kind < 4 for kind in kinds):
            facts = json.loads(facts_text)  # the fastest deep copy there is
            for _ in range(sum(kind < 4 for kind in kinds)):
                change(facts, rng.choice(self.fact_places), rng)
            facts_text = json.dumps(facts, separators=(",", ":"))
        if any(4 <= kind < 9 for kind in kinds):
            header = json.loads(header_text)
            for kind in kinds:
                if 4 <= kind < 8:
                    change(header, rng.choice(self.header_places), rng)
                elif kind == 8:
                    rename(header, rng)
            header_text = json.dumps(header)
        if 9 in kinds:
            body = spoil(body, rng)
        data = seal(header_text, facts_text, body, is_sealed=rng.random() < 0.5)
        return spoil(data, rng) if rng.random() < 0.1 else data


def rename(header: dict[str, Any], rng: random.Random) -> None:
    """Rename a tensor, or add an empty one."""
    name = rng.choice(list(header) or ["x"])
    header[rng.choice(("x" * rng.randrange(9), "model/x", "raw/a", name))] = header.pop(name, {})


def change(tree: Any, path: tuple[Any, ...], rng: random.Random) -> None:
    """Replace or delete one node of a tree."""
    for key in path[:-1]:
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return
    try:
        if rng.random() < 0.15:
            del tree[path[-1]]
        elif rng.random() < 0.3 and type(tree[path[-1]]) is int:
            tree[path[-1]] += rng.choice((-1, 1, 4, -4, 1 << rng.randrange(64)))
        else:
            tree[path[-1]] = copy.deepcopy(rng.choice(NASTY))  # the next change may be inside it
    except (KeyError, IndexError, TypeError):
        return


def spoil(data: bytes, rng: random.Random) -> bytes:
    """Change a few bytes."""
    place = rng.randrange(len(data) + 1)
    size = rng.choice((0, 1, 4, 8, 100))
    piece = rng.choice((b"", rng.randbytes(size), b"\xff" * 8, data[place : place + size] * 2))
    return data[:place] + piece + data[place + size :]


def seal(header: str, facts: str, body: bytes, *, is_sealed: bool) -> bytes:
    """Return a file in the documented format, with a valid hash if `is_sealed`.

    Header and metadata are JSON objects; the metadata becomes a string in the header.
    """
    rest = header[1:] if header == "{}" else f", {header[1:]}"
    content = f'{{"__metadata__": {{"charrnn": {json.dumps(facts)}}}{rest}'.encode()
    data = len(content).to_bytes(8, "little") + content + body
    if not is_sealed:
        return data
    before, zeros, after = data.rpartition(NO_HASH.encode())
    return before + hashlib.sha256(data).hexdigest().encode() + after if zeros else data


def look(data: bytes) -> str:
    """Read a file in all ways; return the result, as text."""
    try:
        model, others = parse_model(data)
    except CheckpointError as error:
        str(error).encode()
        return "refused"
    expect({n: a.shape for n, a in model.weights.items()} == shapes(model.config), "wrong shapes")
    engine = make_engine(model.config, model.weights)
    logits, _ = engine.step(np.zeros(1, dtype=np.intp), engine.empty_state(1))
    expect(bool(np.isfinite(logits).all()), "a model that writes nothing")
    if model.memory is not None:
        for context in ([], [1], [1, 2], [model.config.vocab_size - 1] * 3):
            tracker = ContextTracker(model.memory, 1)
            tracker.read(np.array([context], dtype=np.int64))
            p = model.memory.predict(tracker.contexts, tracker.lengths).p
            expect(abs(p.sum() - 1) < 1e-9, "not one in all")
    try:
        info = describe(Path("x"), len(data), model, others)
        shown = [json.dumps(info.as_json()), *format_checkpoint(info)]
        expect(not any(map(obeyed, shown)), f"a line that a terminal could obey: {shown!r}")
    except CheckpointError:
        pass
    try:
        parse_best_model(model)
        parse_snapshot(Path("x"), model, others)
    except CheckpointError:
        return "a model"
    return "a full checkpoint"


def try_batch(job: tuple[int, int, int]) -> dict[str, int]:
    """Try some files; return the number of each result."""
    seed, first, count = job
    came: dict[str, int] = {}
    before = memory()
    for i in range(first, first + count):
        data = MUTATORS[i % 4 == 0].file(rng_of(seed, i))
        begin = time.process_time()  # without the time of other processes
        try:
            kind = look(data)
        except Exception as error:
            kind = f"VIOLATION at file {i}: {type(error).__name__}: {str(error)[:200]}"
        seconds = time.process_time() - begin
        if seconds > 1:
            kind = f"VIOLATION at file {i}: took {seconds:.1f} s"
        came[kind] = came.get(kind, 0) + 1
    if memory() - before > MOST_MEMORY:
        came[f"VIOLATION in files {first} to {first + count}: memory"] = 1
    return came


def memory() -> int:
    """Return the peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


MUTATORS: list[Mutator] = []


def start_worker() -> None:
    """Make the valid files once in each process."""
    np.seterr(all="raise", under="ignore")  # a warning on a terminal would be a violation too
    MUTATORS.extend([Mutator("model"), Mutator("full")])


def check(count: int, seed: int) -> tuple[int, str]:
    """Try so many files on all cores."""
    jobs = [(seed, first, min(BATCH, count - first)) for first in range(0, count, BATCH)]
    came: dict[str, int] = {}
    with multiprocessing.get_context("spawn").Pool(initializer=start_worker) as pool:
        for part in pool.imap_unordered(try_batch, jobs):
            for kind, number in part.items():
                expect(not kind.startswith("VIOLATION"), kind)
                came[kind] = came.get(kind, 0) + number
    told = ", ".join(f"{number:,} {kind}" for kind, number in sorted(came.items()))
    return count, f"{told}: no traceback, no hang, no memory"


if __name__ == "__main__":
    run_script("malformed checkpoint, hash sealed again in half", 200_000, 10_000_000, check)
