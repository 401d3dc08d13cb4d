"""Validate the averaged weights during training, and keep the best ones."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from charrnn.checkpoints.log import METRICS, as_count, as_number, read_log
from charrnn.checkpoints.metadata import Metadata
from charrnn.checkpoints.model import Model
from charrnn.checkpoints.run_folder import Run
from charrnn.checkpoints.state import BestModel, BestSoFar, Weights
from charrnn.core.config import SampleConfig, TrainConfig
from charrnn.core.events import Evaluated, Figures
from charrnn.core.seeds import derive_seed
from charrnn.data.corpus import Corpus
from charrnn.evaluation.loss import Score, make_figures, score_held_out, signature
from charrnn.evaluation.protocols import Protocol, held_out_ids, held_out_protocols, split_name
from charrnn.ngram.model import NgramModel
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.model import make_network
from charrnn.nn.network import load_weights
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler
from charrnn.training.learner import Learner

PREVIEW_CHARS = 200
PREVIEW_RECORDS = 8


def as_model(
    config: ModelConfig, corpus: Corpus, weights: Weights, memory: NgramModel | None = None
) -> Model:
    """Return weights as a model for the sampler."""
    return Model(
        config=config,
        weights=weights,
        vocab=corpus.vocab,
        records=corpus.train_records is not None,
        starts=corpus.starts,
        memory=memory,
        metadata=Metadata(settings={"direction": "backward" if corpus.is_backward else "forward"}),
    )


def known_curve(run: Run | None, step: int) -> list[tuple[int, float]]:
    """Return the validations up to a step, from the log of a run: step, loss of the network."""
    curve: list[tuple[int, float]] = []
    for line in read_log(run.folder / METRICS) if run else ():
        at, loss = as_count(line.get("step")), as_number(line.get("network_loss"))
        if line.get("event") == "evaluated" and not line.get("is_final") and at and loss:
            while curve and curve[-1][0] >= at:  # steps that were repeated after a resume
                curve.pop()
            curve.append((at, loss))
    return [point for point in curve if point[0] <= step]


class Validator:
    """Scores the averaged weights of a learner on held-out text, and keeps the best ones.

    Args:
        learner: The network in training.
        corpus: The text, with its held-out part.
        config: Settings of the run.
        should_stop: Called before each batch; an interrupted score is discarded.
        memory: n-gram model, mixed into every prediction that is made from one side.
    """

    def __init__(
        self,
        learner: Learner,
        corpus: Corpus,
        config: TrainConfig,
        should_stop: Callable[[], object],
        memory: NgramModel | None = None,
    ) -> None:
        self.learner, self.corpus, self.config = learner, corpus, config
        self.memory = memory if config.direction != "both" else None
        self.should_stop = should_stop
        self.protocols = held_out_protocols(corpus, config.direction)
        self.best = BestSoFar()
        self.best_model: BestModel | None = None
        self.final: dict[str, Score] = {}
        self.curve: list[tuple[int, float]] = []
        """Validations of the network alone: step, loss."""

    def resume(self, best: BestSoFar, best_model: BestModel | None, run: Run | None = None) -> None:
        """Continue with known results; without the best model, the next validated one is the best."""
        self.best, self.best_model = replace(best), best_model
        self.curve = known_curve(run, best.evaluated)
        if best_model is None:
            self.best.loss, self.best.evaluated = None, 0

    def roll_back(self, best: BestSoFar, step: int) -> None:
        """Go back to the results of a step."""
        self.best = replace(best)
        self.curve = [point for point in self.curve if point[0] <= step]

    def validate(self, step: int, most_chars: int) -> Evaluated | None:
        """Score the current weights, and keep them if they are the best; None if interrupted."""
        learner = self.learner
        score = score_held_out(
            learner.averaged,
            self.corpus,
            self.protocols[0],
            self.memory,
            precision=learner.precision,
            most_chars=most_chars,
            should_stop=self.should_stop,
            world=learner.world,
        )
        if score is None:
            return None
        self.curve.append((step, score.network))
        is_best = self.best.update(score.loss, step)
        # After a resume, the best model may come from steps that are not repeated yet.
        kept = self.best_model.loss if self.best_model else math.inf
        if score.loss < kept or (is_best and score.loss == kept):
            weights = learner.averaged_arrays()
            self.best_model = BestModel(weights=weights, loss=score.loss, step=step)
        return self.evaluated(self.protocols[0], score, step, is_best=is_best, is_final=False)

    def score_best(self, most_chars: int) -> Iterator[Evaluated]:
        """Score the best model in float32, as it is saved, by every protocol.

        Yields nothing without a best model, and stops when it is interrupted.
        """
        if self.best_model is None:
            return
        model = make_network(self.learner.model.config)
        load_weights(model, self.best_model.weights)
        model.to(self.learner.device)
        for protocol in self.protocols:
            score = score_held_out(
                model,
                self.corpus,
                protocol,
                self.memory,
                most_chars=most_chars,
                should_stop=self.should_stop,
                world=self.learner.world,
            )
            if score is None:
                return
            self.final[protocol.name] = score
            yield self.evaluated(protocol, score, self.best_model.step, is_best=True, is_final=True)

    def evaluated(
        self, protocol: Protocol, score: Score, step: int, *, is_best: bool, is_final: bool
    ) -> Evaluated:
        """Return a score as an event."""
        return Evaluated(
            step=step,
            loss=score.loss,
            network_loss=score.network,
            chars=score.chars,
            protocol=protocol.name,
            is_best=is_best,
            is_final=is_final,
        )

    @property
    def is_pseudo(self) -> bool:
        """Whether the losses are pseudo-likelihoods."""
        return self.protocols[0].is_pseudo

    @property
    def memory_hurts(self) -> bool:
        """Whether the best network has a lower loss on held-out text without the n-gram model."""
        score = self.final.get(self.protocols[0].name)
        return self.memory is not None and score is not None and score.network < score.loss

    @property
    def figures(self) -> tuple[Figures, ...]:
        """Scores of the best model in every unit, by protocol."""
        config, corpus = self.config, self.corpus
        split = split_name(config)
        ids, result = held_out_ids(corpus.in_reading_order()), []
        for protocol in self.protocols:
            if (score := self.final.get(protocol.name)) is None:
                continue
            if self.memory_hurts:
                score = replace(score, loss=score.network, weight=0.0)
            whole = protocol.num_predictions(len(ids))
            part = "" if score.chars >= whole else f"*{score.chars / whole:.2g}"
            memory = None if self.memory_hurts else self.memory
            mark = signature(
                protocol, memory, split=split + part, precision="fp32", seed=config.seed,
                direction=config.direction,
            )  # fmt: skip
            result.append(make_figures(score, protocol, corpus.vocab, ids, mark))
        return tuple(result)

    @property
    def loss(self) -> float | None:
        """Loss of the best model: over all held-out text, or else that of its validation."""
        if self.final:
            score = self.final[self.protocols[0].name]
            return score.network if self.memory_hurts else score.loss
        return self.best_model.loss if self.best_model else self.best.loss

    def preview(self) -> str:
        """Return a text by the averaged weights, always with the same prompt and seed.

        Only rank 0 writes it; the other ranks return an empty string.
        """
        if not self.learner.world.is_rank_zero:
            return ""
        weights = self.learner.averaged_arrays()
        sampler = Sampler(as_model(self.learner.model.config, self.corpus, weights, self.memory))
        config = SampleConfig(length=PREVIEW_CHARS)
        seed = derive_seed(self.config.seed, "preview", 0) >> 10
        if self.corpus.train_records is None:
            return sampler.sample("", config, seed).text
        jobs = Jobs([""], [config], PREVIEW_RECORDS, seed)
        return "\n".join(sample.text for sample in sampler.write(jobs))
