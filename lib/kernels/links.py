"""Temporal links as loops, dense and sparse, and their gradients.

``memory/linkage.py`` and ``memory/sparse_linkage.py`` have the equations. N locations, R read
heads, K entries kept per row of a sparse link matrix.
"""

import numpy as np

from .compiled import by_type, inlined, is_none
from .vectors import (
    BLOCK,
    add_dots,
    add_rows,
    add_to_rows,
    dot_of_difference,
    subtract_products,
)


@inlined
def top(x, indices):
    """The locations of the highest entries, ties to the lower location, in descending order."""
    K = indices.size
    count = 0
    for i in range(x.size):
        if count < K or x[i] > x[indices[count - 1]]:
            place = min(count, K - 1)
            while place > 0 and x[i] > x[indices[place - 1]]:
                indices[place] = indices[place - 1]
                place -= 1
            indices[place] = i
            count = min(count + 1, K)


@inlined
def link_dense(link, precedence, write_weights, read_weights, new, forward, backward):
    """L_t (N, N), and f and b (R, N), in blocks of rows that stay in the cache."""
    N = link.shape[0]
    backward[:] = 0
    for start in range(0, N, BLOCK):
        some = slice(start, min(start + BLOCK, N))
        link_rows(link[some], precedence, write_weights, write_weights[some], new[some])
        for i in range(start, min(start + BLOCK, N)):
            new[i, i] = 0
        forward[:, some] = 0
        add_dots(read_weights, new[some], forward[:, some])
        add_rows(read_weights[:, some], new[some], backward)


@inlined
def link_rows(link, precedence, write_weights, of_rows, new):
    """Some rows of L_t, but for the diagonal."""
    one = link.dtype.type(1)
    for i in range(link.shape[0]):
        kept, weight = one - of_rows[i], of_rows[i]
        for j in range(link.shape[1]):
            new[i, j] = (kept - write_weights[j]) * link[i, j] + weight * precedence[j]


@inlined
def decay_links(values, columns, write_weights, new):
    """The entries of L̂_{t-1} after a step that adds none."""
    one = values.dtype.type(1)
    for i in range(values.shape[0]):
        kept = one - write_weights[i]
        for k in range(values.shape[1]):
            j = columns[i, k]
            if values[i, k] == 0 or i == j:
                new[i, k] = one - one
            else:
                new[i, k] = (kept - write_weights[j]) * values[i, k]


@inlined
def list_candidates(values, columns, i, Q, precedence, weight, found, places):
    """The entries that row i may keep: values, and their columns and origins ``places``.

    They are its old entries, raised where their column is in Q, the other columns in Q, and the
    lowest columns, whose zeros fill a row with fewer than K entries above 0. Origins are the place
    in the old row and the place in Q, or -1.

    Returns:
        How many there are, at most 3K.
    """
    K = Q.size
    for k in range(K):
        found[k] = values[i, k]
        places[k, 0], places[k, 1], places[k, 2] = columns[i, k], k, -1
    count = K
    for q in range(K):
        added = weight * precedence[Q[q]] if Q[q] != i else weight - weight
        for k in range(K):
            if columns[i, k] == Q[q]:
                found[k] += added
                places[k, 2] = q
                break
        else:
            found[count] = added
            places[count, 0], places[count, 1], places[count, 2] = Q[q], -1, q
            count += 1
    listed = count
    for j in range(K):
        for k in range(listed):
            if places[k, 0] == j:
                break
        else:
            found[count] = weight - weight
            places[count, 0], places[count, 1], places[count, 2] = j, -1, -1
            count += 1
    return count


@inlined
def select(found, places, count, K):
    """Sort the K highest candidates to the front, ties by the lower column."""
    for k in range(K):
        best = k
        for c in range(k + 1, count):
            if found[c] > found[best] or (
                found[c] == found[best] and places[c, 0] < places[best, 0]
            ):
                best = c
        value = found[best]
        found[best] = found[k]
        found[k] = value
        for part in range(3):
            place = places[best, part]
            places[best, part] = places[k, part]
            places[k, part] = place


@inlined
def link_sparse(values, columns, precedence, write_weights, new, new_columns, kept):
    """L̂_t by rows (N, K), and which entries it kept.

    ``kept`` (K, 2 + 2K) has for each row in S: the row, its column of Q, and for each of its new
    entries the place in the old row and the place in Q, or -1.
    """
    K = values.shape[1]
    S, Q = np.empty(K, np.int32), np.empty(K, np.int32)
    top(write_weights, S)
    top(precedence, Q)
    decay_links(values, columns, write_weights, new)
    for i in range(columns.shape[0]):
        for k in range(K):
            new_columns[i, k] = columns[i, k]
    found = np.empty(3 * K, values.dtype)
    places = np.empty((3 * K, 3), np.int32)
    for s in range(K):
        i = S[s]
        weight = write_weights[i]
        count = list_candidates(new, columns, i, Q, precedence, weight, found, places)
        select(found, places, count, K)
        kept[s, 0], kept[s, 1] = i, Q[s]
        for k in range(K):
            new[i, k] = found[k]
            new_columns[i, k] = places[k, 0]
            kept[s, 2 + k] = places[k, 1]
            kept[s, 2 + K + k] = places[k, 2]


@inlined
def follow_links(values, columns, read_weights, forward, backward):
    """Compute f = L̂ w and b = L̂ᵀ w (R, N)."""
    K = values.shape[1]
    forward[:] = 0
    backward[:] = 0
    for i in range(values.shape[0]):
        used = values.dtype.type(0)
        for k in range(K):
            used += abs(values[i, k])
        if used == 0:
            continue
        for r in range(read_weights.shape[0]):
            total, read = used - used, read_weights[r, i]
            for k in range(K):
                j = columns[i, k]
                total += values[i, k] * read_weights[r, j]
                backward[r, j] += values[i, k] * read
            forward[r, i] = total


@by_type
def update_link(columns, links, w, reads, new, new_columns, kept, forward, backward):
    """L_t, f and b of the form of link that there is, from (L_{t-1}, p_{t-1})."""

    def dense(columns, links, w, reads, new, new_columns, kept, forward, backward):
        link_dense(links[0], links[1], w, reads, new, forward, backward)

    def sparse(columns, links, w, reads, new, new_columns, kept, forward, backward):
        link_sparse(links[0], columns, links[1], w, new, new_columns, kept)
        follow_links(new, new_columns, reads, forward, backward)

    return dense if is_none(columns) else sparse


@inlined
def links_dense(old, new, precedence, w, reads, g_forward, g_backward, g, g_p, g_w, g_reads):
    """Turns ``g``, the gradient of L_t (N, N), into that of L_{t-1}; adds to the others."""
    N, ones = old.shape[0], np.ones(BLOCK, old.dtype)
    for start in range(0, N, BLOCK):
        some = slice(start, min(start + BLOCK, N))
        add_to_rows(g_forward[:, some], reads[:, some], reads, g_backward, g[some])
        add_rows(g_forward[:, some], new[some], g_reads)
        add_dots(g_backward, new[some], g_reads[:, some])
        for i in range(start, min(start + BLOCK, N)):
            g[i, i] = 0
        add_rows(w.reshape(1, N)[:, some], g[some], g_p.reshape(1, N))
        decaying(old[some], precedence, w, w[some], ones, g[some], g_w, g_w[some])


@inlined
def decaying(old, precedence, w, of_rows, ones, g, g_w, g_of_rows):
    """Turns the gradient of rows of L_t into that of L_{t-1}; adds to that of w^w_t, twice."""
    one = old.dtype.type(1)
    for i in range(old.shape[0]):
        g_of_rows[i] += dot_of_difference(g[i], precedence, old[i])
    subtract_products(ones, old, g, g_w)
    for i in range(old.shape[0]):
        kept = one - of_rows[i]
        for j in range(old.shape[1]):
            g[i, j] *= kept - w[j]


@inlined
def following_links(values, columns, reads, g_forward, g_backward, g, g_reads):
    """Adds to the gradient of the values of L̂_t (N, K) and of w^r_{t-1} (R, N)."""
    K = values.shape[1]
    for i in range(values.shape[0]):
        used = values.dtype.type(0)
        for k in range(K):
            used += abs(values[i, k])
        for r in range(reads.shape[0]):
            g_f, read = g_forward[r, i], reads[r, i]
            for k in range(K):
                j = columns[i, k]
                g[i, k] += g_f * reads[r, j] + read * g_backward[r, j]
            if used != 0:
                total = used - used
                for k in range(K):
                    j = columns[i, k]
                    total += values[i, k] * g_backward[r, j]
                    g_reads[r, j] += values[i, k] * g_f
                g_reads[r, i] += total


@inlined
def links_sparse(old, columns, kept, precedence, w, g, g_p, g_w):
    """Turns ``g``, the gradient of the values of L̂_t (N, K), into that of L̂_{t-1}."""
    zero = old.dtype.type(0)
    one = old.dtype.type(1)
    K = old.shape[1]
    g_row = np.empty(K, old.dtype)
    for s in range(K):
        i = kept[s, 0]
        for k in range(K):
            g_row[k] = zero
        for k in range(K):
            place, q = kept[s, 2 + k], kept[s, 2 + K + k]
            if place >= 0:
                g_row[place] += g[i, k]
            if q >= 0 and kept[q, 1] != i:
                g_w[i] += g[i, k] * precedence[kept[q, 1]]
                g_p[kept[q, 1]] += g[i, k] * w[i]
        for k in range(K):
            g[i, k] = g_row[k]
    for i in range(old.shape[0]):
        for k in range(K):
            j = columns[i, k]
            if j == i:
                g[i, k] = zero
                continue
            if old[i, k] != 0:
                g_old = g[i, k] * old[i, k]
                g_w[i] -= g_old
                g_w[j] -= g_old
            g[i, k] *= one - w[i] - w[j]


@by_type
def links_backward(columns, links, g_f, g_b, g, g_p, g_w, g_reads):
    """Turns ``g``, the gradient of the form of L_t that there is, into that of L_{t-1}.

    Adds to the others.
    """

    def dense(columns, links, g_f, g_b, g, g_p, g_w, g_reads):
        link, new, _, _, precedence, w, reads = links
        links_dense(link, new, precedence, w, reads, g_f, g_b, g, g_p, g_w, g_reads)

    def sparse(columns, links, g_f, g_b, g, g_p, g_w, g_reads):
        link, new, new_columns, kept, precedence, w, reads = links
        following_links(new, new_columns, reads, g_f, g_b, g, g_reads)
        links_sparse(link, columns, kept, precedence, w, g, g_p, g_w)

    return dense if is_none(columns) else sparse
