"""``python -m experiments.ntm_sort ...``: dnc.py on the priority sort of Neural Turing Machines.

With --score first, tests of all snapshots in place of ``experiments.scoring``.

Graves, Wayne and Danihelka (arXiv 1410.5401, section 4.5): 20 items come in, the 16 of the highest
priority are wanted, the highest first. They report the cost of a sequence in bits over the number
of sequences, in a figure. An item has eight bits here.
"""

import json
import sys
from pathlib import Path
from unittest import mock

import chainer
import numpy as np

import dnc
import tasks
from experiments import scoring
from lib import training

ITEMS, WANTED = 20, 16
# An output is taken for the probability of a 1, but never for certainty.
LEAST = 0.01
TESTED = 200


class NTMSort(tasks.PrioritySort):
    """All sequences hold as many items; the answer begins right after the delimiter."""

    @property
    def least_drawn_n(self):
        """Of no other length."""
        return ITEMS + 1

    def draw(self, rng, n):
        """Draw the items of a whole sort, and keep those that are wanted."""
        x, y = super().draw(rng, n)
        answer = y[:-n:-1][:WANTED]  # from the last item on
        rows = n + WANTED
        y = np.zeros((rows, self.output_width), np.float32)
        y[n:] = answer
        return x[:rows], y

    def answer(self, rows):
        """The rows after the delimiter."""
        return slice(rows - WANTED, rows)


def score(folder, *arguments):
    """Test each snapshot and write the scores."""
    with training.one_blas_thread():
        run = scoring.load(list(arguments))
        paths = training.snapshots.find_snapshots(folder, run.settings.name)[::-1]
        scores = [test(run, path) for path in paths]
    (Path(folder) / "scores.json").write_text(json.dumps(scores))


def test(run, path):
    """The scores of one snapshot."""
    chainer.serializers.load_npz(path, run.model, path="average/")
    rng = np.random.default_rng([run.settings.seed, ITEMS])

    def scored(*both):
        return {"bits": bits(*both), **scoring.bits(run.task)(*both)}

    iteration = int(Path(path).stem.rpartition("_")[2])
    return {"iteration": iteration, **scoring.measured(run, rng, ITEMS + 1, scored, TESTED)}


def bits(outputs, targets):
    """What a sequence costs in bits, (B,): -log₂ of the probability of the answer."""
    outputs, targets = outputs[-WANTED:].astype(np.float64), targets[-WANTED:]
    ones = np.clip(outputs, LEAST, 1 - LEAST)
    return -np.log2(np.where(targets > 0.5, ones, 1 - ones)).sum(axis=(0, 2))


def main(arguments):
    """Train, or with --score first test; the exit status."""
    with mock.patch.dict(tasks.TASKS, priority_sort=NTMSort):
        if arguments[:1] == ["--score"]:
            return score(*arguments[1:])
        return dnc.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
