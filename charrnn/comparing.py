"""Which settings two runs differ in, for `runs diff`."""

from pathlib import Path
from typing import Any

from charrnn.configfile import read_settings
from charrnn.container import Facts, read_facts
from charrnn.errors import InputError
from charrnn.finding import find_folder, find_model
from charrnn.lenient import as_mapping
from charrnn.overview import corpus_text
from charrnn.runs import CONFIG

SHOWN_OF_DIGEST = 12

Differences = dict[str, tuple[Any, Any]]
"""By name of a setting its two values; None is what is not set."""


def differences(checkpoints: Path, first: str, second: str) -> Differences:
    """Return the settings that two runs, or checkpoint files, differ in, by name.

    Raises:
        CheckpointError: A file is damaged or foreign.
        InputError: There is no such run or file.
    """
    ours, theirs = map(_read, _alike([_source(checkpoints, name) for name in (first, second)]))
    names = sorted(ours.keys() | theirs.keys())
    pairs = {name: (ours.get(name), theirs.get(name)) for name in names}
    digests = pairs.pop("corpus_digest", (None, None))
    found = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if digests[0] == digests[1] or None in digests:  # names alone say nothing: a file may be moved
        return {name: pair for name, pair in found.items() if name != "corpus"}
    return {"corpus": pairs["corpus"], "corpus_digest": digests} | found


def value_text(name: str, value: Any) -> str:
    """Return a value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if name == "corpus" and isinstance(value, list):
        return corpus_text([str(each) for each in value])
    return str(value)[:SHOWN_OF_DIGEST] if name == "corpus_digest" else str(value)


def _source(checkpoints: Path, name: str) -> Path:
    """Return the checkpoint that holds a run's settings; its config.toml if there is none yet."""
    try:
        return find_model(checkpoints, name)
    except InputError:
        folder = find_folder(checkpoints, name, CONFIG)
        if folder is None:
            raise
        return folder / CONFIG


def _alike(paths: list[Path]) -> list[Path]:
    """Return files of one kind if there are: a config.toml says more than was asked for."""
    configs = [path.with_name(CONFIG) for path in paths]
    has_config = any(path.name == CONFIG for path in paths)
    return configs if has_config and all(path.is_file() for path in configs) else paths


def _read(path: Path) -> dict[str, Any]:
    """Return the settings in a file, by name."""
    if path.name == CONFIG:
        return read_settings(path)
    facts = read_facts(path)
    config = as_mapping(facts.get("config"))
    return {**as_mapping(config.get("train")), **as_mapping(config.get("model")), **_text_of(facts)}


def _text_of(facts: Facts) -> dict[str, Any]:
    """Return which text a checkpoint has learned."""
    corpus = as_mapping(facts.get("corpus"))
    return {"corpus": corpus.get("files"), "corpus_digest": corpus.get("digest")}
