"""Batches of sequences of unequal lengths, sorted by descending length, and what runs over them.

T time, B batch. ``active`` are T ints: how many sequences step t has, the first ones of the batch.
The others have ended, or were not fed: they keep their state.
"""

from ..arrays import module_of
from ..state import concatenate_rows, map_arrays, select_rows


def advance(step, state, active):
    """The state after the last step, of all sequences.

    Args:
        step: called with t, the number n of sequences that step t has, and their state; returns
            their next state.
        state: of all sequences, B or more; a NamedTuple of arrays with a field ``h``.
        active: see above.
    """
    ended = []
    for t, n in enumerate(active):
        if n < len(state.h):
            ended.append(select_rows(state, slice(n, None)))
            state = select_rows(state, slice(n))
        if n == 0:
            break
        state = step(t, n, state)
    return concatenate_rows([state, *ended[::-1]])


def retreat(step, g_state, active):
    """The gradient of the state before the first step: :func:`advance` in reverse.

    Args:
        step: called with t, n and the gradient of the state of n sequences after step t; returns
            that of their state before.
        g_state: gradient of the state after the last step, of all sequences. Overwritten.
        active: see above.
    """
    for t in reversed(range(len(active))):
        n = active[t]
        if n == 0:
            continue
        if n == len(g_state.h):
            g_state = step(t, n, g_state)
        else:
            g_state = write_rows(g_state, step(t, n, select_rows(g_state, slice(n))))
    return g_state


def write_rows(state, first):
    """Overwrite the first sequences of ``state``."""

    def write(field, rows):
        field[: len(rows)] = rows
        return field

    return map_arrays(write, state, first)


def affine(x, W, b):
    """Return x Wᵀ + b over all steps at once: (T, B, I) -> (T, B, O)."""
    T, B, width = x.shape
    y = x.reshape(T * B, width) @ W.T
    y += b
    return y.reshape(T, B, len(W))


def multiply(W, x):
    """Return x Wᵀ: (O, I), (n, I) -> (n, O). BLAS takes half the time in this order."""
    return (W @ x.T).T


def start_history(first, B, active):
    """Room for T + 1 steps of a vector (·, D) of B sequences: its state before, then zeros.

    And zeros for those that are not fed, whatever their state: NaN would spread.
    """
    history = module_of(first).zeros((len(active) + 1, B, first.shape[1]), first.dtype)
    fed = active[0] if active else 0
    history[0, :fed] = first[:fed]
    return history


def clear_inactive(ys, active):
    """Set the outputs after a sequence's end to 0."""
    if active[-1] < ys.shape[1]:
        for y, n in zip(ys, active):
            y[n:] = 0


def without_padding(xs, active):
    """Inputs (T, B, X) that are 0 where no sequence is, whatever stands there; NaN would spread."""
    if active[-1] == xs.shape[1]:
        return xs
    xs = xs.copy()
    clear_inactive(xs, active)
    return xs


def as_rows(steps):
    """Steps (T, B, D) as rows (T·B, D)."""
    T, B, width = steps.shape
    return steps.reshape(T * B, width)
