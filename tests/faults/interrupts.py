"""Stop a short run after any step and resume it: the result is bit-identical."""

from pathlib import Path

from harness import TEXT, expect, run_script, work_folder
from sessions import CONFIG, VARIANTS, Session, digest


def check(every: int, seed: int) -> tuple[int, str]:
    """Stop each variant after every `every`th step from 1 to 30."""
    tried = 0
    with work_folder():
        text = Path("text.txt")
        text.write_text(TEXT, encoding="utf-8")
        for name, changes in VARIANTS.items():
            session = Session(text, seed=seed, **changes)
            whole = session.new_run()
            session.train(whole)
            expected = digest(whole)
            for stop_at in range(1, (CONFIG.steps or 0) + 1, every):
                run = session.new_run()
                session.train(run, stop_at=stop_at)
                session.train(run)
                expect(digest(run) == expected, f"{name}: stopped after step {stop_at}")
                run.close()
                tried += 1
    return tried, f"{len(VARIANTS)} variants ({', '.join(VARIANTS)}): all digests equal"


if __name__ == "__main__":
    run_script("stopped at step 1..30, then --resume", 7, 1, check)
