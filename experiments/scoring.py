"""``python -m experiments.scoring FOLDER ...``: test a trained model on many lengths.

Further arguments are those of dnc.py. The scores go to FOLDER/scores.json.
"""

import json
import sys
from pathlib import Path

import numpy as np

import dnc
from lib import training

# Length, sequences and, where it is not the one of the training, the number of locations.
TESTS = {
    "addition": [(L, 100) for L in (12, 20, 24, 50, 100, 200, 500, 1000)],
    "repeat": [
        *((L, 100) for L in (12, 20, 24, 50, 100, 200)),
        *((L, 8, 4096) for L in (200, 500, 1000)),
        (2000, 4, 4096),
    ],
    "priority_sort": [(12, 400), (20, 200), (24, 200), (50, 100)],
}


def main(folder, *arguments):
    """Test all lengths and write the scores."""
    settings = training.parse(training.build_parser(list(dnc.tasks.TASKS)), list(arguments))
    # A dense link over so many locations takes as long as all else together.
    larger = not settings.lstm_only and settings.hps[-1] > 0
    tests = [test for test in TESTS[settings.task] if len(test) == 2 or larger]
    with training.one_blas_thread():
        scores = [score(arguments, settings, *test) for test in tests]
    (Path(folder) / "scores.json").write_text(json.dumps(scores))


def score(arguments, settings, length, count, N=None):
    """The scores at one length, a dictionary of plain numbers."""
    given = [*arguments, "--test_seq_len", str(length)]
    run = load(given)
    if N:
        run = load([*given, "--hps", ",".join(map(str, (N, *run.settings.hps[1:])))])
    n, rng = run.task.test_size(length), np.random.default_rng([run.settings.seed, length])
    scored = numbers if settings.task == "addition" else bits(run.task)
    return {"length": length, **measured(run, rng, n, scored, count)}


def measured(run, rng, n, score, count):
    """What a model scores on ``count`` sequences of size n, a dictionary of plain numbers."""
    _, found = training.evaluation.evaluate(
        run.model, lambda size: run.task.sample_batch(rng, size, n)[:2], score, count
    )
    found = {name: round(float(value), 6) for name, value in found.items()}
    return {"N": run.settings.hps[0], "sequences": count, **found}


def load(arguments):
    """The trained model, as the program's own test takes it."""
    settings = training.parse(training.build_parser(list(dnc.tasks.TASKS)), arguments)
    return dnc.restore(settings, lambda run: (run, {dnc.tested(run): run.model}))


def numbers(outputs, targets):
    """Errors of sums (T, B, 1): absolute, signed, and whether the nearest integer is right."""
    error = (outputs - targets)[-1, :, 0].astype(np.float64)
    return {"error": np.abs(error), "bias": error, "right": (np.abs(error) < 0.5).astype(float)}


def bits(task):
    """For bits: share of wrong ones, sequences wholly right, rows before the first wrong one."""

    def score(outputs, targets):
        rows = task.answer(len(outputs))
        wrong = ((outputs > 0.5) != (targets > 0.5))[rows]
        bad = wrong.any(axis=2)
        first = np.where(bad.any(axis=0), bad.argmax(axis=0), len(bad))
        return {"error": wrong.mean(axis=(0, 2)), "right": ~bad.any(axis=0) * 1.0, "first": first}

    return score


if __name__ == "__main__":
    main(*sys.argv[1:])
