"""How many threads the matrix products of a run take."""

import contextlib
import os

from threadpoolctl import threadpool_limits

_CHOICES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def one_blas_thread():
    """A context in which BLAS takes one thread, unless the environment has a say.

    The products of a step are too small to be shared: other threads gain little on an idle machine,
    and where a core is busy all wait for that one.
    """
    if any(name in os.environ for name in _CHOICES):
        return contextlib.nullcontext()
    return threadpool_limits(limits=1, user_api="blas")
