"""Small models, their pages, and the engine of a page under node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from charrnn.checkpoints.model import Model
from charrnn.data.vocab import CharVocabulary
from charrnn.export.model import rounded
from charrnn.export.page import page_bytes
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.nn.architecture import ModelConfig, shapes

HARNESS = Path(__file__).parents[1] / "export" / "harness.js"

TEXT = "the cat sat on the mat.\nthat hat, the cat said, is a hat.\n" * 3


def make_model(cell="lstm", *, text=TEXT, order=3, vocab=None, seed=0, **changes):
    """Return a model with random weights, already rounded, and an n-gram memory of the text."""
    vocab = vocab or CharVocabulary(map(ord, text))
    config = ModelConfig(
        cell=cell, vocab_size=vocab.size, embedding_size=5, hidden_size=11, num_layers=2
    )
    rng = np.random.default_rng(seed)
    weights = {n: rng.normal(0, 0.6, s).astype(np.float32) for n, s in shapes(config).items()}
    memory = build(runs_of(vocab.encode(text)), vocab.size, order) if order else None
    values = {"records": False, "starts": {0: 2, 1: 1}, "memory": memory} | changes
    return rounded(Model(config=config, weights=weights, vocab=vocab, **values))


def ask(page, *requests):
    """Return what the engine of a page, given as bytes or as a path, answers to requests."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the engine of the page is not run")
    if isinstance(page, bytes):
        Path("asked.html").write_bytes(page)
        page = Path("asked.html")
    done = subprocess.run(
        [node, str(HARNESS), str(page)], input=json.dumps(requests), capture_output=True,
        text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def asked(model, *requests, of_text=None):
    """Return what the engine of the page of a model answers to requests."""
    return ask(page_bytes(model, "page", of_text), *requests)
