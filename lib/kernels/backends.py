"""Which implementation of the steps runs: compiled loops where there are any, else plain arrays.

``chainer.config.dnc_backend`` chooses: ``"auto"`` (the default) is ``"numba"`` for NumPy arrays
where Numba is installed and K is at most LARGEST_K; ``"numpy"`` is the plain array code, and CuPy's
as well. ``"cuda"`` is ``"auto"`` but for CuPy arrays, for which it tries the kernels in CUDA C++.
CHAINER_DNC_BACKEND in the environment has a program begin with another than ``"auto"``.
"""

import importlib
import importlib.util
import os
import sys
import threading
import warnings
from functools import cache
from typing import Any, NamedTuple

import chainer
import numpy as np

from ..arrays import is_numpy
from ..memory import cell, step

chainer.global_config.dnc_backend = os.environ.get("CHAINER_DNC_BACKEND") or "auto"
CHOICES = ("auto", "numpy", "numba", "cuda")


class Backend(NamedTuple):
    """The steps of the controller and of the memory, forward and backward; or what runs them all.

    ``loops`` and ``lstm_loops`` are modules with the ``run_steps`` and ``run_steps_backward`` of
    ``graph.sequence`` and of ``graph.lstm_sequence``.
    """

    name: str
    cell: Any = None
    cell_backward: Any = None
    step: Any = None
    step_backward: Any = None
    loops: Any = None
    lstm_loops: Any = None


PLAIN = Backend("numpy", cell.cell, cell.cell_backward, step.step, step.step_backward)

OLDEST_NUMBA = (0, 61)
# The loops compare the candidates of a row one with another; far above this NumPy's sort is faster.
LARGEST_K = 128


def backend_for(array, K, sizes=None):
    """The :class:`Backend` for arrays like this one.

    Args:
        array: NumPy or CuPy.
        K: entries a row of a sparse link matrix, or 0.
        sizes: N, W and R, or None where there is no memory.

    Raises:
        ValueError: see :func:`choice`.
    """
    if type(array) is np.ndarray:
        wanted = K <= LARGEST_K or choice() == "numba"
        return compiled() if use_compiled() and wanted else PLAIN
    asked = choice() == "cuda" and not is_numpy(array)
    return on_cuda(array.dtype, K, sizes) if asked else PLAIN


def choice():
    """``chainer.config.dnc_backend``; ValueError where there is no such."""
    chosen = chainer.config.dnc_backend
    if chosen not in CHOICES:
        allowed = ", ".join(f'"{name}"' for name in CHOICES)
        raise ValueError(f"chainer.config.dnc_backend must be one of {allowed}, not {chosen!r}")
    return chosen


def on_cuda(dtype, K, sizes):
    """The backend of the CUDA kernels on the current device, or the plain one."""
    from . import cuda_cell, cuda_check

    if not cuda_check.usable(dtype, K, sizes):
        return PLAIN
    found = Backend("cuda", cuda_cell.cell, cuda_cell.cell_backward)
    if sizes is None:
        return found
    steps = cuda_check.steps_for(sizes[0], dtype)
    return found._replace(step=steps.step, step_backward=steps.step_backward)


def use_compiled():
    """Whether compiled loops can be had and are wanted.

    Raises:
        ValueError: see :func:`choice`, or it is "numba" where Numba cannot be used.
    """
    chosen = choice()
    problem = None if chosen == "numpy" else numba_problem()
    if chosen == "numba" and problem is not None:
        raise ValueError(f'chainer.config.dnc_backend is "numba", but {problem}')
    return chosen != "numpy" and problem is None


_importing = threading.RLock()
_held = []  # locks, while this process is forked


def _wait_for_imports():
    """Let no fork happen while another thread imports or compiles.

    The child would wait for it for ever: locks are copied, and the thread that holds them is not.
    """
    _importing.acquire()
    _held.append(_importing)
    module = sys.modules.get("numba.core.compiler_lock")
    compiling = getattr(module, "global_compiler_lock", None)  # others may just be importing it
    if compiling is not None:
        compiling.acquire()
        _held.append(compiling)


def _go_on():
    locks = _held[::-1]
    _held.clear()  # while they are held: the next fork begins when the last one is released
    for lock in locks:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_imports, after_in_parent=_go_on, after_in_child=_go_on)


@cache
def numba_problem():
    """Why Numba cannot be used, or None. Found out when first asked: its import takes a while."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed"
    try:
        with _importing:
            problem = _import_numba()
    # One that does not go with this NumPy, or with its own LLVM, fails with whatever it likes.
    except (Exception, SystemExit) as error:
        problem = f"Numba cannot be imported: {type(error).__name__}: {error}"
    if problem is not None:
        text = " ".join(f"{problem}. The slower NumPy code is used.".split())
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    return problem


def _import_numba():
    """Import it and all that is compiled by it; why it is not used all the same, or None."""
    numba = importlib.import_module("numba")
    if tuple(map(int, numba.__version__.split(".")[:2])) < OLDEST_NUMBA:
        return f"Numba {numba.__version__} leaks memory in these loops, 0.61 is needed"
    if numba.config.DISABLE_JIT:
        return "Numba is told not to compile, by NUMBA_DISABLE_JIT"
    for module in ("sequence", "lstm_sequence", "adam_pass"):
        importlib.import_module(f".{module}", __package__)
    return None


@cache
def compiled():
    """The backend of compiled loops."""
    from . import lstm_sequence, sequence

    return Backend("numba", loops=sequence, lstm_loops=lstm_sequence)
