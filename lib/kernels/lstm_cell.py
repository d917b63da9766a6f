"""``memory/cell.py`` as loops, compiled by Numba: the same two functions, for NumPy arrays."""

import numpy as np

from ..memory.cell import CellTrace
from .compiled import kernel


def cell(c, z):
    """See :func:`..memory.cell.cell`. Overwrites ``z``."""
    gates = z.reshape(*c.shape, 4)
    halve_sigmoids(gates)
    np.tanh(gates, out=gates)  # NumPy's is vectorised
    new = advance(gates, c)
    squashed = np.tanh(new)
    return new, gates[:, :, 3] * squashed, CellTrace(gates, c, squashed)


@kernel
def halve_sigmoids(gates):
    """Halve the gates that pass through σ(z) = (1 + tanh(z/2)) / 2."""
    half = gates.dtype.type(0.5)
    flat = gates.reshape(-1)
    for k in range(0, flat.size, 4):
        flat[k + 1] *= half
        flat[k + 2] *= half
        flat[k + 3] *= half


@kernel
def advance(gates, c):
    """Finish the sigmoids, and return c_t."""
    half = gates.dtype.type(0.5)
    new = np.empty_like(c)
    for b in range(c.shape[0]):
        for k in range(c.shape[1]):
            for g in range(1, 4):
                gates[b, k, g] = gates[b, k, g] * half + half
            new[b, k] = gates[b, k, 0] * gates[b, k, 1] + gates[b, k, 2] * c[b, k]
    return new


def cell_backward(trace, g_c, g_h):
    """See :func:`..memory.cell.cell_backward`."""
    return differentiate(trace.gates, trace.before, trace.squashed, g_c, g_h)


@kernel
def differentiate(gates, before, squashed, g_c, g_h):
    """Gradients of c_{t-1} and of the gates before activation."""
    one = gates.dtype.type(1)
    B, H = before.shape
    g_z = np.empty((B, 4 * H), gates.dtype)
    g_before = np.empty_like(before)
    for b in range(B):
        for k in range(H):
            a, i, f, o = gates[b, k, 0], gates[b, k, 1], gates[b, k, 2], gates[b, k, 3]
            s, g = squashed[b, k], g_h[b, k]
            g_new = g_c[b, k] + g * o * (one - s * s)
            g_z[b, 4 * k] = g_new * i * (one - a * a)
            g_z[b, 4 * k + 1] = g_new * a * i * (one - i)
            g_z[b, 4 * k + 2] = g_new * before[b, k] * f * (one - f)
            g_z[b, 4 * k + 3] = g * s * o * (one - o)
            g_before[b, k] = g_new * f
    return g_before, g_z
