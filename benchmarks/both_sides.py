"""How well `fill` and `proof` read the held-out text of a run from both sides.

Prints one table: a hidden character, planted errors, gaps, and how long they take.

python benchmarks/both_sides.py checkpoints/shakespeare shakespeare.txt

With --both RUN, a model of both directions also judges a hidden character and wrong letters.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from common import begin

from charrnn.checkpoints.model import load_model
from charrnn.data.corpus import load_corpus
from charrnn.infill.edits import POWERS, PROPOSAL, Edits, Side
from charrnn.infill.fill import LOOK, Gap, fillings, proposed, scored
from charrnn.infill.proof import Proof
from charrnn.infill.reader import log_unigrams, readers
from charrnn.infill.suggestions import suggestions
from charrnn.infill.two_way import TwoWay

MARGIN = 600
"""Symbols at both ends of the text that nothing is hidden in."""

PLANTED, APART = 200, 20
"""Errors of one text, and least symbols between two."""

PART = 20_000
"""Symbols of the text that errors are planted in."""

GAP = 20

WIDER = 10, 30
"""Least and most symbols of a filling where the length of the gap is not known."""


def own_loss(scores, own):
    """Return nats per symbol, and the share of symbols that have the largest score."""
    scores = scores - scores.max(axis=1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return -logs[np.arange(len(own)), own].mean(), (logs.argmax(axis=1) == own).mean()


def hidden(pair, ids, count, rng, two_way):
    """Print how well one hidden character is guessed."""
    sides = [
        Side(reader, text, powers)
        for reader, text, powers in zip(pair, (ids, ids[::-1]), POWERS, strict=True)
    ]
    for side in sides:
        side.open(0, len(ids))
    T, V = len(ids), pair[0].memory.vocab_size
    at = np.sort(rng.choice(np.arange(MARGIN, T - MARGIN), count, replace=False))
    packed, lengths = (each[at] for each in pair[0].contexts(ids))
    ngrams = np.log(pair[0].predict(packed, lengths).p)
    forward, backward = sides[0].row(at), sides[1].row(T - 1 - at)
    a, b, c = PROPOSAL
    product = a * forward + b * backward - c * log_unigrams(pair[0].memory)
    symbols = np.tile(np.arange(V), count)
    edits = Edits(
        np.repeat(at, V), np.repeat(at, V) + 1, np.stack([symbols, np.full_like(symbols, -1)], 1)
    )
    first = sides[0].gains(edits, -np.inf)
    whole = (first + sides[1].gains(edits.turned(T), -np.inf)).reshape(count, V)
    rows = [
        ("n-grams, forward", ngrams),
        ("network and n-grams, forward", forward),
        ("backward", backward),
        ("product of both guesses", product),
        ("whole span, forward", first.reshape(count, V)),
        ("whole span, both sides", whole),
    ]
    if two_way:
        alone = two_way.logs(ids, 0, T)
        judged = two_way.judged(ids, 0, T, edits, whole.ravel()).reshape(count, V)
        rows += [("network of both directions", alone[at])]
        rows += [("whole span, both sides, and that network", judged)]
    for name, scores in rows:
        loss, right = own_loss(scores, ids[at])
        print(f"| hidden character: {name} | {loss:.3f} nats, {right:.1%} right |", flush=True)


def auc(scores, is_wrong):
    """Return the probability that a wrong symbol has a higher score than another one."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    wrong = is_wrong.sum()
    return (ranks[is_wrong].sum() - wrong * (wrong + 1) / 2) / (wrong * (len(scores) - wrong))


def places(ids, letters, rng, count):
    """Return the positions of letters, at least APART symbols from each other."""
    free = np.isin(ids, letters)
    free[:APART] = free[-APART:] = False
    found = []
    while len(found) < count:
        at = int(rng.choice(np.flatnonzero(free)))
        free[at - APART + 1 : at + APART] = False
        found.append(at)
    return np.sort(found)


def other(letters, symbol, rng):
    """Return another letter."""
    return int(rng.choice(letters[letters != symbol]))


def wrong_letters(pair, ids, letters, rng, two_way):
    """Print how well wrong letters are found and put right."""
    text, at = ids.copy(), places(ids, letters, rng, min(PLANTED, len(ids) // 100))
    text[at] = [other(letters, symbol, rng) for symbol in text[at]]
    is_wrong = np.zeros(len(text), dtype=bool)
    is_wrong[at] = True
    start, work = time.perf_counter(), time.process_time()
    proof = Proof(pair, text, two_way=two_way)
    found = proof.suspicions()
    took, work = time.perf_counter() - start, time.process_time() - work
    forward = -pair[0].logs(text, 0, len(text))[np.arange(len(text)), text]
    worst = np.argsort(-found.bits, kind="stable")[: len(at)]
    print(
        f"| wrong letters, {len(at)} in {len(text):,}: AUC, forward alone | {auc(forward, is_wrong):.4f} |"
    )
    print(f"| AUC, both sides | {auc(found.bits, is_wrong):.4f} |")
    print(
        f"| the original is the first suggestion | {(found.guesses[at, 0] == ids[at]).mean():.1%} |"
    )
    print(f"| of the {len(at)} most suspicious, truly wrong | {is_wrong[worst].mean():.1%} |")
    changes = suggestions(found, 0.5)
    right = [is_wrong[each.begin] for each in changes]
    print(
        f"| suggestions of at least 50% | {len(changes)}, {np.mean(right):.1%} at a wrong letter |"
    )
    print(
        f"| seconds for {len(text):,} characters | {took:.1f}, {work:.1f} of a core |", flush=True
    )


def mixed_errors(pair, ids, letters, rng, two_way):
    """Print how many insertions, deletions, swaps and wrong letters are found, and put right."""
    at = places(ids, letters, rng, min(PLANTED, len(ids) // 100))
    text, marks, kinds = ids.tolist(), [], []
    for number, place in enumerate(at[::-1].tolist()):  # from the end: earlier positions stay
        kind, symbol = number % 4, text[place]
        if kind == 3 and text[place + 1] == symbol:
            kind = 0
        new = (
            [other(letters, symbol, rng)], [], [int(rng.choice(letters)), symbol],
            [text[place + 1], symbol],
        )[kind]  # fmt: skip
        shift = len(new) - (2 if kind == 3 else 1)
        marks = [mark + shift for mark in marks]
        text[place : place + (2 if kind == 3 else 1)] = new
        marks.append(place)
        kinds.append(kind)
    marks, kinds, written = np.array(marks), np.array(kinds), np.array(text)
    proof = Proof(pair, written, two_way=two_way)
    changes = sorted(suggestions(proof.suspicions(), 0.0), key=lambda each: -each.probability)
    best = changes[: len(at)]
    begins = np.array([each.begin for each in best])
    is_found = (np.abs(begins[:, None] - marks) <= 1).any(axis=0)
    healed = sum(undoes(each, written, ids, marks, at) for each in best)
    names = ("wrong letters", "omissions", "insertions", "swaps")
    each = ", ".join(f"{name} {is_found[kinds == k].mean():.0%}" for k, name in enumerate(names))
    print(
        f"| four kinds of errors, {len(at)} in {len(ids):,}: among the {len(at)} most suspicious | {is_found.mean():.1%} ({each}) |"
    )
    print(f"| the suggestion restores the text | {healed / len(at):.1%} |", flush=True)


def undoes(change, written, ids, marks, at):
    """True if a change makes the neighbourhood of an error what it was."""
    near = np.flatnonzero(np.abs(marks - change.begin) <= 1)
    if not len(near):
        return False
    origin = int(at[::-1][near[0]])
    restored = np.concatenate(
        [written[change.begin - 8 : change.begin], change.new, written[change.end : change.end + 8]]
    )
    original = ids[origin - 11 : origin + 14].tolist()
    size, text = len(restored), restored.astype(int).tolist()
    return any(original[i : i + size] == text for i in range(len(original) - size + 1))


def gaps(pair, ids, count, rng):
    """Print what the text after a gap costs after the filling, more than after the true text."""
    at = rng.integers(MARGIN, len(ids) - MARGIN, count)
    costs = {
        "drawn forward": [],
        f"length of {GAP}": [],
        f"lengths of {WIDER[0]} to {WIDER[1]}": [],
    }
    seconds, work = [], []
    for number, place in enumerate(at.tolist()):
        before, after = ids[:place], ids[place + GAP : place + GAP + 64]
        true = scored(
            pair[0], Gap(before, after, GAP, GAP), [tuple(ids[place : place + GAP].tolist())]
        )
        drawn = forward_only(pair, before, GAP, number)
        free = scored(pair[0], Gap(before, after, GAP, GAP), [drawn])
        lengths = ((GAP, GAP), WIDER)
        results = [free[0].after_loss]
        for least, most in lengths:
            start, core = time.perf_counter(), time.process_time()
            (best,) = fillings(pair, Gap(before, after, least, most), 1, number)
            seconds.append(time.perf_counter() - start)
            work.append(time.process_time() - core)
            results.append(best.after_loss)
        for cost, result in zip(costs.values(), results, strict=True):
            cost.append(result - true[0].after_loss)
    for name, cost in costs.items():
        error = np.std(cost) / np.sqrt(len(cost))
        print(
            f"| {count} gaps of {GAP}, {name}: the next {LOOK}, more than after the true text | {np.mean(cost):+.3f} ± {error:.3f} nats |"
        )
    print(
        f"| seconds a gap, median | {np.median(seconds):.2f}, {np.median(work):.2f} of a core |",
        flush=True,
    )


def forward_only(pair, before, size, seed):
    """Return a continuation that ignores what is after."""
    found = proposed(pair[0], before, 2, size, np.random.default_rng(seed))
    return tuple(found.ids[0].tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--backward", type=Path, help="run of the other direction")
    parser.add_argument("--both", type=Path, help="run of both directions")
    parser.add_argument("--places", type=int, default=15_000)
    parser.add_argument("--gaps", type=int, default=500)
    arguments = parser.parse_args()
    begin("Both sides")
    model = load_model(arguments.run / "best.safetensors")
    partner = load_model(arguments.backward / "best.safetensors") if arguments.backward else None
    two_way = TwoWay.of(load_model(arguments.both / "best.safetensors")) if arguments.both else None
    corpus = load_corpus([arguments.text], model.train_config())
    ids = np.asarray(corpus.val, dtype=np.int64)
    pair, rng = readers(model, partner), np.random.default_rng(1)
    lower = [model.vocab.encode(c)[0] for c in "abcdefghijklmnopqrstuvwxyz"]
    letters, middle = np.array(lower, dtype=np.int64), (len(ids) - PART) // 2
    part = ids[max(0, middle) : middle + PART]
    print("| what | found |\n|---|---|")
    hidden(pair, ids, arguments.places, rng, two_way)
    wrong_letters(pair, part, letters, rng, two_way)
    mixed_errors(pair, part, letters, rng, two_way)
    gaps(pair, ids, arguments.gaps, rng)


if __name__ == "__main__":
    main()
