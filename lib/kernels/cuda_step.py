"""``memory/step.py`` in CUDA C++, one launch each: for CuPy arrays.

A block of threads works on a sequence. The sorts are in shared memory, so N has a limit:
``cuda_large`` is for more.
"""

from typing import Any, NamedTuple

from chainer.backends import cuda

from .cuda_arrays import Shape, Step, for_gradient, for_step, shape_of, state_after, state_gradient
from .cuda_source import launch

SHARED_MEMORY = 48 * 1024  # bytes that every GPU gives to a block
MOST_LOCATIONS = {4: 4096, 8: 2048}  # for which that is enough, by the bytes of a number


class CudaTrace(NamedTuple):
    """What the gradient of one step needs, as the kernels take it."""

    shape: Shape
    step: Step
    row_scales: Any  # 1 / |M_t[i]| (B, N)


def threads(N):
    """How many work on one sequence."""
    return 128 if N <= 128 else 512


def room_to_sort(N):
    """The next power of two, at least 2."""
    return max(2, 1 << (N - 1).bit_length())


def shared_memory(N, K, itemsize):
    """Bytes that a block needs, forward and backward."""
    P, scan = room_to_sort(N), 2 * threads(N)
    return (P + scan) * itemsize + 4 * (P + 2 * K), scan * itemsize


def fits(N, itemsize):
    """Whether a block has room for a sequence of this size; K has its limit elsewhere."""
    return N <= MOST_LOCATIONS[itemsize]


def step(state, row_scales, xi):
    """See :func:`..memory.step.step`."""
    s = shape_of(state)
    arrays, scratch = for_step(state, row_scales, xi, blocks=1)
    vectors = cuda.cupy.empty((s.B, s.R * s.W), xi.dtype)
    grid, arguments = (s.B,), (*arrays, *scratch)
    sizes = *s.as_arguments, room_to_sort(s.N)
    shared = shared_memory(s.N, s.K, xi.dtype.itemsize)[0]
    launch("dnc_step", grid, threads(s.N), arguments, sizes, xi.dtype, (vectors,), shared)
    return state_after(arrays, s), vectors, CudaTrace(s, arrays, arrays.new_scales)


def step_backward(trace, g, g_read_vectors):
    """See :func:`..memory.step.step_backward`."""
    s, dtype = trace.shape, g_read_vectors.dtype
    gradient = for_gradient(trace.step, s, g, g_read_vectors)
    grid, arrays = (s.B,), (*trace.step, *gradient)
    shared = shared_memory(s.N, s.K, dtype.itemsize)[1]
    sizes = s.as_arguments
    launch("dnc_step_backward", grid, threads(s.N), arrays, sizes, dtype, shared=shared)
    return state_gradient(gradient)
