"""Faults at chosen moments of the writing of files, in a fork of this process."""

import builtins
import io
import mmap
import os
import signal
import struct

MOMENTS = ("open", "write", "sync", "replace", "replaced")
_COUNTS = struct.Struct(f"{len(MOMENTS)}q")


class Counts:
    """How often each moment has come, seen from this process and its forks alike."""

    def __init__(self):
        self._shared = mmap.mmap(-1, _COUNTS.size)

    def add(self, moment):
        """Count one; how many there were."""
        counts = list(_COUNTS.unpack_from(self._shared))
        counts[MOMENTS.index(moment)] += 1
        _COUNTS.pack_into(self._shared, 0, *counts)
        return counts[MOMENTS.index(moment)]

    def all(self):
        """By moment."""
        return dict(zip(MOMENTS, _COUNTS.unpack_from(self._shared)))


class InWriting:
    """Does something at one moment of the writing of files; to be called in a fork.

    Args:
        strike: what it does.
        moment: of MOMENTS; None: nothing is done, only counted.
        at: how many of them there have to be, this one included.
        lasting: whether it does the same whenever files are written from then on.
    """

    def __init__(self, strike=None, moment=None, at=0, lasting=False):
        self.counts = Counts()
        self._strike, self._moment, self._at, self._lasting = strike, moment, at, lasting
        self._struck = False

    def __call__(self):
        """Plant it."""
        opened, sync, replace = builtins.open, os.fsync, os.replace

        def open_(file, mode="r", *args, **options):
            if mode != "wb":
                return opened(file, mode, *args, **options)
            self.meet("open")
            return _Written(io.FileIO(file, "wb"), self)

        def fsync(descriptor):
            self.meet("sync")
            return sync(descriptor)

        def replace_(source, target):
            self.meet("replace")
            replace(source, target)
            self.meet("replaced")

        builtins.open, os.fsync, os.replace = open_, fsync, replace_

    def is_due(self, moment):
        """Count a moment; whether something is to be done now."""
        count = self.counts.add(moment)
        now = self._strike and self._moment == moment and count == self._at
        self._struck = self._struck or now
        return now or (self._struck and self._lasting)

    def meet(self, moment):
        """Count a moment, and do what is to be done."""
        if self.is_due(moment):
            self._strike()

    def strike(self):
        """Do it."""
        self._strike()


class _Written(io.BufferedWriter):
    """A file in which half of what is being written lies when the moment comes."""

    def __init__(self, raw, plant):
        super().__init__(raw)
        self._plant = plant

    def write(self, data):
        if self._plant.is_due("write"):
            super().write(memoryview(data).cast("B")[: len(data) // 2])
            self.flush()
            self._plant.strike()
        return super().write(data)


def die():
    """What a power cut, the kernel short of memory, or ``kill -9`` do."""
    os.kill(os.getpid(), signal.SIGKILL)


def failing(code):
    """A strike: the system answers with this error."""

    def fail():
        raise OSError(code, os.strerror(code))

    return fail
