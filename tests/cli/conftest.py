"""A small trained model, and `charrnn sample` of it."""

import pytest
from command_line import QUICK


@pytest.fixture(scope="module")
def trained(made_once):
    """A checkpoints folder with one run, named text."""
    text = "The quick brown fox jumps over the lazy dog, said Zoë.\n" * 60
    return made_once({"text.txt": text}, ["train", "text.txt", *QUICK, "-q"]) / "checkpoints"


@pytest.fixture
def sample(call, trained):
    return lambda *arguments: call("sample", "--checkpoints", trained, "-q", *arguments)
