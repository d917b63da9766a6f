"""One memory step as loops, compiled by Numba: ``memory/step.py``, whose equations these are.

Every function but the last works on one sequence. N locations, W word width, R read heads, K
entries kept per row of a sparse link matrix. A dense link matrix has no columns: (0, 0).
"""

import math

import numpy as np

from .compiled import inlined, kernel
from .vectors import dot, inverse_length


@inlined
def activate(xi, at, R, W, out):
    """The interface vector, activated, in its own layout; ``at`` are the starts of its parts."""
    one = xi.dtype.type(1)
    out[:] = xi
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
    top = x.max()
    for i in range(x.size):
        x[i] = math.exp(x[i] - top)
    scale = x.dtype.type(1) / x.sum()
    for i in range(x.size):
        x[i] *= scale


@inlined
def unit_keys(keys, tiny):
    """Keys (H, W) divided by their length, 0 for a zero key."""
    unit = np.empty_like(keys)
    for h in range(keys.shape[0]):
        scale = inverse_length(keys[h], tiny)
        for w in range(keys.shape[1]):
            unit[h, w] = keys[h, w] * scale
    return unit


@inlined
def weighting(similarity, strengths, weights):
    """Softmax of β cos over the locations, for similarity and weights (H, N)."""
    for h in range(similarity.shape[0]):
        for i in range(similarity.shape[1]):
            weights[h, i] = strengths[h] * similarity[h, i]
        softmax(weights[h])


@inlined
def look_up(memory, row_scales, unit, similarity):
    """Cosine similarity (H, N) of the rows of the memory and unit keys (H, W)."""
    for i in range(memory.shape[0]):
        for h in range(unit.shape[0]):
            similarity[h, i] = dot(memory[i], unit[h]) * row_scales[i]


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
    heap = np.arange(N).astype(np.int32)
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
    """M_t and the inverse lengths of its rows."""
    one = memory.dtype.type(1)
    for i in range(memory.shape[0]):
        for w in range(memory.shape[1]):
            kept = memory[i, w] * (one - weights[i] * erase[w])
            new[i, w] = kept + weights[i] * vector[w]
        scales[i] = inverse_length(new[i], tiny)


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
    """L_t (N, N), and f and b (R, N), in one pass over the rows."""
    one = link.dtype.type(1)
    N, R = link.shape[0], read_weights.shape[0]
    backward[:] = one - one
    for i in range(N):
        kept = one - write_weights[i]
        for j in range(N):
            new[i, j] = (kept - write_weights[j]) * link[i, j] + write_weights[i] * precedence[j]
        new[i, i] = one - one
        for r in range(R):
            forward[r, i] = dot(new[i], read_weights[r])
            read = read_weights[r, i]
            for j in range(N):
                backward[r, j] += new[i, j] * read


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
    new_columns[:] = columns
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


@inlined
def read(memory, weights, vectors):
    """r^i = Mᵀ w^{r,i}, for weights (R, N) and vectors (R, W)."""
    vectors[:] = 0
    for i in range(memory.shape[0]):
        for r in range(weights.shape[0]):
            for w in range(memory.shape[1]):
                vectors[r, w] += weights[r, i] * memory[i, w]


@kernel
def step(begin, end, before, after, vectors, trace, xi, at, tiny):
    """A memory step of the sequences ``begin`` to ``end`` of the batch.

    Args:
        begin: the first sequence.
        end: the one after the last.
        before: of t - 1, M (B, N, W), inverse lengths of its rows (B, N), u, p (B, N), L (B, N, N)
            or the values of L̂ (B, N, K), columns of L̂ (B, N, K) or (B, 0, 0) where the link is
            dense, w^w (B, N) and w^r (B, R, N).
        after: the same of t, to be filled.
        vectors: the read vectors (B, R·W), to be filled.
        trace: for the gradient, to be filled: the activated interface vectors (B, size), the order
            of allocation (B, N) and its length (B,), content weights and similarities (B, 1 + R, N)
            of writing and reading, f and b (B, 2, R, N), and the link entries kept
            (B, K, 2 + 2K).
        xi: interface vectors (B, size).
        at: where the parts of the interface vector start.
        tiny: the smallest normal number of the dtype.
    """
    memory, row_scales, usage, precedence, link, columns, write_weights, read_weights = before
    new_memory, scales, new_usage, new_precedence, new_link, new_columns, new_write, new_read = (
        after
    )
    active, order, counts, content, similarity, directions, kept = trace
    N, W = memory.shape[1:]
    R, K = read_weights.shape[1], columns.shape[2]
    one = xi.dtype.type(1)
    for b in range(begin, end):
        i = active[b]
        activate(xi[b], at, R, W, i)
        update_usage(usage[b], write_weights[b], read_weights[b], i[at[6] : at[7]], new_usage[b])
        w = new_write[b]
        counts[b] = allocate(new_usage[b], w, order[b])
        unit = unit_keys(i[at[2] : at[3]].reshape(1, W), tiny)
        look_up(memory[b], row_scales[b], unit, similarity[b, :1])
        weighting(similarity[b, :1], i[at[3] : at[4]], content[b, :1])
        g_a, g_w = i[at[7]], i[at[8]]
        for n in range(N):
            w[n] = g_w * (g_a * w[n] + (one - g_a) * content[b, 0, n])
        e, v = i[at[4] : at[5]], i[at[5] : at[6]]
        write(memory[b], w, e, v, tiny, new_memory[b], scales[b])
        f, d = directions[b, 0], directions[b, 1]
        if K == 0:
            link_dense(link[b], precedence[b], w, read_weights[b], new_link[b], f, d)
        else:
            link_sparse(link[b], columns[b], precedence[b], w, new_link[b], new_columns[b], kept[b])
            follow_links(new_link[b], new_columns[b], read_weights[b], f, d)
        rest = one - w.sum()
        for n in range(N):
            new_precedence[b, n] = rest * precedence[b, n] + w[n]
        unit = unit_keys(i[: at[1]].reshape(R, W), tiny)
        look_up(new_memory[b], scales[b], unit, similarity[b, 1:])
        weighting(similarity[b, 1:], i[at[1] : at[2]], content[b, 1:])
        for r in range(R):
            m = at[9] + 3 * r
            for n in range(N):
                new_read[b, r, n] = (
                    i[m] * d[r, n] + i[m + 1] * content[b, 1 + r, n] + i[m + 2] * f[r, n]
                )
        read(new_memory[b], new_read[b], vectors[b].reshape(R, W))
