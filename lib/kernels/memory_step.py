"""``memory/step.py`` on the compiled loops: the same two functions, for NumPy arrays."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..arrays import SMALLEST_NORMAL
from ..memory import interface
from ..memory.sparse_linkage import SparseLink
from ..memory.step import MemoryState
from . import backward, forward
from .threads import share_batch


class CompiledTrace(NamedTuple):
    """What the gradient of one step needs, as the loops take it."""

    before: tuple  # memory, row scales, usage, precedence, link, columns, write and read weights
    after: tuple  # the same
    steps: tuple  # what forward.step fills for the gradient
    row_scales: Any  # 1 / |M_t[i]| (B, N)


def step(state, row_scales, xi):
    """See :func:`..memory.step.step`."""
    link = state.link
    link, columns = link if isinstance(link, SparseLink) else (link, dense_columns(len(xi)))
    before = (state.memory, row_scales, state.usage, state.precedence, link, columns, *state[4:])
    before = tuple(map(as_compiled, before))
    after = tuple(map(np.empty_like, before))
    B, R, N = state.read_weights.shape
    W, K, dtype = state.memory.shape[2], columns.shape[2], xi.dtype
    vectors = np.empty((B, R * W), dtype)
    trace = (
        np.empty(xi.shape, dtype),
        np.empty((B, N), np.int32),
        np.empty(B, np.int32),
        np.empty((B, 1 + R, N), dtype),
        np.empty((B, 1 + R, N), dtype),
        np.empty((B, 2, R, N), dtype),
        np.empty((B, K, 2 + 2 * K), np.int32),
    )
    constants = starts(W, R), SMALLEST_NORMAL[dtype.char]
    xi = as_compiled(xi)
    share_batch(forward.step, B, N, before, after, vectors, trace, xi, *constants)
    memory, scales, usage, precedence, link, columns, write_weights, read_weights = after
    link = SparseLink(link, columns) if K else link
    state = MemoryState(memory, usage, precedence, link, write_weights, read_weights)
    return state, vectors, CompiledTrace(before, after, trace, scales)


def step_backward(trace, g, g_read_vectors):
    """See :func:`..memory.step.step_backward`."""
    read_weights = trace.before[-1]
    B, R, N = read_weights.shape
    g = tuple(map(as_compiled, g))
    g_vectors = as_compiled(g_read_vectors)
    g_before = (*(np.empty_like(g[1]) for _ in range(3)), np.zeros_like(read_weights))
    g_xi = np.zeros_like(trace.steps[0])
    constants = starts(trace.before[0].shape[2], R), SMALLEST_NORMAL[g_xi.dtype.char]
    share_batch(backward.step_backward, B, N, *trace[:3], g, g_vectors, g_before, g_xi, *constants)
    g_usage, g_precedence, g_write, g_read = g_before
    return MemoryState(g[0], g_usage, g_precedence, g[3], g_write, g_read), g_xi


def as_compiled(array):
    """The array in the form for which the loops are compiled, not read-only and in C order."""
    return array if array.flags.carray else np.array(array, order="C")


@cache
def starts(W, R):
    """Where the parts of the interface vector start."""
    return tuple(part.start for part in interface.layout(W, R))


@cache
def dense_columns(B):
    """The columns of a dense link, for the loops."""
    return np.empty((B, 0, 0), np.int32)
