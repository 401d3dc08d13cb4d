"""Checkpoint files of a small model, whole and spoiled, for tests of what reads them."""

import hashlib
import json

import numpy as np

from charrnn.checkpoints.format import FORMAT_VERSION, pack
from charrnn.nn.architecture import ModelConfig, shapes

CONFIG = ModelConfig(cell="gru", vocab_size=5, embedding_size=2, hidden_size=3, num_layers=2)


def floats(values):
    return np.array(values, dtype=np.float32)


def make_weights():
    rng = np.random.default_rng(43)
    return {n: rng.normal(0, 0.5, s).astype(np.float32) for n, s in shapes(CONFIG).items()}


def make_tensors():
    return {f"model/{name}": array for name, array in make_weights().items()}


def make_metadata(**changes):
    """A text without newlines, so that `starts` is used."""
    metadata = {
        "version": "0.1.0",
        "config": {
            "model": {
                "cell": "gru", "vocab_size": 5, "embedding_size": 2, "hidden_size": 3,
                "num_layers": 2,
            }
        },
        "vocabulary": [97, 98, 99, 233, 8364],
        "records": False,
        "starts": [[0, 7], [3, 2]],
        "metrics": {"val_loss": 1.25},
    }  # fmt: skip
    return metadata | changes


def file_of(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    return path


def packed(tmp_path, tensors=None, **changes):
    return file_of(tmp_path, pack(tensors or make_tensors(), make_metadata(**changes)))


def seal(header, metadata, body=b""):
    """Write a file as the format's description says, without the library; any header will do."""
    zeros = b"0" * 64
    text = json.dumps({"format_version": FORMAT_VERSION} | metadata | {"sha256": zeros.decode()},
                      separators=(",", ":"))  # fmt: skip
    content = json.dumps({"__metadata__": {"charrnn": text}} | header).encode()
    data = len(content).to_bytes(8, "little") + content + body
    before, _, after = data.rpartition(zeros)
    return before + hashlib.sha256(data).hexdigest().encode() + after


def parts():
    """Return a good file's header and body, for others to spoil."""
    header, body = {}, b""
    for name, array in make_tensors().items():
        end = len(body) + array.nbytes
        header[name] = {
            "dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), end]
        }  # fmt: skip
        body += array.tobytes()
    return header, body
