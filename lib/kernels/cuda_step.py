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


def step(state, row_scales, xi):
    """See :func:`..memory.step.step`."""
    empty, like = cuda.cupy.empty, cuda.cupy.empty_like
    link, columns = state.link, None
    if isinstance(link, SparseLink):
        link, columns = link
    B, R, N = state.read_weights.shape
    W, K, dtype = state.memory.shape[2], 0 if columns is None else columns.shape[2], xi.dtype
    order = empty((B, N), "int32")
    # A dense link has no columns; what is handed over for them is not looked at.
    columns = order if columns is None else columns
    before = (state.memory, row_scales, state.usage, state.precedence, link, columns, *state[4:])
    before = tuple(map(cuda.cupy.ascontiguousarray, before))
    after = tuple(map(like, before))
    vectors = empty((B, R * W), dtype)
    steps = (
        empty(xi.shape, dtype),
        order,
        empty((B, 1 + R, N), dtype),
        empty((B, 1 + R, N), dtype),
        empty((B, 2, R, N), dtype),
        empty((B, K, 2 + 2 * K), "int32"),
        empty((B, 1 + R, W), dtype),
        empty((B, 1 + R), dtype),
        empty((B, N), dtype),
        empty((B, N), dtype),
    )
    xi, candidates = cuda.cupy.ascontiguousarray(xi), empty((B, K, 3 * K), dtype)
    shared, _ = shared_memory(N, R, K, dtype.itemsize)
    arguments = (*before, xi, *after, vectors, *steps, candidates)
    launch("dnc_step", B, threads(N), arguments, (N, W, R, K, room_to_sort(N)), dtype, shared)
    memory, scales, usage, precedence, link, columns, write_weights, read_weights = after
    link = SparseLink(link, columns) if K else link
    state = MemoryState(memory, usage, precedence, link, write_weights, read_weights)
    return state, vectors, CudaTrace(before, after, steps, scales)


def step_backward(trace, g, g_read_vectors):
    """See :func:`..memory.step.step_backward`."""
    empty, like = cuda.cupy.empty, cuda.cupy.empty_like
    read_weights, xi = trace.before[-1], trace.steps[0]
    B, R, N = read_weights.shape
    W, K = trace.before[0].shape[2], trace.steps[5].shape[1]
    g = tuple(map(cuda.cupy.ascontiguousarray, g))
    g_vectors = cuda.cupy.ascontiguousarray(g_read_vectors)
    g_before = (*(like(g[1]) for _ in range(3)), like(read_weights))
    g_xi = like(xi)
    scratch = (
        empty((B, 4, R, N), xi.dtype),
        empty((B, 4, N), xi.dtype),
        empty((B, K, K), xi.dtype),
    )
    memory, scales, usage, _, *rest = trace.after
    after = memory, scales, usage, *rest
    _, shared = shared_memory(N, R, K, xi.dtype.itemsize)
    arguments = (*trace.before, *after, *trace.steps, *g, g_vectors, *g_before, g_xi, *scratch)
    launch("dnc_step_backward", B, threads(N), arguments, (N, W, R, K), xi.dtype, shared)
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
