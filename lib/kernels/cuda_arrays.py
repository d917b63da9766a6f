"""The arrays that the CUDA kernels of the memory step work on, in the order of their arguments.

``cuda/arrays.cu`` has the same tables. B batch, N locations, W word width, R read heads, K entries
kept per row of a sparse link matrix, 0: a dense one; ``blocks`` of threads work on a sequence.
"""

from typing import Any, NamedTuple

from chainer.backends import cuda

from ..memory import interface
from ..memory.sparse_linkage import SparseLink
from ..memory.step import MemoryState


class Shape(NamedTuple):
    """The sizes of a step, K = 0 where the link is dense."""

    B: int
    N: int
    W: int
    R: int
    K: int

    @property
    def as_arguments(self):
        """What the kernels are told; the batch is the width of the grid."""
        return self[1:]


def shape_of(state):
    """The :class:`Shape` of a :class:`..memory.step.MemoryState`."""
    B, R, N = state.read_weights.shape
    K = state.link.columns.shape[2] if isinstance(state.link, SparseLink) else 0
    return Shape(B, N, state.memory.shape[2], R, K)


class Step(NamedTuple):
    """Those of t - 1, those of t, and what the gradient needs of the step."""

    memory: Any  # M_{t-1} (B, N, W)
    row_scales: Any  # 1 / |M_{t-1}[i]| (B, N)
    usage: Any  # u_{t-1} (B, N)
    precedence: Any  # p_{t-1} (B, N)
    link: Any  # L_{t-1} (B, N, N), or its values (B, N, K)
    columns: Any  # (B, N, K), int32; of a dense link nothing that is looked at
    write: Any  # w^w_{t-1} (B, N)
    read: Any  # w^r_{t-1} (B, R, N)
    new_memory: Any
    new_scales: Any
    new_usage: Any
    new_precedence: Any
    new_link: Any
    new_columns: Any
    new_write: Any
    new_read: Any
    active: Any  # the interface vectors, activated (B, size)
    order: Any  # of allocation (B, N), int32
    content: Any  # content weightings, the write head's first (B, 1 + R, N)
    similarity: Any  # (B, 1 + R, N)
    forward: Any  # f (B, R, N)
    backward: Any  # b (B, R, N)
    kept: Any  # the link entries kept (B, K, 2 + 2K), int32
    units: Any  # unit keys (B, 1 + R, W)
    key_scales: Any  # 1 / |k| (B, 1 + R)
    allocated: Any  # the allocation weighting (B, N)
    products: Any  # products of usages in the order of allocation (B, N)
    totals: Any  # Σ w^w_t of the locations of each block (B, blocks)


class Gradient(NamedTuple):
    """Gradients of t, given; those of t - 1 and of the interface vector; scratch."""

    g_memory: Any  # becomes that of t - 1
    g_new_usage: Any
    g_new_precedence: Any
    g_link: Any  # becomes that of t - 1
    g_new_write: Any
    g_new_read: Any
    g_vectors: Any  # (B, R·W)
    g_usage: Any
    g_precedence: Any
    g_write: Any
    g_read: Any
    g_xi: Any  # (B, size)
    g_forward: Any  # that of f (B, R, N)
    of_locations: Any  # (B, 4 + 3R, N)
    of_blocks: Any  # (B, blocks, size + R + 4)
    followed: Any  # L_tᵀ g_f (B, R, N), where the link is dense
    of_columns: Any  # (B, 2, blocks, N), where the link is dense
    moved: Any  # (B, K, K)


def for_step(state, row_scales, xi, blocks):
    """A :class:`Step` with those of t - 1 filled, and the scratch of a step, xi first."""
    s, xi = shape_of(state), cuda.cupy.ascontiguousarray(xi)
    if xi.shape != (s.B, interface.size(s.W, s.R)):
        width = interface.size(s.W, s.R)
        raise ValueError(f"the interface vector must have {width} numbers, not {xi.shape[1]}")

    def empty(*shape, dtype=xi.dtype):
        return cuda.cupy.empty((s.B, *shape), dtype)

    before = in_order(state, row_scales, s)
    kept = (
        cuda.cupy.empty_like(xi),
        empty(s.N, dtype="int32"),
        *(empty(1 + s.R, s.N) for _ in range(2)),
        *(empty(s.R, s.N) for _ in range(2)),
        empty(s.K, 2 + 2 * s.K, dtype="int32"),
        *(empty(1 + s.R, s.W), empty(1 + s.R)),
        *(empty(s.N) for _ in range(2)),
        empty(blocks),
    )
    scratch = xi, empty(s.K, 3 * s.K), empty(1 + s.R, blocks, 2), empty(blocks, 2)
    return Step(*before, *map(cuda.cupy.empty_like, before), *kept), scratch


def in_order(state, row_scales, s):
    """The state as the kernels take it: eight arrays in C order."""
    no_columns = cuda.cupy.empty(1, "int32")
    link, columns = state.link if s.K else (state.link, no_columns)
    fields = (state.memory, row_scales, state.usage, state.precedence, link, columns, *state[4:])
    return tuple(map(cuda.cupy.ascontiguousarray, fields))


def state_after(step, s):
    """The :class:`..memory.step.MemoryState` of t."""
    link = SparseLink(step.new_link, step.new_columns) if s.K else step.new_link
    fields = step.new_memory, step.new_usage, step.new_precedence, link
    return MemoryState(*fields, step.new_write, step.new_read)


def for_gradient(step, s, g, g_vectors):
    """A :class:`Gradient` with those of t filled."""
    *g, g_vectors = map(cuda.cupy.ascontiguousarray, (*g, g_vectors))
    blocks = step.totals.shape[1]

    def empty(*shape):
        return cuda.cupy.empty((s.B, *shape), g_vectors.dtype)

    return Gradient(
        *(*g, g_vectors),
        *(empty(s.N) for _ in range(3)),
        empty(s.R, s.N),
        cuda.cupy.empty_like(step.active),
        empty(s.R, s.N),
        empty(4 + 3 * s.R, s.N),
        empty(blocks, interface.size(s.W, s.R) + s.R + 4),
        empty(0 if s.K else s.R, s.N),
        empty(2, 0 if s.K else blocks, s.N),
        empty(s.K, s.K),
    )


def state_gradient(gradient):
    """The gradient of the state of t - 1, and that of the interface vector."""
    fields = gradient.g_memory, gradient.g_usage, gradient.g_precedence, gradient.g_link
    return MemoryState(*fields, gradient.g_write, gradient.g_read), gradient.g_xi
