"""What the loops do with vectors and with the rows of matrices.

A number is loaded into a variable before a loop that stores something, and a matrix is indexed
rather than cut into rows: else LLVM must take it that the one changes the other, and looks how far
apart they lie before each row.
"""

import math

import numpy as np

from .compiled import inlined, summing

SMALLEST = np.finfo(np.float64).tiny
# Rows of a memory that several loops go through one after the other: they stay in the cache.
BLOCK = 64


@summing
def dot(x, y):
    """Σ x y."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@summing
def triple(x, y, z):
    """Σ x y z."""
    sum_ = x.dtype.type(0)
    for i in range(x.size):
        sum_ += x[i] * y[i] * z[i]
    return sum_


@summing
def total(x):
    """Σ x."""
    sum_ = x.dtype.type(0)
    for i in range(x.size):
        sum_ += x[i]
    return sum_


@summing
def squared_length(x):
    """|x|² in float64, in which the square of no normal float32 overflows or vanishes."""
    total = 0.0
    for i in range(x.size):
        total += np.float64(x[i]) * np.float64(x[i])
    return total


@inlined
def inverse_lengths(rows, tiny, scales):
    """1 / |v| of each row (N, W), 0 for a zero row; see ``content.inverse_norms``."""
    one = rows.dtype.type(1)
    odd = 0
    for i in range(rows.shape[0]):
        scales[i] = dot(rows[i], rows[i])
    for i in range(rows.shape[0]):
        usual = tiny <= scales[i] < np.inf
        scales[i] = one / math.sqrt(scales[i]) if usual else -one
        odd += not usual
    if odd > 0:
        wide_inverse_lengths(rows, tiny, scales)


@inlined
def wide_inverse_lengths(rows, tiny, scales):
    """The same for the rows whose squared length is no normal number: those marked by -1."""
    least = max(np.float64(tiny) * np.float64(tiny), SMALLEST)
    for i in range(rows.shape[0]):
        if scales[i] == -1:
            squared = squared_length(rows[i])
            length = math.sqrt(squared)
            scales[i] = 0 if squared < least else rows.dtype.type(1.0 / length)


@inlined
def unit_keys(keys, tiny):
    """Keys (H, W) divided by their length, 0 for a zero key; and the inverse lengths (H,)."""
    unit, scales = np.empty_like(keys), np.empty(keys.shape[0], keys.dtype)
    inverse_lengths(keys, tiny, scales)
    for h in range(keys.shape[0]):
        scale = scales[h]
        for w in range(keys.shape[1]):
            unit[h, w] = keys[h, w] * scale
    return unit, scales


@inlined
def add_rows(coefficients, rows, sums):
    """Add Σ_i c[h, i] rows[i] to each of ``sums`` (H, W), for coefficients (H, N), rows (N, W).

    Four at a time: what they are added to is loaded and stored less often.
    """
    N = rows.shape[0]
    whole = N // 4 * 4
    for i in range(0, whole, 4):
        for h in range(sums.shape[0]):
            a, b = coefficients[h, i], coefficients[h, i + 1]
            c, d = coefficients[h, i + 2], coefficients[h, i + 3]
            for w in range(sums.shape[1]):
                first = a * rows[i, w] + b * rows[i + 1, w]
                sums[h, w] += first + (c * rows[i + 2, w] + d * rows[i + 3, w])
    for i in range(whole, N):
        for h in range(sums.shape[0]):
            a = coefficients[h, i]
            for w in range(sums.shape[1]):
                sums[h, w] += a * rows[i, w]


@inlined
def add_dots(vectors, rows, sums):
    """Add vectors[h] · rows[i] to ``sums`` (H, N), for vectors (H, W) and rows (N, W)."""
    for i in range(rows.shape[0]):
        for h in range(vectors.shape[0]):
            sums[h, i] += dot(vectors[h], rows[i])


@inlined
def add_to_rows(coefficients, vectors, rows):
    """Add Σ_h c[h, i] vectors[h] to each of the rows (N, W), for c (H, N) and vectors (H, W)."""
    H = vectors.shape[0]
    whole = H // 4 * 4
    for i in range(rows.shape[0]):
        for h in range(0, whole, 4):
            a, b = coefficients[h, i], coefficients[h + 1, i]
            c, d = coefficients[h + 2, i], coefficients[h + 3, i]
            for w in range(rows.shape[1]):
                first = a * vectors[h, w] + b * vectors[h + 1, w]
                rows[i, w] += first + (c * vectors[h + 2, w] + d * vectors[h + 3, w])
        for h in range(whole, H):
            a = coefficients[h, i]
            for w in range(rows.shape[1]):
                rows[i, w] += a * vectors[h, w]
