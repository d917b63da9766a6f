"""How many threads the matrix products take: BLAS has one number for the whole process."""

import contextlib
import os
import threading
from functools import cache

from threadpoolctl import ThreadpoolController, threadpool_limits

_CHOICES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
# With fewer rows other threads save little on an idle machine; where a core is busy, all wait for
# that one, many times as long.
ROWS_WORTH_THREADS = 1024


def one_blas_thread():
    """A context in which BLAS takes one thread, unless the environment has a say: for a program.

    Numbers then do not depend on how many cores there are.
    """
    if any(name in os.environ for name in _CHOICES):
        return contextlib.nullcontext()
    return threadpool_limits(limits=1, user_api="blas")


def threads_for(rows):
    """A context for products that sum over so many rows: if they are few, BLAS takes one thread."""
    return _one_thread() if rows < ROWS_WORTH_THREADS else contextlib.nullcontext()


# Held by whoever has set the number and will set it back: of two threads of a program that did so
# by turns, the second would put back what the first had set.
_setting = threading.Lock()


@contextlib.contextmanager
def _one_thread():
    if all(each.num_threads == 1 for each in _blas().lib_controllers):
        yield
    elif _setting.acquire(blocking=False):
        try:
            with _blas().limit(limits=1):
                yield
        finally:
            _setting.release()
    else:  # somebody else has
        yield


@cache
def _blas():
    """The libraries that are loaded when it is first asked, NumPy's among them."""
    return ThreadpoolController().select(user_api="blas")


def _start_anew():
    """In a forked process, where whoever held the lock is not."""
    global _setting
    _setting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
