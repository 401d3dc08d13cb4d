"""Building the compiled loop: what is kept, what is refused. What it computes: test_numpy_engine.py."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiler import built_library

from charrnn.core.errors import CharRNNError, InputError
from charrnn.native import build as building
from charrnn.native import library
from charrnn.native.build import build, load_or_build, try_out
from charrnn.native.library import FLAGS, library_path, load
from charrnn.nn import native
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.native import NativeEngine, native_engine

QUICK = ("-O0", *FLAGS[1:])
"""Compiles in a third of the time. The library of other tests is built as users build it."""

needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHARRNN_NATIVE", "1")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(building, "FLAGS", QUICK)
    return tmp_path / "cache" / "native"


def network():
    config = ModelConfig(cell="gru", vocab_size=5, embedding_size=3, hidden_size=4, num_layers=1)
    return config, {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}


def test_few_symbols_do_not_build_it(cache):
    assert load() is None
    assert native_engine(*network(), native.WORTH_BUILDING - 1) is None
    assert not cache.exists()


@needs_compiler
def test_many_symbols_build_it_and_then_few_use_it(cache):
    assert isinstance(native_engine(*network(), native.WORTH_BUILDING), NativeEngine)
    assert list(cache.iterdir()) == [library_path()]
    assert isinstance(native_engine(*network(), 0), NativeEngine)


def count_compilations(monkeypatch):
    """Return a list that grows with each run of a compiler."""
    runs = []
    compile_to = building.compile_to
    monkeypatch.setattr(
        building, "compile_to", lambda *arguments: (runs.append(1), compile_to(*arguments))
    )
    return runs


@needs_compiler
def test_a_compiler_that_fails_is_tried_once_and_another_one_later(cache, monkeypatch):
    runs = count_compilations(monkeypatch)
    monkeypatch.setenv("CC", "false")
    for _ in range(3):
        assert load_or_build() is None
    assert [path.suffix for path in cache.iterdir()] == [".failed"]
    assert len(runs) == 1
    monkeypatch.delenv("CC")
    assert load_or_build() is not None
    assert list(cache.iterdir()) == [library_path()]


@needs_compiler
def test_a_library_that_fails_its_trial_is_built_once(cache, monkeypatch):
    runs = count_compilations(monkeypatch)
    monkeypatch.setattr(building, "TRIAL", "raise SystemExit(1)")
    for _ in range(3):
        assert load_or_build() is None
    assert len(runs) == 1
    assert [path.suffix for path in cache.iterdir()] == [".failed"]


@needs_compiler
def test_the_tests_of_a_library_that_fails_its_trial_fail(monkeypatch):
    monkeypatch.setattr(building, "TRIAL", "raise SystemExit(1)")
    with pytest.raises(CharRNNError, match="computes something else"):
        built_library()


@pytest.mark.parametrize("named", ["false", "/no/such/cc", 'gcc "'])
def test_the_tests_of_the_library_skip_without_a_compiler(named, monkeypatch):
    monkeypatch.setenv("CC", named)
    with pytest.raises(pytest.skip.Exception):
        built_library()


def test_nothing_is_compiled_for_a_folder_that_cannot_be_used(cache, monkeypatch):
    runs = count_compilations(monkeypatch)
    cache.parent.mkdir()
    cache.mkdir(mode=0o700)
    cache.chmod(0o777)  # others may write there
    assert load_or_build() is None
    cache.rmdir()
    cache.write_text("")  # not a folder
    assert load_or_build() is None
    assert runs == []


def test_a_compiler_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(building, "SECONDS", 0.1)
    with pytest.raises(CharRNNError, match="takes over"):
        building.run(["sleep", "60"])


@needs_compiler
def test_the_users_folder_may_hold_modules_of_any_name_and_be_the_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARRNN_CACHE", ".")
    for name in ("numpy", "ctypes", "charrnn"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)")
    build()
    assert load() is not None


@needs_compiler
def test_processes_that_build_at_once_all_get_it(cache):
    code = f"import charrnn.native.build as it; it.FLAGS = {QUICK}; it.load_or_build() or 1 / 0"
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, cwd=Path(building.__file__).parents[2]) for _ in range(2)]
    assert [each.wait() for each in running] == [0, 0]
    assert list(cache.iterdir()) == [library_path()]


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
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))
    assert load() is None


def test_charrnn_native_0_turns_it_off(cache, monkeypatch):
    monkeypatch.setenv("CHARRNN_NATIVE", "0")
    assert load_or_build() is None
    assert not cache.exists()


def test_a_cell_that_the_library_does_not_know_is_numpys(monkeypatch):
    monkeypatch.setattr(native, "CELLS", ())
    monkeypatch.setattr(native, "load", lambda: object())
    assert native_engine(*network(), 0) is None


def test_without_the_source_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    assert load_or_build() is None


def compiled(source):
    """Return the object file of a C file, in its folder."""
    target = source.with_suffix(".o")
    subprocess.run(["cc", *QUICK, "-c", str(source), "-o", str(target)], check=True)
    return target


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The object files of the C files as they are, by name."""
    folder = tmp_path_factory.mktemp("objects")
    for path in library.sources():
        shutil.copy(path, folder)
    return {path.name: compiled(path) for path in sorted(folder.glob("*.c"))}


@needs_compiler
@pytest.mark.parametrize(
    "wrong",
    [
        ("+ i * g", "- i * g"),
        ("1.0f /", "2.0f /"),
        ("-15, 15", "-5, 5"),
        ("both & -65536", "both"),
        ("both << 16", "both << 15"),
        ("rows_of(rows, net->symbols", "__builtin_trap(); rows_of(rows, net->symbols"),
        ("void network_step(", "void network_stop("),
        ("added[v] + p[v] * backoff", "added[v] + p[v]"),
        ("logf(statistics[2])", "logf(statistics[1])"),
        ("logits[v] < threshold", "logits[v] <= threshold"),
        ("n > 0 && before < p", "n > 0 && before <= 0"),
        ("count && !memcmp", "count && memcmp"),
        ("b->texts[row] = b->texts[last];", ""),
        ("b->lengths[text] ? memory : 0", "memory"),
        ("(logits + i) += *(const vec *)(s->bias", "(logits + i) -= *(const vec *)(s->bias"),
        ("following[v]) >= left", "following[v]) > left"),
        ("largest_of(S, logits) < STUCK", "0"),
        ("s->shortest - 1 && runs[i] >= spans", "s->shortest && runs[i] >= spans"),
        ("past[i] == *at ? runs[i] + 1 : 0", "past[i] == *at"),
        ("least == FAR ? 2 : least > left", "least == FAR ? 2 : 0"),
    ],
)
def test_a_library_that_computes_something_else_fails_its_trial(objects, tmp_path, wrong):
    changed = set()
    for path in library.sources():
        text = path.read_text()
        (tmp_path / path.name).write_text(text.replace(*wrong))
        changed |= {path.name} if wrong[0] in text else set()
    assert changed
    changed = set(objects) if "native.h" in changed else changed
    parts = [compiled(tmp_path / name) if name in changed else objects[name] for name in objects]
    target = tmp_path / "wrong.so"
    subprocess.run(["cc", "-shared", *map(str, parts), "-lm", "-o", str(target)], check=True)
    with pytest.raises(CharRNNError, match="computes something else"):
        try_out(target)


@needs_compiler
def test_a_library_that_fails_its_trial_is_not_kept(cache, tmp_path, monkeypatch):
    for path in library.sources():
        (tmp_path / path.name).write_text(path.read_text().replace("+ i * g", "- i * g"))
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    with pytest.raises(CharRNNError, match="computes something else"):
        build()
    assert [path.suffix for path in cache.iterdir()] == [".failed"]


@needs_compiler
def test_the_object_files_of_these_tests_pass(objects, tmp_path):
    target = tmp_path / "right.so"
    parts = map(str, objects.values())
    subprocess.run(["cc", "-shared", *parts, "-lm", "-o", str(target)], check=True)
    try_out(target)


def test_without_a_compiler_one_line_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="no C compiler"):
        build()


def test_a_compiler_that_fails_leaves_a_note(cache, monkeypatch):
    monkeypatch.setenv("CC", "false -x")
    with pytest.raises(CharRNNError, match="false -x: failed"):
        build()
    assert [path.suffix for path in cache.iterdir()] == [".failed"]


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
    cache.parent.write_text("")
    with pytest.raises(CharRNNError, match="cache.*not built"):
        build()
