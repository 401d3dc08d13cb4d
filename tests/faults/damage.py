"""Every truncation and every flipped bit of a checkpoint is noticed."""

from harness import expect, rng_of, run_script, work_folder
from history import NOTHING, make_template

from charrnn.checkpoints.format import pack, unpack
from charrnn.checkpoints.model import upgrade
from charrnn.core.errors import CheckpointError
from charrnn.training.checkpointing import Checkpointer

LARGE = 10 << 20


def small_checkpoint() -> bytes:
    """Return the smallest model that training writes."""
    template = make_template()
    tensors = {n: t for n, t in template.state.tensors.items() if n.startswith("model/")}
    facts = Checkpointer(None, template.facts, {}).metadata | {"kind": "model", "metrics": NOTHING}
    return pack(tensors, facts)


def is_noticed(data: bytes) -> bool:
    """True if a file is refused."""
    try:
        upgrade(*unpack(data))
    except CheckpointError:
        return True
    return False


def check(num_large: int, seed: int) -> tuple[int, str]:
    """Try all damages of a small file, and so many random ones of several bits of a large file."""
    with work_folder():
        data = small_checkpoint()
    expect(not is_noticed(data), "the whole file was refused")
    for size in range(len(data)):
        expect(is_noticed(data[:size]), f"cut to {size} of {len(data)} bytes: accepted")
    flipped = bytearray(data)
    for place in range(len(data)):
        for bit in range(8):
            flipped[place] ^= 1 << bit
            expect(is_noticed(bytes(flipped)), f"bit {bit} of byte {place}: accepted")
            flipped[place] ^= 1 << bit
    check_large(num_large, seed)
    tried = 9 * len(data) + num_large
    large = f", {num_large:,} random damages to 10 MiB" if num_large else ""
    return tried, f"all cuts and all bits of {len(data):,} bytes{large}: all noticed"


def check_large(count: int, seed: int) -> None:
    """Flip some bits, zero a block, or swap two, anywhere in a large file."""
    import numpy as np

    if not count:
        return
    data = bytearray(pack({"a": np.arange(LARGE // 4, dtype=np.int32)}, {"x": 1}))
    for i in range(count):
        rng = rng_of(seed, i)
        place, size = rng.randrange(len(data) - 4096), rng.choice((1, 512, 4096))
        before = bytes(data[place : place + size])
        data[place : place + size] = rng.choice(
            (bytes(size), before[::-1], bytes(b ^ (1 << rng.randrange(8)) for b in before))
        )
        if data[place : place + size] != before:
            expect(is_noticed(bytes(data)), f"damage {i}: accepted")
        data[place : place + size] = before


if __name__ == "__main__":
    run_script("checkpoint cut or with flipped bits", 0, 2_000, check)
