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
def four_dots(a, b, c, d, x):
    """Σ a x, Σ b x, Σ c x and Σ d x."""
    sum_a = sum_b = sum_c = sum_d = x.dtype.type(0)
    for i in range(x.size):
        sum_a += a[i] * x[i]
        sum_b += b[i] * x[i]
        sum_c += c[i] * x[i]
        sum_d += d[i] * x[i]
    return sum_a, sum_b, sum_c, sum_d


@summing
def eight_dots(a, b, c, d, x, y):
    """What ``four_dots`` gives for x, and for y."""
    ax = bx = cx = dx = x.dtype.type(0)
    ay = by = cy = dy = x.dtype.type(0)
    for i in range(x.size):
        ax += a[i] * x[i]
        bx += b[i] * x[i]
        cx += c[i] * x[i]
        dx += d[i] * x[i]
        ay += a[i] * y[i]
        by += b[i] * y[i]
        cy += c[i] * y[i]
        dy += d[i] * y[i]
    return (ax, bx, cx, dx), (ay, by, cy, dy)


@summing
def dots_of_eight(a, b, c, d, e, f, g, h, x):
    """Σ a x to Σ h x, added up in the order of ``eight_dots``."""
    ax = bx = cx = dx = x.dtype.type(0)
    ex = fx = gx = hx = x.dtype.type(0)
    for i in range(x.size):
        ax += a[i] * x[i]
        bx += b[i] * x[i]
        cx += c[i] * x[i]
        dx += d[i] * x[i]
        ex += e[i] * x[i]
        fx += f[i] * x[i]
        gx += g[i] * x[i]
        hx += h[i] * x[i]
    return (ax, bx, cx, dx), (ex, fx, gx, hx)


@summing
def dot_of_difference(x, a, b):
    """Σ x (a - b)."""
    sum_ = x.dtype.type(0)
    for i in range(x.size):
        sum_ += x[i] * (a[i] - b[i])
    return sum_


@summing
def dot_with_difference(x, a, b, c):
    """Σ x (a - b c)."""
    sum_ = x.dtype.type(0)
    for i in range(x.size):
        sum_ += x[i] * (a[i] - b[i] * c[i])
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
    """1 / |v| of each row (N, W), 0 for a zero row; see ``lib/arrays.py``."""
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

    Eight at a time: what they are added to is loaded and stored less often.
    """
    N = rows.shape[0]
    whole = N // 8 * 8
    for i in range(0, whole, 8):
        for k in range(sums.shape[0]):
            a, b = coefficients[k, i], coefficients[k, i + 1]
            c, d = coefficients[k, i + 2], coefficients[k, i + 3]
            e, f = coefficients[k, i + 4], coefficients[k, i + 5]
            g, h = coefficients[k, i + 6], coefficients[k, i + 7]
            for w in range(sums.shape[1]):
                first = a * rows[i, w] + b * rows[i + 1, w]
                second = c * rows[i + 2, w] + d * rows[i + 3, w]
                third = e * rows[i + 4, w] + f * rows[i + 5, w]
                fourth = g * rows[i + 6, w] + h * rows[i + 7, w]
                sums[k, w] += (first + second) + (third + fourth)
    for i in range(whole, N):
        for h in range(sums.shape[0]):
            a = coefficients[h, i]
            for w in range(sums.shape[1]):
                sums[h, w] += a * rows[i, w]


@inlined
def subtract_products(c, x, y, sums):
    """Subtract Σ_i c[i] x[i] y[i] from ``sums`` (W,), for c (N,) and x, y (N, W).

    Four rows at a time.
    """
    N = x.shape[0]
    whole = N // 4 * 4
    for i in range(0, whole, 4):
        a, b, d, e = c[i], c[i + 1], c[i + 2], c[i + 3]
        for w in range(sums.size):
            first = a * (x[i, w] * y[i, w]) + b * (x[i + 1, w] * y[i + 1, w])
            second = d * (x[i + 2, w] * y[i + 2, w]) + e * (x[i + 3, w] * y[i + 3, w])
            sums[w] -= first + second
    for i in range(whole, N):
        a = c[i]
        for w in range(sums.size):
            sums[w] -= a * (x[i, w] * y[i, w])


@inlined
def add_dots(vectors, rows, sums):
    """Add vectors[h] · rows[i] to ``sums`` (H, N), for vectors (H, W) and rows (N, W)."""
    H = vectors.shape[0]
    whole = H // 4 * 4
    for i in range(rows.shape[0]):
        for h in range(0, whole, 4):
            a, b, c, d = four_dots(
                vectors[h], vectors[h + 1], vectors[h + 2], vectors[h + 3], rows[i]
            )
            sums[h, i] += a
            sums[h + 1, i] += b
            sums[h + 2, i] += c
            sums[h + 3, i] += d
        for h in range(whole, H):
            sums[h, i] += dot(vectors[h], rows[i])


@inlined
def add_to_rows(x, y, u, v, rows):
    """Add Σ_k x[k, i] u[k] + y[k, i] v[k] to each of the rows (N, W), for x (H, N) and u (H, W)."""
    H = u.shape[0]
    whole = H // 4 * 4
    for i in range(rows.shape[0]):
        for k in range(0, whole, 4):
            a, b, c, d = x[k, i], x[k + 1, i], x[k + 2, i], x[k + 3, i]
            e, f, g, h = y[k, i], y[k + 1, i], y[k + 2, i], y[k + 3, i]
            for w in range(rows.shape[1]):
                first = (a * u[k, w] + b * u[k + 1, w]) + (c * u[k + 2, w] + d * u[k + 3, w])
                second = (e * v[k, w] + f * v[k + 1, w]) + (g * v[k + 2, w] + h * v[k + 3, w])
                rows[i, w] += first + second
        for k in range(whole, H):
            a, e = x[k, i], y[k, i]
            for w in range(rows.shape[1]):
                rows[i, w] += a * u[k, w] + e * v[k, w]
