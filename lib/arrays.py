"""Arrays: which library one belongs to, and where their memory comes from."""

from functools import wraps

import numpy as np
from chainer.backends import cuda


def module_of(array):
    """NumPy or CuPy: ``chainer.backend.get_array_module`` without its cost on a hot path."""
    return np if type(array) is np.ndarray else cuda.get_array_module(array)


def underflowing(method):
    """Let numbers underflow to zero in it: the tails of a weighting do, and are no error.

    ``numpy.seterr(all="raise")`` would have it one, in NumPy code alone.
    """

    @wraps(method)
    def quiet(*arguments):
        with np.errstate(under="ignore"):
            return method(*arguments)

    return quiet


def keep_freed_memory():
    """Let the C library keep up to 64 MB of freed memory for the arrays to come.

    A step frees megabytes of arrays that the next one needs again. By default glibc hands them back
    to the system each time, and to get them back, page by page, can take longer than the step. It
    keeps twice as much as the largest block freed so far, up to 32 MB, unless the environment
    (``MALLOC_TRIM_THRESHOLD_`` and its like) says otherwise. So one such block is freed; it is
    never touched, so it costs nothing. Other C libraries do as they please.
    """
    block = np.empty(2**25 - 2**13, dtype=np.uint8)
    del block
