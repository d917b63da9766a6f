"""One memory step of one sequence as loops: ``memory/step.py``, whose equations these are.

N locations, W word width, R read heads, K entries kept per row of a sparse link matrix.
"""

import math

import numpy as np

from .compiled import by_type, inlined, is_none, pasted
from .exponentials import exponentiate
from .vectors import BLOCK, add_dots, add_rows, dot, four_dots, inverse_lengths, total, unit_keys


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
def update_usage(usage, write_weights, read_weights, free_gates, new):
    """u_t from the usage, the write weights and the read weights (R, N) of t - 1."""
    one = usage.dtype.type(1)
    for i in range(usage.size):
        new[i] = usage[i] + write_weights[i] - usage[i] * write_weights[i]
    for r in range(free_gates.size):
        for i in range(usage.size):
            new[i] *= one - free_gates[r] * read_weights[r, i]


@inlined
def sift_down(usage, heap, start, size):
    """Let the location at ``start`` sink to its place in a heap of locations by usage."""
    location = heap[start]
    key = usage[location]
    while True:
        child = 2 * start + 1
        if child >= size:
            break
        c = heap[child]
        if child + 1 < size:
            other = heap[child + 1]
            if usage[other] < usage[c] or (usage[other] == usage[c] and other < c):
                child += 1
                c = other
        if key < usage[c] or (key == usage[c] and location < c):
            break
        heap[start] = c
        start = child
    heap[start] = location


@inlined
def allocate(usage, weights, order):
    """The allocation weighting; the locations in ascending order of usage, as far as they matter.

    Locations are taken from a heap until the product of the usages has vanished. Its gradient with
    respect to the lowest usage has that product without the lowest, so this is what must vanish.

    Returns:
        How many locations were taken.
    """
    one = usage.dtype.type(1)
    N = usage.size
    heap = np.empty(N, np.int32)
    for location in range(N):
        heap[location] = location
    for start in range(N // 2 - 1, -1, -1):
        sift_down(usage, heap, start, N)
    weights[:] = one - one
    product, rest = one, one
    count = 0
    while count < N and rest != 0:
        location = heap[0]
        heap[0] = heap[N - 1 - count]
        sift_down(usage, heap, 0, N - 1 - count)
        order[count] = location
        weights[location] = (one - usage[location]) * product
        product *= usage[location]
        if count > 0:
            rest *= usage[location]
        count += 1
    return count


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
