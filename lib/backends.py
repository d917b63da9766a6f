"""Which implementation of the steps runs: compiled loops where there are any, else plain arrays.

``chainer.config.dnc_backend`` chooses: ``"auto"`` (the default) is ``"numba"`` for NumPy arrays
where Numba is installed; ``"numpy"`` is the plain array code, which CuPy always uses.
"""

import importlib.util
from functools import cache
from typing import Any, NamedTuple

import chainer
import numpy as np

from lib import lstm, memory

chainer.global_config.dnc_backend = "auto"

HAS_NUMBA = importlib.util.find_spec("numba") is not None


class Backend(NamedTuple):
    """The steps of the controller and of the memory, forward and backward."""

    name: str
    cell: Any
    cell_backward: Any
    step: Any
    step_backward: Any


PLAIN = Backend("numpy", lstm.cell, lstm.cell_backward, memory.step, memory.step_backward)


def backend_for(array):
    """The :class:`Backend` for arrays like this one.

    Raises:
        ValueError: see :func:`use_compiled`.
    """
    return compiled() if use_compiled() and type(array) is np.ndarray else PLAIN


def use_compiled():
    """Whether compiled loops are installed and wanted.

    Raises:
        ValueError: ``chainer.config.dnc_backend`` is none of "auto", "numpy" and "numba", or
            "numba" where Numba is not installed.
    """
    choice = chainer.config.dnc_backend
    if choice not in ("auto", "numpy", "numba"):
        raise ValueError(
            f'chainer.config.dnc_backend must be "auto", "numpy" or "numba", not {choice!r}'
        )
    if choice == "numba" and not HAS_NUMBA:
        raise ValueError('chainer.config.dnc_backend is "numba", but Numba is not installed')
    return choice != "numpy" and HAS_NUMBA


@cache
def compiled():
    """The backend of compiled loops. Numba is imported here, not with ``lib``: it takes a while."""
    from lib import kernels
    from lib.kernels import lstm, memory

    kernels.announce()
    return Backend("numba", lstm.cell, lstm.cell_backward, memory.step, memory.step_backward)
