"""The controller and its memory over a whole sequence, forward and backward, on arrays.

T time, B batch, X input width, Y output width, H controller units, R read heads, W word width.
"""

from typing import Any, NamedTuple

from ..arrays import module_of, operand, times
from ..kernels.backends import Backend, backend_for
from ..kernels.products import gradients_of_weights
from ..memory import bounds, content
from ..memory.bounds import Options
from ..memory.sparse_linkage import kept_per_row
from ..memory.step import MemoryState
from ..state import State
from .ragged import advance, affine, as_rows, clear_inactive, multiply, retreat, start_history


class Parameters(NamedTuple):
    """The parameters of the model, in the order in which the graph takes them."""

    upward_W: Any  # (4H, X + R·W)
    upward_b: Any  # (4H,)
    lateral_W: Any  # (4H, H)
    linear_W: Any  # (Y + size of ξ, H), the rows of ν first
    linear_b: Any  # (Y + size of ξ,)
    read_out_W: Any  # (Y, R·W)
    read_out_b: Any  # (Y,)


class OverTime(NamedTuple):
    """What a sequence has of every step, in one array each."""

    gates: Any  # of the LSTM (T, B, 4H)
    hs: Any  # h_0 to h_T (T + 1, B, H)
    reads: Any  # r_0 to r_T (T + 1, B, R·W)
    ys: Any  # outputs (T, B, Y)


class Sequence(NamedTuple):
    """A sequence that is run, and what its gradient needs."""

    parameters: Parameters
    reads_W: Any  # the columns of upward_W that see the read vectors (4H, R·W)
    options: Options
    backend: Backend
    xs: Any  # (T, B, X)
    over_time: OverTime
    active: list  # of each step, how many sequences it has
    steps: Any = None  # what ``run_steps`` has left


class StepGradients(NamedTuple):
    """What the gradients of the parameters are products of, a row for each step and sequence."""

    xs: Any  # x_t (·, X)
    fed: Any  # what the controller is fed of r_{t-1} (·, R·W)
    hs_before: Any  # h_{t-1} (·, H)
    hs: Any  # h_t (·, H)
    reads: Any  # r_t (·, R·W)
    g_z: Any  # gradient of the gates (·, 4H)
    g_out: Any  # gradient of [ν ; ξ] (·, Y + size of ξ)
    g_ys: Any  # gradient of the outputs (·, Y)


def unroll(parameters, options, xs, state, active, keep_trace):
    """Run the model over a batch of sequences, sorted by descending length.

    Args:
        parameters: :class:`Parameters` of arrays.
        options: :class:`..memory.bounds.Options`.
        xs: inputs (T, B, X).
        state: :class:`State` of arrays, of at least B sequences.
        active: T ints, how many sequences step t has: the first ones of the batch. The others keep
            their state, and their outputs are 0.
        keep_trace: whether a backward pass will follow.

    Returns:
        The outputs (T, B, Y), the state after the last step, and a :class:`Sequence` or None.
    """
    (_, N, W), R = state.memory.shape, state.read_weights.shape[1]
    p, backend = parameters, backend_for(xs, kept_per_row(state.link), (N, W, R))
    reads_W = operand(p.upward_W[:, xs.shape[2] :])
    over_time = begin(p, xs, state, active)
    sequence = Sequence(p, reads_W, options, backend, xs, over_time, active)
    run = backend.loops.run_steps if backend.loops else run_steps
    state, steps = run(sequence, state, keep_trace)
    ys = over_time.ys
    ys += affine(over_time.reads[1:], p.read_out_W, p.read_out_b)
    clear_inactive(ys, active)
    return ys, state, sequence._replace(steps=steps) if keep_trace else None


def begin(p, xs, state, active):
    """An :class:`OverTime` of what stands before the first step, and room for the rest."""
    T, B, X = xs.shape
    xp = module_of(xs)
    hs, reads = (start_history(each, B, active) for each in (state.h, state.read_vectors))
    return OverTime(
        gates=affine(xs, p.upward_W[:, :X], p.upward_b),
        hs=hs,
        reads=reads,
        ys=xp.zeros((T, B, len(p.read_out_b)), xs.dtype),
    )


def run_steps(sequence, state, keep_trace):
    """Run the steps one after the other on plain arrays.

    Fills what is missing of ``sequence.over_time``; of the gates there is what the inputs give, of
    the outputs what the read vectors add comes later.

    Returns:
        The state after the last step, and what the gradient of the steps needs.
    """
    p, _, options, backend, _, over_time, active, _ = sequence
    Y = over_time.ys.shape[2]
    scales, steps = content.inverse_norms(state.memory), []

    def step(t, n, state):
        nonlocal scales
        z = over_time.gates[t, :n]
        z += multiply(sequence.reads_W, bounds.feed(state.read_vectors, options.bounded_reads))
        z += multiply(p.lateral_W, state.h)
        c, inside = bounds.clip(state.c, options.cell_clip)
        c, h, cell_trace = backend.cell(c, z)
        out = multiply(p.linear_W, h) + p.linear_b
        memory_state, read_vectors, memory_trace = backend.step(
            MemoryState(*state[:-3]), scales[:n], out[:, Y:]
        )
        scales = memory_trace.row_scales
        over_time.ys[t, :n], over_time.hs[t + 1, :n] = out[:, :Y], h
        over_time.reads[t + 1, :n] = read_vectors
        if keep_trace:
            steps.append((cell_trace, inside, memory_trace))
        return State(*memory_state, read_vectors, c, h)

    return advance(step, state, active), steps


def unroll_backward(trace, g_ys, g_state, need_g_xs):
    """The gradient of :func:`unroll`.

    Args:
        trace: its :class:`Sequence`.
        g_ys: gradient of the outputs (T, B, Y). Overwritten.
        g_state: gradients of the state after the last step, ``g_state.link`` that of the values
            where the link is sparse. Its arrays are overwritten.
        need_g_xs: whether the gradient of the inputs is wanted.

    Returns:
        The gradient of the inputs (or None), a list of :class:`StepGradients`, and the gradients of
        the state before.
    """
    p, (_, hs, reads, _) = trace.parameters, trace.over_time
    T, B, Y = g_ys.shape
    xp = module_of(g_ys)
    clear_inactive(g_ys, trace.active)
    g_reads = times(g_ys, p.read_out_W)
    g_out = xp.zeros((T, B, len(p.linear_b)), g_ys.dtype)
    g_out[:, :, :Y] = g_ys
    g_z = xp.zeros((T, B, len(p.upward_b)), g_ys.dtype)
    loops = trace.backend.loops
    run = loops.run_steps_backward if loops else run_steps_backward
    g_state = run(trace, g_state, g_reads, g_out, g_z)
    g_xs = times(g_z, p.upward_W[:, : trace.xs.shape[2]]) if need_g_xs else None
    fed = bounds.feed(reads[:-1], trace.options.bounded_reads)
    steps = trace.xs, fed, hs[:-1], hs[1:], reads[1:], g_z, g_out, g_ys
    return g_xs, [StepGradients(*map(as_rows, steps))], g_state


def run_steps_backward(trace, g_state, g_reads, g_out, g_z):
    """The gradient of :func:`run_steps`: that of the state before it.

    Args:
        trace: the :class:`Sequence`.
        g_state: gradients of the state after the last step. Its arrays are overwritten.
        g_reads: gradient of the read vectors (T, B, R·W) as far as each step's own output goes.
            Overwritten.
        g_out: gradient of [ν ; ξ] (T, B, Y + size of ξ): that of ν, and zeros to be filled.
        g_z: gradient of the gates (T, B, 4H), zeros to be filled.
    """

    def step(t, n, g):
        return step_backward(trace, t, g, g_out[t, :n], g_reads[t, :n], g_z[t, :n])

    return retreat(step, g_state, trace.active)


def step_backward(trace, t, g, g_out, g_reads, g_z):
    """Gradient of the state before one step; fills the rows of ξ in ``g_out``, and ``g_z``.

    Args:
        trace: the :class:`Sequence`.
        t: which step.
        g: gradients of the state after the step.
        g_out: gradient of [ν ; ξ] (n, Y + size of ξ), that of ν given.
        g_reads: gradient of the read vectors (n, R·W) as far as the step's own output goes.
        g_z: gradient of the gates (n, 4H), to be filled.
    """
    p, backend = trace.parameters, trace.backend
    cell_trace, inside, memory_trace = trace.steps[t]
    Y = len(p.read_out_b)
    g_memory, g_out[:, Y:] = backend.step_backward(
        memory_trace, MemoryState(*g[:-3]), g_reads + g.read_vectors
    )
    g_c, g_z[...] = backend.cell_backward(cell_trace, g.c, g.h + g_out @ p.linear_W)
    g_reads = bounds.feed_backward(
        trace.over_time.reads[t, : len(g_z)], g_z @ trace.reads_W, trace.options.bounded_reads
    )
    return State(*g_memory, g_reads, bounds.clip_backward(inside, g_c), g_z @ p.lateral_W)


def parameter_gradients(records):
    """Gradients of the parameters from the :class:`StepGradients` of one or more sequences."""
    xp = module_of(records[0].g_z)
    r = records[0]
    if len(records) > 1:
        r = StepGradients(*(xp.concatenate(rows) for rows in zip(*records)))
    upward_W, lateral_W, linear_W = gradients_of_weights(
        [(r.g_z, xp.concatenate([r.xs, r.fed], axis=1)), (r.g_z, r.hs_before), (r.g_out, r.hs)]
    )
    return Parameters(
        upward_W=upward_W,
        upward_b=r.g_z.sum(axis=0),
        lateral_W=lateral_W,
        linear_W=linear_W,
        linear_b=r.g_out.sum(axis=0),
        read_out_W=r.g_ys.T @ r.reads,
        read_out_b=r.g_ys.sum(axis=0),
    )
