"""Which implementation of the steps runs: compiled loops where there are any, else plain arrays.

``chainer.config.dnc_backend`` chooses: ``"auto"`` (the default) is ``"numba"`` for NumPy arrays
where Numba is installed; ``"numpy"`` is the plain array code, which CuPy always uses.
"""

import importlib
import importlib.util
import warnings
from functools import cache
from typing import Any, NamedTuple

import chainer
import numpy as np

from ..memory import cell, step

chainer.global_config.dnc_backend = "auto"


class Backend(NamedTuple):
    """The steps of the controller and of the memory, forward and backward."""

    name: str
    cell: Any
    cell_backward: Any
    step: Any
    step_backward: Any


PLAIN = Backend("numpy", cell.cell, cell.cell_backward, step.step, step.step_backward)

OLDEST_NUMBA = (0, 61)
# The loops compare the candidates of a row one with another; above this NumPy's sort is faster.
LARGEST_K = 64


def backend_for(array, K):
    """The :class:`Backend` for arrays like this one, and K entries a row of a sparse link (or 0).

    Raises:
        ValueError: see :func:`use_compiled`.
    """
    suited = type(array) is np.ndarray and K <= LARGEST_K
    return compiled() if use_compiled() and suited else PLAIN


def use_compiled():
    """Whether compiled loops can be had and are wanted.

    Raises:
        ValueError: ``chainer.config.dnc_backend`` is none of "auto", "numpy" and "numba", or
            "numba" where Numba cannot be used.
    """
    choice = chainer.config.dnc_backend
    if choice not in ("auto", "numpy", "numba"):
        raise ValueError(
            f'chainer.config.dnc_backend must be "auto", "numpy" or "numba", not {choice!r}'
        )
    problem = None if choice == "numpy" else numba_problem()
    if choice == "numba" and problem is not None:
        raise ValueError(f'chainer.config.dnc_backend is "numba", but {problem}')
    return choice != "numpy" and problem is None


@cache
def numba_problem():
    """Why Numba cannot be used, or None. Found out when first asked: its import takes a while."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed"
    try:
        numba = importlib.import_module("numba")
        if tuple(map(int, numba.__version__.split(".")[:2])) < OLDEST_NUMBA:
            problem = f"Numba {numba.__version__} leaks memory in these loops, 0.61 is needed"
        else:
            importlib.import_module(".memory_step", __package__)
            return None
    except ImportError as error:  # one that does not go with this NumPy, say
        problem = f"Numba cannot be imported: {error}"
    warnings.warn(f"{problem}. The slower NumPy code is used.", RuntimeWarning, stacklevel=2)
    return problem


@cache
def compiled():
    """The backend of compiled loops."""
    from . import announce, lstm_cell, memory_step

    announce()
    return Backend(
        "numba",
        lstm_cell.cell,
        lstm_cell.cell_backward,
        memory_step.step,
        memory_step.step_backward,
    )
