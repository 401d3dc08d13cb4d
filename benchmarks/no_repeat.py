"""What --no-repeat changes: spans that stand twice in a text, its loss under the plain model, the speed.

Prints one row for each model: characters in spans of 30 or more that stand twice in 10,000, without
and with --no-repeat; the mean loss of the texts at temperature 1, in nats per character; CPU time.

python benchmarks/no_repeat.py checkpoints/tiny checkpoints/small
"""

import argparse
import time
from pathlib import Path

import numpy as np
from common import begin

from charrnn.checkpoints.model import load_model
from charrnn.checkpoints.names import find_model
from charrnn.core.config import SampleConfig
from charrnn.sampling.likelihood import losses, written_ids
from charrnn.sampling.sampler import Sampler
from charrnn.steering import repeats

SPAN = 30


def repeated(ids):
    """Return how many symbols are in spans of SPAN or more that stand twice in a text."""
    symbols = np.asarray(ids, dtype="<u2").tobytes()
    before, is_repeated = {}, np.zeros(len(ids), dtype=bool)
    for begin_at in range(len(ids) - SPAN + 1):
        span = symbols[2 * begin_at : 2 * (begin_at + SPAN)]
        if span in before:
            is_repeated[begin_at : begin_at + SPAN] = True
            is_repeated[before[span] : before[span] + SPAN] = True
        before[span] = begin_at
    return int(is_repeated.sum())


def measured(sampler, config, count):
    """Return repeated symbols of each text, the mean loss, and microseconds of CPU a symbol."""
    start = time.process_time()
    samples = [sampler.sample("", config, seed) for seed in range(count)]
    seconds = time.process_time() - start
    ids = [written_ids(sample, sampler.model) for sample in samples]
    found = losses(sampler.prefill, sampler.memories(config), [""] * count, ids)
    return [repeated(each) for each in ids], np.mean(found), 1e6 * seconds / sum(map(len, ids))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--no-repeat", type=int, nargs="+", default=[12])
    parser.add_argument("--temperature", type=float, default=0.3)
    parser.add_argument("--length", type=int, default=10_000)
    parser.add_argument("--texts", type=int, default=5)
    parser.add_argument("--first", type=float, default=repeats.FIRST)
    parser.add_argument("--growth", type=float, default=repeats.GROWTH)
    parser.add_argument("--window", type=int, default=repeats.WINDOW)
    args = parser.parse_args()
    repeats.FIRST, repeats.GROWTH, repeats.WINDOW = args.first, args.growth, args.window
    begin(f"--no-repeat at temperature {args.temperature:g}, {args.texts} texts of {args.length:,}")
    print(f"| model | --no-repeat | in spans of {SPAN} that stand twice | loss | µs a character |")
    print("|---|---|---|---|---|")
    for name in args.models:
        model = load_model(find_model(Path("checkpoints"), name))
        sampler = Sampler(model, num_symbols=args.length * args.texts)
        Sampler.sample(sampler, "", SampleConfig(length=100), 0)  # builds the loop
        for shortest in (0, *args.no_repeat):
            config = SampleConfig(
                length=args.length, temperature=args.temperature, no_repeat=shortest
            )
            counts, loss, cost = measured(sampler, config, args.texts)
            shown = f"{np.mean(counts):,.0f} ({min(counts):,} to {max(counts):,})"
            print(
                f"| {name} | {shortest or 'off'} | {shown} | {loss:.3f} | {cost:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
