"""A sequence as two compiled functions: ``graph/sequence.py``, controller and memory together.

Both work on the sequences ``begin`` to ``end`` of a batch, sorted by descending length; the first
``active[t]`` of the batch have a step t. What was, or will be, one of a step or of a state has time
or the batch in front. T time, B batch, X input width, Y output width, H units, R read heads, W word
width.
"""

from .backward import step_backward
from .compiled import inlined, kernel
from .controller import (
    add_products,
    add_products_backward,
    cell,
    cell_backward,
    feed,
    feed_backward,
    in_groups,
)
from .forward import step
from .vectors import inverse_lengths


@kernel
def advance(
    begin, end, weights, limit, bounded, over_time, cells, out, initial, states, trace, active, at
):
    """Run the sequences to their ends.

    Args:
        begin: the first sequence.
        end: the one after the last.
        weights: upward_W (4H, X + R·W), lateral_W (4H, H), linear_W (O, H) and linear_b (O,).
        limit: of the cell state.
        bounded: whether what the controller is fed of the read vectors is bounded.
        over_time: to be filled but for their beginnings: fed (T, B, R·W), gates (T, B, 4H),
            hs (T + 1, B, H), reads (T + 1, B, R·W), outputs (T, B, Y).
        cells: c_0 to c_T (T + 1, B, H), and tanh of c_1 to c_T, in S slots (S, B, H).
        out: room for [ν ; ξ] (B, O).
        initial: what ``forward.step`` takes of t - 1, with the batch in front; the inverse lengths
            are to be filled.
        states: the same after each step (S, B, ...), to be filled.
        trace: what ``forward.step`` fills for the gradient (S, B, ...). Step t stands in slot t, or
            t modulo S.
        active: see above.
        at: where the parts of the interface vector start, and the smallest normal number.
    """
    reads, Y, S = over_time[3], over_time[4].shape[2], cells[1].shape[0]
    RW = reads.shape[2]
    starts, tiny = at[:-1], at[-1]
    R = initial[-1].shape[1]
    for b in range(begin, min(end, active[0])):
        inverse_lengths(initial[0][b], tiny, initial[1][b])
    for t in range(len(active)):
        n, slot = min(end, active[t]), t % S
        if n <= begin:
            break
        control(t, slot, begin, n, weights, limit, bounded, over_time, cells, out)
        for b in range(begin, n):
            before = of_state(initial, b) if t == 0 else of_step(states, (t - 1) % S, b)
            after, vectors = of_step(states, slot, b), reads[t + 1, b].reshape(R, RW // R)
            step(before, after, of_trace(trace, slot, b), out[b, Y:], vectors, starts, tiny)


@inlined
def control(t, slot, begin, n, weights, limit, bounded, over_time, cells, out):
    """Step t of the controller, of the sequences ``begin`` to n; see :func:`advance`."""
    fed, gates, hs, reads, ys = over_time
    cs, squashed = cells
    upward_W, lateral_W, linear_W, linear_b = weights
    grouped = in_groups(n - begin, len(out))
    for b in range(begin, n):
        feed(reads[t, b], bounded, fed[t, b])
    for W, x in ((upward_W, fed[t, begin:n]), (lateral_W, hs[t, begin:n])):
        add_products(W, x, grouped, gates[t, begin:n])
    for b in range(begin, n):
        cell(gates[t, b], cs[t, b], limit, cs[t + 1, b], squashed[slot, b], hs[t + 1, b])
        put(linear_b, out[b])
    add_products(linear_W, hs[t + 1, begin:n], grouped, out[begin:n])
    for b in range(begin, n):
        put(out[b, : ys.shape[2]], ys[t, b])


@kernel
def retreat(
    begin, end, weights, limit, bounded, over_time, cells, initial, states, trace, g, active, at
):
    """The gradient of :func:`advance`, whose arguments come first, as filled there.

    ``over_time`` are fed, gates and reads alone. ``g`` are gradients in three tuples:

    - of the state (B, ...) after the last step: memory, usage, precedence, link, write and read
      weights, read vectors, c and h; they become those of the state before;
    - room for those of usage, precedence, write and read weights;
    - of the read vectors (T, B, R·W) and of [ν ; ξ] (T, B, O) as far as the outputs go, of which
      those of ξ are to be filled, and of the gates (T, B, 4H), to be filled.
    """
    g_state, room, (g_reads, g_out, _) = g
    g_vectors = g_state[6]
    RW, starts, tiny = g_reads.shape[2], at[:-1], at[-1]
    R = initial[-1].shape[1]
    Y = g_out.shape[2] - trace[0].shape[2]
    for t in range(len(active) - 1, -1, -1):
        n = max(begin, min(end, active[t]))
        for b in range(begin, n):
            before = of_state(initial, b) if t == 0 else of_step(states, t - 1, b)
            for k in range(RW):
                g_reads[t, b, k] += g_vectors[b, k]
            g_memory_state, g_before = of_gradient(g_state, b), of_room(room, b)
            step_backward(
                before,
                of_step(states, t, b),
                of_trace(trace, t, b),
                g_memory_state,
                g_reads[t, b].reshape(R, RW // R),
                g_before,
                g_out[t, b, Y:],
                starts,
                tiny,
            )
            take_over(g_before, g_memory_state)
        control_backward(t, begin, n, weights, limit, bounded, over_time, cells, g)


@inlined
def control_backward(t, begin, n, weights, limit, bounded, over_time, cells, g):
    """The gradient of :func:`control`; see :func:`retreat`."""
    fed, gates, reads = over_time
    cs, squashed = cells
    upward_W, lateral_W, linear_W, _ = weights
    (_, _, _, _, _, _, g_vectors, g_c, g_h), _, (_, g_out, g_gates) = g
    add_products_backward(linear_W, g_out[t, begin:n], g_h[begin:n])
    for b in range(begin, n):
        cell_backward(gates[t, b], cs[t, b], limit, squashed[t, b], g_c[b], g_h[b], g_gates[t, b])
        g_h[b] = 0
        g_vectors[b] = 0
    for W, g_x in ((upward_W, g_vectors[begin:n]), (lateral_W, g_h[begin:n])):
        add_products_backward(W, g_gates[t, begin:n], g_x)
    for b in range(begin, n):
        feed_backward(reads[t, b], fed[t, b], bounded, g_vectors[b])


@inlined
def of_state(fields, b):
    """One sequence of a state with the batch in front."""
    m, s, u, p, v, c, w, r = fields
    return m[b], s[b], u[b], p[b], v[b], columns_of_state(c, b), w[b], r[b]


@inlined
def of_step(fields, t, b):
    """One sequence of the state after one step."""
    m, s, u, p, v, c, w, r = fields
    columns = columns_of_step(c, t, b)
    return m[t, b], s[t, b], u[t, b], p[t, b], v[t, b], columns, w[t, b], r[t, b]


@inlined
def columns_of_state(columns, b):
    """Those of one sequence; None of a dense link, with which the code for it is compiled."""
    return None if columns is None else columns[b]


@inlined
def columns_of_step(columns, t, b):
    """The same after one step."""
    return None if columns is None else columns[t, b]


@inlined
def of_trace(fields, t, b):
    """One sequence of what one step left for the gradient."""
    i, o, n, c, s, d, k = fields
    return i[t, b], o[t, b], n[t, b : b + 1], c[t, b], s[t, b], d[t, b], k[t, b]


@inlined
def of_gradient(fields, b):
    """One sequence of the gradient of a memory's state."""
    m, u, p, v, w, r, _, _, _ = fields
    return m[b], u[b], p[b], v[b], w[b], r[b]


@inlined
def of_room(fields, b):
    """One sequence of what ``step_backward`` fills."""
    u, p, w, r = fields
    return u[b], p[b], w[b], r[b]


@inlined
def take_over(g_before, g):
    """Put the gradients of t - 1 in the place of those of t."""
    for new, old in ((g_before[0], g[1]), (g_before[1], g[2]), (g_before[2], g[4])):
        put(new, old)
    for r in range(g[5].shape[0]):
        put(g_before[3][r], g[5][r])


@inlined
def put(source, target):
    """Copy a vector: an assignment to a slice takes the compiler a second."""
    for k in range(target.size):
        target[k] = source[k]
