"""Speed of texts with --ban, --no-repeat and --match against that without, in turn, by CPU time.

A network of random weights, 1 x H, V = 100, texts of 500 characters: in the compiled loop and in NumPy,
one text and 64 side by side. One thread.
"""

import argparse
import os
import re
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from common import begin

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler

VOCAB = CharVocabulary([10, *range(32, 131)])
LENGTH = 500
PATTERN = r"([A-Z][a-z,;' ]{47}[.!?]\n){10}"
SETTINGS = {
    "--ban": {"ban": "eE"},
    "--no-repeat 12": {"no_repeat": 12},
    f"--match '{PATTERN}'": {"match": PATTERN},
}


def model_of(hidden_size: int) -> Model:
    """Return a model with random weights."""
    config = ModelConfig(
        cell="lstm", vocab_size=VOCAB.size, embedding_size=64, hidden_size=hidden_size, num_layers=1
    )
    rng = np.random.default_rng(1)
    weights = {n: rng.normal(0, 0.1, s).astype(np.float32) for n, s in shapes(config).items()}
    return Model(config=config, weights=weights, vocab=VOCAB, records=False, starts={})


def seconds(sampler: Sampler, count: int, seed: int, settings: dict[str, object]) -> float:
    """Return the CPU time of a character; all texts have LENGTH of them, or nearly."""
    config = SampleConfig(length=LENGTH, **settings)  # type: ignore[arg-type]
    sampler.steering(config)  # compiled once, not for each text
    begin = time.process_time()
    if count == 1:
        texts = [sampler.sample("", config, seed).text]
    else:
        texts = [sample.text for sample in sampler.write(Jobs([""], [config], count, seed))]
    used = time.process_time() - begin
    assert all(re.fullmatch(config.match or "(?s:.*)", text) for text in texts)
    return used / sum(map(len, texts))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    begin("Steered texts against others")
    print("| loop | texts | setting | speed: median (range) | characters a second without |")
    print("|---|---|---|---|---|")
    for native in ("1", "0"):
        os.environ["CHARRNN_NATIVE"] = native
        sampler = Sampler(model_of(given.hidden_size), num_symbols=1 << 20)
        for count in (1, 64):
            speeds = measured(sampler, count, given.rounds)
            rate = 1 / statistics.median(speeds.pop(""))
            for name, ratios in speeds.items():
                low, high = min(ratios), max(ratios)
                middle = f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})"
                print(f"| {sampler.engine} | {count} | `{name}` | {middle} | {rate:,.0f} |")


def measured(sampler: Sampler, count: int, rounds: int) -> dict[str, list[float]]:
    """Return by setting the speed against that without, and at "" the seconds without."""
    found: dict[str, list[float]] = {name: [] for name in ("", *SETTINGS)}
    for seed in range(rounds):
        plain = seconds(sampler, count, seed, {})
        found[""].append(plain)
        for name, settings in SETTINGS.items():
            found[name].append(plain / seconds(sampler, count, seed, settings))
    return found


if __name__ == "__main__":
    main()
