"""A sweep by the loop of docs/batch.md, one of its runs killed; `runs` is asked all the time.

What it says is held against the processes that are there: nothing else runs, what has ended stays
ended, no step is lost from sight, and the killed run is the only one called so. The same line again
finishes it. In the end there are the runs that were asked for, and no file that does not belong.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness import TEXT, expect, rng_of, run_script, work_folder

LOOP = (
    "seq {count} | xargs -P 2 -I{{}} sh -c '{python} -m charrnn train text.txt --run sweep-$1 "
    "--seed $1 --threads 1 --resume -q --steps 150 --hidden-size 24 --num-layers 1 --batch-size 4 "
    "--seq-len 16 --save-every 10 --eval-every 25 --device cpu || exit 1' - {{}} > models.txt"
)
KEPT = {".lock", "best.safetensors", "config.toml", "metrics.jsonl", "samples.jsonl"}


def start(count: int) -> subprocess.Popen[bytes]:
    """Start the loop."""
    command = LOOP.format(count=count, python=sys.executable)
    return subprocess.Popen(["sh", "-c", command], stderr=subprocess.DEVNULL)


def trainers() -> dict[str, int]:
    """Return the process of each run that is being trained, or about to be, or about to leave."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "--run" in words and "train" in words and "xargs" not in words[0]:
            found[words[words.index("--run") + 1]] = int(path.parent.name)
    return found


def listed() -> dict[str, dict[str, object]]:
    """Return what `charrnn runs --json` prints, by name."""
    command = [sys.executable, "-m", "charrnn", "runs", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"runs: exit code {done.returncode}: {done.stderr}")
    return {line["run"]: line for line in map(json.loads, done.stdout.splitlines())}


def compare(
    before: dict[str, dict[str, object]], killed: str | None
) -> dict[str, dict[str, object]]:
    """Ask once more, and hold what is said against the processes and what was said before."""
    processes = trainers()
    now = listed()
    processes |= trainers()
    for name, line in now.items():
        state, was = line["state"], before.get(name, {})
        expect(state != "running" or name in processes, f"{name}: runs without a process")
        expect(state in ("running", "finished", "killed"), f"{name}: {state}")
        expect(
            state != "killed" or name == killed or name in processes,  # resumed, not yet locked
            f"{name}: called killed, which is {killed}",
        )
        if was.get("state") == "finished":
            expect(
                state == "finished" or name in processes,  # asked again, it looks at its end
                f"{name}: was finished, is {state}",
            )
        step, last = line["step"] or 0, was.get("step") or 0
        is_whole = not killed or name != killed  # a killed run goes back to its last checkpoint
        expect(not is_whole or step >= last, f"{name}: step {step} after {last}")  # type: ignore[operator]
    expect(before.keys() <= now.keys(), f"no longer listed: {before.keys() - now.keys()}")
    return now


def kill_one(victim: str) -> bool:
    """Kill a run in the middle of its training; say whether it was there."""
    process = trainers().get(victim)
    if process is None or not list(Path("checkpoints", victim).glob("step-*.safetensors")):
        return False
    os.kill(process, signal.SIGKILL)
    return True


def watch(count: int, victim: str, *, kills: bool) -> tuple[int, bool]:
    """Run the loop and ask until it ends; return how often, and whether the victim was killed."""
    loop, now, num_asked, is_killed = start(count), {}, 0, False
    while loop.poll() is None:
        is_killed = is_killed or (kills and kill_one(victim))
        now = compare(now, victim if is_killed or not kills else None)
        num_asked += 1
    return num_asked, is_killed


def check(count: int, seed: int) -> tuple[int, str]:
    """Sweep over so many runs."""
    begin = time.monotonic()
    with work_folder():
        Path("text.txt").write_text(TEXT * 4, encoding="utf-8")
        victim = f"sweep-{rng_of(seed, 'victim').randint(1, count)}"
        first, was_killed = watch(count, victim, kills=True)
        expect(was_killed, f"{victim}: was too fast to be killed")
        states = {name: line["state"] for name, line in listed().items()}
        expect(states.pop(victim) == "killed", f"{victim}: killed, and not called so")
        expect({*states.values()} == {"finished"}, f"the others are not finished: {states}")
        second, _ = watch(count, victim, kills=False)
        runs = listed()
        expect(len(runs) == count, f"{len(runs)} runs instead of {count}")
        expect({line["state"] for line in runs.values()} == {"finished"}, "not all are finished")
        losses = [float(str(line["val_loss"])) for line in runs.values()]
        expect(losses == sorted(losses), "not in the order of their losses")
        models = Path("models.txt").read_text().splitlines()
        expect(len(set(models)) == count, "not every run has printed its model")
        for folder in Path("checkpoints").iterdir():
            names = {path.name for path in folder.iterdir()}
            steps = [name for name in names if name.startswith("step-")]
            expect(names - set(steps) == KEPT and len(steps) == 1, f"{folder}: {sorted(names)}")
    seconds = time.monotonic() - begin
    return count, (
        f"`runs` asked {first + second} times in {seconds:.0f} s, always right; one killed and "
        "finished by the same line; no file left over"
    )


if __name__ == "__main__":
    run_script("sweep of small runs, one killed in the middle", 4, 20, check)
