"""Compare generated text with the training text: known words, copies, variety.

python benchmarks/quality_of_text.py TEXT MODEL --temperature 0.7 0.8 1.0 --min-p 0 0.05

Several texts of each setting are taken together. Known words: the percentage of words that occur in
the training text. Copied: the percentage of characters in verbatim spans of 30 or more, and the
longest span. Variety: the percentage of distinct 4-grams of words; a text that repeats itself has
few. A row for held-out text, which a person wrote, has the same figures.
"""

import argparse
import itertools
import re
import tempfile
from pathlib import Path

from common import begin

from charrnn.checkpoints.model import load_model
from charrnn.checkpoints.names import find_model
from charrnn.core.config import SampleConfig
from charrnn.sampling.copies import Source
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler

GRAM = 4


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower())


def variety(found: list[str]) -> float:
    """Return the fraction of 4-grams of words that are distinct."""
    grams = [tuple(found[i : i + GRAM]) for i in range(len(found) - GRAM + 1)]
    return len(set(grams)) / max(1, len(grams))


def row(name: str, texts: list[str], known: set[str], source: Source) -> str:
    """Return a row of the table."""
    found = [word for text in texts for word in words(text)]
    copies = source.search([source.codes(text, text.encode()) for text in texts])
    longest = max(each.longest[1] - each.longest[0] for each in copies)
    copied = sum(each.share * each.num_symbols for each in copies) / sum(map(len, texts))
    return (
        f"| {name} | {sum(word in known for word in found) / len(found):.1%} "
        f"| {copied:.2%} | {longest} | {variety(found):.1%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("model")
    parser.add_argument("--length", type=int, default=5_000)
    parser.add_argument("--texts", type=int, default=8)
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.8])
    parser.add_argument("--min-p", type=float, nargs="+", default=[0.0])
    parser.add_argument("--memory-weight", type=float, nargs="+", default=[None])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    begin("Words, copies, variety")
    whole = arguments.text.read_text(encoding="utf-8")
    training, held_out = whole[: int(len(whole) * 0.9)], whole[int(len(whole) * 0.9) :]
    known = set(words(training))
    sampler = Sampler(load_model(find_model(Path("checkpoints"), arguments.model)))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "training.txt").write_text(training, encoding="utf-8")
        source = Source([Path(folder)], sampler.model.reading())
        print("| setting | known words | copied | longest | distinct |\n|---|---|---|---|---|")
        pieces = [
            held_out[i * arguments.length : (i + 1) * arguments.length]
            for i in range(arguments.texts)
        ]
        print(row("held-out text", pieces, known, source), flush=True)
        settings = (arguments.temperature, arguments.min_p, arguments.memory_weight)
        for temperature, min_p, weight in itertools.product(*settings):
            config = SampleConfig(
                length=arguments.length, temperature=temperature, min_p=min_p, memory_weight=weight
            )
            samples = sampler.write(Jobs([""], [config], arguments.texts, arguments.seed))
            name = f"temperature {temperature:g}, min-p {min_p:g}, memory " + (
                "by the gate" if weight is None else f"{weight:g}"
            )
            print(row(name, [sample.text for sample in samples], known, source), flush=True)


if __name__ == "__main__":
    main()
