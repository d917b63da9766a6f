"""``memory/step.py`` and ``memory/cell.py`` in CUDA C++, one launch each: for CuPy arrays.

A block of threads works on a sequence. The sorts are in shared memory, so N has a limit.
"""

from typing import Any, NamedTuple

import numpy as np
from chainer.backends import cuda

from ..memory.cell import CellTrace
from ..memory.sparse_linkage import SparseLink
from ..memory.step import MemoryState
from .cuda_source import kernel

SHARED_MEMORY = 48 * 1024  # bytes that every GPU gives to a block
THREADS_OF_CELL = 128
INT = np.int32


class CudaTrace(NamedTuple):
    """What the gradient of one step needs, as the kernels take it."""

    shape: Any  # Shape
    before: tuple  # memory, row scales, usage, precedence, link, columns, write and read weights
    after: tuple  # the same
    steps: tuple  # what dnc_step fills for the gradient
    row_scales: Any  # 1 / |M_t[i]| (B, N)


def threads(N):
    """How many work on one sequence."""
    return 128 if N <= 128 else 512


def room_to_sort(N):
    """The next power of two, at least 2."""
    return max(2, 1 << (N - 1).bit_length())


def shared_memory(N, R, K, itemsize):
    """Bytes that a block needs, forward and backward."""
    P, scan = room_to_sort(N), 2 * threads(N) + 32
    return (P + scan) * itemsize + 4 * (P + 2 * K), (scan + R) * itemsize


def fits(N, R, K, itemsize):
    """Whether a block has room for a sequence of this size."""
    return max(shared_memory(N, R, K, itemsize)) <= SHARED_MEMORY


class Shape(NamedTuple):
    """The sizes of a step, K = 0 where the link is dense."""

    B: int
    N: int
    W: int
    R: int
    K: int

    @property
    def as_arguments(self):
        """What the kernels are told; the batch is the number of blocks."""
        return self[1:]


def shape_of(state):
    """The :class:`Shape` of a :class:`..memory.step.MemoryState`."""
    B, R, N = state.read_weights.shape
    K = state.link.columns.shape[2] if isinstance(state.link, SparseLink) else 0
    return Shape(B, N, state.memory.shape[2], R, K)


def step(state, row_scales, xi):
    """See :func:`..memory.step.step`."""
    s, xi = shape_of(state), cuda.cupy.ascontiguousarray(xi)
    before = in_order(state, row_scales, s)
    after = tuple(map(cuda.cupy.empty_like, before))
    vectors = cuda.cupy.empty((s.B, s.R * s.W), xi.dtype)
    steps = room_for_gradient(s, xi)
    candidates = cuda.cupy.empty((s.B, s.K, 3 * s.K), xi.dtype)
    shared, _ = shared_memory(s.N, s.R, s.K, xi.dtype.itemsize)
    arguments = (*before, xi, *after, vectors, *steps, candidates)
    sizes = (*s.as_arguments, room_to_sort(s.N))
    launch("dnc_step", s.B, threads(s.N), arguments, sizes, xi.dtype, shared)
    memory, scales, usage, precedence, link, columns, write_weights, read_weights = after
    link = SparseLink(link, columns) if s.K else link
    state = MemoryState(memory, usage, precedence, link, write_weights, read_weights)
    return state, vectors, CudaTrace(s, before, after, steps, scales)


def in_order(state, row_scales, s):
    """The state as the kernels take it: eight arrays in C order."""
    link, columns = state.link if s.K else (state.link, no_columns())
    fields = (state.memory, row_scales, state.usage, state.precedence, link, columns, *state[4:])
    return tuple(map(cuda.cupy.ascontiguousarray, fields))


def no_columns():
    """What is handed over for the columns of a dense link, and not looked at."""
    return cuda.cupy.empty(1, "int32")


def room_for_gradient(s, xi):
    """What dnc_step fills for the gradient, in the order of its arguments."""
    empty = cuda.cupy.empty
    return (
        empty(xi.shape, xi.dtype),  # the interface vectors, activated
        empty((s.B, s.N), "int32"),  # the order of allocation
        empty((s.B, 1 + s.R, s.N), xi.dtype),  # content weightings, the write head's first
        empty((s.B, 1 + s.R, s.N), xi.dtype),  # similarities
        empty((s.B, 2, s.R, s.N), xi.dtype),  # f and b
        empty((s.B, s.K, 2 + 2 * s.K), "int32"),  # the link entries kept
        empty((s.B, 1 + s.R, s.W), xi.dtype),  # unit keys
        empty((s.B, 1 + s.R), xi.dtype),  # 1 / |k|
        empty((s.B, s.N), xi.dtype),  # the allocation weighting
        empty((s.B, s.N), xi.dtype),  # products of usages in the order of allocation
    )


def step_backward(trace, g, g_read_vectors):
    """See :func:`..memory.step.step_backward`."""
    s, like, xi = trace.shape, cuda.cupy.empty_like, trace.steps[0]
    g = tuple(map(cuda.cupy.ascontiguousarray, g))
    g_vectors = cuda.cupy.ascontiguousarray(g_read_vectors)
    g_before = (*(like(g[1]) for _ in range(3)), like(g[-1]))
    g_xi = like(xi)
    scratch = [
        cuda.cupy.empty((s.B, *shape), xi.dtype) for shape in ((4, s.R, s.N), (4, s.N), (s.K, s.K))
    ]
    memory, scales, usage, _, *rest = trace.after  # the precedence is not needed
    after = memory, scales, usage, *rest
    _, shared = shared_memory(s.N, s.R, s.K, xi.dtype.itemsize)
    arguments = (*trace.before, *after, *trace.steps, *g, g_vectors, *g_before, g_xi, *scratch)
    launch("dnc_step_backward", s.B, threads(s.N), arguments, s.as_arguments, xi.dtype, shared)
    g_usage, g_precedence, g_write, g_read = g_before
    return MemoryState(g[0], g_usage, g_precedence, g[3], g_write, g_read), g_xi


def cell(c, z):
    """See :func:`..memory.cell.cell`."""
    c, z = map(cuda.cupy.ascontiguousarray, (c, z))
    gates = cuda.cupy.empty((*c.shape, 4), c.dtype)
    new, h, squashed = (cuda.cupy.empty_like(c) for _ in range(3))
    launch_cell("dnc_cell", (c, z, gates, new, h, squashed), c)
    return new, h, CellTrace(gates, c, squashed)


def cell_backward(trace, g_c, g_h):
    """See :func:`..memory.cell.cell_backward`."""
    g_c, g_h = map(cuda.cupy.ascontiguousarray, (g_c, g_h))
    g_before = cuda.cupy.empty_like(g_c)
    g_z = cuda.cupy.empty((len(g_c), 4 * g_c.shape[1]), g_c.dtype)
    launch_cell("dnc_cell_backward", (*trace, g_c, g_h, g_before, g_z), g_c)
    return g_before, g_z


def launch_cell(name, arrays, c):
    """A thread for each unit of each sequence."""
    blocks = -(-c.size // THREADS_OF_CELL)
    launch(name, blocks, THREADS_OF_CELL, arrays, (c.size,), c.dtype)


def launch(name, blocks, block, arrays, sizes, dtype, shared=0):
    """Run a kernel on arrays in C order, and sizes as C's int."""
    sizes = tuple(map(INT, sizes))
    kernel(name, dtype.char)((blocks,), (block,), (*arrays, *sizes), shared_mem=shared)
