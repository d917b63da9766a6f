"""Where runs are harmed: folders for them, and an unbroken run to compare with."""

import contextlib
import io
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import dnc

from . import compare
from .plants import InWriting
from .runs import Forked, Started, command

# How the one line begins in which the program refuses.
ERROR = ("dnc.py: error: ",)


class Outcome(NamedTuple):
    """What a case came to.

    Attributes:
        injected: number of faults.
        lost: number of runs that did not come to the end of the unbroken one.
        wrong: what else was not as it has to be, and how the lost ones differ; lines.
    """

    injected: int
    lost: int = 0
    wrong: tuple = ()


class Bench:
    """An unbroken run, and what others need to be compared with it.

    Args:
        folder: for all that is needed; of this bench alone, as the one that it lies in is.

    Attributes:
        whole: folder of the unbroken run.
        seconds: that it took in a fork.
        counts: how often each moment of `plants.MOMENTS` came in it.
        growth: by how many KiB runs grow, for those who want to know.
    """

    def __init__(self, folder):
        self._folder = Path(folder)
        for path in (self._folder, self._folder.parent):
            path.chmod(0o755)  # other users are at work there too
        self._number, self.growth = 0, {}
        with contextlib.redirect_stdout(io.StringIO()):  # all is imported and compiled after it
            assert dnc.main(command(self.new())) == 0
        plant = InWriting()
        self.whole = self.new()
        start = time.monotonic()
        ended = Forked(command(self.whole), plant).wait()
        self.seconds = time.monotonic() - start
        self.counts = plant.counts.all()
        if ended.status or ended.err:
            raise RuntimeError(f"the unbroken run ended with {ended.status}: {ended.err}")

    def new(self):
        """A new folder."""
        self._number += 1
        folder = self._folder / f"run{self._number}"
        folder.mkdir()
        return folder

    def until(self, iteration):
        """A folder as a run that was killed after this snapshot may leave it."""
        folder = self.new()
        for path in self.whole.iterdir():
            shutil.copy(path, folder)
        for late in compare.iterations_in(folder):
            if late > iteration:
                compare.snapshot_in(folder, late).unlink()
        return folder

    def start(self, folder, plant=None, real=False):
        """Start the run, or go on with it."""
        return Started(command(folder)) if real else Forked(command(folder), plant)

    def conclude(self, folder, injected, wrong=(), allowed=None, each=False):
        """The outcome, once the run has gone on to its end and was compared with the unbroken one.

        Args:
            folder: of the run.
            injected: number of faults so far.
            wrong: what was found until now.
            allowed: how the lines begin that standard error may hold; None: it has to be empty.
            each: whether all snapshots at the interval are compared.
        """
        found = compare.iterations_in(folder)
        ended = self.start(folder).wait()
        whole = compare.iterations_in(self.whole) if each else [compare.LAST]
        differing = compare.differences(folder, self.whole, whole)
        if ended.status:
            differing.append(f"the run that goes on ends with {ended.status}: {ended.err}")
        wrong = [*wrong, *differing, *unexpected(ended, allowed)]
        if found and not allowed and str(compare.snapshot_in(folder, found[-1])) not in ended.out:
            if found[-1] < compare.LAST:
                wrong.append(f"it does not go on from iteration {found[-1]}")
        if not wrong:
            self.remove(folder)
        return Outcome(injected, bool(differing), tuple(wrong))

    def remove(self, folder):
        """Remove a folder of a run that is of no more interest."""
        shutil.rmtree(folder, ignore_errors=True)


def unexpected(ended, allowed=None):
    """Lines of standard error that do not begin as they may."""
    beginnings = tuple(allowed or ("nothing may be said\n",))
    lines = ended.err.splitlines()
    return [f"it says: {line}" for line in lines if not line.startswith(beginnings)]


def errors(ended):
    """The lines of standard error in which the program refuses."""
    return [line for line in ended.err.splitlines() if line.startswith(ERROR)]
