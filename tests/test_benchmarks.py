"""Benchmarks run by hand, so a test imports each script: names that were moved are noticed."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

import charrnn

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_a_benchmark_can_be_imported(script, name):
    assert script(name).__doc__


def test_the_table_of_speed_runs_scripts_that_exist(script):
    for name, *_ in script("speed").SCRIPTS:
        assert (FOLDER / name).is_file()


def test_the_machine_is_described_with_the_versions_of_what_ran(script):
    assert f"charrnn {charrnn.__version__}, torch " in script("common").machine()


def test_the_first_hour_on_a_gpu_measures_also_where_a_part_fails(script):
    """On the CPU with small sizes: formats, updates with their kernels, bits, texts."""
    hour, cpu = script("gpu_hour"), torch.device("cpu")
    sizes = {"hidden": (8,), "batches": (4,), "window": 8, "steps": 1, "precisions": ("fp32",)}
    rows = [*hour.lines(hour.training, cpu, **sizes)]
    assert [line.count("|") for line in rows[2:]] == [7] * 2
    assert "rnn" in rows[-1]
    assert "the same bits" in [*hour.lines(hour.bits, cpu, hidden=8, precisions=("fp32",))][-1]
    assert len([*hour.lines(hour.texts, cpu, counts=(1,), length=33, hidden=8)]) == 6
    assert "Traceback" in [*hour.lines(hour.training, torch.device("cuda:99"))][-1]
