"""``graph/sequence.py`` on the compiled loops: how its steps run, for NumPy arrays.

T time, B batch, H controller units, S slots: T of them, or two where no gradient is wanted.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..arrays import SMALLEST_NORMAL
from ..memory import interface
from ..memory.sparse_linkage import SparseLink
from ..state import State
from . import recycled, sequence_loops, shared_rows
from .arrays import as_compiled, last_rows, limit_of
from .threads import share_batch


class LoopTrace(NamedTuple):
    """What the gradient of the steps needs, as the loops take it."""

    fed: Any  # what the controller is fed of the read vectors (T, B, R·W)
    cells: tuple  # c_0 to c_T (T + 1, B, H), and the tanh of c_1 to c_T (S, B, H)
    initial: tuple  # the state before: memory, row scales, usage, precedence, link, ...
    states: tuple  # the same after each step (S, B, ...)
    trace: tuple  # what the memory's steps leave besides
    active: Any  # see ``unroll`` (T,)


def run_steps(sequence, state, keep_trace):
    """See ``graph.sequence.run_steps``."""
    parameters, _, options, _, xs, over_time, active, _ = sequence
    T, B, _ = xs.shape
    room = make_room(state, T, T if keep_trace else min(T, 2), B, active)
    run(
        sequence_loops.advance,
        shared_rows.advance,
        (T, B, state.usage.shape[1]),
        *settings(parameters, options, xs.dtype),
        (room.fed, *over_time),
        room.cells,
        np.empty((B, len(parameters.linear_b)), xs.dtype),
        room.initial,
        room.states,
        room.trace,
        room.active,
        constants(room.initial),
    )
    memory, _, usage, precedence, link, columns, write_weights, read_weights = room.states
    link = link if columns is None else SparseLink(link, columns)
    memory = memory, usage, precedence, link, write_weights, read_weights
    histories = *memory, over_time.reads, room.cells[0], over_time.hs
    return last_rows(state, histories, room.active), room


def run_steps_backward(trace, g_state, *g_over_time):
    """See ``graph.sequence.run_steps_backward``."""
    parameters, _, options, _, xs, over_time, _, loops = trace
    gates, _, reads, _ = over_time
    T, B, _ = xs.shape
    g_state = tuple(map(as_compiled, g_state))
    room = tuple(np.empty_like(g_state[k]) for k in (1, 2, 4, 5))
    run(
        sequence_loops.retreat,
        shared_rows.retreat,
        (T, B, g_state[1].shape[1]),
        *settings(parameters, options, xs.dtype),
        (loops.fed, gates, reads),
        loops.cells,
        loops.initial,
        loops.states,
        loops.trace,
        (g_state, room, g_over_time),
        loops.active,
        constants(loops.initial),
    )
    return State(*g_state)


def run(of_batch, of_rows, sizes, *arguments):
    """Run all sequences: threads share the batch, or the rows of the few large memories in it."""
    T, B, N = sizes
    if shared_rows.worth_sharing(B, N):
        of_rows(*arguments)
    else:
        share_batch(of_batch, B, T * N, *arguments)


def make_room(state, T, S, B, active):
    """A :class:`LoopTrace` with the state before the first step, and room for the rest."""
    initial = tuple(map(as_compiled, loop_fields(state)))
    dtype, H = state.h.dtype, state.h.shape[1]
    cs = np.empty((T + 1, B, H), dtype)
    cs[0] = state.c[:B]
    states = (
        None if field is None else recycled.empty((S, B, *field.shape[1:]), field.dtype)
        for field in initial
    )
    return LoopTrace(
        fed=np.empty((T, B, state.read_vectors.shape[1]), dtype),
        cells=(cs, np.empty((S, B, H), dtype)),
        initial=initial,
        states=tuple(states),
        trace=make_trace(S, B, initial),
        active=np.asarray(active),
    )


def loop_fields(state):
    """The state as the loops take it: no columns of a dense link, row scales to be filled."""
    link, columns = state.link if isinstance(state.link, SparseLink) else (state.link, None)
    scales = np.empty(state.usage.shape, state.usage.dtype)
    memory, usage, precedence, write_weights, read_weights = (
        state.memory,
        state.usage,
        state.precedence,
        state.write_weights,
        state.read_weights,
    )
    return memory, scales, usage, precedence, link, columns, write_weights, read_weights


def make_trace(S, B, before):
    """Room for what the memory's steps leave for the gradient, but for the states."""
    memory, read_weights, K = before[0], before[-1], 0 if before[5] is None else before[5].shape[2]
    (_, R, N), W, dtype = read_weights.shape, memory.shape[2], memory.dtype
    return (
        np.empty((S, B, interface.size(W, R)), dtype),
        np.empty((S, B, N), np.int32),
        np.empty((S, B), np.int32),
        recycled.empty((S, B, 1 + R, N), dtype),
        recycled.empty((S, B, 1 + R, N), dtype),
        recycled.empty((S, B, 2, R, N), dtype),
        np.empty((S, B, K, 2 + 2 * K), np.int32),
    )


def settings(parameters, options, dtype):
    """Weights (of that dtype), limit of the cell state and whether reads are bounded."""
    p = parameters
    weights = (p.upward_W, p.lateral_W, p.linear_W, p.linear_b)
    weights = tuple(as_compiled(weight.astype(dtype, copy=False)) for weight in weights)
    return weights, limit_of(options, dtype), options.bounded_reads


def constants(before):
    """Where the parts of the interface vector start, and the smallest normal number."""
    memory, R = before[0], before[-1].shape[1]
    return (*starts(memory.shape[2], R), SMALLEST_NORMAL[memory.dtype.char])


@cache
def starts(W, R):
    """Where the parts of the interface vector start."""
    return tuple(part.start for part in interface.layout(W, R))
