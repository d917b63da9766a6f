"""All kinds of faults, and how many of each are injected."""

from typing import Callable, NamedTuple

from lib.kernels.backends import numba_problem

from . import damage, disks, hostile, kills, signals, surroundings


class Kind(NamedTuple):
    """One kind.

    Attributes:
        name: on the command line and in the table.
        case: called with a `bench.Bench`, a Generator of NumPy and the number of the case; the
            `bench.Outcome`.
        share: faults for each kill that is asked for.
        least: and how many there are at least.
        most: number of its cases where these are a list; None: as many as it takes.
    """

    name: str
    case: Callable
    share: float = 0
    least: int = 1
    most: int = None

    def quota(self, asked):
        """How many faults are to be injected where `asked` is the number of kills."""
        return self.most or max(self.least, round(self.share * asked))


ALL = [
    Kind("kills at random", kills.at_random, 2 / 3),
    Kind("kills in writing", kills.in_writing, 1 / 3),
    Kind("signals", signals.in_any_order, 2 / 3),
    Kind("disk full", disks.full, 1 / 3),
    Kind("file size limited", disks.limited, 1 / 10),
    Kind("folder read-only", disks.read_only, 1 / 10),
    Kind("snapshot unreadable", disks.unreadable, 1 / 10),
    Kind("snapshots damaged", damage.snapshots, 2 / 3),
    Kind("log, config damaged", damage.others, 1 / 5),
    Kind("hostile snapshots", hostile.case, most=len(hostile.FORGERIES)),
    Kind("surroundings", surroundings.case, most=len(surroundings.ALL)),
]
if numba_problem() is None:
    ALL.append(Kind("kernels damaged", damage.kernels, 1 / 25))
