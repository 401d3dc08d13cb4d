"""What a model writes, against the text it learned from: words that exist, and spans copied.

python benchmarks/verse.py TEXT [MODEL]
"""

import argparse
import re
from pathlib import Path

from common import begin

from charrnn.checkpoint import load_model
from charrnn.config import SampleConfig
from charrnn.finding import find_model
from charrnn.sampling import Sampler


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower())


def longest_copy(text: str, source: str) -> str:
    """Return the longest span of `text` that stands in `source`."""
    best = ""
    for begin_at in range(len(text)):
        while text[begin_at : begin_at + len(best) + 1] in source:
            if begin_at + len(best) >= len(text):
                break
            best = text[begin_at : begin_at + len(best) + 1]
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--length", type=int, default=10_000)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--min-p", type=float, default=0.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments = parser.parse_args()
    begin("Words and copies")
    source = arguments.text.read_text(encoding="utf-8")
    training = source[: int(len(source) * 0.9)]
    known = set(words(training))
    sampler = Sampler(load_model(find_model(Path("checkpoints"), arguments.model)))
    config = SampleConfig(
        length=arguments.length, temperature=arguments.temperature, min_p=arguments.min_p
    )
    for seed in arguments.seeds:
        text = sampler.sample("", config, seed).text
        found = words(text)
        copied = longest_copy(text, training)
        print(
            f"seed {seed}: {len(text):,} characters, {len(found):,} words, "
            f"{sum(word in known for word in found) / len(found):.1%} of them in the training text; "
            f"longest span copied: {len(copied)} characters, {copied!r}",
            flush=True,
        )


if __name__ == "__main__":
    main()
