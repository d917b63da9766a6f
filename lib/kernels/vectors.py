"""What the loops of both directions do with vectors."""

import math

import numpy as np

from .compiled import inlined, summing

SMALLEST = np.finfo(np.float64).tiny


@summing
def dot(x, y):
    """Σ x y."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@summing
def squared_length(x):
    """|x|² in float64, in which the square of no normal float32 overflows or vanishes."""
    total = 0.0
    for i in range(x.size):
        total += np.float64(x[i]) * np.float64(x[i])
    return total


@inlined
def inverse_length(x, tiny):
    """1 / |x|, 0 for a zero vector; see ``content.inverse_norms``."""
    one = x.dtype.type(1)
    squared = dot(x, x)
    if tiny <= squared < np.inf:
        return one / math.sqrt(squared)
    wide = squared_length(x)
    if wide < max(np.float64(tiny) * np.float64(tiny), SMALLEST):
        return one - one
    return x.dtype.type(1.0 / math.sqrt(wide))
