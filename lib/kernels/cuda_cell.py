"""``memory/cell.py`` in CUDA C++, one launch each: for CuPy arrays."""

from chainer.backends import cuda

from ..memory.cell import CellTrace
from .cuda_source import launch

THREADS = 128


def cell(c, z):
    """See :func:`..memory.cell.cell`."""
    c, z = map(cuda.cupy.ascontiguousarray, (c, z.reshape(*c.shape, 4)))
    gates = cuda.cupy.empty((*c.shape, 4), c.dtype)
    new, h, squashed = (cuda.cupy.empty_like(c) for _ in range(3))
    run("dnc_cell", (c, z, gates, new, h, squashed), c)
    return new, h, CellTrace(gates, c, squashed)


def cell_backward(trace, g_c, g_h):
    """See :func:`..memory.cell.cell_backward`."""
    g_c, g_h = map(cuda.cupy.ascontiguousarray, (g_c, g_h))
    g_before = cuda.cupy.empty_like(g_c)
    g_z = cuda.cupy.empty((len(g_c), 4 * g_c.shape[1]), g_c.dtype)
    run("dnc_cell_backward", (*trace, g_c, g_h, g_before, g_z), g_c)
    return g_before, g_z


def run(name, arrays, c):
    """A thread for each unit of each sequence."""
    launch(name, (-(-c.size // THREADS),), THREADS, arrays, (c.size,), c.dtype)
