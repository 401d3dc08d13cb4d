"""Write the golden files of the format version that this program writes.

Run once for a new version, by hand: `python tests/data/make_golden.py`. A file that exists is
never written again. `test_golden.py` loads each, samples from it and trains it on.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch

from charrnn.checkpoints.format import FORMAT_VERSION, unpack
from charrnn.checkpoints.model import load_model
from charrnn.checkpoints.names import create_run
from charrnn.checkpoints.run_folder import step_files
from charrnn.checkpoints.state import load_snapshot, state_digest
from charrnn.core.config import SampleConfig, TrainConfig
from charrnn.data.corpus import load_corpus
from charrnn.ngram.word_model import new_memory
from charrnn.sampling.sampler import Sampler
from charrnn.training.trainer import Trainer

FOLDER = Path(__file__).parent
TEXT = FOLDER / "golden.txt"

STREAMS = TrainConfig(
    hidden_size=16, embedding_size=5, num_layers=2, batch_size=3, seq_len=8, steps=40, lr=0.01,
    ema_decay=0.9, dropout=0.2, weight_drop=0.1, restart_prob=0.1, eval_every=10, save_every=1000,
    sample_every=0, warmup_steps=3, device="cpu", precision="fp32", threads=1,
)  # fmt: skip

LINES = TrainConfig(
    cell="gru", lines=True, memory=4, hidden_size=12, embedding_size=5, num_layers=2, batch_size=3,
    seq_len=8, steps=40, lr=0.01, ema_decay=0.9, dropout=0.2, embedding_dropout=0.1, eval_every=10,
    save_every=1000, sample_every=0, warmup_steps=3, device="cpu", precision="fp32", threads=1,
)  # fmt: skip

WORDS = TrainConfig(
    cell="rnn", memory=5, memory_words="on", hidden_size=12, embedding_size=5, batch_size=3,
    seq_len=8, steps=40, lr=0.01, eval_every=10, save_every=1000, sample_every=0, warmup_steps=3,
    device="cpu", precision="fp32", threads=1,
)  # fmt: skip

CONFIGS = {
    f"golden-v{FORMAT_VERSION}{kind}": config
    for kind, config in {"": STREAMS, "-lines": LINES, "-words": WORDS}.items()
}

SAVED_AT, TRAINED = 10, 20
SAMPLES = 5


def train_on(path: Path, folder: Path) -> dict[str, object]:
    """Train 20 steps from a golden file; return each step's loss, and the state digest."""
    snapshot = load_snapshot(path)
    corpus = load_corpus([TEXT], snapshot.config)
    run = create_run(folder, path.stem, [])
    stop_at = SAVED_AT + TRAINED
    memory = snapshot.model.memory
    trainer = Trainer(
        snapshot.config, corpus, run, lambda: trainer.step >= stop_at, lambda: 0.0, memory=memory
    )
    trainer.resume(snapshot)
    update, losses = trainer.learner.update, []

    def update_and_look(batch, step, lr):
        before = trainer.learner.sums.clone()
        update(batch, step, lr)
        losses.append(float((trainer.learner.sums - before)[0]))
        trainer.learner.sums.zero_()

    trainer.learner.update = update_and_look
    list(trainer.events())
    digest = state_digest(*unpack(step_files(run.folder)[-1].read_bytes()))
    run.close()
    return {"losses": losses, "state_digest": digest, "machine": machine()}


def machine() -> str:
    """Return what the last bits of a step depend on."""
    return f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"


def sample_texts(path: Path) -> list[str]:
    """Return a few texts of a golden file, computed by NumPy alone: mixed, and of the network."""
    model = load_model(path)
    sampler = Sampler(model)
    sampler.__dict__["_loop"] = None  # NumPy
    configs = [SampleConfig(length=60, memory_weight=weight) for weight in (None, 0.0)]
    return [
        sample_text(sampler, config, seed)
        for config in configs[: 1 if model.memory is None else 2]
        for seed in range(SAMPLES)
    ]


def sample_text(sampler: Sampler, config: SampleConfig, seed: int) -> str:
    """Return the text of one seed."""
    ids = [i for part in sampler.stream("", config, seed) for i in part]
    return "".join(sampler.model.vocab.decode(ids))


def write(name: str, config: TrainConfig) -> None:
    """Write NAME.safetensors, and NAME.json with what is expected of it."""
    path = FOLDER / f"{name}.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        corpus = load_corpus([TEXT], config)
        run = create_run(Path(folder), "golden", [])
        memory = new_memory(config, corpus)
        trainer = Trainer(
            config, corpus, run, lambda: trainer.step >= SAVED_AT, lambda: 0.0, memory=memory
        )
        trainer.checkpointer.sources = {"sources": ["golden.txt"]}
        trainer.checkpointer.metadata["corpus"]["files"] = ["golden.txt"]
        list(trainer.events())
        shutil.copyfile(step_files(run.folder)[-1], path)
        run.close()
        facts = train_on(path, Path(folder))
        facts["state_digests"] = {facts.pop("machine"): facts.pop("state_digest")}
        facts["texts"] = sample_texts(path)
        path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Write the files that do not exist yet."""
    for name, config in CONFIGS.items():
        if not (FOLDER / f"{name}.safetensors").exists():
            write(name, config)


if __name__ == "__main__":
    main()
