"""One memory step of one sequence as loops: ``memory/step.py``, whose equations these are.

N locations, W word width, R read heads, K entries kept per row of a sparse link matrix.
"""

import math

from .allocation import allocate, update_usage
from .compiled import inlined, pasted
from .exponentials import exponentiate
from .links import update_link
from .vectors import BLOCK, add_rows, dot, four_dots, inverse_lengths, total, unit_keys


@inlined
def activate(xi, at, R, W, out):
    """The interface vector, activated, in its own layout; ``at`` are the starts of its parts."""
    one = xi.dtype.type(1)
    for k in range(xi.size):
        out[k] = xi[k]
    for k in range(at[1], at[1] + R):
        out[k] = oneplus(xi[k], one)
    out[at[3]] = oneplus(xi[at[3]], one)
    for k in range(at[4], at[4] + W):
        out[k] = one / (one + math.exp(-xi[k]))
    for k in range(at[6], at[9]):
        out[k] = one / (one + math.exp(-xi[k]))
    for r in range(R):
        softmax(out[at[9] + 3 * r : at[9] + 3 * r + 3])


@inlined
def oneplus(x, one):
    """1 + log(1 + e^x) without overflow."""
    return one + max(x, one - one) + math.log(one + math.exp(-abs(x)))


@inlined
def softmax(x):
    """Softmax in place."""
    exponentiate(x, x.max())
    scale = x.dtype.type(1) / total(x)
    for i in range(x.size):
        x[i] *= scale


@inlined
def weighting(similarity, strengths, weights):
    """Softmax of β cos over the locations, for similarity and weights (H, N)."""
    for h in range(similarity.shape[0]):
        strength = strengths[h]
        for i in range(similarity.shape[1]):
            weights[h, i] = strength * similarity[h, i]
        softmax(weights[h])


@inlined
def write_weighting(i, at, similarity, content, w):
    """Turns the allocation weighting ``w`` (N,) into w^w_t, by the similarities (1, N)."""
    one = w.dtype.type(1)
    weighting(similarity, i[at[3] : at[4]], content)
    g_a, g_w = i[at[7]], i[at[8]]
    for n in range(w.size):
        w[n] = g_w * (g_a * w[n] + (one - g_a) * content[0, n])


@inlined
def read_weighting(i, at, similarity, content, directions, new):
    """w^r_t (R, N) from f and b (2, R, N) and the similarities (R, N)."""
    weighting(similarity, i[at[1] : at[2]], content)
    for r in range(new.shape[0]):
        m = at[9] + 3 * r
        b, c, f = i[m], i[m + 1], i[m + 2]
        for n in range(new.shape[1]):
            new[r, n] = b * directions[1, r, n] + c * content[r, n] + f * directions[0, r, n]


@inlined
def update_precedence(precedence, w, new):
    """p_t (N,)."""
    rest = w.dtype.type(1) - total(w)
    for n in range(w.size):
        new[n] = rest * precedence[n] + w[n]


@inlined
def look_up(memory, row_scales, unit, similarity):
    """Cosine similarity (H, N) of the rows of the memory and unit keys (H, W)."""
    H = unit.shape[0]
    whole = H // 4 * 4
    for i in range(memory.shape[0]):
        scale = row_scales[i]
        for h in range(0, whole, 4):
            a, b, c, d = four_dots(unit[h], unit[h + 1], unit[h + 2], unit[h + 3], memory[i])
            similarity[h, i], similarity[h + 1, i] = a * scale, b * scale
            similarity[h + 2, i], similarity[h + 3, i] = c * scale, d * scale
        for h in range(whole, H):
            similarity[h, i] = dot(memory[i], unit[h]) * scale


@inlined
def write(memory, weights, erase, vector, tiny, new, scales):
    """M_t and the inverse lengths of its rows, in blocks that stay in the cache."""
    N = memory.shape[0]
    for start in range(0, N, BLOCK):
        rows = slice(start, min(start + BLOCK, N))
        write_rows(memory[rows], weights[rows], erase, vector, new[rows])
        inverse_lengths(new[rows], tiny, scales[rows])


@inlined
def write_rows(memory, weights, erase, vector, new):
    """Some rows of M_t."""
    one = memory.dtype.type(1)
    for i in range(memory.shape[0]):
        weight = weights[i]
        for w in range(memory.shape[1]):
            new[i, w] = memory[i, w] * (one - weight * erase[w]) + weight * vector[w]


@pasted
def step(before, after, trace, xi, vectors, at, tiny):
    """A memory step.

    Args:
        before: of t - 1, M (N, W), inverse lengths of its rows (N,), u, p (N,), L (N, N) or the
            values of L̂ (N, K), columns of L̂ (N, K) or None where the link is dense, w^w (N,) and
            w^r (R, N).
        after: the same of t, to be filled.
        trace: for the gradient, to be filled: the activated interface vector (size,), the order of
            allocation (N,) and its length (1,), content weights and similarities (1 + R, N) of
            writing and reading, f and b (2, R, N), and the link entries kept (K, 2 + 2K).
        xi: interface vector (size,).
        vectors: the read vectors (R, W), to be filled.
        at: where the parts of the interface vector start.
        tiny: the smallest normal number of the dtype.
    """
    memory, row_scales, usage, precedence, link, columns, write_weights, read_weights = before
    new_memory, scales, new_usage, new_precedence, new_link, new_columns, w, new_read = after
    i, order, count, content, similarity, directions, kept = trace
    W, R = memory.shape[1], read_weights.shape[0]
    activate(xi, at, R, W, i)
    update_usage(usage, write_weights, read_weights, i[at[6] : at[7]], new_usage)
    count[0] = allocate(new_usage, w, order)
    unit, _ = unit_keys(i[at[2] : at[3]].reshape(1, W), tiny)
    look_up(memory, row_scales, unit, similarity[:1])
    write_weighting(i, at, similarity[:1], content[:1], w)
    write(memory, w, i[at[4] : at[5]], i[at[5] : at[6]], tiny, new_memory, scales)
    f, b = directions[0], directions[1]
    links = link, precedence
    update_link(columns, links, w, read_weights, new_link, new_columns, kept, f, b)
    update_precedence(precedence, w, new_precedence)
    unit, _ = unit_keys(i[: at[1]].reshape(R, W), tiny)
    look_up(new_memory, scales, unit, similarity[1:])
    read_weighting(i, at, similarity[1:], content[1:], directions, new_read)
    vectors[:] = 0
    add_rows(new_read, new_memory, vectors)
