"""Memory for arrays that one sequence after another needs: large ones are taken again.

What glibc does not keep (``arrays.keep_freed_memory``) the system hands out anew for each sequence,
and clears it page by page: a tenth of the time of a step where the histories of memories are large.
"""

import math
import threading
import weakref

import numpy as np

# Bytes of an array that glibc hands back to the system at once, and the most that is kept here.
LARGE = 2**25
MOST = 2**30

_kept = []  # blocks of bytes that nobody holds
_lock = threading.Lock()


class Block:
    """Bytes that come back when the last array of them is gone.

    NumPy looks through arrays to what owns their memory, and holds that alone. This is no array.
    """

    def __init__(self, raw):
        self.__array_interface__ = raw.__array_interface__
        weakref.finalize(self, give_back, raw).atexit = False


def empty(shape, dtype):
    """``np.empty``, for large arrays perhaps in memory that another has had."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not LARGE <= size <= MOST:
        return np.empty(shape, dtype)
    return np.asarray(Block(take(size))).view(dtype).reshape(shape)


def take(size):
    """A block of so many bytes. If none of this size is left, those of other sizes are let go."""
    with _lock:
        for k, raw in enumerate(_kept):
            if raw.size == size:
                return _kept.pop(k)
        _kept.clear()
    return np.empty(size, np.uint8)


def give_back(raw):
    """Keep a block for the next, where there is room."""
    if _lock.acquire(blocking=False):  # it may be this thread that holds it, in a collection
        if sum(each.size for each in _kept) + raw.size <= MOST:
            _kept.append(raw)
        _lock.release()
