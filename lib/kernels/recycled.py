"""Memory for arrays that one sequence after another needs: large ones are taken again.

What glibc does not keep (``arrays.keep_freed_memory``) the system hands out anew for each sequence,
and clears it page by page: a tenth of the time of a step where the histories of memories are large.
"""

import math
import weakref

import numpy as np

# Bytes of an array that glibc hands back to the system at once, and the most that is kept here.
LARGE = 2**25
MOST = 2**30

# Blocks of bytes that nobody holds, by id. There is no lock: a block may come back in the middle of
# anything, this module included, and a forked process would wait for one for ever.
_kept = {}


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
    return np.asarray(Block(take(size)))[:size].view(dtype).reshape(shape)


def take(size):
    """The smallest block left of so many bytes or more, or a new one."""
    for key, raw in sorted(_kept.copy().items(), key=lambda item: len(item[1])):
        # Another thread may have been faster.
        if len(raw) >= size and _kept.pop(key, None) is not None:
            return raw
    return np.empty(size, np.uint8)


def give_back(raw):
    """Keep a block for the next, in the place of older ones if need be."""
    kept = _kept.copy()
    excess = sum(map(len, kept.values())) + len(raw) - MOST
    for key, old in kept.items():
        if excess > 0:
            excess -= len(old)
            _kept.pop(key, None)
    _kept[id(raw)] = raw
