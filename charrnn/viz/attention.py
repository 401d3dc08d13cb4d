"""The attention picture: the symbols that each head looked at, and their weights."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.data.vocab import Ids
from charrnn.nn.architecture import ModelConfig, attention_shape
from charrnn.nn.engine import Floats
from charrnn.nn.numpy_engine import make_engine
from charrnn.viz.activations import reading_order, steps
from charrnn.viz.packing import packed_sights
from charrnn.viz.pictures import JsonLines, page_data, parse_pair
from charrnn.viz.render.elements import LookBack, Picture, Remark
from charrnn.viz.view import View

START = -1
"""Index of the line end that is read before a text."""

SHOWN = 5
"""Symbols with the largest weights that a text lists for each symbol."""

LEAST = 0.005
"""The least weight that a text lists: it is rounded to 1%."""

MOST_KEPT, MOST_WEIGHTS = 64, 2_000_000
"""The same on a page, at most; and weights on a page, about."""

FAR = 0x7FFF
"""Offset that means START."""

MEAN = "mean"

Head = tuple[int, int] | None
"""(block, head), both from 0; None is the mean of all."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where all heads looked after the network had read a symbol."""

    index: int
    """Index of the symbol in the text."""
    seen: NDArray[np.int64]
    """Indices of the symbols that they looked at, in the order of reading, (n,): this one is last."""
    weights: Floats
    """Weight of each, (blocks, heads, n); the sum over n is 1."""

    def of(self, heads: Sequence[Head]) -> Floats:
        """Return the weights of some heads, (M, n)."""
        w = self.weights
        return np.stack([w.mean((0, 1)) if head is None else w[head] for head in heads])


@dataclass(frozen=True, slots=True)
class Sights:
    """The symbols with the largest weights, the largest first; those that are missing have weight 0."""

    offsets: NDArray[np.int16]
    """Index of the symbol, less that of the symbol that looked at it, (T, M, K); FAR for START."""
    weights: Floats
    """(T, M, K)."""


def looks(model: Model, ids: Ids) -> Iterator[Look]:
    """Yield where the network looked after each symbol of a text, in the order of reading."""
    order = np.arange(len(ids))[reading_order(model, ids)]
    engine, begin = make_engine(model.config, model.weights), 0
    for t, (_, weights) in enumerate(steps(model, engine, ids[order], engine.attend)):
        seen = order[max(begin, t + 1 - weights.shape[-1]) : t + 1]
        if len(seen) < weights.shape[-1]:
            seen = np.append(START, seen)
        yield Look(int(order[t]), seen, weights)
        if model.records and ids[order[t]] == model.vocab.newline:
            begin = t + 1


def sights(model: Model, ids: Ids, heads: Sequence[Head]) -> Sights:
    """Return the symbols that some heads looked at most, after each symbol of a text."""
    kept = max(SHOWN, min(MOST_KEPT, MOST_WEIGHTS // (len(ids) * len(heads))))
    shape = (len(ids), len(heads), kept)
    found = Sights(np.zeros(shape, np.int16), np.zeros(shape, np.float32))
    for look in looks(model, ids):
        weights = look.of(heads)
        largest = np.argsort(-weights, axis=-1, kind="stable")[:, :kept]
        offsets = np.where(look.seen == START, FAR, look.seen - look.index)
        count = largest.shape[-1]
        found.offsets[look.index, :, :count] = offsets[largest]
        found.weights[look.index, :, :count] = np.take_along_axis(weights, largest, -1)
    return found


def check_attention(model: Model, name: str) -> None:
    """Check that a model looks back.

    Raises:
        InputError: It does not.
    """
    if attention_shape(model.config) == (0, 0):
        raise InputError(
            f"{name}: the model has no attention; train one that has: charrnn train FILE "
            "--attention 512, or --cell transformer"
        )


def chosen_heads(names: Sequence[str], config: ModelConfig) -> list[Head]:
    """Return the heads to show first: those named by --head, or the mean.

    Raises:
        InputError: The network has no such head.
    """
    blocks, heads = attention_shape(config)
    pairs = (parse_pair("--head", name, ("block", blocks), ("head", heads)) for name in names)
    return list(dict.fromkeys(pairs)) or ([None] if blocks * heads > 1 else [(0, 0)])


def all_heads(chosen: Sequence[Head], config: ModelConfig) -> list[Head]:
    """Return the chosen heads, then all others."""
    others = [None, *np.ndindex(attention_shape(config))]
    return list(dict.fromkeys([*chosen, *(others if len(others) > 2 else others[1:])]))


def head_label(head: Head, config: ModelConfig) -> str:
    """Return a head in words."""
    if head is None:
        return f"mean of all {np.prod(attention_shape(config))} heads"
    return "block {}, head {}".format(*head)


def attention_numbers(view: View, heads: Sequence[Head]) -> JsonLines:
    """Yield one object per symbol: the symbols that it looked at, and their weights by head."""
    found: Iterable[Look] = looks(view.model, view.ids)
    if view.model.is_backward:
        found = sorted(found, key=lambda look: look.index)
    names = [MEAN if head is None else "{}:{}".format(*head) for head in heads]
    for look in found:
        weights = look.of(heads).astype(np.float64).round(6).tolist()
        yield {
            "index": look.index,
            "symbol": view.text[look.index],
            "seen": look.seen.tolist(),
            "weights": dict(zip(names, weights, strict=True)),
        }


def attention_picture(view: View, chosen: Sequence[Head]) -> Picture:
    """Return the text, and where chosen heads looked after each symbol; a page has all heads."""
    config = view.model.config
    heads = all_heads(chosen, config)
    found = sights(view.model, view.ids, heads)
    remark = (
        f"Where the network looked after it read a {view.unit}, to predict the next one: the "
        f"{view.unit}s with the most weight. All weights of a head sum to 100%; start is the line end that is read "
        "before a text."
    )
    labels = [head_label(head, config) for head in heads]
    shown = {labels[m]: sight_words(view, found, m) for m in range(len(chosen))}
    return Picture(
        f"Attention: {view.title}",
        [Remark(remark), LookBack(view.running_glyphs, labels, shown)],
        lambda: {**page_data(view, ahead=1), "looks": packed_sights(found.offsets, found.weights)},
    )


def sight_words(view: View, found: Sights, m: int) -> list[list[tuple[str, float]]]:
    """Return for each symbol what a head looked at most, in words, and the weights."""
    offsets, weights = found.offsets[:, m, :SHOWN].tolist(), found.weights[:, m, :SHOWN].tolist()
    return [
        [
            (place_words(view, t, o), w)
            for o, w in zip(offsets[t], weights[t], strict=True)
            if w >= LEAST
        ]
        for t in range(len(view.ids))
    ]


def place_words(view: View, t: int, offset: int) -> str:
    """Return a symbol and where it is, seen from symbol t: h -3."""
    if offset == FAR:
        return "start"
    return f"{view.alphabet[int(view.ids[t + offset])]} {offset:+d}".replace("+0", "0")
