"""Usage and allocation as loops, and their gradients; ``memory/allocation.py`` has the equations.

N locations, R read heads.
"""

import numpy as np

from .compiled import inlined
from .vectors import dot


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
def allocation(usage, order, weights, products):
    """The allocation weighting anew, and the products of usages in its order."""
    one = usage.dtype.type(1)
    weights[:] = one - one
    product = one
    for k in range(order.size):
        products[k] = product
        weights[order[k]] = (one - usage[order[k]]) * product
        product *= usage[order[k]]


@inlined
def allocating(usage, order, products, g_weights, g_usage):
    """Adds to the gradient of the usage: ∂/∂s_k = P_k (Σ_{j>k} g_j (1 - s_j) Π_{k<i<j} s_i - g_k).

    The sum follows from the one of k + 1 without a division, so a usage of 0 is like any other.
    """
    one = usage.dtype.type(1)
    later = one - one
    for k in range(order.size - 1, -1, -1):
        s, g = usage[order[k]], g_weights[order[k]]
        g_usage[order[k]] += products[k] * (later - g)
        later = g * (one - s) + s * later


@inlined
def using(usage, write_weights, reads, free_gates, g, g_usage, g_write, g_reads, g_free):
    """Gradients of usage, w^w (N,), w^r (R, N) and free gates (R,) from ``g``, that of u_t."""
    one = usage.dtype.type(1)
    N, R = usage.size, free_gates.size
    before = np.empty((R + 1, N), usage.dtype)
    before[0] = one
    for r in range(R):
        for i in range(N):
            before[r + 1, i] = before[r, i] * (one - free_gates[r] * reads[r, i])
    after, g_kept = np.empty_like(usage), np.empty_like(usage)
    for i in range(N):
        u, w = usage[i], write_weights[i]
        written = g[i] * before[R, i]
        g_usage[i] = written * (one - w)
        g_write[i] = written * (one - u)
        after[i] = g[i] * (u + w - u * w)
    for r in range(R - 1, -1, -1):
        for i in range(N):
            g_kept[i] = after[i] * before[r, i]
            g_reads[r, i] -= g_kept[i] * free_gates[r]
            after[i] *= one - free_gates[r] * reads[r, i]
        g_free[r] = -dot(g_kept, reads[r]) * free_gates[r] * (one - free_gates[r])
