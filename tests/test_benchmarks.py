"""Benchmarks run by hand, so a test imports each script: names that were moved are noticed."""

import importlib
import sys
from pathlib import Path

import pytest

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
