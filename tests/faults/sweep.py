"""The sweep of docs/batch.md, with one run killed; `runs` is called all the time.

Its output is compared with the processes: only these runs are running, a run that has ended stays
so, steps never decrease, and only the killed run is called killed. The same loop again finishes it.
At the end there are exactly the requested runs, and no stray file.
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
    """Return the process of each run that is training, starting or exiting."""
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
    """Return the output of `charrnn runs --json`, by name."""
    command = [sys.executable, "-m", "charrnn", "runs", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"runs: exit code {done.returncode}: {done.stderr}")
    return {line["run"]: line for line in map(json.loads, done.stdout.splitlines())}


def compare(
    before: dict[str, dict[str, object]], killed: str | None
) -> dict[str, dict[str, object]]:
    """Call `runs` again, and compare with the processes and with the last call."""
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
                state == "finished" or name in processes,  # the second loop checks it
                f"{name}: was finished, is {state}",
            )
        step, last = line["step"] or 0, was.get("step") or 0
        is_whole = not killed or name != killed  # a killed run returns to its last checkpoint
        expect(not is_whole or step >= last, f"{name}: step {step} after {last}")  # type: ignore[operator]
    expect(before.keys() <= now.keys(), f"no longer listed: {before.keys() - now.keys()}")
    return now


def kill_one(victim: str) -> bool:
    """Kill a run during its training; return whether it was running."""
    process = trainers().get(victim)
    if process is None or not list(Path("checkpoints", victim).glob("step-*.safetensors")):
        return False
    os.kill(process, signal.SIGKILL)
    return True


def watch(count: int, victim: str, *, kills: bool) -> tuple[int, bool]:
    """Run the loop and call `runs` until it ends; return the number of calls, True after a kill."""
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
