"""``graph/lstm_sequence.py`` on the compiled loops: how its steps run, for NumPy arrays."""

import numpy as np

from . import lstm_loops
from .arrays import as_compiled, last_rows, limit_of
from .threads import share_batch


def run_steps(sequence, state, keep_trace):
    """See ``graph.lstm_sequence.run_steps``."""
    p, options, _, xs, gates, hs, active, _ = sequence
    T, B, _ = xs.shape
    cs, active = np.empty_like(hs), np.asarray(active)
    cs[0] = state.c[:B]
    squashed = np.empty((T, *cs.shape[1:]), cs.dtype)
    weights = as_compiled(p.lateral_W.astype(cs.dtype, copy=False)), limit_of(options, cs.dtype)
    share_batch(lstm_loops.advance, B, T * hs.shape[2], *weights, gates, hs, cs, squashed, active)
    return last_rows(state, (cs, hs), active), (cs, squashed)


def run_steps_backward(trace, g_state, g_hs, g_z):
    """See ``graph.lstm_sequence.run_steps_backward``."""
    p, options, _, _, gates, hs, active, (cs, squashed) = trace
    T, B, _ = g_hs.shape
    g_c, g_h = map(as_compiled, g_state)
    weights = as_compiled(p.lateral_W.astype(cs.dtype, copy=False)), limit_of(options, cs.dtype)
    gradients = g_c, g_h, g_hs, g_z, np.asarray(active)
    share_batch(lstm_loops.retreat, B, T * hs.shape[2], *weights, gates, cs, squashed, *gradients)
    return type(g_state)(g_c, g_h)
