"""A sequence that keeps little for its gradient: ``sequence`` in segments that are run twice.

Of T steps only the states before every √T-th are kept. The backward pass runs one segment after the
other anew, the last one first, so that at most √T steps are held at a time.
"""

import math
from typing import Any, NamedTuple

from ..arrays import module_of
from ..memory.bounds import Options
from . import sequence
from .sequence import Parameters


class SegmentedTrace(NamedTuple):
    """What the gradient of a sequence needs where its steps are run anew."""

    parameters: Parameters
    options: Options
    xs: Any  # (T, B, X)
    active: list  # of each step, how many sequences it has
    starts: list  # the first step of each segment
    states: list  # the state before it


def unroll(parameters, options, xs, state, active, keep_trace):
    """See :func:`.sequence.unroll`."""
    T = len(xs)
    starts = list(range(0, T, math.isqrt(T)))
    states, ys = [], []
    for start, end in zip(starts, [*starts[1:], T]):
        states.append(state)
        segment, state, _ = sequence.unroll(
            parameters, options, xs[start:end], state, active[start:end], keep_trace=False
        )
        ys.append(segment)
    trace = SegmentedTrace(parameters, options, xs, active, starts, states)
    return module_of(xs).concatenate(ys), state, trace if keep_trace else None


def unroll_backward(trace, g_ys, g_state, need_g_xs):
    """See :func:`.sequence.unroll_backward`."""
    end, g_xs, records = len(trace.xs), [], []
    for start, state in zip(trace.starts[::-1], trace.states[::-1]):
        steps = slice(start, end)
        xs, active = trace.xs[steps], trace.active[steps]
        _, _, segment = sequence.unroll(
            trace.parameters, trace.options, xs, state, active, keep_trace=True
        )
        g_xs_segment, record, g_state = sequence.unroll_backward(
            segment, g_ys[steps], g_state, need_g_xs
        )
        g_xs.insert(0, g_xs_segment)
        records += record
        end = start
    return module_of(g_ys).concatenate(g_xs) if need_g_xs else None, records, g_state
