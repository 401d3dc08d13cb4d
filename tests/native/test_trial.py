"""The reference results of a compiled library, against the NumPy path."""

import importlib.util
from pathlib import Path

import numpy as np

from charrnn.native.trial import REFERENCE

PATH = Path(__file__).parents[1] / "golden" / "make_trial.py"
SPEC = importlib.util.spec_from_file_location("make_trial", PATH)
make_trial = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_trial)


def test_the_file_holds_what_numpy_computes():
    expected = make_trial.make_all()
    with np.load(REFERENCE) as reference:
        assert set(reference) == set(expected)
        for name, array in expected.items():
            found = reference[name]
            assert (found.shape, found.dtype) == (array.shape, array.dtype), name
            np.testing.assert_allclose(found, array, rtol=0, atol=2e-6, err_msg=name)


def test_half_of_the_units_saturate():
    weights = make_trial.make_weights(make_trial.make_config("rnn"))
    with np.load(REFERENCE) as reference:
        table = np.abs(reference["rnn/tables/0"][:, :27])
    assert np.median(table[:, 1::2]) > 5 * np.median(table[:, ::2])
    assert np.abs(weights["layers.0.weight_hh_l0"][1::2]).sum(axis=1).min() > 5


def test_texts_show_each_branch_of_the_loop():
    with np.load(REFERENCE) as reference:
        stopped = np.concatenate([reference[f"{cell}/stopped"] for cell in ("lstm", "gru", "rnn")])
        assert 0 < stopped.sum() < stopped.size
        assert len(set(reference["ngrams/statistics"][:, 0])) == make_trial.ORDER + 1
        assert reference["texts/first"].min() == -1
        texts = np.concatenate([reference[f"{cell}/texts"] for cell in ("lstm", "gru", "rnn")])
        num_open = (texts >= 0).sum(axis=1)  # by setting and step
        assert {6, 5, 3, 1} <= set(num_open.ravel().tolist())


def test_matches_end_in_each_way():
    """Where none is short enough (1), where no longer one is (2), and with another symbol (3)."""
    with np.load(REFERENCE) as reference:
        assert set(reference["matches/ends"].tolist()) == {1, 2, 3}
        assert reference["matches/symbols"][0, 0] == 0  # the first symbol that may come
