"""One training with its tests, each in a process of its own, kept so that it is not done twice."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
THREADS = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}


class Run(NamedTuple):
    """A training of the command line's program."""

    task: str
    seed: int
    arguments: tuple = ()  # of dnc.py, besides task, seed and iterations
    iterations: int = 50000
    program: tuple = ("dnc.py",)  # or a module that does the same with a change

    @property
    def name(self):
        """The folder of its files."""
        words = [self.task, str(self.iterations), *self.program, *self.arguments]
        kept = "".join(c if c.isalnum() or c in "._," else "-" for c in "_".join(words))
        return f"{kept.replace('_--', '_')}_seed{self.seed}"


def do(runs, folder, workers):
    """Train and test what is not there yet; what failed is said and left out.

    Args:
        runs: a list of :class:`Run`.
        folder: a pathlib.Path, of all runs' folders.
        workers: how many at once.

    Returns:
        Dictionary of what :func:`result` gives, by run.
    """
    left = [run for run in dict.fromkeys(runs) if not (folder / run.name / "scores.json").exists()]
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(left), unit="run") as bar:
        for run, problem in zip(left, pool.map(lambda run: train_and_test(run, folder), left)):
            bar.update()
            if problem:
                tqdm.write(f"{run.name}: {problem}")
    return {
        run: result(run, folder) for run in runs if (folder / run.name / "scores.json").exists()
    }


def train_and_test(run, folder):
    """Train, or resume, and test; the last line of what went wrong, or None."""
    out = folder / run.name
    chosen = ["--task", run.task, "--seed", run.seed, "--out", out]
    trained = ["--iterations", run.iterations, "--snapshot_interval", 10000, *run.arguments]
    problem = call([*run.program, *chosen, *trained], out)
    return problem or call(["-m", "experiments.scoring", out, *chosen, *run.arguments], out)


def call(arguments, out):
    """Run Python on arguments; the last line of its errors, or None where there was none."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *map(str, arguments)]
    with open(out / "output.txt", "ab") as output:
        environment = {**os.environ, **THREADS, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.PIPE, text=True
        )
    return (done.stderr.strip().splitlines() or ["it failed"])[-1] if done.returncode else None


def result(run, folder):
    """What is reported of a run: settings, losses, time, scores."""
    out = folder / run.name
    (log,) = out.glob("*_log.json")
    rows = json.loads(log.read_text())
    return {
        "task": run.task,
        "seed": run.seed,
        "iterations": run.iterations,
        "arguments": " ".join([*run.program[1:], *map(str, run.arguments)]),
        "seconds": round(rows[-1]["elapsed_time"], 1),
        "losses": [[row["iteration"], round(row["loss"], 5)] for row in rows],
        "scores": json.loads((out / "scores.json").read_text()),
    }
