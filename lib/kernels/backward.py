"""The gradient of one memory step of one sequence as loops: ``memory/step.py``.

N locations, W word width, R read heads, K entries kept per row of a sparse link matrix.
"""

import math

import numpy as np

from .allocation import allocating, allocation, using
from .compiled import inlined, pasted
from .links import links_backward
from .vectors import (
    BLOCK,
    add_dots,
    add_rows,
    add_to_rows,
    dot,
    dot_with_difference,
    subtract_products,
    total,
    unit_keys,
)


@inlined
def reading_modes(modes, sources, g_weights, g_modes, g_sources):
    """Gradients of the modes of one head, before their softmax, and of what they mix (3, N)."""
    mixed = modes.dtype.type(0)
    for m in range(3):
        g_modes[m] = dot(g_weights, sources[m])
        mixed += modes[m] * g_modes[m]
        for i in range(g_weights.size):
            g_sources[m][i] = modes[m] * g_weights[i]
    for m in range(3):
        g_modes[m] = modes[m] * (g_modes[m] - mixed)


@inlined
def squared_scales(scales, tiny):
    """The squares of the rows' scales (N,) as two factors, of which the second is 1 but for a few.

    These are scales so large or small that their square would not be a number, or 0. The one goes
    with the coefficient of a row, the other with the row, which is as small or large.
    """
    one = scales.dtype.type(1)
    squares, rest = np.empty_like(scales), np.empty_like(scales)
    for i in range(scales.size):
        squares[i], rest[i] = scales[i] * scales[i], one
        if not tiny <= squares[i] < np.inf:
            squares[i], rest[i] = scales[i], scales[i]
    return squares, rest


@inlined
def looking_up(weights, similarity, strength, row_scales, squares, g_weights, row_radial):
    """The gradient of one content weighting (N,) as far as it needs no row of the memory.

    Turns ``g_weights`` into the coefficients of the unit key in the gradient of each row, and adds
    to ``row_radial`` those of the row itself, by way of the ``squares`` of :func:`squared_scales`.

    Returns:
        The gradient of the strength before its oneplus, and the coefficient of the unit key in its
        own gradient.
    """
    mean = dot(g_weights, weights)
    for i in range(weights.size):
        g_weights[i] = weights[i] * (g_weights[i] - mean)
    g_strength = dot(g_weights, similarity)
    for i in range(weights.size):
        g_score = strength * g_weights[i]
        row_radial[i] += (g_score * similarity[i]) * squares[i]
        g_weights[i] = g_score * row_scales[i]
    one = weights.dtype.type(1)
    return g_strength * (one - math.exp(one - strength)), strength * g_strength


@inlined
def precedences(precedence, write_weights, g_new, g_old, g_write):
    """Gradient of p_{t-1}; adds to that of w^w_t."""
    kept, g_kept = precedence.dtype.type(1) - total(write_weights), dot(g_new, precedence)
    for i in range(precedence.size):
        g_old[i] = kept * g_new[i]
        g_write[i] += g_new[i] - g_kept


@inlined
def writing(rows, g, g_w, g_e, g_v, g_k):
    """Adds to ``g`` the gradient of M_t (N, W) by way of reading.

    Adds to the gradients of w^w_t (N,), erase and write vector (W,), and of the read keys (R, W) as
    far as they need the rows of the memory.
    """
    before, after, w, e, v, reads, g_reads, units, g_looked, radial, rest = rows
    N, W = before.shape
    weights, g_vector = w.reshape(1, N), g_v.reshape(1, W)
    for start in range(0, N, BLOCK):
        some = slice(start, min(start + BLOCK, N))
        g_rows = g[some]
        subtract_rows(radial[some], rest[some], after[some], g_rows)
        add_to_rows(reads[:, some], g_looked[:, some], g_reads, units, g_rows)
        add_rows(g_looked[:, some], after[some], g_k)
        add_rows(weights[:, some], g_rows, g_vector)
        erasing(before[some], w[some], e, v, g_rows, g_w[some], g_e)


@inlined
def erasing(before, w, e, v, g, g_w, g_e):
    """Adds to the gradients of w^w_t (N,) and of the erase vector (W,) from that of M_t (N, W)."""
    for i in range(g.shape[0]):
        g_w[i] += dot_with_difference(g[i], v, e, before[i])
    subtract_products(w, before, g, g_e)


@inlined
def subtract_rows(radial, rest, memory, g):
    """Subtracts from the gradient of each row its coefficient times the row."""
    for i in range(g.shape[0]):
        coefficient, other = radial[i], rest[i]
        for w in range(g.shape[1]):
            g[i, w] -= coefficient * memory[i, w] * other


@inlined
def looking_at_rows(memory, w, e, unit, g_looked, radial, rest, g, g_key):
    """Turns ``g``, the gradient of M_t (N, W), into that of M_{t-1}, with the write's look-up.

    Adds to that of the write key (W,).
    """
    N, W = memory.shape
    one = memory.dtype.type(1)
    coefficients, g_keys = g_looked.reshape(1, N), g_key.reshape(1, W)
    for i in range(N):
        weight, along, coefficient, other = w[i], g_looked[i], radial[i], rest[i]
        for c in range(W):
            looked = along * unit[c] - coefficient * memory[i, c] * other
            g[i, c] = g[i, c] * (one - weight * e[c]) + looked
    add_rows(coefficients, memory, g_keys)


@inlined
def reading(i, at, content, similarity, directions, row_scales, g_weights, g_i, tiny):
    """Gradients by way of the read vectors, as far as they need no row of the memory.

    Fills the gradients of read modes and strengths in ``g_i``; ``g_weights`` (R, N) is that of the
    read weights.

    Returns:
        Gradients of b, of the coefficients of the unit keys, and of f (3, R, N); the unit keys
        (R, W), their scales (R,) and their own coefficients (R,); coefficients of the rows (N,),
        and the rest of them, see :func:`squared_scales`.
    """
    R, N = g_weights.shape
    g_sources = np.empty((3, R, N), row_scales.dtype)
    units, scales = unit_keys(i[: at[1]].reshape(R, at[1] // R), tiny)
    key_radial, radial = np.empty(R, row_scales.dtype), np.zeros(N, row_scales.dtype)
    squares, rest = squared_scales(row_scales, tiny)
    for r in range(R):
        modes = slice(at[9] + 3 * r, at[9] + 3 * r + 3)
        sources = (directions[1, r], content[r], directions[0, r])
        g_of_sources = (g_sources[0, r], g_sources[1, r], g_sources[2, r])
        reading_modes(i[modes], sources, g_weights[r], g_i[modes], g_of_sources)
        g_i[at[1] + r], key_radial[r] = looking_up(
            content[r], similarity[r], i[at[1] + r], row_scales, squares, g_sources[1, r], radial
        )
    return g_sources, units, scales, key_radial, radial, rest


@inlined
def gating(i, at, allocated, looked, g_w, g_i):
    """Gradients of the gates in ``g_i``.

    Returns:
        Those of the allocation weighting and of the content weighting, both (N,).
    """
    one = g_w.dtype.type(1)
    g_a, gate = i[at[7]], i[at[8]]
    g_allocated, g_looked = np.empty_like(g_w), np.empty_like(g_w)
    for n in range(g_w.size):
        g_allocated[n] = gate * g_a * g_w[n]
        g_looked[n] = gate * (one - g_a) * g_w[n]
    g_of_looked = dot(g_w, looked)
    g_difference = dot(g_w, allocated) - g_of_looked
    g_mixed = g_of_looked + g_a * g_difference
    g_i[at[7]] = gate * g_difference * g_a * (one - g_a)
    g_i[at[8]] = g_mixed * gate * (one - gate)
    return g_allocated, g_looked


@inlined
def looking(i, at, row_scales, content, similarity, g_looked, g_i, tiny):
    """``reading`` for the write's look-up: fills the gradient of its strength in ``g_i``.

    Turns ``g_looked`` (N,), the gradient of the content weighting, into the coefficients of the
    unit key.

    Returns:
        The unit key (1, W), its scale (1,) and its own coefficient; coefficients of the rows (N,),
        and the rest of them.
    """
    radial = np.zeros_like(row_scales)
    unit, scales = unit_keys(i[at[2] : at[3]].reshape(1, at[3] - at[2]), tiny)
    squares, rest = squared_scales(row_scales, tiny)
    g_i[at[3]], key_radial = looking_up(
        content, similarity, i[at[3]], row_scales, squares, g_looked, radial
    )
    return unit, scales, key_radial, radial, rest


@inlined
def finish_key(g_key, unit, radial, scale):
    """Turn the sum over the rows into the gradient of a key (W,)."""
    for w in range(g_key.size):
        g_key[w] = (g_key[w] - radial * unit[w]) * scale


@inlined
def finish_writing(e, units, key_radial, scales, g_e, g_keys):
    """Turn sums over the rows into the gradients of erase vector (W,) and read keys (R, W)."""
    one = e.dtype.type(1)
    for c in range(e.size):
        g_e[c] *= e[c] * (one - e[c])
    for r in range(g_keys.shape[0]):
        finish_key(g_keys[r], units[r], key_radial[r], scales[r])


@pasted
def step_backward(before, after, trace, g_after, g_reads, g_before, g_xi, at, tiny):
    """The gradient of a memory step.

    Args:
        before: of t - 1, as ``forward.step`` takes it.
        after: of t, as ``forward.step`` has filled it.
        trace: as ``forward.step`` has filled it.
        g_after: gradients of memory, usage, precedence, link, write and read weights of t. Those of
            memory and link become those of t - 1.
        g_reads: gradient of the read vectors (R, W).
        g_before: gradients of usage, precedence, write and read weights of t - 1, to be filled.
        g_xi: gradient of the interface vector (size,), zeros to be filled.
        at: where the parts of the interface vector start.
        tiny: the smallest normal number of the dtype.
    """
    memory, row_scales, usage, precedence, link, columns, write_weights, read_weights = before
    new_memory, new_scales, new_usage, _, new_link, new_columns, w, new_read = after
    i, order, count, content, similarity, directions, kept = trace
    g_memory, g_new_usage, g_new_precedence, g_link, g_new_write, g_new_read = g_after
    g_usage, g_precedence, g_write, g_read = g_before
    N, W = memory.shape
    g_weights = g_new_read.copy()
    add_dots(g_reads, new_memory, g_weights)
    g_sources, units, scales, key_radial, radial, rest = reading(
        i, at, content[1:], similarity[1:], directions, new_scales, g_weights, g_xi, tiny
    )

    g_w = g_new_write.copy()
    g_read[:] = 0
    precedences(precedence, w, g_new_precedence, g_precedence, g_w)
    g_f, g_b, r = g_sources[2], g_sources[0], read_weights
    links = link, new_link, new_columns, kept, precedence, w, r
    links_backward(columns, links, g_f, g_b, g_link, g_precedence, g_w, g_read)

    e, v = i[at[4] : at[5]], i[at[5] : at[6]]
    g_e, g_v = g_xi[at[4] : at[5]], g_xi[at[5] : at[6]]
    g_keys = g_xi[: at[1]].reshape(units.shape)
    looked = g_sources[1], radial, rest
    rows = (memory, new_memory, w, e, v, new_read, g_reads, units) + looked
    writing(rows, g_memory, g_w, g_e, g_v, g_keys)
    finish_writing(e, units, key_radial, scales, g_e, g_keys)

    taken = order[: count[0]]
    allocated, products = np.empty(N, memory.dtype), np.empty(N, memory.dtype)
    allocation(new_usage, taken, allocated, products)
    g_allocated, g_looked = gating(i, at, allocated, content[0], g_w, g_xi)
    unit, scales, unit_radial, radial, rest = looking(
        i, at, row_scales, content[0], similarity[0], g_looked, g_xi, tiny
    )
    g_key = g_xi[at[2] : at[3]]
    looking_at_rows(memory, w, e, unit[0], g_looked, radial, rest, g_memory, g_key)
    finish_key(g_key, unit[0], unit_radial, scales[0])
    g_u = g_new_usage.copy()
    allocating(new_usage, taken, products, g_allocated, g_u)
    free = i[at[6] : at[7]]
    using(usage, write_weights, r, free, g_u, g_usage, g_write, g_read, g_xi[at[6] : at[7]])
