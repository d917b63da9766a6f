"""Disks that are full, read-only or failing while a run is on."""

import builtins
import contextlib
import errno
import os
import resource
import time

from . import compare
from .bench import ERROR, errors, unexpected
from .plants import MOMENTS, InWriting, failing
from .runs import EVERY

_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
_NOBODY = 65534


def full(bench, rng, index):
    """One error when files are written, or nothing but errors from then on."""
    folder = bench.new()
    moment = MOMENTS[rng.integers(len(MOMENTS))]
    at = rng.integers(1, bench.counts[moment] + 1)
    strike = failing(int(rng.choice(_CODES)))
    plant = InWriting(strike, moment, at, lasting=bool(rng.integers(2)))
    ended = bench.start(folder, plant).wait()
    return bench.conclude(folder, 1, refusal(ended) + leftovers(folder))


def limited(bench, rng, index):
    """A largest size of files: they can be opened, and written up to there."""
    folder = bench.new()
    most = compare.snapshot_in(bench.whole).stat().st_size
    limit = int(rng.integers(1000 if rng.integers(2) else most * 3 // 4, most))

    def plant():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = bench.start(folder, plant).wait()
    return bench.conclude(folder, 1, refusal(ended) + leftovers(folder))


def read_only(bench, rng, index):
    """A folder that can be written no more, from the start or from some moment on."""
    folder = bench.until(0) if rng.integers(2) else bench.new()
    _give_away(folder)
    if rng.integers(4) == 0:
        folder.chmod(0o555)
    run = bench.start(folder, _be_nobody)
    time.sleep(rng.uniform(0, bench.seconds))
    folder.chmod(0o555)
    ended = run.wait()
    folder.chmod(0o755)
    wrong = [] if ended.status == 0 else refusal(ended)
    # What could not be written could not be removed either.
    return bench.conclude(folder, 1, wrong)


def unreadable(bench, rng, index):
    """A snapshot that is there and cannot be read: nothing may be done in its place."""
    newest = EVERY * int(rng.integers(1, 12))
    folder = bench.until(newest)
    path = compare.snapshot_in(folder, newest)
    before = compare.contents(folder)
    if rng.integers(2):
        path.chmod(0)
        ended = bench.start(folder, _be_nobody).wait()
        path.chmod(0o644)
    else:
        ended = bench.start(folder, _unread(str(path), int(rng.choice(_CODES)))).wait()
    wrong = refusal(ended)
    if compare.contents(folder) != before:
        wrong.append("files have changed")
    return bench.conclude(folder, 1, wrong)


def refusal(ended):
    """What is wrong with a run that was to end with one line and status 1 or 2."""
    wrong = []
    if ended.status not in (1, 2):
        wrong.append(f"it ends with {ended.status}")
    told = errors(ended)
    if len(told) != 1:
        wrong.append(f"it tells {len(told)} errors: {ended.err!r}")
    return wrong + unexpected(ended, ERROR)


def leftovers(folder):
    """What was never finished and still lies there: nobody was killed."""
    return [f"{path.name} was left behind" for path in folder.iterdir() if path.suffix == ".tmp"]


def _give_away(folder):
    """Have the folder be nobody's, where this is root, whom no mode keeps from writing."""
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, _NOBODY, _NOBODY)


def _be_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)


def _unread(path, code):
    """A plant: this file can be opened, and not be read."""

    def plant():
        opened = builtins.open

        def open_(file, mode="r", *args, **options):
            if str(file) == path and mode == "rb":
                return contextlib.closing(_Failing(code))
            return opened(file, mode, *args, **options)

        builtins.open = open_

    return plant


class _Failing:
    def __init__(self, code):
        self._code = code

    def read(self, *args):
        raise OSError(self._code, os.strerror(self._code))

    def close(self):
        pass
