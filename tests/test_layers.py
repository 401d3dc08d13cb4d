"""The house: imports point down, and torch stays in its modules."""

import ast
import subprocess
import sys
from pathlib import Path

import charrnn

PACKAGE = Path(charrnn.__file__).parent

LAYERS = [
    "__main__", "cli", "cli_sample", "cli_score", "cli_runs", "cli_viz", "completing", "comparing", "report", "verdict", "runfacts", "overview", "history", "pictures", "packing", "plain", "pages", "charts", "parts", "levels", "searching", "properties", "viewing", "expectations", "activations", "glyphs", "composing", "columns", "tables", "scoring", "adaptation", "inspection", "starting", "launching", "crew", "spool", "surveying", "preparing", "resuming",
    "options", "prompts", "continuing", "novelty", "writing", "device_sampling", "copies", "reading", "console", "training", "counting", "standing", "validation", "saving", "budget", "resident", "learner",
    "evaluation", "heldout", "distributed", "protocols", "advice", "sampling", "engine_cuda", "following", "jobs", "kernel", "engine", "device", "transfer", "snapshots", "schedule",
    "finding", "logtail", "runs", "checkpoint", "mixing", "memory", "orders", "filters", "progress", "container", "model", "batches", "corpus", "records",
    "cache", "durable", "textfiles", "vocab", "events", "configfile", "merging", "sizes", "config", "seeds", "signals", "torchrun", "lenient", "errors",
    "__init__",
]  # fmt: skip
"""From the top down: a module imports only what stands after it."""

TORCH = {
    "distributed",
    "resident",
    "scoring",
    "adaptation",
    "device_sampling",
    "engine_cuda",
    "standing",
    "learner",
    "evaluation",
    "model",
}
TORCH_INSIDE_FUNCTIONS = {"device"}


def imports_of(module: str) -> set[str]:
    """Return the charrnn modules, and torch, that a module imports anywhere in its code."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "charrnn":
                names = [f"charrnn.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.removeprefix("charrnn.") for name in names}
    return {name.split(".")[0] for name in found}


def test_every_module_has_a_layer():
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(LAYERS)


def test_imports_point_down():
    for rank, module in enumerate(LAYERS):
        above = imports_of(module) & set(LAYERS[: rank + 1])
        assert not above, f"{module} imports {above}"


def test_torch_stays_in_its_modules():
    users = {module for module in LAYERS if "torch" in imports_of(module)}
    assert users == TORCH | TORCH_INSIDE_FUNCTIONS


def test_sampling_and_help_never_import_torch():
    code = (
        "import sys, charrnn.__main__, charrnn.sampling, charrnn.writing, charrnn.device;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
