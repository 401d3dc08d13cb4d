"""The settings in which two runs differ."""

from pathlib import Path
from typing import Any

from charrnn.checkpoints.metadata import read_metadata
from charrnn.checkpoints.names import find_folder, find_model
from charrnn.checkpoints.run_folder import CONFIG
from charrnn.checkpoints.runs import corpus_text
from charrnn.core.errors import InputError
from charrnn.core.settings import read_settings

SHOWN_OF_DIGEST = 12

Differences = dict[str, tuple[Any, Any]]
"""Two values by name of a setting; None is a setting that is not set."""


def differences(checkpoints: Path, first: str, second: str) -> Differences:
    """Return the settings in which two runs or checkpoint files differ.

    Raises:
        CheckpointError: A file is damaged or foreign.
        InputError: There is no such run or file.
    """
    paths = [_settings_file(checkpoints, name) for name in (first, second)]
    one, other = map(_read, _same_kind(paths))
    names = sorted(one.keys() | other.keys())
    pairs = {name: (one.get(name), other.get(name)) for name in names}
    digests = pairs.pop("corpus_digest", (None, None))
    found = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if digests[0] == digests[1] or None in digests:  # the same text may have been moved
        return {name: pair for name, pair in found.items() if name != "corpus"}
    return {"corpus": pairs["corpus"], "corpus_digest": digests} | found


def value_text(name: str, value: Any) -> str:
    """Return a value for a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if name == "corpus" and isinstance(value, list):
        return corpus_text([str(name) for name in value])
    return str(value)[:SHOWN_OF_DIGEST] if name == "corpus_digest" else str(value)


def _settings_file(checkpoints: Path, name: str) -> Path:
    """Return the best model of a run, which has its settings; else its config.toml."""
    try:
        return find_model(checkpoints, name, "charrnn runs diff {model} RUN")
    except InputError:
        folder = find_folder(checkpoints, name, CONFIG)
        if folder is None:
            raise
        return folder / CONFIG


def _same_kind(paths: list[Path]) -> list[Path]:
    """Return paths of one kind: both config.toml if one is, since its settings are resolved."""
    configs = [path.with_name(CONFIG) for path in paths]
    has_config = any(path.name == CONFIG for path in paths)
    return configs if has_config and all(path.is_file() for path in configs) else paths


def _read(path: Path) -> dict[str, Any]:
    """Return the settings in a file, by name."""
    if path.name == CONFIG:
        return read_settings(path)
    found = read_metadata(path)
    network, corpus = found.network, found.corpus
    text = {"corpus": corpus and corpus.files, "corpus_digest": corpus and corpus.digest}
    return {**found.settings, **(network.to_json() if network else {}), **text}
