"""Derived seeds, against digests from `printf 3/offset/7 | sha256sum`."""

import pytest

from charrnn.core.seeds import derive_seed, sample_seed


@pytest.mark.parametrize(
    ("arguments", "first_bits"),
    [((3, "offset", 7), 0x4371201261DBABA6), ((0, "dropout", 1200), 0x5F743E1834DE5A68)],
)
def test_a_derived_seed_is_the_first_63_bits_of_a_digest(arguments, first_bits):
    assert derive_seed(*arguments) == first_bits // 2


def test_seed_purpose_and_step_all_matter():
    purposes = ("offset", "restart", "dropout")
    seeds = {derive_seed(s, p, step) for s in range(4) for p in purposes for step in range(5)}
    assert len(seeds) == 4 * 3 * 5


def test_the_first_sample_uses_the_seed_as_it_is():
    assert sample_seed(2**62 + 1, 0) == 2**62 + 1


def test_later_samples_use_53_bits_of_a_digest():
    assert sample_seed(5, 3) == 0xFDFC31F701148D54 // 2**11
    assert all(sample_seed(5, index) < 2**53 for index in range(1, 100))


def test_calls_with_neighbouring_seeds_share_no_samples():
    seeds = [sample_seed(seed, index) for seed in range(7) for index in range(50)]
    assert len(set(seeds)) == 7 * 50
