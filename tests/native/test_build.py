"""Building the compiled loop: what is kept, what is refused. What it computes: test_numpy_engine.py."""

import shutil

import numpy as np
import pytest

from charrnn.core.config import ModelConfig, shapes
from charrnn.core.errors import CharRNNError, InputError
from charrnn.native import build as building
from charrnn.native import library
from charrnn.native.build import build
from charrnn.native.library import FLAGS, library_path, load
from charrnn.nn import native
from charrnn.nn.native import NativeEngine, fastest
from charrnn.nn.numpy_engine import Engine

needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "cache"


def network():
    config = ModelConfig(cell="gru", vocab_size=5, embedding_size=3, hidden_size=4, num_layers=1)
    return config, {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}


def test_without_it_the_engine_is_numpys():
    assert load() is None
    assert isinstance(fastest(*network()), Engine)


@needs_compiler
def test_once_built_it_is_used(cache):
    assert build() == library_path()
    assert list(cache.iterdir()) == [library_path()]
    assert isinstance(fastest(*network()), NativeEngine)


@needs_compiler
def test_a_library_that_others_could_have_written_is_not_loaded(cache):
    path = build()
    for mode in (0o722, 0o720, 0o702):
        path.chmod(mode)
        assert load() is None
    path.chmod(0o700)
    for mode in (0o777, 0o770, 0o707):
        cache.chmod(mode)
        assert load() is None
    cache.chmod(0o700)
    assert load() is not None


@needs_compiler
def test_charrnn_native_0_turns_it_off(monkeypatch):
    build()
    monkeypatch.setenv("CHARRNN_NATIVE", "0")
    assert load() is None


@needs_compiler
def test_a_link_to_a_library_is_not_loaded():
    path = build()
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))
    assert load() is None


@needs_compiler
def test_a_cache_beside_which_one_stands_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARRNN_CACHE", ".")
    build()
    assert load() is not None


def test_a_cell_that_the_library_does_not_know_is_numpys(monkeypatch):
    monkeypatch.setattr(native, "CELLS", ())
    monkeypatch.setattr(native, "load", lambda: object())
    assert isinstance(fastest(*network()), Engine)


def test_without_the_source_the_engine_is_numpys(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    assert isinstance(fastest(*network()), Engine)


@needs_compiler
@pytest.mark.parametrize(
    "wrong",
    [
        ("+ i * g", "- i * g"),
        ("1.0f /", "2.0f /"),
        ("-15, 15", "-5, 5"),
        ("rows_of(rows, net->symbols", "__builtin_trap(); rows_of(rows, net->symbols"),
        ("void network_step(", "void network_stop("),
        ("added[v] + p[v] * backoff", "added[v] + p[v]"),
        ("logf(statistics[2])", "logf(statistics[1])"),
        ("logits[v] < threshold", "logits[v] <= threshold"),
        ("n > 0 && before < p", "n > 0 && before <= 0"),
        ("count && !memcmp", "count && memcmp"),
        ("b->texts[row] = b->texts[last];", ""),
        ("memory && b->lengths[text]", "memory"),
    ],
)
def test_a_library_that_computes_something_else_is_not_kept(cache, tmp_path, monkeypatch, wrong):
    texts = {path.name: path.read_text() for path in library.sources()}
    assert any(wrong[0] in text for text in texts.values())
    for name, text in texts.items():
        (tmp_path / name).write_text(text.replace(*wrong))
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    monkeypatch.setattr(building, "FLAGS", ("-O1", *FLAGS[1:]))  # compiles faster
    with pytest.raises(CharRNNError, match="computes something else"):
        build()
    assert not list(cache.iterdir())


def test_without_a_compiler_one_line_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="no C compiler"):
        build()


def test_a_compiler_that_fails_leaves_nothing(cache, monkeypatch):
    monkeypatch.setenv("CC", "false -x")
    with pytest.raises(CharRNNError, match="false -x: failed"):
        build()
    assert not list(cache.iterdir())


def test_a_compiler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("CC", "/no/such/cc")
    with pytest.raises(CharRNNError, match="/no/such/cc: No such file"):
        build()


@pytest.mark.parametrize("named", ['gcc "', "no-such-compiler-here"])
def test_nonsense_in_cc_is_one_line(named, monkeypatch, capsys):
    monkeypatch.setenv("CC", named)
    assert building.main([]) in (1, 2)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


@needs_compiler
def test_a_cache_that_is_a_file_is_named(cache):
    cache.write_text("")
    with pytest.raises(CharRNNError, match="cache: File exists"):
        build()
