"""Derive seeds from (seed, purpose, step), so that no generator state needs to be saved."""

import hashlib
import os


def random_seed() -> int:
    """Return the seed of a command that names none: 48 random bits."""
    return int.from_bytes(os.urandom(6), "big")


def derive_seed(seed: int, purpose: str, step: int) -> int:
    """Return 63 bits, a function of the three arguments.

    A generator is seeded just before use. So the offsets of epoch 7 or the dropout masks of step
    1200 are the same in a resumed run, on every rank, and at any interval of saves or validations.
    """
    return _bits(f"{seed}/{purpose}/{step}", 63)


def sample_seed(seed: int, index: int) -> int:
    """Return the seed of sample `index` of a call: `seed` itself for 0, else 53 derived bits.

    53 bits are exact in every JSON reader. Derived seeds keep two calls with adjacent seeds from
    writing the same texts.
    """
    return seed if index == 0 else _bits(f"{seed}/{index}", 53)


def _bits(text: str, count: int) -> int:
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - count)
