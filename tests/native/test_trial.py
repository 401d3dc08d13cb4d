"""The reference results of a compiled library, against the NumPy engine."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from charrnn.native.trial import REFERENCE

PATH = Path(__file__).parents[1] / "golden" / "make_trial.py"
SPEC = importlib.util.spec_from_file_location("make_trial", PATH)
make_trial = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_trial)


def test_the_file_holds_what_the_numpy_engine_computes():
    expected = make_trial.make_all()
    with np.load(REFERENCE) as reference:
        assert set(reference) == set(expected)
        for name, array in expected.items():
            assert reference[name].shape == array.shape, name
            assert reference[name] == pytest.approx(array, abs=2e-6), name


def test_half_of_the_units_saturate():
    weights = make_trial.make_weights(make_trial.make_config("rnn"))
    with np.load(REFERENCE) as reference:
        table = np.abs(reference["rnn/tables/0"][:, :27])
    assert np.median(table[:, 1::2]) > 5 * np.median(table[:, ::2])
    assert np.abs(weights["layers.0.weight_hh_l0"][1::2]).sum(axis=1).min() > 5
