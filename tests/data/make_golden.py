"""Write the golden files of the format version that this program writes.

Run once for a new version, by hand: `python tests/data/make_golden.py`. Files of older versions
are never written again. `test_golden.py` loads each and trains it on.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch

from charrnn.checkpoint import state_digest
from charrnn.config import TrainConfig
from charrnn.container import FORMAT_VERSION, unpack
from charrnn.corpus import load_corpus
from charrnn.finding import create_run
from charrnn.runs import step_files
from charrnn.snapshots import load_snapshot
from charrnn.training import Trainer

FOLDER = Path(__file__).parent
TEXT = FOLDER / "golden.txt"

CONFIG = TrainConfig(
    hidden_size=16, embedding_size=5, num_layers=2, batch_size=3, seq_len=8, steps=40, lr=0.01,
    ema_decay=0.9, dropout=0.2, weight_drop=0.1, restart_prob=0.1, eval_every=10, save_every=1000,
    sample_every=0, warmup_steps=3, device="cpu", precision="fp32", threads=1,
)  # fmt: skip

SAVED_AT, TRAINED = 10, 20


def train_on(path: Path, folder: Path) -> dict[str, object]:
    """Train 20 steps from a golden file; return each step's loss, and the state digest."""
    snapshot = load_snapshot(path)
    corpus = load_corpus([TEXT], snapshot.config)
    run = create_run(folder, path.stem, [])
    stop_at = SAVED_AT + TRAINED
    trainer = Trainer(snapshot.config, corpus, run, lambda: trainer.step >= stop_at, lambda: 0.0)
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


def main() -> None:
    """Write golden-vN.safetensors and golden-vN.json."""
    with tempfile.TemporaryDirectory() as name:
        corpus = load_corpus([TEXT], CONFIG)
        run = create_run(Path(name), "golden", [])
        trainer = Trainer(CONFIG, corpus, run, lambda: trainer.step >= SAVED_AT, lambda: 0.0)
        trainer.saver.sources = ["golden.txt"]
        trainer.saver.facts["corpus"]["files"] = ["golden.txt"]
        list(trainer.events())
        path = FOLDER / f"golden-v{FORMAT_VERSION}.safetensors"
        shutil.copyfile(step_files(run.folder)[-1], path)
        run.close()
        facts = train_on(path, Path(name))
        path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
