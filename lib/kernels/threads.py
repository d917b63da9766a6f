"""The sequences of a batch shared among threads: the loops let go of Python's lock."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from numba import config

# Below this many locations in all, handing the work out takes as long as it saves.
WORTH_A_THREAD = 1024


def share_batch(kernel, B, N, *arguments):
    """Call ``kernel(begin, end, *arguments)`` for all of B sequences of N locations.

    As many threads as Numba would use (``NUMBA_NUM_THREADS``, or the cores at hand) take a part
    each, or fewer where no more can be started. The numbers do not depend on how many there are.
    """
    parts = min(config.NUMBA_NUM_THREADS, B, B * N // WORTH_A_THREAD)
    if parts <= 1:
        kernel(0, B, *arguments)
        return
    ends = [B * part // parts for part in range(parts + 1)]
    left = list(zip(ends, ends[1:]))

    def work():
        for part in iter(lambda: take(left), None):
            kernel(*part, *arguments)

    others = hand_out(work, parts - 1)
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
    return ThreadPoolExecutor(config.NUMBA_NUM_THREADS - 1, thread_name_prefix="dnc")


if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork: the child starts its own.
    os.register_at_fork(after_in_child=pool.cache_clear)
