"""Work shared among threads: the loops let go of Python's lock.

As many as Numba would use (``NUMBA_NUM_THREADS``, or the cores at hand), or fewer where no more can
be started. What is done does not depend on how many there are, and so the numbers do not.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

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

    def work():
        for item in iter(lambda: take(left), None):
            function(item)

    others = hand_out(work, min(workers, len(left)) - 1)
    work()
    for other in others:
        if not other.cancel():
            other.result()


def take(left):
    """A part that nobody has taken, or None: whatever becomes of the threads, each is done once."""
    with contextlib.suppress(IndexError):
        return left.pop()


def hand_out(work, times):
    """Have threads call ``work``, up to so many times; what can be waited for."""
    others = []
    if times < 1:
        return others
    threads = pool()
    try:
        for _ in range(times):
            others.append(threads.submit(work))
    except (RuntimeError, MemoryError):  # there is no room, or the program is ending
        # What could not start stands in the pool's queue all the same, with all its arrays.
        pool.cache_clear()
        threads.shutdown(wait=False, cancel_futures=True)
    return others


@cache
def pool():
    """The threads; they wait for work until the program ends."""
    return ThreadPoolExecutor(most() - 1, thread_name_prefix="dnc")


if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork: the child starts its own.
    os.register_at_fork(after_in_child=pool.cache_clear)
