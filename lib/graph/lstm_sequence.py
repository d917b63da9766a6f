"""An LSTM and a linear layer on its output over a whole sequence, on arrays: no memory.

T time, B batch, X input width, Y output width, H units.
"""

from typing import Any, NamedTuple

from ..arrays import module_of, times
from ..kernels.backends import Backend, backend_for
from ..kernels.products import gradients_of_weights
from ..memory import bounds
from ..memory.bounds import Options
from .ragged import advance, affine, as_rows, clear_inactive, multiply, retreat, start_history


class LSTMState(NamedTuple):
    """What one step hands to the next."""

    c: Any  # (B, H)
    h: Any  # (B, H)


class LSTMParameters(NamedTuple):
    """The parameters, in the order in which the graph takes them."""

    upward_W: Any  # (4H, X)
    upward_b: Any  # (4H,)
    lateral_W: Any  # (4H, H)
    linear_W: Any  # (Y, H)
    linear_b: Any  # (Y,)


class LSTMSequence(NamedTuple):
    """A sequence that is run, and what its gradient needs."""

    parameters: LSTMParameters
    options: Options
    backend: Backend
    xs: Any  # (T, B, X)
    gates: Any  # (T, B, 4H)
    hs: Any  # h_0 to h_T (T + 1, B, H)
    active: list  # of each step, how many sequences it has
    steps: Any = None  # what ``run_steps`` has left


class LSTMStepGradients(NamedTuple):
    """What the gradients of the parameters are products of, a row for each step and sequence."""

    xs: Any  # x_t (·, X)
    hs_before: Any  # h_{t-1} (·, H)
    hs: Any  # h_t (·, H)
    g_z: Any  # gradient of the gates (·, 4H)
    g_ys: Any  # gradient of the outputs (·, Y)


def unroll(parameters, options, xs, state, active, keep_trace):
    """Run the model over a batch of sequences; arguments and results as ``sequence.unroll``."""
    p, backend = parameters, backend_for(xs, 0)
    z = affine(xs, p.upward_W, p.upward_b)
    hs = start_history(state.h, xs.shape[1], active)
    sequence = LSTMSequence(p, options, backend, xs, z, hs, active)
    run = backend.lstm_loops.run_steps if backend.lstm_loops else run_steps
    state, steps = run(sequence, state, keep_trace)
    ys = affine(hs[1:], p.linear_W, p.linear_b)
    clear_inactive(ys, active)
    return ys, state, sequence._replace(steps=steps) if keep_trace else None


def run_steps(sequence, state, keep_trace):
    """Run the steps on plain arrays; see ``sequence.run_steps``."""
    p, options, backend, _, z, hs, active, _ = sequence
    steps = []

    def step(t, n, state):
        z[t, :n] += multiply(p.lateral_W, state.h)
        c, inside = bounds.clip(state.c, options.cell_clip)
        c, h, trace = backend.cell(c, z[t, :n])
        hs[t + 1, :n] = h
        if keep_trace:
            steps.append((trace, inside))
        return LSTMState(c, h)

    return advance(step, state, active), steps


def unroll_backward(trace, g_ys, g_state, need_g_xs):
    """The gradient of :func:`unroll`; arguments and results as ``sequence.unroll_backward``."""
    p, hs = trace.parameters, trace.hs
    clear_inactive(g_ys, trace.active)
    g_hs = times(g_ys, p.linear_W)
    g_z = module_of(g_ys).zeros((*g_ys.shape[:2], len(p.upward_b)), g_ys.dtype)
    loops = trace.backend.lstm_loops
    run = loops.run_steps_backward if loops else run_steps_backward
    g_state = run(trace, g_state, g_hs, g_z)
    g_xs = times(g_z, p.upward_W) if need_g_xs else None
    steps = trace.xs, hs[:-1], hs[1:], g_z, g_ys
    return g_xs, [LSTMStepGradients(*map(as_rows, steps))], g_state


def run_steps_backward(trace, g_state, g_hs, g_z):
    """The gradient of :func:`run_steps`; see ``sequence.run_steps_backward``.

    ``g_hs`` (T, B, H) is that of the hidden states as far as the outputs go.
    """

    def step(t, n, g):
        cell, inside = trace.steps[t]
        g_c, g_z[t, :n] = trace.backend.cell_backward(cell, g.c, g.h + g_hs[t, :n])
        return LSTMState(bounds.clip_backward(inside, g_c), g_z[t, :n] @ trace.parameters.lateral_W)

    return retreat(step, g_state, trace.active)


def parameter_gradients(records):
    """Gradients of the parameters from the :class:`LSTMStepGradients` of one sequence."""
    (r,) = records
    upward_W, lateral_W, linear_W = gradients_of_weights(
        [(r.g_z, r.xs), (r.g_z, r.hs_before), (r.g_ys, r.hs)]
    )
    return LSTMParameters(
        upward_W=upward_W,
        upward_b=r.g_z.sum(axis=0),
        lateral_W=lateral_W,
        linear_W=linear_W,
        linear_b=r.g_ys.sum(axis=0),
    )
