"""Work shared among threads: the loops let go of Python's lock.

As many as Numba would use (``NUMBA_NUM_THREADS``, or the cores at hand), or fewer where no more can
be started. What is done does not depend on how many there are, and so the numbers do not.
"""

import contextlib
import os
from _thread import start_new_thread
from functools import cache
from queue import SimpleQueue
from typing import NamedTuple

from numba import config

from .controller import GROUP, SMALLEST_GROUPED

# Below this many locations in all, handing work out takes as long as it saves.
WORTH_A_THREAD = 1024
# What the loops work on of so many sequences at a time stays in the processor's first cache.
LARGEST_PART = 8


def share_batch(kernel, B, N, *arguments):
    """Call ``kernel(begin, end, *arguments)`` for all of B sequences of N locations."""
    workers = min(most(), B, B * N // WORTH_A_THREAD)
    parts = max(workers, -(-B // LARGEST_PART))
    if parts <= 1:
        kernel(0, B, *arguments)
        return
    left = parts_of(B, parts, GROUP if B >= SMALLEST_GROUPED else 1)
    share(left, lambda part: kernel(*part, *arguments), workers)


def most():
    """How many threads may work at once."""
    return config.NUMBA_NUM_THREADS


def parts_of(n, parts, unit=1):
    """Where each of up to so many parts of n begins and ends: at whole units, and none is empty."""
    units = -(-n // unit)
    parts = min(parts, units)
    ends = [min(n, units * part // parts * unit) for part in range(parts + 1)]
    return list(zip(ends, ends[1:]))


def share(left, function, workers):
    """Call ``function`` with each item of a list, which is emptied, in up to so many threads."""
    begun, ended = [], SimpleQueue()  # for each thread that helps: an entry, and its error or None

    def help_with_it():
        begun.append(True)
        ended.put(error_of(function, left))

    try:
        hand_out(help_with_it, min(workers, len(left)) - 1)
        do(function, left)
    except BaseException:
        left.clear()
        raise
    finally:
        function = None  # who begins later has nothing to do, and nothing to keep alive
    # Whoever took an item had begun before; who begins during this loop is waited for too.
    errors = [error for error in (ended.get() for _ in begun) if error is not None]
    if errors:
        raise errors.pop()


def do(function, left):
    """Call ``function`` with each item that nobody else takes."""
    for item in iter(lambda: take(left), None):
        function(item)


def take(left):
    """An item that nobody has taken, or None: each is done once, whoever comes."""
    with contextlib.suppress(IndexError):
        return left.pop()


def error_of(function, left):
    """What :func:`do` raises, or None."""
    try:
        do(function, left)
    except BaseException as error:
        return error


def hand_out(work, times):
    """Ask threads to call ``work``, so many times, or as many as there is room for threads."""
    threads, jobs = helpers()
    with contextlib.suppress(RuntimeError, MemoryError):  # there is no room for more
        while len(threads) < times:
            threads.append(start_new_thread(help_out, (jobs,)))
    for _ in range(min(times, len(threads))):
        jobs.put(work)


def help_out(jobs):
    """What a thread does, until it gets None or the program ends."""
    for job in iter(jobs.get, None):
        with contextlib.suppress(BaseException):  # whoever asked has it, or is gone
            job()


class Helpers(NamedTuple):
    """The threads, by their identifiers, and the queue at which they wait.

    Not those of ``concurrent.futures`` or ``threading``: an interrupt (Ctrl-C) in the midst of
    their code can leave a lock that is never released. These have none that Python's code holds.
    """

    threads: list
    jobs: SimpleQueue


@cache
def helpers():
    """Those of this process."""
    return Helpers([], SimpleQueue())


if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork: the child starts its own.
    os.register_at_fork(after_in_child=helpers.cache_clear)
