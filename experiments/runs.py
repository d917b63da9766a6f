"""One training with its tests, each in a process of its own, kept so that it is not done twice."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from lib import training

INTERVAL = 10000  # iterations from one snapshot to the next
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

    @property
    def settings(self):
        """What it trains with."""
        words = ["--task", self.task, "--seed", self.seed, "--iterations", self.iterations]
        parser = training.build_parser([self.task])
        return training.parse(parser, [*map(str, words), *self.arguments]).saved


def do(runs, folder, workers):
    """Train and test what is not there yet; what failed is said and left out.

    Args:
        runs: a list of :class:`Run`.
        folder: a pathlib.Path, of all runs' folders.
        workers: how many at once.
    """
    left = [run for run in dict.fromkeys(runs) if not is_done(run, folder)]
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(left), unit="run") as bar:
        for run, problem in zip(left, pool.map(lambda run: train_and_test(run, folder), left)):
            bar.update()
            if problem:
                tqdm.write(f"{run.name}: {problem}")


def results(runs, folder):
    """What :func:`result` gives of the runs that are there, by run."""
    return {run: result(run, folder) for run in runs if is_done(run, folder)}


def is_done(run, folder):
    """Whether a run is there, trained with what is the default now where nothing is given."""
    return (folder / run.name / "scores.json").exists() and has_settings(run, folder / run.name)


def has_settings(run, out):
    """Whether the files of a folder are of these settings."""
    configs = [json.loads(path.read_text()) for path in out.glob("*_config.json")]
    return configs == [json.loads(json.dumps(run.settings | {"snapshot_interval": INTERVAL}))]


def train_and_test(run, folder):
    """Train, or resume, and test; the last line of what went wrong, or None."""
    out = folder / run.name
    if out.exists() and not has_settings(run, out):
        shutil.rmtree(out)
    chosen = ["--task", run.task, "--seed", run.seed, "--out", out]
    trained = ["--iterations", run.iterations, "--snapshot_interval", INTERVAL, *run.arguments]
    problem = call([*run.program, *chosen, *trained], out)
    scoring = ["-m", "experiments.scoring"]
    if run.program != ("dnc.py",):
        scoring = [*run.program, "--score"]
    return problem or call([*scoring, out, *chosen, *run.arguments], out)


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
        "batch_size": run.settings["batch_size"],
        "arguments": " ".join([*run.program[1:], *map(str, run.arguments)]),
        "seconds": round(rows[-1]["elapsed_time"], 1),
        "losses": [[row["iteration"], float(f"{row['loss']:.3g}")] for row in rows],
        "scores": json.loads((out / "scores.json").read_text()),
    }
