"""Loss of a model over batches, with and without the n-gram model; score signature."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn import __version__
from charrnn.core.events import PSEUDO, Figures
from charrnn.data.batches import IGNORED, Batch
from charrnn.data.corpus import Corpus
from charrnn.data.vocab import Ids, Vocabulary, num_bytes, num_characters
from charrnn.evaluation.protocols import Protocol, held_out_batches
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.gate import log_probabilities, share, target_probabilities
from charrnn.ngram.model import NgramModel, chunks
from charrnn.ngram.native import Predict, predictor
from charrnn.nn.device import autocast, float64_device
from charrnn.nn.distributed import ALONE, World
from charrnn.nn.network import Network
from charrnn.nn.state import State


@dataclass(frozen=True, slots=True)
class Score:
    """Mean loss over a text."""

    loss: float
    """Nats per symbol, of network and n-gram model together."""
    network: float
    """Nats per symbol, of the network alone."""
    chars: int
    """Symbols scored."""
    weight: float
    """Mean weight of the n-gram model in the mixture; 0 without one."""

    @property
    def bits(self) -> float:
        """Bits per symbol."""
        return self.loss / math.log(2)

    @property
    def perplexity(self) -> float:
        """Perplexity: exp(loss)."""
        return math.exp(min(self.loss, 700.0))


@dataclass(frozen=True, slots=True)
class SymbolLosses:
    """Loss of each symbol of a batch, in nats, (B, T); 0 where the target is ignored."""

    batch: Batch
    mix: torch.Tensor
    network: torch.Tensor
    weight: torch.Tensor
    """Weight of the n-gram model in the mixture."""


def score(
    model: Network,
    batches: Iterator[Batch],
    memory: NgramModel | None = None,
    *,
    precision: str = "fp32",
    world: World = ALONE,
    num_symbols: int = 0,
) -> Score:
    """Return the mean loss of a model over batches.

    Args:
        model: On the device to use.
        batches: The text, as a protocol cuts it.
        memory: n-gram model to mix in.
        precision: Number format of matrix products.
        world: The processes that share the work, each with its rows of every batch.
        num_symbols: How many are scored, if that is known: many pay for compiled n-grams.
    """
    home = float64_device(model.device)
    totals = torch.zeros(4, dtype=torch.float64, device=home)
    mine = batches if world.is_single else (b.part(world.shard(len(b.inputs))) for b in batches)
    for losses in symbol_losses(model, mine, memory, precision=precision, num_symbols=num_symbols):
        parts = (losses.mix, losses.network, losses.weight)
        totals[:3] += torch.stack([part.to(home).sum(dtype=torch.float64) for part in parts])
        totals[3] += losses.batch.num_chars
    *sums, chars = world.all_reduce_sum(totals).tolist()
    loss, network, weight = (total / max(1, chars) for total in sums)
    return Score(loss, network, int(chars), weight)


@torch.no_grad()
def symbol_losses(
    model: Network,
    batches: Iterator[Batch],
    memory: NgramModel | None = None,
    *,
    precision: str = "fp32",
    num_symbols: int = 0,
) -> Iterator[SymbolLosses]:
    """Yield the losses of each batch; arguments as of `score`."""
    device = model.device
    state, tracker = None, None
    predict = predictor(memory, num_symbols) if memory else None
    for batch in batches:
        if memory and (tracker is None or len(tracker.lengths) != len(batch.inputs)):
            tracker = ContextTracker(memory, len(batch.inputs))
        state = _restart(model, state, batch)
        inputs, targets = (
            torch.from_numpy(part).to(device) for part in (batch.inputs, batch.targets)
        )
        with autocast(device, precision):
            logits, state = model(model.given(inputs, targets), state)
        network = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(targets)
        mix, weight = network, torch.zeros_like(network)
        if memory and predict and tracker:
            read = tracker.read(batch.inputs, batch.is_fresh)
            mix, weight = _mixture_losses(logits, batch.targets, predict, memory.weight, *read)
        yield SymbolLosses(batch, mix, network, weight)


def _mixture_losses(
    logits: torch.Tensor,
    targets: NDArray[np.int64],
    predict: Predict,
    fixed: float | None,
    contexts: NDArray[Any],
    lengths: NDArray[np.int64],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return loss and n-gram weight of each target in the mixture, both (B, T)."""
    asked = np.flatnonzero(targets != IGNORED)
    scores = logits.flatten(0, 1)
    result = np.zeros((2, targets.size))
    for part in chunks(len(asked), logits.shape[2]):
        chosen = asked[part]
        prediction = predict(contexts.flat[chosen], lengths.flat[chosen])
        logs = log_probabilities(scores[torch.from_numpy(chosen)].float().cpu().numpy())
        weight = share(logs, prediction, fixed)
        p = target_probabilities(logs, prediction, weight, targets.flat[chosen])
        result[:, chosen] = -np.log(p), weight
    both = torch.from_numpy(result.reshape(2, *targets.shape))
    mix, weights = both.to(float64_device(logits.device))
    return mix, weights


def _restart(model: Network, state: State | None, batch: Batch) -> State:
    if state is None or state.num_streams != len(batch.inputs):
        return model.empty_state(len(batch.inputs))
    return state.clear(torch.from_numpy(batch.is_fresh).to(model.device))


def score_held_out(
    model: Network,
    corpus: Corpus,
    protocol: Protocol,
    memory: NgramModel | None = None,
    *,
    precision: str = "fp32",
    most_chars: int | None = None,
    should_stop: Callable[[], object] = lambda: False,
    world: World = ALONE,
) -> Score | None:
    """Return the mean loss over held-out text, or over about `most_chars` of it.

    None if `should_stop`, which is called before each batch, interrupts it.
    """
    batches = held_out_batches(corpus, protocol, most_chars)
    try:
        return score(model, _until(should_stop, batches), memory, precision=precision, world=world)
    except _Stopped:
        return None


def make_figures(
    result: Score, protocol: Protocol, vocab: Vocabulary, ids: Ids, signature: str
) -> Figures:
    """Return a score in every unit.

    Args:
        result: Score of the text.
        protocol: How the text was cut.
        vocab: Vocabulary of the model.
        ids: The text, (N,); bits are divided by its characters and bytes.
        signature: As from `signature`.
    """
    size, has_bits = num_bytes(vocab, ids), not protocol.is_pseudo
    return Figures(
        protocol=protocol.name,
        chars=result.chars,
        loss=result.loss,
        network_loss=result.network,
        bits_per_char=bits_per_char(result.loss, vocab, ids) if has_bits else None,
        bits_per_byte=result.bits * len(ids) / size if size and has_bits else None,
        perplexity=result.perplexity,
        memory=result.weight,
        signature=signature,
    )


def bits_per_char(loss: float | None, vocab: Vocabulary, ids: Ids) -> float | None:
    """Return a loss in bits per character; bytes are decoded for the number of characters."""
    chars = num_characters(vocab, ids) if loss is not None else None
    return loss / math.log(2) * len(ids) / chars if loss is not None and chars else None


def signature(
    protocol: Protocol,
    memory: NgramModel | None,
    *,
    split: str,
    precision: str,
    seed: int,
    direction: str = "forward",
) -> str:
    """Return all that a score depends on besides weights and text, as one line."""
    states = {
        "streamed": "carried",
        "streamed-adapted": "carried, adapted",
        PSEUDO: "of both sides",
    }
    weight = "" if memory is None or memory.weight is None else f"*{memory.weight:g}"
    parts = {
        "split": split,
        "state": states.get(protocol.name, "empty"),
        "W": protocol.window or "-",
        "precision": precision,
        "memory": f"{memory.order}{'+words' * bool(memory.words)}{weight}" if memory else "off",
        "seed": seed,
        "charrnn": __version__,
    } | ({"direction": direction} if direction != "forward" else {})
    return "|".join(f"{name}:{value}" for name, value in parts.items())


class _Stopped(Exception):
    pass


def _until(should_stop: Callable[[], object], batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        if should_stop():
            raise _Stopped
        yield batch
