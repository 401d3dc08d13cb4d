"""Derive seeds from (seed, purpose, step), so that no state of a generator has to be saved."""

import hashlib


def derive_seed(seed: int, purpose: str, step: int) -> int:
    """Return 63 bits that depend on all three arguments and on nothing else.

    A generator is seeded with it just before use, so that the offsets of epoch 7 or the
    dropout masks of step 1200 are the same in a resumed run, on every rank, at any cadence.
    """
    return _bits(f"{seed}/{purpose}/{step}", 63)


def sample_seed(seed: int, index: int) -> int:
    """Return the seed of sample `index` of a call: `seed` itself for 0, else 53 derived bits.

    53 bits pass through every JSON reader unharmed; derived ones keep two calls with
    neighbouring seeds from writing the same texts.
    """
    return seed if index == 0 else _bits(f"{seed}/{index}", 53)


def _bits(text: str, count: int) -> int:
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - count)
