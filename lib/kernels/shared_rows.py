"""Sequences whose memories are so large that threads share their rows.

``advance`` and ``retreat`` of ``sequence_loops.py`` with the steps in pieces. What needs no row, or
all of them in turn, such as the links, is a piece of work like a part of the rows. Where the parts
begin depends on N alone; their sums are added in order.
"""

from functools import partial

import numpy as np

from . import row_loops as loops
from .threads import most, parts_of, share

# From so many locations on, and for fewer sequences than this: many share the threads better.
LARGE = 16384
FEW = 4
PARTS = 8


def worth_sharing(B, N):
    """Whether the rows of the memories of B sequences should be shared."""
    return N >= LARGE and B < FEW


def advance(
    weights, limit, bounded, over_time, cells, out, initial, states, trace, active, constants
):
    """See ``sequence_loops.advance``."""
    reads, ys, S = over_time[3], over_time[4], len(cells[1])
    R = initial[-1].shape[1]
    for b in range(active[0]):
        memory, scales = of(initial, b)[:2]
        of_rows(loops.measure, len(memory), memory, constants[-1], scales)
    for t, n in enumerate(active):
        if n == 0:
            break
        loops.run_controller(t, t % S, n, weights, limit, bounded, over_time, cells, out)
        for b in range(n):
            before = of(initial, b) if t == 0 else of(states, ((t - 1) % S, b))
            vectors = reads[t + 1, b].reshape(R, -1)
            after, left = of(states, (t % S, b)), left_by(trace, t % S, b)
            step(before, after, left, out[b, ys.shape[2] :], vectors, constants)


def retreat(
    weights, limit, bounded, over_time, cells, initial, states, trace, g, active, constants
):
    """See ``sequence_loops.retreat``."""
    g_state, room, (g_reads, g_out, _) = g
    R, Y = initial[-1].shape[1], g_out.shape[2] - trace[0].shape[2]
    for t in reversed(range(len(active))):
        for b in range(active[t]):
            before = of(initial, b) if t == 0 else of(states, (t - 1, b))
            g_reads[t, b] += g_state[6][b]
            g_after, g_before = of(g_state[:6], b), of(room, b)
            step_backward(
                before,
                of(states, (t, b)),
                left_by(trace, t, b),
                g_after,
                g_reads[t, b].reshape(R, -1),
                g_before,
                g_out[t, b, Y:],
                constants,
            )
            for old, new in zip((g_after[k] for k in (1, 2, 4, 5)), g_before):
                old[...] = new
        loops.run_controller_backward(t, active[t], weights, limit, bounded, over_time, cells, g)


def of(fields, at):
    """One sequence of each array; dense links have no columns."""
    return tuple(None if field is None else field[at] for field in fields)


def left_by(trace, t, b):
    """One sequence of what a step leaves for the gradient; how many were allocated as an array."""
    counts = trace[2]
    return (*of(trace[:2], (t, b)), counts[t, b : b + 1], *of(trace[3:], (t, b)))


def step(before, after, trace, xi, vectors, constants):
    """See ``forward.step``."""
    memory, row_scales, usage, precedence, link, columns, write_weights, read_weights = before
    new_memory, scales, new_usage, new_precedence, new_link, new_columns, w, new_read = after
    i, order, count, content, similarity, directions, kept = trace
    *at, tiny = constants
    N, at = len(memory), tuple(at)
    using = partial(
        loops.use, usage, write_weights, read_weights, xi, i, order, count, new_usage, w, at
    )
    of_rows(loops.look, N, memory, row_scales, xi, similarity[:1], at, tiny, beside=using)
    loops.weigh(i, similarity[:1], content[:1], precedence, w, new_precedence, at)
    links = link, precedence
    linking = partial(
        loops.link, columns, links, w, read_weights, new_link, new_columns, kept, directions
    )
    rows = memory, w, i, new_memory, scales, similarity[1:], at, tiny
    of_rows(loops.write_and_look, N, *rows, beside=linking)
    loops.weigh_reads(i, similarity[1:], content[1:], directions, new_read, at)
    vectors[...] = sum_of_rows(loops.read, N, vectors.shape, xi.dtype, new_read, new_memory)


def step_backward(before, after, trace, g_after, g_reads, g_before, g_xi, constants):
    """See ``backward.step_backward``."""
    memory, row_scales, usage, precedence, link, columns, write_weights, read_weights = before
    new_memory, new_scales, new_usage, _, new_link, new_columns, w, new_read = after
    i, order, count, content, similarity, directions, kept = trace
    g_memory, g_new_usage, g_new_precedence, g_link, g_new_write, g_new_read = g_after
    g_usage, g_precedence, g_write, g_read = g_before
    *at, tiny = constants
    N, at = len(memory), tuple(at)

    g_weights, g_w, g_linked = g_new_read.copy(), g_new_write.copy(), np.empty_like(g_new_write)
    of_rows(loops.reads_backward, N, g_reads, new_memory, g_weights)
    seen = i, content[1:], similarity[1:], directions, new_scales, precedence, w
    g_precedences = g_new_precedence, g_precedence
    g_sources, units, key_scales, key_radial, *radial = loops.weighings_backward(
        *seen, g_weights, g_precedences, g_w, g_xi, at, tiny
    )
    links = link, new_link, new_columns, kept, precedence, w, read_weights
    linking = partial(
        loops.link_backward, columns, links, g_sources, g_link, g_precedence, g_linked, g_read
    )
    rows, looked = (memory, new_memory, w, new_read), (g_sources[1], *radial)
    sums = sum_of_rows(
        loops.write_backward, N, (2 + len(units), memory.shape[1]), g_w.dtype,
        rows, looked, g_reads, units, i, g_memory, g_w, at, beside=linking,
    )  # fmt: skip
    g_w += g_linked
    g_xi[at[4] : at[6]], g_xi[: at[1]] = sums[:2].ravel(), sums[2:].ravel()

    taken = order[: count[0]]
    keys, seen = (units, key_radial, key_scales), (content[0], similarity[0], row_scales)
    products, g_allocated, g_looked, looked = loops.gates_backward(
        i, *keys, new_usage, taken, *seen, g_w, g_xi, at, tiny
    )
    using = partial(
        loops.use_backward, (usage, write_weights, read_weights), new_usage, taken, products, i,
        g_allocated, g_new_usage.copy(), (g_usage, g_write, g_read), g_xi, at,
    )  # fmt: skip
    g_key = g_xi[at[2] : at[3]]
    rows = memory, w, i, looked, g_looked, g_memory, at
    g_key[...] = sum_of_rows(loops.look_backward, N, g_key.shape, g_w.dtype, *rows, beside=using)
    loops.finish_look(looked, g_key)


def of_rows(kernel, N, *arguments, beside=None):
    """Call ``kernel(begin, end, *arguments)`` for the parts of N rows, and another function."""
    together([partial(kernel, *part, *arguments) for part in parts_of(N, PARTS)], beside)


def sum_of_rows(kernel, N, shape, dtype, *arguments, beside=None):
    """The sum of what ``kernel(begin, end, sums, *arguments)`` puts in ``sums`` for each part."""
    parts = parts_of(N, PARTS)
    sums = np.empty((len(parts), *shape), dtype)
    together([partial(kernel, *part, each, *arguments) for part, each in zip(parts, sums)], beside)
    return sums.sum(axis=0)


def together(pieces, beside):
    """Call functions of no arguments in threads, ``beside`` first of all: it takes the longest."""
    if beside is not None:
        pieces.append(beside)
    share(pieces, lambda piece: piece(), most())
