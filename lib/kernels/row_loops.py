"""The parts of a memory step as compiled functions: for memories whose rows threads share.

``forward.step`` and ``backward.step_backward`` in pieces, of the same functions. What has ``begin``
and ``end`` works on these rows of the memory, and gives sums over them. The other arguments are
named as there. N locations, W word width, R read heads.
"""

import numpy as np

from .allocation import allocate, allocating, allocation, update_usage, using
from .backward import (
    finish_key,
    finish_writing,
    gating,
    looking,
    looking_at_rows,
    precedences,
    reading,
    writing,
)
from .compiled import kernel
from .forward import (
    activate,
    look_up,
    read_weighting,
    update_precedence,
    write,
    write_weighting,
)
from .links import links_backward, update_link
from .sequence_loops import control, control_backward
from .vectors import add_dots, add_rows, inverse_lengths, unit_keys


@kernel
def measure(begin, end, memory, tiny, scales):
    """The inverse lengths of rows."""
    inverse_lengths(memory[begin:end], tiny, scales[begin:end])


@kernel
def run_controller(t, slot, n, weights, limit, bounded, over_time, cells, out):
    """Step t of the controller, of the first n sequences."""
    control(t, slot, 0, n, weights, limit, bounded, over_time, cells, out)


@kernel
def look(begin, end, memory, row_scales, xi, similarity, at, tiny):
    """Similarities (1, N) of the write key."""
    unit, _ = unit_keys(xi[at[2] : at[3]].reshape(1, memory.shape[1]), tiny)
    look_up(memory[begin:end], row_scales[begin:end], unit, similarity[:, begin:end])


@kernel
def use(usage, write_weights, read_weights, xi, i, order, count, new_usage, w, at):
    """The activated interface vector, the usage and, in ``w``, the allocation weighting."""
    W, R = at[3] - at[2], read_weights.shape[0]
    activate(xi, at, R, W, i)
    update_usage(usage, write_weights, read_weights, i[at[6] : at[7]], new_usage)
    count[0] = allocate(new_usage, w, order)


@kernel
def weigh(i, similarity, content, precedence, w, new_precedence, at):
    """Write weighting, from similarities and content weights (1, N), and precedence."""
    write_weighting(i, at, similarity, content, w)
    update_precedence(precedence, w, new_precedence)


@kernel
def write_and_look(begin, end, memory, w, i, new, scales, similarity, at, tiny):
    """Rows of M_t, their inverse lengths, and similarities (R, N) of the read keys."""
    some, R = slice(begin, end), similarity.shape[0]
    write(memory[some], w[some], i[at[4] : at[5]], i[at[5] : at[6]], tiny, new[some], scales[some])
    units, _ = unit_keys(i[: at[1]].reshape(R, memory.shape[1]), tiny)
    look_up(new[some], scales[some], units, similarity[:, some])


@kernel
def link(columns, links, w, reads, new, new_columns, kept, directions):
    """The link matrix, and f and b (2, R, N)."""
    f, b = directions[0], directions[1]
    update_link(columns, links, w, reads, new, new_columns, kept, f, b)


@kernel
def weigh_reads(i, similarity, content, directions, new_read, at):
    """Read weightings."""
    read_weighting(i, at, similarity, content, directions, new_read)


@kernel
def read(begin, end, sums, new_read, memory):
    """The part that rows have in the read vectors (R, W)."""
    sums[:] = 0
    add_rows(new_read[:, begin:end], memory[begin:end], sums)


@kernel
def reads_backward(begin, end, g_reads, memory, g_weights):
    """Adds to the gradient of the read weights (R, N) that by way of the read vectors."""
    add_dots(g_reads, memory[begin:end], g_weights[:, begin:end])


@kernel
def weighings_backward(
    i, content, similarity, directions, scales, precedence, w, g_weights, g_precedences, g_w, g_i,
    at, tiny,
):  # fmt: skip
    """What ``backward.reading`` returns; gradient of p_{t-1}, the second of ``g_precedences``."""
    g_new, g_old = g_precedences
    precedences(precedence, w, g_new, g_old, g_w)
    return reading(i, at, content, similarity, directions, scales, g_weights, g_i, tiny)


@kernel
def link_backward(columns, links, g_sources, g_link, g_precedence, g_w, g_read):
    """``links.links_backward``, with the gradients of w^w_t and w^r_{t-1} from zeros."""
    g_w[:] = 0
    g_read[:] = 0
    links_backward(columns, links, g_sources[2], g_sources[0], g_link, g_precedence, g_w, g_read)


@kernel
def write_backward(begin, end, sums, rows, looked, g_reads, units, i, g, g_w, at):
    """``backward.writing`` of rows; ``sums`` (2 + R, W) of erase and write vector and read keys."""
    before, after, w, reads = rows
    g_looked, radial, rest = looked
    some = slice(begin, end)
    e, v = i[at[4] : at[5]], i[at[5] : at[6]]
    sums[:] = 0
    part = (before[some], after[some], w[some], e, v, reads[:, some], g_reads, units)
    part_looked = (g_looked[:, some], radial[some], rest[some])
    writing(part + part_looked, g[some], g_w[some], sums[0], sums[1], sums[2:])


@kernel
def gates_backward(
    i, units, key_radial, key_scales, new_usage, order, content, similarity, row_scales, g_w, g_i,
    at, tiny,
):  # fmt: skip
    """Finishes what ``write_backward`` has summed, then the gradients of gates and strength.

    Returns:
        Products of usages, gradients of the allocation weighting and by way of the look-up (N,);
        and what ``backward.looking`` returns.
    """
    R, W = units.shape
    finish_writing(
        i[at[4] : at[5]], units, key_radial, key_scales, g_i[at[4] : at[5]],
        g_i[: at[1]].reshape(R, W),
    )  # fmt: skip
    allocated, products = np.empty_like(g_w), np.empty_like(g_w)
    allocation(new_usage, order, allocated, products)
    g_allocated, g_looked = gating(i, at, allocated, content, g_w, g_i)
    looked = looking(i, at, row_scales, content, similarity, g_looked, g_i, tiny)
    return products, g_allocated, g_looked, looked


@kernel
def look_backward(begin, end, sums, memory, w, i, looked, g_looked, g, at):
    """``backward.looking_at_rows``; ``sums`` (W,) of the write key."""
    unit, _, _, radial, rest = looked
    some = slice(begin, end)
    sums[:] = 0
    e = i[at[4] : at[5]]
    looking_at_rows(
        memory[some], w[some], e, unit[0], g_looked[some], radial[some], rest[some], g[some], sums
    )


@kernel
def use_backward(before, new_usage, order, products, i, g_allocated, g_usage, g_before, g_i, at):
    """Gradients of usage, write and read weights of t - 1; ``g_usage`` is that of u_t."""
    usage, write_weights, reads = before
    g_old, g_write, g_read = g_before
    allocating(new_usage, order, products, g_allocated, g_usage)
    free, g_free = i[at[6] : at[7]], g_i[at[6] : at[7]]
    using(usage, write_weights, reads, free, g_usage, g_old, g_write, g_read, g_free)


@kernel
def finish_look(looked, g_key):
    """Turn the sum over the rows into the gradient of the write key (W,)."""
    unit, scales, radial, _, _ = looked
    finish_key(g_key, unit[0], radial, scales[0])


@kernel
def run_controller_backward(t, n, weights, limit, bounded, over_time, cells, g):
    """The gradient of step t of the controller, of the first n sequences."""
    control_backward(t, 0, n, weights, limit, bounded, over_time, cells, g)
