"""Fixtures: tiny texts, networks, runs. All dimensions differ: a transposed axis cannot pass."""

import ctypes
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from architectures import small
from compiler import built_library

# One thread per process: pytest-xdist starts a process per core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test builds the compiled loop in its own cache, but those of tests/native.
os.environ.setdefault("CHARRNN_NATIVE", "0")

from charrnn.__main__ import run_cli
from charrnn.checkpoints.names import create_run
from charrnn.checkpoints.run_folder import Run
from charrnn.core.config import CELLS
from charrnn.nn.architecture import ModelConfig

TEXT = (
    "Who's there?\nNay, answer me: stand, and unfold yourself.\n"
    "Zoë’s naïve café: “ça va?” — 3 × 7 = 21 €\n"
    "Long live the king!\nHe. You come most carefully upon your hour.\n"
)
"""About 200 characters, some of them outside ASCII."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A small text with non-ASCII characters, long enough to train on."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 10, encoding="utf-8")
    return path


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> str:
    """Each cell in turn."""
    return str(request.param)


@pytest.fixture
def tiny_config(cell: str) -> ModelConfig:
    """V = 11, E = 5, H = 7, L = 2; a transformer has E = H = 12 in 3 heads, and N = 5."""
    return small(cell, hidden_size=7)


@pytest.fixture(autouse=True, scope="session")
def plain_signals() -> None:
    """Restore signals that nohup or a shell's & ignores: child processes inherit this."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test's cache and checkpoints in its own folder."""
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that runs command lines on texts in a new folder, once per session.

    The function returns the folder. Tests must not change it.
    """
    folders: dict[str, Path] = {}

    def make(texts: dict[str, str], *commands: list[str]) -> Path:
        key = repr((texts, commands))
        if key not in folders:
            folder = tmp_path_factory.mktemp("made")
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                patch.setenv("CHARRNN_CACHE", str(folder / "cache"))
                for name, text in texts.items():
                    Path(name).write_text(text, encoding="utf-8")
                for stream in ("stdout", "stderr"):  # a test reads its own output only
                    patch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), "utf-8"))
                for command in commands:
                    assert run_cli(command) == 0, command
            folders[key] = folder
        return folders[key]

    return make


@pytest.fixture
def made(made_once: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a function like made_once that copies the folder into the folder of the test.

    The runs still refer to their texts by the original paths.
    """

    def make(texts: dict[str, str], *commands: list[str]) -> Path:
        shutil.copytree(made_once(texts, *commands), tmp_path, dirs_exist_ok=True)
        return tmp_path

    return make


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL | None:
    """The compiled loop, built once per session; skips without a compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARRNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("CHARRNN_NATIVE", "1")
        return built_library()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium without a window; tests skip where it is not installed."""
    selenium = pytest.importorskip("selenium", reason="pip install selenium to open pages")
    if shutil.which("chromedriver") is None or shutil.which("chromium") is None:
        pytest.skip("Debian's chromium and chromium-driver are not installed")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    assert selenium
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1000,800"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Folder of a test's runs, which does not exist yet."""
    return tmp_path / "checkpoints"


@pytest.fixture
def run(checkpoints: Path) -> Iterator[Run]:
    """A new run called king."""
    run = create_run(checkpoints, "king", [])
    yield run
    run.close()


@dataclass(frozen=True)
class Result:
    """Result of a command line."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def call(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process; return exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run_cli([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


@pytest.fixture
def charrnn(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run a command line in this process; it must succeed unless check=False."""

    def run(*arguments: object, check: bool = True, stdin: str | None = None) -> Result:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        result = Result(*call(*arguments))
        assert result.exit_code == 0 or not check, result.stderr
        return result

    return run
