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
    count, done = len(left), SimpleQueue()  # of what others did: the error that it ended with

    def others():
        for item in iter(lambda: take(left), None):
            done.put(error_of(function, item))

    hand_out(others, min(workers, count) - 1)
    try:
        for item in iter(lambda: take(left), None):
            count -= 1
            function(item)
    except BaseException:
        left.clear()
        raise
    for error in [done.get() for _ in range(count)]:
        if error:
            raise error


def take(left):
    """A part that nobody has taken, or None: whatever becomes of the threads, each is done once."""
    with contextlib.suppress(IndexError):
        return left.pop()


def error_of(function, item):
    """What a call of ``function`` raises, or None."""
    try:
        function(item)
    except BaseException as error:  # none may end the thread
        return error


def hand_out(work, times):
    """Have threads call ``work``, up to so many times; how many it will be."""
    pool, times = helpers(), min(times, most() - 1)
    with contextlib.suppress(RuntimeError, MemoryError):  # there is no room for more
        while len(pool.threads) < times:
            pool.threads.append(start_new_thread(help_out, (pool.jobs,)))
    times = min(times, len(pool.threads))
    for _ in range(times):
        pool.jobs.put(work)
    return times


def help_out(jobs):
    """What a thread does, until it gets None or the program ends."""
    for job in iter(jobs.get, None):
        job()
        del job  # and what it works on, before the next is waited for


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
