"""What held-out text says of the averaged weights while they are trained; which ones are shipped."""

import math
from collections.abc import Callable
from dataclasses import replace

from charrnn.config import SampleConfig, TrainConfig
from charrnn.corpus import Corpus
from charrnn.evaluation import Score, score_held_out
from charrnn.events import Evaluated
from charrnn.learner import Learner
from charrnn.memory import Memory
from charrnn.model import CharRNN, load_weights, weight_arrays
from charrnn.sampling import Sampler
from charrnn.schedule import BestSoFar
from charrnn.seeds import derive_seed
from charrnn.snapshots import Shipped, as_model

PREVIEW_CHARS = 200
PREVIEW_RECORDS = 8


class Validator:
    """Scores and shows the averaged weights of a learner, and remembers the best ones.

    Args:
        learner: Whose weights.
        corpus: With the held-out text.
        config: Settings of the run.
        should_stop: Asked between windows; a score that is cut short does not count.
        memory: Mixed into every prediction.
    """

    def __init__(
        self,
        learner: Learner,
        corpus: Corpus,
        config: TrainConfig,
        should_stop: Callable[[], object],
        memory: Memory | None = None,
    ) -> None:
        self.learner, self.corpus, self.config, self.memory = learner, corpus, config, memory
        self.should_stop = should_stop
        self.best = BestSoFar()
        self.shipped: Shipped | None = None
        self.final: Score | None = None

    def resume(self, best: BestSoFar, shipped: Shipped | None) -> None:
        """Go on with what was known; if the best weights are lost, the next ones are the best."""
        self.best, self.shipped = replace(best), shipped
        if shipped is None:
            self.best.loss, self.best.evaluated = None, 0

    def validate(self, step: int, most_chars: int) -> Evaluated | None:
        """Score the weights as they are now; keep them if they are the best. None if cut short."""
        learner = self.learner
        score = score_held_out(
            learner.averaged,
            self.corpus,
            self.memory,
            precision=learner.precision,
            most_chars=most_chars,
            should_stop=self.should_stop,
        )
        if score is None:
            return None
        is_best = self.best.update(score.loss, step)
        # After a resume the file may hold better ones, from steps that are still to be repeated.
        kept = self.shipped.loss if self.shipped else math.inf
        if score.loss < kept or (is_best and score.loss == kept):
            weights = weight_arrays(dict(learner.averaged.named_parameters()))
            self.shipped = Shipped(weights=weights, loss=score.loss, step=step)
        return Evaluated(
            step=step,
            loss=score.loss,
            network_loss=score.network,
            chars=score.chars,
            is_best=is_best,
            is_final=False,
        )

    def score_shipped(self, most_chars: int) -> Evaluated | None:
        """Score the shipped weights in float32, as they are saved. None without, or if cut short."""
        if self.shipped is None:
            return None
        model = CharRNN(self.learner.model.config)
        load_weights(model, self.shipped.weights)
        self.final = score_held_out(
            model.to(self.learner.device),
            self.corpus,
            self.memory,
            most_chars=most_chars,
            should_stop=self.should_stop,
        )
        if self.final is None:
            return None
        return Evaluated(
            step=self.shipped.step,
            loss=self.final.loss,
            network_loss=self.final.network,
            chars=self.final.chars,
            is_best=True,
            is_final=True,
        )

    @property
    def loss(self) -> float | None:
        """The loss to report: over all held-out text, or of the validation that was the best."""
        if self.final is not None:
            return self.final.loss
        return self.shipped.loss if self.shipped else self.best.loss

    def preview(self) -> str:
        """Write a little with the averaged weights: the same prompt and seed each time."""
        weights = weight_arrays(dict(self.learner.averaged.named_parameters()))
        sampler = Sampler(as_model(self.learner.model.config, self.corpus, weights, self.memory))
        config = SampleConfig(length=PREVIEW_CHARS)
        seed = derive_seed(self.config.seed, "preview", 0) >> 10
        if self.corpus.train_records is None:
            return sampler.sample("", config, seed).text
        return "\n".join(s.text for s in sampler.many("", config, seed, PREVIEW_RECORDS))
