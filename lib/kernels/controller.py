"""The controller of one step as loops: products with its weights, its cell, what it is fed.

The equations of ``memory/cell.py`` and ``memory/bounds.py``. In the products a row of weights is
used for all sequences while it is at hand.
"""

import math

import numpy as np

from .compiled import inlined
from .exponentials import squash, within
from .vectors import dot, dots_of_eight, eight_dots, squared_length

# Sequences whose products are formed at once, in a batch of so many or more. They add up in the
# same order as alone, and to be sure of it each thread's part of a batch begins with a group.
GROUP = 2
SMALLEST_GROUPED = 8


@inlined
def in_groups(n, B):
    """How many of n sequences, of a batch of B, stand in whole groups."""
    return n // GROUP * GROUP if B >= SMALLEST_GROUPED else 0


@inlined
def add_products(W, x, grouped, out):
    """Add W x to ``out``, for x (B, I) and out (B, O), by the last I columns of W.

    Four rows of W at a time for a group of the first ``grouped`` sequences, eight for each of the
    others: what is at hand is used more often than it is loaded.
    """
    start = W.shape[1] - x.shape[1]
    whole = W.shape[0] // 8 * 8
    if grouped > 0:
        for i in range(0, whole, 4):
            for b in range(0, grouped, GROUP):
                first, second = eight_dots(
                    W[i, start:], W[i + 1, start:], W[i + 2, start:], W[i + 3, start:],
                    x[b], x[b + 1],
                )  # fmt: skip
                add_four(first, i, out[b])
                add_four(second, i, out[b + 1])
    for i in range(0, whole, 8):
        for b in range(grouped, x.shape[0]):
            first, second = dots_of_eight(
                W[i, start:], W[i + 1, start:], W[i + 2, start:], W[i + 3, start:],
                W[i + 4, start:], W[i + 5, start:], W[i + 6, start:], W[i + 7, start:], x[b],
            )  # fmt: skip
            add_four(first, i, out[b])
            add_four(second, i + 4, out[b])
    for i in range(whole, W.shape[0]):
        for b in range(x.shape[0]):
            out[b, i] += dot(W[i, start:], x[b])


@inlined
def add_four(sums, i, out):
    """Add four sums from i on."""
    out[i] += sums[0]
    out[i + 1] += sums[1]
    out[i + 2] += sums[2]
    out[i + 3] += sums[3]


@inlined
def add_products_backward(W, g, g_x):
    """Add Wᵀ g to ``g_x``, for g (B, O) and g_x (B, I), by the last I columns of W.

    Eight rows of W at a time: what they are added to is loaded and stored less often.
    """
    start = max(W.shape[1] - g_x.shape[1], 0)  # LLVM does not know
    whole = W.shape[0] // 8 * 8
    for i in range(0, whole, 8):
        for n in range(g.shape[0]):
            a, b, c, d = g[n, i], g[n, i + 1], g[n, i + 2], g[n, i + 3]
            e, f, u, v = g[n, i + 4], g[n, i + 5], g[n, i + 6], g[n, i + 7]
            for k in range(g_x.shape[1]):
                first = a * W[i, start + k] + b * W[i + 1, start + k]
                second = c * W[i + 2, start + k] + d * W[i + 3, start + k]
                third = e * W[i + 4, start + k] + f * W[i + 5, start + k]
                fourth = u * W[i + 6, start + k] + v * W[i + 7, start + k]
                g_x[n, k] += (first + second) + (third + fourth)
    for i in range(whole, W.shape[0]):
        for n in range(g.shape[0]):
            a = g[n, i]
            for k in range(g_x.shape[1]):
                g_x[n, k] += a * W[i, start + k]


@inlined
def feed(reads, bounded, fed):
    """What the controller is fed of the read vectors, both (R·W,)."""
    one = reads.dtype.type(1)
    scale = feed_scale(reads) if bounded else one
    for k in range(reads.size):
        fed[k] = reads[k] * scale


@inlined
def feed_scale(reads):
    """1 / √(1 + |r|²)."""
    one = reads.dtype.type(1)
    squared = one + dot(reads, reads)
    if squared < np.inf:
        return one / math.sqrt(squared)
    return reads.dtype.type(1.0 / math.sqrt(1.0 + squared_length(reads)))


@inlined
def feed_backward(reads, fed, bounded, g):
    """Turn the gradient of what was fed (R·W,) into that of the read vectors."""
    if bounded:
        scale, along = feed_scale(reads), dot(fed, g)
        for k in range(g.size):
            g[k] = scale * (g[k] - fed[k] * along)


@inlined
def cell(gates, c, limit, new, squashed, h):
    """c_t (H,), its tanh and h_t from c_{t-1} and the gates before activation (4H,).

    Activates the gates in place; σ(z) = (1 + tanh(z/2)) / 2. The old state is clipped to ±limit.
    """
    half = gates.dtype.type(0.5)
    for k in range(0, gates.size, 4):
        gates[k + 1] *= half
        gates[k + 2] *= half
        gates[k + 3] *= half
    squash(gates)
    for k in range(c.size):
        for g in range(4 * k + 1, 4 * k + 4):
            gates[g] = gates[g] * half + half
        new[k] = gates[4 * k] * gates[4 * k + 1] + gates[4 * k + 2] * within(c[k], limit)
    for k in range(c.size):
        squashed[k] = new[k]
    squash(squashed)
    for k in range(c.size):
        h[k] = gates[4 * k + 3] * squashed[k]


@inlined
def cell_backward(gates, c, limit, squashed, g_c, g_h, g_z):
    """Gradient of the gates before activation (4H,); turns that of c_t (H,) into that of c_{t-1}.

    The limit itself passes gradients.
    """
    one = gates.dtype.type(1)
    for k in range(c.size):
        a, i, f, o = gates[4 * k], gates[4 * k + 1], gates[4 * k + 2], gates[4 * k + 3]
        s, g = squashed[k], g_h[k]
        g_new = g_c[k] + g * o * (one - s * s)
        g_z[4 * k] = g_new * i * (one - a * a)
        g_z[4 * k + 1] = g_new * a * i * (one - i)
        g_z[4 * k + 2] = g_new * within(c[k], limit) * f * (one - f)
        g_z[4 * k + 3] = g * s * o * (one - o)
        g_c[k] = one - one if abs(c[k]) > limit else g_new * f
