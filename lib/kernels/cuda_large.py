"""``memory/step.py`` in CUDA C++ for large memories: several blocks of threads a sequence.

Blocks wait for each other at the ends of launches alone, so each phase of a step is one. What is
summed over the locations goes on as a number of each block. The library sorts.
"""

from chainer.backends import cuda

from ..memory import heads, linkage
from ..memory.sorting import stable_argsort
from .cuda_arrays import for_gradient, for_step, shape_of, state_after, state_gradient
from .cuda_source import launch
from .cuda_step import CudaTrace

THREADS = 256
LEAST_LOCATIONS = 64  # of a block: a batch of 1 is to reach most of a GPU
MOST_BLOCKS = 128  # of a sequence


def blocks_for(N):
    """How many blocks work on a sequence; each has some locations."""
    each = max(LEAST_LOCATIONS, -(-N // MOST_BLOCKS))
    return -(-N // each)


def phases(s, arrays, blocks):
    """A function that launches a phase by name, with more arrays, and room for some numbers."""
    grid, dtype = (s.B, blocks), arrays[0].dtype

    def run(phase, *more, numbers=0):
        shared = numbers * dtype.itemsize
        launch(f"dnc_{phase}", grid, THREADS, arrays, s.as_arguments, dtype, more, shared)

    return run


def step(state, row_scales, xi):
    """See :func:`..memory.step.step`."""
    s, blocks = shape_of(state), blocks_for(state.usage.shape[1])
    arrays, scratch = for_step(state, row_scales, xi, blocks)
    run = phases(s, (*arrays, *scratch), blocks)
    run("activate")
    run("look")
    run("multiply_usages", stable_argsort(arrays.new_usage), numbers=2 * THREADS)
    run("allocate", numbers=2 * THREADS)
    descending = cuda.cupy.empty((2, s.B, s.N if s.K else 0), xi.dtype)
    run("write", descending, numbers=THREADS // 32)
    if s.K:
        run("link_sparse", stable_argsort(descending), numbers=2 * s.K)
    else:
        run("link_dense")
        backward = linkage.backward_weighting(arrays.new_link, arrays.read)
        arrays = arrays._replace(backward=backward)
        run = phases(s, (*arrays, *scratch), blocks)
    run("weigh")
    vectors = heads.read(arrays.new_memory, arrays.new_read).reshape(s.B, s.R * s.W)
    return state_after(arrays, s), vectors, CudaTrace(s, arrays, arrays.new_scales)


def step_backward(trace, g, g_read_vectors):
    """See :func:`..memory.step.step_backward`."""
    s, blocks = trace.shape, trace.step.totals.shape[1]
    gradient = for_gradient(trace.step, s, g, g_read_vectors)
    run = phases(s, (*trace.step, *gradient), blocks)
    run("weigh_backward", numbers=THREADS // 32)
    run("link_backward")
    if not s.K:
        followed = linkage.backward_weighting(trace.step.new_link, gradient.g_forward)
        run = phases(s, (*trace.step, *gradient._replace(followed=followed)), blocks)
    run("write_backward", numbers=THREADS // 32)
    run("look_backward", numbers=2 * THREADS)
    run("allocate_backward", numbers=2 * THREADS)
    run("usage_backward")
    run("activate_backward")
    return state_gradient(gradient)
