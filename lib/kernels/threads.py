"""The sequences of a batch shared among threads: the loops let go of Python's lock."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from numba import config

# Below this many locations in all, handing the work out takes as long as it saves.
WORTH_A_THREAD = 1024


def share_batch(kernel, B, N, *arguments):
    """Call ``kernel(begin, end, *arguments)`` for all of B sequences of N locations.

    As many threads as Numba would use (``NUMBA_NUM_THREADS``, or the cores at hand) take a part
    each. The numbers do not depend on how many there are.
    """
    parts = min(config.NUMBA_NUM_THREADS, B, B * N // WORTH_A_THREAD)
    if parts <= 1:
        kernel(0, B, *arguments)
        return
    ends = [B * part // parts for part in range(parts + 1)]
    try:
        others = [
            pool().submit(kernel, begin, end, *arguments) for begin, end in zip(ends[1:], ends[2:])
        ]
    except RuntimeError:  # the program is ending, and starts no more threads
        kernel(0, B, *arguments)
        return
    kernel(0, ends[1], *arguments)
    for other in others:
        other.result()


@cache
def pool():
    """The threads; they wait for work until the program ends."""
    return ThreadPoolExecutor(config.NUMBA_NUM_THREADS - 1, thread_name_prefix="dnc")


if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork: the child starts its own.
    os.register_at_fork(after_in_child=pool.cache_clear)
