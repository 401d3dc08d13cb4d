"""The packages: imports point one way, and torch stays in the modules that are named here."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import charrnn

ROOT = Path(charrnn.__file__).parent

RANKS = [
    "core",
    "data native",
    "nn",
    "ngram",
    "checkpoints",
    "steering mixing",
    "sampling evaluation",
    "training viz infill",
    "export apps server",
    "launch",
    "cli",
]
"""A package imports packages of the lines above its own; those on one line do not know each other."""

RANK = {package: rank for rank, names in enumerate(RANKS) for package in names.split()}

TORCH = {
    "data.cuda", "nn.network", "nn.model", "nn.transformer", "nn.attention", "nn.distributed",
    "ngram.cuda", "sampling.cuda", "steering.cuda", "evaluation.loss", "evaluation.dynamic", "evaluation.scorer",
    "training.learner", "training.reporting",
}  # fmt: skip
TORCH_INSIDE_FUNCTIONS = {"nn.device"}

SHORT = {
    "core.rank": "must be known before torch is imported",
    "core.seeds": "one function of (seed, purpose, step), used by all",
    "sampling.api": "charrnn.sample of the Python API, apart from how texts are written",
    "steering.native": "constraints as C reads them, apart from what they are",
    "steering.characters": "what --ban and --bias name, apart from how texts are steered",
}
"""Modules under 60 lines, and why each is a file."""

LONG = {
    "core.config": "a table of settings",
}
"""Modules over 330 lines, and why each is one file."""

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.name != "__init__.py"
}
PACKAGES = {name.split(".")[0] for name in FILES if "." in name}


def imported(node):
    """Return the full names of the modules that an import statement may name."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def imports_of(module, *, only_at_top=False):
    """Return the charrnn modules that a module imports, and "torch"."""
    names = imported_names(module, only_at_top=only_at_top)
    return {name.removeprefix("charrnn.") for name in names} & set(FILES) | (
        {"torch"} if any(n.split(".")[0] == "torch" for n in names) else set()
    )


def imported_names(module, *, only_at_top):
    """Return the full names that a module may import.

    At its top is what is outside functions, and not for types only.
    """
    nodes = [ast.parse(FILES[module].read_text(encoding="utf-8"))]
    names = set()
    while nodes:
        node = nodes.pop()
        names.update(imported(node))
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (only_at_top and (is_for_types or isinstance(node, ast.FunctionDef))):
            nodes += ast.iter_child_nodes(node)
    return names


@pytest.mark.parametrize("module", [name for name in FILES if "." in name])
def test_imports_point_down(module):
    package = module.split(".")[0]
    for other in imports_of(module) - {"torch"}:
        below = other.split(".")[0]
        assert below == package or RANK[below] < RANK[package], f"{module} may not import {other}"


@pytest.mark.parametrize("module", [name for name in FILES if "." in name])
def test_what_is_imported_is_a_module_or_from_a_module(module):
    """Not a package, nor a name of the public API: both would hide where an import points."""
    names = {n for n in imported_names(module, only_at_top=False) if n.startswith("charrnn.")}
    parts = {name.removeprefix("charrnn.") for name in names} - {"__version__"}
    hidden = {p for p in parts if p not in FILES and p.rpartition(".")[0] not in FILES}
    assert hidden <= {name.rpartition(".")[0] for name in parts if name in FILES}


def test_no_cycle_inside_a_package():
    graphlib.TopologicalSorter({name: imports_of(name) for name in FILES}).prepare()


def test_every_package_has_a_rank_and_an_init_of_one_docstring():
    assert PACKAGES <= set(RANK)
    for path in ROOT.rglob("__init__.py"):
        if path.parent != ROOT:
            (only,) = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(only, ast.Expr)
            assert isinstance(only.value.value, str)


def test_torch_stays_in_its_modules():
    assert {name for name in FILES if "torch" in imports_of(name, only_at_top=True)} == TORCH
    users = {name for name in FILES if "torch" in imports_of(name)}
    assert users == TORCH | TORCH_INSIDE_FUNCTIONS


def test_a_command_imports_only_options_and_core_at_its_top():
    for module in FILES:
        if module.startswith("cli."):
            others = imports_of(module, only_at_top=True)
            wrong = {
                o for o in others if not o.startswith(("core.", "cli.", "launch.size_presets"))
            }
            roots = {name.split(".")[0] for name in imported_names(module, only_at_top=True)}
            wrong |= roots - {"charrnn", "click"} - sys.stdlib_module_names
            assert not wrong, f"{module} imports {wrong} at its top"


def test_modules_have_a_size_that_can_be_read():
    sizes = {n: len(path.read_text(encoding="utf-8").splitlines()) for n, path in FILES.items()}
    assert {name for name, size in sizes.items() if size < 60} - {"__main__"} == set(SHORT)
    assert {name for name, size in sizes.items() if size > 330} == set(LONG)


def test_packages_have_a_size_that_can_be_overlooked():
    for folder in {path.parent for path in FILES.values()} - {ROOT}:
        count = len(list(folder.glob("*.py"))) - 1
        assert count <= 12 or folder.name == "cli"  # one a command
        assert count >= 3 or folder.name in ("native", "export")


def test_help_and_sampling_never_import_torch():
    code = (
        "import sys, charrnn.__main__, charrnn.cli.app, charrnn.sampling.generate, "
        "charrnn.nn.device, charrnn.viz.report, charrnn.infill.models, charrnn.infill.draft, "
        "charrnn.infill.suggestions, charrnn.apps.editor, charrnn.apps.screen, "
        "charrnn.server.web_server; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
